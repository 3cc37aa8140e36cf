#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/security/audit.h"
#include "cli/verb.h"
#include "trail/read.h"

enum { HEAD_SIZE = 96, HEADS_MAX = 256 };

/* Where the worker of this user keeps it, unless it is told otherwise. */
static int usual_path(char out[PATH_MAX], struct sb_err *err)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (geteuid() == 0) {
        (void)snprintf(out, PATH_MAX, "/var/lib/aisbx/aisbx.db");
    } else if (state != NULL && state[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s/aisbx/aisbx.db", state);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s/.local/state/aisbx/aisbx.db", home);
    } else {
        return sb_err_set(err, SB_INVALID, "which database? There is no HOME to look in");
    }
    return 0;
}

static int read_head(const char *text, struct sb_trail_head *ret_head, struct sb_err *err)
{
    struct sb_str whole = sb_str_from(text);
    struct sb_err ignored;
    for (size_t i = 0; i < whole.len; i++) {
        if (text[i] == ':' &&
            sb_num_u64(sb_str_head(whole, i), 1, INT64_MAX, &ret_head->sequence, &ignored) == 0 &&
            sb_trail_unhex(sb_str_from(text + i + 1), ret_head->hash) == 0) {
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID,
                      "--head: \"%s\" is none; it is NUMBER:HASH, as \"audit verify\" prints it",
                      text);
}

static const char *head_text(const struct sb_trail_head *head, char out[HEAD_SIZE])
{
    char hex[SB_TRAIL_HEX_SIZE];
    sb_trail_hex(head->hash, hex);
    (void)snprintf(out, HEAD_SIZE, "%" PRIu64 ":%s", head->sequence, hex);
    return out;
}

static void put_json(const char *path, const struct sb_trail_verdict *verdict, struct sb_out *out)
{
    char head[HEAD_SIZE];
    struct sb_json json = {.out = out};
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "file", path);
    sb_json_bool(&json, "good", verdict->broken == 0);
    sb_json_u64(&json, "records", verdict->n);
    sb_json_u64(&json, "first", verdict->first);
    if (verdict->broken > 0) {
        sb_json_u64(&json, "broken", verdict->broken);
        sb_json_cstr(&json, "why", verdict->why);
    }
    sb_json_cstr(&json, "head", head_text(&verdict->last, head));
    sb_json_close(&json, '}');
    sb_out_put(out, "\n");
}

static void put_text(const char *path, const struct sb_trail_verdict *verdict, struct sb_out *out)
{
    char head[HEAD_SIZE];
    sb_out_put_safe(out, sb_str_from(path));
    if (verdict->broken > 0) {
        sb_out_printf(out, ": record %" PRIu64 " is the first that is not as it was written: ",
                      verdict->broken);
        sb_out_put_safe(out, sb_str_from(verdict->why));
        sb_out_printf(out, "\n%" PRIu64 " records were looked at\n", verdict->n);
        return;
    }
    sb_out_printf(out, ": %" PRIu64 " records, all as they were written\nhead %s\n", verdict->n,
                  head_text(&verdict->last, head));
}

int sb_audit_verify_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    SB_CLEANUP(sb_trail_close_file) struct sqlite3 *db = NULL;
    const struct sb_texts *heads = &cli->args.heads;
    struct sb_trail_head noted[HEADS_MAX];
    struct sb_trail_verdict verdict;
    char usual[PATH_MAX];
    const char *path = cli->args.n_operands > 0 ? cli->args.operands[0] : usual;
    sb_out_init(&out, STDOUT_FILENO);
    if (heads->n > HEADS_MAX) {
        return sb_verb_misused(cli, sb_err_set(err, SB_INVALID, "--head: more than %d", HEADS_MAX));
    }
    for (size_t i = 0; i < heads->n; i++) {
        if (sb_verb_misused(cli, read_head(heads->items[i], &noted[i], err)) < 0) {
            return -1;
        }
    }
    if (path == usual && usual_path(usual, err) < 0) {
        return -1;
    }
    if (sb_trail_open_file(path, &db, err) < 0) {
        if (path == usual) {
            sb_verb_hint(cli, "name the file: aisbx.db in the --state-dir of the worker");
        }
        return -1;
    }
    if (sb_trail_verify(db, noted, heads->n, &verdict, err) < 0) {
        return sb_err_wrap(err, "%s", path);
    }
    (cli->args.json ? put_json : put_text)(path, &verdict, &out);
    *ret_status = verdict.broken == 0 ? 0 : SB_STATUS_FAILED;
    return sb_out_flush(&out, err);
}
