#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

enum { CANNOT_RUN = 77 };

static int can_run(void)
{
    char program[512];
    const char *bin = getenv("AISBX_BIN");
    if (bin == NULL) {
        (void)fputs("AISBX_BIN does not name the folder of the programs\n", stderr);
        return 0;
    }
    (void)snprintf(program, sizeof program, "%s/aisbx-worker", bin);
    if (access(program, X_OK) != 0) {
        (void)fprintf(stderr, "%s cannot be executed\n", program);
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--as-user") == 0 && !rig_become_user()) {
        (void)fputs("only root can become another user\n", stderr);
        return CANNOT_RUN;
    }
    if (!can_run()) {
        return CANNOT_RUN;
    }
    int failed = 0;
    failed += _cmocka_run_group_tests("lifecycle", lifecycle_tests, lifecycle_tests_n, NULL, NULL);
    failed += _cmocka_run_group_tests("exec", exec_tests, exec_tests_n, NULL, NULL);
    failed += _cmocka_run_group_tests("streams", stream_tests, stream_tests_n, NULL, NULL);
    failed += _cmocka_run_group_tests("ends", end_tests, end_tests_n, NULL, NULL);
    failed += _cmocka_run_group_tests("limits", limit_tests, limit_tests_n, NULL, NULL);
    failed += _cmocka_run_group_tests("metrics", metric_tests, metric_tests_n, NULL, NULL);
    failed += _cmocka_run_group_tests("denials", denial_tests, denial_tests_n, NULL, NULL);
    if (rig_part() < 0) {
        failed++;
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
