#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/configfiles.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/client/setting.h"
#include "proto/json/pbjson.h"

enum { MAX_CONFIG_BYTES = 1 << 20 };

static int print_json(const char *key, const ProtobufCMessage *message, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    struct sb_json json = {.out = &out};
    sb_pbjson_message(&json, key, message);
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

/* ---- list ---- */

static void put_row(struct sb_table *table, const Aisbx__V1__Profile *profile)
{
    char text[64];
    const Aisbx__V1__Limits *limits = profile->limits;
    sb_table_cell(table, profile->name);
    sb_table_cell(table, profile->network == NULL
                             ? ""
                             : sb_pbjson_enum(&aisbx__v1__network_mode__descriptor,
                                              (int)profile->network->mode, text));
    sb_table_cell(table, sb_pbjson_enum(&aisbx__v1__filesystem_mode__descriptor,
                                        (int)profile->filesystem, text));
    sb_table_cell(table, limits == NULL || limits->memory_bytes == 0
                             ? ""
                             : sb_num_format_bytes(text, limits->memory_bytes));
    sb_table_cell(table, limits == NULL || limits->cpu_millis == 0
                             ? ""
                             : sb_num_format_cpu(text, limits->cpu_millis));
    sb_table_cell(table, limits == NULL || limits->wall_ms == 0
                             ? ""
                             : sb_num_format_millis(text, limits->wall_ms));
    sb_table_cell(table, profile->origin);
    sb_table_cell(table, profile->description);
}

static void print_profiles(const struct sb_args *args,
                           const Aisbx__V1__ListProfilesResponse *reply,
                           struct sb_out *out)
{
    static const char *const titles[] = {"PROFILE", "NETWORK", "FILES",  "MEMORY",
                                         "CPU",     "TIMEOUT", "ORIGIN", "DESCRIPTION"};
    struct sb_json json = {.out = out};
    if (args->json) {
        sb_json_open(&json, NULL, '[');
        for (size_t i = 0; i < reply->n_profiles; i++) {
            sb_pbjson_message(&json, NULL, (const void *)reply->profiles[i]);
        }
        sb_json_close(&json, ']');
        sb_out_put(out, "\n");
        return;
    }
    if (args->quiet) {
        for (size_t i = 0; i < reply->n_profiles; i++) {
            sb_out_printf(out, "%s\n", reply->profiles[i]->name);
        }
        return;
    }
    struct sb_table table;
    sb_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < reply->n_profiles; i++) {
        put_row(&table, reply->profiles[i]);
    }
    sb_table_print(&table, out);
    sb_table_done(&table);
}

