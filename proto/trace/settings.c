#include "proto/trace/settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/field.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"

#define AT(member)   offsetof(struct raw, member)
#define DEFAULT_PORT "4317"

enum { MAX_URL = 1024, MAX_LIST = 4096, QUEUE = 2048, FLUSH_MS = 2000 };

enum sampler { PARENT_ON, PARENT_OFF, PARENT_RATIO, ON, OFF, RATIO };
static const char *const samplers[] = {
    [PARENT_ON] = "parentbased_always_on",
    [PARENT_OFF] = "parentbased_always_off",
    [PARENT_RATIO] = "parentbased_traceidratio",
    [ON] = "always_on",
    [OFF] = "always_off",
    [RATIO] = "traceidratio",
    NULL,
};

/* What was said, before it is made sense of. */
struct raw {
    bool is_disabled;
    char *exporter;
    char *protocol;
    char *endpoint;
    char *headers;
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *service;
    char *attributes;
    int sampler;
    char *ratio;
    uint64_t timeout_ms;
    uint64_t delay_ms;
    uint64_t queue;
};

/* Of a name with OTLP_ the one for traces alone, with OTLP_TRACES_, comes first. */
static const struct sb_field fields[] = {
    {SB_STR("OTEL_SDK_DISABLED"), SB_FIELD_BOOL, AT(is_disabled), 0, 1, NULL, NULL, NULL},
    {SB_STR("OTEL_TRACES_EXPORTER"), SB_FIELD_STRING, AT(exporter), 1, 64, NULL, NULL, NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_PROTOCOL"), SB_FIELD_STRING, AT(protocol), 1, 64, NULL, NULL, NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_ENDPOINT"), SB_FIELD_STRING, AT(endpoint), 1, MAX_URL, NULL, NULL,
     NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_HEADERS"), SB_FIELD_STRING, AT(headers), 1, MAX_LIST, NULL, NULL,
     NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_CERTIFICATE"), SB_FIELD_STRING, AT(ca_file), 1, 4095, NULL, NULL,
     NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), SB_FIELD_STRING, AT(cert_file), 1, 4095, NULL,
     NULL, NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_CLIENT_KEY"), SB_FIELD_STRING, AT(key_file), 1, 4095, NULL, NULL,
     NULL},
    {SB_STR("OTEL_EXPORTER_OTLP_TIMEOUT"), SB_FIELD_U64, AT(timeout_ms), 1, 600000, NULL, NULL,
     NULL},
    {SB_STR("OTEL_SERVICE_NAME"), SB_FIELD_STRING, AT(service), 1, 255, NULL, NULL, NULL},
    {SB_STR("OTEL_RESOURCE_ATTRIBUTES"), SB_FIELD_STRING, AT(attributes), 1, MAX_LIST, NULL, NULL,
     NULL},
    {SB_STR("OTEL_TRACES_SAMPLER"), SB_FIELD_ENUM, AT(sampler), 0, 0, NULL, NULL, samplers},
    {SB_STR("OTEL_TRACES_SAMPLER_ARG"), SB_FIELD_STRING, AT(ratio), 1, 32, NULL, NULL, NULL},
    {SB_STR("OTEL_BSP_SCHEDULE_DELAY"), SB_FIELD_U64, AT(delay_ms), 0, 60000, NULL, NULL, NULL},
    {SB_STR("OTEL_BSP_MAX_QUEUE_SIZE"), SB_FIELD_U64, AT(queue), 1, 65536, NULL, NULL, NULL},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static void free_raw(struct raw *raw)
{
    sb_field_free(fields, N_FIELDS, raw);
}

static const char *find(struct sb_str name)
{
    static const struct sb_str common = SB_STR("OTEL_EXPORTER_OTLP_");
    char own[80];
    const char *value = NULL;
    if (sb_str_starts_with(name, common)) {
        (void)snprintf(own, sizeof own, "%sTRACES_%s", common.ptr, name.ptr + common.len);
        value = getenv(own);
    }
    value = value == NULL || *value == '\0' ? getenv(name.ptr) : value;
    return value == NULL || *value == '\0' ? NULL : value;
}

