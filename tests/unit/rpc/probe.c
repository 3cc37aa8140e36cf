#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "fixture.h"

enum { PATIENCE_MS = 60000, STILL_MS = 200 };

/* ---- waiting ---- */

static void turn(struct sb_rpc_channel *channel, int timeout_ms)
{
    struct pollfd pfd = {.fd = -1};
    int own = channel == NULL ? -1 : sb_rpc_channel_prepare(channel, &pfd);
    (void)poll(&pfd, 1, own >= 0 && own < timeout_ms ? own : timeout_ms);
    if (channel != NULL) {
        sb_rpc_channel_process(channel);
    }
}

void wait_for(struct sb_rpc_channel *channel, atomic_uint *counter, unsigned n)
{
    uint64_t deadline = sb_clock_mono_ms() + PATIENCE_MS;
    while (atomic_load(counter) < n) {
        if (sb_clock_mono_ms() > deadline) {
            fail_msg("waited for %u, is %u", n, atomic_load(counter));
        }
        turn(channel, 5);
    }
}

unsigned wait_still(struct sb_rpc_channel *channel, atomic_uint *counter)
{
    unsigned last = atomic_load(counter);
    uint64_t since = sb_clock_mono_ms();
    while (sb_clock_mono_ms() - since < STILL_MS) {
        turn(channel, 5);
        if (atomic_load(counter) != last) {
            last = atomic_load(counter);
            since = sb_clock_mono_ms();
        }
    }
    return last;
}

void wait_done(struct sb_rpc_channel *channel, struct probe *probe)
{
    uint64_t deadline = sb_clock_mono_ms() + PATIENCE_MS;
    while (!probe->is_done) {
        if (sb_clock_mono_ms() > deadline) {
            fail_msg("the call never ended");
        }
        turn(channel, 100);
    }
}

void wait_messages(struct sb_rpc_channel *channel, struct probe *probe, unsigned n)
{
    uint64_t deadline = sb_clock_mono_ms() + PATIENCE_MS;
    while (probe->n_messages < n) {
        if (sb_clock_mono_ms() > deadline || probe->is_done) {
            fail_msg("%u of %u messages came", probe->n_messages, n);
        }
        turn(channel, 100);
    }
}

void wait_accepted(struct sb_rpc_channel *channel, struct probe *probe)
{
    uint64_t deadline = sb_clock_mono_ms() + PATIENCE_MS;
    while (probe->n_accepted == 0) {
        if (sb_clock_mono_ms() > deadline || probe->is_done) {
            fail_msg("it was not accepted");
        }
        turn(channel, 100);
    }
}

/* ---- probe ---- */

struct probe probe_new(void)
{
    return (struct probe){.is_in_order = true, .reads_on = true};
}

static void on_chunk(struct sb_rpc_stream *stream, const Aisbx__Test__Chunk *msg, void *user)
{
    struct probe *probe = user;
    probe->is_in_order = probe->is_in_order && msg->number == probe->n_messages;
    probe->last_number = msg->number;
    probe->n_messages++;
    probe->n_bytes += msg->data.len;
    if (probe->reads_on) {
        sb_rpc_stream_read(stream);
    }
}

static void
on_collected(struct sb_rpc_stream *stream, const Aisbx__Test__CollectReply *msg, void *user)
{
    (void)stream;
    struct probe *probe = user;
    probe->n_messages = msg->chunks;
    probe->n_bytes = msg->bytes;
}

static void
on_echo_reply(struct sb_rpc_stream *stream, const Aisbx__Test__EchoReply *msg, void *user)
{
    (void)stream;
    (void)msg;
    struct probe *probe = user;
    probe->n_messages++;
}

static void on_probe_drained(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    struct probe *probe = user;
    probe->n_drained++;
}

static void on_probe_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct probe *probe = user;
    assert_false(probe->is_done);
    probe->is_done = true;
    probe->status = *err;
    size_t len = 0;
    const char *value = sb_rpc_stream_trailer(stream, "x-data-bin", &len);
    if (value != NULL && len <= sizeof probe->trailer) {
        memcpy(probe->trailer, value, len);
        probe->trailer_len = len;
    }
    value = sb_rpc_stream_trailer(stream, "x-text", NULL);
    (void)snprintf(probe->text_trailer, sizeof probe->text_trailer, "%s",
                   value == NULL ? "" : value);
}

const struct aisbx__test__echo_service__count__callbacks count_callbacks = {
    on_chunk, on_probe_drained, on_probe_done};
const struct aisbx__test__echo_service__collect__callbacks collect_callbacks = {
    on_collected, on_probe_drained, on_probe_done};
const struct aisbx__test__echo_service__chat__callbacks chat_callbacks = {
    on_chunk, on_probe_drained, on_probe_done};
const struct aisbx__test__echo_service__echo__callbacks echo_callbacks = {
    on_echo_reply, on_probe_drained, on_probe_done};
