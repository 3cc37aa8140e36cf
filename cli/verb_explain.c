#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/arena.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/client/setting.h"
#include "proto/json/pbjson.h"

static void put_settings(struct sb_out *out, const Aisbx__V1__ExplainProfileResponse *reply)
{
    static const char *const titles[] = {"SETTING", "VALUE", "PROFILE", "SAID IN", "MEANING"};
    struct sb_table table;
    sb_out_printf(out, "%s", reply->profile->name);
    for (size_t i = 0; i < reply->n_bases; i++) {
        sb_out_printf(out, "%s%s", i == 0 ? " extends " : ", ", reply->bases[i]);
    }
    sb_out_put(out, "\n\n");
    sb_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < reply->n_settings; i++) {
        const Aisbx__V1__ProfileSetting *setting = reply->settings[i];
        sb_table_cell(&table, setting->name);
        sb_table_cell(&table, setting->value);
        sb_table_cell(&table, setting->profile);
        sb_table_cell(&table, setting->origin);
        sb_table_cell(&table, setting->meaning);
    }
    sb_table_print(&table, out);
    sb_table_done(&table);
}

static void put_line(struct sb_out *out, const char *label, const char *text)
{
    if (*text != '\0') {
        sb_out_printf(out, "  %s", label);
        sb_out_put_safe(out, sb_str_from(text));
        sb_out_put(out, "\n");
    }
}

static void put_answers(struct sb_out *out, Aisbx__V1__ProfileAnswer *const *answers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sb_out_put_safe(out, sb_str_from(answers[i]->subject));
        sb_out_printf(out, ": %s\n", answers[i]->answer);
        put_line(out, "decided by: ", answers[i]->decided_by);
        put_line(out, "detail:     ", answers[i]->detail);
        put_line(out, "to allow:   ", answers[i]->allow_with);
    }
}

static void put_reply(struct sb_out *out, const Aisbx__V1__ExplainProfileResponse *reply)
{
    if (reply->n_syscalls + reply->n_hosts + reply->n_paths == 0) {
        put_settings(out, reply);
        return;
    }
    put_answers(out, reply->syscalls, reply->n_syscalls);
    put_answers(out, reply->hosts, reply->n_hosts);
    put_answers(out, reply->paths, reply->n_paths);
}

/* A copy in the arena, as messages have no const. False with *err. */
static bool copy_texts(struct sb_arena *arena,
                       const struct sb_texts *texts,
                       size_t *ret_n,
                       char ***ret_texts,
                       struct sb_err *err)
{
    char **copies = sb_arena_alloc(arena, texts->n, sizeof *copies, err);
    for (size_t i = 0; copies != NULL && i < texts->n; i++) {
        copies[i] = sb_arena_text(arena, sb_str_from(texts->items[i]), err);
        if (copies[i] == NULL) {
            return false;
        }
    }
    *ret_n = texts->n;
    *ret_texts = copies;
    return copies != NULL;
}

static int
ask(struct sb_cli *cli, Aisbx__V1__ExplainProfileResponse **ret_reply, struct sb_err *err)
{
    const struct sb_args *args = &cli->args;
    const char *setting = sb_setting_get(SB_SETTING_DEFAULT_PROFILE);
    const char *name = args->n_operands > 0 ? args->operands[0] : setting;
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {NULL};
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    Aisbx__V1__ExplainProfileRequest request = AISBX__V1__EXPLAIN_PROFILE_REQUEST__INIT;
    request.profile = sb_arena_text(&arena, sb_str_from(name == NULL ? "" : name), err);
    if (request.profile == NULL ||
        !copy_texts(&arena, &args->syscalls, &request.n_syscalls, &request.syscalls, err) ||
        !copy_texts(&arena, &args->hosts, &request.n_hosts, &request.hosts, err) ||
        !copy_texts(&arena, &args->paths, &request.n_paths, &request.paths, err)) {
        return -1;
    }
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__worker_service__explain_profile__call(connect.channel, &request,
                                                         &connect.options, ret_reply, err) < 0) {
        if (err->code == SB_NOT_FOUND) {
            sb_verb_hint(cli, "aisbx profile list shows the names");
        }
        return sb_err_wrap(err, "cannot explain the profile");
    }
    return 0;
}

int sb_verb_profile_explain(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ExplainProfileResponse *reply = NULL;
    if (ask(cli, &reply, err) < 0 || reply->profile == NULL) {
        return -1;
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, &reply->base);
        sb_out_put(&out, "\n");
    } else {
        put_reply(&out, reply);
    }
    *ret_status = 0;
    return sb_out_flush(&out, err);
}
