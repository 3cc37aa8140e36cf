/* The document of the interface (OpenAPI 3.1), from the table of routes and the descriptors of the
 * contract: it cannot say other things than the code does. tools/openapi adds what the comments of
 * the contract say, and writes mcp-gateway/openapi.json. */
#include "mcp-gateway/rest/openapi.h"

#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "base/json.h"
#include "base/out.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/rest/route.h"
#include "proto/json/pbjson.h"
#include "proto/json/pbtype.h"

enum { MAX_TYPES = 256 };

struct doc {
    struct sb_out out;
    struct sb_json json;
    const ProtobufCMessageDescriptor *types[MAX_TYPES]; /* named somewhere, in that order */
    size_t n_types;
};

static const struct {
    const char *name;
    const char *description;
} tags[] = {
    {"sandboxes", "Sandboxes and their life"},
    {"snapshots", "Kept states of sandboxes"},
    {"execs", "Programs in sandboxes"},
    {"files", "Files of sandboxes, as bytes"},
    {"ports", "Servers in sandboxes. Any method, any path and WebSocket below "
              "/api/v1/sandboxes/{sandbox_id}/ports/{port}/ go on to an exposed one, without the "
              "credentials; 502: it does not answer, or nothing that can be passed on"},
    {"contexts", "Interpreters that keep their state"},
    {"packages", "What was installed for sandboxes and is kept"},
    {"profiles", "Named policies"},
    {"worker", "The worker itself"},
    {"security", "Keys and audit"},
};

static void need(struct doc *doc, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < doc->n_types; i++) {
        if (doc->types[i] == type) {
            return;
        }
    }
    if (doc->n_types < MAX_TYPES) {
        doc->types[doc->n_types++] = type;
    }
}

static void put_ref(struct doc *doc, const char *key, const ProtobufCMessageDescriptor *type)
{
    char path[128] = "#/components/schemas/";
    strncat(path, type->short_name, sizeof path - strlen(path) - 1);
    need(doc, type);
    sb_json_open(&doc->json, key, '{');
    sb_json_cstr(&doc->json, "$ref", path);
    sb_json_close(&doc->json, '}');
}

static void put_enum(struct sb_json *json, const ProtobufCEnumDescriptor *type)
{
    char scratch[64];
    sb_json_cstr(json, "type", "string");
    sb_json_open(json, "enum", '[');
    for (unsigned i = 0; i < type->n_values; i++) {
        sb_json_cstr(json, NULL, sb_pbjson_enum(type, type->values[i].value, scratch));
    }
    sb_json_close(json, ']');
}

static void put_number(struct sb_json *json, const char *min, const char *max)
{
    sb_json_cstr(json, "type", "integer");
    sb_json_i64(json, "minimum", strtoll(min, NULL, 10));
    sb_json_i64(json, "maximum", strtoll(max, NULL, 10));
}

/* The schema of one value, as an object under @key. */
static void put_type(struct doc *doc, const char *key, const ProtobufCFieldDescriptor *field)
{
    struct sb_json *json = &doc->json;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
        field->descriptor != &google__protobuf__timestamp__descriptor &&
        field->descriptor != &google__protobuf__field_mask__descriptor) {
        put_ref(doc, key, field->descriptor);
        return;
    }
    sb_json_open(json, key, '{');
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT32:
        put_number(json, "-2147483648", "2147483647");
        break;
    case PROTOBUF_C_TYPE_INT64:
        put_number(json, "-9007199254740991", "9007199254740991");
        break;
    case PROTOBUF_C_TYPE_UINT32:
        put_number(json, "0", "4294967295");
        break;
    case PROTOBUF_C_TYPE_UINT64:
        put_number(json, "0", "9007199254740991");
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FLOAT:
        sb_json_cstr(json, "type", "number");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        sb_json_cstr(json, "type", "boolean");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(json, field->descriptor);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (field->descriptor == &google__protobuf__timestamp__descriptor) {
            sb_json_cstr(json, "type", "string");
            sb_json_cstr(json, "format", "date-time");
        } else {
            sb_json_cstr(json, "type", "array");
            sb_json_open(json, "items", '{');
            sb_json_cstr(json, "type", "string");
            sb_json_close(json, '}');
        }
        break;
    default:
        sb_json_cstr(json, "type", "string");
        break;
    }
    sb_json_close(json, '}');
}

