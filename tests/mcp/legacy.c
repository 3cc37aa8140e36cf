/** Tools that ask the client while they run, as revisions before 2026-07-28 do; resources. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tests/mcp/fixture.h"

static void
on_sampled(struct sb_mcp_call *call, const cJSON *result, struct sb_str message, void *ctx)
{
    (void)ctx;
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(result, "content");
    if (result == NULL) {
        fixture_say(call, "Sampling not supported or error: %.*s", SB_STR_ARG(message));
        return;
    }
    fixture_say(call, "LLM response: %s", fixture_string(content, "text", "No response"));
}

static void
on_elicited(struct sb_mcp_call *call, const cJSON *result, struct sb_str message, void *ctx)
{
    if (result == NULL) {
        fixture_say(call, "Elicitation not supported or error: %.*s", SB_STR_ARG(message));
        return;
    }
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(result, "content");
    char *printed = content == NULL ? NULL : cJSON_PrintUnformatted(content);
    fixture_say(call, "%s: action=%s, content=%s", (const char *)ctx,
                fixture_string(result, "action", ""), printed == NULL ? "{}" : printed);
    free(printed);
}

/* As JSON text, for the caller to free. */
static char *quoted(const char *text)
{
    cJSON *json = cJSON_CreateString(text);
    char *printed = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return printed;
}

static char user_response[] = "User response";
static char completed[] = "Elicitation completed";

static void run_sampling(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    char params[4096];
    char *prompt = quoted(fixture_string(arguments, "prompt", ""));
    (void)snprintf(
        params, sizeof params,
        "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":%s}}],"
        "\"maxTokens\":100}",
        prompt);
    free(prompt);
    sb_mcp_legacy_request(call, SB_MCP_ASK_SAMPLING, sb_str_from(params), on_sampled, NULL);
}

static void elicit(struct sb_mcp_call *call, const char *params, char *done)
{
    sb_mcp_legacy_request(call, SB_MCP_ASK_ELICITATION, sb_str_from(params), on_elicited, done);
}

static void run_elicitation(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)user;
    char params[4096];
    char *message = quoted(fixture_string(arguments, "message", ""));
    (void)snprintf(params, sizeof params,
                   "{\"message\":%s,\"requestedSchema\":{\"type\":\"object\",\"properties\":{"
                   "\"response\":{\"type\":\"string\",\"description\":\"User's response\"}},"
                   "\"required\":[\"response\"]}}",
                   message);
    free(message);
    elicit(call, params, user_response);
}

static void run_defaults(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    elicit(call,
           "{\"message\":\"Please review and update the form fields with defaults\","
           "\"requestedSchema\":{\"type\":\"object\",\"properties\":{"
           "\"name\":{\"type\":\"string\",\"description\":\"User name\",\"default\":\"John Doe\"},"
           "\"age\":{\"type\":\"integer\",\"description\":\"User age\",\"default\":30},"
           "\"score\":{\"type\":\"number\",\"description\":\"User score\",\"default\":95.5},"
           "\"status\":{\"type\":\"string\",\"description\":\"User status\","
           "\"enum\":[\"active\",\"inactive\",\"pending\"],\"default\":\"active\"},"
           "\"verified\":{\"type\":\"boolean\",\"description\":\"Verification status\","
           "\"default\":true}},\"required\":[]}}",
           completed);
}

static void run_enums(struct sb_mcp_call *call, const cJSON *arguments, void *user)
{
    (void)arguments;
    (void)user;
    elicit(
        call,
        "{\"message\":\"Please select options from the enum fields\",\"requestedSchema\":{"
        "\"type\":\"object\",\"properties\":{"
        "\"untitledSingle\":{\"type\":\"string\",\"description\":\"Select one option\","
        "\"enum\":[\"option1\",\"option2\",\"option3\"]},"
        "\"titledSingle\":{\"type\":\"string\",\"description\":\"Select one option with titles\","
        "\"oneOf\":[{\"const\":\"value1\",\"title\":\"First Option\"},"
        "{\"const\":\"value2\",\"title\":\"Second Option\"},"
        "{\"const\":\"value3\",\"title\":\"Third Option\"}]},"
        "\"legacyEnum\":{\"type\":\"string\",\"description\":\"Select one option (legacy)\","
        "\"enum\":[\"opt1\",\"opt2\",\"opt3\"],"
        "\"enumNames\":[\"Option One\",\"Option Two\",\"Option Three\"]},"
        "\"untitledMulti\":{\"type\":\"array\",\"description\":\"Select multiple options\","
        "\"minItems\":1,\"maxItems\":3,\"items\":{\"type\":\"string\","
        "\"enum\":[\"option1\",\"option2\",\"option3\"]}},"
        "\"titledMulti\":{\"type\":\"array\",\"description\":\"Select multiple options with "
        "titles\",\"minItems\":1,\"maxItems\":3,\"items\":{\"anyOf\":["
        "{\"const\":\"value1\",\"title\":\"First Choice\"},"
        "{\"const\":\"value2\",\"title\":\"Second Choice\"},"
        "{\"const\":\"value3\",\"title\":\"Third Choice\"}]}}},\"required\":[]}}",
        completed);
}

