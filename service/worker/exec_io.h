#pragma once
/** Pipes between the worker and a program. Loop thread. */
#include <stdbool.h>

struct sb_err;
struct sb_exec;

/** Makes the three ends for the program in exec->stdio and the worker's own in exec->out, exec->in.
 *  With a terminal, which only comes later, the program's are /dev/null.
 *  @has_stdin  a pipe; else /dev/null. */
int sb_exec_io_open(struct sb_exec *exec, bool has_stdin, struct sb_err *err);
/** A pipe to or from a program, which may have another user id and can open it by name all the
 * same.
 *  @ret_ours  does not block. Both are the caller's, as far as they were made. */
int sb_exec_io_pipe(int *ret_ours, int *ret_theirs, bool is_output, struct sb_err *err);
/** Streams that were made before, instead of its own.
 *  @out  ours of stdout and stderr, taken.   @in  of stdin, taken; -1: input is empty. */
void sb_exec_io_replace(struct sb_exec *exec, const int out[2], int in);
/** A terminal instead of both: output is read from one descriptor, input written to the other,
 * which are taken. */
void sb_exec_io_adopt(struct sb_exec *exec, int output, int input);
/** Starts to read output and to write input. */
void sb_exec_io_start(struct sb_exec *exec);
/** Reads what is there, without waiting for more. */
void sb_exec_io_drain(struct sb_exec *exec);
/** Closes the worker's ends; what was kept stays. */
void sb_exec_io_close(struct sb_exec *exec);
/** True when no output can come any more. */
bool sb_exec_io_is_drained(const struct sb_exec *exec);
