#include "mcp-gateway/http/problem.h"

#include <stddef.h>

#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/http/server.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *sb_http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Unknown";
}

void sb_http_problem(struct sb_http_request *request, const struct sb_http_problem *problem)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "type", "about:blank");
    sb_json_cstr(&json, "title", sb_http_reason(problem->status));
    sb_json_u64(&json, "status", (uint64_t)problem->status);
    sb_json_cstr(&json, "code", sb_code_name(problem->code));
    sb_json_cstr(&json, "detail", problem->detail);
    sb_json_cstr(&json, "instance", sb_http_request_id(request));
    if (problem->pointer != NULL) {
        sb_json_cstr(&json, "pointer", problem->pointer);
    }
    if (problem->hint != NULL && *problem->hint != '\0') {
        sb_json_cstr(&json, "hint", problem->hint);
    }
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    if (problem->status == 401) {
        sb_http_add_header(request, "WWW-Authenticate", "Bearer realm=\"aisbx\"");
    }
    sb_http_reply(request, problem->status, "application/problem+json", sb_buf_cstr(&out.buf),
                  out.buf.len);
    sb_out_done(&out);
}
