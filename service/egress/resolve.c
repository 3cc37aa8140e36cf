#include "service/egress/resolve.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "service/egress/limits.h"

/* Each look-up is two questions. evdns asks no more than so many at a time, of all sandboxes, so it
 * has to be as many as there can be: name servers that are silent for one would hold up the others.
 */
#define MAX_QUESTIONS "8192"
_Static_assert(2 * SB_EGRESS_ALL_CONNS == 8192, "questions");

static const char conf_path[] = "/etc/resolv.conf";

struct sb_resolver {
    struct evdns_base *dns;
    bool is_fixed;        /* by option: the system's files are not read */
    struct timespec read; /* mtime of resolv.conf as it was read */
    uint64_t looked_ms;   /* monotonic; when that was compared last */
};

struct sb_lookup {
    struct evdns_base *dns;
    struct evdns_getaddrinfo_request *request; /* NULL: answered */
    struct evdns_request *second;              /* why there is no address; NULL: not asked */
    int code;                                  /* what the first said */
    sb_resolve_fn *fn;                         /* NULL: cancelled */
    void *ctx;
    bool is_starting; /* evdns may answer before it returns */
    bool is_done;
    char name[]; /* that is asked for */
};

static void read_files(struct sb_resolver *resolver)
{
    struct stat st;
    if (stat(conf_path, &st) == 0) {
        resolver->read = st.st_mtim;
    }
    int rc = evdns_base_resolv_conf_parse(
        resolver->dns, DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC | DNS_OPTION_HOSTSFILE, conf_path);
    if (rc != 0) {
        SB_LOG_WARN("cannot read resolv.conf", "evdns=%d", rc);
    }
    evdns_base_search_clear(resolver->dns);
}

static void refresh(struct sb_resolver *resolver)
{
    struct stat st;
    uint64_t now = sb_clock_mono_ms();
    if (resolver->is_fixed || now - resolver->looked_ms < SB_EGRESS_DNS_CHECK_MS) {
        return;
    }
    resolver->looked_ms = now;
    if (stat(conf_path, &st) < 0 || (st.st_mtim.tv_sec == resolver->read.tv_sec &&
                                     st.st_mtim.tv_nsec == resolver->read.tv_nsec)) {
        return;
    }
    (void)evdns_base_clear_nameservers_and_suspend(resolver->dns);
    evdns_base_clear_host_addresses(resolver->dns);
    read_files(resolver);
    (void)evdns_base_resume(resolver->dns);
}

int sb_resolver_new(struct event_base *base,
                    const char *server,
                    struct sb_resolver **ret_resolver,
                    struct sb_err *err)
{
    struct sb_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL) {
        return sb_err_oom(err);
    }
    resolver->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (resolver->dns == NULL) {
        free(resolver);
        return sb_err_set(err, SB_EXHAUSTED, "evdns cannot start");
    }
    (void)evdns_base_set_option(resolver->dns, "timeout:", "3");
    (void)evdns_base_set_option(resolver->dns, "attempts:", "2");
    (void)evdns_base_set_option(resolver->dns, "max-inflight:", MAX_QUESTIONS);
    resolver->is_fixed = server != NULL;
    if (!resolver->is_fixed) {
        read_files(resolver);
        resolver->looked_ms = sb_clock_mono_ms();
    } else if (evdns_base_nameserver_ip_add(resolver->dns, server) != 0) {
        sb_resolver_free(resolver);
        return sb_err_set(err, SB_INVALID, "name server \"%s\" is not address:port", server);
    }
    *ret_resolver = resolver;
    return 0;
}

void sb_resolver_free(struct sb_resolver *resolver)
{
    if (resolver != NULL) {
        evdns_base_free(resolver->dns, 0);
        free(resolver);
    }
}

