#pragma once
/** Which of many workers a call is for, by its method and what it says: one table. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/** Of a call that names nothing that lives on one worker. */
enum sb_way_else {
    SB_WAY_ANY,   /* one that serves: all say the same, or it says what is missing */
    SB_WAY_PLACE, /* makes something: the one with the most room */
    SB_WAY_MERGE, /* all, and one answer of theirs (merge.h) */
    SB_WAY_NONE,  /* cannot be done through a gateway before many */
};

struct sb_way {
    const char *path; /* "/aisbx.v1.SandboxService/Run" */
    const char *ids;  /* fields that may name it, "sandbox_id target.sandbox_id"; NULL: none */
    enum sb_way_else otherwise;
    const char *why; /* of SB_WAY_NONE: what to do instead */
};

extern const struct sb_way sb_ways[];
extern const size_t sb_ways_count;

/** The row of a method; NULL: it has none. */
const struct sb_way *sb_way_find(const char *path);

/** The first id that the message names, of whatever kind; empty: none, or none that is well-formed,
 *  which any worker refuses. *ret_tag is what its worker's own id has, too (base/id.h). */
struct sb_str
sb_way_id(const struct sb_way *way, const ProtobufCMessage *message, struct sb_str *ret_tag);
