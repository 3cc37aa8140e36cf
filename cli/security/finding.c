#include "cli/security/finding.h"

#include <stdarg.h>
#include <stdio.h>

void sb_finding_add(struct sb_findings *findings,
                    const char *name,
                    enum sb_finding_level level,
                    const char *fix,
                    const char *fmt,
                    ...)
{
    if (findings->n == SB_FINDING_MAX) {
        return;
    }
    struct sb_finding *finding = &findings->items[findings->n++];
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
    enum sb_finding_level worst = SB_FINDING_PASS;
    for (size_t i = 0; i < findings->n; i++) {
        worst = findings->items[i].level > worst ? findings->items[i].level : worst;
    }
    return worst;
}
