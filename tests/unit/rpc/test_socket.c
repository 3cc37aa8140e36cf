/** The server of the local transport against bytes that no client of ours would send. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixture.h"
#include "proto/rpc/local/frame.h"
#include "proto/rpc/local/ttrpc.pb-c.h"
#include "suite.h"

enum { PATIENCE_MS = 20000, BIG_BYTES = SB_FRAME_MAX_BYTES + 1 };

static int connect_raw(struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)strncpy(address.sun_path, fixture_socket(fixture), sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += n;
        len -= (size_t)n;
    }
}

static void send_frame(int fd, struct sb_frame frame, const void *data)
{
    uint8_t header[SB_FRAME_HEADER_BYTES];
    sb_frame_encode(&frame, header);
    send_all(fd, header, sizeof header);
    send_all(fd, data, frame.len);
}

/** Packs an Echo request (or another method's) into @buf; returns its length. */
static uint32_t
pack_request(uint8_t *buf, size_t cap, const char *method, bool hold, uint32_t fd_count)
{
    uint8_t payload[64];
    Aisbx__Test__EchoRequest echo = AISBX__TEST__ECHO_REQUEST__INIT;
    echo.hold = hold;
    echo.text = text("raw");
    Aisbx__Ttrpc__Request request = AISBX__TTRPC__REQUEST__INIT;
    request.service = text("aisbx.test.EchoService");
    request.method = text(method);
    if (strcmp(method, "Echo") == 0) {
        request.payload.len = aisbx__test__echo_request__pack(&echo, payload);
        request.payload.data = payload;
    }
    request.fd_count = fd_count;
    assert_true(aisbx__ttrpc__request__get_packed_size(&request) <= cap);
    return (uint32_t)aisbx__ttrpc__request__pack(&request, buf);
}

static void send_request(int fd, uint32_t id, const char *method, uint8_t flags)
{
    uint8_t buf[256];
    uint32_t len = pack_request(buf, sizeof buf, method, false, 0);
    send_frame(fd, (struct sb_frame){len, id, SB_FRAME_REQUEST, flags}, buf);
}

static bool read_full(int fd, uint8_t *data, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = recv(fd, data + got, len - got, 0);
        if (n <= 0) {
            assert_true(n == 0 || errno == ECONNRESET); /* not a time-out */
            return false;
        }
        got += (size_t)n;
    }
    return true;
}

static bool read_frame(int fd, struct sb_frame *ret_frame, uint8_t *data, size_t cap)
{
    uint8_t header[SB_FRAME_HEADER_BYTES];
    if (!read_full(fd, header, sizeof header)) {
        return false;
    }
    *ret_frame = sb_frame_decode(header);
    assert_true(ret_frame->len <= cap);
    return read_full(fd, data, ret_frame->len);
}

/** Reads one response; returns its status code. */
static int expect_response(int fd, uint32_t id)
{
    uint8_t data[4096];
    struct sb_frame frame = {0};
    assert_true(read_frame(fd, &frame, data, sizeof data));
    assert_int_equal(frame.type, SB_FRAME_RESPONSE);
    assert_int_equal(frame.stream, id);
    Aisbx__Ttrpc__Response *response = aisbx__ttrpc__response__unpack(NULL, frame.len, data);
    assert_non_null(response);
    int code = response->status == NULL ? SB_OK : response->status->code;
    aisbx__ttrpc__response__free_unpacked(response, NULL);
    return code;
}

static void expect_closed(int fd)
{
    uint8_t byte = 0;
    assert_false(read_full(fd, &byte, 1));
}

/** The connection still works. */
static void expect_service(int fd, uint32_t id)
{
    send_request(fd, id, "Echo", 0);
    assert_int_equal(expect_response(fd, id), SB_OK);
}

static void plain_ttrpc_client_is_served(void **state)
{
    int fd = connect_raw(*state);
    expect_service(fd, 1);
    expect_service(fd, 3);
    (void)close(fd);
}

