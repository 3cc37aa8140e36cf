#pragma once
/** What is written down of each method of the contract before it acts. A method without a row is
 *  refused, and a worker that would serve one does not start. */
#include <stdbool.h>
#include <stddef.h>

/** A later message of a client stream that is a decision of its own. */
struct sb_act_more {
    const char *field;  /* that the message carries */
    const char *action; /* as of struct sb_act */
    bool is_once;       /* the first of a call stands for all */
};

struct sb_act {
    const char *path;
    const char *action; /* of the record; NULL: it looks only, and nothing but refusals are kept */
    /** Fields of the (first) message that go into the record, "a.b.c" separated by blanks; of bytes
     *  only the number. */
    const char *detail;
    const struct sb_act_more *more; /* ends with a NULL field; NULL: none */
    bool is_open;                   /* for anybody, who is not even asked who he is */
};

/** A call of it that goes on ends when the key it was made with is revoked: what only looks, and
 *  connections to ports. */
bool sb_act_ends_with_key(const struct sb_act *act);
/** It shows sandboxes of which no caller has named the id. */
bool sb_act_looks_back(const struct sb_act *act);
/** NULL: there is none. @path  "/aisbx.v1.SandboxService/Run". */
const struct sb_act *sb_act_find(const char *path);
