/** Messages that are no answers: progress, log, changes. */
#include <string.h>

#include "base/json.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/server.h"

void sb_mcp_note_begin(struct sb_out *out, struct sb_json *json, const char *method)
{
    sb_out_init(out, -1);
    *json = (struct sb_json){.out = out};
    sb_out_put(out, "{\"jsonrpc\":\"2.0\"");
    json->needs_comma = true;
    sb_json_cstr(json, "method", method);
    sb_json_open(json, "params", '{');
}

void sb_mcp_note_end(struct sb_out *out, struct sb_json *json, struct sb_mcp_link *link)
{
    sb_json_close(json, '}');
    sb_json_close(json, '}');
    if (out->broken == 0) {
        link->ops->send(link, sb_buf_str(&out->buf));
    }
    sb_out_done(out);
}

bool sb_mcp_wants_progress(const struct sb_mcp_call *call)
{
    return call->message.progress_token.len > 0;
}

void sb_mcp_progress(struct sb_mcp_call *call, double progress, double total, struct sb_str message)
{
    struct sb_out out;
    struct sb_json json;
    if (!sb_mcp_wants_progress(call) || progress <= call->progress) {
        return;
    }
    call->progress = progress;
    sb_mcp_note_begin(&out, &json, "notifications/progress");
    sb_json_raw(&json, "progressToken", call->message.progress_token);
    sb_json_double(&json, "progress", progress);
    if (total > 0) {
        sb_json_double(&json, "total", total);
    }
    if (message.len > 0 && call->revision >= SB_MCP_2025_03_26) {
        sb_json_str(&json, "message", message);
    }
    sb_mcp_note_end(&out, &json, call->link);
}

void sb_mcp_log(struct sb_mcp_call *call, enum sb_mcp_level level, struct sb_str text)
{
    struct sb_out out;
    struct sb_json json;
    if (!call->mcp->definition->has_logging || call->level < 0 || (int)level < call->level) {
        return;
    }
    sb_mcp_note_begin(&out, &json, "notifications/message");
    sb_json_cstr(&json, "level", sb_mcp_level_name(level));
    sb_json_cstr(&json, "logger", call->mcp->definition->name);
    sb_json_str(&json, "data", text);
    sb_mcp_note_end(&out, &json, call->link);
}
