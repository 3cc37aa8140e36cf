#include "cli/security/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aisbx/v1/key_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "cli/arena.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"
#include "proto/key/keyline.h"

#define DAY_MS 86400000ULL

/* "30d", or any other duration. */
static int read_expiry(const char *text, uint64_t *ret_ms, struct sb_err *err)
{
    struct sb_str whole = sb_str_from(text);
    uint64_t days = 0;
    if (sb_str_ends_with(whole, SB_STR("d"))) {
        if (sb_num_u64(sb_str_head(whole, whole.len - 1), 1, 3650, &days, err) < 0) {
            return sb_err_wrap(err, "--expires");
        }
        *ret_ms = days * DAY_MS;
        return 0;
    }
    return sb_num_millis(whole, 1, 3650 * DAY_MS, ret_ms, err) < 0
               ? sb_err_set(err, SB_INVALID, "--expires: \"%s\" is no time; e.g. 30d, 12h", text)
               : 0;
}

static Aisbx__V1__Role role_of(const char *word)
{
    static const struct {
        const char *word;
        Aisbx__V1__Role role;
    } roles[] = {
        {"auditor", AISBX__V1__ROLE__ROLE_AUDITOR},
        {"admin", AISBX__V1__ROLE__ROLE_ADMIN},
    };
    for (size_t i = 0; word != NULL && i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(roles[i].word, word) == 0) {
            return roles[i].role;
        }
    }
    return AISBX__V1__ROLE__ROLE_USER;
}

static int put_message(const ProtobufCMessage *message, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, STDOUT_FILENO);
    sb_pbjson_message(&json, NULL, message);
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

/* ---- keys create ---- */

static int put_key(const char *text, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    sb_out_put_safe(&out, sb_str_from(text));
    sb_out_put(&out, "\n");
    if (sb_out_flush(&out, err) < 0) {
        return -1;
    }
    if (isatty(STDERR_FILENO)) {
        (void)sb_out_init(&out, STDERR_FILENO);
        sb_out_put(&out,
                   "This is shown once. Whoever has it is this caller: AISBX_API_KEY, X-API-Key "
                   "or Authorization: Bearer.\n");
        return sb_out_flush(&out, err);
    }
    return 0;
}

/* One write at the end of the file, so that two at once do not mix. A file whose last line has no
 * end would make one wrong line of two: it gets that end. */
static int add_line(const char *path, const struct sb_key_line *key, struct sb_err *err)
{
    char line[SB_KEY_LINE_SIZE];
    char text[SB_KEY_LINE_SIZE + 2];
    char last = '\n';
    SB_CLEANUP(sb_closep)
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "open %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return sb_err_set(err, SB_INVALID, "%s: a file is expected", path);
    }
    if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1) {
        return sb_err_sys(err, errno, "read %s", path);
    }
    int n = snprintf(text, sizeof text, "%s%s\n", last == '\n' ? "" : "\n",
                     sb_key_line_format(key, line));
    if (sb_fd_write_full(fd, text, (size_t)n, err) < 0) {
        return sb_err_wrap(err, "write %s", path);
    }
    return fsync(fd) < 0 ? sb_err_sys(err, errno, "write %s", path) : 0;
}

static int
create_in_file(const Aisbx__V1__CreateKeyRequest *request, const char *path, struct sb_err *err)
{
    struct sb_key_line key = {.role = (enum sb_role)request->role}; /* the same numbers */
    char text[SB_KEY_TEXT_SIZE];
    if (sb_key_check(key.role, sb_str_from(request->tenant), sb_str_from(request->title), err) <
            0 ||
        sb_key_text_make(key.id, text, err) < 0) {
        return -1;
    }
    sb_key_text_hash(sb_str_from(text), key.hash);
    (void)snprintf(key.tenant, sizeof key.tenant, "%s",
                   request->tenant[0] == '\0' ? SB_TENANT_LOCAL : request->tenant);
    (void)snprintf(key.title, sizeof key.title, "%s", request->title);
    key.expire_ms = request->ttl_ms == 0 ? 0 : sb_clock_real_ms() + request->ttl_ms;
    int rc = add_line(path, &key, err) < 0 ? -1 : put_key(text, err);
    explicit_bzero(text, sizeof text);
    return rc;
}

int sb_keys_create_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {0};
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__CreateKeyResponse *reply = NULL;
    Aisbx__V1__CreateKeyRequest request = AISBX__V1__CREATE_KEY_REQUEST__INIT;
    request.role = role_of(cli->args.role);
    if (cli->args.expires != NULL &&
        sb_verb_misused(cli, read_expiry(cli->args.expires, &request.ttl_ms, err)) < 0) {
        return -1;
    }
    if (cli->args.tenant != NULL &&
        (request.tenant = sb_arena_text(&arena, sb_str_from(cli->args.tenant), err)) == NULL) {
        return -1;
    }
    if (cli->args.title != NULL &&
        (request.title = sb_arena_text(&arena, sb_str_from(cli->args.title), err)) == NULL) {
        return -1;
    }
    if (request.tenant[0] == '\0' && request.role != AISBX__V1__ROLE__ROLE_ADMIN) {
        sb_verb_hint(cli, "whose sandboxes may it see? E.g. --tenant team-a");
        return sb_verb_misused(cli, sb_err_set(err, SB_INVALID, "--tenant is needed"));
    }
    if (cli->args.file != NULL) {
        if (cli->args.json) {
            return sb_verb_misused(
                cli, sb_err_set(err, SB_INVALID, "--json is for keys that a worker makes"));
        }
        *ret_status = 0;
        return create_in_file(&request, cli->args.file, err);
    }
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__key_service__create_key__call(connect.channel, &request, &connect.options,
                                                 &reply, err) < 0) {
        return sb_err_wrap(err, "cannot create the key");
    }
    *ret_status = 0;
    if (cli->args.json) {
        return put_message(&reply->base, err);
    }
    return put_key(reply->text, err);
}

