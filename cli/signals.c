#include "cli/signals.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

int sb_signals_catch(struct sb_signals *signals, struct sb_err *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
        struct sigaction now;
        if (sigaction(ending[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) {
            (void)sigaddset(&set, ending[i]);
        }
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return sb_err_sys(err, errno, "watch for signals");
    }
    (void)sigprocmask(SIG_BLOCK, &set, &signals->before);
    signals->fd = fd;
    return 0;
}

int sb_signals_take(struct sb_signals *signals)
{
    struct signalfd_siginfo info;
    if (signals->fd < 0 || read(signals->fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return 0;
    }
    sb_signals_done(signals);
    return (int)info.ssi_signo;
}

void sb_signals_done(struct sb_signals *signals)
{
    if (signals->fd >= 0) {
        sb_closep(&signals->fd);
        signals->fd = -1;
        (void)sigprocmask(SIG_SETMASK, &signals->before, NULL);
    }
}
