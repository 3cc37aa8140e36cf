#include "service/supervisor/relay.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    MAX_LINE = 8192,
    LINES_PER_TURN = 64, /* a part that says much must not keep us from the others */
    MAX_READS_AT_END = 256,
};

static void pass(const struct sb_relay *relay, struct sb_str line)
{
    struct sb_err err;
    struct sb_str head = relay->is_json ? SB_STR("{\"ts\":") : SB_STR("ts=");
    if (line.len == 0) {
        return;
    }
    if (sb_str_starts_with(line, head) && line.len < MAX_LINE) {
        char copy[MAX_LINE + 1];
        memcpy(copy, line.ptr, line.len);
        copy[line.len] = '\n';
        (void)sb_fd_write_full(STDERR_FILENO, copy, line.len + 1, &err); /* nowhere to say so */
        return;
    }
    SB_LOG_WARN("said", "part=%s line=%.*s", relay->part, (int)line.len, line.ptr);
}

static void pass_lines(struct sb_relay *relay)
{
    struct sb_str line;
    struct sb_str rest = sb_buf_str(&relay->held);
    size_t before = rest.len;
    while (sb_str_split(rest, '\n', &line, &rest)) {
        pass(relay, line);
    }
    sb_buf_consume(&relay->held, before - rest.len);
    if (sb_buf_room(&relay->held) == 0) { /* no end of a line in that much */
        pass(relay, sb_buf_str(&relay->held));
        sb_buf_clear(&relay->held);
    }
}

/* False: nothing was there. */
static bool take(struct sb_relay *relay)
{
    char bytes[2048];
    size_t room = sb_buf_room(&relay->held);
    ssize_t n = read(relay->fd, bytes, room < sizeof bytes ? room : sizeof bytes);
    if (n <= 0 || sb_buf_append(&relay->held, bytes, (size_t)n) < 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            (void)event_del(relay->event);
        }
        return false;
    }
    pass_lines(relay);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    for (int i = 0; i < LINES_PER_TURN && take(ctx); i++) {
    }
}

int sb_relay_start(struct sb_relay *relay,
                   struct event_base *base,
                   const char *part,
                   bool is_json,
                   int fd,
                   struct sb_err *err)
{
    *relay = (struct sb_relay){
        .part = part, .is_json = is_json, .fd = fd, .held = SB_BUF_INIT(MAX_LINE)};
    relay->event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, relay);
    if (relay->event == NULL || event_add(relay->event, NULL) < 0) {
        sb_relay_stop(relay);
        return sb_err_oom(err);
    }
    return 0;
}

void sb_relay_stop(struct sb_relay *relay)
{
    if (relay->fd < 0) {
        return;
    }
    if (relay->event != NULL) {
        for (int i = 0; i < MAX_READS_AT_END && take(relay); i++) {
        }
        pass(relay, sb_buf_str(&relay->held));
        event_free(relay->event);
        relay->event = NULL;
    }
    close(relay->fd);
    relay->fd = -1;
    sb_buf_done(&relay->held);
}