int sb_verb_profile_list(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListProfilesResponse *reply = NULL;
    Aisbx__V1__ListProfilesRequest request = AISBX__V1__LIST_PROFILES_REQUEST__INIT;
    request.page_size = 1000;
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__worker_service__list_profiles__call(connect.channel, &request, &connect.options,
                                                       &reply, err) < 0) {
        return sb_err_wrap(err, "cannot list profiles");
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    print_profiles(&cli->args, reply, &out);
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

/* ---- show ---- */

int sb_verb_profile_show(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetProfileResponse *reply = NULL;
    Aisbx__V1__GetProfileRequest request = AISBX__V1__GET_PROFILE_REQUEST__INIT;
    request.profile = cli->args.operands[0];
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__worker_service__get_profile__call(connect.channel, &request, &connect.options,
                                                     &reply, err) < 0 ||
        reply->profile == NULL) {
        sb_verb_hint(cli, "aisbx profile list shows the names");
        return sb_err_wrap(err, "cannot show profile %s", request.profile);
    }
    *ret_status = 0;
    if (cli->args.json) {
        return print_json(NULL, (const void *)reply->profile, err);
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    sb_out_printf(&out, "# %s: %s\n", reply->profile->name, reply->profile->origin);
    sb_out_put(&out, reply->profile->yaml);
    return sb_out_flush(&out, err);
}

/* ---- validate ---- */

static int read_stdin(struct sb_buf *buf, struct sb_err *err)
{
    void *room;
    size_t got = 0;
    if (sb_buf_reserve(buf, MAX_CONFIG_BYTES, &room) < 0) {
        return sb_err_oom(err);
    }
    if (sb_fd_read_full(STDIN_FILENO, room, MAX_CONFIG_BYTES, &got, err) < 0) {
        return -1;
    }
    sb_buf_commit(buf, got);
    return 0;
}

static void
put_problems(struct sb_out *out, const char *name, const Aisbx__V1__ValidateConfigResponse *reply)
{
    for (size_t i = 0; i < reply->n_problems; i++) {
        const Aisbx__V1__ConfigProblem *problem = reply->problems[i];
        sb_out_printf(out, "%s:%u:%u: ", name, problem->line, problem->column);
        sb_out_put_safe(out, sb_str_from(problem->message));
        sb_out_put(out, "\n");
    }
    if (reply->n_problems == 0) {
        sb_out_printf(out, "%s is good; profiles:", name);
        for (size_t i = 0; i < reply->n_profiles; i++) {
            sb_out_printf(out, " %s", reply->profiles[i]->name);
        }
        sb_out_put(out, reply->n_profiles == 0 ? " none\n" : "\n");
    }
}

/* What the worker cannot see: it reads no file for a caller. */
static int add_files(const struct sb_cli *cli,
                     const char *path,
                     struct sb_configfiles *files,
                     Aisbx__V1__ValidateConfigResponse *reply,
                     struct sb_err *err)
{
    if (path == NULL || reply->n_problems > 0 || sb_connect_is_remote(cli)) {
        return 0;
    }
    if (sb_configfiles_check(path, files, err) < 0) {
        return sb_err_wrap(err, "cannot check the files that %s names", path);
    }
    reply->problems = files->list;
    reply->n_problems = files->n;
    return 0;
}

static int tell(const struct sb_cli *cli,
                const char *name,
                const Aisbx__V1__ValidateConfigResponse *reply,
                struct sb_err *err)
{
    if (cli->args.json) {
        return print_json(NULL, (const void *)reply, err);
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    put_problems(&out, name, reply);
    return sb_out_flush(&out, err);
}

/* @path  NULL: the text came from standard input */
static int validate(struct sb_cli *cli,
                    const char *name,
                    const char *path,
                    Aisbx__V1__ValidateConfigRequest *request,
                    int *ret_status,
                    struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ValidateConfigResponse *reply = NULL;
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__worker_service__validate_config__call(connect.channel, request, &connect.options,
                                                         &reply, err) < 0) {
        return sb_err_wrap(err, "cannot check %s", name);
    }
    struct sb_configfiles files = {.n = 0};
    Aisbx__V1__ValidateConfigResponse all = *reply; /* borrows from reply and files */
    if (add_files(cli, path, &files, &all, err) < 0) {
        return -1;
    }
    if (all.n_problems > 0) {
        all.n_profiles = 0;
    }
    *ret_status = all.n_problems == 0 ? 0 : SB_STATUS_FAILED;
    return tell(cli, name, &all, err);
}

int sb_verb_profile_validate(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    const char *setting = sb_setting_get(SB_SETTING_CONFIG_PATH);
    const char *path = cli->args.operands[0] != NULL ? cli->args.operands[0] : setting;
    path = path == NULL ? "config.yaml" : path;
    bool is_stdin = strcmp(path, "-") == 0;
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(MAX_CONFIG_BYTES);
    SB_CLEANUP(sb_freep) char *file = sb_str_dup(sb_str_from(is_stdin ? "standard input" : path));
    Aisbx__V1__ValidateConfigRequest request = AISBX__V1__VALIDATE_CONFIG_REQUEST__INIT;
    if (file == NULL) {
        return sb_err_oom(err);
    }
    if ((is_stdin ? read_stdin(&text, err)
                  : sb_fd_read_file(AT_FDCWD, path, MAX_CONFIG_BYTES, &text, err)) < 0) {
        return sb_err_wrap(err, "cannot read %s", file);
    }
    SB_CLEANUP(sb_freep) char *yaml = sb_str_dup(sb_buf_str(&text));
    if (yaml == NULL) {
        return sb_err_oom(err);
    }
    request.yaml = yaml;
    request.file_name = file;
    /* A worker that reads the very file could refuse to start. */
    (void)unsetenv(sb_setting_table[SB_SETTING_CONFIG_PATH].name);
    return validate(cli, file, is_stdin ? NULL : path, &request, ret_status, err);
}
