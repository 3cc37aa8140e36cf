#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/cases.h"
#include "cli/connect.h"
#include "cli/spec.h"
#include "cli/status.h"
#include "cli/verb.h"
#include "proto/client/setting.h"
#include "proto/json/language.h"
#include "proto/json/pbjson.h"

enum {
    MAX_SOURCE = 1 << 20,
    MAX_DATA = 1 << 20, /* of one case: what goes in, and what is to come out */
    MAX_CALL = 3 << 20, /* bytes of all cases in one call; a message holds 4 MiB */
    MAX_CASES_A_CALL = 1000,
};

struct batch {
    struct sb_cli *cli;
    struct sb_connect connect;
    struct sb_spec spec;
    struct sb_cases cases;
    size_t next; /* case that is not sent yet */
    Aisbx__V1__Script script;
    Aisbx__V1__ExecSpec compile;
    struct sb_out out;
    bool has_progress;
    bool is_over; /* the call under way */
    struct sb_err status;
    size_t n_told;
    size_t n_passed;
    bool has_compiled; /* or nothing had to be */
};

/* ---- what comes back ---- */

static void put_failed(struct batch *batch, const Aisbx__V1__RunBatchResponse *msg)
{
    const Aisbx__V1__Verdict *verdict =
        msg->result == NULL || msg->result->exec == NULL ? NULL : msg->result->exec->verdict;
    bool is_wrong = verdict != NULL && verdict->exit_code == 0 &&
                    verdict->kind == AISBX__V1__VERDICT_KIND__VERDICT_KIND_EXITED;
    sb_out_put(&batch->out, "failed ");
    sb_out_put_safe(&batch->out, sb_str_from(msg->case_id));
    sb_out_put(&batch->out, is_wrong ? ": other output than expected" : ": ");
    if (!is_wrong && verdict != NULL) {
        sb_status_put(&batch->out, verdict);
    }
    sb_out_put(&batch->out, "\n");
}

static void put_result(struct batch *batch, const Aisbx__V1__RunBatchResponse *msg)
{
    if (batch->cli->args.json) {
        struct sb_json json = {.out = &batch->out};
        sb_pbjson_message(&json, NULL, (const void *)msg);
        sb_out_put(&batch->out, "\n");
    } else if (!msg->passed) {
        put_failed(batch, msg);
    } else if (!batch->cli->args.quiet) {
        sb_out_put(&batch->out, "passed ");
        sb_out_put_safe(&batch->out, sb_str_from(msg->case_id));
        sb_out_put(&batch->out, "\n");
    }
}

/* What the compiler says is the person's to see: on stderr, as it would be. */
static void put_compiled(struct batch *batch, const Aisbx__V1__RunBatchResponse *msg)
{
    SB_CLEANUP(sb_out_done) struct sb_out said;
    struct sb_err ignored;
    batch->has_compiled = msg->passed;
    if (batch->cli->args.json) {
        put_result(batch, msg);
        return;
    }
    sb_out_init(&said, STDERR_FILENO);
    if (msg->result != NULL) {
        const ProtobufCBinaryData *const parts[] = {&msg->result->stdout, &msg->result->stdout_tail,
                                                    &msg->result->stderr,
                                                    &msg->result->stderr_tail};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            (void)sb_buf_append(&said.buf, parts[i]->data, parts[i]->len);
        }
    }
    (void)sb_out_flush(&said, &ignored);
}

static void
on_message(struct sb_rpc_stream *stream, const Aisbx__V1__RunBatchResponse *msg, void *user)
{
    struct batch *batch = user;
    struct sb_err ignored;
    if (msg->case_id[0] == '\0') {
        put_compiled(batch, msg);
    } else {
        batch->n_told++;
        batch->n_passed += msg->passed ? 1 : 0;
        put_result(batch, msg);
    }
    (void)sb_out_flush(&batch->out, &ignored);
    if (batch->has_progress) {
        (void)fprintf(stderr, "\r\033[K%zu of %zu passed", batch->n_passed, batch->n_told);
    }
    sb_rpc_stream_read(stream);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct batch *batch = user;
    (void)stream;
    batch->is_over = true;
    batch->status = *err;
}

