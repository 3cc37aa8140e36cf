#include "mcp-gateway/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/field.h"
#include "base/near.h"
#include "base/str.h"

#define AT(member) offsetof(struct sb_gateway_options, member)
#define DAY_MS     86400000

static const char *const transports[] = {
    [SB_GATEWAY_STDIO] = "stdio", [SB_GATEWAY_HTTP] = "http", NULL};

static const struct sb_field fields[] = {
    {SB_STR("transport"), SB_FIELD_ENUM, AT(transport), 0, 0, "stdio|http",
     "Speak MCP over standard input and output, or serve MCP at /mcp over HTTP", transports},
    {SB_STR("port"), SB_FIELD_U64, AT(port), 0, 65535, "PORT",
     "Of HTTP; 0 takes a free one and prints it", NULL},
    {SB_STR("address"), SB_FIELD_STRING, AT(address), 1, 255, "ADDRESS",
     "Of HTTP; other than loopback needs TLS or a proxy before it that has it", NULL},
    {SB_STR("worker"), SB_FIELD_STRING, AT(worker), 1, 4095, "ADDRESS",
     "The worker: unix:/path, ipv4:HOST:PORT or ipv6:[HOST]:PORT; default: $AISBX_ADDRESS, else "
     "one "
     "of your own that is started by the first call",
     NULL},
    {SB_STR("loopback-without-key"), SB_FIELD_BOOL, AT(loopback_without_key), 0, 1, NULL,
     "Calls over HTTP without an API key are yours; only with a loopback address", NULL},
    {SB_STR("sandboxd"), SB_FIELD_BOOL, AT(sandboxd), 0, 1, NULL,
     "Serve /v1/files, /v1/health and /v1/metadata of Kubernetes agent-sandbox over HTTP; the "
     "worker "
     "needs --sandboxd, too",
     NULL},
    {SB_STR("tls-cert"), SB_FIELD_STRING, AT(tls_cert), 1, 4095, "FILE", "Certificate chain, PEM",
     NULL},
    {SB_STR("tls-key"), SB_FIELD_STRING, AT(tls_key), 1, 4095, "FILE", "Its private key, PEM",
     NULL},
    {SB_STR("tls-ca"), SB_FIELD_STRING, AT(tls_ca), 1, 4095, "FILE",
     "Clients must show a certificate that one of these signed (mTLS)", NULL},
    {SB_STR("drain-grace"), SB_FIELD_MILLIS, AT(drain_grace_ms), 1, DAY_MS, "DURATION",
     "How long requests under way may take to end on SIGTERM", NULL},
    {SB_STR("ready-fd"), SB_FIELD_U64, AT(ready_fd), 0, 1023, "FD",
     "Write READY and the port, or ERROR and a reason, one line, to this descriptor", NULL},
    {SB_STR("version"), SB_FIELD_BOOL, AT(wants_version), 0, 1, NULL, "Print the version", NULL},
    {SB_STR("help"), SB_FIELD_BOOL, AT(wants_help), 0, 1, NULL, "Print this", NULL},
};

/* Options that may be given several times. */
static const struct {
    struct sb_str name;
    size_t list;
    size_t count;
    const char *unit;
    const char *help;
} lists[] = {
    {SB_STR("allow-origin"), AT(origins), AT(n_origins), "ORIGIN",
     "Web pages of that origin may call, e.g. https://app.example; may be given 16 times"},
    {SB_STR("allow-host"), AT(hosts), AT(n_hosts), "NAME",
     "A name that clients may call a loopback address by; may be given 16 times"},
};
enum {
    N_FIELDS = sizeof fields / sizeof *fields,
    N_LISTS = sizeof lists / sizeof *lists,
};

static int add_to_list(size_t list,
                       struct sb_str value,
                       struct sb_gateway_options *options,
                       struct sb_err *err)
{
    char **items = (char **)(void *)((char *)options + lists[list].list);
    size_t *n = (size_t *)(void *)((char *)options + lists[list].count);
    if (*n == SB_GATEWAY_MAX_NAMES || value.len == 0) {
        return sb_err_set(err, SB_INVALID, "--%s: %s", lists[list].name.ptr,
                          value.len == 0 ? "needs a value" : "more than 16");
    }
    items[*n] = sb_str_dup(value);
    if (items[*n] == NULL) {
        return sb_err_oom(err);
    }
    ++*n;
    return 0;
}

static int unknown(struct sb_str name, struct sb_err *err)
{
    const char *names[N_FIELDS + N_LISTS];
    for (size_t i = 0; i < N_FIELDS; i++) {
        names[i] = fields[i].name.ptr;
    }
    for (size_t i = 0; i < N_LISTS; i++) {
        names[N_FIELDS + i] = lists[i].name.ptr;
    }
    const char *near = sb_near_find(name, names, N_FIELDS + N_LISTS);
    return sb_err_set(err, SB_INVALID, "unknown option --%.*s%s%s%s", SB_STR_ARG(name),
                      near == NULL ? "" : "; did you mean --", near == NULL ? "" : near,
                      near == NULL ? " (see --help)" : "?");
}

