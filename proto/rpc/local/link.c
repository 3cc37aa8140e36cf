#include "proto/rpc/local/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

enum {
    READ_BYTES = 64 << 10,  /* one recvmsg */
    TURN_BYTES = 256 << 10, /* one sb_link_receive: others want a turn as well */
    FILL_BYTES = 64 << 10,  /* output kept ready for the kernel */
    OUT_CLOG_BYTES = SB_FRAME_MAX_BYTES + (256 << 10),
    OUT_MAX_BYTES = OUT_CLOG_BYTES + (1 << 20),
    IN_MAX_BYTES = SB_FRAME_MAX_BYTES + SB_FRAME_HEADER_BYTES + READ_BYTES,
    IDLE_BUFFER_BYTES = 128 << 10, /* a larger buffer is given back when empty */
};

struct sb_link_passing {
    struct sb_link_passing *next;
    uint64_t at; /* goes with this byte of the output */
    size_t n;
    int fds[SB_RPC_MAX_FDS];
};

/* ---- queues ---- */

/** What an item counts for marks and credit: with its header, or empty messages would be free. */
static size_t cost(const struct sb_link_item *item)
{
    return SB_FRAME_HEADER_BYTES + (size_t)item->len;
}

static void push(struct sb_link_queue *queue, struct sb_link_item *item)
{
    item->next = NULL;
    if (queue->tail == NULL) {
        queue->head = item;
    } else {
        queue->tail->next = item;
    }
    queue->tail = item;
    queue->bytes += cost(item);
}

static struct sb_link_item *pop(struct sb_link_queue *queue)
{
    struct sb_link_item *item = queue->head;
    if (item == NULL) {
        return NULL;
    }
    queue->head = item->next;
    if (queue->head == NULL) {
        queue->tail = NULL;
    }
    queue->bytes -= cost(item);
    return item;
}

static void clear(struct sb_link_queue *queue)
{
    for (struct sb_link_item *item; (item = pop(queue)) != NULL;) {
        free(item);
    }
}

static struct sb_link_item *new_item(size_t len)
{
    struct sb_link_item *item = malloc(sizeof *item + len);
    if (item != NULL) {
        *item = (struct sb_link_item){.len = (uint32_t)len};
    }
    return item;
}

/* ---- flows ---- */

void sb_flow_init(struct sb_flow *flow, uint32_t id, bool is_credited)
{
    *flow = (struct sb_flow){.id = id, .is_credited = is_credited};
}

void sb_flow_done(struct sb_flow *flow)
{
    clear(&flow->in);
    clear(&flow->out);
    sb_list_remove(&flow->in_table);
    sb_list_remove(&flow->in_ready);
    sb_list_remove(&flow->in_ending);
}

static size_t bucket_of(uint32_t id)
{
    return (id >> 1) % SB_LINK_BUCKETS; /* a client's ids are all odd */
}

void sb_link_add(struct sb_link *link, struct sb_flow *flow)
{
    sb_list_append(&link->buckets[bucket_of(flow->id)], &flow->in_table);
}

struct sb_flow *sb_link_find(const struct sb_link *link, uint32_t id)
{
    const struct sb_list *head = &link->buckets[bucket_of(id)];
    SB_FOREACH (node, head) {
        struct sb_flow *flow = SB_LIST_ENTRY(node, struct sb_flow, in_table);
        if (flow->id == id) {
            return flow;
        }
    }
    return NULL;
}

static bool may_move(const struct sb_flow *flow)
{
    const struct sb_link_item *item = flow->out.head;
    return item != NULL && (!flow->is_credited || item->type != SB_FRAME_DATA ||
                            flow->in_flight < SB_LINK_WINDOW_BYTES);
}

static void make_ready(struct sb_link *link, struct sb_flow *flow)
{
    if (!sb_list_is_linked(&flow->in_ready) && may_move(flow)) {
        sb_list_append(&link->ready, &flow->in_ready);
    }
}

static void queue_item(struct sb_link *link, struct sb_flow *flow, struct sb_link_item *item)
{
    push(&flow->out, item);
    if (flow->out.bytes > SB_RPC_HIGH_BYTES) {
        flow->is_over_high = true;
    }
    make_ready(link, flow);
}

