#pragma once
/** An exec's terminal: the master side of a pty that init opened inside. Loop thread.
 *
 *  Theory of operation. The master comes with init's first word (service/shared/initproto.h) and
 *  takes the place of the output pipe and of the input pipe: reading, spooling, writing and their
 *  bounds are those of exec_io.c. Nothing about it is believed: what is no master of a pty, or one
 *  of the host's, is refused. It is never the controlling terminal of anything outside. */
#include <stdbool.h>
#include <stdint.h>

struct sb_err;
struct sb_exec;

enum { SB_TERMINAL_MAX_SIDE = 1000, SB_TERMINAL_MAX_NAME = 64 };

struct sb_exec_terminal {
    bool is_wanted; /* else the exec has pipes */
    uint16_t rows;
    uint16_t columns;
    char name[SB_TERMINAL_MAX_NAME + 1]; /* TERM */
    bool is_mid_line;                    /* the last byte that was typed ends no line */
    bool was_raw;                        /* when the end of file was typed */
    bool is_hung_up;
};

/** Fills in defaults.
 *  @rows, @columns  0: 24, 80.   @name  NULL or "": the default.
 *  @field  for errors: "exec.terminal". Errors: SB_INVALID naming the field. */
int sb_exec_terminal_check(uint32_t rows,
                           uint32_t columns,
                           const char *name,
                           const char *field,
                           struct sb_exec_terminal *ret_terminal,
                           struct sb_err *err);

/** Takes the descriptor that init sent. *fd is -1 on success.
 *  Errors: SB_INTERNAL: it is not what init should send; by errno. */
int sb_exec_terminal_adopt(struct sb_exec *exec, int *fd, struct sb_err *err);

/** Sets its size, now or when it starts. SB_PRECONDITION: it has no terminal, or has ended. */
int sb_exec_terminal_resize(struct sb_exec *exec,
                            uint32_t rows,
                            uint32_t columns,
                            struct sb_err *err);

/** Types the end-of-file character: twice within a line, where the first only ends the line.
 *  Once until something else is typed. */
void sb_exec_terminal_type_eof(struct sb_exec *exec);
/** To be called when the program has written. One that takes the terminal from lines to single
 *  characters, as shells do before they prompt, loses what was typed as an end of file: types it
 *  again. */
void sb_exec_terminal_retype_eof(struct sb_exec *exec);
/** @last  byte that was typed. */
void sb_exec_terminal_typed(struct sb_exec *exec, unsigned char last);

/** Closes the master: the kernel sends SIGHUP to whom it concerns. False: there is none to close.
 */
bool sb_exec_terminal_hang_up(struct sb_exec *exec);
