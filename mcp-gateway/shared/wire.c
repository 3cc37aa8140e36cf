#include "mcp-gateway/shared/wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "mcp-gateway/shared/wire_internal.h"

#define TO(state) (1U << SB_WIRE_##state)
static const unsigned moves[SB_WIRE_STATES_] = {
    [SB_WIRE_LOOKING] = TO(CONNECTING) | TO(DOWN), [SB_WIRE_CONNECTING] = TO(GREETING) | TO(DOWN),
    [SB_WIRE_GREETING] = TO(UP) | TO(DOWN),        [SB_WIRE_UP] = TO(DOWN),
    [SB_WIRE_DOWN] = TO(CONNECTING) | TO(LOOKING),
};

static const char unreachable[] = "the store that the gateways share cannot be reached";

static bool move(struct sb_wire *wire, enum sb_wire_state state)
{
    bool may = (moves[wire->state] & 1U << state) != 0;
    wire->state = may ? state : wire->state;
    return may;
}

static void arm(struct event *event, uint64_t ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(event, &tv);
}

/* ---- questions ---- */

static void ask_free(struct sb_wire *wire, struct sb_wire_ask *ask)
{
    sb_list_remove(&ask->node);
    wire->n_asks--;
    free(ask->bytes);
    free(ask);
}

static void answer(struct sb_wire *wire,
                   struct sb_wire_ask *ask,
                   const struct sb_resp_answer *said,
                   const struct sb_err *err)
{
    sb_wire_answered *answered = ask->answered;
    void *ctx = ask->ctx;
    ask_free(wire, ask);
    if (answered != NULL) {
        answered(ctx, said, err);
    }
}

