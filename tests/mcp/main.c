/** The server of the product with the tools of the suite. Takes its options. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "mcp-gateway/options.h"
#include "mcp-gateway/serve.h"
#include "tests/mcp/fixture.h"

static void on_ready(struct sb_mcp *mcp, void *user)
{
    ((struct fixture *)user)->mcp = mcp;
}

static size_t count(const struct sb_mcp_tool *tools)
{
    size_t n = 0;
    while (tools[n].name != NULL) {
        n++;
    }
    return n;
}

static size_t join(struct sb_mcp_tool *all)
{
    const struct sb_mcp_tool *const tables[3] = {fixture_plain_tools, fixture_ask_tools,
                                                 fixture_legacy_tools};
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < count(tables[i]); j++) {
            all[n++] = tables[i][j];
        }
    }
    return n;
}

static int run(const struct sb_gateway_options *options)
{
    struct sb_err err;
    struct sb_mcp_tool tools[64];
    struct fixture fixture = {.base = sb_serve_base(options)};
    const struct sb_mcp_definition definition = {
        .name = "aisbx-mcp-fixture",
        .version = "1.0.0",
        .tools = tools,
        .n_tools = join(tools),
        .resources = fixture_resources,
        .n_resources = 3,
        .templates = fixture_templates,
        .n_templates = 1,
        .read_resource = fixture_read_resource,
        .has_subscriptions = true,
        .prompts = fixture_prompts,
        .n_prompts = 5,
        .complete = fixture_complete,
        .lists_change = true,
        .has_logging = true,
        .list_ttl_ms = 60000,
        .user = &fixture,
    };
    const struct sb_serve serve = {.options = options,
                                   .base = fixture.base,
                                   .definition = &definition,
                                   .ready = on_ready,
                                   .user = &fixture};
    int rc = sb_serve_run(&serve, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "fixture: %s\n", err.text);
    }
    event_base_free(fixture.base);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct sb_err err;
    struct sb_gateway_options options;
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_INFO, "fixture");
    if (sb_gateway_options_parse(argc, argv, &options, &err) < 0) {
        (void)fprintf(stderr, "fixture: %s\n", err.text);
        sb_gateway_options_done(&options);
        return EXIT_FAILURE;
    }
    int status = run(&options);
    sb_gateway_options_done(&options);
    return status;
}
