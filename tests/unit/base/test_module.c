/* What is said when a module cannot be loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/module.h"

static void each_failure_names_the_next_step(void **state)
{
    static const struct {
        const char *why;
        const char *next;
    } rows[] = {
        {"libgrpc.so.29: cannot open shared object file: No such file or directory",
         "apt install libgrpc29 (on Ubuntu 24.04 libgrpc29t64)"},
        {"libgpr.so.29: cannot open shared object file: No such file or directory",
         "apt install libgrpc29 (on Ubuntu 24.04 libgrpc29t64)"},
        {"libcrypto.so.3: cannot open shared object file: No such file or directory",
         "apt install libssl3 (on Ubuntu 24.04 libssl3t64)"},
        {"libabsl_base.so.20220623: cannot open shared object file: No such file or directory",
         "apt-file search libabsl_base.so.20220623"},
        {"/opt/x/aisbx-rpc-grpc.so: cannot open shared object file: No such file or directory",
         "apt install --reinstall aisbx"},
        {"/opt/x/libgrpc.so: undefined symbol: x", "apt install --reinstall aisbx"},
        {"?", "apt install --reinstall aisbx"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char next[SB_MODULE_ADVICE_SIZE];
        const char *said = sb_module_advise(rows[i].why, next, sizeof next);
        assert_ptr_equal(said, next);
        if (strstr(said, rows[i].next) == NULL) {
            fail_msg("%s: %s", rows[i].why, said);
        }
    }
}

static void a_file_that_is_no_module_says_so(void **state)
{
    struct sb_err err;
    (void)state;
    int fd = memfd_create("module", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "no module", 9), 9);
    assert_null(sb_module_load(fd, "aisbx-x509.so", "symbol", &err));
    assert_int_equal(err.code, SB_UNAVAILABLE);
    assert_non_null(strstr(err.text, "aisbx-x509.so: "));
    assert_non_null(strstr(err.text, "apt install --reinstall aisbx"));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_names_the_next_step),
        cmocka_unit_test(a_file_that_is_no_module_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
