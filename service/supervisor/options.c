#include "service/supervisor/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/field.h"
#include "base/log.h"
#include "base/near.h"
#include "base/str.h"

#define AT(member)       offsetof(struct sb_supervisor_options, member)
#define MAX_GRACE_MS     3600000
#define DEFAULT_GRACE_MS 10000
#define DEFAULT_PORT     8080

static const char *const formats[] = {
    [SB_LOG_FORMAT_LOGFMT] = "logfmt", [SB_LOG_FORMAT_JSON] = "json", NULL};

static const struct sb_field fields[] = {
    {SB_STR("address"), SB_FIELD_STRING, AT(address), 1, 255, "ADDRESS",
     "Where the gateway listens; other than loopback needs TLS or a proxy before it that has it",
     NULL},
    {SB_STR("port"), SB_FIELD_U64, AT(port), 0, 65535, "PORT",
     "Of the gateway; 0 takes a free one and logs it", NULL},
    {SB_STR("loopback-without-key"), SB_FIELD_BOOL, AT(loopback_without_key), 0, 1, NULL,
     "Calls over HTTP without an API key are yours; only with a loopback address", NULL},
    {SB_STR("tls-cert"), SB_FIELD_STRING, AT(tls_cert), 1, 4095, "FILE",
     "Certificate chain of the gateway and of TCP listeners of the worker, PEM", NULL},
    {SB_STR("tls-key"), SB_FIELD_STRING, AT(tls_key), 1, 4095, "FILE", "Its private key, PEM",
     NULL},
    {SB_STR("tls-ca"), SB_FIELD_STRING, AT(tls_ca), 1, 4095, "FILE",
     "Clients must show a certificate that one of these signed (mTLS)", NULL},
    {SB_STR("without-gateway"), SB_FIELD_BOOL, AT(without_gateway), 0, 1, NULL,
     "Start the worker alone", NULL},
    {SB_STR("config"), SB_FIELD_STRING, AT(config), 1, 4095, "FILE",
     "Profiles, callers and tenants; default: as aisbx-worker looks for it", NULL},
    {SB_STR("state-dir"), SB_FIELD_STRING, AT(state_dir), 1, 4095, "DIRECTORY",
     "What the worker keeps", NULL},
    {SB_STR("runtime-dir"), SB_FIELD_STRING, AT(runtime_dir), 1, 80, "DIRECTORY",
     "Sockets of the worker and of --health; default: $RUNTIME_DIRECTORY, $AISBX_RUNTIME_DIR, "
     "/run/aisbx for root, else $XDG_RUNTIME_DIR/aisbx",
     NULL},
    {SB_STR("drain-grace"), SB_FIELD_MILLIS, AT(drain_grace_ms), 1, MAX_GRACE_MS, "DURATION",
     "How long calls under way may take to end on SIGTERM, of the gateway and then of the worker",
     NULL},
    {SB_STR("log-format"), SB_FIELD_ENUM, AT(log_format), 0, 0, "logfmt|json",
     "Of all lines, on standard error", formats},
    {SB_STR("health"), SB_FIELD_BOOL, AT(wants_health), 0, 1, NULL,
     "Ask the running supervisor how its parts are; the exit status is 0 when all are well", NULL},
    {SB_STR("json"), SB_FIELD_BOOL, AT(wants_json), 0, 1, NULL, "With --health: one object", NULL},
    {SB_STR("version"), SB_FIELD_BOOL, AT(wants_version), 0, 1, NULL, "Print the version", NULL},
    {SB_STR("help"), SB_FIELD_BOOL, AT(wants_help), 0, 1, NULL, "Print this", NULL},
};

/* Options that may be given several times. */
static const struct {
    struct sb_str name;
    size_t offset;
    const char *unit;
    const char *help;
} lists[] = {
    {SB_STR("listen"), AT(listen), "ADDRESS",
     "One more address of the worker: unix:/path, ipv4:HOST:PORT or ipv6:[HOST]:PORT"},
    {SB_STR("worker-option"), AT(worker), "OPTION",
     "One more option of aisbx-worker, e.g. --worker-option=--cpu-weight=10"},
    {SB_STR("gateway-option"), AT(gateway), "OPTION",
     "One more option of aisbx-mcp, e.g. --gateway-option=--allow-host=sandboxes.example"},
};
enum {
    N_FIELDS = sizeof fields / sizeof *fields,
    N_LISTS = sizeof lists / sizeof *lists,
};