static void put_field(struct doc *doc, const char *key, const ProtobufCFieldDescriptor *field)
{
    struct sb_json *json = &doc->json;
    if (sb_pbtype_is_map(field)) {
        const ProtobufCMessageDescriptor *entry = field->descriptor;
        sb_json_open(json, key, '{');
        sb_json_cstr(json, "type", "object");
        put_type(doc, "additionalProperties", &entry->fields[1]);
        sb_json_close(json, '}');
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        sb_json_open(json, key, '{');
        sb_json_cstr(json, "type", "array");
        put_type(doc, "items", field);
        sb_json_close(json, '}');
    } else {
        put_type(doc, key, field);
    }
}

/* Whether the path says that field, or something in it. */
static bool is_of_path(const struct sb_route *route, const char *name)
{
    struct sb_str var;
    struct sb_str rest;
    for (size_t i = 0; route != NULL && sb_route_var(route, i, &var); i++) {
        (void)sb_str_split(var, '.', &var, &rest);
        if (sb_str_eq(var, sb_str_from(name))) {
            return true;
        }
    }
    return false;
}

/* @route  whose path says some of it already; NULL: all. */
static void put_object(struct doc *doc,
                       const char *key,
                       const ProtobufCMessageDescriptor *type,
                       const struct sb_route *route)
{
    struct sb_json *json = &doc->json;
    sb_json_open(json, key, '{');
    sb_json_cstr(json, "type", "object");
    sb_json_open(json, "properties", '{');
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (!is_of_path(route, type->fields[i].name)) {
            put_field(doc, type->fields[i].name, &type->fields[i]);
        }
    }
    sb_json_close(json, '}');
    sb_json_bool(json, "additionalProperties", false);
    sb_json_close(json, '}');
}

static void put_bytes(struct sb_json *json, const char *media_type)
{
    sb_json_open(json, media_type, '{');
    sb_json_open(json, "schema", '{');
    sb_json_cstr(json, "type", "string");
    sb_json_cstr(json, "format", "binary");
    sb_json_close(json, '}');
    sb_json_close(json, '}');
}

static void put_request_body(struct doc *doc, const struct sb_route *route)
{
    struct sb_json *json = &doc->json;
    const ProtobufCMessageDescriptor *type = route->rpc->in;
    if (route->body == SB_ROUTE_NO_BODY) {
        return;
    }
    sb_json_open(json, "requestBody", '{');
    sb_json_bool(json, "required", true);
    sb_json_open(json, "content", '{');
    if (route->body == SB_ROUTE_BYTES || route->body == SB_ROUTE_TAR) {
        put_bytes(json,
                  route->body == SB_ROUTE_TAR ? "application/x-tar" : "application/octet-stream");
    } else {
        sb_json_open(json, "application/json", '{');
        if (route->body == SB_ROUTE_MESSAGE) {
            put_object(doc, "schema", type, route);
        } else {
            const ProtobufCFieldDescriptor *field =
                protobuf_c_message_descriptor_get_field_by_name(type, route->body_field);
            put_ref(doc, "schema", field->descriptor);
        }
        sb_json_close(json, '}');
    }
    sb_json_close(json, '}');
    sb_json_close(json, '}');
}

static void open_parameter(struct sb_json *json, const char *name, const char *in, bool is_required)
{
    sb_json_open(json, NULL, '{');
    sb_json_cstr(json, "name", name);
    sb_json_cstr(json, "in", in);
    sb_json_bool(json, "required", is_required);
}

static void
put_text_parameter(struct sb_json *json, const char *name, const char *in, bool is_required)
{
    open_parameter(json, name, in, is_required);
    sb_json_open(json, "schema", '{');
    sb_json_cstr(json, "type", "string");
    sb_json_close(json, '}');
    sb_json_close(json, '}');
}

