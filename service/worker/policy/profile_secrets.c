#include "service/worker/policy/profile_secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/egressproto.h"
#include "service/shared/network.h"
#include "service/worker/policy/profile.h"

#define PREFIX "aisbx-secret-"
enum { RANDOM_MIN = 22 }; /* characters of six bits */

/* ---- the collection ---- */

static void forget(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

void sb_profile_secret_done(struct sb_profile_secret *secret)
{
    forget(&secret->value);
    free(secret->name);
    free(secret->file);
    free(secret->env);
    free(secret->ca_file);
    sb_strings_done(&secret->plain);
    sb_strings_done(&secret->tls);
    free(secret->ca);
    free(secret->failure);
    free(secret->placeholder);
    free(secret->said);
    *secret = (struct sb_profile_secret){0};
}

void sb_profile_secrets_done(struct sb_profile_secrets *secrets)
{
    for (size_t i = 0; i < secrets->n; i++) {
        sb_profile_secret_done(&secrets->items[i]);
    }
    free(secrets->items);
    *secrets = (struct sb_profile_secrets){0};
}

void sb_profile_secrets_forget(struct sb_profile_secrets *secrets)
{
    for (size_t i = 0; i < secrets->n; i++) {
        forget(&secrets->items[i].value);
    }
}

struct sb_profile_secret *sb_profile_secrets_find(const struct sb_profile_secrets *secrets,
                                                  struct sb_str name)
{
    for (size_t i = 0; i < secrets->n; i++) {
        if (sb_str_eq(sb_str_from(secrets->items[i].name), name)) {
            return &secrets->items[i];
        }
    }
    return NULL;
}

int sb_profile_secrets_add(struct sb_profile_secrets *secrets,
                           struct sb_profile_secret *secret,
                           struct sb_err *err)
{
    struct sb_profile_secret *items =
        (struct sb_profile_secret *)reallocarray(secrets->items, secrets->n + 1, sizeof *items);
    if (items == NULL) {
        return sb_err_oom(err);
    }
    secrets->items = items;
    items[secrets->n++] = *secret;
    *secret = (struct sb_profile_secret){0};
    return 0;
}

static int copy_text(char **to, const char *from, struct sb_err *err)
{
    *to = from == NULL ? NULL : strdup(from);
    return from != NULL && *to == NULL ? sb_err_oom(err) : 0;
}

int sb_profile_secrets_copy(struct sb_profile_secrets *to,
                            const struct sb_profile_secret *from,
                            struct sb_err *err)
{
    SB_CLEANUP(sb_profile_secret_done)
    struct sb_profile_secret made = {
        .is_left_out = from->is_left_out, .line = from->line, .column = from->column};
    if (copy_text(&made.name, from->name, err) < 0 || copy_text(&made.file, from->file, err) < 0 ||
        copy_text(&made.env, from->env, err) < 0 ||
        copy_text(&made.ca_file, from->ca_file, err) < 0 ||
        copy_text(&made.value, from->value, err) < 0 || copy_text(&made.ca, from->ca, err) < 0 ||
        copy_text(&made.failure, from->failure, err) < 0 ||
        sb_strings_copy(&made.plain, &from->plain, err) < 0 ||
        sb_strings_copy(&made.tls, &from->tls, err) < 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return -1;
    }
    return sb_profile_secrets_add(to, &made, err);
}

void sb_profile_secrets_remove(struct sb_profile_secrets *secrets, size_t index)
{
    sb_profile_secret_done(&secrets->items[index]);
    secrets->n--;
    memmove(&secrets->items[index], &secrets->items[index + 1],
            (secrets->n - index) * sizeof *secrets->items);
}

/* ---- hosts ---- */

typedef bool test(const struct sb_network_rule *wide, const struct sb_network_rule *narrow);

static bool any(const struct sb_strings *rules, const char *text, test *has)
{
    struct sb_err ignored;
    struct sb_network_rule asked;
    if (sb_network_parse_rule(sb_str_from(text), &asked, &ignored) < 0) {
        return false;
    }
    for (size_t i = 0; i < rules->n; i++) {
        struct sb_network_rule rule;
        if (sb_network_parse_rule(sb_str_from(rules->items[i]), &rule, &ignored) == 0 &&
            has(&rule, &asked)) {
            return true;
        }
    }
    return false;
}

/* A rule of deny that has all of it closes it; one that has a part of it closes that part, later.
 */
static bool opens(const struct sb_network *network, const char *host)
{
    return network->mode == SB_NETWORK_LIMITED && any(&network->allow, host, sb_network_opens) &&
           !any(&network->deny, host, sb_network_covers);
}

static void narrow(struct sb_strings *hosts, const struct sb_network *network)
{
    size_t n = 0;
    for (size_t i = 0; i < hosts->n; i++) {
        if (opens(network, hosts->items[i])) {
            hosts->items[n++] = hosts->items[i];
        } else {
            free(hosts->items[i]);
        }
    }
    hosts->n = n;
}

size_t sb_profile_secret_narrow(struct sb_profile_secret *secret, const struct sb_network *network)
{
    narrow(&secret->plain, network);
    narrow(&secret->tls, network);
    return secret->plain.n + secret->tls.n;
}

const char *sb_profile_secret_closed(const struct sb_profile_secret *secret,
                                     const struct sb_network *network)
{
    for (size_t i = 0; i < secret->plain.n + secret->tls.n; i++) {
        const char *host =
            i < secret->plain.n ? secret->plain.items[i] : secret->tls.items[i - secret->plain.n];
        if (!opens(network, host)) {
            return host;
        }
    }
    return NULL;
}

const char *sb_profile_secret_wider(const struct sb_profile_secret *narrow,
                                    const struct sb_profile_secret *wide)
{
    for (size_t i = 0; i < narrow->plain.n; i++) {
        if (!any(&wide->plain, narrow->plain.items[i], sb_network_covers)) {
            return narrow->plain.items[i];
        }
    }
    for (size_t i = 0; i < narrow->tls.n; i++) {
        if (!any(&wide->tls, narrow->tls.items[i], sb_network_covers)) {
            return narrow->tls.items[i];
        }
    }
    return NULL;
}

static bool overlap(const struct sb_network_rule *a, const struct sb_network_rule *b)
{
    return sb_network_covers(a, b) || sb_network_covers(b, a);
}

const char *sb_profile_secret_disputed(const struct sb_profile_secret *a,
                                       const struct sb_profile_secret *b)
{
    if (a->ca_file == NULL || b->ca_file == NULL || strcmp(a->ca_file, b->ca_file) == 0) {
        return NULL;
    }
    for (size_t i = 0; i < b->tls.n; i++) {
        if (any(&a->tls, b->tls.items[i], overlap)) {
            return b->tls.items[i];
        }
    }
    return NULL;
}

/* ---- placeholders ---- */

int sb_profile_secret_make_placeholder(struct sb_profile_secret *secret, struct sb_err *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[SB_EGRESS_SECRET_MAX];
    size_t start = strlen(PREFIX);
    size_t len = secret->value == NULL ? 0 : strlen(secret->value);
    size_t n = len > start + RANDOM_MIN ? len - start : RANDOM_MIN;
    size_t got = 0;
    while (got < n) { /* a signal may cut what is longer than 256 bytes */
        ssize_t more = getrandom(bytes + got, n - got, 0);
        if (more < 0) {
            return sb_err_sys(err, errno, "getrandom");
        }
        got += (size_t)more;
    }
    char *made = (char *)malloc(start + n + 1);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    memcpy(made, PREFIX, start);
    for (size_t i = 0; i < n; i++) {
        made[start + i] = digits[bytes[i] & 63];
    }
    made[start + n] = '\0';
    free(secret->placeholder);
    secret->placeholder = made;
    return 0;
}
