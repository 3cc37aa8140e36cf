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
    if (err.sys == EAGAIN) {
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
        .out_bytes = box->out_bytes,
        .in_bytes = box->in_bytes,
    };
    memcpy(head.id, box->id, sizeof head.id);
    return send_now(box->proxy, &head, sizeof head);
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
    } head;
    struct sb_str text; /* behind the head */
    int fd;             /* owned; -1: none came */
};

static int set_rules(struct sb_box *box, const struct heard *heard, struct sb_err *err)
{
    const struct sb_egress_rules *head = &heard->head.rules;
    SB_CLEANUP(sb_rules_done) struct sb_rules rules = {0};
    if (sb_rules_parse(heard->text, head->n_allow, head->n_deny, &rules, err) < 0) {
        return -1;
    }
    sb_box_set_rules(box, &rules, head->max_connections, head->max_bytes);
    return 0;
}

static int on_open(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err)
{
    struct sb_box *box = sb_box_find(proxy, heard->head.rules.id);
    if (heard->fd < 0 || box != NULL) {
        return sb_err_set(err, SB_INVALID, "OPEN without a socket, or of an open sandbox");
    }
    if (sb_box_open(proxy, heard->head.rules.id, heard->fd, &box, err) < 0) {
        SB_LOG_WARN("sandbox not taken", "sandbox=%s why=%s", heard->head.rules.id, err->text);
        return 0; /* it stays without a network */
    }
    (void)SB_STEAL_FD(heard->fd);
    return set_rules(box, heard, err);
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
    box->has_updated = true;
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
    uint32_t type;
    size_t size;
    bool has_text;
    int (*fn)(struct sb_proxy *proxy, struct heard *heard, struct sb_err *err);
} rows[] = {
    {SB_EGRESS_OPEN, sizeof(struct sb_egress_rules), true, on_open},
    {SB_EGRESS_UPDATE, sizeof(struct sb_egress_rules), true, on_update},
    {SB_EGRESS_CLOSE, sizeof(struct sb_egress_close), false, on_close},
};

/* The id lies at the same place in each. */
_Static_assert(offsetof(struct sb_egress_rules, id) == offsetof(struct sb_egress_close, id), "id");

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

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    static char packet[SB_EGRESS_MAX_PACKET]; /* one thread, one control socket */
    struct sb_proxy *proxy = ctx;
    struct sb_err err;
    (void)what;
    for (int i = 0; i < SB_EGRESS_CONTROL_TURN; i++) {
        SB_CLEANUP(sb_closep) int passed = -1;
        struct sb_fd_msg msg = {
            .data = packet, .cap = sizeof packet, .fds = &passed, .nfds_cap = 1};
        int got = sb_fd_recv(fd, &msg, MSG_DONTWAIT, &err);
        if (got < 0 && err.sys == EAGAIN) {
            return;
        }
        if (got < 0 && err.sys == ECONNRESET) { /* it went without reading all that was said */
            got = 0;
        }
        struct heard heard = {.text = {packet, msg.len}, .fd = -1};
        if (got > 0) {
            heard.fd = msg.nfds > 0 ? SB_STEAL_FD(passed) : -1;
            got = dispatch(proxy, &heard, &err) < 0 ? -1 : 1;
            sb_closep(&heard.fd);
        }
        if (got <= 0) { /* the worker is gone; or what it says cannot be followed: fail closed */
            if (got < 0) {
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
