#include "service/init/terminal.h"

#include <asm/ioctls.h>
#include <asm/termios.h>
#include <fcntl.h>

#include "service/init/sys.h"

int sb_terminal_open(unsigned rows, unsigned columns, struct sb_terminal *ret_terminal)
{
    const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    const int locked = 0;
    struct sb_terminal terminal = SB_TERMINAL_NONE;
    terminal.master = (int)sb_sys_open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal.master < 0) {
        return terminal.master;
    }
    /* Not by its name in /dev/pts: the job can neither be raced nor asked. */
    long error = sb_sys_ioctl(terminal.master, TIOCSPTLCK, SB_SYS_PTR(&locked));
    if (error == 0 && (error = sb_sys_ioctl(terminal.master, TIOCSWINSZ, SB_SYS_PTR(&size))) == 0 &&
        (error = sb_sys_ioctl(terminal.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0) {
        terminal.slave = (int)error;
        *ret_terminal = terminal;
        return 0;
    }
    sb_terminal_close(&terminal);
    return (int)error;
}

void sb_terminal_close(struct sb_terminal *terminal)
{
    if (terminal->master >= 0) {
        sb_sys_close(terminal->master);
    }
    if (terminal->slave >= 0) {
        sb_sys_close(terminal->slave);
    }
    *terminal = SB_TERMINAL_NONE;
}
