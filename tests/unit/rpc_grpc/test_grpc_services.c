#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fixture.h"
#include "grpc/health/v1/health.rpc.h"
#include "grpc/reflection/v1/reflection.rpc.h"
#include "proto/rpc/grpc/bytes.h"

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name
typedef Grpc__Reflection__V1__ServerReflectionRequest Ask;
typedef Grpc__Reflection__V1__ServerReflectionResponse Answer;
#define ASK(name)    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWER(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

struct context {
    struct fixture *fixture;
    struct sb_rpc_channel *channel;
};

static struct fixture_options options;

static int set_up(void **state)
{
    static struct context context;
    context.fixture = fixture_start(&options);
    context.channel = fixture_channel(fixture_target(context.fixture), NULL);
    *state = &context;
    return 0;
}

static int tear_down(void **state)
{
    struct context *context = *state;
    sb_rpc_channel_free(context->channel);
    fixture_stop(context->fixture);
    fixture_scratch_remove();
    return 0;
}

/* ---- health ---- */

static enum sb_code check(struct context *context, const char *service, int *ret_status)
{
    Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    req.service = sb_grpc_bytes_unconst(service);
    Grpc__Health__V1__HealthCheckResponse *reply = NULL;
    struct sb_err err = {0};
    if (grpc__health__v1__health__check__call(context->channel, &req, NULL, &reply, &err) < 0) {
        return err.code;
    }
    *ret_status = (int)reply->status;
    grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    return SB_OK;
}

struct health_change {
    const char *service;
    enum sb_rpc_health health;
};

static void apply_health(struct sb_rpc_server *server, void *ctx)
{
    const struct health_change *change = ctx;
    sb_rpc_server_set_health(server, change->service, change->health);
}

static void set_health(struct context *context, const char *service, enum sb_rpc_health health)
{
    struct health_change change = {service, health};
    fixture_run(context->fixture, apply_health, &change);
}

static void find_looked(struct sb_rpc_server *server, void *ctx)
{
    *(bool *)ctx = sb_rpc_server_was_looked_at(server);
}

static bool was_looked_at(struct context *context)
{
    bool was = false;
    fixture_run(context->fixture, find_looked, &was);
    return was;
}

/** With the first byte of HTTP/2's preface. True: the server has hung up. */
static bool is_turned_away(const char *target)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char byte = 'P';
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", target + strlen("grpc+unix:"));
    SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
    return recv(fd, &byte, 1, 0) <= 0;
}

static int set_up_a_load_that_fails(void **state)
{
    options.n_loads_that_fail = 1;
    int rc = set_up(state);
    options.n_loads_that_fail = 0;
    return rc;
}

static void who_comes_when_it_cannot_be_loaded_is_turned_away_alone(void **state)
{
    struct context *context = *state;
    int status = -1;
    assert_true(is_turned_away(fixture_target(context->fixture)));
    assert_int_equal(check(context, "probe.v1.Probe", &status), SB_OK);
    assert_int_equal(status, STATUS(SERVING));
}

static void the_server_and_its_services_are_healthy_from_the_start(void **state)
{
    int status = -1;
    assert_int_equal(check(*state, "", &status), SB_OK);
    assert_int_equal(status, STATUS(SERVING));
    assert_int_equal(check(*state, "probe.v1.Probe", &status), SB_OK);
    assert_int_equal(status, STATUS(SERVING));
}

static void who_asks_how_it_is_has_looked_and_nobody_else(void **state)
{
    struct context *context = *state;
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    Probe__V1__SayReply *reply = NULL;
    struct sb_err err = {0};
    int status = -1;
    assert_int_equal(probe__v1__probe__say__call(context->channel, &req, NULL, &reply, &err), 0);
    probe__v1__say_reply__free_unpacked(reply, NULL);
    assert_false(was_looked_at(context));
    assert_int_equal(check(context, "", &status), SB_OK);
    assert_true(was_looked_at(context));
}

static void checking_an_unknown_service_is_not_found(void **state)
{
    int status = -1;
    assert_int_equal(check(*state, "probe.v1.Nobody", &status), SB_NOT_FOUND);
}

static void one_service_can_be_unhealthy_alone(void **state)
{
    int status = -1;
    set_health(*state, "probe.v1.Probe", SB_RPC_HEALTH_NOT_SERVING);
    assert_int_equal(check(*state, "probe.v1.Probe", &status), SB_OK);
    assert_int_equal(status, STATUS(NOT_SERVING));
    assert_int_equal(check(*state, "", &status), SB_OK);
    assert_int_equal(status, STATUS(SERVING));
}

static void an_unhealthy_server_has_no_healthy_service(void **state)
{
    int status = -1;
    set_health(*state, "probe.v1.Probe", SB_RPC_HEALTH_SERVING);
    set_health(*state, "", SB_RPC_HEALTH_NOT_SERVING);
    assert_int_equal(check(*state, "probe.v1.Probe", &status), SB_OK);
    assert_int_equal(status, STATUS(NOT_SERVING));
}

