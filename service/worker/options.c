#include "service/worker/options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/field.h"
#include "base/near.h"
#include "service/worker/limits.h"

#define AT(member) offsetof(struct sb_options, member)
#define DAY_MS     86400000
#define POOL_BYTES (128ULL << 20)

/** By enum sb_options_audit. */
static const char *const audit_names[] = {"", "off", "commit", "disk", NULL};

/** By enum sb_options_snapshots. */
static const char *const snapshots_names[] = {"auto", "copy", NULL};

static const struct sb_field fields[] = {
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
    {SB_STR("state-dir"), SB_FIELD_STRING, AT(state_dir), 1, 4095, "DIRECTORY",
     "Where records (aisbx.db) and long output are kept; default: with --embedded, but for "
     "AISBX_RUNTIME_DIR, $XDG_STATE_HOME/aisbx, ~/.local/state/aisbx, or /var/lib/aisbx of root; "
     "else NAME.state beside the first unix socket NAME.sock (output, of worker.sock)",
     NULL},
    {SB_STR("embedded"), SB_FIELD_BOOL, AT(is_embedded), 0, 1, NULL,
     "Serve one user on the default socket and exit when idle", NULL},
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
     NULL},
    {SB_STR("tell-paths"), SB_FIELD_BOOL, AT(tells_paths), 0, 1, NULL,
     "Started as root: tell the paths that Landlock denies (Linux 6.15, and auditing on); programs "
     "can then fill the host's audit log",
     NULL},
    {SB_STR("snapshots"), SB_FIELD_ENUM, AT(snapshots), 0, 0, "auto|copy",
     "How sandboxes start from snapshots: auto, on an overlay that shares what they do not change "
     "where the kernel can (Linux 6.6), else as copy: each with a copy of its own, within its "
     "limits of memory and disk. Default: auto",
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
     "12MiB with an interpreter of python that waits in it, 48MiB with one of node; 0B makes none",
     NULL},
    {SB_STR("check"), SB_FIELD_STRING, AT(check), 1, 4095, "FILE",
     "Read that configuration and the files it names, print LINE:COLUMN: and what is wrong for "
     "each "
     "problem, and end",
     NULL},
    {SB_STR("version"), SB_FIELD_BOOL, AT(wants_version), 0, 1, NULL, "Print the version", NULL},
    {SB_STR("help"), SB_FIELD_BOOL, AT(wants_help), 0, 1, NULL, "Print this", NULL},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static int add_listen(struct sb_options *options, struct sb_str value, struct sb_err *err)
{
    if (options->n_listen == SB_OPTIONS_MAX_LISTEN) {
        return sb_err_set(err, SB_INVALID, "--listen: more than %d", SB_OPTIONS_MAX_LISTEN);
    }
    if (value.len == 0) {
        return sb_err_set(err, SB_INVALID, "--listen: needs an address, e.g. unix:/run/w.sock");
    }
    char *copy = sb_str_dup(value);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    options->listen[options->n_listen++] = copy;
    return 0;
}

static int set_mode(struct sb_options *options, struct sb_str value, struct sb_err *err)
{
    uint64_t mode = 0;
    for (size_t i = 0; i < value.len; i++) {
        mode = mode * 8 + (uint64_t)(value.ptr[i] - '0');
        if (value.ptr[i] < '0' || value.ptr[i] > '7' || mode > 0777) {
            mode = 01000;
            break;
        }
    }
    if (value.len == 0 || mode > 0777) {
        return sb_err_set(err, SB_INVALID, "--socket-mode: octal permission bits, e.g. 0660");
    }
    options->socket_mode = mode;
    return 0;
}

static bool is_digits(struct sb_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
    }
    return value.len > 0;
}

static int set_field(struct sb_options *options,
                     const struct sb_field *field,
                     struct sb_str value,
                     struct sb_err *err)
{
    char millis[32];
    if (field->kind == SB_FIELD_MILLIS && is_digits(value) && value.len < sizeof millis - 3) {
        (void)snprintf(millis, sizeof millis, "%.*sms", SB_STR_ARG(value));
        value = sb_str_from(millis);
    }
    bool is_weight = field->offset == AT(cpu_weight);
    if (is_weight && sb_str_eq(value, SB_STR("idle"))) {
        options->cpu_weight = SB_OPTIONS_CPU_IDLE;
        return 0;
    }
    if (sb_field_set(fields, N_FIELDS, field->name, value, options, err) < 0) {
        return sb_err_set(err, err->code, "--%s%s", err->text, is_weight ? ", or idle" : "");
    }
    return 0;
}

