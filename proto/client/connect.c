#include "proto/client/connect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "proto/client/embedded.h"
#include "proto/client/refresh.h"
#include "proto/client/setting.h"

const char *sb_connect_named(const char *address)
{
    return address != NULL ? address : sb_setting_get(SB_SETTING_ADDRESS);
}

bool sb_connect_leads_away(const char *address)
{
    const char *named = sb_connect_named(address);
    return named != NULL && !sb_str_starts_with(sb_str_from(named), SB_STR("unix:"));
}

static void hint(const struct sb_connect_options *options, const char *text)
{
    if (options->hint != NULL) {
        (void)snprintf(options->hint, options->hint_size, "%s", text);
    }
}

/* What an address may begin with. Anything else before ":" is a host's name or a mistake, and gRPC
 * would ask the name service about the mistake. */
static const struct {
    struct sb_str scheme;
    bool needs_port;
} schemes[] = {
    {SB_STR("unix:"), false}, {SB_STR("grpc+unix:"), false},
    {SB_STR("dns:"), false}, /* a port is guessed from TLS */
    {SB_STR("ipv4:"), true},  {SB_STR("ipv6:"), true},
};

static bool has_port(struct sb_str text)
{
    size_t at = text.len;
    uint64_t port = 0;
    struct sb_err ignored;
    while (at > 0 && text.ptr[at - 1] >= '0' && text.ptr[at - 1] <= '9') {
        at--;
    }
    return at < text.len && at > 1 && text.ptr[at - 1] == ':' &&
           sb_num_u64(sb_str_skip(text, at), 1, UINT16_MAX, &port, &ignored) == 0;
}

static int check_address(const char *address, struct sb_err *err)
{
    struct sb_str text = sb_str_from(address);
    struct sb_str host;
    struct sb_str rest;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct sb_str scheme = schemes[i].scheme;
        if (!sb_str_starts_with(text, scheme)) {
            continue;
        }
        struct sb_str target = {text.ptr + scheme.len, text.len - scheme.len};
        return !schemes[i].needs_port || has_port(target)
                   ? 0
                   : sb_err_set(err, SB_INVALID, "address \"%s\": wants ADDRESS:PORT after %.*s",
                                address, SB_STR_ARG(scheme));
    }
    bool is_host_port = has_port(text) && sb_str_split(text, ':', &host, &rest) && host.len > 0 &&
                        memchr(rest.ptr, ':', rest.len) == NULL;
    return is_host_port || (text.len > 0 && text.ptr[0] == '[' && has_port(text))
               ? 0
               : sb_err_set(err, SB_INVALID,
                            "address \"%s\" is none of unix:/path, dns:///host:port, "
                            "ipv4:a.b.c.d:port, ipv6:[a]:port, host:port",
                            address);
}

/* It travels as a header. */
static int check_key(const char *key, struct sb_err *err)
{
    for (const char *c = key; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            return sb_err_set(err, SB_INVALID,
                              "%s: character %zu is not printable ASCII; is there a line end?",
                              sb_setting_table[SB_SETTING_API_KEY].name, (size_t)(c - key) + 1);
        }
    }
    return 0;
}

/* @tls  filled; *ret_use tells whether it is wanted */
static int find_tls(struct sb_rpc_tls *tls, bool *ret_use, struct sb_err *err)
{
    *tls = (struct sb_rpc_tls){
        .cert_file = sb_setting_get(SB_SETTING_TLS_CERT),
        .key_file = sb_setting_get(SB_SETTING_TLS_KEY),
        .ca_file = sb_setting_get(SB_SETTING_TLS_CA),
    };
    if ((tls->cert_file == NULL) != (tls->key_file == NULL)) {
        return sb_err_set(err, SB_INVALID, "%s and %s are wanted together",
                          sb_setting_table[SB_SETTING_TLS_CERT].name,
                          sb_setting_table[SB_SETTING_TLS_KEY].name);
    }
    *ret_use = tls->cert_file != NULL || tls->ca_file != NULL;
    return 0;
}