int sb_flow_send_message(struct sb_link *link,
                         struct sb_flow *flow,
                         const ProtobufCMessage *msg,
                         size_t max_bytes,
                         struct sb_err *err)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    if (len > max_bytes) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "%s of %zu bytes is larger than a message may be (%zu)",
                          msg->descriptor->short_name, len, max_bytes);
    }
    struct sb_link_item *item = new_item(len);
    if (item == NULL) {
        return sb_err_oom(err);
    }
    item->type = SB_FRAME_DATA;
    (void)protobuf_c_message_pack(msg, item->data);
    queue_item(link, flow, item);
    return 0;
}

int sb_flow_send(struct sb_link *link,
                 struct sb_flow *flow,
                 const struct sb_frame *frame,
                 const void *data,
                 bool is_last)
{
    struct sb_link_item *item = new_item(frame->len);
    if (item == NULL) {
        link->is_broken = true;
        return -1;
    }
    item->type = frame->type;
    item->flags = frame->flags;
    item->is_last = is_last;
    if (frame->len > 0) {
        memcpy(item->data, data, frame->len);
    }
    queue_item(link, flow, item);
    return 0;
}

void sb_flow_clear(struct sb_flow *flow)
{
    clear(&flow->out);
    sb_list_remove(&flow->in_ready);
}

bool sb_flow_take_drained(struct sb_flow *flow)
{
    if (!flow->is_over_high || flow->out.bytes > SB_RPC_LOW_BYTES) {
        return false;
    }
    flow->is_over_high = false;
    return true;
}

void sb_flow_credit(struct sb_link *link, struct sb_flow *flow, uint32_t n)
{
    flow->in_flight -= n < flow->in_flight ? n : flow->in_flight;
    make_ready(link, flow);
}

int sb_flow_keep(struct sb_flow *flow, const uint8_t *data, uint32_t len, struct sb_err *err)
{
    if (flow->is_credited && flow->in.bytes + flow->unreturned >= SB_LINK_WINDOW_BYTES) {
        return sb_err_set(err, SB_EXHAUSTED, "the peer sends more than it has credit for");
    }
    struct sb_link_item *item = new_item(len);
    if (item == NULL) {
        return sb_err_oom(err);
    }
    if (len > 0) {
        memcpy(item->data, data, len);
    }
    push(&flow->in, item);
    return 0;
}

struct sb_link_item *sb_flow_take(struct sb_link *link, struct sb_flow *flow)
{
    struct sb_link_item *item = pop(&flow->in);
    if (item == NULL || !flow->is_credited) {
        return item;
    }
    flow->unreturned += cost(item);
    if (flow->unreturned >= SB_LINK_WINDOW_BYTES / 2) {
        uint8_t data[4];
        sb_frame_put_u32(data, (uint32_t)flow->unreturned);
        struct sb_frame frame = {sizeof data, flow->id, SB_FRAME_CREDIT, 0};
        sb_link_put(link, &frame, data);
        flow->unreturned = 0;
    }
    return item;
}

/* ---- link ---- */

void sb_link_init(struct sb_link *link, int fd, const struct sb_link_ops *ops, void *ctx)
{
    *link = (struct sb_link){.fd = fd, .ops = ops, .ctx = ctx};
    sb_buf_init(&link->in, IN_MAX_BYTES);
    sb_buf_init(&link->out, OUT_MAX_BYTES);
    sb_list_init(&link->ready);
    sb_list_init(&link->ending);
    for (size_t i = 0; i < SB_LINK_BUCKETS; i++) {
        sb_list_init(&link->buckets[i]);
    }
}

static void unlink_all(struct sb_list *head)
{
    while (sb_list_pop(head) != NULL) {
    }
}

static void drop_passing(struct sb_link *link)
{
    struct sb_link_passing *passing = link->passing;
    link->passing = passing->next;
    sb_fd_close_all(passing->fds, passing->n);
    free(passing);
}

void sb_link_done(struct sb_link *link)
{
    unlink_all(&link->ready);
    unlink_all(&link->ending);
    for (size_t i = 0; i < SB_LINK_BUCKETS; i++) {
        unlink_all(&link->buckets[i]);
    }
    while (link->passing != NULL) {
        drop_passing(link);
    }
    sb_fd_close_all(link->fds, link->n_fds);
    link->n_fds = 0;
    sb_buf_done(&link->in);
    sb_buf_done(&link->out);
    sb_closep(&link->fd);
    link->fd = -1;
}