static void stream_without_credit_ends_as_ttrpc_has_it(void **state)
{
    int fd = connect_raw(*state);
    send_request(fd, 1, "Chat", SB_FRAME_REMOTE_OPEN);
    uint8_t chunk[] = {0x08, 0x05};
    send_frame(fd, (struct sb_frame){sizeof chunk, 1, SB_FRAME_DATA, 0}, chunk);
    struct sb_frame frame = {0};
    uint8_t data[64];
    assert_true(read_frame(fd, &frame, data, sizeof data));
    assert_int_equal(frame.type, SB_FRAME_DATA);
    assert_int_equal(frame.flags, 0);
    assert_memory_equal(data, chunk, sizeof chunk);
    send_frame(fd,
               (struct sb_frame){0, 1, SB_FRAME_DATA, SB_FRAME_REMOTE_CLOSED | SB_FRAME_NO_DATA},
               NULL);
    assert_true(read_frame(fd, &frame, data, sizeof data));
    assert_int_equal(frame.type, SB_FRAME_DATA);
    assert_int_equal(frame.flags, SB_FRAME_REMOTE_CLOSED | SB_FRAME_NO_DATA);
    (void)close(fd);
}

static void request_in_single_bytes_is_served(void **state)
{
    int fd = connect_raw(*state);
    uint8_t buf[256];
    struct sb_frame frame = {0, 1, SB_FRAME_REQUEST, 0};
    frame.len = pack_request(buf + SB_FRAME_HEADER_BYTES, 200, "Echo", false, 0);
    sb_frame_encode(&frame, buf);
    for (size_t i = 0; i < SB_FRAME_HEADER_BYTES + frame.len; i++) {
        send_all(fd, buf + i, 1);
    }
    assert_int_equal(expect_response(fd, 1), SB_OK);
    (void)close(fd);
}

