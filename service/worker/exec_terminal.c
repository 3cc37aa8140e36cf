#include "service/worker/exec_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/worker/exec.h"
#include "service/worker/exec_io.h"

enum { DEFAULT_ROWS = 24, DEFAULT_COLUMNS = 80, EOF_CHARACTER = 4 };

static const char default_name[] = "xterm-256color";

static int check_side(
    uint32_t side, uint32_t otherwise, const char *field, uint16_t *ret_side, struct sb_err *err)
{
    if (side > SB_TERMINAL_MAX_SIDE) {
        return sb_err_set(err, SB_INVALID, "%s: %u is not in 1..%d", field, side,
                          SB_TERMINAL_MAX_SIDE);
    }
    *ret_side = (uint16_t)(side == 0 ? otherwise : side);
    return 0;
}

/* As names of terminals are: it becomes a variable, and the name of a file to look for. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._");
    return name[len] == '\0' && len <= SB_TERMINAL_MAX_NAME;
}

int sb_exec_terminal_check(uint32_t rows,
                           uint32_t columns,
                           const char *name,
                           const char *field,
                           struct sb_exec_terminal *ret_terminal,
                           struct sb_err *err)
{
    struct sb_exec_terminal terminal = {.is_wanted = true};
    char at[64];
    (void)snprintf(at, sizeof at, "%s.rows", field);
    if (check_side(rows, DEFAULT_ROWS, at, &terminal.rows, err) < 0) {
        return -1;
    }
    (void)snprintf(at, sizeof at, "%s.columns", field);
    if (check_side(columns, DEFAULT_COLUMNS, at, &terminal.columns, err) < 0) {
        return -1;
    }
    if (name == NULL || name[0] == '\0') {
        name = default_name;
    }
    if (!is_name(name)) {
        return sb_err_set(err, SB_INVALID, "%s.term: at most %d characters of [A-Za-z0-9+-._]",
                          field, SB_TERMINAL_MAX_NAME);
    }
    (void)strcpy(terminal.name, name);
    *ret_terminal = terminal;
    return 0;
}

/* Which devpts it is of, only its other side says: the master may have been opened by a node
 * elsewhere. */
static int check_master(int fd, struct sb_err *err)
{
    struct stat st;
    struct stat host;
    if (fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "look at a terminal");
    }
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2)) {
        return sb_err_set(err, SB_INTERNAL, "init sent something else than a terminal");
    }
    SB_CLEANUP(sb_closep)
    int peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (peer < 0 || fstat(peer, &st) < 0) {
        return sb_err_sys(err, errno, "look at the other side of a terminal");
    }
    if (stat("/dev/pts", &host) == 0 && host.st_dev == st.st_dev) {
        return sb_err_set(err, SB_INTERNAL, "init sent a terminal of the host");
    }
    return 0;
}

static int set_size(const struct sb_exec *exec, int fd, struct sb_err *err)
{
    const struct winsize size = {.ws_row = exec->terminal.rows, .ws_col = exec->terminal.columns};
    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? sb_err_sys(err, errno, "resize a terminal") : 0;
}

int sb_exec_terminal_adopt(struct sb_exec *exec, int *fd, struct sb_err *err)
{
    if (*fd < 0) {
        return sb_err_set(err, SB_INTERNAL, "init sent no terminal");
    }
    if (check_master(*fd, err) < 0 || sb_fd_nonblock(*fd, err) < 0 ||
        set_size(exec, *fd, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int input = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    if (input < 0) {
        return sb_err_sys(err, errno, "duplicate a terminal");
    }
    sb_exec_io_adopt(exec, SB_STEAL_FD(*fd), SB_STEAL_FD(input));
    return 0;
}

int sb_exec_terminal_resize(struct sb_exec *exec,
                            uint32_t rows,
                            uint32_t columns,
                            struct sb_err *err)
{
    struct sb_exec_terminal next;
    if (sb_exec_terminal_check(rows, columns, NULL, "terminal", &next, err) < 0) {
        return -1;
    }
    if (!exec->terminal.is_wanted) {
        return sb_err_set(err, SB_PRECONDITION,
                          "exec %s has no terminal; start it with exec.terminal", exec->id);
    }
    bool has_run = exec->state >= SB_EXEC_RUNNING;
    if (sb_exec_has_ended(exec) || (has_run && exec->in.fd < 0)) {
        return sb_err_set(err, SB_PRECONDITION, "exec %s has ended", exec->id);
    }
    exec->terminal.rows = next.rows;
    exec->terminal.columns = next.columns;
    return has_run ? set_size(exec, exec->in.fd, err) : 0;
}

void sb_exec_terminal_typed(struct sb_exec *exec, unsigned char last)
{
    exec->terminal.is_mid_line = last != '\n' && last != '\r';
    exec->in.is_eof = false;
}

void sb_exec_terminal_type_eof(struct sb_exec *exec)
{
    struct termios modes;
    struct sb_err err;
    if (exec->in.is_eof || sb_exec_has_ended(exec)) {
        return;
    }
    bool is_known = exec->in.fd >= 0 && tcgetattr(exec->in.fd, &modes) == 0;
    cc_t c = is_known ? modes.c_cc[VEOF] : EOF_CHARACTER;
    const cc_t twice[] = {c, c};
    if (c != _POSIX_VDISABLE) {
        (void)sb_exec_write(exec, twice, exec->terminal.is_mid_line ? 2 : 1, &err);
    }
    exec->terminal.is_mid_line = false;
    exec->terminal.was_raw = is_known && (modes.c_lflag & ICANON) == 0;
    exec->in.is_eof = true;
}

void sb_exec_terminal_retype_eof(struct sb_exec *exec)
{
    struct termios modes;
    if (!exec->in.is_eof || exec->in.fd < 0 || tcgetattr(exec->in.fd, &modes) < 0) {
        return;
    }
    bool is_raw = (modes.c_lflag & ICANON) == 0;
    if (is_raw != exec->terminal.was_raw) {
        exec->in.is_eof = false;
        sb_exec_terminal_type_eof(exec);
    }
}

bool sb_exec_terminal_hang_up(struct sb_exec *exec)
{
    if (exec->terminal.is_hung_up || !exec->terminal.is_wanted || exec->in.fd < 0) {
        return false;
    }
    exec->terminal.is_hung_up = true;
    sb_exec_io_drain(exec);
    sb_exec_io_close(exec);
    return true;
}
