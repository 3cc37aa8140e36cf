#include "service/egress/secret.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutate.h"
#include "service/egress/http_head.h"
#include "service/egress/rules.h"
#include "service/egress/tls.h"
#include "service/shared/network.h"

struct sb_secret {
    char *text; /* owned; all below lies in it */
    size_t text_len;
    struct sb_str name;
    struct sb_str placeholder;
    struct sb_str value;
    struct sb_network_rule hosts[SB_EGRESS_SECRET_HOSTS]; /* those by plain HTTP first */
    size_t n_plain;
    size_t n_hosts;
    struct sb_tls_trust *trust; /* owned; NULL: the system's */
};

/* ---- from the worker ---- */

static void done(struct sb_secret *secret)
{
    if (secret->text != NULL) {
        explicit_bzero(secret->text, secret->text_len);
        free(secret->text);
    }
    sb_tls_trust_free(secret->trust);
    *secret = (struct sb_secret){0};
}

void sb_secrets_done(struct sb_secrets *secrets)
{
    for (size_t i = 0; i < secrets->n; i++) {
        done(&secrets->items[i]);
    }
    free(secrets->items);
    *secrets = (struct sb_secrets){0};
}

static bool take_text(struct sb_str *rest, size_t max, struct sb_str *ret_text)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->ptr, '\0', rest->len);
    size_t len = end == NULL ? 0 : (size_t)(end - rest->ptr);
    if (end == NULL || len == 0 || len > max) {
        return false;
    }
    *ret_text = sb_str_head(*rest, len);
    *rest = sb_str_skip(*rest, len + 1);
    return true;
}

static int read_secret(struct sb_secret *secret, struct sb_err *err)
{
    struct sb_str rest = {secret->text, secret->text_len};
    bool is_good = take_text(&rest, SB_EGRESS_MAX_TEXT - 1, &secret->name) &&
                   take_text(&rest, SB_EGRESS_SECRET_MAX, &secret->placeholder) &&
                   take_text(&rest, SB_EGRESS_SECRET_MAX, &secret->value) &&
                   secret->value.len >= SB_EGRESS_SECRET_MIN &&
                   secret->placeholder.len >= secret->value.len;
    for (size_t i = 0; is_good && i < secret->n_hosts; i++) {
        struct sb_str host = {0};
        is_good = take_text(&rest, SB_NETWORK_RULE_MAX, &host) &&
                  sb_network_parse_rule(host, &secret->hosts[i], err) == 0 &&
                  secret->hosts[i].port != 0;
    }
    if (!is_good || rest.len == 0 || rest.len > SB_EGRESS_SECRET_CA + 1 ||
        memchr(rest.ptr, '\0', rest.len) != rest.ptr + rest.len - 1) {
        return sb_err_set(err, SB_INVALID, "SECRET");
    }
    return rest.len == 1 ? 0
                         : sb_tls_trust_new(sb_str_head(rest, rest.len - 1), &secret->trust, err);
}

int sb_secrets_add(struct sb_secrets *secrets,
                   const struct sb_egress_secret *head,
                   struct sb_str text,
                   struct sb_err *err)
{
    SB_CLEANUP(done) struct sb_secret secret = {.n_plain = head->n_plain};
    if (secrets->n == SB_EGRESS_MAX_SECRETS || text.len == 0 ||
        head->n_plain > SB_EGRESS_SECRET_HOSTS ||
        head->n_tls > SB_EGRESS_SECRET_HOSTS - head->n_plain) {
        return sb_err_set(err, SB_INVALID, "SECRET");
    }
    struct sb_secret *items = reallocarray(secrets->items, secrets->n + 1, sizeof *items);
    if (items == NULL) {
        return sb_err_oom(err);
    }
    secrets->items = items;
    secret.n_hosts = secret.n_plain + head->n_tls;
    secret.text = sb_str_dup(text);
    if (secret.text == NULL) {
        return sb_err_oom(err);
    }
    secret.text_len = text.len;
    if (read_secret(&secret, err) < 0) {
        return -1;
    }
    secrets->items[secrets->n++] = secret;
    secret.text = NULL;
    secret.trust = NULL;
    return 0;
}

/* ---- where to ---- */

static bool
is_bound(const struct sb_secret *secret, const struct sb_host *host, uint16_t port, bool is_tls)
{
    struct sb_network_rule asked = {
        .kind = SB_NETWORK_HOST, .port = port, .host = sb_str_from(host->name)};
    if (host->is_address) {
        asked.kind = SB_NETWORK_ADDRESS;
        asked.prefix = 128;
        memcpy(asked.address, host->address, sizeof asked.address);
    }
    size_t end = is_tls ? secret->n_hosts : secret->n_plain;
    for (size_t i = is_tls ? secret->n_plain : 0; i < end; i++) {
        if (sb_network_covers(&secret->hosts[i], &asked)) {
            return true;
        }
    }
    return false;
}