static void health_lists_every_service_once(void **state)
{
    struct context *context = *state;
    Grpc__Health__V1__HealthListRequest req = GRPC__HEALTH__V1__HEALTH_LIST_REQUEST__INIT;
    Grpc__Health__V1__HealthListResponse *reply = NULL;
    struct sb_err err = {0};
    assert_int_equal(
        grpc__health__v1__health__list__call(context->channel, &req, NULL, &reply, &err), 0);
    assert_int_equal(reply->n_statuses, 5); /* "", health, probe, reflection twice */
    unsigned n_probe = 0;
    for (size_t i = 0; i < reply->n_statuses; i++) {
        n_probe += strcmp(reply->statuses[i]->key, "probe.v1.Probe") == 0;
        assert_int_equal(reply->statuses[i]->value->status, STATUS(SERVING));
    }
    assert_int_equal(n_probe, 1);
    grpc__health__v1__health_list_response__free_unpacked(reply, NULL);
}

struct watch {
    int last;
    unsigned n_messages;
    bool has_changed; /* set by each message; the test clears it */
    bool is_done;
    enum sb_code code;
};

static void on_watched(struct sb_rpc_stream *stream,
                       const Grpc__Health__V1__HealthCheckResponse *msg,
                       void *user)
{
    struct watch *watch = user;
    watch->last = (int)msg->status;
    watch->n_messages++;
    watch->has_changed = true;
    sb_rpc_stream_read(stream);
}

static void on_watch_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct watch *watch = user;
    watch->is_done = true;
    watch->code = err->code;
}

static struct sb_rpc_stream *
start_watch(struct context *context, const char *service, struct watch *watch)
{
    static const struct grpc__health__v1__health__watch__callbacks callbacks = {
        .message = on_watched, .done = on_watch_done};
    Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    req.service = sb_grpc_bytes_unconst(service);
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    assert_int_equal(grpc__health__v1__health__watch__start(context->channel, &req, NULL,
                                                            &callbacks, watch, &stream, &err),
                     0);
    sb_rpc_stream_read(stream);
    return stream;
}

static void expect_watch(struct context *context, struct watch *watch, int status)
{
    fixture_wait(context->channel, &watch->has_changed);
    watch->has_changed = false;
    assert_int_equal(watch->last, status);
}

static void a_watcher_is_told_every_change_and_nothing_else(void **state)
{
    struct context *context = *state;
    struct watch watch = {.last = -1};
    struct sb_rpc_stream *stream = start_watch(context, "", &watch);
    expect_watch(context, &watch, STATUS(SERVING));
    set_health(context, "", SB_RPC_HEALTH_SERVING); /* no change */
    set_health(context, "", SB_RPC_HEALTH_NOT_SERVING);
    expect_watch(context, &watch, STATUS(NOT_SERVING));
    set_health(context, "", SB_RPC_HEALTH_SERVING);
    expect_watch(context, &watch, STATUS(SERVING));
    assert_int_equal(watch.n_messages, 3);
    sb_rpc_stream_cancel(stream);
    fixture_wait(context->channel, &watch.is_done);
    assert_int_equal(watch.code, SB_CANCELLED);
}

static void an_unknown_service_can_be_watched_until_it_appears(void **state)
{
    struct context *context = *state;
    struct watch watch = {.last = -1};
    struct sb_rpc_stream *stream = start_watch(context, "probe.v1.Later", &watch);
    expect_watch(context, &watch, STATUS(SERVICE_UNKNOWN));
    set_health(context, "probe.v1.Later", SB_RPC_HEALTH_SERVING);
    expect_watch(context, &watch, STATUS(SERVING));
    sb_rpc_stream_cancel(stream);
    fixture_wait(context->channel, &watch.is_done);
}

/* ---- reflection ---- */

struct asked {
    Answer *answer; /* owned */
    bool is_done;
    enum sb_code code;
};

static void on_answer(struct sb_rpc_stream *stream, const ProtobufCMessage *msg, void *user)
{
    struct asked *asked = user;
    /* A copy: the message belongs to the stream. */
    size_t size = protobuf_c_message_get_packed_size(msg);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    (void)protobuf_c_message_pack(msg, bytes);
    asked->answer = grpc__reflection__v1__server_reflection_response__unpack(NULL, size, bytes);
    free(bytes);
    sb_rpc_stream_half_close(stream);
    sb_rpc_stream_read(stream);
}

static void on_asked_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct asked *asked = user;
    asked->is_done = true;
    asked->code = err->code;
}

/** Both versions have the same messages. The caller frees the answer. */
static Answer *ask(struct context *context, const char *path, const Ask *request)
{
    struct sb_rpc_method method = grpc__reflection__v1__server_reflection__methods[0];
    method.path = path;
    const struct sb_rpc_stream_callbacks callbacks = {.message = on_answer, .done = on_asked_done};
    struct asked asked = {0};
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_rpc_stream_start(context->channel, &method, NULL, NULL, &callbacks, &asked,
                                         &stream, &err),
                     0);
    (void)sb_rpc_stream_send(stream, &request->base);
    sb_rpc_stream_read(stream);
    fixture_wait(context->channel, &asked.is_done);
    assert_int_equal(asked.code, SB_OK);
    assert_non_null(asked.answer);
    return asked.answer;
}