static void put_query(struct doc *doc, const struct sb_route *route)
{
    struct sb_json *json = &doc->json;
    const ProtobufCMessageDescriptor *type =
        route->kind == SB_ROUTE_WRITE    ? &aisbx__v1__write_file_header__descriptor
        : route->kind == SB_ROUTE_IMPORT ? &aisbx__v1__import_tar_header__descriptor
                                         : route->rpc->in;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (!sb_route_has_param(route, sb_str_from(field->name))) {
            continue;
        }
        bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED && !sb_pbtype_is_map(field);
        bool is_text = sb_pbtype_is_map(field) ||
                       (field->type == PROTOBUF_C_TYPE_MESSAGE &&
                        field->descriptor != &google__protobuf__timestamp__descriptor);
        if (is_text) { /* "key=value,key=value", or a path */
            put_text_parameter(json, field->name, "query", !sb_pbtype_is_map(field));
            continue;
        }
        open_parameter(json, field->name, "query", false);
        if (is_list) {
            sb_json_cstr(json, "style", "form");
            sb_json_bool(json, "explode", false);
        }
        put_field(doc, "schema", field);
        sb_json_close(json, '}');
    }
}

static void put_parameters(struct doc *doc, const struct sb_route *route)
{
    struct sb_json *json = &doc->json;
    struct sb_str var;
    bool has_request_id =
        protobuf_c_message_descriptor_get_field_by_name(route->rpc->in, "request_id") != NULL;
    sb_json_open(json, "parameters", '[');
    for (size_t i = 0; sb_route_var(route, i, &var); i++) {
        char name[64] = "";
        struct sb_str ignored;
        (void)sb_str_split(var, '.', &ignored, &var);
        strncat(name, var.ptr, var.len < sizeof name ? var.len : sizeof name - 1);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(route->rpc->in, name);
        if (field != NULL && field->type == PROTOBUF_C_TYPE_UINT32) {
            open_parameter(json, name, "path", true);
            put_field(doc, "schema", field);
            sb_json_close(json, '}');
        } else {
            put_text_parameter(json, name, "path", true);
        }
    }
    put_query(doc, route);
    if (has_request_id) {
        put_text_parameter(json, "Idempotency-Key", "header", false);
    }
    if (route->kind == SB_ROUTE_EXEC && route->body == SB_ROUTE_NO_BODY) {
        put_text_parameter(json, "Last-Event-ID", "header", false);
    }
    if (route->kind == SB_ROUTE_OUTPUT || route->kind == SB_ROUTE_READ) {
        put_text_parameter(json, "Range", "header", false);
    }
    if (route->kind == SB_ROUTE_READ) {
        put_text_parameter(json, "If-None-Match", "header", false);
    }
    sb_json_close(json, ']');
}

static void put_reply_schema(struct doc *doc, const struct sb_route *route)
{
    const ProtobufCMessageDescriptor *type = route->rpc->out;
    if (route->reply_field != NULL) {
        type =
            protobuf_c_message_descriptor_get_field_by_name(type, route->reply_field)->descriptor;
    }
    sb_json_open(&doc->json, "application/json", '{');
    put_ref(doc, "schema", type);
    sb_json_close(&doc->json, '}');
}

static void open_answer(struct sb_json *json, const char *status, const char *description)
{
    sb_json_open(json, status, '{');
    sb_json_cstr(json, "description", description);
}

