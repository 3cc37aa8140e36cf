#include "cli/security/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* When all are taken: that of the last of the mildest, which goes. NULL: this one is as mild. */
static struct sb_finding *place_for(struct sb_findings *findings, enum sb_finding_level level)
{
    if (findings->n < SB_FINDING_MAX) {
        return &findings->items[findings->n++];
    }
    findings->n_more++;
    size_t mildest = 0;
    for (size_t i = 1; i < SB_FINDING_MAX; i++) {
        mildest = findings->items[i].level <= findings->items[mildest].level ? i : mildest;
    }
    if (findings->items[mildest].level >= level) {
        return NULL;
    }
    memmove(&findings->items[mildest], &findings->items[mildest + 1],
            (SB_FINDING_MAX - mildest - 1) * sizeof *findings->items);
    return &findings->items[SB_FINDING_MAX - 1];
}

void sb_finding_add(struct sb_findings *findings,
                    const char *name,
                    enum sb_finding_level level,
                    const char *fix,
                    const char *fmt,
                    ...)
{
    findings->worst = level > findings->worst ? level : findings->worst;
    struct sb_finding *finding = place_for(findings, level);
    if (finding == NULL) {
        return;
    }
    va_list ap;
    finding->name = name;
    finding->level = level;
    (void)snprintf(finding->fix, sizeof finding->fix, "%s", fix == NULL ? "" : fix);
    va_start(ap, fmt);
    (void)vsnprintf(finding->detail, sizeof finding->detail, fmt, ap);
    va_end(ap);
}

const char *sb_finding_word(enum sb_finding_level level)
{
    static const char *const words[] = {
        [SB_FINDING_PASS] = "pass",
        [SB_FINDING_NOTE] = "note",
        [SB_FINDING_WARN] = "warn",
        [SB_FINDING_FAIL] = "fail",
    };
    return words[level];
}

enum sb_finding_level sb_finding_worst(const struct sb_findings *findings)
{
    return findings->worst;
}
