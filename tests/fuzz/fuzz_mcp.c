#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/session.h"
#include "mcp-gateway/mcp/tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t answers;

/* What goes out is one line of strict JSON, whatever came in. */
static void check(struct sb_str message)
{
    struct sb_err err;
    static const struct sb_json_scan_limits limits = {
        .bytes = 32U << 20, .depth = 64, .values = 1000000};
    if (message.len > 0 && (memchr(message.ptr, '\n', message.len) != NULL ||
                            sb_json_scan(message, &limits, &err) < 0)) {
        abort();
    }
}

static void on_send(struct sb_mcp_link *link, struct sb_str message)
{
    (void)link;
    check(message);
}

static void on_answer(struct sb_mcp_link *link, int status, struct sb_str message)
{
    (void)link;
    if (status < 200 || status > 599) {
        abort();
    }
    answers++;
    check(message);
}

static const struct sb_mcp_link_ops ops = {.send = on_send, .answer = on_answer};

static void run_echo(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    sb_mcp_progress(call, 1, 2, SB_STR("x"));
    sb_mcp_log(call, SB_MCP_ERROR, SB_STR("y"));
    sb_mcp_text(call,
                sb_str_from(cJSON_GetObjectItemCaseSensitive(arguments, "text")->valuestring));
    sb_mcp_done(call);
}

/* Waits until it is cancelled. */
static void run_wait(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)call;
    (void)arguments;
    (void)user;
}

static void run_ask(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    if (sb_mcp_accepted(call, "a") != NULL) {
        sb_mcp_structured(call, SB_STR("[\n1]"));
        sb_mcp_done(call);
        return;
    }
    sb_mcp_ask(call, "a", SB_MCP_ASK_ELICITATION, SB_STR("{}"));
    sb_mcp_ask_done(call, SB_STR("state"));
}

static void read_resource(struct sb_mcp_call *call, struct sb_str uri, void *user)
{
    (void)user;
    if (uri.len > 3) {
        sb_mcp_not_found(call, uri);
        return;
    }
    sb_mcp_contents_blob(call, uri, NULL, uri);
    sb_mcp_done(call);
}

static void get_prompt(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_message(call, "user");
    sb_mcp_text(call, SB_STR("p"));
    sb_mcp_done(call);
}

static const struct sb_mcp_tool tools[] = {
    {.name = "echo",
     .input_schema =
         "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"maxLength\":9,"
         "\"x-mcp-header\":\"T\"},\"n\":{\"type\":\"integer\",\"minimum\":1,\"enum\":[1,2]},"
         "\"l\":{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"null\"]},\"maxItems\":2},"
         "\"o\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"boolean\","
         "\"x-mcp-header\":\"B\"}},\"additionalProperties\":false}},\"required\":[\"text\"],"
         "\"additionalProperties\":false}",
     .run = run_echo},
    {.name = "wait", .input_schema = "{\"type\":\"object\"}", .run = run_wait},
    {.name = "ask", .input_schema = "{\"type\":\"object\"}", .run = run_ask},
};
static const struct sb_mcp_prompt prompts[] = {
    {.name = "p", .arguments = "[{\"name\":\"a\",\"required\":true}]", .get = get_prompt},
};
static const struct sb_mcp_definition definition = {
    .name = "f",
    .version = "1",
    .tools = tools,
    .n_tools = 3,
    .prompts = prompts,
    .n_prompts = 1,
    .read_resource = read_resource,
    .has_subscriptions = true,
    .lists_change = true,
    .has_logging = true,
};

struct headers {
    char values[6][256]; /* version, method, name, Mcp-Param-T, Mcp-Param-B, session */
};

static const char *get_header(const char *name, void *ctx)
{
    const struct headers *headers = ctx;
    const char *value = headers->values[strcmp(name, "Mcp-Param-T") == 0 ? 3 : 4];
    return value[0] == '-' ? NULL : value;
}

static const char *or_null(const char *value)
{
    return value[0] == '-' ? NULL : value;
}

/* Takes a line off the front. */
static struct sb_str take(struct sb_str *rest)
{
    struct sb_str line = *rest;
    if (!sb_str_split(*rest, '\n', &line, rest)) {
        *rest = (struct sb_str){NULL, 0};
    }
    return line;
}

static void try_stdio(struct sb_mcp *mcp, struct sb_str rest)
{
    const struct sb_mcp_head head = {.is_http = false};
    struct sb_mcp_link link;
    struct sb_mcp_session session;
    sb_mcp_link_init(&link, &ops);
    sb_mcp_session_init(&session);
    link.is_stdio = true;
    link.session = &session;
    session.stream = &link;
    while (rest.len > 0) {
        sb_mcp_receive(mcp, &link, &head, NULL, take(&rest));
    }
    sb_mcp_list_changed(mcp, SB_MCP_TOOLS);
    sb_mcp_close(mcp);
    sb_mcp_link_drop(&link);
    session.stream = NULL;
    sb_mcp_session_done(&session);
}

/* The first lines are headers, the rest the body; "-" is none. */
static void try_http(struct sb_mcp *mcp, struct sb_str rest)
{
    struct headers headers;
    for (size_t i = 0; i < 6; i++) {
        struct sb_str line = sb_str_head(take(&rest), sizeof headers.values[i] - 1);
        memset(headers.values[i], 0, sizeof headers.values[i]);
        if (line.len > 0) {
            memcpy(headers.values[i], line.ptr, line.len);
        }
    }
    const struct sb_mcp_head head = {
        .is_http = true,
        .protocol_version = or_null(headers.values[0]),
        .method = or_null(headers.values[1]),
        .name = or_null(headers.values[2]),
        .header = get_header,
        .ctx = &headers,
    };
    struct sb_mcp_link link;
    sb_mcp_link_init(&link, &ops);
    sb_mcp_receive(mcp, &link, &head, or_null(headers.values[5]), rest);
    if (answers > 1) {
        abort(); /* one request, one answer */
    }
    sb_mcp_link_drop(&link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err;
    struct sb_mcp *mcp = NULL;
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, "fuzz");
    if (size == 0 || sb_mcp_new(&definition, NULL, &mcp, &err) < 0) {
        return 0;
    }
    answers = 0;
    struct sb_str rest = sb_str_of(data + 1, size - 1);
    if (data[0] == 'h') {
        try_http(mcp, rest);
    } else {
        try_stdio(mcp, rest);
    }
    if (sb_mcp_calls(mcp) != 0) {
        abort();
    }
    sb_mcp_free(mcp);
    return 0;
}