static struct sb_wire_ask *first_of(const struct sb_list *list)
{
    if (sb_list_is_empty(list)) {
        return NULL;
    }
    /* The analyzer loses track of what is still linked.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return SB_LIST_ENTRY(list->next, struct sb_wire_ask, node);
}

static void watch(struct sb_wire *wire)
{
    const struct sb_wire_ask *sent = first_of(&wire->sent);
    const struct sb_wire_ask *waiting = first_of(&wire->waiting);
    const struct sb_wire_ask *first =
        sent == NULL || (waiting != NULL && waiting->deadline_ms < sent->deadline_ms) ? waiting
                                                                                      : sent;
    if (first == NULL) {
        (void)event_del(wire->due);
    } else {
        arm(wire->due, (uint64_t)sb_clock_left_ms(first->deadline_ms) + 1);
    }
}

static void fail_all(struct sb_wire *wire, const struct sb_err *err)
{
    struct sb_list *node = NULL;
    while ((node = sb_list_pop(&wire->sent)) != NULL ||
           (node = sb_list_pop(&wire->waiting)) != NULL) {
        answer(wire, SB_LIST_ENTRY(node, struct sb_wire_ask, node), NULL, err);
    }
    watch(wire);
}

static void send_ask(struct sb_wire *wire, struct sb_wire_ask *ask)
{
    sb_list_remove(&ask->node);
    (void)bufferevent_write(wire->channel, ask->bytes, ask->len);
    free(ask->bytes);
    ask->bytes = NULL;
    ask->deadline_ms = sb_clock_mono_ms() + SB_WIRE_ANSWER_MS;
    sb_list_append(&wire->sent, &ask->node);
}

static struct sb_wire_ask *put(struct sb_wire *wire,
                               const struct sb_str *words,
                               size_t n,
                               sb_wire_answered *answered,
                               void *ctx,
                               struct sb_err *err)
{
    struct sb_wire_ask *ask = calloc(1, sizeof *ask);
    if (ask == NULL || (ask->bytes = sb_resp_command(words, n, &ask->len)) == NULL) {
        free(ask);
        (void)sb_err_oom(err);
        return NULL;
    }
    ask->answered = answered;
    ask->ctx = ctx;
    ask->deadline_ms = sb_clock_mono_ms() + SB_WIRE_ANSWER_MS;
    wire->n_asks++;
    sb_list_append(&wire->waiting, &ask->node);
    return ask;
}

int sb_wire_ask(struct sb_wire *wire,
                const struct sb_str *words,
                size_t n,
                sb_wire_answered *answered,
                void *ctx,
                struct sb_err *err)
{
    if (wire->state == SB_WIRE_DOWN) {
        return sb_err_set(err, SB_UNAVAILABLE, "%s", unreachable);
    }
    if (wire->n_asks >= SB_WIRE_ASKS_MAX) {
        return sb_err_set(err, SB_UNAVAILABLE,
                          "too many calls wait for the store that the "
                          "gateways share");
    }
    struct sb_wire_ask *ask = put(wire, words, n, answered, ctx, err);
    if (ask == NULL) {
        return -1;
    }
    if (wire->state == SB_WIRE_UP) {
        send_ask(wire, ask);
    }
    watch(wire);
    return 0;
}

/* ---- the end of a connection ---- */

static void close_channel(struct sb_wire *wire)
{
    if (wire->channel != NULL) {
        bufferevent_free(wire->channel);
        wire->channel = NULL;
    }
    sb_resp_free(wire->resp);
    wire->resp = NULL;
}

/* @trouble  for anybody; @why  for the log. */
static void lose(struct sb_wire *wire, const char *trouble, const char *why)
{
    struct sb_err err;
    bool was_up = wire->state == SB_WIRE_UP;
    unsigned shift = wire->n_losses < 6 ? wire->n_losses : 6;
    uint64_t wait_ms = (uint64_t)SB_WIRE_AGAIN_MS << shift;
    if (!move(wire, SB_WIRE_DOWN)) {
        return;
    }
    SB_LOG(was_up || wire->n_losses == 0 || wire->trouble != trouble ? SB_LOG_LEVEL_WARN
                                                                     : SB_LOG_LEVEL_DEBUG,
           "shared store lost", "what=%s why=%s", trouble, why);
    wire->trouble = trouble;
    wire->n_losses++;
    close_channel(wire);
    wait_ms = wait_ms < SB_WIRE_AGAIN_MAX_MS ? wait_ms : SB_WIRE_AGAIN_MAX_MS;
    wait_ms += sb_clock_mono_ns() / 1024 % (wait_ms / 4); /* not all gateways at once */
    arm(wire->clock, wait_ms);
    (void)sb_err_set(&err, SB_UNAVAILABLE, "%s", unreachable);
    fail_all(wire, &err);
}

/* ---- answers ---- */

/* What says that it is the connection, or this server, and not the question. */
static const struct {
    struct sb_str word;
    const char *trouble;
} refusals[] = {
    {SB_STR("WRONGPASS"), "it refuses the user or the password"},
    {SB_STR("NOAUTH"), "it wants a password (--shared-store-password-file)"},
    {SB_STR("NOPERM"), "its ACL does not let this user do what is needed"},
    {SB_STR("ERR invalid password"), "it refuses the user or the password"},
    {SB_STR("ERR AUTH"), "it has no such password: take --shared-store-password-file away"},
    {SB_STR("ERR unknown command"), "it lacks one of AUTH, SELECT, PING, EVAL and EVALSHA"},
    {SB_STR("ERR DB index"), "it has no such database"},
    {SB_STR("READONLY"), "it is a replica, and the primary is elsewhere"},
    {SB_STR("MASTERDOWN"), "it is a replica without its primary"},
    {SB_STR("LOADING"), "it is still reading what it had"},
    {SB_STR("MOVED"), "it is one of a cluster, which is not supported"},
    {SB_STR("CROSSSLOT"), "it is one of a cluster, which is not supported"},
    {SB_STR("MISCONF"), "it cannot write to its disk"},
    {SB_STR("OOM"), "its memory is full"},
};

static const char *refusal_of(struct sb_str text)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (sb_str_starts_with(text, refusals[i].word)) {
            return refusals[i].trouble;
        }
    }
    return NULL;
}