static const char *const reflection_paths[] = {
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

static void answer_free(Answer *answer)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(answer, NULL);
}

static void reflection_lists_the_services(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        Ask request;
        grpc__reflection__v1__server_reflection_request__init(&request);
        request.message_request_case = ASK(LIST_SERVICES);
        request.list_services = sb_grpc_bytes_unconst("");
        Answer *answer = ask(*state, reflection_paths[i], &request);
        assert_int_equal(answer->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
        const Grpc__Reflection__V1__ListServiceResponse *list = answer->list_services_response;
        assert_int_equal(list->n_service, 4);
        assert_string_equal(list->service[0]->name, "grpc.health.v1.Health");
        assert_string_equal(list->service[3]->name, "probe.v1.Probe");
        answer_free(answer);
    }
}

static bool contains(const ProtobufCBinaryData *data, const char *text)
{
    return memmem(data->data, data->len, text, strlen(text)) != NULL;
}

static void reflection_finds_the_file_of_a_symbol(void **state)
{
    static const char *const symbols[] = {"probe.v1.Probe", "probe.v1.Probe.Say",
                                          "probe.v1.SayRequest"};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        Ask request;
        grpc__reflection__v1__server_reflection_request__init(&request);
        request.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
        request.file_containing_symbol = sb_grpc_bytes_unconst(symbols[i]);
        Answer *answer = ask(*state, reflection_paths[0], &request);
        assert_int_equal(answer->message_response_case, ANSWER(FILE_DESCRIPTOR_RESPONSE));
        assert_int_equal(answer->file_descriptor_response->n_file_descriptor_proto, 1);
        assert_true(contains(&answer->file_descriptor_response->file_descriptor_proto[0],
                             "rpc_probe.proto"));
        answer_free(answer);
    }
}

static void reflection_finds_a_file_by_name(void **state)
{
    Ask request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = ASK(FILE_BY_FILENAME);
    request.file_by_filename = sb_grpc_bytes_unconst("grpc/health/v1/health.proto");
    Answer *answer = ask(*state, reflection_paths[1], &request);
    assert_int_equal(answer->message_response_case, ANSWER(FILE_DESCRIPTOR_RESPONSE));
    assert_true(contains(&answer->file_descriptor_response->file_descriptor_proto[0],
                         "HealthCheckRequest"));
    answer_free(answer);
}

static void reflection_says_what_it_does_not_know(void **state)
{
    Ask request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    request.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = sb_grpc_bytes_unconst("probe.v1.Nobody");
    Answer *answer = ask(*state, reflection_paths[0], &request);
    assert_int_equal(answer->message_response_case, ANSWER(ERROR_RESPONSE));
    assert_int_equal(answer->error_response->error_code, SB_NOT_FOUND);
    assert_string_equal(answer->original_request->file_containing_symbol, "probe.v1.Nobody");
    answer_free(answer);
}

static void an_unknown_method_is_unimplemented_at_once(void **state)
{
    struct context *context = *state;
    struct sb_rpc_method method = probe__v1__probe__methods[PROBE__V1__PROBE__METHOD_SAY];
    method.path = "/probe.v1.Probe/Nope";
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_rpc_call_unary(context->channel, &method, &req.base, NULL, &reply, &err),
                     -1);
    assert_int_equal(err.code, SB_UNIMPLEMENTED);
}

/** Somebody has spoken gRPC to it. */
static int set_up_woken(void **state)
{
    int status = -1;
    return set_up(state) == 0 && check(*state, "", &status) == SB_OK ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_woken, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_server_and_its_services_are_healthy_from_the_start),
        cmocka_unit_test_setup_teardown(who_asks_how_it_is_has_looked_and_nobody_else, set_up,
                                        tear_down),
        TEST(checking_an_unknown_service_is_not_found),
        TEST(one_service_can_be_unhealthy_alone),
        TEST(an_unhealthy_server_has_no_healthy_service),
        TEST(health_lists_every_service_once),
        TEST(a_watcher_is_told_every_change_and_nothing_else),
        TEST(an_unknown_service_can_be_watched_until_it_appears),
        TEST(reflection_lists_the_services),
        TEST(reflection_finds_the_file_of_a_symbol),
        TEST(reflection_finds_a_file_by_name),
        TEST(reflection_says_what_it_does_not_know),
        TEST(an_unknown_method_is_unimplemented_at_once),
    };
    const struct CMUnitTest offered[] = {
        cmocka_unit_test_setup_teardown(who_comes_when_it_cannot_be_loaded_is_turned_away_alone,
                                        set_up_a_load_that_fails, tear_down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    options.offers = true;
    failed += cmocka_run_group_tests_name("offered", tests, NULL, NULL);
    return failed + cmocka_run_group_tests(offered, NULL, NULL);
}
