#include "mcp-gateway/ports/answer.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "mcp-gateway/ports/field.h"

/* Two of these could be understood differently. */
static const char *const once[] = {"connection",       "content-length", "content-type",
                                   "location",         "upgrade",        "sec-websocket-accept",
                                   "transfer-encoding"};

static int refuse(struct sb_err *err, const char *why)
{
    return sb_err_set(err, SB_INVALID, "%s", why);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK"; the reason, which is not passed on, may be missing with its blank. */
static int read_status(struct sb_str line, struct sb_answer *answer, struct sb_err *err)
{
    bool is_http11 = sb_str_starts_with(line, SB_STR("HTTP/1.1 "));
    answer->is_http10 = sb_str_starts_with(line, SB_STR("HTTP/1.0 "));
    if (!is_http11 && !answer->is_http10) {
        return refuse(err, "the status line does not begin with HTTP/1.1");
    }
    struct sb_str rest = sb_str_skip(line, 9);
    if (rest.len < 3 || !is_digit(rest.ptr[0]) || !is_digit(rest.ptr[1]) ||
        !is_digit(rest.ptr[2]) || (rest.len > 3 && rest.ptr[3] != ' ')) {
        return refuse(err, "the status line has no status of three digits");
    }
    answer->status = (rest.ptr[0] - '0') * 100 + (rest.ptr[1] - '0') * 10 + (rest.ptr[2] - '0');
    if (answer->status < 100 || answer->status > 599) {
        return refuse(err, "the status is not in 100..599");
    }
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return refuse(err, "the status line has a control character");
        }
    }
    return 0;
}

static const char *get(const struct sb_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->n_fields; i++) {
        if (strcasecmp(answer->fields[i].name, name) == 0) {
            return answer->fields[i].value;
        }
    }
    return NULL;
}

static int read_field(char *line, size_t len, struct sb_answer *answer, struct sb_err *err)
{
    if (answer->n_fields == SB_ANSWER_MAX_FIELDS) {
        return refuse(err, "more than 128 header lines");
    }
    struct sb_head_field *field = &answer->fields[answer->n_fields];
    if (sb_head_read_field(line, len, field, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (strcasecmp(once[i], field->name) == 0 && get(answer, field->name) != NULL) {
            return sb_err_set(err, SB_INVALID, "header %s is there twice", once[i]);
        }
    }
    answer->n_fields++;
    return 0;
}

static int read_framing(struct sb_answer *answer, struct sb_err *err)
{
    const char *length = get(answer, "content-length");
    const char *coding = get(answer, "transfer-encoding");
    struct sb_err ignored;
    if (length != NULL && coding != NULL) {
        return refuse(err, "both Content-Length and Transfer-Encoding");
    }
    if (coding != NULL && (answer->is_http10 || strcasecmp(coding, "chunked") != 0)) {
        return refuse(err, answer->is_http10 ? "Transfer-Encoding in HTTP/1.0"
                                             : "a Transfer-Encoding other than chunked");
    }
    if (length != NULL &&
        (strspn(length, "0123456789") != strlen(length) ||
         sb_num_u64(sb_str_from(length), 0, INT64_MAX, &answer->length, &ignored) < 0)) {
        return refuse(err, "Content-Length is not a decimal number");
    }
    answer->has_length = length != NULL;
    answer->body = coding != NULL   ? SB_ANSWER_CHUNKED
                   : length != NULL ? SB_ANSWER_SIZED
                                    : SB_ANSWER_UNTIL_CLOSE;
    return 0;
}

static int
read_meaning(struct sb_answer *answer, const struct sb_answer_asked *asked, struct sb_err *err)
{
    answer->connection = get(answer, "connection");
    if (read_framing(answer, err) < 0) {
        return -1;
    }
    if (answer->status == 101) {
        const char *upgrade = get(answer, "upgrade");
        if (!asked->is_upgrade) {
            return refuse(err, "it switches protocols, which nobody asked for");
        }
        if (upgrade == NULL || strcasecmp(upgrade, "websocket") != 0 ||
            answer->connection == NULL || get(answer, "sec-websocket-accept") == NULL ||
            !sb_field_list_has(sb_str_from(answer->connection), SB_STR("upgrade"))) {
            return refuse(err, "it switches to something other than WebSocket");
        }
    }
    if (answer->status < 200 && (get(answer, "transfer-encoding") != NULL || answer->length > 0)) {
        return refuse(err, "a status below 200 with a body");
    }
    if (asked->is_head || answer->status < 200 || answer->status == 204 || answer->status == 304) {
        answer->body = SB_ANSWER_NO_BODY;
    }
    return 0;
}

int sb_answer_parse(char *text,
                    size_t len,
                    const struct sb_answer_asked *asked,
                    struct sb_answer *ret_answer,
                    struct sb_err *err)
{
    memset(ret_answer, 0, sizeof *ret_answer);
    bool is_first = true;
    char *at = text;
    while (at < text + len) {
        char *lf = memchr(at, '\n', (size_t)(text + len - at));
        if (lf == NULL || lf == at || lf[-1] != '\r') {
            return refuse(err, "a line of the head does not end with CR LF");
        }
        size_t line_len = (size_t)(lf - 1 - at);
        if (line_len == 0) {
            break;
        }
        int failed = is_first ? read_status(sb_str_of(at, line_len), ret_answer, err)
                              : read_field(at, line_len, ret_answer, err);
        if (failed < 0) {
            return -1;
        }
        is_first = false;
        at = lf + 1;
    }
    return is_first ? refuse(err, "no status line") : read_meaning(ret_answer, asked, err);
}