static int unknown(struct sb_str name, struct sb_err *err)
{
    const char *names[N_FIELDS + 2];
    for (size_t i = 0; i < N_FIELDS; i++) {
        names[i] = fields[i].name.ptr;
    }
    names[N_FIELDS] = "listen";
    names[N_FIELDS + 1] = "socket-mode";
    const char *near = sb_near_find(name, names, N_FIELDS + 2);
    return sb_err_set(err, SB_INVALID, "unknown option --%.*s%s%s%s", SB_STR_ARG(name),
                      near == NULL ? "" : "; did you mean --", near == NULL ? "" : near,
                      near == NULL ? " (see --help)" : "?");
}

/** Handles argv[*at]; moves *at to the last word used. */
static int
parse_one(int argc, char *const *argv, int *at, struct sb_options *options, struct sb_err *err)
{
    struct sb_str word = sb_str_from(argv[*at]);
    if (!sb_str_starts_with(word, SB_STR("--"))) {
        return sb_err_set(err, SB_INVALID, "unexpected argument %.*s (see --help)",
                          SB_STR_ARG(word));
    }
    struct sb_str name = sb_str_skip(word, 2);
    struct sb_str value = {NULL, 0};
    bool has_value = sb_str_split(name, '=', &name, &value);
    const struct sb_field *field = sb_field_find(fields, N_FIELDS, name);
    bool is_listen = sb_str_eq(name, SB_STR("listen"));
    bool is_mode = sb_str_eq(name, SB_STR("socket-mode"));
    if (field == NULL && !is_listen && !is_mode) {
        return unknown(name, err);
    }
    if (field != NULL && field->kind == SB_FIELD_BOOL && !has_value) {
        return set_field(options, field, SB_STR("true"), err);
    }
    if (!has_value) {
        if (*at + 1 >= argc) {
            return sb_err_set(err, SB_INVALID, "--%.*s: needs a value", SB_STR_ARG(name));
        }
        value = sb_str_from(argv[++*at]);
    }
    if (is_listen) {
        return add_listen(options, value, err);
    }
    return is_mode ? set_mode(options, value, err) : set_field(options, field, value, err);
}

int sb_options_parse(int argc,
                     char *const *argv,
                     struct sb_options *ret_options,
                     struct sb_err *err)
{
    *ret_options = (struct sb_options){
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
    for (int i = 1; i < argc; i++) {
        if (parse_one(argc, argv, &i, ret_options, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void sb_options_done(struct sb_options *options)
{
    for (size_t i = 0; i < options->n_listen; i++) {
        free(options->listen[i]);
    }
    options->n_listen = 0;
    sb_field_free(fields, N_FIELDS, options);
}

static void help_bounds(FILE *out)
{
#define SB_LIMIT_LINE(name, value, unit, help)                                                     \
    (void)fprintf(out, "  %12ju %-10s %s\n", (uintmax_t)(value), (unit), (help));
    SB_WORKER_LIMITS(SB_LIMIT_LINE)
#undef SB_LIMIT_LINE
}

void sb_options_help(FILE *out)
{
    const struct sb_options defaults = {.idle_exit_ms = 300000,
                                        .drain_grace_ms = SB_MAX_DRAIN_GRACE_MS,
                                        .grpc_threads = 1,
                                        .cpu_weight = 100,
                                        .audit_keep_ms = 90ULL * DAY_MS,
                                        .audit_max_bytes = 1ULL << 30,
                                        .packages_max_bytes = 4ULL << 30,
                                        .pool_bytes = POOL_BYTES};
    (void)fputs(
        "aisbx-worker: serves sandboxes (aisbx.v1) over gRPC and over the local transport.\n\n"
        "Usage: aisbx-worker [--embedded] [--listen ADDRESS]... [OPTION]...\n\n"
        "  --listen ADDRESS\n"
        "      unix:/path, ipv4:HOST:PORT or ipv6:[HOST]:PORT; may be given 8 times. TCP\n"
        "      beyond loopback needs --tls-cert and --tls-key\n"
        "  --socket-mode OCTAL\n"
        "      Permission bits of unix sockets (default: 0600)\n",
        out);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct sb_field *field = &fields[i];
        char text[64] = "";
        if (field->kind == SB_FIELD_MILLIS || field->offset == AT(grpc_threads) ||
            field->offset == AT(cpu_weight) || field->kind == SB_FIELD_BYTES) {
            (void)sb_field_format(field, &defaults, text, sizeof text);
        }
        (void)fprintf(out, "  --%s%s%s\n      %s%s%s%s\n", field->name.ptr,
                      field->unit == NULL ? "" : " ", field->unit == NULL ? "" : field->unit,
                      field->help, text[0] == '\0' ? "" : " (default: ", text,
                      text[0] == '\0' ? "" : ")");
    }
    (void)fputs("\nEnvironment:\n"
                "  AISBX_DEBUG        1: log what happens\n"
                "  AISBX_CONFIG_PATH  see --config\n"
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