static void take_answer(struct sb_wire *wire, const struct sb_resp_answer *said)
{
    struct sb_err err = {.code = SB_OK};
    const char *trouble = said->kind == SB_RESP_ERROR_IS ? refusal_of(said->text) : NULL;
    struct sb_str told = said->text;
    struct sb_str rest;
    char why[SB_ERR_TEXT_SIZE];
    if (wire->state != SB_WIRE_UP) { /* "ERR unknown command 'AUTH', ... : 'PASSWORD'" */
        (void)sb_str_split(told, ' ', &told, &rest);
    }
    (void)snprintf(why, sizeof why, "%.*s", SB_STR_ARG(told));
    if (sb_list_is_empty(&wire->sent)) {
        lose(wire, "it answers what nobody asked", why);
    } else if (trouble != NULL || (said->kind == SB_RESP_ERROR_IS && wire->state != SB_WIRE_UP)) {
        lose(wire, trouble == NULL ? "it does not greet" : trouble, why);
    } else {
        if (said->kind == SB_RESP_ERROR_IS) {
            (void)sb_err_set(&err, SB_PRECONDITION, "%s", why);
        }
        if (wire->state == SB_WIRE_UP) { /* who greets may still refuse all that is asked */
            wire->n_losses = 0;
        }
        answer(wire, SB_LIST_ENTRY(sb_list_pop(&wire->sent), struct sb_wire_ask, node),
               err.code == SB_OK ? said : NULL, &err);
    }
}

static void on_read(struct bufferevent *channel, void *ctx)
{
    struct sb_wire *wire = ctx;
    struct sb_err err;
    char bytes[SB_RESP_PENDING];
    struct sb_resp_answer said;
    int n = 0;
    while (wire->channel == channel &&
           (n = evbuffer_remove(bufferevent_get_input(channel), bytes, sizeof bytes)) > 0) {
        int rc = sb_resp_feed(wire->resp, bytes, (size_t)n, &err);
        while (rc >= 0 && wire->channel == channel &&
               (rc = sb_resp_next(wire->resp, &said, &err)) == 1) {
            take_answer(wire, &said);
        }
        if (rc < 0) {
            lose(wire, "it is no such store", err.text);
        }
    }
    watch(wire);
}

/* ---- greeting ---- */

static void on_up(void *ctx, const struct sb_resp_answer *said, const struct sb_err *err)
{
    struct sb_wire *wire = ctx;
    (void)said;
    if (err->code != SB_OK || !move(wire, SB_WIRE_UP)) {
        return;
    }
    SB_LOG_INFO("shared store is there", "kind=%s",
                wire->options.url->kind == SB_URL_UNIX  ? "unix"
                : wire->options.url->kind == SB_URL_TLS ? "tls"
                                                        : "tcp");
    wire->trouble = "";
    arm(wire->clock, SB_WIRE_IDLE_MS);
    while (!sb_list_is_empty(&wire->waiting)) {
        send_ask(wire, SB_LIST_ENTRY(wire->waiting.next, struct sb_wire_ask, node));
    }
}

/* Before whatever waits. */
static int
greet_with(struct sb_wire *wire, const struct sb_str *words, size_t n, sb_wire_answered *answered)
{
    struct sb_err err;
    struct sb_wire_ask *ask = put(wire, words, n, answered, wire, &err);
    if (ask != NULL) {
        send_ask(wire, ask);
    }
    return ask == NULL ? -1 : 0;
}

static void greet(struct sb_wire *wire)
{
    const struct sb_url *url = wire->options.url;
    const char *secret = wire->options.password != NULL ? wire->options.password : url->password;
    char db[24];
    (void)snprintf(db, sizeof db, "%u", (unsigned)url->db);
    struct sb_str auth[3] = {SB_STR("AUTH")};
    size_t n = 1;
    if (url->user[0] != '\0') {
        auth[n++] = sb_str_from(url->user);
    }
    auth[n++] = sb_str_from(secret);
    const struct sb_str select[] = {SB_STR("SELECT"), sb_str_from(db)};
    const struct sb_str ping[] = {SB_STR("PING")};
    if (!move(wire, SB_WIRE_GREETING)) {
        return;
    }
    if ((secret[0] != '\0' && greet_with(wire, auth, n, NULL) < 0) ||
        (url->db != 0 && greet_with(wire, select, 2, NULL) < 0) ||
        greet_with(wire, ping, 1, on_up) < 0) {
        lose(wire, "no memory", "");
    }
    watch(wire);
}

/* ---- connecting ---- */

