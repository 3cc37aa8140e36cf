#include "service/egress/http_head.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mutate.h"
#include "base/num.h"

enum { METHOD_MAX = 32, HTTP_PORT = 80, HTTPS_PORT = 443 };

/* ---- characters ---- */

static bool is_token(struct sb_str text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

/* No control characters but tabs. */
static bool is_field_text(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Visible ASCII, no fragment, and nothing that some reader takes for a slash. */
static bool is_path(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < '!' || c > '~' || c == '#' || c == '\\') {
            return false;
        }
    }
    return true;
}

static bool is_named(struct sb_str name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp(name.ptr, wanted, name.len) == 0;
}

/* ---- lines ---- */

int sb_http_head_length(struct sb_str bytes, struct sb_err *err)
{
    struct sb_str searched = sb_str_head(bytes, SB_HTTP_MAX_HEAD);
    const char *end = searched.len == 0 ? NULL : memmem(searched.ptr, searched.len, "\r\n\r\n", 4);
    if (end != NULL) {
        return (int)(end - searched.ptr) + 4;
    }
    if (bytes.len >= SB_HTTP_MAX_HEAD) {
        return sb_err_set(err, SB_EXHAUSTED, "the head is longer than %d bytes", SB_HTTP_MAX_HEAD);
    }
    return 0;
}

/* Takes "...CR LF" off *rest. Only that pair ends a line, and neither stands alone. */
static int take_line(struct sb_str *rest, struct sb_str *ret_line, struct sb_err *err)
{
    const char *cr = rest->len == 0 ? NULL : memchr(rest->ptr, '\r', rest->len);
    size_t n = cr == NULL ? rest->len : (size_t)(cr - rest->ptr);
    if (cr == NULL || n + 1 >= rest->len || cr[1] != '\n' ||
        (n > 0 && !sb_mutated("egress.bare-lf") && memchr(rest->ptr, '\n', n) != NULL)) {
        return sb_err_set(err, SB_INVALID, "a line does not end in CR LF");
    }
    *ret_line = (struct sb_str){rest->ptr, n};
    *rest = (struct sb_str){cr + 2, rest->len - n - 2};
    return 0;
}

static int read_field(struct sb_str line, struct sb_http_field *field, struct sb_err *err)
{
    struct sb_str name = {0};
    struct sb_str value = {0};
    if (!sb_str_split(line, ':', &name, &value) ||
        (!is_token(name) && !sb_mutated("egress.field-name"))) {
        return sb_err_set(err, SB_INVALID, "not \"name: value\", or a blank where none may be");
    }
    if (!is_field_text(value) && !sb_mutated("egress.control")) {
        return sb_err_set(err, SB_INVALID, "a control character in the field %.*s",
                          SB_STR_ARG(name));
    }
    *field = (struct sb_http_field){name, sb_str_trim(value)};
    return 0;
}

static int read_fields(struct sb_str rest, struct sb_http_head *head, struct sb_err *err)
{
    for (;;) {
        struct sb_str line = {0};
        if (take_line(&rest, &line, err) < 0) {
            return -1;
        }
        if (line.len == 0) {
            return rest.len == 0 ? 0 : sb_err_set(err, SB_INVALID, "bytes behind the head");
        }
        if (head->n_fields == SB_HTTP_MAX_FIELDS) {
            return sb_err_set(err, SB_INVALID, "more than %d fields", SB_HTTP_MAX_FIELDS);
        }
        if (read_field(line, &head->fields[head->n_fields], err) < 0) {
            return -1;
        }
        head->n_fields++;
    }
}

/* NULL: it is not there. SB_INVALID: it is there twice. */
static int find_single(const struct sb_http_head *head,
                       const char *name,
                       const struct sb_http_field **ret_field,
                       struct sb_err *err)
{
    *ret_field = NULL;
    for (size_t i = 0; i < head->n_fields; i++) {
        if (!is_named(head->fields[i].name, name)) {
            continue;
        }
        if (*ret_field != NULL && !sb_mutated("egress.twice")) {
            return sb_err_set(err, SB_INVALID, "the field %s is there twice", name);
        }
        *ret_field = &head->fields[i];
    }
    return 0;
}

