/** Ending signals as a descriptor. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/signals.h"
#include "testing.h"

static void *wait_for_end(void *ctx)
{
    (void)pause();
    return ctx;
}

static void a_signal_is_heard_whichever_thread_gets_it(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_signals signals = SB_SIGNALS_NONE;
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, wait_for_end, NULL), 0);
    assert_int_equal(sb_signals_catch(&signals, &err), 0);
    assert_int_equal(sb_signals_take(&signals), 0);
    // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread,cert-pos44-c): it is caught, which is seen
    assert_int_equal(pthread_kill(other, SIGTERM), 0);
    struct pollfd ready = {.fd = signals.fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, -1), 1);
    assert_int_equal(sb_signals_take(&signals), SIGTERM);
    assert_int_equal(signals.fd, -1);
    assert_int_equal(pthread_cancel(other), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
}

static void what_was_ignored_stays_ignored_and_the_rest_goes_back(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_signals signals = SB_SIGNALS_NONE;
    struct sigaction now;
    (void)signal(SIGHUP, SIG_IGN);
    assert_int_equal(sb_signals_catch(&signals, &err), 0);
    assert_int_equal(raise(SIGHUP), 0);
    assert_int_equal(raise(SIGQUIT), 0);
    assert_int_equal(sb_signals_take(&signals), SIGQUIT);
    assert_int_equal(sigaction(SIGQUIT, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    sb_signals_done(&signals); /* does no harm twice */
    (void)signal(SIGHUP, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_is_heard_whichever_thread_gets_it),
        cmocka_unit_test(what_was_ignored_stays_ignored_and_the_rest_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
