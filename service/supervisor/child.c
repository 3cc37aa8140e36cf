#include "service/supervisor/child.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

static void begin(pid_t parent)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        (void)signal(ours[i], SIG_DFL);
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) {
        _exit(127);
    }
}

pid_t sb_child_fork(void)
{
    sigset_t all;
    sigset_t before;
    pid_t parent = getpid();
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int sys = errno;
    if (pid == 0) {
        begin(parent);
        (void)sigemptyset(&before);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = sys;
    return pid;
}
