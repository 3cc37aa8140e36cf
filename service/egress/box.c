#include "service/egress/box.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutate.h"
#include "service/egress/conn.h"
#include "service/egress/control.h"
#include "service/egress/tls.h"

static void pause_for_a_while(struct sb_box *box)
{
    const struct timeval tv = {0, SB_EGRESS_RESUME_MS * 1000L};
    (void)event_del(&box->acceptable);
    (void)event_add(&box->resume, &tv);
}

static bool is_full(const struct sb_box *box)
{
    return (box->n_conns >= box->max_conns && !sb_mutated("egress.connections")) ||
           box->proxy->n_conns >= box->proxy->max_conns;
}

/* A connection beyond a bound: it waits in the backlog. Only its own bound is held against the
 * sandbox. */
static void set_full(struct sb_box *box)
{
    struct sb_refusal refusal;
    (void)event_del(&box->acceptable);
    box->is_full = true;
    if (box->n_conns >= box->max_conns) {
        (void)sb_refusal_set_limit(&refusal, NULL, 0, "max_connections",
                                   "too many connections at one time: the next ones wait");
        sb_control_tell_denied(box, &refusal);
    } else if (!box->proxy->is_full) {
        box->proxy->is_full = true;
        SB_LOG_WARN("connections wait: all sandboxes together have as many as the proxy can",
                    "sandbox=%s max=%u", box->id, box->proxy->max_conns);
    }
}

static void on_acceptable(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_box *box = ctx;
    (void)what;
    for (int i = 0; i < SB_EGRESS_ACCEPT_TURN; i++) {
        struct sb_err err;
        if (is_full(box)) {
            if (i == 0) { /* else nobody may be waiting */
                set_full(box);
            }
            return;
        }
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                SB_LOG_WARN("accept failed", "sandbox=%s errno=%d", box->id, errno);
                pause_for_a_while(box);
            }
            return;
        }
        if (sb_conn_start(box, client, &err) < 0) {
            SB_LOG_WARN("connection dropped", "sandbox=%s why=%s", box->id, err.text);
            close(client);
            pause_for_a_while(box);
            return;
        }
    }
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_box *box = ctx;
    (void)fd;
    (void)what;
    (void)event_add(&box->acceptable, NULL);
}

static struct sb_conn *find_waiting(const struct sb_box *box)
{
    SB_FOREACH (node, &box->conns) {
        struct sb_conn *conn = SB_LIST_ENTRY(node, struct sb_conn, link);
        if (conn->stage == SB_CONN_RESOLVING && !conn->is_looked_up) {
            return conn;
        }
    }
    return NULL;
}

static void on_may_look_up(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_box *box = ctx;
    struct sb_conn *conn = NULL;
    (void)fd;
    (void)what;
    while (box->n_lookups < SB_EGRESS_BOX_LOOKUPS && (conn = find_waiting(box)) != NULL) {
        sb_conn_look_up(conn);
    }
}

int sb_box_open(struct sb_proxy *proxy,
                const char *id,
                int listener,
                struct sb_box **ret_box,
                struct sb_err *err)
{
    if (proxy->n_boxes >= proxy->max_boxes) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %u sandboxes", proxy->max_boxes);
    }
    if (sb_fd_nonblock(listener, err) < 0) {
        return -1;
    }
    struct sb_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return sb_err_oom(err);
    }
    box->proxy = proxy;
    box->listener = listener;
    memcpy(box->id, id, sizeof box->id);
    box->max_conns = SB_EGRESS_MAX_CONNECTIONS;
    sb_list_init(&box->conns);
    (void)event_assign(&box->acceptable, proxy->base, listener, EV_READ | EV_PERSIST, on_acceptable,
                       box);
    (void)event_assign(&box->resume, proxy->base, -1, 0, on_resume, box);
    (void)event_assign(&box->may_look_up, proxy->base, -1, 0, on_may_look_up, box);
    sb_list_append(&proxy->boxes, &box->link);
    proxy->n_boxes++;
    *ret_box = box;
    return 0;
}

void sb_box_serve(struct sb_box *box)
{
    if (box->listener >= 0 && box->secrets.n == box->n_secrets &&
        (box->authority != NULL || !box->needs_authority)) {
        (void)event_add(&box->acceptable, NULL);
    }
}

const struct sb_tls_trust *sb_proxy_trust(struct sb_proxy *proxy, struct sb_err *err)
{
    if (proxy->trust == NULL && sb_tls_trust_new(SB_STR(""), &proxy->trust, err) < 0) {
        return NULL;
    }
    return proxy->trust;
}

struct sb_box *sb_box_find(const struct sb_proxy *proxy, const char *id)
{
    SB_FOREACH (node, &proxy->boxes) {
        struct sb_box *box = SB_LIST_ENTRY(node, struct sb_box, link);
        if (box->listener >= 0 && strcmp(box->id, id) == 0) {
            return box;
        }
    }
    return NULL;
}

void sb_box_set_rules(struct sb_box *box,
                      struct sb_rules *rules,
                      uint32_t max_conns,
                      uint64_t max_bytes)
{
    sb_rules_done(&box->rules);
    box->rules = *rules;
    *rules = (struct sb_rules){0};
    bool is_less = max_conns > 0 && max_conns < SB_EGRESS_MAX_CONNECTIONS;
    box->max_conns = is_less ? max_conns : SB_EGRESS_MAX_CONNECTIONS;
    box->max_bytes = max_bytes;
    SB_FOREACH (node, &box->conns) { /* also of what the new bound leaves nothing */
        sb_conn_recheck(SB_LIST_ENTRY(node, struct sb_conn, link));
    }
    sb_box_released(box);
}

void sb_box_close(struct sb_box *box)
{
    SB_FOREACH (node, &box->conns) {
        sb_conn_end(SB_LIST_ENTRY(node, struct sb_conn, link));
    }
    (void)event_del(&box->acceptable);
    (void)event_del(&box->resume);
    (void)event_del(&box->may_look_up);
    if (box->listener >= 0) {
        close(box->listener);
        box->listener = -1;
    }
}

void sb_box_free(struct sb_box *box)
{
    sb_box_close(box);
    sb_list_remove(&box->link);
    box->proxy->n_boxes--;
    sb_rules_done(&box->rules);
    sb_secrets_done(&box->secrets);
    sb_tls_authority_free(box->authority);
    free(box);
}

void sb_box_released(const struct sb_box *box)
{
    struct sb_proxy *proxy = box->proxy;
    if (proxy->n_conns < proxy->max_conns / 2) { /* not with each that ends */
        proxy->is_full = false;
    }
    SB_FOREACH (node, &proxy->boxes) {
        struct sb_box *other = SB_LIST_ENTRY(node, struct sb_box, link);
        if (other->is_full && other->listener >= 0 && other->n_conns < other->max_conns) {
            other->is_full = false;
            (void)event_add(&other->acceptable, NULL);
        }
    }
}

uint64_t sb_box_left(const struct sb_box *box)
{
    uint64_t used = box->earlier_bytes + box->out_bytes + box->in_bytes;
    if (box->max_bytes == 0) {
        return UINT64_MAX;
    }
    return used < box->max_bytes ? box->max_bytes - used : 0;
}

bool sb_box_count(struct sb_box *box, uint64_t out_bytes, uint64_t in_bytes)
{
    box->out_bytes += out_bytes;
    box->in_bytes += in_bytes;
    return sb_box_left(box) > 0 || sb_mutated("egress.bytes");
}
