#include "service/supervisor/options.h"

#include "base/argv.h"
#include "base/err.h"
#include "base/log.h"

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
    {SB_STR("listen"), SB_FIELD_TEXTS, AT(listen), 0, SB_FIELD_MAX_TEXTS, "ADDRESS",
     "One more address of the worker: unix:/path, ipv4:HOST:PORT or ipv6:[HOST]:PORT", NULL},
    {SB_STR("worker-option"), SB_FIELD_TEXTS, AT(worker), 0, SB_FIELD_MAX_TEXTS, "OPTION",
     "One more option of aisbx-worker, e.g. --worker-option=--cpu-weight=10", NULL},
    {SB_STR("gateway-option"), SB_FIELD_TEXTS, AT(gateway), 0, SB_FIELD_MAX_TEXTS, "OPTION",
     "One more option of aisbx-mcp, e.g. --gateway-option=--allow-host=sandboxes.example", NULL},
    {SB_STR("health"), SB_FIELD_BOOL, AT(wants_health), 0, 1, NULL,
     "Ask the running supervisor how its parts are; the exit status is 0 when all are well", NULL},
    {SB_STR("json"), SB_FIELD_BOOL, AT(wants_json), 0, 1, NULL, "With --health: one object", NULL},
    {SB_STR("version"), SB_FIELD_BOOL, AT(wants_version), 0, 1, NULL, "Print the version", NULL},
    {SB_STR("help"), SB_FIELD_BOOL, AT(wants_help), 0, 1, NULL, "Print this", NULL},
    {SB_STR("man"), SB_FIELD_BOOL, AT(wants_man), 0, 1, NULL, NULL, NULL},
};

enum { N_FIELDS = sizeof fields / sizeof *fields };

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
    if (sb_argv_parse(fields, N_FIELDS, argc, argv, ret_options, err) < 0) {
        return -1;
    }
    if (ret_options->wants_json && !ret_options->wants_health) {
        return sb_err_set(err, SB_INVALID, "--json goes with --health");
    }
    return 0;
}

void sb_supervisor_options_done(struct sb_supervisor_options *options)
{
    sb_field_free(fields, N_FIELDS, options);
}

static char default_address[] = "127.0.0.1";
static const struct sb_supervisor_options defaults = {
    .port = DEFAULT_PORT, .drain_grace_ms = DEFAULT_GRACE_MS, .address = default_address};

void sb_supervisor_options_help(FILE *out)
{
    (void)fputs("aisbx-supervisor: keeps a worker and a gateway (MCP, REST, metrics) running.\n\n"
                "Usage: aisbx-supervisor [OPTION]...\n"
                "       aisbx-supervisor --health [--json] [--runtime-dir DIRECTORY]\n\n",
                out);
    sb_argv_help(fields, N_FIELDS, &defaults, out);
    (void)fputs(
        "\nSignals:\n"
        "  SIGTERM, SIGINT  the gateway takes no more calls and ends its own, then the worker\n"
        "                   does; a second one: at once\n"
        "  SIGHUP           read the configuration again; a wrong one is told and not taken\n"
        "\nEnvironment:\n"
        "  AISBX_DEBUG        1: log what happens\n"
        "  NOTIFY_SOCKET      told of READY, RELOADING, STOPPING, as sd_notify(3) does\n"
        "  LISTEN_FDS         sockets of a service manager, as sd_listen_fds(3) hands them over:\n"
        "                     those of a path for the worker, one of TCP for the gateway\n"
        "  WATCHDOG_USEC      told WATCHDOG at half of it, while all parts answer\n"
        "\nExamples:\n"
        "  aisbx-supervisor --loopback-without-key\n"
        "  aisbx-supervisor --address 0.0.0.0 --port 8443 --tls-cert g.pem --tls-key g.key\n"
        "  aisbx-supervisor --listen ipv4:127.0.0.1:7443 --log-format json\n"
        "  aisbx-supervisor --health && echo well\n",
        out);
}

void sb_supervisor_options_man(FILE *out)
{
    sb_argv_man(fields, N_FIELDS, &defaults, out);
}
