#include "service/egress/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/egress/box.h"
#include "service/egress/tls.h"

/* ---- telling ---- */

/* A packet in the making: a head, then strings. */
struct packet {
    char bytes[sizeof(struct sb_egress_denied) + 4UL * SB_EGRESS_MAX_TEXT];
    size_t len;
};

static void put(struct packet *packet, const void *data, size_t len)
{
    memcpy(packet->bytes + packet->len, data, len);
    packet->len += len;
}

static void put_text(struct packet *packet, const char *text)
{
    size_t len = strnlen(text, SB_EGRESS_MAX_TEXT - 1);
    put(packet, text, len);
    put(packet, "", 1);
}

/* True: it is on its way. */
static bool send_now(struct sb_proxy *proxy, const void *data, size_t len)
{
    struct sb_err err;
    if (sb_fd_send(proxy->control, data, len, NULL, 0, &err) >= 0) {
        return true;
    }
    if (err.sys == EPIPE || err.sys == ECONNRESET) { /* the worker is gone */
        (void)event_base_loopbreak(proxy->base);
    } else {
        (void)event_add(&proxy->writable, NULL);
    }
    return false;
}

static bool send_denied(struct sb_box *box, const struct sb_refusal *refusal, uint32_t count)
{
    struct packet packet = {.len = 0};
    struct sb_egress_denied head = {
        .type = SB_EGRESS_DENIED,
        .reason = refusal->reason,
        .port = refusal->port,
        .count = count,
        .n_lost = box->lost_denied,
    };
    memcpy(head.id, box->id, sizeof head.id);
    put(&packet, &head, sizeof head);
    put_text(&packet, refusal->host[0] != '\0' ? refusal->host : "the proxy");
    put_text(&packet, refusal->rule);
    put_text(&packet, refusal->why);
    put_text(&packet, refusal->allow_with);
    if (!send_now(box->proxy, packet.bytes, packet.len)) {
        return false;
    }
    box->lost_denied = 0;
    return true;
}

static bool is_same_kind(const struct sb_refusal *a, const struct sb_refusal *b)
{
    return a->reason == b->reason && a->port == b->port && strcmp(a->host, b->host) == 0;
}

void sb_control_tell_denied(struct sb_box *box, const struct sb_refusal *refusal)
{
    box->n_denied++;
    SB_LOG_DEBUG("refused", "sandbox=%s host=%s port=%u reason=%s", box->id, refusal->host,
                 refusal->port, sb_refusal_name(refusal->reason));
    if (box->n_pending == 0 && send_denied(box, refusal, 1)) {
        return;
    }
    for (uint32_t i = 0; i < box->n_pending; i++) {
        if (is_same_kind(&box->pending[i].refusal, refusal)) {
            box->pending[i].count++;
            return;
        }
    }
    if (box->n_pending == SB_EGRESS_PENDING) {
        box->lost_denied++;
        return;
    }
    box->pending[box->n_pending++] = (struct sb_box_pending){*refusal, 1};
}

void sb_control_tell_decision(struct sb_box *box,
                              const char *host,
                              const char *address,
                              uint16_t port,
                              uint64_t out_bytes,
                              uint64_t in_bytes)
{
    struct packet packet = {.len = 0};
    struct sb_egress_decision head = {
        .type = SB_EGRESS_DECISION,
        .port = port,
        .n_lost = box->lost_decisions,
        .out_bytes = out_bytes,
        .in_bytes = in_bytes,
    };
    memcpy(head.id, box->id, sizeof head.id);
    put(&packet, &head, sizeof head);
    put_text(&packet, host);
    put_text(&packet, address);
    box->lost_decisions =
        send_now(box->proxy, packet.bytes, packet.len) ? 0 : box->lost_decisions + 1;
}

static bool send_updated(struct sb_box *box)
{
    struct sb_egress_updated head = {.type = SB_EGRESS_UPDATED, .serial = box->serial};
    memcpy(head.id, box->id, sizeof head.id);
    return send_now(box->proxy, &head, sizeof head);
}