static void read_variables(struct raw *raw)
{
    struct sb_err err;
    for (size_t i = 0; i < N_FIELDS; i++) {
        const char *value = find(fields[i].name);
        if (value != NULL &&
            sb_field_set(fields, N_FIELDS, fields[i].name, sb_str_from(value), raw, &err) < 0) {
            SB_LOG_WARN("variable ignored", "why=%s", err.text);
        }
    }
}

/* ---- the collector's address ---- */

static const struct {
    struct sb_str scheme;
    bool uses_tls;
} schemes[] = {{SB_STR("http://"), false}, {SB_STR("https://"), true}};

static int refuse_url(const char *url, const char *why, struct sb_err *err)
{
    return sb_err_set(err, SB_INVALID,
                      "\"%s\": %s; it is to look like http://localhost:" DEFAULT_PORT
                      ", https://collector.example:" DEFAULT_PORT " or unix:/path",
                      url, why);
}

static bool is_host(struct sb_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && memchr("-._:", c, 4) == NULL) {
            return false;
        }
    }
    return host.len > 0;
}

/* "host:port" or "[ipv6]:port" as an address of gRPC. */
static int read_authority(const char *url,
                          struct sb_str text,
                          struct sb_trace_settings *settings,
                          struct sb_err *err)
{
    char address[MAX_URL + 32];
    struct sb_str host = text;
    struct sb_str port = SB_STR(DEFAULT_PORT);
    struct sb_str rest = {NULL, 0};
    uint64_t number = 0;
    bool is_v6 = text.len > 0 && text.ptr[0] == '[';
    if (is_v6 && !sb_str_split(sb_str_skip(text, 1), ']', &host, &rest)) {
        return refuse_url(url, "no end of the address", err);
    }
    if (is_v6 && rest.len > 0 && rest.ptr[0] != ':') {
        return refuse_url(url, "no port after the address", err);
    }
    if (is_v6 ? rest.len > 0 : sb_str_split(text, ':', &host, &rest)) {
        port = is_v6 ? sb_str_skip(rest, 1) : rest;
    }
    if (!is_host(host) || (!is_v6 && memchr(host.ptr, ':', host.len) != NULL) ||
        sb_num_u64(port, 1, 65535, &number, err) < 0) {
        return refuse_url(url, "no host and port", err);
    }
    (void)snprintf(address, sizeof address, is_v6 ? "ipv6:[%.*s]:%u" : "dns:///%.*s:%u",
                   SB_STR_ARG(host), (unsigned)number);
    settings->address = sb_str_dup(sb_str_from(address));
    return settings->address == NULL ? sb_err_oom(err) : 0;
}

static int read_endpoint(const char *url, struct sb_trace_settings *settings, struct sb_err *err)
{
    struct sb_str text = sb_str_from(url);
    struct sb_str path;
    if (sb_str_starts_with(text, SB_STR("unix:/"))) {
        char address[MAX_URL + 8];
        (void)snprintf(address, sizeof address, "grpc+%s", url);
        settings->address = sb_str_dup(sb_str_from(address));
        return settings->address == NULL ? sb_err_oom(err) : 0;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!sb_str_starts_with(text, schemes[i].scheme)) {
            continue;
        }
        text = sb_str_skip(text, schemes[i].scheme.len);
        if (text.len > 0 &&
            memchr(text.ptr, '@', text.len) != NULL) { /* what stands before it is not told */
            return sb_err_set(err, SB_INVALID,
                              "no user and password here; they go into OTEL_EXPORTER_OTLP_HEADERS, "
                              "as authorization=Basic%%20...");
        }
        if (sb_str_split(text, '/', &text, &path) && path.len > 0) {
            return refuse_url(url, "gRPC has no path", err);
        }
        settings->uses_tls = schemes[i].uses_tls;
        return read_authority(url, text, settings, err);
    }
    return refuse_url(url, "no scheme that we speak", err);
}

/* ---- lists: "key=value,key=value", values with %XX ---- */

static char *decode(struct sb_str text)
{
    char *out = sb_str_dup(text);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? sb_num_hex_digit(text.ptr[i + 1]) : -1;
        int low = high < 0 ? -1 : sb_num_hex_digit(text.ptr[i + 2]);
        char c = (char)(low < 0 ? text.ptr[i] : (char)(high << 4 | low));
        i += low < 0 ? 0 : 2;
        if (c < ' ' || c > '~') { /* what is no header is no attribute either */
            free(out);
            return NULL;
        }
        out[n++] = c;
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    return out;
}

