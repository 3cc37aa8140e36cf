/* aisbx-egress: the only way out of sandboxes with a limited network.
 *
 * Theory of operation. One process per worker, one thread, no privilege. The worker hands it the
 * listening socket of each sandbox, with rules (control.c). A program inside connects and speaks
 * HTTP or SOCKS5 (conn_request.c); where it wants to go becomes one canonical value (host.c), which
 * is judged (rules.c), resolved (resolve.c), whose addresses are judged again (addr.c), and one of
 * which is connected to (conn.c): there is no second look-up that could lead elsewhere. Requests
 * are read strictly and written anew (http_head.c, http_body.c); tunnels are opaque but for the
 * first flight of TLS (hello.c, sni.c). Bytes then go both ways under bounds (conn_relay.c). */

#include <event2/event.h>
#include <event2/util.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "service/egress/box.h"
#include "service/egress/conn.h"
#include "service/egress/control.h"
#include "service/egress/harden.h"
#include "service/egress/resolve.h"
#include "service/egress/tls.h"
#include "service/egress/wipe.h"

enum { EXIT_USAGE = 2, SPARE_FILES = 64, FILES_PER_CONN = 2 };

struct options {
    int fd;
    unsigned head_ms;
    unsigned idle_ms;
    const char *resolver; /* NULL: the system's */
};

static const char usage[] =
    "usage: aisbx-egress --fd N [--resolver ADDRESS:PORT] [--head-ms N] [--idle-ms N]\n"
    "\n"
    "Forward proxy of sandboxes with a limited network. aisbx-spawner starts it.\n"
    "\n"
    "  --fd N                   control socket (SOCK_SEQPACKET) of the worker\n"
    "  --resolver ADDRESS:PORT  ask this name server instead of what /etc/resolv.conf and\n"
    "                           /etc/hosts say\n"
    "  --head-ms N              time for a request to arrive, in milliseconds (10000)\n"
    "  --idle-ms N              time without a byte until a connection ends, in\n"
    "                           milliseconds (300000; 60000 when one side has ended)\n";

static int
parse_option(const char *name, const char *value, struct options *options, struct sb_err *err)
{
    uint64_t number = 0;
    if (strcmp(name, "--resolver") == 0) {
        options->resolver = value;
        return 0;
    }
    if (strcmp(name, "--fd") == 0) {
        if (sb_num_u64(sb_str_from(value), 3, 65535, &number, err) < 0) {
            return -1;
        }
        options->fd = (int)number;
        return 0;
    }
    bool is_head = strcmp(name, "--head-ms") == 0;
    if (is_head || strcmp(name, "--idle-ms") == 0) {
        if (sb_num_u64(sb_str_from(value), 1, 600000, &number, err) < 0) {
            return -1;
        }
        *(is_head ? &options->head_ms : &options->idle_ms) = (unsigned)number;
        return 0;
    }
    return sb_err_set(err, SB_INVALID, "no such option: %s", name);
}

static int parse(int argc, char **argv, struct options *options, struct sb_err *err)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc) {
            return sb_err_set(err, SB_INVALID, "%s needs a value", argv[i]);
        }
        if (parse_option(argv[i], argv[i + 1], options, err) < 0) {
            return sb_err_wrap(err, "%s", argv[i]);
        }
    }
    return options->fd >= 0 ? 0 : sb_err_set(err, SB_INVALID, "--fd is missing");
}

static void on_bury(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_proxy *proxy = ctx;
    (void)fd;
    (void)what;
    sb_conn_bury(&proxy->graveyard);
}

static unsigned at_most(rlim_t n, unsigned most)
{
    return n < most ? (unsigned)n : most;
}

/* Descriptors bound the sandboxes, each of which has a listener, and the connections. */
static void set_bounds(struct sb_proxy *proxy)
{
    struct rlimit limit = {0, 0};
    rlim_t files = SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 2UL * SPARE_FILES) {
        files = limit.rlim_cur - SPARE_FILES;
    }
    proxy->max_boxes = at_most(files / 4, SB_EGRESS_MAX_BOXES);
    proxy->max_conns = at_most((files - proxy->max_boxes) / FILES_PER_CONN, SB_EGRESS_ALL_CONNS);
}

static int start(struct sb_proxy *proxy, const struct options *options, struct sb_err *err)
{
    sb_list_init(&proxy->boxes);
    sb_list_init(&proxy->graveyard);
    proxy->head_ms = options->head_ms;
    proxy->idle_ms = options->idle_ms;
    set_bounds(proxy);
    proxy->base = event_base_new();
    if (proxy->base == NULL || evutil_secure_rng_init() < 0) {
        return sb_err_set(err, SB_INTERNAL, "libevent cannot start");
    }
    (void)event_assign(&proxy->bury, proxy->base, -1, 0, on_bury, proxy);
    if (fcntl(options->fd, F_SETFD, FD_CLOEXEC) < 0) {
        return sb_err_set(err, SB_INVALID, "--fd %d is not open", options->fd);
    }
    if (sb_resolver_new(proxy->base, options->resolver, &proxy->resolver, err) < 0 ||
        sb_tls_init(err) < 0 || sb_harden_proxy(err) < 0) {
        return -1;
    }
    return sb_control_start(proxy, options->fd, err);
}

static void finish(struct sb_proxy *proxy)
{
    SB_FOREACH (node, &proxy->boxes) {
        sb_box_free(SB_LIST_ENTRY(node, struct sb_box, link));
    }
    sb_conn_bury(&proxy->graveyard);
    if (event_initialized(&proxy->readable)) {
        /* Look-ups that were called off are freed by their callbacks. */
        (void)event_del(&proxy->readable);
        (void)event_del(&proxy->writable);
        (void)event_base_loop(proxy->base, EVLOOP_NONBLOCK);
    }
    sb_resolver_free(proxy->resolver);
    sb_tls_trust_free(proxy->trust);
    if (proxy->base != NULL) {
        event_base_free(proxy->base);
    }
}

int main(int argc, char **argv)
{
    static struct sb_proxy proxy;
    struct options options = {.fd = -1, .head_ms = SB_EGRESS_HEAD_MS, .idle_ms = SB_EGRESS_IDLE_MS};
    struct sb_err err;
    sb_log_start("aisbx-egress");
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)puts("aisbx-egress " SB_VERSION);
        return EXIT_SUCCESS;
    }
    if (parse(argc, argv, &options, &err) < 0) {
        (void)fprintf(stderr, "aisbx-egress: %s\n%s", err.text, usage);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    sb_wipe_start();
    if (start(&proxy, &options, &err) < 0) {
        SB_LOG_ERROR("cannot start", "why=%s", err.text);
        proxy.exit_code = EXIT_FAILURE;
    } else {
        (void)event_base_dispatch(proxy.base);
    }
    finish(&proxy);
    return proxy.exit_code;
}