bool sb_secrets_are_bound(const struct sb_secrets *secrets,
                          const struct sb_host *host,
                          uint16_t port,
                          bool is_tls)
{
    for (size_t i = 0; i < secrets->n; i++) {
        if (is_bound(&secrets->items[i], host, port, is_tls)) {
            return true;
        }
    }
    return false;
}

const struct sb_tls_trust *
sb_secrets_trust(const struct sb_secrets *secrets, const struct sb_host *host, uint16_t port)
{
    for (size_t i = 0; i < secrets->n; i++) {
        if (secrets->items[i].trust != NULL && is_bound(&secrets->items[i], host, port, true)) {
            return secrets->items[i].trust;
        }
    }
    return NULL;
}

/* ---- requests ---- */

/* One request on its way. */
struct putting {
    const struct sb_secrets *secrets;
    bool is_tls;
    struct sb_http_head *head;
    struct sb_secret_use *use;
    struct sb_refusal *refusal;
};

static bool stands_in(const struct sb_secret *secret, struct sb_str text)
{
    return text.ptr != NULL && text.len >= secret->placeholder.len &&
           memmem(text.ptr, text.len, secret->placeholder.ptr, secret->placeholder.len) != NULL;
}

static int refuse_host(const struct putting *p, const struct sb_secret *secret)
{
    const struct sb_host *host = &p->head->host;
    bool is_v6 = strchr(host->name, ':') != NULL;
    (void)sb_refusal_set(p->refusal, SB_EGRESS_SECRET_HOST, host, p->head->port, "");
    (void)snprintf(p->refusal->why, sizeof p->refusal->why,
                   "what stands for the secret %.*s was sent to a host that it is not bound to%s",
                   SB_STR_ARG(sb_str_head(secret->name, 64)), p->is_tls ? " within TLS" : "");
    (void)snprintf(p->refusal->rule, sizeof p->refusal->rule, "%.*s",
                   SB_STR_ARG(sb_str_head(secret->name, SB_HOST_MAX)));
    (void)snprintf(p->refusal->allow_with, sizeof p->refusal->allow_with, "%s%s%s:%u",
                   is_v6 ? "[" : "", host->name, is_v6 ? "]" : "", p->head->port);
    return -1;
}

static int refuse_place(const struct putting *p, const struct sb_secret *secret, const char *why)
{
    (void)sb_refusal_set(p->refusal, SB_EGRESS_SECRET_HOST, &p->head->host, p->head->port, why);
    (void)snprintf(p->refusal->rule, sizeof p->refusal->rule, "%.*s",
                   SB_STR_ARG(sb_str_head(secret->name, SB_HOST_MAX)));
    return -1;
}

/* Room for a value of a field; the use's. NULL: it was refused. */
static char *new_text(const struct putting *p, size_t size)
{
    char *text = p->use->n < SB_SECRET_TEXTS ? calloc(1, size) : NULL;
    if (text == NULL) {
        (void)sb_refusal_set(p->refusal, SB_EGRESS_PROTOCOL, &p->head->host, p->head->port,
                             "more fields with secrets in them than can be written");
        return NULL;
    }
    p->use->texts[p->use->n++] = text;
    return text;
}

/* Replaces each placeholder in text, which is at least as long as what it becomes. In place. */
static size_t replace(const struct sb_secret *secret, char *text, size_t len)
{
    size_t at = 0;
    char *found = NULL;
    while (len - at >= secret->placeholder.len &&
           (found = memmem(text + at, len - at, secret->placeholder.ptr,
                           secret->placeholder.len)) != NULL) {
        size_t behind = (size_t)(found - text) + secret->placeholder.len;
        memcpy(found, secret->value.ptr, secret->value.len);
        memmove(found + secret->value.len, text + behind, len - behind);
        at = (size_t)(found - text) + secret->value.len;
        len -= secret->placeholder.len - secret->value.len;
    }
    text[len] = '\0';
    return len;
}

/* Returns 1: at least one placeholder stood in the text and was replaced; 0: none did; -1.
 * @len  of the text, which has room for a NUL; afterwards the new one. */
static int replace_all(const struct putting *p, char *text, size_t *len)
{
    int n = 0;
    for (size_t i = 0; i < p->secrets->n; i++) {
        const struct sb_secret *secret = &p->secrets->items[i];
        if (!stands_in(secret, (struct sb_str){text, *len})) {
            continue;
        }
        if (!is_bound(secret, &p->head->host, p->head->port, p->is_tls) &&
            !sb_mutated("egress.secret-host")) {
            return refuse_host(p, secret);
        }
        *len = replace(secret, text, *len);
        n = 1;
    }
    return n;
}

static int put_in_text(const struct putting *p, struct sb_http_field *field)
{
    bool is_there = false;
    for (size_t i = 0; i < p->secrets->n; i++) {
        is_there = is_there || stands_in(&p->secrets->items[i], field->value);
    }
    if (!is_there) {
        return 0;
    }
    size_t len = field->value.len;
    char *text = new_text(p, len + 1);
    if (text == NULL) {
        return -1;
    }
    memcpy(text, field->value.ptr, len);
    if (replace_all(p, text, &len) < 0) {
        return -1;
    }
    field->value = (struct sb_str){text, len};
    return 0;
}