/* What is no pair, or does not fit, is left out and said. */
static size_t read_pairs(const char *name,
                         const char *list,
                         bool (*is_key)(const char *key),
                         struct sb_trace_pair *pairs,
                         size_t max)
{
    struct sb_str rest = sb_str_from(list);
    struct sb_str piece;
    size_t n = 0;
    while (sb_str_next(&rest, ',', &piece)) {
        struct sb_str key;
        struct sb_str value;
        if (sb_str_trim(piece).len == 0) {
            continue;
        }
        struct sb_trace_pair pair = {NULL, NULL};
        if (n < max && sb_str_split(piece, '=', &key, &value) && sb_str_trim(key).len > 0) {
            pair.key = decode(sb_str_trim(key));
            pair.value = decode(sb_str_trim(value));
        }
        bool is_pair = pair.key != NULL && pair.value != NULL;
        if (!is_pair || (is_key != NULL && !is_key(pair.key))) {
            free(pair.key);
            free(pair.value);
            SB_LOG_WARN("variable ignored", "name=%s why=%s", name,
                        n == max  ? "too many pairs"
                        : is_pair ? "a key is of letters, digits, _, . and -"
                                  : "not key=value, in printable ASCII");
            continue;
        }
        pairs[n++] = pair;
    }
    return n;
}

/* What gRPC takes: with any other each call would fail. */
static bool is_header(const char *key)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return key[strspn(key, letters)] == '\0';
}

static void read_lists(const struct raw *raw, struct sb_trace_settings *settings)
{
    if (raw->headers != NULL) {
        settings->n_headers = read_pairs("OTEL_EXPORTER_OTLP_HEADERS", raw->headers, is_header,
                                         settings->headers, SB_TRACE_MAX_HEADERS);
    }
    for (size_t i = 0; i < settings->n_headers; i++) {
        for (char *c = settings->headers[i].key; *c != '\0'; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        }
    }
    if (raw->attributes != NULL) {
        settings->n_attributes = read_pairs("OTEL_RESOURCE_ATTRIBUTES", raw->attributes, NULL,
                                            settings->attributes, SB_TRACE_MAX_ATTRIBUTES);
    }
}

/* OTEL_SERVICE_NAME, else service.name of the attributes, else ours; and it stands there once. */
static int read_service(struct raw *raw,
                        const char *service,
                        struct sb_trace_settings *settings,
                        struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *found = NULL;
    for (size_t i = 0; i < settings->n_attributes; i++) {
        struct sb_trace_pair *pair = &settings->attributes[i];
        if (strcmp(pair->key, "service.name") == 0) {
            free(pair->key);
            free(found);
            found = pair->value;
            settings->n_attributes--;
            memmove(pair, pair + 1, (settings->n_attributes - i) * sizeof *pair);
            i--;
        }
    }
    const char *use = raw->service != NULL ? raw->service : found != NULL ? found : service;
    settings->service = sb_str_dup(sb_str_from(use));
    return settings->service == NULL ? sb_err_oom(err) : 0;
}

/* ---- which spans ---- */

static int read_ratio(const char *text, double *ret_ratio, struct sb_err *err)
{
    char *end = NULL;
    bool is_plain = strspn(text, "0123456789.") == strlen(text);
    double ratio = is_plain ? strtod(text, &end) : -1;
    if (!is_plain || end == text || *end != '\0' || ratio < 0 || ratio > 1) {
        return sb_err_set(err, SB_INVALID, "\"%s\" is no share: 0 is none, 0.1 every tenth, 1 all",
                          text);
    }
    *ret_ratio = ratio;
    return 0;
}

static void decide(enum sampler sampler, double ratio, struct sb_trace_settings *settings)
{
    bool is_share = sampler == RATIO || sampler == PARENT_RATIO;
    bool is_off = sampler == OFF || sampler == PARENT_OFF || (is_share && ratio <= 0);
    settings->follows_parent =
        sampler == PARENT_ON || sampler == PARENT_OFF || sampler == PARENT_RATIO;
    settings->bound = is_off                    ? 0
                      : is_share && ratio < 1.0 ? (uint64_t)ldexp(ratio, 64)
                                                : UINT64_MAX;
}