static const struct aisbx__v1__sandbox_service__run_batch__callbacks callbacks = {
    .message = on_message, .done = on_done};

/* ---- what goes out ---- */

static int read_data(struct sb_arena *arena,
                     const char *path,
                     ProtobufCBinaryData *ret_data,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_DATA);
    if (sb_fd_read_file(AT_FDCWD, path, MAX_DATA, &text, err) < 0) {
        return -1;
    }
    ret_data->len = text.len;
    ret_data->data = sb_arena_alloc(arena, text.len, 1, err);
    if (ret_data->data == NULL) {
        return -1;
    }
    memcpy(ret_data->data, sb_buf_cstr(&text), text.len);
    return 0;
}

/* The next cases, as many as a call takes. */
static int take_cases(struct batch *batch,
                      struct sb_arena *arena,
                      Aisbx__V1__RunBatchRequest *request,
                      struct sb_err *err)
{
    size_t bytes = 0;
    request->cases = sb_arena_alloc(arena, MAX_CASES_A_CALL, sizeof *request->cases, err);
    if (request->cases == NULL) {
        return -1;
    }
    while (batch->next < batch->cases.n && request->n_cases < MAX_CASES_A_CALL) {
        const struct sb_cases_item *item = &batch->cases.items[batch->next];
        Aisbx__V1__BatchCase *with = sb_arena_alloc(arena, 1, sizeof *with, err);
        if (with == NULL) {
            return -1;
        }
        aisbx__v1__batch_case__init(with);
        with->case_id = item->name;
        if (read_data(arena, item->input, &with->stdin, err) < 0 ||
            (item->expected != NULL &&
             read_data(arena, item->expected, &with->expected_stdout, err) < 0)) {
            return -1;
        }
        bytes += with->stdin.len + with->expected_stdout.len + sizeof *with;
        if (bytes > MAX_CALL && request->n_cases > 0) {
            break; /* read once more for the next call */
        }
        request->cases[request->n_cases++] = with;
        batch->next++;
    }
    return 0;
}

static int run_some(struct batch *batch, struct sb_err *err)
{
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {0};
    Aisbx__V1__RunBatchRequest request = AISBX__V1__RUN_BATCH_REQUEST__INIT;
    struct sb_rpc_stream *stream = NULL;
    request.sandbox = &batch->spec.sandbox;
    request.run = &batch->spec.exec;
    request.compile = &batch->compile;
    request.parallelism = (uint32_t)batch->cli->args.parallel;
    request.stop_on_failure = batch->cli->args.fail_fast;
    if (take_cases(batch, &arena, &request, err) < 0) {
        return -1;
    }
    batch->is_over = false;
    if (aisbx__v1__sandbox_service__run_batch__start(batch->connect.channel, &request,
                                                     &batch->connect.options, &callbacks, batch,
                                                     &stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!batch->is_over) {
        sb_rpc_channel_wait(batch->connect.channel);
    }
    *err = batch->status;
    return err->code == SB_OK ? 0 : sb_err_wrap(err, "cannot run the cases");
}

/* ---- the beginning ---- */

static int read_source(struct batch *batch, const char *path, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_SOURCE);
    if (sb_fd_read_file(AT_FDCWD, path, MAX_SOURCE, &text, err) < 0) {
        return -1;
    }
    batch->script.source = sb_arena_text(&batch->spec.arena, sb_buf_str(&text), err);
    return batch->script.source == NULL ? -1 : 0;
}