static void on_event(struct bufferevent *channel, short what, void *ctx)
{
    struct sb_wire *wire = ctx;
    char text[160] = "it ended the connection";
    unsigned long code = bufferevent_get_openssl_error(channel);
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        greet(wire);
        return;
    }
    if (code != 0) {
        const char *reason = ERR_reason_error_string(code);
        (void)snprintf(text, sizeof text, "TLS: %s", reason == NULL ? "failed" : reason);
        lose(wire, "TLS with it fails", text);
    } else {
        if ((what & BEV_EVENT_ERROR) != 0) {
            (void)snprintf(text, sizeof text, "%s", strerror(EVUTIL_SOCKET_ERROR()));
        }
        lose(wire,
             wire->state == SB_WIRE_CONNECTING ? "there is no connection"
                                               : "it ended the connection",
             text);
    }
}

static int address_of(struct sb_wire *wire, struct sockaddr_storage *ret, int *ret_len)
{
    const struct sb_url *url = wire->options.url;
    *ret_len = (int)sizeof *ret;
    if (url->kind == SB_URL_UNIX) {
        struct sockaddr_un *at = (struct sockaddr_un *)ret;
        *at = (struct sockaddr_un){.sun_family = AF_UNIX};
        (void)snprintf(at->sun_path, sizeof at->sun_path, "%s", url->path);
        *ret_len = (int)sizeof *at;
        return 0;
    }
    return wire->n_addresses == 0
               ? -1
               : evutil_parse_sockaddr_port(wire->addresses[wire->next++ % wire->n_addresses],
                                            (struct sockaddr *)ret, ret_len);
}

static struct bufferevent *channel_new(struct sb_wire *wire)
{
    if (wire->tls == NULL) {
        return bufferevent_socket_new(wire->options.base, -1, BEV_OPT_CLOSE_ON_FREE);
    }
    SSL *ssl = sb_wire_tls_open(wire->tls, wire->options.url);
    struct bufferevent *made =
        ssl == NULL
            ? NULL
            : bufferevent_openssl_socket_new(wire->options.base, -1, ssl,
                                             BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (made == NULL) {
        SSL_free(ssl);
    }
    return made;
}

static void open_channel(struct sb_wire *wire)
{
    struct sockaddr_storage address;
    int len = 0;
    if (address_of(wire, &address, &len) < 0) {
        (void)move(wire, SB_WIRE_LOOKING);
        return;
    }
    if (!move(wire, SB_WIRE_CONNECTING)) {
        return;
    }
    arm(wire->clock, SB_WIRE_CONNECT_MS);
    wire->resp = sb_resp_new();
    wire->channel = wire->resp == NULL ? NULL : channel_new(wire);
    if (wire->channel == NULL) {
        lose(wire, "no memory", "");
        return;
    }
    bufferevent_setcb(wire->channel, on_read, NULL, on_event, wire);
    bufferevent_setwatermark(wire->channel, EV_READ, 0, 4UL * SB_RESP_PENDING);
    (void)bufferevent_enable(wire->channel, EV_READ | EV_WRITE);
    /* One that fails at once is told to on_event, from here: the channel may be gone. */
    if (bufferevent_socket_connect(wire->channel, (struct sockaddr *)&address, len) < 0 &&
        wire->state == SB_WIRE_CONNECTING) {
        lose(wire, "there is no connection", strerror(errno));
    }
}

/* ---- time ---- */

static bool is_late(const struct sb_wire_ask *ask)
{
    return ask != NULL && sb_clock_left_ms(ask->deadline_ms) == 0;
}

static void on_due(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_wire *wire = ctx;
    struct sb_err err;
    struct sb_wire_ask *ask = first_of(&wire->sent);
    (void)sb_err_set(&err, SB_UNAVAILABLE, "%s", unreachable);
    if (is_late(ask)) {
        lose(wire, "it does not answer", "a question was not answered in time");
    }
    while (is_late(ask = first_of(&wire->waiting))) {
        answer(wire, ask, NULL, &err);
    }
    watch(wire);
}

static void ping(struct sb_wire *wire)
{
    const struct sb_str words[] = {SB_STR("PING")};
    struct sb_err ignored; /* the next one then */
    if (sb_list_is_empty(&wire->sent)) {
        (void)sb_wire_ask(wire, words, 1, NULL, NULL, &ignored);
    }
    arm(wire->clock, SB_WIRE_IDLE_MS);
}

static void on_clock(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_wire *wire = ctx;
    switch (wire->state) {
    case SB_WIRE_UP:
        ping(wire);
        break;
    case SB_WIRE_CONNECTING:
    case SB_WIRE_GREETING:
        lose(wire, "it does not answer", "no greeting in time");
        break;
    case SB_WIRE_DOWN:
        open_channel(wire);
        break;
    case SB_WIRE_LOOKING: /* the name has no address; what waits is told by on_due */
    case SB_WIRE_STATES_:
    default:
        break;
    }
}

/* ---- names ---- */

static void on_names(void *ctx, const char *const *addresses, const char *const *names, size_t n)
{
    struct sb_wire *wire = ctx;
    (void)names;
    wire->n_addresses = n;
    for (size_t i = 0; i < n; i++) {
        const char *colon = strchr(addresses[i], ':'); /* behind "ipv4" or "ipv6" */
        (void)snprintf(wire->addresses[i], sizeof wire->addresses[i], "%s",
                       colon == NULL ? "" : colon + 1);
    }
    if (wire->state == SB_WIRE_LOOKING && n > 0) {
        open_channel(wire);
    }
}

static int look_up(struct sb_wire *wire, struct sb_err *err)
{
    const struct sb_url *url = wire->options.url;
    char text[sizeof url->host + 32];
    struct sockaddr_storage address;
    int len = (int)sizeof address;
    bool is_six = strchr(url->host, ':') != NULL;
    if (url->kind == SB_URL_UNIX) {
        return 0;
    }
    (void)snprintf(text, sizeof text, is_six ? "[%s]:%u" : "%s:%u", url->host, (unsigned)url->port);
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &len) == 0) {
        (void)snprintf(wire->addresses[0], sizeof wire->addresses[0], "%.*s",
                       (int)sizeof wire->addresses[0] - 1, text);
        wire->n_addresses = 1;
        return 0;
    }
    (void)snprintf(text, sizeof text, "dns:///%s:%u", url->host, (unsigned)url->port);
    return sb_members_new(wire->options.base, text, on_names, wire, &wire->names, err);
}

