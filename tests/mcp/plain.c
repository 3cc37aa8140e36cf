/** Tools that need nobody's help. */
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <cjson/cJSON.h>

#include "base/base64.h"
#include "base/buf.h"
#include "tests/mcp/fixture.h"

const char fixture_image[] =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0g"
    "AAAABJRU5ErkJggg==";
const char fixture_audio[] = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

static void
put_decoded(struct sb_mcp_call *call,
            void (*put)(struct sb_mcp_call *call, const char *mime_type, struct sb_str data),
            const char *mime_type,
            const char *text)
{
    struct sb_buf data = SB_BUF_INIT(4096);
    if (sb_base64_decode(sb_str_from(text), &data) < 0) {
        abort();
    }
    put(call, mime_type, sb_buf_str(&data));
    sb_buf_done(&data);
}

void fixture_put_image(struct sb_mcp_call *call)
{
    put_decoded(call, sb_mcp_image, "image/png", fixture_image);
}

void fixture_put_audio(struct sb_mcp_call *call)
{
    put_decoded(call, sb_mcp_audio, "audio/wav", fixture_audio);
}

void fixture_say(struct sb_mcp_call *call, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sb_mcp_text(call, sb_str_from(text));
    sb_mcp_done(call);
}

const char *fixture_string(const struct cJSON *object, const char *key, const char *otherwise)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(member) ? member->valuestring : otherwise;
}

/* ---- at once ---- */

static void run_echo(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    sb_mcp_text(call, sb_str_from(fixture_string(arguments, "text", "")));
    sb_mcp_done(call);
}

static void run_blob(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    size_t n = (size_t)cJSON_GetObjectItemCaseSensitive(arguments, "bytes")->valuedouble;
    char *text = malloc(n + 1);
    if (text == NULL) {
        abort();
    }
    memset(text, 'x', n);
    sb_mcp_text(call, sb_str_of(text, n));
    sb_mcp_done(call);
    free(text);
}

static void run_text(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    fixture_say(call, "This is a simple text response for testing.");
}

static void run_image(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    fixture_put_image(call);
    sb_mcp_done(call);
}

static void run_audio(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    fixture_put_audio(call);
    sb_mcp_done(call);
}

static void run_embedded(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_embed(call, "test://embedded-resource", "text/plain",
                 SB_STR("This is an embedded resource content."));
    sb_mcp_done(call);
}

static void run_mixed(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_text(call, SB_STR("Multiple content types test:"));
    fixture_put_image(call);
    sb_mcp_embed(call, "test://mixed-content-resource", "application/json",
                 SB_STR("{\"test\":\"data\",\"value\":123}"));
    sb_mcp_done(call);
}

static void run_error(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_fail(call);
    fixture_say(call, "This tool intentionally returns an error for testing");
}

static void run_link(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_link(call, &fixture_resources[0]);
    sb_mcp_structured(call, SB_STR("{\n  \"links\": 1\n}"));
    sb_mcp_done(call);
}

static void run_region(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    fixture_say(call, "region=%s", fixture_string(arguments, "region", "<none>"));
}

static void run_schema(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    char *printed = cJSON_PrintUnformatted(arguments);
    fixture_say(call, "JSON Schema 2020-12 tool called with: %s", printed);
    free(printed);
}

static void run_log(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_log(call, SB_MCP_INFO, SB_STR("test_logging_tool ran"));
    fixture_say(call, "logged");
}

static void run_tools_changed(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    sb_mcp_list_changed(((struct fixture *)user)->mcp, SB_MCP_TOOLS);
    fixture_say(call, "tools_list_changed published");
}

static void run_prompts_changed(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    sb_mcp_list_changed(((struct fixture *)user)->mcp, SB_MCP_PROMPTS);
    fixture_say(call, "prompts_list_changed published");
}

/* ---- by and by ---- */

struct steps {
    struct sb_mcp_call *call;
    struct event *timer;
    void (*step)(struct steps *steps);
    int n;
    int period_ms;
};

static void end_steps(void *ctx)
{
    struct steps *steps = ctx;
    event_free(steps->timer);
    free(steps);
}