static struct sb_supervisor_list *list_at(struct sb_supervisor_options *options, size_t i)
{
    return (struct sb_supervisor_list *)(void *)((char *)options + lists[i].offset);
}

static int
add(struct sb_supervisor_list *list, struct sb_str name, struct sb_str value, struct sb_err *err)
{
    if (list->n == SB_SUPERVISOR_MAX_LIST || value.len == 0) {
        return sb_err_set(err, SB_INVALID, "--%.*s: %s", SB_STR_ARG(name),
                          value.len == 0 ? "needs a value" : "more than 32");
    }
    list->items[list->n] = sb_str_dup(value);
    if (list->items[list->n] == NULL) {
        return sb_err_oom(err);
    }
    list->n++;
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
    int argc, char *const *argv, int *at, struct sb_supervisor_options *options, struct sb_err *err)
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
        return add(list_at(options, list), name, value, err);
    }
    if (sb_field_set(fields, N_FIELDS, name, value, options, err) < 0) {
        return sb_err_set(err, err->code, "--%s", err->text);
    }
    return 0;
}

int sb_supervisor_options_parse(int argc,
                                char *const *argv,
                                struct sb_supervisor_options *ret_options,
                                struct sb_err *err)
{
    *ret_options = (struct sb_supervisor_options){
        .port = DEFAULT_PORT,
        .drain_grace_ms = DEFAULT_GRACE_MS,
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
    if (ret_options->wants_json && !ret_options->wants_health) {
        return sb_err_set(err, SB_INVALID, "--json goes with --health");
    }
    return 0;
}

void sb_supervisor_options_done(struct sb_supervisor_options *options)
{
    for (size_t i = 0; i < N_LISTS; i++) {
        struct sb_supervisor_list *list = list_at(options, i);
        while (list->n > 0) {
            free(list->items[--list->n]);
        }
    }
    sb_field_free(fields, N_FIELDS, options);
}

void sb_supervisor_options_help(FILE *out)
{
    char address[] = "127.0.0.1";
    const struct sb_supervisor_options defaults = {
        .port = DEFAULT_PORT, .drain_grace_ms = DEFAULT_GRACE_MS, .address = address};
    (void)fputs("aisbx-supervisor: keeps a worker and a gateway (MCP, REST, metrics) running.\n\n"
                "Usage: aisbx-supervisor [OPTION]...\n"
                "       aisbx-supervisor --health [--json] [--runtime-dir DIRECTORY]\n\n",
                out);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct sb_field *field = &fields[i];
        char text[64] = "";
        if (field->kind != SB_FIELD_BOOL) {
            (void)sb_field_format(field, &defaults, text, sizeof text);
        }
        (void)fprintf(out, "  --%s%s%s\n      %s%s%s%s\n", field->name.ptr,
                      field->unit == NULL ? "" : " ", field->unit == NULL ? "" : field->unit,
                      field->help, text[0] == '\0' ? "" : " (default: ", text,
                      text[0] == '\0' ? "" : ")");
    }
    for (size_t i = 0; i < N_LISTS; i++) {
        (void)fprintf(out, "  --%s %s\n      %s; may be given 32 times\n", lists[i].name.ptr,
                      lists[i].unit, lists[i].help);
    }
    (void)fputs(
        "\nSignals:\n"
        "  SIGTERM, SIGINT  the gateway takes no more calls and ends its own, then the worker\n"
        "                   does; a second one: at once\n"
        "  SIGHUP           read the configuration again; a wrong one is told and not taken\n"
        "\nEnvironment:\n"
        "  AISBX_DEBUG        1: log what happens\n"
        "  NOTIFY_SOCKET      told of READY, RELOADING, STOPPING, as sd_notify(3) does\n"
        "  WATCHDOG_USEC      told WATCHDOG at half of it, while all parts answer\n"
        "\nExamples:\n"
        "  aisbx-supervisor --loopback-without-key\n"
        "  aisbx-supervisor --address 0.0.0.0 --port 8443 --tls-cert g.pem --tls-key g.key\n"
        "  aisbx-supervisor --listen ipv4:127.0.0.1:7443 --log-format json\n"
        "  aisbx-supervisor --health && echo well\n",
        out);
}