static int find_language(const char *asked,
                         const char *path,
                         enum sb_language *ret_language,
                         struct sb_err *err)
{
    if (asked != NULL) {
        return sb_language_from(sb_str_from(asked), ret_language, err) < 0
                   ? sb_err_wrap(err, "option --language")
                   : 0;
    }
    const char *ending = strrchr(path, '.');
    for (int i = 0; ending != NULL && i < SB_LANGUAGES; i++) {
        if (strcmp(strrchr(sb_language_file((enum sb_language)i), '.'), ending) == 0) {
            *ret_language = (enum sb_language)i;
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID,
                      "%s: its language does not show by its name: --language " SB_LANGUAGE_NAMES,
                      path);
}

static void set_text(char **field, const char *text)
{
    memcpy(field, &text, sizeof text);
}

static int prepare(struct batch *batch, struct sb_err *err)
{
    struct sb_args *args = &batch->cli->args;
    enum sb_language language = SB_LANGUAGE_PYTHON;
    if (sb_verb_misused(batch->cli,
                        find_language(args->language, args->operands[0], &language, err)) < 0) {
        return -1;
    }
    if (args->cases == NULL) {
        sb_verb_hint(batch->cli,
                     "aisbx batch --cases DIR SOURCE; in DIR lie 1.in, 1.out and so on");
        return sb_verb_misused(batch->cli, sb_err_set(err, SB_INVALID, "batch needs --cases DIR"));
    }
    bool has_network = sb_spec_has_network(args);
    if (args->profile == NULL && sb_setting_get(SB_SETTING_DEFAULT_PROFILE) == NULL) {
        args->profile = sb_language_profile(language);
        args->network = has_network ? args->network : "none"; /* nobody chose what it may reach */
    }
    args->no_workspace = args->no_workspace || args->workspace == NULL;
    if (sb_verb_misused(batch->cli, sb_spec_sandbox(&batch->spec, args, err)) < 0 ||
        sb_verb_misused(batch->cli, sb_spec_exec(&batch->spec, args, args->operands + 1, err)) <
            0 ||
        read_source(batch, args->operands[0], err) < 0 ||
        sb_cases_find(&batch->cases, args->cases, &batch->spec.arena, err) < 0) {
        return -1;
    }
    set_text(&batch->script.language, sb_language_name(language));
    batch->script.args = batch->spec.command.args;
    batch->script.n_args = batch->spec.command.n_args;
    batch->spec.exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_SCRIPT;
    batch->spec.exec.script = &batch->script;
    batch->compile.wall_ms = args->compile_timeout_ms;
    return 0;
}

static int run_all(struct batch *batch, struct sb_err *err)
{
    int rc = sb_connect_open(batch->cli, SB_CONNECT_FRESH, &batch->connect, err);
    batch->has_compiled = true;
    while (rc == 0 && batch->next < batch->cases.n && batch->has_compiled &&
           !(batch->cli->args.fail_fast && batch->n_passed < batch->n_told)) {
        rc = run_some(batch, err);
    }
    if (batch->has_progress) {
        (void)fputs("\r\033[K", stderr);
    }
    return rc;
}

int sb_verb_batch(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    struct batch batch = {.cli = cli, .spec = {.is_remote = sb_connect_is_remote(cli)}};
    aisbx__v1__script__init(&batch.script);
    aisbx__v1__exec_spec__init(&batch.compile);
    sb_out_init(&batch.out, STDOUT_FILENO);
    batch.has_progress =
        !cli->args.json && !cli->args.quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
    int rc = prepare(&batch, err) < 0 ? -1 : run_all(&batch, err);
    if (rc == 0 && !batch.has_compiled) {
        sb_say_note("%s does not compile", cli->args.operands[0]);
    } else if (rc == 0 && !cli->args.json) {
        sb_say_note("%zu of %zu passed", batch.n_passed, batch.cases.n);
    }
    *ret_status = batch.n_passed == batch.cases.n ? 0 : SB_STATUS_FAILED;
    sb_out_done(&batch.out);
    sb_connect_done(&batch.connect);
    sb_spec_done(&batch.spec);
    return rc;
}