/* ---- the request line ---- */

static int read_version(struct sb_str text, unsigned *ret_minor, struct sb_err *err)
{
    if (sb_str_eq(text, SB_STR("HTTP/1.1")) || sb_str_eq(text, SB_STR("HTTP/1.0"))) {
        *ret_minor = (unsigned)(text.ptr[text.len - 1] - '0');
        return 0;
    }
    return sb_err_set(err, SB_INVALID, "neither HTTP/1.1 nor HTTP/1.0");
}

static int read_target(struct sb_str target, struct sb_http_head *head, struct sb_err *err)
{
    static const char scheme[] = "http://";
    if (head->usual_port == HTTPS_PORT) { /* whom it is for is known */
        head->path = target;
        if (head->is_connect || target.len == 0 || target.ptr[0] != '/' || !is_path(target)) {
            return sb_err_set(err, SB_INVALID, "not a request for a path of this host");
        }
        return 0;
    }
    if (head->is_connect) {
        return sb_host_parse_authority(target, 0, &head->host, &head->port, err);
    }
    if (target.len >= 8 && strncasecmp(target.ptr, "https://", 8) == 0) {
        return sb_err_set(err, SB_INVALID, "https goes through CONNECT");
    }
    if (target.len < sizeof scheme || strncasecmp(target.ptr, scheme, sizeof scheme - 1) != 0) {
        return sb_err_set(err, SB_INVALID, "not a request to a proxy: no \"http://host\" in it");
    }
    target = sb_str_skip(target, sizeof scheme - 1);
    size_t n = 0;
    while (n < target.len && target.ptr[n] != '/' && target.ptr[n] != '?') {
        n++;
    }
    head->path = sb_str_skip(target, n);
    if (!is_path(target)) {
        return sb_err_set(err, SB_INVALID, "the URL has characters that no URL has");
    }
    return sb_host_parse_authority(sb_str_head(target, n), HTTP_PORT, &head->host, &head->port,
                                   err);
}

static int read_request_line(struct sb_str line, struct sb_http_head *head, struct sb_err *err)
{
    struct sb_str target = {0};
    struct sb_str version = {0};
    if (!sb_str_split(line, ' ', &head->method, &target) ||
        !sb_str_split(target, ' ', &target, &version) || !is_token(head->method) ||
        head->method.len > METHOD_MAX) {
        return sb_err_set(err, SB_INVALID, "not \"METHOD target HTTP/1.1\"");
    }
    if (read_version(version, &head->minor, err) < 0) {
        return -1;
    }
    head->is_connect = sb_str_eq(head->method, SB_STR("CONNECT"));
    return read_target(target, head, err);
}

/* ---- what the fields say ---- */

static int check_host(struct sb_http_head *head, struct sb_err *err)
{
    const struct sb_http_field *field;
    struct sb_host host;
    uint16_t port = 0;
    if (find_single(head, "Host", &field, err) < 0) {
        return -1;
    }
    if (field == NULL) {
        return head->minor == 0 ? 0 : sb_err_set(err, SB_INVALID, "the field Host is missing");
    }
    /* Some clients leave the port out with CONNECT. */
    uint16_t usual = head->is_connect ? head->port : head->usual_port;
    if (sb_host_parse_authority(field->value, usual, &host, &port, err) < 0) {
        return sb_err_wrap(err, "Host");
    }
    if (!sb_mutated("egress.host-field") &&
        (!sb_host_eq(&host, &head->host) || port != head->port)) {
        return sb_err_set(err, SB_INVALID, "the field Host names %s:%u, the request %s:%u",
                          host.name, port, head->host.name, head->port);
    }
    return 0;
}