static void garbage_closes_the_connection(void **state)
{
    int fd = connect_raw(*state);
    send_all(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    expect_closed(fd);
    (void)close(fd);
}

static void half_a_frame_and_gone_leaves_nothing(void **state)
{
    int fd = connect_raw(*state);
    send_all(fd, "\0\0\1", 3);
    (void)close(fd);
    fd = connect_raw(*state);
    uint8_t buf[256];
    uint32_t len = pack_request(buf, sizeof buf, "Echo", false, 0);
    uint8_t header[SB_FRAME_HEADER_BYTES];
    sb_frame_encode(&(struct sb_frame){len, 1, SB_FRAME_REQUEST, 0}, header);
    send_all(fd, header, sizeof header);
    send_all(fd, buf, len - 1);
    (void)close(fd);
    fd = connect_raw(*state);
    expect_service(fd, 1);
    (void)close(fd);
    assert_int_equal(seen.started, 1);
    for (int i = 0; fixture_live(*state) > 0; i++) {
        assert_true(i < 1000);
        (void)poll(NULL, 0, 10);
    }
}

static void silent_connection_that_goes_is_forgotten(void **state)
{
    int fd = connect_raw(*state);
    (void)close(fd);
    fd = connect_raw(*state);
    expect_service(fd, 1);
    (void)close(fd);
}

static void even_id_is_refused(void **state)
{
    int fd = connect_raw(*state);
    send_request(fd, 2, "Echo", 0);
    assert_int_equal(expect_response(fd, 2), SB_INVALID);
    expect_service(fd, 3);
    (void)close(fd);
}

static void used_id_is_refused(void **state)
{
    int fd = connect_raw(*state);
    expect_service(fd, 5);
    send_request(fd, 5, "Echo", 0);
    assert_int_equal(expect_response(fd, 5), SB_INVALID);
    send_request(fd, 3, "Echo", 0);
    assert_int_equal(expect_response(fd, 3), SB_INVALID);
    expect_service(fd, 7);
    (void)close(fd);
}

static void data_for_a_stream_never_opened_is_refused(void **state)
{
    int fd = connect_raw(*state);
    send_frame(fd, (struct sb_frame){1, 9, SB_FRAME_DATA, 0}, "x");
    assert_int_equal(expect_response(fd, 9), SB_INVALID);
    expect_service(fd, 11);
    (void)close(fd);
}

static void data_for_an_ended_stream_is_ignored(void **state)
{
    int fd = connect_raw(*state);
    expect_service(fd, 1);
    send_frame(fd, (struct sb_frame){1, 1, SB_FRAME_DATA, 0}, "x");
    expect_service(fd, 3);
    (void)close(fd);
}

static void data_after_the_end_fails_the_call(void **state)
{
    int fd = connect_raw(*state);
    atomic_store(&is_server_deaf, true);
    send_request(fd, 1, "Collect", SB_FRAME_REMOTE_CLOSED);
    send_frame(fd, (struct sb_frame){2, 1, SB_FRAME_DATA, 0}, "\x08\x01");
    assert_int_equal(expect_response(fd, 1), SB_INVALID);
    expect_service(fd, 3);
    (void)close(fd);
}

static void unknown_frame_type_is_ignored(void **state)
{
    int fd = connect_raw(*state);
    send_frame(fd, (struct sb_frame){3, 1, 99, 0xff}, "abc");
    send_frame(fd, (struct sb_frame){0, 1, 0, 0}, NULL);
    expect_service(fd, 1);
    (void)close(fd);
}

static void cancel_and_credit_for_nobody_are_ignored(void **state)
{
    int fd = connect_raw(*state);
    send_frame(fd, (struct sb_frame){0, 77, SB_FRAME_CANCEL, 0}, NULL);
    send_frame(fd, (struct sb_frame){4, 77, SB_FRAME_CREDIT, 0}, "\xff\xff\xff\xff");
    expect_service(fd, 1);
    (void)close(fd);
}

static void broken_envelope_is_refused(void **state)
{
    int fd = connect_raw(*state);
    send_frame(fd, (struct sb_frame){4, 1, SB_FRAME_REQUEST, 0}, "\xff\xff\xff\xff");
    assert_int_equal(expect_response(fd, 1), SB_INVALID);
    expect_service(fd, 3);
    (void)close(fd);
}

static void oversize_frame_is_refused_and_skipped(void **state)
{
    int fd = connect_raw(*state);
    uint8_t header[SB_FRAME_HEADER_BYTES];
    static uint8_t zeros[BIG_BYTES];
    sb_frame_encode(&(struct sb_frame){sizeof zeros, 1, SB_FRAME_REQUEST, 0}, header);
    send_all(fd, header, sizeof header);
    send_all(fd, zeros, sizeof zeros);
    assert_int_equal(expect_response(fd, 1), SB_EXHAUSTED);
    expect_service(fd, 3);
    (void)close(fd);
}

static void sender_without_credit_fails_its_call(void **state)
{
    enum { CHUNK = 64 << 10 };
    static uint8_t chunk[CHUNK];
    int fd = connect_raw(*state);
    atomic_store(&is_server_deaf, true);
    send_request(fd, 1, "Collect", SB_FRAME_REMOTE_OPEN | SB_FRAME_CREDITED);
    for (size_t sent = 0; sent < 2 * (size_t)SB_RPC_HIGH_BYTES; sent += CHUNK) {
        send_frame(fd, (struct sb_frame){CHUNK, 1, SB_FRAME_DATA, 0}, chunk);
    }
    assert_int_equal(expect_response(fd, 1), SB_EXHAUSTED);
    atomic_store(&is_server_deaf, false);
    expect_service(fd, 3);
    (void)close(fd);
}

static void descriptors_that_did_not_come_close_the_connection(void **state)
{
    int fd = connect_raw(*state);
    uint8_t buf[256];
    uint32_t len = pack_request(buf, sizeof buf, "Echo", false, 2);
    send_frame(fd, (struct sb_frame){len, 1, SB_FRAME_REQUEST, 0}, buf);
    assert_int_equal(seen.started, 0);
    uint8_t data[4096];
    while (recv(fd, data, sizeof data, 0) > 0) {
    }
    expect_closed(fd);
    (void)close(fd);
}

static void too_many_descriptors_close_the_connection(void **state)
{
    enum { N = 20 };
    int fd = connect_raw(*state);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int) * N)];
    } control = {0};
    struct iovec iov = {(char[]){0}, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof control.buf};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * N);
    for (size_t i = 0; i < N; i++) {
        memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &pipes[1], sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), 1);
    expect_closed(fd);
    (void)close(fd);
    (void)close(pipes[1]);
    struct pollfd pfd = {pipes[0], POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1); /* the server kept none of them */
    (void)close(pipes[0]);
}

