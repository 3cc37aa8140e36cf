#include "service/worker/egress_packet.h"

#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "service/worker/egress.h"
#include "service/worker/policy/policy.h"

static int put_texts(struct sb_buf *out, const struct sb_strings *texts)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < texts->n; i++) {
        rc = sb_buf_append(out, texts->items[i], strlen(texts->items[i]) + 1);
    }
    return rc;
}

int sb_egress_packet_rules(enum sb_egress_type type,
                           const char *sandbox_id,
                           const struct sb_policy *policy,
                           const struct sb_egress_line *line,
                           struct sb_buf *out,
                           struct sb_err *err)
{
    const struct sb_network *network = &policy->network;
    static const struct sb_strings none = {NULL, 0};
    const struct sb_strings *allow = network->mode == SB_NETWORK_LIMITED ? &network->allow : &none;
    struct sb_egress_rules head = {
        .type = type,
        .n_allow = (uint32_t)allow->n,
        .n_deny = (uint32_t)network->deny.n,
        .serial = line->serial,
        .max_connections = (uint32_t)network->max_connections,
        .max_bytes = network->max_bytes,
        .used_bytes = line->used_bytes,
        .n_secrets = (uint16_t)policy->secrets.n,
        .has_authority = policy->authority.cert != NULL,
    };
    (void)strncpy(head.id, sandbox_id, sizeof head.id - 1);
    if (allow->n + network->deny.n > SB_EGRESS_MAX_RULES ||
        sb_buf_append(out, &head, sizeof head) < 0 || put_texts(out, allow) < 0 ||
        put_texts(out, &network->deny) < 0) {
        return sb_err_set(err, SB_EXHAUSTED, "too many network rules");
    }
    return 0;
}

int sb_egress_packet_secret(const char *sandbox_id,
                            const struct sb_profile_secret *secret,
                            struct sb_buf *out,
                            struct sb_err *err)
{
    struct sb_egress_secret head = {
        .type = SB_EGRESS_SECRET,
        .n_plain = (uint32_t)secret->plain.n,
        .n_tls = (uint32_t)secret->tls.n,
    };
    void *room = NULL;
    (void)strncpy(head.id, sandbox_id, sizeof head.id - 1);
    const char *texts[] = {secret->name, secret->placeholder, secret->value};
    int rc = sb_buf_reserve(out, sb_buf_room(out), &room); /* it does not grow, and leave copies */
    rc = rc == 0 ? sb_buf_append(out, &head, sizeof head) : rc;
    for (size_t i = 0; rc == 0 && i < sizeof texts / sizeof *texts; i++) {
        rc = sb_buf_append(out, texts[i], strlen(texts[i]) + 1);
    }
    const char *ca = secret->ca == NULL ? "" : secret->ca;
    return rc < 0 || put_texts(out, &secret->plain) < 0 || put_texts(out, &secret->tls) < 0 ||
                   sb_buf_append(out, ca, strlen(ca) + 1) < 0
               ? sb_err_set(err, SB_EXHAUSTED, "secret")
               : 0;
}

int sb_egress_packet_authority(const char *sandbox_id,
                               const struct sb_authority *authority,
                               struct sb_buf *out,
                               struct sb_err *err)
{
    struct sb_egress_authority head = {.type = SB_EGRESS_AUTHORITY};
    void *room = NULL;
    (void)strncpy(head.id, sandbox_id, sizeof head.id - 1);
    return sb_buf_reserve(out, sb_buf_room(out), &room) < 0 ||
                   sb_buf_append(out, &head, sizeof head) < 0 ||
                   sb_buf_append(out, authority->cert, strlen(authority->cert) + 1) < 0 ||
                   sb_buf_append(out, authority->key, strlen(authority->key) + 1) < 0
               ? sb_err_set(err, SB_EXHAUSTED, "authority")
               : 0;
}

#define NO_ID SIZE_MAX

/* What egress may say: the size of its head, where the id is, how many strings follow. */
static const struct row {
    enum sb_egress_type type;
    size_t size;
    size_t id;
    size_t n_texts;
} rows[] = {
    {SB_EGRESS_READY, sizeof(struct sb_egress_ready), NO_ID, 0},
    {SB_EGRESS_UPDATED, sizeof(struct sb_egress_updated), offsetof(struct sb_egress_updated, id),
     0},
    {SB_EGRESS_DENIED, sizeof(struct sb_egress_denied), offsetof(struct sb_egress_denied, id), 4},
    {SB_EGRESS_DECISION, sizeof(struct sb_egress_decision), offsetof(struct sb_egress_decision, id),
     2},
    {SB_EGRESS_CLOSED, sizeof(struct sb_egress_closed), offsetof(struct sb_egress_closed, id), 0},
};

static const struct row *find_row(const char *data, size_t len)
{
    uint32_t type = 0;
    if (len < sizeof type) {
        return NULL;
    }
    memcpy(&type, data, sizeof type);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].type == type) {
            return len < rows[i].size ? NULL : &rows[i];
        }
    }
    return NULL;
}

int sb_egress_packet_read(const char *data,
                          size_t len,
                          struct sb_egress_heard *ret_heard,
                          struct sb_err *err)
{
    const struct row *row = find_row(data, len);
    if (row == NULL) {
        return sb_err_set(err, SB_INVALID, "not a packet");
    }
    struct sb_egress_heard heard = {.type = row->type};
    memcpy(&heard.head, data, row->size);
    if (row->id != NO_ID) {
        memcpy(heard.id, data + row->id, sizeof heard.id);
    }
    size_t at = row->size;
    for (size_t i = 0; i < row->n_texts; i++) {
        size_t text_len = strnlen(data + at, len - at);
        if (text_len == len - at || text_len >= SB_EGRESS_MAX_TEXT) {
            return sb_err_set(err, SB_INVALID, "text %zu does not end", i);
        }
        heard.texts[i] = data + at;
        at += text_len + 1;
    }
    if (at != len || memchr(heard.id, '\0', sizeof heard.id) == NULL) {
        return sb_err_set(err, SB_INVALID, "packet of another length");
    }
    *ret_heard = heard;
    return 0;
}
