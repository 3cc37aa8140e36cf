/** Tools and a prompt that ask the client, as revisions since 2026-07-28 do. */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tests/mcp/fixture.h"

static const struct sb_str none = {NULL, 0};

#define FORM(message, field, type)                                                                 \
    "{\"mode\":\"form\",\"message\":\"" message                                                    \
    "\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"" field "\":{\"type\":\"" type  \
    "\"}},\"required\":[\"" field "\"]}}"
#define PROMPT(text, tokens)                                                                       \
    "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"" text            \
    "\"}}],\"maxTokens\":" tokens "}"

static void ask_form(struct sb_mcp_call *call, const char *key, const char *form)
{
    sb_mcp_ask(call, key, SB_MCP_ASK_ELICITATION, sb_str_from(form));
}

static void ask_model(struct sb_mcp_call *call, const char *key, const char *prompt)
{
    sb_mcp_ask(call, key, SB_MCP_ASK_SAMPLING, sb_str_from(prompt));
}

/* The text of a model's answer, or NULL. */
static const char *said(const struct sb_mcp_call *call, const char *key)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(sb_mcp_answer(call, key), "content");
    return fixture_string(content, "text", NULL);
}

static const cJSON *roots(const struct sb_mcp_call *call)
{
    const cJSON *list =
        cJSON_GetObjectItemCaseSensitive(sb_mcp_answer(call, "client_roots"), "roots");
    return cJSON_IsArray(list) ? list : NULL;
}

static void run_missing(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    if (sb_mcp_answer(call, "llm_answer") != NULL) {
        fixture_say(call, "sampling round-trip complete");
        return;
    }
    ask_model(call, "llm_answer", PROMPT("Reply with the single word: pong", "16"));
    sb_mcp_ask_done(call, none);
}

static void run_elicitation(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    const char *name = fixture_string(sb_mcp_accepted(call, "user_name"), "name", NULL);
    if (name != NULL) {
        fixture_say(call, "Hello, %s!", name);
        return;
    }
    ask_form(call, "user_name", FORM("What is your name?", "name", "string"));
    sb_mcp_ask_done(call, none);
}

static void run_sampling(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    const char *text = said(call, "capital_question");
    if (text != NULL) {
        fixture_say(call, "Sampling response: %s", text);
        return;
    }
    ask_model(call, "capital_question", PROMPT("What is the capital of France?", "100"));
    sb_mcp_ask_done(call, none);
}

static void run_roots(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    const cJSON *list = roots(call);
    if (list != NULL) {
        fixture_say(call, "Client exposed %d root(s): %s", cJSON_GetArraySize(list),
                    fixture_string(list->child, "uri", ""));
        return;
    }
    sb_mcp_ask(call, "client_roots", SB_MCP_ASK_ROOTS, none);
    sb_mcp_ask_done(call, none);
}

static void run_request_state(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    if (sb_mcp_accepted(call, "confirm") == NULL) {
        ask_form(call, "confirm", FORM("Please confirm", "ok", "boolean"));
        sb_mcp_ask_done(call, SB_STR("request_state"));
    } else if (sb_mcp_state(call).len == 0) {
        sb_mcp_error(call, SB_MCP_INVALID_PARAMS, SB_STR("requestState is missing"), none);
    } else {
        fixture_say(call, "state-ok: requestState verified and confirmation received");
    }
}

static void run_multiple(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    const char *name = fixture_string(sb_mcp_accepted(call, "user_name"), "name", NULL);
    const char *greeting = said(call, "greeting");
    const cJSON *list = roots(call);
    if (name != NULL && greeting != NULL && list != NULL) {
        fixture_say(call, "%s %s, %d root(s) visible", greeting, name, cJSON_GetArraySize(list));
        return;
    }
    ask_form(call, "user_name", FORM("What is your name?", "name", "string"));
    ask_model(call, "greeting", PROMPT("Generate a greeting", "50"));
    sb_mcp_ask(call, "client_roots", SB_MCP_ASK_ROOTS, none);
    sb_mcp_ask_done(call, SB_STR("multiple_inputs"));
}

/* The round is in the state: "1", then "2" and the name. */
static void run_rounds(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    char next[128];
    struct sb_str state = sb_mcp_state(call);
    if (state.len == 0) {
        ask_form(call, "step1", FORM("Step 1: What is your name?", "name", "string"));
        sb_mcp_ask_done(call, SB_STR("1"));
    } else if (state.ptr[0] == '1') {
        const char *name = fixture_string(sb_mcp_accepted(call, "step1"), "name", "unknown");
        ask_form(call, "step2", FORM("Step 2: What is your favorite color?", "color", "string"));
        (void)snprintf(next, sizeof next, "2%s", name);
        sb_mcp_ask_done(call, sb_str_from(next));
    } else {
        fixture_say(call, "Multi-round complete: %.*s likes %s", SB_STR_ARG(sb_str_skip(state, 1)),
                    fixture_string(sb_mcp_accepted(call, "step2"), "color", "unknown"));
    }
}