static int read_framing(struct sb_http_head *head, struct sb_err *err)
{
    const struct sb_http_field *length;
    const struct sb_http_field *encoding;
    if (find_single(head, "Content-Length", &length, err) < 0 ||
        find_single(head, "Transfer-Encoding", &encoding, err) < 0) {
        return -1;
    }
    if (length != NULL && encoding != NULL && !sb_mutated("egress.both-lengths")) {
        return sb_err_set(err, SB_INVALID, "both Content-Length and Transfer-Encoding");
    }
    if (head->is_connect && !sb_mutated("egress.connect-body") &&
        (length != NULL || encoding != NULL)) {
        return sb_err_set(err, SB_INVALID, "CONNECT with a body");
    }
    if (encoding != NULL) {
        if (!sb_mutated("egress.encoding") &&
            (head->minor == 0 || !is_named(encoding->value, "chunked"))) {
            return sb_err_set(err, SB_INVALID, "Transfer-Encoding other than chunked");
        }
        head->body = SB_HTTP_CHUNKED;
    }
    if (length != NULL) {
        if (sb_num_u64(length->value, 0, INT64_MAX, &head->body_bytes, err) < 0) {
            return sb_err_wrap(err, "Content-Length");
        }
        head->body = SB_HTTP_LENGTH;
    }
    return 0;
}

static int read_request(struct sb_str rest, struct sb_http_head *head, struct sb_err *err)
{
    struct sb_str line = {0};
    return take_line(&rest, &line, err) < 0 || read_request_line(line, head, err) < 0 ||
                   read_fields(rest, head, err) < 0 || check_host(head, err) < 0
               ? -1
               : read_framing(head, err);
}

int sb_http_head_read_request(struct sb_str head, struct sb_http_head *ret_head, struct sb_err *err)
{
    *ret_head = (struct sb_http_head){.usual_port = HTTP_PORT};
    return read_request(head, ret_head, err);
}

int sb_http_head_read_inner(struct sb_str head,
                            const struct sb_host *host,
                            uint16_t port,
                            struct sb_http_head *ret_head,
                            struct sb_err *err)
{
    *ret_head = (struct sb_http_head){.usual_port = HTTPS_PORT, .host = *host, .port = port};
    return read_request(head, ret_head, err);
}

int sb_http_head_read_response(struct sb_str head,
                               struct sb_http_head *ret_head,
                               struct sb_err *err)
{
    struct sb_str rest = head;
    struct sb_str line = {0};
    uint64_t status = 0;
    *ret_head = (struct sb_http_head){0};
    if (take_line(&rest, &line, err) < 0 ||
        read_version(sb_str_head(line, 8), &ret_head->minor, err) < 0) {
        return -1;
    }
    if (line.len < 12 || line.ptr[8] != ' ' || (line.len > 12 && line.ptr[12] != ' ') ||
        !is_field_text(line) ||
        sb_num_u64((struct sb_str){line.ptr + 9, 3}, 100, 999, &status, err) < 0) {
        return sb_err_set(err, SB_INVALID, "not \"HTTP/1.1 status\"");
    }
    ret_head->status = (unsigned)status;
    ret_head->path = sb_str_skip(line, 12); /* " reason" */
    return read_fields(rest, ret_head, err);
}

int sb_http_head_read_framing(struct sb_http_head *head, bool is_to_head, struct sb_err *err)
{
    if (read_framing(head, err) < 0) {
        return -1;
    }
    if (is_to_head || head->status < 200 || head->status == 204 || head->status == 304) {
        head->body = SB_HTTP_NO_BODY;
    } else if (head->body == SB_HTTP_NO_BODY) {
        head->body = SB_HTTP_TO_END;
    }
    return 0;
}

bool sb_http_head_is_encoded(const struct sb_http_head *head)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (is_named(head->fields[i].name, "Content-Encoding") &&
            !is_named(head->fields[i].value, "identity") && head->fields[i].value.len > 0) {
            return true;
        }
    }
    return false;
}

void sb_http_head_drop(struct sb_http_head *head, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < head->n_fields; i++) {
        if (!is_named(head->fields[i].name, name)) {
            head->fields[n++] = head->fields[i];
        }
    }
    head->n_fields = n;
}

/* ---- writing ---- */

