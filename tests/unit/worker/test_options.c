/** The command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/options.h"

enum { MAX_WORDS = 24 };

/** Parses the words up to NULL. */
static int parse(struct sb_options *options, struct sb_err *err, const char *const *words)
{
    static char text[MAX_WORDS][64];
    char *argv[MAX_WORDS + 1] = {text[0]};
    int argc = 1;
    (void)snprintf(text[0], sizeof text[0], "aisbx-worker");
    for (; words[argc - 1] != NULL; argc++) {
        (void)snprintf(text[argc], sizeof text[argc], "%s", words[argc - 1]);
        argv[argc] = text[argc];
    }
    return sb_options_parse(argc, argv, options, err);
}

static void takes_values_after_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    struct sb_options options;
    struct sb_err err;
    const char *const words[] = {"--listen",
                                 "unix:/a",
                                 "--listen=ipv4:127.0.0.1:1",
                                 "--embedded",
                                 "--idle-exit",
                                 "1500",
                                 "--drain-grace=2s",
                                 "--ready-fd",
                                 "7",
                                 "--socket-mode",
                                 "0660",
                                 "--tell-paths",
                                 NULL};
    assert_int_equal(parse(&options, &err, words), 0);
    assert_int_equal(options.listen.n, 2);
    assert_string_equal(options.listen.items[0], "unix:/a");
    assert_string_equal(options.listen.items[1], "ipv4:127.0.0.1:1");
    assert_true(options.is_embedded);
    assert_int_equal(options.idle_exit_ms, 1500);
    assert_int_equal(options.drain_grace_ms, 2000);
    assert_int_equal(options.ready_fd, 7);
    assert_int_equal(options.socket_mode, 0660);
    assert_true(options.tells_paths);
    sb_options_done(&options);
}

static void takes_a_weight_or_idle(void **state)
{
    (void)state;
    struct sb_options options;
    struct sb_err err;
    assert_int_equal(parse(&options, &err, (const char *const[]){NULL}), 0);
    assert_int_equal(options.cpu_weight, 100);
    sb_options_done(&options);
    assert_int_equal(parse(&options, &err, (const char *const[]){"--cpu-weight", "10", NULL}), 0);
    assert_int_equal(options.cpu_weight, 10);
    sb_options_done(&options);
    assert_int_equal(parse(&options, &err, (const char *const[]){"--cpu-weight=idle", NULL}), 0);
    assert_int_equal(options.cpu_weight, SB_OPTIONS_CPU_IDLE);
    sb_options_done(&options);
}

static const struct {
    const char *const words[4];
    const char *text;
} refused[] = {
    {{"--lisen", "unix:/a", NULL}, "did you mean --listen?"},
    {{"--listen", NULL}, "--listen: needs a value"},
    {{"serve", NULL}, "unexpected argument serve"},
    {{"--idle-exit", "soon", NULL}, "idle-exit"},
    {{"--idle-exit", "0", NULL}, "idle-exit"},
    {{"--socket-mode", "0888", NULL}, "octal"},
    {{"--socket-mode", "1777", NULL}, "octal"},
    {{"--grpc-threads", "9", NULL}, "grpc-threads"},
    {{"--embedded=maybe", NULL}, "embedded"},
    {{"--cpu-weight", "0", NULL}, "minimum is 1, or idle"},
    {{"--cpu-weight", "idl", NULL}, ", or idle"},
    {{"--idle-exit", "idle", NULL}, "idle-exit"},
};

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct sb_options options;
        struct sb_err err;
        assert_int_equal(parse(&options, &err, refused[i].words), -1);
        assert_int_equal(err.code, SB_INVALID);
        if (strstr(err.text, refused[i].text) == NULL) {
            fail_msg("'%s' does not say '%s'", err.text, refused[i].text);
        }
        sb_options_done(&options);
    }
}

static void refuses_a_ninth_address(void **state)
{
    (void)state;
    struct sb_options options;
    struct sb_err err;
    const char *words[MAX_WORDS] = {NULL};
    for (int i = 0; i < 9; i++) {
        words[i] = "--listen=unix:/a";
    }
    assert_int_equal(parse(&options, &err, words), -1);
    sb_options_done(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_values_after_a_blank_or_an_equals_sign),
        cmocka_unit_test(takes_a_weight_or_idle),
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(refuses_a_ninth_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