static void put_content(struct doc *doc, const struct sb_route *route)
{
    struct sb_json *json = &doc->json;
    if (route->status == 204) {
        return;
    }
    sb_json_open(json, "content", '{');
    switch (route->kind) {
    case SB_ROUTE_EVENTS:
    case SB_ROUTE_EXEC:
    case SB_ROUTE_CODE:
        sb_json_open(json, "text/event-stream", '{');
        sb_json_open(json, "schema", '{');
        sb_json_cstr(json, "type", "string");
        sb_json_close(json, '}');
        sb_json_close(json, '}');
        break;
    case SB_ROUTE_OUTPUT:
    case SB_ROUTE_READ:
        put_bytes(json, "application/octet-stream");
        break;
    case SB_ROUTE_EXPORT:
        put_bytes(json, "application/x-tar");
        break;
    case SB_ROUTE_UNARY:
    case SB_ROUTE_FIRST:
    case SB_ROUTE_WRITE:
    case SB_ROUTE_IMPORT:
        put_reply_schema(doc, route);
        break;
    }
    sb_json_close(json, '}');
}

static void put_problem_ref(struct sb_json *json, const char *status)
{
    sb_json_open(json, status, '{');
    sb_json_cstr(json, "$ref", "#/components/responses/Problem");
    sb_json_close(json, '}');
}

static void put_answers(struct doc *doc, const struct sb_route *route)
{
    struct sb_json *json = &doc->json;
    char status[8] = "200";
    status[0] = (char)('0' + route->status / 100);
    status[1] = (char)('0' + route->status / 10 % 10);
    status[2] = (char)('0' + route->status % 10);
    sb_json_open(json, "responses", '{');
    open_answer(json, status, "Done");
    put_content(doc, route);
    sb_json_close(json, '}');
    if (route->kind == SB_ROUTE_EXEC && route->body != SB_ROUTE_NO_BODY) {
        const ProtobufCMessageDescriptor *event =
            protobuf_c_message_descriptor_get_field_by_name(route->rpc->out, "event")->descriptor;
        const ProtobufCMessageDescriptor *started =
            protobuf_c_message_descriptor_get_field_by_name(event, "started")->descriptor;
        open_answer(json, "201", "It runs in the background");
        sb_json_open(json, "content", '{');
        sb_json_open(json, "application/json", '{');
        put_ref(doc, "schema",
                protobuf_c_message_descriptor_get_field_by_name(started, "exec")->descriptor);
        sb_json_close(json, '}');
        sb_json_close(json, '}');
        sb_json_close(json, '}');
    }
    if (route->kind == SB_ROUTE_OUTPUT || route->kind == SB_ROUTE_READ) {
        open_answer(json, "206", "The range asked for");
        put_content(doc, route);
        sb_json_close(json, '}');
    }
    if (route->kind == SB_ROUTE_READ) {
        open_answer(json, "304", "Not changed");
        sb_json_close(json, '}');
    }
    put_problem_ref(json, "4XX");
    put_problem_ref(json, "5XX");
    sb_json_close(json, '}');
}

static void put_operation(struct doc *doc, const struct sb_route *route)
{
    static const struct {
        enum sb_http_method method;
        const char *key;
    } keys[] = {{SB_HTTP_GET, "get"},
                {SB_HTTP_POST, "post"},
                {SB_HTTP_PUT, "put"},
                {SB_HTTP_PATCH, "patch"},
                {SB_HTTP_DELETE, "delete"}};
    struct sb_json *json = &doc->json;
    size_t i = 0;
    while (keys[i].method != route->method) {
        i++;
    }
    sb_json_open(json, keys[i].key, '{');
    sb_json_cstr(json, "operationId", route->id);
    sb_json_open(json, "tags", '[');
    sb_json_cstr(json, NULL, route->tag);
    sb_json_close(json, ']');
    sb_json_cstr(json, "summary", route->summary);
    sb_json_cstr(json, "x-rpc", route->rpc->path + 1);
    put_parameters(doc, route);
    put_request_body(doc, route);
    put_answers(doc, route);
    sb_json_close(json, '}');
}

/* "/sandboxes/{target.sandbox_id}/execs" -> "/sandboxes/{sandbox_id}/execs" */
static const char *name_path(const struct sb_route *route, char out[128])
{
    size_t len = 0;
    for (const char *c = route->pattern; *c != '\0' && len < 127; c++) {
        const char *dot = *c == '{' ? strpbrk(c, ".}") : NULL;
        out[len++] = *c;
        c = dot != NULL && *dot == '.' ? dot : c;
    }
    out[len] = '\0';
    return out;
}

