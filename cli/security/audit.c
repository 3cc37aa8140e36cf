#include "cli/security/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/out.h"
#include "cli/security/audit_source.h"
#include "cli/verb.h"
#include "trail/action.h"

enum { QUERY_DEFAULT = 100, TAIL_DEFAULT = 10, POLL_MS = 500 };

struct writer {
    struct sb_out *out;
    bool is_json;
    bool has_comma; /* of one JSON value, not lines of them */
    size_t n;
    uint64_t last; /* the greatest number */
    size_t *ends;  /* NULL, or where each record ends in out */
};

static int put(void *ctx, const struct sb_trail_record *record, struct sb_err *err)
{
    struct writer *writer = ctx;
    struct sb_out *out = writer->out;
    if (writer->has_comma && writer->n > 0) {
        sb_out_put(out, ",");
    }
    if (writer->is_json) {
        sb_trail_write_json(record, out);
    } else {
        sb_audit_put_line(record, out);
    }
    if (writer->ends != NULL) {
        writer->ends[writer->n] = sb_buf_str(&out->buf).len;
    }
    writer->last = record->sequence > writer->last ? record->sequence : writer->last;
    writer->n++;
    return out->broken != 0 && out->broken != EPIPE ? sb_err_sys(err, out->broken, "cannot write")
                                                    : 0;
}

/* ---- audit query ---- */

int sb_audit_query_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    SB_CLEANUP(sb_audit_source_done) struct sb_audit_source source = {0};
    struct sb_trail_filter filter;
    struct writer writer = {.out = &out, .is_json = cli->args.json, .has_comma = cli->args.json};
    sb_out_init(&out, STDOUT_FILENO);
    if (sb_verb_misused(cli, sb_audit_filter(cli, &filter, err)) < 0 ||
        sb_audit_source_open(&source, cli, &filter, err) < 0) {
        return -1;
    }
    source.max = cli->args.limit > 0 ? cli->args.limit : QUERY_DEFAULT;
    sb_out_put(&out, writer.is_json ? "[" : "");
    if (sb_verb_misused(cli, sb_audit_source_walk(&source, put, &writer, err)) < 0) {
        return -1;
    }
    sb_out_put(&out, writer.is_json ? "]\n" : "");
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

/* ---- audit tail ---- */

/* The newest ones, in the order in which they came. */
static int put_newest(struct sb_audit_source *source, struct writer *writer, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out lines;
    SB_CLEANUP(sb_freep) size_t *ends = calloc(source->max, sizeof *ends);
    struct writer reverse = {.out = &lines, .is_json = writer->is_json, .ends = ends};
    sb_out_init(&lines, -1);
    if (ends == NULL) {
        return sb_err_oom(err);
    }
    if (sb_audit_source_walk(source, put, &reverse, err) < 0) {
        return -1;
    }
    struct sb_str text = sb_buf_str(&lines.buf);
    for (size_t i = reverse.n; i > 0; i--) {
        size_t begin = i > 1 ? ends[i - 2] : 0;
        sb_out_write(writer->out, text.ptr + begin, ends[i - 1] - begin);
    }
    writer->last = reverse.last;
    return sb_out_flush(writer->out, err);
}

/* False: nobody reads any more. */
static bool wait_a_little(const struct sb_out *out)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    if (out->broken != 0) {
        return false;
    }
    return poll(&reader, 1, POLL_MS) <= 0 || (reader.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
}

/* What passes no filter must not be looked at again each time: so up to the newest of before. */
static int
follow(struct sb_audit_source *source, struct writer *writer, uint64_t seen, struct sb_err *err)
{
    while (wait_a_little(writer->out)) {
        uint64_t newest = 0;
        if (sb_audit_source_newest(source, &newest, err) < 0) {
            return -1;
        }
        if (newest <= seen) {
            continue;
        }
        sb_audit_source_after(source, seen);
        if (sb_audit_source_walk(source, put, writer, err) < 0 ||
            sb_out_flush(writer->out, err) < 0) {
            return -1;
        }
        seen = newest > writer->last ? newest : writer->last;
    }
    return 0;
}

int sb_audit_tail_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    SB_CLEANUP(sb_audit_source_done) struct sb_audit_source source = {0};
    struct sb_trail_filter filter;
    struct writer writer = {.out = &out, .is_json = cli->args.json};
    uint64_t newest = 0;
    sb_out_init(&out, STDOUT_FILENO);
    if (sb_verb_misused(cli, sb_audit_filter(cli, &filter, err)) < 0 ||
        sb_audit_source_open(&source, cli, &filter, err) < 0) {
        return -1;
    }
    source.max = cli->args.lines > 0 ? cli->args.lines : TAIL_DEFAULT;
    if (sb_audit_source_newest(&source, &newest, err) < 0 ||
        sb_verb_misused(cli, put_newest(&source, &writer, err)) < 0) {
        return -1;
    }
    *ret_status = 0;
    newest = writer.last > newest ? writer.last : newest;
    return cli->args.follow ? follow(&source, &writer, newest, err) : 0;
}

/* ---- audit export ---- */

static int export_file(const char *path,
                       const struct sb_trail_filter *filter,
                       struct writer *writer,
                       struct sb_err *err)
{
    SB_CLEANUP(sb_trail_close_file) struct sqlite3 *db = NULL;
    uint64_t next = 0;
    const struct sb_trail_query query = {
        .filter = *filter,
        .is_ascending = true,
        .max = UINT64_MAX,
        .found = put,
        .ctx = writer,
    };
    return sb_trail_action_check(filter->action, err) < 0 || sb_trail_open_file(path, &db, err) < 0
               ? -1
               : sb_trail_find(db, &query, &next, err);
}

static int export_worker(struct sb_cli *cli,
                         const struct sb_trail_filter *filter,
                         struct writer *writer,
                         struct sb_err *err)
{
    SB_CLEANUP(sb_audit_source_done) struct sb_audit_source source = {0};
    if (sb_audit_source_open(&source, cli, filter, err) < 0) {
        return -1;
    }
    sb_audit_source_after(&source, 0);
    return sb_audit_source_walk(&source, put, writer, err);
}

int sb_audit_export_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    SB_CLEANUP(sb_closep) int file = -1;
    struct sb_trail_filter filter;
    struct writer writer = {.out = &out, .is_json = true};
    const char *output = cli->args.output;
    sb_out_init(&out, STDOUT_FILENO);
    if (sb_verb_misused(cli, sb_audit_filter(cli, &filter, err)) < 0) {
        return -1;
    }
    if (output != NULL) {
        file = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
        if (file < 0) {
            return sb_err_sys(err, errno, "%s", output);
        }
        out.fd = file;
    }
    int rc = cli->args.n_operands > 0 ? export_file(cli->args.operands[0], &filter, &writer, err)
                                      : export_worker(cli, &filter, &writer, err);
    rc = sb_verb_misused(cli, rc); /* the worker found, then, that no record has that action */
    if (rc < 0 || sb_out_flush(&out, err) < 0) {
        return output == NULL ? -1 : sb_err_wrap(err, "%s is not complete", output);
    }
    *ret_status = 0;
    return 0;
}