static void run_tampered(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    if (sb_mcp_state(call).len > 0 && sb_mcp_accepted(call, "confirm") != NULL) {
        fixture_say(call, "integrity-ok: requestState verified");
        return;
    }
    ask_form(call, "confirm", FORM("Please confirm", "ok", "boolean"));
    sb_mcp_ask_done(call, SB_STR("tampered_state"));
}

static void run_capabilities(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    bool asks = false;
    if (cJSON_GetArraySize(sb_mcp_answer(call, "user_name")) > 0 ||
        cJSON_GetArraySize(sb_mcp_answer(call, "greeting")) > 0 ||
        cJSON_GetArraySize(sb_mcp_answer(call, "client_roots")) > 0) {
        fixture_say(call, "Capability-aware input requests fulfilled");
        return;
    }
    if (sb_mcp_can_ask(call, SB_MCP_ASK_ELICITATION)) {
        ask_form(call, "user_name", FORM("What is your name?", "name", "string"));
        asks = true;
    }
    if (sb_mcp_can_ask(call, SB_MCP_ASK_SAMPLING)) {
        ask_model(call, "greeting", PROMPT("Generate a short greeting", "50"));
        asks = true;
    }
    if (sb_mcp_can_ask(call, SB_MCP_ASK_ROOTS)) {
        sb_mcp_ask(call, "client_roots", SB_MCP_ASK_ROOTS, none);
        asks = true;
    }
    if (!asks) {
        fixture_say(call, "No declared client capability supports an in-band input request");
        return;
    }
    sb_mcp_ask_done(call, none);
}

#define ASK(tool, text, function)                                                                  \
    {                                                                                              \
        .name = (tool), .description = (text), .input_schema = FIXTURE_NO_ARGUMENTS,               \
        .run = (function)                                                                          \
    }

const struct sb_mcp_tool fixture_ask_tools[] = {
    ASK("test_missing_capability", "Requires the sampling capability", run_missing),
    ASK("test_input_required_result_elicitation", "Asks for the caller's name", run_elicitation),
    ASK("test_input_required_result_sampling", "Asks for a completion", run_sampling),
    ASK("test_input_required_result_list_roots", "Asks for the roots", run_roots),
    ASK("test_input_required_result_request_state", "Sends a state along", run_request_state),
    ASK("test_input_required_result_multiple_inputs", "Asks for three things", run_multiple),
    ASK("test_input_required_result_multi_round", "Asks twice", run_rounds),
    ASK("test_input_required_result_tampered_state", "Refuses a changed state", run_tampered),
    ASK("test_input_required_result_capabilities", "Asks what can be asked", run_capabilities),
    {.name = NULL},
};

/* ---- prompts ---- */

static void get_simple(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_message(call, "user");
    fixture_say(call, "This is a simple prompt for testing.");
}

static void get_arguments(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    sb_mcp_message(call, "user");
    fixture_say(call, "Prompt with arguments: arg1='%s', arg2='%s'",
                fixture_string(arguments, "arg1", ""), fixture_string(arguments, "arg2", ""));
}

static void get_embedded(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    sb_mcp_message(call, "user");
    sb_mcp_embed(call, fixture_string(arguments, "resourceUri", ""), "text/plain",
                 SB_STR("Embedded resource content for testing."));
    fixture_say(call, "Please process the embedded resource above.");
}

static void get_image(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    sb_mcp_message(call, "user");
    fixture_put_image(call);
    fixture_say(call, "Please analyze the image above.");
}

static void get_asking(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    const char *context = fixture_string(sb_mcp_accepted(call, "user_context"), "context", NULL);
    if (context == NULL) {
        ask_form(call, "user_context",
                 FORM("What context should the prompt use?", "context", "string"));
        sb_mcp_ask_done(call, none);
        return;
    }
    sb_mcp_message(call, "user");
    fixture_say(call, "Use the following context: %s", context);
}

#define ARGUMENT(argument)                                                                         \
    "{\"name\":\"" argument "\",\"description\":\"Test argument\",\"required\":true}"

const struct sb_mcp_prompt fixture_prompts[] = {
    {"test_simple_prompt", "Simple Test Prompt", "A simple prompt without arguments", NULL,
     get_simple},
    {"test_prompt_with_arguments", "Prompt With Arguments", "A prompt with required arguments",
     "[" ARGUMENT("arg1") "," ARGUMENT("arg2") "]", get_arguments},
    {"test_prompt_with_embedded_resource", NULL, "A prompt that includes a resource",
     "[" ARGUMENT("resourceUri") "]", get_embedded},
    {"test_prompt_with_image", NULL, "A prompt that includes image content", NULL, get_image},
    {"test_input_required_result_prompt", NULL, "A prompt that asks first", NULL, get_asking},
    {.name = NULL},
};