bool sb_link_is_clogged(const struct sb_link *link)
{
    return !link->reads_always && link->out.len > OUT_CLOG_BYTES;
}

/* ---- receiving ---- */

/** Runs the frames that are complete. */
static int parse(struct sb_link *link, struct sb_err *err)
{
    while (!link->is_paused && !sb_link_is_clogged(link)) {
        size_t n = link->skip < link->in.len ? link->skip : link->in.len;
        sb_buf_consume(&link->in, n);
        link->skip -= n;
        if (link->in.len < SB_FRAME_HEADER_BYTES) {
            return 0;
        }
        const uint8_t *at = (const uint8_t *)sb_buf_cstr(&link->in);
        struct sb_frame frame = sb_frame_decode(at);
        if (frame.len >= SB_FRAME_ABSURD_BYTES) {
            return sb_err_set(err, SB_INVALID, "the peer does not speak ttrpc");
        }
        if (frame.len > SB_FRAME_MAX_BYTES) {
            sb_buf_consume(&link->in, SB_FRAME_HEADER_BYTES);
            link->skip = frame.len;
            link->ops->oversize(link, &frame);
            continue;
        }
        if (link->in.len - SB_FRAME_HEADER_BYTES < frame.len) {
            return 0;
        }
        link->ops->frame(link, &frame, at + SB_FRAME_HEADER_BYTES);
        sb_buf_consume(&link->in, SB_FRAME_HEADER_BYTES + (size_t)frame.len);
    }
    return 0;
}

/** Returns 1 with *ret_len bytes added, 0 when nothing is there, -1. */
static int read_some(struct sb_link *link, size_t *ret_len, struct sb_err *err)
{
    void *room = NULL;
    if (sb_buf_reserve(&link->in, READ_BYTES, &room) < 0) {
        return sb_err_sys(err, errno, "input buffer");
    }
    struct sb_fd_msg msg = {
        .data = room,
        .cap = READ_BYTES,
        .fds = link->fds + link->n_fds,
        .nfds_cap = SB_LINK_MAX_FDS - link->n_fds,
    };
    int r = sb_fd_recv(link->fd, &msg, MSG_DONTWAIT, err);
    if (r < 0) {
        if (err->sys == EAGAIN || err->sys == EWOULDBLOCK) {
            return 0;
        }
        err->code = err->code == SB_INVALID ? SB_INVALID : SB_UNAVAILABLE;
        return -1;
    }
    if (r == 0) {
        return sb_err_set(err, SB_UNAVAILABLE, "the peer closed the connection");
    }
    link->n_fds += msg.nfds;
    sb_buf_commit(&link->in, msg.len);
    *ret_len = msg.len;
    return 1;
}

int sb_link_receive(struct sb_link *link, struct sb_err *err)
{
    if (parse(link, err) < 0) {
        return -1;
    }
    for (size_t total = 0; total < TURN_BYTES && !link->is_paused && !sb_link_is_clogged(link);) {
        size_t n = 0;
        int r = read_some(link, &n, err);
        if (r < 0 || (r > 0 && parse(link, err) < 0)) {
            return -1;
        }
        if (r == 0 || n < READ_BYTES) {
            /* A short read may still be followed by bytes with descriptors: the poll will say. */
            break;
        }
        total += n;
    }
    if (link->in.len == 0 && link->in.cap > IDLE_BUFFER_BYTES) {
        sb_buf_done(&link->in);
    }
    return 0;
}

/* ---- sending ---- */

void sb_link_put(struct sb_link *link, const struct sb_frame *frame, const void *data)
{
    uint8_t header[SB_FRAME_HEADER_BYTES];
    sb_frame_encode(frame, header);
    size_t len = sizeof header + frame->len;
    if (link->fd < 0) {
        return;
    }
    void *room = NULL;
    if (sb_buf_room(&link->out) < len || sb_buf_reserve(&link->out, len, &room) < 0) {
        link->is_broken = true;
        return;
    }
    memcpy(room, header, sizeof header);
    if (frame->len > 0) {
        memcpy((uint8_t *)room + sizeof header, data, frame->len);
    }
    sb_buf_commit(&link->out, len);
    link->out_total += len;
}