static void next(struct steps *steps)
{
    const struct timeval wait = {steps->period_ms / 1000, steps->period_ms % 1000 * 1000L};
    (void)event_add(steps->timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct steps *steps = ctx;
    steps->step(steps);
}

static void cancelled(void *ctx)
{
    (void)fputs("fixture: cancelled\n", stderr);
    end_steps(ctx);
}

static void start_steps(struct sb_mcp_call *call,
                        struct fixture *fixture,
                        void (*step)(struct steps *steps),
                        int period_ms)
{
    struct steps *steps = calloc(1, sizeof *steps);
    if (steps == NULL) {
        abort();
    }
    *steps = (struct steps){.call = call, .step = step, .period_ms = period_ms};
    steps->timer = event_new(fixture->base, -1, 0, on_timer, steps);
    sb_mcp_on_cancel(call, cancelled, steps);
    step(steps);
}

static void finish(struct steps *steps, const char *text)
{
    struct sb_mcp_call *call = steps->call;
    sb_mcp_on_cancel(call, NULL, NULL);
    end_steps(steps);
    fixture_say(call, "%s", text);
}

static void log_step(struct steps *steps)
{
    static const char *const texts[] = {"Tool execution started", "Tool processing data",
                                        "Tool execution completed"};
    sb_mcp_log(steps->call, SB_MCP_INFO, sb_str_from(texts[steps->n]));
    if (++steps->n == 3) {
        finish(steps, "Tool with logging executed successfully");
        return;
    }
    next(steps);
}

static void run_logging(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    start_steps(call, user, log_step, 50);
}

static void progress_step(struct steps *steps)
{
    char text[64];
    int percent = steps->n * 50;
    (void)snprintf(text, sizeof text, "Completed step %d of 100", percent);
    sb_mcp_progress(steps->call, percent, 100, sb_str_from(text));
    if (++steps->n == 3) {
        finish(steps, "done");
        return;
    }
    next(steps);
}

static void run_progress(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    start_steps(call, user, progress_step, 50);
}

/* Runs until it is cancelled, or for the time it was told. */
static void sleep_step(struct steps *steps)
{
    if (steps->n++ == 1) {
        finish(steps, "slept");
        return;
    }
    sb_mcp_progress(steps->call, 0, 1, SB_STR("sleeping"));
    next(steps);
}

static void run_sleep(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    const cJSON *ms = cJSON_GetObjectItemCaseSensitive(arguments, "ms");
    start_steps(call, user, sleep_step, (int)ms->valuedouble);
}

static const char schema_2020_12[] =
    "{\n"
    "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
    "  \"type\": \"object\",\n"
    "  \"$defs\": {\"address\": {\"$anchor\": \"addressDef\", \"type\": \"object\",\n"
    "    \"properties\": {\"street\": {\"type\": \"string\"}, \"city\": {\"type\": "
    "\"string\"}}}},\n"
    "  \"properties\": {\"name\": {\"type\": \"string\"}, \"address\": {\"$ref\": "
    "\"#/$defs/address\"},\n"
    "    \"contactMethod\": {\"type\": \"string\", \"enum\": [\"phone\", \"email\"]},\n"
    "    \"phone\": {\"type\": \"string\"}, \"email\": {\"type\": \"string\"}},\n"
    "  \"allOf\": [{\"anyOf\": [{\"required\": [\"phone\"]}, {\"required\": [\"email\"]}]}],\n"
    "  \"if\": {\"properties\": {\"contactMethod\": {\"const\": \"phone\"}}, \"required\": "
    "[\"contactMethod\"]},\n"
    "  \"then\": {\"required\": [\"phone\"]},\n"
    "  \"else\": {\"required\": [\"email\"]},\n"
    "  \"additionalProperties\": false\n"
    "}";

#define PLAIN(tool, text, function)                                                                \
    {                                                                                              \
        .name = (tool), .description = (text), .input_schema = FIXTURE_NO_ARGUMENTS,               \
        .run = (function)                                                                          \
    }

const struct sb_mcp_tool fixture_plain_tools[] = {
    {.name = "echo",
     .description = "Says what it is told",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},"
                     "\"required\":[\"text\"],\"additionalProperties\":false}",
     .run = run_echo},
    {.name = "blob",
     .description = "n bytes of text",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"bytes\":{\"type\":\"integer\","
                     "\"minimum\":0,\"maximum\":67108864}},\"required\":[\"bytes\"]}",
     .run = run_blob},
    {.name = "sleep",
     .description = "Waits until it is cancelled, at most that long",
     .input_schema =
         "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":1,"
         "\"maximum\":600000}},\"required\":[\"ms\"]}",
     .run = run_sleep},
    PLAIN("test_simple_text", "Tests simple text content response", run_text),
    PLAIN("test_image_content", "Tests image content response", run_image),
    PLAIN("test_audio_content", "Tests audio content response", run_audio),
    PLAIN("test_embedded_resource", "Tests embedded resource content response", run_embedded),
    PLAIN("test_multiple_content_types", "Tests response with several types", run_mixed),
    PLAIN("test_error_handling", "Tests error response handling", run_error),
    {.name = "test_resource_link",
     .description = "Tests a link and structured content",
     .input_schema = FIXTURE_NO_ARGUMENTS,
     .output_schema = "{\"type\":\"object\",\"properties\":{\"links\":{\"type\":\"integer\"}},"
                      "\"required\":[\"links\"]}",
     .annotations = "{\"readOnlyHint\":true}",
     .run = run_link},
    PLAIN("test_tool_with_logging", "Tests log messages during execution", run_logging),
    PLAIN("test_tool_with_progress", "Tests progress notifications", run_progress),
    PLAIN("test_logging_tool", "Logs where the request asks for it", run_log),
    PLAIN("test_streaming_elicitation", "A plain result", run_text),
    PLAIN("test_trigger_tool_change", "Publishes that tools changed", run_tools_changed),
    PLAIN("test_trigger_prompt_change", "Publishes that prompts changed", run_prompts_changed),
    {.name = "test_x_mcp_header",
     .description = "Tests headers that repeat arguments",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\","
                     "\"x-mcp-header\":\"Region\"},\"level\":{\"type\":\"integer\"}}}",
     .run = run_region},
    {.name = "json_schema_2020_12_tool",
     .description = "Tool with JSON Schema 2020-12 features",
     .input_schema = schema_2020_12,
     .run = run_schema},
    {.name = NULL},
};
