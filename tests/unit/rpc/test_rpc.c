/** One suite for every transport: test_rpc local | grpc | tcp | tls | mtls. */
#include <signal.h>
#include <string.h>

#include "fixture.h"
#include "suite.h"
#include "tests/unit/rpc_grpc/certs.h"

int main(int argc, char **argv)
{
    transport_name = argc > 1 ? argv[1] : "local";
    (void)signal(SIGPIPE, SIG_IGN);
#ifndef TEST_HAS_GRPC
    if (!is_local()) {
        return 77;
    }
#endif
    bool is_tls = strcmp(transport_name, "tls") == 0 || strcmp(transport_name, "mtls") == 0;
    if (is_tls && !certs_can_be_made()) {
        return 77;
    }
    int failed = test_calls() + test_streams() + test_limits() + test_drain();
    if (is_local()) {
        failed += test_socket() + test_listen();
    }
    return failed == 0 ? 0 : 1;
}