static int open_named(const struct sb_connect_options *wanted,
                      const char *address,
                      struct sb_connect *connect,
                      struct sb_err *err)
{
    struct sb_rpc_tls tls;
    bool uses_tls = false;
    connect->is_local = !sb_connect_leads_away(address);
    if (find_tls(&tls, &uses_tls, err) < 0) {
        return -1;
    }
    const struct sb_rpc_channel_options options = {
        .tls = uses_tls && !connect->is_local ? &tls : NULL,
        .tls_name = uses_tls && !connect->is_local ? wanted->tls_name : NULL,
        .lends_nothing = wanted->lends_nothing,
    };
    if (sb_rpc_channel_open(address, &options, &connect->channel, err) < 0) {
        hint(wanted,
             "is a worker listening there? Without --address and AISBX_ADDRESS aisbx starts "
             "one of your own");
        return sb_err_wrap(err, "cannot connect to %s", address);
    }
    return 0;
}

static int open_embedded(const struct sb_connect_options *wanted,
                         struct sb_connect *connect,
                         struct sb_err *err)
{
    char address[SB_EMBEDDED_ADDRESS_SIZE];
    const struct sb_rpc_channel_options channel = {.lends_nothing = wanted->lends_nothing};
    connect->is_local = true;
    connect->is_embedded = true;
    if (sb_embedded_address(address, err) < 0) {
        return -1;
    }
    if (sb_rpc_channel_open(address, &channel, &connect->channel, err) == 0) {
        if (wanted->mode != SB_CONNECT_FRESH || !sb_refresh_is_due(address)) {
            return 0;
        }
        if (sb_refresh_ask(connect, err) < 0) {
            return sb_err_wrap(err, "config.yaml has changed, but the worker cannot be renewed");
        }
        if (sb_rpc_channel_open(address, &channel, &connect->channel, err) == 0) {
            return 0;
        }
    }
    if (wanted->mode == SB_CONNECT_PRESENT) {
        if (err->sys != ENOENT && err->sys != ECONNREFUSED) { /* who knows whether one is there */
            return sb_err_wrap(err, "cannot connect to the worker of your own");
        }
        connect->is_absent = true;
        hint(wanted, "aisbx run and aisbx create start one");
        return sb_err_set(err, SB_NOT_FOUND, "no worker runs");
    }
    if (sb_embedded_start(address, wanted->expect, wanted->hint, wanted->hint_size, err) < 0) {
        return -1;
    }
    if (sb_rpc_channel_open(address, &channel, &connect->channel, err) < 0) {
        return sb_err_wrap(err, "cannot connect to the worker just started");
    }
    return 0;
}

int sb_connect_worker(const struct sb_connect_options *options,
                      struct sb_connect *ret_connect,
                      struct sb_err *err)
{
    const char *address = sb_connect_named(options->address);
    const char *key = options->key != NULL ? options->key : sb_setting_get(SB_SETTING_API_KEY);
    *ret_connect = (struct sb_connect){0};
    if (address != NULL && check_address(address, err) < 0) {
        return -1;
    }
    if (key != NULL) {
        if (check_key(key, err) < 0) {
            return -1;
        }
    }
    /* A worker of one's own asks for none, and would not know that of another. */
    if (key != NULL && (address != NULL || options->key != NULL)) {
        sb_connect_add(ret_connect, "x-api-key", key);
    }
    return address != NULL ? open_named(options, address, ret_connect, err)
                           : open_embedded(options, ret_connect, err);
}

void sb_connect_add(struct sb_connect *connect, const char *key, const char *value)
{
    if (connect->options.n_metadata < SB_CONNECT_MAX_METADATA) {
        connect->metadata[connect->options.n_metadata++] =
            (struct sb_rpc_metadata){key, value, strlen(value)};
        connect->options.metadata = connect->metadata;
    }
}

void sb_connect_done(struct sb_connect *connect)
{
    sb_rpc_channel_free(connect->channel);
    connect->channel = NULL;
}