/* Fields between two neighbours, and those that are written from what was read. */
static bool is_of_hop(struct sb_str name, bool is_request)
{
    static const char *const always[] = {"Connection", "Keep-Alive",         "Proxy-Connection",
                                         "Upgrade",    "Proxy-Authenticate", "Proxy-Authorization"};
    static const char *const in_requests[] = {"Host", "Content-Length", "Transfer-Encoding",
                                              "TE",   "Trailer",        "HTTP2-Settings"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (is_named(name, always[i])) {
            return true;
        }
    }
    for (size_t i = 0; is_request && i < sizeof in_requests / sizeof *in_requests; i++) {
        if (is_named(name, in_requests[i])) {
            return true;
        }
    }
    return false;
}

/* Named by a field Connection. */
static bool is_listed(const struct sb_http_head *head, struct sb_str name)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        struct sb_str rest = head->fields[i].value;
        struct sb_str piece = {0};
        if (!is_named(head->fields[i].name, "Connection") || rest.ptr == NULL) {
            continue;
        }
        while (sb_str_next(&rest, ',', &piece)) {
            piece = sb_str_trim(piece);
            if (piece.len == name.len && strncasecmp(piece.ptr, name.ptr, name.len) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int write_fields(const struct sb_http_head *head, bool is_request, struct sb_buf *out)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct sb_http_field *field = &head->fields[i];
        bool is_framing =
            is_named(field->name, "Content-Length") || is_named(field->name, "Transfer-Encoding");
        if (is_of_hop(field->name, is_request) || (!is_framing && is_listed(head, field->name))) {
            continue;
        }
        if (sb_buf_append_str(out, field->name) < 0 || sb_buf_append(out, ": ", 2) < 0 ||
            sb_buf_append_str(out, field->value) < 0 || sb_buf_append(out, "\r\n", 2) < 0) {
            return -1;
        }
    }
    return 0;
}

static int write_framing(const struct sb_http_head *head, struct sb_buf *out)
{
    switch (head->body) {
    case SB_HTTP_NO_BODY:
        return 0;
    case SB_HTTP_LENGTH:
        return sb_buf_printf(out, "Content-Length: %ju\r\n", (uintmax_t)head->body_bytes);
    case SB_HTTP_TO_END:
        return -1; /* no request ends so */
    case SB_HTTP_CHUNKED:
        return sb_buf_printf(out, "Transfer-Encoding: chunked\r\n");
    }
    return 0;
}

static int write_host(const struct sb_http_head *head, struct sb_buf *out)
{
    bool is_v6 = strchr(head->host.name, ':') != NULL;
    int rc =
        sb_buf_printf(out, "Host: %s%s%s", is_v6 ? "[" : "", head->host.name, is_v6 ? "]" : "");
    if (rc == 0 && head->port != head->usual_port) {
        rc = sb_buf_printf(out, ":%u", head->port);
    }
    return rc < 0 ? rc : sb_buf_append(out, "\r\n", 2);
}

int sb_http_head_write_request(const struct sb_http_head *head,
                               struct sb_buf *out,
                               struct sb_err *err)
{
    bool has_slash = head->path.len > 0 && head->path.ptr[0] == '/';
    if (sb_buf_printf(out, "%.*s %s%.*s HTTP/1.%u\r\n", SB_STR_ARG(head->method),
                      has_slash ? "" : "/", SB_STR_ARG(head->path), head->minor) < 0 ||
        write_host(head, out) < 0 || write_fields(head, true, out) < 0 ||
        write_framing(head, out) < 0 || sb_buf_printf(out, "Connection: close\r\n\r\n") < 0) {
        return sb_err_set(err, SB_EXHAUSTED, "request head");
    }
    return 0;
}

int sb_http_head_write_response(const struct sb_http_head *head,
                                struct sb_buf *out,
                                struct sb_err *err)
{
    bool is_last = head->status >= 200; /* others come before the answer */
    if (sb_buf_printf(out, "HTTP/1.%u %u%.*s\r\n", head->minor, head->status,
                      SB_STR_ARG(head->path)) < 0 ||
        write_fields(head, false, out) < 0 ||
        (is_last && sb_buf_printf(out, "Connection: close\r\n") < 0) ||
        sb_buf_append(out, "\r\n", 2) < 0) {
        return sb_err_set(err, SB_EXHAUSTED, "response head");
    }
    return 0;
}
