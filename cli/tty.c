#include "cli/tty.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

enum { MAX_SIDE = 1000, MAX_NAME = 64 }; /* as the worker takes them */

/* Those that end a program which does not catch them. The ones that people and supervisors send
 * are sb_signals' (cli/signals.h), whose taker leaves the terminal. */
static const int ending[] = {SIGABRT, SIGALRM, SIGBUS,  SIGFPE,  SIGILL,    SIGSEGV,
                             SIGSYS,  SIGTRAP, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF,
                             SIGXCPU, SIGXFSZ, SIGIO,   SIGPWR,  SIGSTKFLT};

#define ONCE ((int)(SA_NODEFER | SA_RESETHAND))

static const int watched[] = {SIGWINCH, SIGCONT};

enum { N_ENDING = sizeof ending / sizeof *ending, N_WATCHED = sizeof watched / sizeof *watched };

/* For handlers. */
static struct termios modes_before;
static struct termios modes_raw;
static volatile sig_atomic_t told_fd = -1; /* -1: not entered */

static void tell(void)
{
    uint8_t byte = 0;
    (void)!write(told_fd, &byte, 1);
}

static void on_ending(int signal)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
    (void)raise(signal); /* its own action again: SA_RESETHAND */
}

/* SIGCONT also comes after SIGSTOP, which nobody can catch: a shell has set the terminal to its
 * own liking meanwhile. */
static void on_watched(int signal)
{
    int before = errno;
    if (signal == SIGCONT && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &modes_raw);
    }
    tell();
    errno = before;
}

static void on_stop(int signal);

static void catch_stop(void)
{
    const struct sigaction action = {.sa_handler = on_stop, .sa_flags = ONCE};
    (void)sigaction(SIGTSTP, &action, NULL);
}

static void on_stop(int signal)
{
    int before = errno;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
    (void)raise(signal);
    catch_stop(); /* it goes on, and SIGCONT has come */
    errno = before;
}

bool sb_tty_is_here(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

void sb_tty_size(uint32_t *ret_rows, uint32_t *ret_columns)
{
    struct winsize size = {0};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0) {
        (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    }
    *ret_rows = size.ws_row > MAX_SIDE ? MAX_SIDE : size.ws_row;
    *ret_columns = size.ws_col > MAX_SIDE ? MAX_SIDE : size.ws_col;
}

const char *sb_tty_name(void)
{
    const char *name = getenv("TERM");
    if (name == NULL || *name == '\0') {
        return NULL;
    }
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._");
    return name[len] == '\0' && len <= MAX_NAME ? name : NULL;
}

static void catch_all(void)
{
    const struct sigaction end = {.sa_handler = on_ending, .sa_flags = ONCE};
    const struct sigaction watch = {.sa_handler = on_watched, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < N_ENDING; i++) {
        (void)sigaction(ending[i], &end, NULL);
    }
    for (size_t i = 0; i < N_WATCHED; i++) {
        (void)sigaction(watched[i], &watch, NULL);
    }
    catch_stop();
}

static void catch_none(void)
{
    for (size_t i = 0; i < N_ENDING; i++) {
        (void)signal(ending[i], SIG_DFL);
    }
    for (size_t i = 0; i < N_WATCHED; i++) {
        (void)signal(watched[i], SIG_DFL);
    }
    (void)signal(SIGTSTP, SIG_DFL);
}

int sb_tty_enter(struct sb_tty *tty, struct sb_err *err)
{
    int pipe[2];
    if (tcgetattr(STDIN_FILENO, &modes_before) < 0) {
        return sb_err_sys(err, errno, "terminal");
    }
    if (sb_fd_pipe(pipe, err) < 0) {
        return sb_err_wrap(err, "terminal");
    }
    *tty = (struct sb_tty){.fd = pipe[0], .told_fd = pipe[1]};
    if (sb_fd_nonblock(pipe[0], err) < 0 || sb_fd_nonblock(pipe[1], err) < 0) {
        return sb_err_wrap(err, "terminal");
    }
    sb_tty_size(&tty->rows, &tty->columns);
    modes_raw = modes_before;
    cfmakeraw(&modes_raw);
    told_fd = pipe[1];
    catch_all(); /* before the change: there is no moment in which it could be left behind */
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &modes_raw) < 0
               ? sb_err_sys(err, errno, "make the terminal raw")
               : 0;
}

bool sb_tty_take_resize(struct sb_tty *tty)
{
    uint8_t bytes[64];
    uint32_t rows = 0;
    uint32_t columns = 0;
    while (read(tty->fd, bytes, sizeof bytes) > 0) {
    }
    sb_tty_size(&rows, &columns);
    if (rows == tty->rows && columns == tty->columns) {
        return false;
    }
    tty->rows = rows;
    tty->columns = columns;
    return true;
}

void sb_tty_leave(struct sb_tty *tty)
{
    if (tty->fd < 0) {
        return;
    }
    if (told_fd == tty->told_fd) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &modes_before);
        catch_none();
        told_fd = -1;
    }
    sb_closep(&tty->fd);
    sb_closep(&tty->told_fd);
    *tty = SB_TTY_NONE;
}