/* An option is an order, a variable advice. */
static int read_sampler(const struct sb_trace_options *options,
                        struct raw *raw,
                        struct sb_trace_settings *settings,
                        struct sb_err *err)
{
    double ratio = 1;
    if (options->sampler != NULL && sb_field_set(fields, N_FIELDS, SB_STR("OTEL_TRACES_SAMPLER"),
                                                 sb_str_from(options->sampler), raw, err) < 0) {
        return sb_err_wrap(err, "--trace-sampler");
    }
    if (options->ratio != NULL) {
        if (read_ratio(options->ratio, &ratio, err) < 0) {
            return sb_err_wrap(err, "--trace-ratio");
        }
        raw->sampler = options->sampler == NULL ? PARENT_RATIO : raw->sampler;
    } else if (raw->ratio != NULL && read_ratio(raw->ratio, &ratio, err) < 0) {
        SB_LOG_WARN("variable ignored", "name=OTEL_TRACES_SAMPLER_ARG why=%s", err->text);
        ratio = 1;
    }
    decide((enum sampler)raw->sampler, ratio, settings);
    return 0;
}

/* ---- all of it ---- */

/* The variables may turn off what they alone turned on. */
static const char *why_off(const struct raw *raw)
{
    return raw->is_disabled                                              ? "OTEL_SDK_DISABLED"
           : raw->exporter != NULL && strcmp(raw->exporter, "otlp") != 0 ? "OTEL_TRACES_EXPORTER"
                                                                         : NULL;
}

static int read_where(const struct sb_trace_options *options,
                      const struct raw *raw,
                      struct sb_trace_settings *settings,
                      struct sb_err *err)
{
    if (options->endpoint != NULL) {
        return read_endpoint(options->endpoint, settings, err) < 0
                   ? sb_err_wrap(err, "--otlp-endpoint")
                   : 0;
    }
    if (raw->endpoint == NULL || why_off(raw) != NULL) {
        return 0;
    }
    if (raw->protocol != NULL && strcmp(raw->protocol, "grpc") != 0) {
        SB_LOG_WARN("no spans are sent", "why=%s",
                    "OTEL_EXPORTER_OTLP_PROTOCOL is another than grpc, which is what we speak");
        return 0;
    }
    if (read_endpoint(raw->endpoint, settings, err) < 0) {
        SB_LOG_WARN("no spans are sent", "why=OTEL_EXPORTER_OTLP_ENDPOINT:%s", err->text);
        return err->code == SB_INVALID ? 0 : -1;
    }
    return 0;
}

int sb_trace_settings_read(const struct sb_trace_options *options,
                           const char *service,
                           struct sb_trace_settings *ret_settings,
                           struct sb_err *err)
{
    SB_CLEANUP(free_raw)
    struct raw raw = {.timeout_ms = 10000, .delay_ms = 1000, .queue = QUEUE};
    struct sb_trace_settings *settings = ret_settings;
    *settings = (struct sb_trace_settings){.address = NULL};
    read_variables(&raw);
    if (read_sampler(options, &raw, settings, err) < 0 ||
        read_where(options, &raw, settings, err) < 0) {
        return -1;
    }
    if (settings->address == NULL) {
        return 0;
    }
    read_lists(&raw, settings);
    settings->timeout_ms = raw.timeout_ms;
    settings->delay_ms = raw.delay_ms;
    settings->queue = raw.queue;
    settings->flush_ms = FLUSH_MS;
    settings->ca_file = raw.ca_file;
    settings->cert_file = raw.cert_file;
    settings->key_file = raw.key_file;
    raw.ca_file = raw.cert_file = raw.key_file = NULL;
    return read_service(&raw, service, settings, err);
}

static void free_pairs(struct sb_trace_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].key);
        free(pairs[i].value);
    }
}

void sb_trace_settings_done(struct sb_trace_settings *settings)
{
    free(settings->address);
    free(settings->ca_file);
    free(settings->cert_file);
    free(settings->key_file);
    free(settings->service);
    free_pairs(settings->headers, settings->n_headers);
    free_pairs(settings->attributes, settings->n_attributes);
    *settings = (struct sb_trace_settings){.address = NULL};
}