static bool send_closed(struct sb_box *box)
{
    struct sb_egress_closed head = {
        .type = SB_EGRESS_CLOSED,
        .n_connections = box->n_connections,
        .n_denied = box->n_denied,
        .n_lost = box->lost_decisions,
        .out_bytes = box->out_bytes,
        .in_bytes = box->in_bytes,
    };
    memcpy(head.id, box->id, sizeof head.id);
    return send_now(box->proxy, &head, sizeof head);
}

static bool send_rejected(struct sb_proxy *proxy, const char *id)
{
    struct sb_egress_closed head = {.type = SB_EGRESS_CLOSED};
    memcpy(head.id, id, sizeof head.id);
    return send_now(proxy, &head, sizeof head);
}

/* An OPEN that cannot be followed: that sandbox has no way out, the others go on. */
static void reject(struct sb_proxy *proxy, const char *id, const char *why)
{
    SB_LOG_WARN("sandbox not taken", "sandbox=%s why=%s", id, why);
    if (proxy->n_rejected > 0 || !send_rejected(proxy, id)) {
        memcpy(proxy->rejected[proxy->n_rejected++], id, SB_EGRESS_ID_SIZE);
    }
}

static bool flush_rejected(struct sb_proxy *proxy)
{
    while (proxy->n_rejected > 0) {
        if (!send_rejected(proxy, proxy->rejected[proxy->n_rejected - 1])) {
            return false;
        }
        proxy->n_rejected--;
    }
    (void)event_add(&proxy->readable, NULL);
    return true;
}

/* What waits for room in the socket. True: nothing does any more. */
static bool flush_box(struct sb_box *box)
{
    while (box->n_pending > 0) {
        const struct sb_box_pending *last = &box->pending[box->n_pending - 1];
        if (!send_denied(box, &last->refusal, last->count)) {
            return false;
        }
        box->n_pending--;
    }
    if (box->has_updated && !send_updated(box)) {
        return false;
    }
    box->has_updated = false;
    if (box->listener < 0) {
        if (!send_closed(box)) {
            return false;
        }
        sb_box_free(box);
    }
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_proxy *proxy = ctx;
    (void)fd;
    (void)what;
    if (!flush_rejected(proxy)) {
        return;
    }
    SB_FOREACH (node, &proxy->boxes) {
        if (!flush_box(SB_LIST_ENTRY(node, struct sb_box, link))) {
            return;
        }
    }
}

/* ---- hearing ---- */

struct heard {
    uint32_t type;
    union {
        struct sb_egress_rules rules;
        struct sb_egress_close close;
        struct sb_egress_secret secret;
        struct sb_egress_authority authority;
    } head;
    struct sb_str text; /* behind the head */
    int fd;             /* owned; -1: none came */
};

/* Without memory for its rules a sandbox is closed. */
static int set_rules(struct sb_box *box, const struct heard *heard, struct sb_err *err)
{
    const struct sb_egress_rules *head = &heard->head.rules;
    SB_CLEANUP(sb_rules_done) struct sb_rules rules = {0};
    if (sb_rules_parse(heard->text, head->n_allow, head->n_deny, &rules, err) == 0) {
        sb_box_set_rules(box, &rules, head->max_connections, head->max_bytes);
        return 0;
    }
    if (err->code != SB_EXHAUSTED) {
        return -1;
    }
    SB_LOG_WARN("sandbox closed", "sandbox=%s why=%s", box->id, err->text);
    sb_box_close(box);
    return 0;
}

static int on_open(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_box *box = sb_box_find(proxy, heard->head.rules.id);
    if (heard->fd < 0 || box != NULL) {
        return sb_err_set(err, SB_INVALID, "OPEN without a socket, or of an open sandbox");
    }
    if (sb_box_open(proxy, heard->head.rules.id, heard->fd, &box, err) < 0) {
        reject(proxy, heard->head.rules.id, err->text);
        return 0;
    }
    (void)SB_STEAL_FD(heard->fd);
    box->earlier_bytes = heard->head.rules.used_bytes;
    if (set_rules(box, heard, err) < 0) {
        return -1;
    }
    box->n_secrets = heard->head.rules.n_secrets;
    box->needs_authority = heard->head.rules.has_authority != 0;
    sb_box_serve(box);
    (void)flush_box(box);
    return 0;
}