#define ONE_STRING(name)                                                                           \
    "{\"type\":\"object\",\"properties\":{\"" name                                                 \
    "\":{\"type\":\"string\"}},\"required\":[\"" name "\"]}"

const struct sb_mcp_tool fixture_legacy_tools[] = {
    {.name = "test_sampling",
     .description = "Tests server-initiated sampling",
     .input_schema = ONE_STRING("prompt"),
     .run = run_sampling},
    {.name = "test_elicitation",
     .description = "Tests server-initiated elicitation",
     .input_schema = ONE_STRING("message"),
     .run = run_elicitation},
    {.name = "test_elicitation_sep1034_defaults",
     .description = "Tests elicitation with default values",
     .input_schema = FIXTURE_NO_ARGUMENTS,
     .run = run_defaults},
    {.name = "test_elicitation_sep1330_enums",
     .description = "Tests elicitation with enums",
     .input_schema = FIXTURE_NO_ARGUMENTS,
     .run = run_enums},
    {.name = NULL},
};

/* ---- resources ---- */

const struct sb_mcp_resource fixture_resources[] = {
    {"test://static-text", "static-text", "Static Text Resource", "A static text resource",
     "text/plain"},
    {"test://static-binary", "static-binary", "Static Binary Resource", "An image", "image/png"},
    {"test://watched-resource", "watched-resource", "Watched Resource", "Can be subscribed to",
     "text/plain"},
    {.uri = NULL},
};

const struct sb_mcp_resource fixture_templates[] = {
    {"test://template/{id}/data", "template", "Resource Template", "A template with one parameter",
     "application/json"},
    {.uri = NULL},
};

static void read_template(struct sb_mcp_call *call, struct sb_str uri, struct sb_str id)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "{\"id\":\"%.*s\",\"templateTest\":true,\"data\":\"Data for ID: %.*s\"}",
                   SB_STR_ARG(id), SB_STR_ARG(id));
    sb_mcp_contents_text(call, uri, "application/json", sb_str_from(text));
    sb_mcp_done(call);
}

void fixture_read_resource(struct sb_mcp_call *call, struct sb_str uri, void *user)
{
    (void)user;
    static const struct sb_str prefix = SB_STR("test://template/");
    static const struct sb_str suffix = SB_STR("/data");
    if (sb_str_starts_with(uri, prefix) && sb_str_ends_with(uri, suffix) &&
        uri.len > prefix.len + suffix.len) {
        read_template(call, uri,
                      sb_str_head(sb_str_skip(uri, prefix.len), uri.len - prefix.len - suffix.len));
    } else if (sb_str_eq(uri, SB_STR("test://static-text"))) {
        sb_mcp_contents_text(call, uri, "text/plain",
                             SB_STR("This is the content of the static text resource."));
        sb_mcp_done(call);
    } else if (sb_str_eq(uri, SB_STR("test://watched-resource"))) {
        sb_mcp_contents_text(call, uri, "text/plain", SB_STR("Watched resource content"));
        sb_mcp_done(call);
    } else if (sb_str_eq(uri, SB_STR("test://static-binary"))) {
        sb_mcp_contents_blob(call, uri, "image/png", SB_STR("\x89PNG\r\n\x1a\n"));
        sb_mcp_done(call);
    } else {
        sb_mcp_not_found(call, uri);
    }
}

void fixture_complete(struct sb_mcp_call *call,
                      struct sb_str reference,
                      struct sb_str argument,
                      struct sb_str value,
                      void *user)
{
    (void)reference;
    (void)argument;
    (void)user;
    sb_mcp_suggest(call, value);
    sb_mcp_done(call);
}