static void put_paths(struct doc *doc)
{
    char path[128];
    char other[128];
    struct sb_json *json = &doc->json;
    sb_json_open(json, "paths", '{');
    for (size_t i = 0; i < sb_routes_count; i++) {
        bool is_first = true;
        (void)name_path(&sb_routes[i], path);
        for (size_t j = 0; j < i; j++) {
            is_first = is_first && strcmp(name_path(&sb_routes[j], other), path) != 0;
        }
        if (!is_first) {
            continue;
        }
        sb_json_open(json, path, '{');
        for (size_t j = i; j < sb_routes_count; j++) {
            if (strcmp(name_path(&sb_routes[j], other), path) == 0) {
                put_operation(doc, &sb_routes[j]);
            }
        }
        sb_json_close(json, '}');
    }
    sb_json_close(json, '}');
}

static void put_raw(struct doc *doc, const char *key, const char *text)
{
    sb_json_key(&doc->json, sb_str_from(key));
    sb_out_put(&doc->out, text);
    doc->json.needs_comma = true;
}

static void put_components(struct doc *doc)
{
    struct sb_json *json = &doc->json;
    sb_json_open(json, "components", '{');
    sb_json_open(json, "schemas", '{');
    put_raw(
        doc, "Problem",
        "{\"type\":\"object\",\"description\":\"RFC 9457\",\"required\":[\"type\",\"title\","
        "\"status\",\"code\",\"detail\",\"instance\"],\"properties\":{\"type\":{\"type\":"
        "\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},\"code\":{"
        "\"type\":\"string\"},\"detail\":{\"type\":\"string\"},\"instance\":{\"type\":"
        "\"string\"},\"pointer\":{\"type\":\"string\"},\"hint\":{\"type\":\"string\"}},"
        "\"additionalProperties\":false}");
    for (size_t i = 0; i < doc->n_types; i++) { /* grows meanwhile */
        put_object(doc, doc->types[i]->short_name, doc->types[i], NULL);
    }
    sb_json_close(json, '}');
    put_raw(
        doc, "responses",
        "{\"Problem\":{\"description\":\"It was not done, and why\",\"content\":{"
        "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}");
    put_raw(doc, "securitySchemes",
            "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},\"apiKey\":{\"type\":\"apiKey\","
            "\"in\":\"header\",\"name\":\"X-API-Key\"}}");
    sb_json_close(json, '}');
}

char *sb_openapi_make(void)
{
    struct doc *doc = calloc(1, sizeof *doc);
    if (doc == NULL) {
        return NULL;
    }
    sb_out_init(&doc->out, -1);
    doc->json.out = &doc->out;
    struct sb_json *json = &doc->json;
    sb_json_open(json, NULL, '{');
    sb_json_cstr(json, "openapi", "3.1.0");
    put_raw(
        doc, "info",
        "{\"title\":\"aisbx\",\"version\":\"1.0.0\",\"description\":\"Sandboxes for code that a "
        "machine wrote. Each operation is a call of the gRPC contract aisbx.v1; errors are "
        "RFC 9457.\",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}}");
    put_raw(doc, "servers", "[{\"url\":\"/api/v1\"}]");
    put_raw(doc, "security", "[{\"bearer\":[]},{\"apiKey\":[]}]");
    sb_json_open(json, "tags", '[');
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        sb_json_open(json, NULL, '{');
        sb_json_cstr(json, "name", tags[i].name);
        sb_json_cstr(json, "description", tags[i].description);
        sb_json_close(json, '}');
    }
    sb_json_close(json, ']');
    put_paths(doc);
    put_components(doc);
    sb_json_close(json, '}');
    sb_out_put(&doc->out, "\n");
    char *text = doc->out.broken != 0 ? NULL : sb_buf_steal(&doc->out.buf);
    sb_out_done(&doc->out);
    free(doc);
    return text;
}
