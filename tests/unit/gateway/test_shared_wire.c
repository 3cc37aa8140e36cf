/* The connection to a store that greets, by a store of a few lines in the same loop. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "mcp-gateway/shared/wire.h"
#include "mcp-gateway/shared/wire_internal.h"

/** Answers each PING, and each other question with what is set. */
struct store {
    struct event_base *base;
    struct evconnlistener *listener;
    struct bufferevent *channel; /* of the last connection */
    const char *says;
    unsigned n_connections;
    char path[64];
    struct sb_url url;
    struct sb_wire *wire;
    unsigned n_answers;
};

static void on_store_read(struct bufferevent *channel, void *ctx)
{
    const struct store *store = ctx;
    char bytes[512];
    size_t n = bufferevent_read(channel, bytes, sizeof bytes - 1);
    bytes[n] = '\0';
    const char *said = strstr(bytes, "PING") != NULL ? "+PONG\r\n" : store->says;
    assert_int_equal(bufferevent_write(channel, said, strlen(said)), 0);
}

static void on_connection(struct evconnlistener *listener,
                          evutil_socket_t fd,
                          struct sockaddr *address,
                          int len,
                          void *ctx)
{
    struct store *store = ctx;
    (void)listener;
    (void)address;
    (void)len;
    store->n_connections++;
    if (store->channel != NULL) {
        bufferevent_free(store->channel);
    }
    store->channel = bufferevent_socket_new(store->base, fd, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(store->channel);
    bufferevent_setcb(store->channel, on_store_read, NULL, NULL, store);
    assert_int_equal(bufferevent_enable(store->channel, EV_READ | EV_WRITE), 0);
}

static void store_open(struct store *store)
{
    struct sb_err err;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *store = (struct store){.base = event_base_new()};
    assert_non_null(store->base);
    (void)snprintf(store->path, sizeof store->path, "/tmp/aisbx-wire.%d", (int)getpid());
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", store->path);
    (void)unlink(store->path);
    store->listener =
        evconnlistener_new_bind(store->base, on_connection, store, LEV_OPT_CLOSE_ON_FREE, 1,
                                (struct sockaddr *)&address, sizeof address);
    assert_non_null(store->listener);
    store->url.kind = SB_URL_UNIX;
    (void)snprintf(store->url.path, sizeof store->url.path, "%s", store->path);
    const struct sb_wire_options options = {.base = store->base, .url = &store->url};
    assert_int_equal(sb_wire_new(&options, &store->wire, &err), 0);
}

static void store_close(struct store *store)
{
    sb_wire_free(store->wire);
    if (store->channel != NULL) {
        bufferevent_free(store->channel);
    }
    evconnlistener_free(store->listener);
    event_base_free(store->base);
    (void)unlink(store->path);
}

static void on_answer(void *ctx, const struct sb_resp_answer *answer, const struct sb_err *err)
{
    struct store *store = ctx;
    (void)answer;
    (void)err;
    store->n_answers++;
}

/* Until it is up again, asks, and has an answer, whatever it is. */
static void ask_once(struct store *store)
{
    const struct sb_str words[] = {SB_STR("GET"), SB_STR("x")};
    struct sb_err err;
    unsigned before = store->n_answers;
    while (sb_wire_state_of(store->wire) != SB_WIRE_UP) {
        assert_int_equal(event_base_loop(store->base, EVLOOP_ONCE), 0);
    }
    assert_int_equal(sb_wire_ask(store->wire, words, 2, on_answer, store, &err), 0);
    while (store->n_answers == before) {
        assert_int_equal(event_base_loop(store->base, EVLOOP_ONCE), 0);
    }
}

static void who_greets_and_refuses_is_asked_ever_more_seldom(void **state)
{
    struct store store;
    (void)state;
    store_open(&store);
    store.says = "-READONLY You can't write against a read only replica.\r\n";
    for (unsigned i = 1; i <= 3; i++) {
        ask_once(&store);
        assert_int_equal(sb_wire_state_of(store.wire), SB_WIRE_DOWN);
        assert_int_equal(store.n_connections, i);
        assert_int_equal(store.wire->n_losses, i); /* doubles the wait */
        assert_string_not_equal(sb_wire_trouble(store.wire), "");
    }
    store.says = "$1\r\ny\r\n";
    ask_once(&store);
    assert_int_equal(sb_wire_state_of(store.wire), SB_WIRE_UP);
    assert_int_equal(store.wire->n_losses, 0);
    assert_string_equal(sb_wire_trouble(store.wire), "");
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_greets_and_refuses_is_asked_ever_more_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