static void vanished_client_cancels_its_calls(void **state)
{
    int fd = connect_raw(*state);
    uint8_t buf[256];
    uint32_t len = pack_request(buf, sizeof buf, "Echo", true, 0);
    send_frame(fd, (struct sb_frame){len, 1, SB_FRAME_REQUEST, 0}, buf);
    send_frame(fd, (struct sb_frame){len, 3, SB_FRAME_REQUEST, 0}, buf);
    send_request(fd, 5, "Chat", SB_FRAME_REMOTE_OPEN | SB_FRAME_CREDITED);
    wait_for(NULL, &seen.started, 3);
    (void)close(fd);
    wait_for(NULL, &seen.cancelled, 3);
    assert_int_equal(seen.done, 3);
}

static void vanished_client_is_noticed_while_nothing_is_read(void **state)
{
    enum { CHUNK = 64 << 10 };
    static uint8_t chunk[CHUNK];
    int fd = connect_raw(*state);
    atomic_store(&is_server_deaf, true);
    send_request(fd, 1, "Collect", SB_FRAME_REMOTE_OPEN); /* no credit: stops the connection */
    wait_for(NULL, &seen.started, 1);
    for (size_t sent = 0; sent <= SB_RPC_HIGH_BYTES; sent += CHUNK) {
        send_frame(fd, (struct sb_frame){CHUNK, 1, SB_FRAME_DATA, 0}, chunk);
    }
    (void)wait_still(NULL, &seen.read);
    (void)close(fd);
    wait_for(NULL, &seen.cancelled, 1);
}

static void peer_that_never_reads_disturbs_nobody(void **state)
{
    enum { N = 20000 };
    int fd = connect_raw(*state);
    int small = 4096;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    uint8_t buf[256];
    uint32_t len = pack_request(buf, sizeof buf, "Nothing", false, 0);
    unsigned sent = 0;
    for (uint32_t id = 1; sent < N; id += 2, sent++) {
        uint8_t frame[300];
        sb_frame_encode(&(struct sb_frame){len, id, SB_FRAME_REQUEST, 0}, frame);
        memcpy(frame + SB_FRAME_HEADER_BYTES, buf, len);
        if (send(fd, frame, SB_FRAME_HEADER_BYTES + len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
            errno == EPIPE) {
            break;
        }
    }
    int other = connect_raw(*state); /* and the others never notice */
    expect_service(other, 1);
    (void)close(other);
    (void)close(fd);
}

int test_socket(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(plain_ttrpc_client_is_served),
        TEST(stream_without_credit_ends_as_ttrpc_has_it),
        TEST(request_in_single_bytes_is_served),
        TEST(garbage_closes_the_connection),
        TEST(half_a_frame_and_gone_leaves_nothing),
        TEST(silent_connection_that_goes_is_forgotten),
        TEST(even_id_is_refused),
        TEST(used_id_is_refused),
        TEST(data_for_a_stream_never_opened_is_refused),
        TEST(data_for_an_ended_stream_is_ignored),
        TEST(data_after_the_end_fails_the_call),
        TEST(unknown_frame_type_is_ignored),
        TEST(cancel_and_credit_for_nobody_are_ignored),
        TEST(broken_envelope_is_refused),
        TEST(oversize_frame_is_refused_and_skipped),
        TEST(sender_without_credit_fails_its_call),
        TEST(descriptors_that_did_not_come_close_the_connection),
        TEST(too_many_descriptors_close_the_connection),
        TEST(vanished_client_cancels_its_calls),
        TEST(vanished_client_is_noticed_while_nothing_is_read),
        TEST(peer_that_never_reads_disturbs_nobody),
    };
    return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