/* Without one of its secrets a sandbox is closed. */
static int on_secret(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_box *box = sb_box_find(proxy, heard->head.secret.id);
    if (box == NULL) {
        return 0;
    }
    if (box->secrets.n >= box->n_secrets) {
        return sb_err_set(err, SB_INVALID, "SECRET that was not announced");
    }
    if (sb_secrets_add(&box->secrets, &heard->head.secret, heard->text, err) < 0) {
        if (err->code != SB_EXHAUSTED) {
            return -1;
        }
        SB_LOG_WARN("sandbox closed", "sandbox=%s why=%s", box->id, err->text);
        sb_box_close(box);
        (void)flush_box(box);
    } else {
        sb_box_serve(box);
    }
    return 0;
}

static int on_authority(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_box *box = sb_box_find(proxy, heard->head.authority.id);
    struct sb_str cert = {0};
    struct sb_str key = {0};
    if (box == NULL) {
        return 0;
    }
    if (!box->needs_authority || box->authority != NULL ||
        !sb_str_split(heard->text, '\0', &cert, &key) || key.len == 0 ||
        memchr(key.ptr, '\0', key.len) != key.ptr + key.len - 1) {
        return sb_err_set(err, SB_INVALID, "AUTHORITY");
    }
    if (sb_tls_authority_new(cert, sb_str_head(key, key.len - 1), &box->authority, err) < 0) {
        return -1;
    }
    sb_box_serve(box);
    return 0;
}

static int on_update(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_box *box = sb_box_find(proxy, heard->head.rules.id);
    if (box == NULL) {
        return 0;
    }
    if (set_rules(box, heard, err) < 0) {
        return -1;
    }
    box->serial = heard->head.rules.serial;
    box->has_updated = box->listener >= 0;
    (void)flush_box(box);
    return 0;
}

static int on_close(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_box *box = sb_box_find(proxy, heard->head.close.id);
    (void)err;
    if (box != NULL) {
        sb_box_close(box);
        (void)flush_box(box);
    }
    return 0;
}

static const struct {
    size_t size;
    int (*fn)(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err);
    uint32_t type;
    bool has_text;
} rows[] = {
    {sizeof(struct sb_egress_rules), on_open, SB_EGRESS_OPEN, true},
    {sizeof(struct sb_egress_rules), on_update, SB_EGRESS_UPDATE, true},
    {sizeof(struct sb_egress_close), on_close, SB_EGRESS_CLOSE, false},
    {sizeof(struct sb_egress_secret), on_secret, SB_EGRESS_SECRET, true},
    {sizeof(struct sb_egress_authority), on_authority, SB_EGRESS_AUTHORITY, true},
};

/* The id lies at the same place in each. */
_Static_assert(offsetof(struct sb_egress_rules, id) == offsetof(struct sb_egress_close, id) &&
                   offsetof(struct sb_egress_rules, id) == offsetof(struct sb_egress_secret, id) &&
                   offsetof(struct sb_egress_rules, id) == offsetof(struct sb_egress_authority, id),
               "id");

static int dispatch(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_str packet = heard->text;
    if (packet.len >= sizeof heard->type) {
        memcpy(&heard->type, packet.ptr, sizeof heard->type);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].type != heard->type || packet.len < rows[i].size ||
            (packet.len > rows[i].size && !rows[i].has_text)) {
            continue;
        }
        memcpy(&heard->head, packet.ptr, rows[i].size);
        if (memchr(heard->head.rules.id, '\0', SB_EGRESS_ID_SIZE) == NULL) {
            break;
        }
        heard->text = (struct sb_str){packet.ptr + rows[i].size, packet.len - rows[i].size};
        return rows[i].fn(proxy, heard, err);
    }
    return sb_err_set(err, SB_INVALID, "packet %u of %zu bytes", heard->type, packet.len);
}

