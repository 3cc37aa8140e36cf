#pragma once
#include <stddef.h>

/** What the doctor thinks of one thing, from good to bad. */
enum sb_finding_level {
    SB_FINDING_PASS,
    SB_FINDING_NOTE, /* no wall rests on it; worth a fix all the same */
    SB_FINDING_WARN, /* sandboxes run, but something is weaker than it could be */
    SB_FINDING_FAIL, /* sandboxes cannot run */
};

enum { SB_FINDING_MAX = 64 };

struct sb_finding {
    const char *name; /* constant */
    enum sb_finding_level level;
    char detail[320];
    char fix[640]; /* "" for none */
};

/** In the order of the report. Zeroed: none yet. */
struct sb_findings {
    struct sb_finding items[SB_FINDING_MAX];
    size_t n;
    size_t n_more; /* that found no room; all others are as bad or worse */
    enum sb_finding_level worst;
};

/** Adds one. @name  constant.  @fix  NULL or "": none. What does not fit is cut. Of more
 *  than SB_FINDING_MAX the mildest are only counted. */
void sb_finding_add(struct sb_findings *findings,
                    const char *name,
                    enum sb_finding_level level,
                    const char *fix,
                    const char *fmt,
                    ...) __attribute__((format(printf, 5, 6)));

/** "pass", "note", "warn", "fail". */
const char *sb_finding_word(enum sb_finding_level level);

/** The worst of all; PASS when there are none. */
enum sb_finding_level sb_finding_worst(const struct sb_findings *findings);
