#include "mcp-gateway/options.h"

#include <string.h>

#include "base/activation.h"
#include "base/argv.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "mcp-gateway/shared/url.h"

#define AT(member) offsetof(struct sb_gateway_options, member)
#define DAY_MS     86400000

static const char *const transports[] = {
    [SB_GATEWAY_STDIO] = "stdio", [SB_GATEWAY_HTTP] = "http", NULL};

static const char *const store_downs[] = {
    [SB_GATEWAY_REFUSE] = "refuse", [SB_GATEWAY_GO_ON] = "go-on", NULL};

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
    {SB_STR("workers"), SB_FIELD_STRING, AT(workers), 1, 4095, "ADDRESSES",
     "Instead: many workers as one, by commas: addresses as above, or dns:///NAME:PORT for all "
     "that "
     "a "
     "name stands for, looked up again every two seconds",
     NULL},
    {SB_STR("shared-store"), SB_FIELD_STRING, AT(store), 1, SB_URL_MAX, "URL",
     "With --workers: a Valkey or Redis of all gateways, for request_ids and rates: "
     "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB",
     NULL},
    {SB_STR("shared-store-password-file"), SB_FIELD_STRING, AT(store_password_file), 1, 4095,
     "FILE", "Its password", NULL},
    {SB_STR("shared-store-down"), SB_FIELD_ENUM, AT(store_down), 0, 0, "refuse|go-on",
     "Calls with a request_id while it is away: UNAVAILABLE, or as without a store", store_downs},
    {SB_STR("shared-store-ca"), SB_FIELD_STRING, AT(store_ca), 1, 4095, "FILE",
     "Who signs its certificate, PEM; default: the system's authorities", NULL},
    {SB_STR("shared-store-cert"), SB_FIELD_STRING, AT(store_cert), 1, 4095, "FILE",
     "Certificate that it is shown, PEM", NULL},
    {SB_STR("shared-store-key"), SB_FIELD_STRING, AT(store_key), 1, 4095, "FILE",
     "Its private key, PEM", NULL},
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
    {SB_STR("ready-fd"), SB_FIELD_U64, AT(ready_fd), 0, 1023, "FD",
     "Write READY and the port, or ERROR and a reason, one line, to this descriptor", NULL},
    {SB_STR("allow-origin"), SB_FIELD_TEXTS, AT(origins), 0, SB_GATEWAY_MAX_NAMES, "ORIGIN",
     "Web pages of that origin may call, e.g. https://app.example", NULL},
    {SB_STR("allow-host"), SB_FIELD_TEXTS, AT(hosts), 0, SB_GATEWAY_MAX_NAMES, "NAME",
     "A name that clients may call a loopback address by", NULL},
    {SB_STR("version"), SB_FIELD_BOOL, AT(wants_version), 0, 1, NULL, "Print the version", NULL},
    {SB_STR("help"), SB_FIELD_BOOL, AT(wants_help), 0, 1, NULL, "Print this", NULL},
    {SB_STR("man"), SB_FIELD_BOOL, AT(wants_man), 0, 1, NULL, NULL, NULL},
};

enum { N_FIELDS = sizeof fields / sizeof *fields };

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static int check(const struct sb_gateway_options *options, struct sb_err *err)
{
    if (options->worker != NULL && options->workers != NULL) {
        return sb_err_set(err, SB_INVALID, "--worker is one, --workers are many: give one of them");
    }
    if (options->store != NULL && options->workers == NULL) {
        return sb_err_set(err, SB_INVALID,
                          "--shared-store is for gateways before many (--workers): one worker "
                          "counts for all of its gateways by itself");
    }
    if ((options->store_cert == NULL) != (options->store_key == NULL)) {
        return sb_err_set(err, SB_INVALID,
                          "TLS needs both --shared-store-cert and --shared-store-key");
    }
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
        .given_fd = -1,
    };
    ret_options->address = sb_str_dup(SB_STR("127.0.0.1"));
    if (ret_options->address == NULL) {
        return sb_err_oom(err);
    }
    return sb_argv_parse(fields, N_FIELDS, argc, argv, ret_options, err) < 0
               ? -1
               : check(ret_options, err);
}

static int
take_given(struct sb_gateway_options *options, struct sb_activation *activation, struct sb_err *err)
{
    struct sb_activated *item = &activation->items[0];
    if (activation->n > 1 || item->is_unix || options->transport != SB_GATEWAY_HTTP) {
        return sb_err_set(err, SB_INVALID,
                          "the service manager gave us %zu sockets, the first at %s: here it may "
                          "give one, of TCP, with --transport http",
                          activation->n, item->address);
    }
    char *address = sb_str_dup(sb_str_from(item->address));
    if (address == NULL) {
        return sb_err_oom(err);
    }
    free(options->address);
    options->address = address;
    options->port = item->port;
    options->given_fd = SB_STEAL_FD(item->fd);
    return check(options, err);
}

int sb_gateway_options_take_given(struct sb_gateway_options *options, struct sb_err *err)
{
    struct sb_activation activation;
    if (sb_activation_take(&activation, err) < 0) {
        return -1;
    }
    int rc = activation.n == 0 ? 0 : take_given(options, &activation, err);
    sb_activation_done(&activation);
    return rc;
}

void sb_gateway_options_done(struct sb_gateway_options *options)
{
    sb_closep(&options->given_fd);
    sb_field_free(fields, N_FIELDS, options);
}

struct sb_shared_options sb_gateway_options_shared(const struct sb_gateway_options *options)
{
    return (struct sb_shared_options){.url = options->store,
                                      .password_file = options->store_password_file,
                                      .ca = options->store_ca,
                                      .cert = options->store_cert,
                                      .key = options->store_key,
                                      .goes_on_without = options->store_down == SB_GATEWAY_GO_ON};
}

static char default_address[] = "127.0.0.1";
static const struct sb_gateway_options shown_defaults = {
    .port = 8080, .drain_grace_ms = 10000, .ready_fd = UINT64_MAX, .address = default_address};

void sb_gateway_options_help(FILE *out)
{
    (void)fputs("aisbx-mcp: sandboxes for programs that let a language model use tools (MCP).\n\n"
                "Usage: aisbx-mcp [--transport stdio|http] [OPTION]...\n\n",
                out);
    sb_argv_help(fields, N_FIELDS, &shown_defaults, out);
    (void)fputs(
        "\nEnvironment:\n"
        "  AISBX_ADDRESS          see --worker\n"
        "  AISBX_API_KEY          the key of calls over stdio\n"
        "  AISBX_SHARED_STORE     as --shared-store\n"
        "  AISBX_SHARED_STORE_PASSWORD  its password, where there is no file\n"
        "  AISBX_DEFAULT_PROFILE  what sandboxes are made with when a call names no profile\n"
        "  OTEL_*                 where spans go, which, and as what (aisbx-worker(8))\n"
        "  AISBX_DEBUG            1: log what happens, to stderr\n"
        "  LISTEN_FDS             a TCP socket of a service manager is served instead of "
        "--address\n"
        "                         and --port, as sd_listen_fds(3) hands it over\n"
        "\nExamples:\n"
        "  aisbx-mcp --transport stdio\n"
        "  aisbx-mcp --transport http --port 8080 --loopback-without-key\n"
        "  aisbx-mcp --transport http --address 0.0.0.0 --port 8443 --tls-cert g.pem "
        "--tls-key g.key\n",
        out);
}

void sb_gateway_options_man(FILE *out)
{
    sb_argv_man(fields, N_FIELDS, &shown_defaults, out);
}
