#include "trail/action.h"

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/near.h"

/* Sorted. The worker's table of acts (service/worker/acts.c), its events, and the audit's own. */
static const char *const actions[] = {
    "admin.drain",
    "audit.gap",
    "audit.prune",
    "auth",
    "context.create",
    "context.delete",
    "context.execute",
    "context.interrupt",
    "context.restart",
    "exec.cancel",
    "exec.end",
    "exec.input",
    "exec.signal",
    "exec.start",
    "file.chmod",
    "file.commit",
    "file.diff",
    "file.export",
    "file.import",
    "file.mkdir",
    "file.move",
    "file.read",
    "file.remove",
    "file.replace",
    "file.search",
    "file.write",
    "key.create",
    "key.created",
    "key.revoke",
    "key.revoked",
    "limit",
    "network.connect",
    "network.update",
    "packages.delete",
    "packages.install",
    "port.expose",
    "port.forward",
    "port.unexpose",
    "rate",
    "sandbox.create",
    "sandbox.destroy",
    "sandbox.end",
    "sandbox.fork",
    "sandbox.forked",
    "sandbox.pause",
    "sandbox.resume",
    "sandbox.rollback",
    "sandbox.update",
    "snapshot.create",
    "snapshot.delete",
    "violation",
    "worker.start",
    "worker.stop",
};
#define N_ACTIONS (sizeof actions / sizeof *actions)

/* @action  is @wanted or lies below it. */
static bool is_at_or_below(struct sb_str action, struct sb_str wanted)
{
    return sb_str_starts_with(action, wanted) &&
           (action.len == wanted.len || action.ptr[wanted.len] == '.');
}

bool sb_trail_action_is_known(struct sb_str action)
{
    for (size_t i = 0; i < N_ACTIONS; i++) {
        if (sb_str_eq(action, sb_str_from(actions[i]))) {
            return true;
        }
    }
    return false;
}

static struct sb_str first_word(const char *action)
{
    struct sb_str word = sb_str_from(action);
    struct sb_str rest;
    (void)sb_str_split(word, '.', &word, &rest);
    return word;
}

/* "admin, audit, auth ..." */
static void list_words(char *text, size_t cap)
{
    struct sb_str last = SB_STR("");
    for (size_t i = 0, len = 0; i < N_ACTIONS && len < cap; i++) {
        struct sb_str word = first_word(actions[i]);
        if (!sb_str_eq(word, last)) {
            len += (size_t)snprintf(text + len, cap - len, "%s%.*s", last.len == 0 ? "" : ", ",
                                    SB_STR_ARG(word));
        }
        last = word;
    }
}

int sb_trail_action_check(struct sb_str action, struct sb_err *err)
{
    struct sb_str shown = sb_str_head(action, 64);
    struct sb_str near = SB_STR("");
    size_t best = SIZE_MAX;
    char words[256] = "";
    for (size_t i = 0; i < N_ACTIONS; i++) {
        if (action.len == 0 || is_at_or_below(sb_str_from(actions[i]), action)) {
            return 0;
        }
    }
    for (size_t i = 0; i < N_ACTIONS; i++) {
        struct sb_str both[] = {sb_str_from(actions[i]), first_word(actions[i])};
        for (size_t k = 0; k < 2; k++) {
            if (sb_near_improves(action, both[k], &best)) {
                near = both[k];
            }
        }
    }
    if (near.len > 0) {
        return sb_err_set(err, SB_INVALID,
                          "action: no record has the action \"%.*s\"; did you mean %.*s?",
                          SB_STR_ARG(shown), SB_STR_ARG(near));
    }
    list_words(words, sizeof words);
    return sb_err_set(err, SB_INVALID,
                      "action: no record has the action \"%.*s\"; there are %s, or with what "
                      "follows: exec.start",
                      SB_STR_ARG(shown), words);
}
