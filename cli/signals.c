#include "cli/signals.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

static const int ending[SB_SIGNALS_ENDING] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* A handler and not signalfd: that needs the signals blocked in every thread, and gRPC makes some
 * whenever it wants more. */
static volatile sig_atomic_t told_fd = -1;

static void on_signal(int signal)
{
    int before = errno;
    uint8_t byte = (uint8_t)signal;
    (void)!write(told_fd, &byte, 1);
    errno = before;
}

int sb_signals_catch(struct sb_signals *signals, struct sb_err *err)
{
    int pipe[2];
    if (sb_fd_pipe(pipe, err) < 0) {
        return sb_err_wrap(err, "watch for signals");
    }
    signals->fd = pipe[0];
    signals->told_fd = pipe[1];
    if (sb_fd_nonblock(pipe[0], err) < 0 || sb_fd_nonblock(pipe[1], err) < 0) {
        sb_closep(&signals->fd);
        sb_closep(&signals->told_fd);
        *signals = SB_SIGNALS_NONE;
        return -1;
    }
    told_fd = pipe[1];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < SB_SIGNALS_ENDING; i++) {
        (void)sigaction(ending[i], NULL, &signals->before[i]);
        if (signals->before[i].sa_handler != SIG_IGN) {
            (void)sigaction(ending[i], &action, NULL);
        }
    }
    return 0;
}

int sb_signals_take(struct sb_signals *signals)
{
    uint8_t byte = 0;
    if (signals->fd < 0 || read(signals->fd, &byte, 1) != 1) {
        return 0;
    }
    sb_signals_done(signals);
    return byte;
}

void sb_signals_done(struct sb_signals *signals)
{
    if (signals->fd < 0) {
        return;
    }
    for (size_t i = 0; i < SB_SIGNALS_ENDING; i++) {
        (void)sigaction(ending[i], &signals->before[i], NULL);
    }
    told_fd = -1;
    sb_closep(&signals->fd);
    sb_closep(&signals->told_fd);
    *signals = SB_SIGNALS_NONE;
}
