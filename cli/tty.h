#pragma once
/** Our own terminal while a program on one of the sandbox's uses it.
 *
 *  Theory of operation. While it is entered every byte that is typed goes to the program's
 * terminal, which makes signals, lines and echo of them; ours does nothing (raw mode). It is put
 * back as it was by leaving, by any signal that would end or stop us, and entered again after a
 * stop. At most one is entered at a time. */
#include <stdbool.h>
#include <stdint.h>

struct sb_err;

struct sb_tty {
    int fd;        /* owned; readable when the size may have changed; -1: not entered */
    int told_fd;   /* owned; handlers write here */
    uint32_t rows; /* as last told */
    uint32_t columns;
};

#define SB_TTY_NONE ((struct sb_tty){.fd = -1, .told_fd = -1})

/** Whether somebody types on standard input and sees standard output. */
bool sb_tty_is_here(void);

/** Of the terminal on standard input, else output; 0 where it does not say. */
void sb_tty_size(uint32_t *ret_rows, uint32_t *ret_columns);
/** $TERM, or NULL when there is none that can be told to a worker. */
const char *sb_tty_name(void);

/** Of standard input. In the background this stops us, as any change of a terminal does.
 *  Errors: by errno. sb_tty_leave frees in any case. */
int sb_tty_enter(struct sb_tty *tty, struct sb_err *err);
/** After fd was readable: true when the size has changed. */
bool sb_tty_take_resize(struct sb_tty *tty);
/** Back to what it was; harmless when not entered. */
void sb_tty_leave(struct sb_tty *tty);
