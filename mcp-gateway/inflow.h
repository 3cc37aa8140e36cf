#pragma once
/** The body of a request on its way into a call that writes, as it comes.
 *
 *  Theory of operation. Nothing of a body is read before the worker has accepted the call, so who
 * may not write there is told before sending anything, and "Expect: 100-continue" waits for it.
 * What comes is gathered into messages of SB_INFLOW_BYTES. While the call's queue is full nothing
 * is read, and the client waits in its socket: so much is held as one message, the connection's
 * buffer and the call's queue have (64 + 64 + 320 KiB). The end of the body ends the messages, by
 * which the worker makes the file; whatever ends otherwise has to cancel the call, and there is no
 * file.
 *
 *  Of requests that stream (http/server.h). Loop thread. */
#include <stdbool.h>

#include "base/str.h"

struct sb_backend_call;
struct sb_err;
struct sb_http_request;
struct sb_inflow;

enum { SB_INFLOW_BYTES = 64 << 10 };

/** Packs a piece and sends it, as sb_backend_send. */
typedef bool sb_inflow_send(struct sb_backend_call *call, struct sb_str piece);
sb_inflow_send sb_inflow_send_file;    /* WriteFile */
sb_inflow_send sb_inflow_send_archive; /* ImportTar */

/** After the call's header was sent. @request  borrowed until it is answered or gone, from when on
 *  nothing below but free may be called. @call  borrowed. Errors: SB_EXHAUSTED. */
int sb_inflow_new(struct sb_http_request *request,
                  struct sb_backend_call *call,
                  sb_inflow_send *send,
                  struct sb_inflow **ret_inflow,
                  struct sb_err *err);
/** NULL is fine. */
void sb_inflow_free(struct sb_inflow *inflow);

/** The whole body is the content. Without this put and end are to be called. */
void sb_inflow_watch(struct sb_inflow *inflow);
/** The call was accepted, or its queue is low again: reads on. */
void sb_inflow_read(struct sb_inflow *inflow);
/** False: no more until sb_inflow_read has asked for it. */
bool sb_inflow_put(struct sb_inflow *inflow, struct sb_str piece);
void sb_inflow_end(struct sb_inflow *inflow);