static bool is_basic(const struct sb_http_field *field)
{
    return field->name.len == 13 && strncasecmp(field->name.ptr, "Authorization", 13) == 0 &&
           field->value.len > 6 && strncasecmp(field->value.ptr, "Basic ", 6) == 0;
}

/* @out  with room for three quarters of the text, and three bytes more. Returns the length, or -1:
 * this is not base64. */
static int decode(struct sb_str text, unsigned char *out)
{
    size_t padding = 0;
    if (text.len % 4 != 0 || text.len == 0) {
        return -1;
    }
    while (padding < 2 && text.ptr[text.len - 1 - padding] == '=') {
        padding++;
    }
    int n = EVP_DecodeBlock(out, (const unsigned char *)text.ptr, (int)text.len);
    return n < (int)padding ? -1 : n - (int)padding;
}

/* Of so many bytes in base64. */
static size_t padding_of(size_t len)
{
    return (3 - len % 3) % 3;
}

/* user:placeholder, as curl -u, git and pip write it. */
static int put_in_basic(const struct putting *p, struct sb_http_field *field)
{
    enum { SCHEME = 6 };
    struct sb_str token = sb_str_trim(sb_str_skip(field->value, SCHEME));
    char plain[SB_HTTP_MAX_HEAD + 1];
    int n = token.len > SB_HTTP_MAX_HEAD ? -1 : decode(token, (unsigned char *)plain);
    if (n <= 0) {
        return 0;
    }
    size_t len = (size_t)n;
    int rc = replace_all(p, plain, &len);
    if (rc > 0) {
        size_t size = SCHEME + (len + 2) / 3 * 4 + 1; /* and behind it the token as it came */
        char *text = new_text(p, size + token.len);
        rc = text == NULL ? -1 : 0;
        if (text != NULL) {
            memcpy(text, "Basic ", SCHEME);
            n = EVP_EncodeBlock((unsigned char *)text + SCHEME, (unsigned char *)plain, (int)len);
            memcpy(text + size, token.ptr, token.len);
            /* There is room: as many tokens as texts. Its padding may come back otherwise. */
            (void)sb_scrub_add(&p->use->scrub,
                               (struct sb_str){text + SCHEME, (size_t)n - padding_of(len)},
                               (struct sb_str){text + size, token.len});
            field->value = (struct sb_str){text, SCHEME + (size_t)n};
        }
    }
    explicit_bzero(plain, sizeof plain);
    return rc < 0 ? -1 : 0;
}

static int put_in_fields(const struct putting *p)
{
    for (size_t i = 0; i < p->head->n_fields; i++) {
        struct sb_http_field *field = &p->head->fields[i];
        if (put_in_text(p, field) < 0 || (is_basic(field) && put_in_basic(p, field) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int check_path(const struct putting *p)
{
    for (size_t i = 0; i < p->secrets->n; i++) {
        if (stands_in(&p->secrets->items[i], p->head->path) && !sb_mutated("egress.secret-url")) {
            return refuse_place(p, &p->secrets->items[i],
                                "a secret is put into header fields, never into a URL");
        }
    }
    return 0;
}

static void ask_for_all(struct sb_http_head *head)
{
    static const char *const names[] = {
        "Accept-Encoding",
        "Range",
        "If-Range",
        "Request-Range", /* Apache takes it for Range */
        "A-IM",          /* differences: RFC 3229 */
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sb_http_head_drop(head, names[i]);
    }
    if (head->n_fields < SB_HTTP_MAX_FIELDS) {
        head->fields[head->n_fields++] =
            (struct sb_http_field){SB_STR("Accept-Encoding"), SB_STR("identity")};
    }
}

int sb_secrets_put_in(const struct sb_secrets *secrets,
                      bool is_tls,
                      struct sb_http_head *head,
                      struct sb_secret_use *ret_use,
                      struct sb_refusal *ret_refusal)
{
    const struct putting p = {secrets, is_tls, head, ret_use, ret_refusal};
    if (check_path(&p) < 0 || put_in_fields(&p) < 0) {
        return -1;
    }
    if (!sb_secrets_are_bound(secrets, &head->host, head->port, is_tls)) {
        return 0;
    }
    for (size_t i = 0; i < secrets->n; i++) {
        const struct sb_secret *secret = &secrets->items[i];
        (void)sb_scrub_add(&ret_use->scrub, secret->value, secret->placeholder);
    }
    ask_for_all(head);
    return 0;
}

void sb_secret_use_done(struct sb_secret_use *use)
{
    for (size_t i = 0; i < use->n; i++) {
        explicit_bzero(use->texts[i], strlen(use->texts[i]));
        free(use->texts[i]);
    }
    *use = (struct sb_secret_use){0};
}