/* ---- life ---- */

int sb_wire_new(const struct sb_wire_options *options,
                struct sb_wire **ret_wire,
                struct sb_err *err)
{
    struct sb_wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL) {
        return sb_err_oom(err);
    }
    wire->options = *options;
    wire->trouble = "it is not connected yet";
    sb_list_init(&wire->waiting);
    sb_list_init(&wire->sent);
    wire->due = event_new(options->base, -1, 0, on_due, wire);
    wire->clock = event_new(options->base, -1, 0, on_clock, wire);
    int rc = wire->due == NULL || wire->clock == NULL ? sb_err_oom(err) : 0;
    if (rc == 0 && options->url->kind == SB_URL_TLS) {
        rc = sb_wire_tls_new(options, &wire->tls, err);
    }
    if (rc == 0) {
        rc = look_up(wire, err);
    }
    if (rc < 0) {
        sb_wire_free(wire);
        return -1;
    }
    if (wire->names == NULL) {
        open_channel(wire);
    }
    *ret_wire = wire;
    return 0;
}

void sb_wire_free(struct sb_wire *wire)
{
    if (wire == NULL) {
        return;
    }
    struct sb_err err;
    (void)sb_err_set(&err, SB_CANCELLED, "the gateway ends");
    wire->state = SB_WIRE_DOWN;
    sb_members_free(wire->names);
    close_channel(wire);
    if (wire->due != NULL) {
        fail_all(wire, &err);
        event_free(wire->due);
    }
    if (wire->clock != NULL) {
        event_free(wire->clock);
    }
    SSL_CTX_free(wire->tls);
    free(wire);
}

enum sb_wire_state sb_wire_state_of(const struct sb_wire *wire)
{
    return wire->state;
}

const char *sb_wire_trouble(const struct sb_wire *wire)
{
    return wire->trouble;
}