/* IPv4 first: hosts without a way to IPv6 are common, and the other case costs nothing. */
static size_t
collect(const struct evutil_addrinfo *list, unsigned char (*out)[SB_ADDR_SIZE], size_t max)
{
    static const int families[] = {AF_INET, AF_INET6};
    size_t n = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        for (const struct evutil_addrinfo *at = list; at != NULL && n < max; at = at->ai_next) {
            if (at->ai_family == families[i] && sb_addr_from_socket(at->ai_addr, out[n])) {
                n++;
            }
        }
    }
    return n;
}

static void tell(struct sb_lookup *lookup,
                 const unsigned char (*addresses)[SB_ADDR_SIZE],
                 size_t n,
                 const char *why)
{
    lookup->is_done = true;
    if (lookup->fn != NULL) {
        lookup->fn(lookup->ctx, addresses, n, why);
    }
    if (!lookup->is_starting) {
        free(lookup);
    }
}

static const char *words_for(int code)
{
    return code == 0 ? "it has no address" : evutil_gai_strerror(code);
}

static const char too_long[] =
    "the name server's answer does not fit into a packet, and the proxy does not ask over TCP; a "
    "name server that gives shorter answers would do, or a line in /etc/hosts";

static void on_reason(int result, char type, int count, int ttl, void *addresses, void *ctx)
{
    struct sb_lookup *lookup = ctx;
    (void)type;
    (void)count;
    (void)ttl;
    (void)addresses;
    lookup->second = NULL;
    tell(lookup, NULL, 0,
         result == DNS_ERR_TRUNCATED ? too_long
         : result == DNS_ERR_NODATA  ? words_for(0)
                                     : words_for(lookup->code));
}

/* evdns of libevent 2.1 does not ask again over TCP, and evdns_getaddrinfo says of an answer that
 * was cut the same as of others without an address: the plain question tells. */
static bool ask_why(struct sb_lookup *lookup, int code)
{
    if (code != EVUTIL_EAI_FAIL && code != EVUTIL_EAI_NODATA) {
        return false;
    }
    lookup->code = code;
    lookup->second =
        evdns_base_resolve_ipv4(lookup->dns, lookup->name, DNS_QUERY_NO_SEARCH, on_reason, lookup);
    return lookup->second != NULL;
}

static void on_answer(int code, struct evutil_addrinfo *list, void *ctx)
{
    struct sb_lookup *lookup = ctx;
    unsigned char addresses[SB_EGRESS_ADDRESSES][SB_ADDR_SIZE];
    size_t n = code == 0 ? collect(list, addresses, SB_EGRESS_ADDRESSES) : 0;
    if (list != NULL) {
        evutil_freeaddrinfo(list);
    }
    lookup->request = NULL;
    if (lookup->fn == NULL || !ask_why(lookup, code)) {
        tell(lookup, (const unsigned char(*)[SB_ADDR_SIZE])addresses, n, words_for(code));
    }
}

int sb_resolve(struct sb_resolver *resolver,
               const char *name,
               sb_resolve_fn *fn,
               void *ctx,
               struct sb_lookup **ret_lookup,
               struct sb_err *err)
{
    const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    size_t len = strlen(name);
    struct sb_lookup *lookup = malloc(sizeof *lookup + len + 1);
    if (lookup == NULL) {
        return sb_err_oom(err);
    }
    *lookup = (struct sb_lookup){
        .dns = resolver->dns,
        .fn = fn,
        .ctx = ctx,
        .is_starting = true,
    };
    memcpy(lookup->name, name, len + 1);
    refresh(resolver);
    lookup->request = evdns_getaddrinfo(resolver->dns, name, NULL, &hints, on_answer, lookup);
    lookup->is_starting = false;
    if (lookup->is_done) {
        free(lookup);
        *ret_lookup = NULL;
        return 0;
    }
    *ret_lookup = lookup;
    return 0;
}

void sb_resolve_cancel(struct sb_lookup *lookup)
{
    if (lookup == NULL || lookup->fn == NULL) {
        return;
    }
    lookup->fn = NULL;
    /* The answer comes all the same, now or later, and frees. */
    if (lookup->request != NULL) {
        evdns_getaddrinfo_cancel(lookup->request);
    } else {
        evdns_cancel_request(lookup->dns, lookup->second);
    }
}
