#include "service/worker/options.h"

#include <inttypes.h>
#include <string.h>

#include "base/argv.h"
#include "base/err.h"
#include "service/worker/limits.h"
#include "service/worker/policy/profile.h"

#define AT(member) offsetof(struct sb_options, member)
#define DAY_MS     86400000
#define POOL_BYTES (128ULL << 20)

/** By enum sb_options_audit. */
static const char *const audit_names[] = {"", "off", "commit", "disk", NULL};

/** By enum sb_options_snapshots. */
static const char *const snapshots_names[] = {"auto", "copy", NULL};

/** Of cpu_weight SB_OPTIONS_CPU_IDLE. */
static const char *const weights[] = {"idle", NULL};

static const struct sb_field fields[] = {
    {SB_STR("listen"), SB_FIELD_TEXTS, AT(listen), 0, SB_OPTIONS_MAX_LISTEN, "ADDRESS",
     "unix:/path, ipv4:HOST:PORT or ipv6:[HOST]:PORT; TCP beyond loopback needs --tls-cert and "
     "--tls-key",
     NULL},
    {SB_STR("socket-mode"), SB_FIELD_MODE, AT(socket_mode), 0, 0777, "OCTAL",
     "Permission bits of unix sockets", NULL},
    {SB_STR("tls-cert"), SB_FIELD_STRING, AT(tls_cert), 1, 4095, "FILE",
     "Certificate chain of TCP listeners, PEM", NULL},
    {SB_STR("tls-key"), SB_FIELD_STRING, AT(tls_key), 1, 4095, "FILE", "Its private key, PEM",
     NULL},
    {SB_STR("tls-ca"), SB_FIELD_STRING, AT(tls_ca), 1, 4095, "FILE",
     "Clients must show a certificate that one of these signed (mTLS); without, they need an API "
     "key",
     NULL},
    {SB_STR("config"), SB_FIELD_STRING, AT(config), 1, 4095, "FILE",
     "Profiles of your own; default: $AISBX_CONFIG_PATH, ~/.config/aisbx/config.yaml, "
     "/etc/aisbx/config.yaml",
     NULL},
    {SB_STR("keys"), SB_FIELD_STRING, AT(keys), 1, 4095, "FILE|DIRECTORY",
     "API keys that several workers have in common, as hashes that aisbx-security keys create "
     "--file writes; read again within 5 seconds when it changes, and on SIGHUP",
     NULL},
    {SB_STR("state-dir"), SB_FIELD_STRING, AT(state_dir), 1, 4095, "DIRECTORY",
     "Where records (aisbx.db) and long output are kept; default: with --embedded, but for "
     "AISBX_RUNTIME_DIR, $XDG_STATE_HOME/aisbx, ~/.local/state/aisbx, or /var/lib/aisbx of root; "
     "else NAME.state beside the first unix socket NAME.sock (output, of worker.sock)",
     NULL},
    {SB_STR("embedded"), SB_FIELD_BOOL, AT(is_embedded), 0, 1, NULL,
     "Serve one user on the default socket and exit when idle", NULL},
    {SB_STR("expect"), SB_FIELD_STRING, AT(expect), 1, SB_PROFILE_NAME_MAX, "PROFILE",
     "Have the filter of this profile ready for the first sandbox; default: of the default profile",
     NULL},
    {SB_STR("idle-exit"), SB_FIELD_MILLIS, AT(idle_exit_ms), 1, DAY_MS, "DURATION",
     "With --embedded: exit after this long without sandbox and connection; bare numbers are "
     "milliseconds",
     NULL},
    {SB_STR("drain-grace"), SB_FIELD_MILLIS, AT(drain_grace_ms), 1, DAY_MS, "DURATION",
     "How long calls under way may take to end on SIGTERM", NULL},
    {SB_STR("ready-fd"), SB_FIELD_U64, AT(ready_fd), 0, 1023, "FD",
     "Write READY or ERROR and a reason, one line, to this descriptor", NULL},
    {SB_STR("die-with-parent"), SB_FIELD_BOOL, AT(dies_with_parent), 0, 1, NULL,
     "End at once, with all sandboxes, when the process that started us ends", NULL},
    {SB_STR("grpc-threads"), SB_FIELD_U64, AT(grpc_threads), 1, 8, "N",
     "Threads that receive gRPC messages", NULL},
    {SB_STR("cpu-weight"), SB_FIELD_U64, AT(cpu_weight), 1, 10000, "N|idle",
     "Share of busy processors that all sandboxes together get, next to 100 of any program; idle: "
     "only what nobody else wants, which leaves the machine responsive (Linux 5.15; 1 before)",
     weights},
    {SB_STR("tell-paths"), SB_FIELD_BOOL, AT(tells_paths), 0, 1, NULL,
     "Started as root: tell the paths that Landlock denies (Linux 6.15, and auditing on); programs "
     "can then fill the host's audit log",
     NULL},
    {SB_STR("snapshots"), SB_FIELD_ENUM, AT(snapshots), 0, 0, "auto|copy",
     "How sandboxes start from snapshots: auto, on an overlay that shares what they do not change "
     "where the kernel can (Linux 6.6), else as copy: each with a copy of its own, within its "
     "limits of memory and disk",
     snapshots_names},
    {SB_STR("audit"), SB_FIELD_ENUM, AT(audit), 0, 0, "disk|commit|off",
     "A decision is written down before it is acted on: through to the disk, which a power cut "
     "does "
     "not undo; or so that only the end of this program does not; or, with --embedded, not at all. "
     "Default: disk, commit with --embedded",
     audit_names},
    {SB_STR("audit-keep"), SB_FIELD_MILLIS, AT(audit_keep_ms), 60000, 3650ULL * DAY_MS, "DURATION",
     "Records older than this are dropped", NULL},
    {SB_STR("audit-max"), SB_FIELD_BYTES, AT(audit_max_bytes), 1 << 20, 1ULL << 40, "SIZE",
     "The oldest records are dropped while all take more than this", NULL},
    {SB_STR("sandboxd"), SB_FIELD_STRING, AT(sandboxd), 1, 63, "PROFILE",
     "Serve Kubernetes agent-sandbox (process.v1): each tenant has one lasting sandbox of its own, "
     "of "
     "that profile, made with the first call; the gateway serves its files with --sandboxd",
     NULL},
    {SB_STR("packages-max"), SB_FIELD_BYTES, AT(packages_max_bytes), 1 << 20, 1ULL << 40, "SIZE",
     "What is kept of installed packages; those not used longest are removed beyond it", NULL},
    {SB_STR("pool"), SB_FIELD_BYTES, AT(pool_bytes), 0, 1ULL << 30, "SIZE",
     "Memory for sandboxes that are made before they are asked for; 512KiB is reckoned for each, "
     "12MiB with an interpreter of python that waits in it, 48MiB with one of node; at most a 32nd "
     "of the machine's memory; 0B makes none",
     NULL},
    {SB_STR("otlp-endpoint"), SB_FIELD_STRING, AT(otlp_endpoint), 1, 1023, "URL",
     "Send spans by OTLP/gRPC to http://HOST:4317, https://HOST:4317 or unix:/path; default: "
     "$OTEL_EXPORTER_OTLP_ENDPOINT, else none are made",
     NULL},
    {SB_STR("trace-sampler"), SB_FIELD_STRING, AT(trace_sampler), 1, 63, "SAMPLER",
     "Which traces: always_on, always_off, traceidratio, each also after parentbased_, which "
     "follows "
     "the caller's decision; default: $OTEL_TRACES_SAMPLER, else parentbased_always_on",
     NULL},
    {SB_STR("trace-ratio"), SB_FIELD_STRING, AT(trace_ratio), 1, 31, "RATIO",
     "Of traceidratio: the share of traces, 0.1 is every tenth; default: $OTEL_TRACES_SAMPLER_ARG, "
     "else 1",
     NULL},
    {SB_STR("check"), SB_FIELD_STRING, AT(check), 1, 4095, "FILE",
     "Read that configuration and the files it names, print LINE:COLUMN: and what is wrong for "
     "each "
     "problem, and end",
     NULL},
    {SB_STR("version"), SB_FIELD_BOOL, AT(wants_version), 0, 1, NULL, "Print the version", NULL},
    {SB_STR("help"), SB_FIELD_BOOL, AT(wants_help), 0, 1, NULL, "Print this", NULL},
    {SB_STR("man"), SB_FIELD_BOOL, AT(wants_man), 0, 1, NULL, NULL, NULL},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static const struct sb_options defaults = {
    .socket_mode = 0600,
    .idle_exit_ms = 300000,
    .drain_grace_ms = SB_MAX_DRAIN_GRACE_MS,
    .ready_fd = UINT64_MAX,
    .grpc_threads = 1,
    .cpu_weight = 100,
    .audit_keep_ms = 90ULL * DAY_MS,
    .audit_max_bytes = 1ULL << 30,
    .packages_max_bytes = 4ULL << 30,
    .pool_bytes = POOL_BYTES,
};

int sb_options_parse(int argc,
                     char *const *argv,
                     struct sb_options *ret_options,
                     struct sb_err *err)
{
    *ret_options = defaults;
    return sb_argv_parse(fields, N_FIELDS, argc, argv, ret_options, err);
}

void sb_options_done(struct sb_options *options)
{
    sb_activation_done(&options->given);
    sb_field_free(fields, N_FIELDS, options);
}

/* ---- sockets of the service manager ---- */

int sb_options_given(const struct sb_options *options, const char *address)
{
    for (size_t i = 0; i < options->given.n; i++) {
        if (strncmp(address, "unix:", 5) == 0 &&
            strcmp(address + 5, options->given.items[i].address) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int check_given(const struct sb_options *options, size_t at, struct sb_err *err)
{
    const struct sb_activated *item = &options->given.items[at];
    if (!item->is_unix) {
        return sb_err_set(err, SB_INVALID,
                          "the service manager gave us %s port %u: here it may give unix sockets "
                          "alone; gRPC binds TCP by itself (--listen)",
                          item->address, (unsigned)item->port);
    }
    for (size_t i = 0; i < at; i++) {
        if (strcmp(options->given.items[i].address, item->address) == 0) {
            return sb_err_set(err, SB_INVALID, "the service manager gave us %s twice",
                              item->address);
        }
    }
    return 0;
}

static bool listens_at(const struct sb_options *options, const char *address)
{
    for (size_t i = 0; i < options->listen.n; i++) {
        if (strcmp(options->listen.items[i], address) == 0) {
            return true;
        }
    }
    return false;
}

static int
add_given(struct sb_options *options, const struct sb_activated *item, struct sb_err *err)
{
    char address[sizeof item->address + 8];
    (void)snprintf(address, sizeof address, "unix:%s", item->address);
    if (listens_at(options, address)) {
        return 0;
    }
    if (options->listen.n == SB_OPTIONS_MAX_LISTEN) {
        return sb_err_set(err, SB_INVALID,
                          "more than %d addresses, with those of the service manager",
                          SB_OPTIONS_MAX_LISTEN);
    }
    char *text = sb_str_dup(sb_str_from(address));
    if (text == NULL) {
        return sb_err_oom(err);
    }
    options->listen.items[options->listen.n++] = text;
    return 0;
}

int sb_options_take_given(struct sb_options *options, struct sb_err *err)
{
    if (sb_activation_take(&options->given, err) < 0) {
        return -1;
    }
    if (options->given.n > 0 && options->is_embedded) {
        return sb_err_set(err, SB_INVALID,
                          "--embedded is for aisbx, which starts it; with sockets of a service "
                          "manager give --state-dir instead");
    }
    for (size_t i = 0; i < options->given.n; i++) {
        if (check_given(options, i, err) < 0 ||
            add_given(options, &options->given.items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- help ---- */

static void help_bounds(FILE *out)
{
#define SB_LIMIT_LINE(name, value, unit, help)                                                     \
    (void)fprintf(out, "  %12ju %-10s %s\n", (uintmax_t)(value), (unit), (help));
    SB_WORKER_LIMITS(SB_LIMIT_LINE)
#undef SB_LIMIT_LINE
}

void sb_options_help(FILE *out)
{
    (void)fputs(
        "aisbx-worker: serves sandboxes (aisbx.v1) over gRPC and over the local transport.\n\n"
        "Usage: aisbx-worker [--embedded] [--listen ADDRESS]... [OPTION]...\n\n",
        out);
    sb_argv_help(fields, N_FIELDS, &defaults, out);
    (void)fputs("\nEnvironment:\n"
                "  AISBX_DEBUG        1: log what happens\n"
                "  AISBX_CONFIG_PATH  see --config\n"
                "  OTEL_*             where spans go, which, and as what (aisbx-worker(8))\n"
                "  LISTEN_FDS         unix sockets of a service manager are served, too, as\n"
                "                     sd_listen_fds(3) hands them over\n"
                "  XDG_RUNTIME_DIR    where --embedded puts its socket, log and output\n"
                "\nBounds:\n",
                out);
    help_bounds(out);
    (void)fputs("\nExamples:\n"
                "  aisbx-worker --listen unix:/run/aisbx/worker.sock\n"
                "  aisbx-worker --listen ipv4:0.0.0.0:7443 --tls-cert w.pem --tls-key w.key "
                "--tls-ca clients.pem\n"
                "  aisbx-worker --embedded --idle-exit 5m\n",
                out);
}

void sb_options_man(FILE *out)
{
    sb_argv_man(fields, N_FIELDS, &defaults, out);
}
