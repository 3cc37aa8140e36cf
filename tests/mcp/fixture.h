#pragma once
/** What the suite @modelcontextprotocol/conformance expects a server to offer: names and texts are
 *  the suite's. The server around it is that of the product. */
#include "mcp-gateway/mcp/tool.h"

struct event_base;

struct fixture {
    struct event_base *base;
    struct sb_mcp *mcp; /* once it is there */
};

extern const char fixture_image[]; /* base64 of a PNG */
extern const char fixture_audio[]; /* base64 of a WAV */

/* Tables end with a row without name. */
extern const struct sb_mcp_tool fixture_plain_tools[];
extern const struct sb_mcp_tool fixture_ask_tools[];
extern const struct sb_mcp_tool fixture_legacy_tools[];
extern const struct sb_mcp_resource fixture_resources[];
extern const struct sb_mcp_resource fixture_templates[];
extern const struct sb_mcp_prompt fixture_prompts[];

void fixture_read_resource(struct sb_mcp_call *call, struct sb_str uri, void *user);
void fixture_complete(struct sb_mcp_call *call,
                      struct sb_str reference,
                      struct sb_str argument,
                      struct sb_str value,
                      void *user);

/** Content from base64. */
void fixture_put_image(struct sb_mcp_call *call);
void fixture_put_audio(struct sb_mcp_call *call);
/** Adds the text and ends the call. */
void fixture_say(struct sb_mcp_call *call, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** A member that is a string, or otherwise. */
const char *fixture_string(const struct cJSON *object, const char *key, const char *otherwise);

#define FIXTURE_NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{}}"
