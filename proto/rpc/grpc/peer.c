#include "proto/rpc/grpc/peer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>

#include "base/err.h"
#include "base/str.h"

enum { FIRST_CONNS = 64 };

/* ---- what core says ---- */

/** Core writes the brackets of "ipv6:[::1]:7" as %5B and %5D. */
static char *copy_unescaped(const char *uri)
{
    char *text = malloc(strlen(uri) + 1);
    if (text == NULL) {
        return NULL;
    }
    char *out = text;
    for (const char *in = uri; *in != '\0'; in++) {
        if (strncasecmp(in, "%5B", 3) == 0 || strncasecmp(in, "%5D", 3) == 0) {
            *out++ = (in[2] == 'B' || in[2] == 'b') ? '[' : ']';
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return text;
}

/** "fd:17" is 17; -1 for other addresses. */
static int adopted_fd(const char *address)
{
    if (strncmp(address, "fd:", 3) != 0) {
        return -1;
    }
    char *end = NULL;
    long fd = strtol(address + 3, &end, 10);
    return end != address + 3 && *end == '\0' && fd >= 0 && fd <= INT32_MAX ? (int)fd : -1;
}

static char *copy_property(const grpc_auth_context *context, const char *name)
{
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(context, name);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&it);
    /* A NUL inside would let "good\0evil" pass for "good". */
    if (property == NULL || property->value_length == 0 ||
        memchr(property->value, '\0', property->value_length) != NULL) {
        return NULL;
    }
    return strndup(property->value, property->value_length);
}

static void read_auth(grpc_call *call, struct sb_grpc_peer *peer)
{
    static const char *const names[] = {
        GRPC_PEER_URI_PROPERTY_NAME,
        GRPC_PEER_DNS_PROPERTY_NAME,
        GRPC_X509_CN_PROPERTY_NAME,
    };
    grpc_auth_context *context = grpc_call_auth_context(call);
    if (context == NULL) {
        return;
    }
    char *security = copy_property(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
    if (security != NULL && strcmp(security, GRPC_SSL_TRANSPORT_SECURITY_TYPE) == 0) {
        peer->transport = "tls";
        for (size_t i = 0; i < sizeof names / sizeof *names && peer->identity == NULL; i++) {
            peer->identity = copy_property(context, names[i]);
        }
    }
    free(security);
    grpc_auth_context_release(context);
}

int sb_grpc_peer_read(grpc_call *call, struct sb_grpc_peer *ret_peer)
{
    struct sb_grpc_peer peer = {.transport = "tcp", .fd = -1};
    char *uri = grpc_call_get_peer(call);
    peer.fd = adopted_fd(uri);
    peer.address = peer.fd >= 0 ? strdup("unix:") : copy_unescaped(uri);
    gpr_free(uri);
    if (peer.address == NULL) {
        return -1;
    }
    if (peer.fd >= 0) {
        peer.transport = "unix";
    } else {
        read_auth(call, &peer);
    }
    *ret_peer = peer;
    return 0;
}

void sb_grpc_peer_done(struct sb_grpc_peer *peer)
{
    free(peer->address);
    free(peer->identity);
    peer->address = NULL;
    peer->identity = NULL;
}

/* ---- adopted connections ---- */

static ino_t socket_ino(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/** Forgets the connections that core has closed. Their numbers may be anybody's now: looks only. */
static void sweep(struct sb_grpc_conns *conns)
{
    conns->n_known = 0;
    for (size_t i = 0; i < conns->n; i++) {
        struct sb_grpc_conn *conn = &conns->list[i];
        conn->is_known = conn->is_known && socket_ino((int)i) == conn->ino;
        conns->n_known += conn->is_known;
    }
}

static int make_room(struct sb_grpc_conns *conns, size_t at, struct sb_err *err)
{
    size_t n = conns->n == 0 ? FIRST_CONNS : conns->n;
    while (n <= at) {
        n *= 2;
    }
    if (n == conns->n) {
        return 0;
    }
    struct sb_grpc_conn *list = realloc(conns->list, n * sizeof *list);
    if (list == NULL) {
        return sb_err_oom(err);
    }
    memset(list + conns->n, 0, (n - conns->n) * sizeof *list);
    conns->list = list;
    conns->n = n;
    return 0;
}

int sb_grpc_conns_put(
    struct sb_grpc_conns *conns, int fd, const struct ucred *cred, size_t max, struct sb_err *err)
{
    if (conns->n_known >= max) {
        sweep(conns);
    }
    if (conns->n_known >= max) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %zu gRPC connections", max);
    }
    if (make_room(conns, (size_t)fd, err) < 0) {
        return -1;
    }
    struct sb_grpc_conn *conn = &conns->list[fd];
    conns->n_known += !conn->is_known;
    *conn = (struct sb_grpc_conn){.pid = cred->pid,
                                  .uid = cred->uid,
                                  .gid = cred->gid,
                                  .is_known = true,
                                  .ino = socket_ino(fd)};
    return 0;
}

const struct sb_grpc_conn *sb_grpc_conns_get(const struct sb_grpc_conns *conns, int fd)
{
    if (fd < 0 || (size_t)fd >= conns->n || !conns->list[fd].is_known) {
        return NULL;
    }
    return &conns->list[fd];
}

void sb_grpc_conns_done(struct sb_grpc_conns *conns)
{
    free(conns->list);
    *conns = (struct sb_grpc_conns){0};
}
