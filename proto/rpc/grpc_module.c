/** gRPC for servers that load it when somebody needs it. */
#include <string.h>

#include "base/err.h"
#include "base/module.h"
#include "proto/rpc/internal.h"

int sb_rpc_grpc_server_find(int *ret_fd, struct sb_err *err)
{
    return sb_module_find(SB_RPC_SERVER_MODULE_FILE, ret_fd, err);
}

const struct sb_rpc_server_transport *sb_rpc_grpc_server_load(int fd, struct sb_err *err)
{
    void *symbol = sb_module_load(fd, SB_RPC_SERVER_MODULE_FILE, SB_RPC_SERVER_MODULE_SYMBOL, err);
    if (symbol == NULL) {
        return NULL;
    }
    sb_rpc_server_module_entry entry = NULL;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointer */
    const struct sb_rpc_server_transport *transport = entry();
    if (transport == NULL || transport->abi != SB_RPC_SERVER_ABI) {
        (void)sb_err_set(err, SB_PRECONDITION, SB_RPC_SERVER_MODULE_FILE " is of another build");
        return NULL;
    }
    return transport;
}
