#include "mcp-gateway/line.h"

#include <event2/event.h>
#include <string.h>

#include "base/err.h"

enum { HINT_BYTES = 320 };

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_line *line = ctx;
    line->is_processing = true;
    sb_rpc_channel_process(line->connect.channel);
    line->is_processing = false;
    sb_line_rearm(line);
}

void sb_line_rearm(struct sb_line *line)
{
    struct pollfd pfd;
    if (line->connect.channel == NULL || line->is_processing || line->is_closing) {
        return;
    }
    int timeout_ms = sb_rpc_channel_prepare(line->connect.channel, &pfd);
    const struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    short what = (short)(((pfd.events & POLLIN) != 0 ? EV_READ : 0) |
                         ((pfd.events & POLLOUT) != 0 ? EV_WRITE : 0));
    (void)event_del(line->ready);
    (void)event_assign(line->ready, line->base, pfd.fd, pfd.fd < 0 ? 0 : what, on_ready, line);
    if (timeout_ms == 0) {
        event_active(line->ready, EV_TIMEOUT, 0);
    } else if (pfd.fd >= 0 || timeout_ms > 0) {
        (void)event_add(line->ready, timeout_ms < 0 ? NULL : &tv);
    }
}

int sb_line_init(struct sb_line *line, struct event_base *base, struct sb_err *err)
{
    *line = (struct sb_line){.base = base};
    line->ready = event_new(base, -1, 0, on_ready, line);
    return line->ready == NULL ? sb_err_oom(err) : 0;
}

int sb_line_open(struct sb_line *line, const struct sb_connect_options *options, struct sb_err *err)
{
    char hint[HINT_BYTES] = "";
    struct sb_connect_options hinted = *options;
    hinted.hint = hint;
    hinted.hint_size = sizeof hint;
    if (sb_connect_worker(&hinted, &line->connect, err) == 0) {
        return 0;
    }
    return hint[0] == '\0' ? -1 : sb_err_set(err, err->code, "%s (%s)", err->text, hint);
}

void sb_line_close(struct sb_line *line)
{
    if (line->ready == NULL) {
        return;
    }
    (void)event_del(line->ready);
    line->is_closing = true;
    sb_connect_done(&line->connect);
    line->is_closing = false;
}

void sb_line_done(struct sb_line *line)
{
    if (line->ready != NULL) {
        sb_line_close(line);
        event_free(line->ready);
        line->ready = NULL;
    }
}