/* The kernel found no room for the socket of an OPEN: the packet is lost, but for its start. */
static bool is_lost_open(const struct sb_proxy *proxy,
                         const struct sb_egress_close *start,
                         const struct sb_err *err)
{
    return err->code == SB_EXHAUSTED && err->sys == 0 && start->type == SB_EGRESS_OPEN &&
           memchr(start->id, '\0', sizeof start->id) != NULL &&
           sb_box_find(proxy, start->id) == NULL;
}

/* Takes one packet. Returns 1: done, 0: there is none, -1: the worker is gone (err->code is SB_OK),
 * or what it says cannot be followed. */
static int hear(struct sb_proxy *proxy, struct sb_err *err)
{
    static char packet[SB_EGRESS_MAX_PACKET]; /* one thread, one control socket */
    struct sb_egress_close start = {0};
    SB_CLEANUP(sb_closep) int passed = -1;
    struct sb_fd_msg msg = {.data = packet, .cap = sizeof packet, .fds = &passed, .nfds_cap = 1};
    *err = (struct sb_err){0};
    if (recv(proxy->control, &start, sizeof start, MSG_PEEK | MSG_DONTWAIT) < 0 &&
        errno == EAGAIN) { /* one that comes only now is of the next turn: its start is not known */
        return 0;
    }
    int got = sb_fd_recv(proxy->control, &msg, MSG_DONTWAIT, err);
    if (got < 0 && err->sys == EAGAIN) {
        return 0;
    }
    if (got < 0 && is_lost_open(proxy, &start, err)) {
        reject(proxy, start.id, err->text);
        return 1;
    }
    if (got == 0 || err->sys == ECONNRESET) { /* it went, perhaps without reading all */
        *err = (struct sb_err){0};
        return -1;
    }
    if (got < 0) {
        return -1;
    }
    struct heard heard = {.text = {packet, msg.len}, .fd = -1};
    heard.fd = msg.nfds > 0 ? SB_STEAL_FD(passed) : -1;
    int rc = dispatch(proxy, &heard, err);
    if (heard.type == SB_EGRESS_SECRET || heard.type == SB_EGRESS_AUTHORITY) {
        explicit_bzero(packet, msg.len);
    }
    sb_closep(&heard.fd);
    return rc < 0 ? -1 : 1;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_proxy *proxy = ctx;
    struct sb_err err;
    (void)fd;
    (void)what;
    for (int i = 0; i < SB_EGRESS_CONTROL_TURN; i++) {
        if (proxy->n_rejected == SB_EGRESS_REJECTED) { /* until it has heard of those */
            (void)event_del(&proxy->readable);
            return;
        }
        int heard = hear(proxy, &err);
        if (heard == 0) {
            return;
        }
        if (heard < 0) { /* fail closed */
            if (err.code != SB_OK) {
                SB_LOG_ERROR("control socket", "why=%s", err.text);
                proxy->exit_code = EXIT_FAILURE;
            }
            (void)event_base_loopbreak(proxy->base);
            return;
        }
    }
}

int sb_control_start(struct sb_proxy *proxy, int fd, struct sb_err *err)
{
    const struct sb_egress_ready ready = {SB_EGRESS_READY, SB_EGRESS_VERSION};
    proxy->control = fd;
    if (sb_fd_nonblock(fd, err) < 0) {
        return -1;
    }
    (void)event_assign(&proxy->readable, proxy->base, fd, EV_READ | EV_PERSIST, on_readable, proxy);
    (void)event_assign(&proxy->writable, proxy->base, fd, EV_WRITE, on_writable, proxy);
    (void)event_add(&proxy->readable, NULL);
    if (sb_fd_send(fd, &ready, sizeof ready, NULL, 0, err) < 0) {
        return sb_err_wrap(err, "READY");
    }
    return 0;
}
