#pragma once
/** What session.c and session_input.c share. */
#include "cli/session.h"
#include "cli/signals.h"
#include "cli/streams.h"
#include "cli/tty.h"
#include "cli/typed.h"

struct session {
    struct sb_connect *connect;
    const struct sb_session_options *options;
    struct sb_session_result *result;
    struct sb_rpc_stream *stream; /* NULL: over */
    struct sb_signals signals;
    struct sb_streams streams; /* when descriptors are passed */
    struct sb_err status;      /* of the call, once over */
    uint64_t left[2];          /* bytes of output that may still come as messages */
    char *exec_id;             /* owned */
    bool is_over;              /* nothing more to wait for */
    bool is_background;        /* over as soon as it runs */
    bool is_look;              /* AttachExec: may end without a verdict */
    bool sends_stdin;
    bool is_choked;    /* the call takes no more input now */
    bool has_terminal; /* the program; output has no end that we would make */
    struct sb_tty tty; /* ours, when somebody types on it */
    struct sb_typed typed;
    uint64_t give_up_ms; /* monotonic; 0: wait for ever */
};

/** Standard input can be read. */
void sb_session_input_send(struct session *s);
/** The size of our terminal may have changed. */
void sb_session_input_resize(struct session *s);
