#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;

/** What the text means, and the type of the member that takes it. */
enum sb_field_kind {
    SB_FIELD_BOOL,   /* bool: true|false, yes|no, on|off, 1|0 */
    SB_FIELD_U64,    /* uint64_t; enum_names, if any, are words for 0, 1, ... whatever min is */
    SB_FIELD_BYTES,  /* uint64_t, see sb_num_bytes */
    SB_FIELD_MILLIS, /* uint64_t, see sb_num_millis */
    SB_FIELD_CPU,    /* uint64_t millicores, see sb_num_cpu */
    SB_FIELD_MODE,   /* uint64_t, permission bits in octal: 0660 */
    SB_FIELD_STRING, /* char *, heap, owned by the target; min and max count bytes (max 0: 4096) */
    SB_FIELD_ENUM,   /* an enum or int: index into enum_names */
    SB_FIELD_TEXTS,  /* struct sb_field_texts, owned by the target: one more; max bounds how many */
};

enum { SB_FIELD_MAX_TEXTS = 32 };

/** What was set several times, in that order. */
struct sb_field_texts {
    char *items[SB_FIELD_MAX_TEXTS]; /* heap */
    size_t n;
};

/** One row of a table from which parsing, --help and the reference page are made. */
struct sb_field {
    struct sb_str name; /* SB_STR("...") */
    enum sb_field_kind kind;
    size_t offset; /* of the member in the target struct */
    uint64_t min;
    uint64_t max;
    const char *unit;              /* for people: "bytes", "CPUs"; NULL when obvious */
    const char *help;              /* one sentence, no full stop */
    const char *const *enum_names; /* ends with NULL; "" rows cannot be chosen */
};

/** Row with that name, or NULL. */
const struct sb_field *sb_field_find(const struct sb_field *table, size_t n, struct sb_str key);

/** Parses value and stores it in the member of *target that key names. A string member must be NULL
 *  or heap memory: the old string is freed, the new one belongs to the target (sb_field_free).
 *  Errors: SB_INVALID: unknown key (the text suggests the nearest, or lists all), bad or
 * out-of-range value (the text names the key and what is accepted); SB_EXHAUSTED. On failure target
 * is unchanged. */
int sb_field_set(const struct sb_field *table,
                 size_t n,
                 struct sb_str key,
                 struct sb_str value,
                 void *target,
                 struct sb_err *err);

/** Frees all strings of *target: members become NULL, lists empty. */
void sb_field_free(const struct sb_field *table, size_t n, void *target);

/** Writes the member's present value as text that sb_field_set takes (a NULL string and lists as
 * ""). Cut to cap bytes (at least 1), NUL-terminated. Returns out. */
const char *
sb_field_format(const struct sb_field *field, const void *target, char *out, size_t cap);