int sb_link_pass_fds(struct sb_link *link, const int *fds, size_t n, struct sb_err *err)
{
    struct sb_link_passing *passing = calloc(1, sizeof *passing);
    if (passing == NULL) {
        return sb_err_oom(err);
    }
    passing->at = link->out_total;
    for (; passing->n < n; passing->n++) {
        passing->fds[passing->n] = fcntl(fds[passing->n], F_DUPFD_CLOEXEC, 3);
        if (passing->fds[passing->n] < 0) {
            (void)sb_err_sys(err, errno, "duplicate fd %d", fds[passing->n]);
            sb_fd_close_all(passing->fds, passing->n);
            free(passing);
            return -1;
        }
    }
    struct sb_link_passing **tail = &link->passing;
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    *tail = passing;
    return 0;
}

bool sb_link_take_fds(struct sb_link *link, int *ret_fds, size_t n)
{
    if (n > link->n_fds) {
        return false;
    }
    memcpy(ret_fds, link->fds, n * sizeof *ret_fds);
    link->n_fds -= n;
    memmove(link->fds, link->fds + n, link->n_fds * sizeof *link->fds);
    return true;
}

/** Moves items from the ready streams, one of each in turn, until there is enough to write. */
static void fill(struct sb_link *link)
{
    while (link->out.len < FILL_BYTES && !link->is_broken && !sb_list_is_empty(&link->ready)) {
        struct sb_flow *flow = SB_LIST_ENTRY(sb_list_pop(&link->ready), struct sb_flow, in_ready);
        struct sb_link_item *item = pop(&flow->out);
        if (item == NULL) {
            continue;
        }
        struct sb_frame frame = {item->len, flow->id, item->type, item->flags};
        sb_link_put(link, &frame, item->data);
        if (item->type == SB_FRAME_DATA) {
            flow->in_flight += cost(item);
        }
        if (item->is_last) {
            flow->end_at = link->out_total;
            sb_list_append(&link->ending, &flow->in_ending);
        }
        free(item);
        make_ready(link, flow);
        link->ops->moved(link, flow);
    }
}

/** Bytes that one sendmsg may carry, and the descriptors that go with its first byte. */
static size_t next_span(const struct sb_link *link, const struct sb_link_passing **ret_passing)
{
    const struct sb_link_passing *passing = link->passing;
    *ret_passing = NULL;
    if (passing != NULL && passing->at == link->sent_total) {
        *ret_passing = passing;
        passing = passing->next;
    }
    uint64_t end = passing == NULL ? link->out_total : passing->at;
    return (size_t)(end - link->sent_total);
}

static void report_ended(struct sb_link *link)
{
    while (!sb_list_is_empty(&link->ending)) {
        struct sb_flow *flow = SB_LIST_ENTRY(link->ending.next, struct sb_flow, in_ending);
        if (flow->end_at > link->sent_total) {
            return;
        }
        sb_list_remove(&flow->in_ending);
        if (link->ops->ended != NULL) {
            link->ops->ended(link, flow);
        }
    }
}

int sb_link_flush(struct sb_link *link, struct sb_err *err)
{
    for (;;) {
        fill(link);
        if (link->is_broken) {
            return sb_err_set(err, SB_EXHAUSTED, "the peer does not read what it is sent");
        }
        if (link->out.len == 0) {
            link->wants_write = false;
            return 0;
        }
        const struct sb_link_passing *passing = NULL;
        size_t len = next_span(link, &passing);
        ssize_t n = sb_fd_send(link->fd, sb_buf_cstr(&link->out), len,
                               passing == NULL ? NULL : passing->fds,
                               passing == NULL ? 0 : passing->n, err);
        if (n < 0) {
            link->wants_write = err->sys == EAGAIN || err->sys == EWOULDBLOCK;
            err->code = SB_UNAVAILABLE;
            return link->wants_write ? 0 : -1;
        }
        if (passing != NULL) {
            drop_passing(link);
        }
        sb_buf_consume(&link->out, (size_t)n);
        link->sent_total += (uint64_t)n;
        report_ended(link);
    }
}
