#pragma once
/** The exec's side of the conversation with init (service/shared/initproto.h). Loop thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/shared/initproto.h"

struct sb_err;
struct sb_exec;

/** Builds the request.
 *  @env  "K=V", n_env of them.   @ret_packet  heap.
 *  Errors: SB_INVALID: too many strings or bytes; SB_EXHAUSTED. */
int sb_exec_init_pack(const struct sb_exec *exec,
                      char *const *env,
                      size_t n_env,
                      char **ret_packet,
                      size_t *ret_len,
                      struct sb_err *err);

/** Sends exec->packet with exec->stdio and one end of a new socket pair; the other end becomes
 *  exec->sock, and is read from then on.
 *  Returns 1: sent; 0: init's socket is full; -1: it failed. */
int sb_exec_init_send(struct sb_exec *exec, int init_fd, struct sb_err *err);

/** Takes over the socket of an exec that init has started before.  @sock  taken. */
void sb_exec_init_adopt(struct sb_exec *exec, int sock);

/** Reads every packet that is there, and tells exec.c. */
void sb_exec_init_read(struct sb_exec *exec);
/** Closes the socket: init kills what is left. */
void sb_exec_init_close(struct sb_exec *exec);

/** False: the message could not be sent. */
bool sb_exec_init_kill(struct sb_exec *exec);
bool sb_exec_init_signal(struct sb_exec *exec, int signal, enum sb_init_whom whom);