/** Handles argv[*at]; moves *at to the last word used. */
static int parse_one(
    int argc, char *const *argv, int *at, struct sb_gateway_options *options, struct sb_err *err)
{
    struct sb_str word = sb_str_from(argv[*at]);
    if (!sb_str_starts_with(word, SB_STR("--"))) {
        return sb_err_set(err, SB_INVALID, "unexpected argument %.*s (see --help)",
                          SB_STR_ARG(word));
    }
    struct sb_str name = sb_str_skip(word, 2);
    struct sb_str value = SB_STR("true");
    bool has_value = sb_str_split(name, '=', &name, &value);
    const struct sb_field *field = sb_field_find(fields, N_FIELDS, name);
    size_t list = 0;
    while (list < N_LISTS && !sb_str_eq(name, lists[list].name)) {
        list++;
    }
    if (field == NULL && list == N_LISTS) {
        return unknown(name, err);
    }
    if (!has_value && (field == NULL || field->kind != SB_FIELD_BOOL)) {
        if (*at + 1 >= argc) {
            return sb_err_set(err, SB_INVALID, "--%.*s: needs a value", SB_STR_ARG(name));
        }
        value = sb_str_from(argv[++*at]);
    }
    if (list < N_LISTS) {
        return add_to_list(list, value, options, err);
    }
    if (sb_field_set(fields, N_FIELDS, name, value, options, err) < 0) {
        return sb_err_set(err, err->code, "--%s", err->text);
    }
    return 0;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static int check(const struct sb_gateway_options *options, struct sb_err *err)
{
    if ((options->tls_cert == NULL) != (options->tls_key == NULL)) {
        return sb_err_set(err, SB_INVALID, "TLS needs both --tls-cert and --tls-key");
    }
    if (options->tls_ca != NULL && options->tls_cert == NULL) {
        return sb_err_set(err, SB_INVALID, "--tls-ca needs --tls-cert and --tls-key");
    }
    if (options->loopback_without_key && !is_loopback(options->address)) {
        return sb_err_set(err, SB_INVALID,
                          "--loopback-without-key would let everybody in at %s: use it with "
                          "--address 127.0.0.1, or make keys with aisbx-security keys create",
                          options->address);
    }
    return 0;
}

int sb_gateway_options_parse(int argc,
                             char *const *argv,
                             struct sb_gateway_options *ret_options,
                             struct sb_err *err)
{
    *ret_options = (struct sb_gateway_options){
        .port = 8080,
        .drain_grace_ms = 10000,
        .ready_fd = UINT64_MAX,
    };
    ret_options->address = sb_str_dup(SB_STR("127.0.0.1"));
    if (ret_options->address == NULL) {
        return sb_err_oom(err);
    }
    for (int i = 1; i < argc; i++) {
        if (parse_one(argc, argv, &i, ret_options, err) < 0) {
            return -1;
        }
    }
    return check(ret_options, err);
}

void sb_gateway_options_done(struct sb_gateway_options *options)
{
    for (size_t i = 0; i < options->n_origins; i++) {
        free(options->origins[i]);
    }
    for (size_t i = 0; i < options->n_hosts; i++) {
        free(options->hosts[i]);
    }
    options->n_origins = 0;
    options->n_hosts = 0;
    sb_field_free(fields, N_FIELDS, options);
}

void sb_gateway_options_help(FILE *out)
{
    char address[] = "127.0.0.1";
    const struct sb_gateway_options defaults = {
        .port = 8080, .drain_grace_ms = 10000, .address = address};
    (void)fputs("aisbx-mcp: sandboxes for programs that let a language model use tools (MCP).\n\n"
                "Usage: aisbx-mcp [--transport stdio|http] [OPTION]...\n\n",
                out);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct sb_field *field = &fields[i];
        char text[64] = "";
        if (field->kind != SB_FIELD_BOOL && field->offset != AT(ready_fd)) {
            (void)sb_field_format(field, &defaults, text, sizeof text);
        }
        (void)fprintf(out, "  --%s%s%s\n      %s%s%s%s\n", field->name.ptr,
                      field->unit == NULL ? "" : " ", field->unit == NULL ? "" : field->unit,
                      field->help, text[0] == '\0' ? "" : " (default: ", text,
                      text[0] == '\0' ? "" : ")");
    }
    for (size_t i = 0; i < N_LISTS; i++) {
        (void)fprintf(out, "  --%s %s\n      %s\n", lists[i].name.ptr, lists[i].unit,
                      lists[i].help);
    }
    (void)fputs(
        "\nEnvironment:\n"
        "  AISBX_ADDRESS          see --worker\n"
        "  AISBX_API_KEY          the key of calls over stdio\n"
        "  AISBX_DEFAULT_PROFILE  what sandboxes are made with when a call names no profile\n"
        "  AISBX_DEBUG            1: log what happens, to stderr\n"
        "\nExamples:\n"
        "  aisbx-mcp --transport stdio\n"
        "  aisbx-mcp --transport http --port 8080 --loopback-without-key\n"
        "  aisbx-mcp --transport http --address 0.0.0.0 --port 8443 --tls-cert g.pem "
        "--tls-key g.key\n",
        out);
}