/* ---- keys list ---- */

static const char *const titles[] = {"KEY", "ROLE", "TENANT", "STATE", "AGE", "USED", "TITLE"};

static const char *state_of(const Aisbx__V1__ApiKey *key, uint64_t now_ms)
{
    if (key->revoke_time != NULL) {
        return "revoked";
    }
    return key->expire_time != NULL && (uint64_t)key->expire_time->seconds * 1000 <= now_ms
               ? "expired"
               : "valid";
}

static void put_row(struct sb_table *table, const Aisbx__V1__ApiKey *key, uint64_t now_ms)
{
    char text[64];
    sb_table_cell(table, key->key_id);
    sb_table_cell(table, sb_pbjson_enum(&aisbx__v1__role__descriptor, (int)key->role, text));
    sb_table_cell(table, key->tenant);
    sb_table_cell(table, state_of(key, now_ms));
    sb_table_cell(table, sb_when_format_age(text, key->create_time, now_ms));
    sb_table_cell(table, sb_when_format_age(text, key->last_use_time, now_ms));
    sb_table_cell(table, key->title);
}

struct listing {
    struct sb_out out;
    struct sb_json json;
    struct sb_table table;
    bool is_json;
};

static int each_page(struct listing *listing,
                     struct sb_connect *connect,
                     struct sb_arena *arena,
                     Aisbx__V1__ListKeysRequest *request,
                     struct sb_err *err)
{
    uint64_t now_ms = sb_clock_real_ms();
    request->page_size = 1000;
    do {
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ListKeysResponse *reply = NULL;
        if (aisbx__v1__key_service__list_keys__call(connect->channel, request, &connect->options,
                                                    &reply, err) < 0) {
            return sb_err_wrap(err, "cannot list keys");
        }
        for (size_t i = 0; i < reply->n_keys; i++) {
            if (listing->is_json) {
                sb_pbjson_message(&listing->json, NULL, &reply->keys[i]->base);
            } else {
                put_row(&listing->table, reply->keys[i], now_ms);
            }
        }
        request->page_token = sb_arena_text(arena, sb_str_from(reply->next_page_token), err);
        if (request->page_token == NULL) {
            return -1;
        }
    } while (*request->page_token != '\0');
    return 0;
}

int sb_keys_list_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_arena_done) struct sb_arena arena = {0};
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    Aisbx__V1__ListKeysRequest request = AISBX__V1__LIST_KEYS_REQUEST__INIT;
    struct listing listing = {.is_json = cli->args.json};
    if (cli->args.tenant != NULL &&
        (request.tenant = sb_arena_text(&arena, sb_str_from(cli->args.tenant), err)) == NULL) {
        return -1;
    }
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0) {
        return -1;
    }
    sb_out_init(&listing.out, STDOUT_FILENO);
    sb_table_init(&listing.table, titles, sizeof titles / sizeof titles[0]);
    listing.json.out = &listing.out;
    if (listing.is_json) {
        sb_json_open(&listing.json, NULL, '[');
    }
    int rc = each_page(&listing, &connect, &arena, &request, err);
    if (rc == 0 && listing.is_json) {
        sb_json_close(&listing.json, ']');
        sb_out_put(&listing.out, "\n");
    } else if (rc == 0) {
        sb_table_print(&listing.table, &listing.out);
    }
    rc = rc < 0 ? rc : sb_out_flush(&listing.out, err);
    sb_table_done(&listing.table);
    sb_out_done(&listing.out);
    *ret_status = 0;
    return rc;
}

/* ---- keys revoke ---- */

int sb_keys_revoke_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < cli->args.n_operands; i++) {
        SB_CLEANUP(sb_message_freep) Aisbx__V1__RevokeKeyResponse *reply = NULL;
        Aisbx__V1__RevokeKeyRequest request = AISBX__V1__REVOKE_KEY_REQUEST__INIT;
        request.key_id = cli->args.operands[i];
        if (aisbx__v1__key_service__revoke_key__call(connect.channel, &request, &connect.options,
                                                     &reply, err) < 0) {
            return sb_err_wrap(err, "cannot revoke key %zu of %zu", i + 1, cli->args.n_operands);
        }
        if (cli->args.json && put_message(&reply->base, err) < 0) {
            return -1;
        }
    }
    *ret_status = 0;
    return 0;
}
