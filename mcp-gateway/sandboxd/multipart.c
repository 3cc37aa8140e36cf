#include "mcp-gateway/sandboxd/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

enum {
    MAX_BOUNDARY = 70, /* of RFC 2046 */
    MAX_LINE = 256,
    MAX_HEAD = 4096,
    SLICE = 16 << 10,
    KEPT = MAX_HEAD + 4, /* at most, of what was fed before */
};

enum state {
    BEFORE, /* the first boundary */
    LINE,   /* the rest of a boundary's line */
    HEAD,
    OTHER,   /* content of a part that is not asked for */
    CONTENT, /* of the one that is */
    BEHIND,  /* it; not read */
};

struct sb_multipart {
    enum state state;
    const char *name;
    struct sb_str mark; /* what ends a content: CR LF, two dashes and the boundary */
    size_t n_held;
    char text[MAX_BOUNDARY + 5]; /* of mark */
    char held[KEPT + SLICE];
};

#define FORM "multipart/form-data"

bool sb_multipart_is(const char *type)
{
    size_t n = sizeof FORM - 1;
    return type != NULL && strncasecmp(type, FORM, n) == 0 &&
           (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static struct sb_str trim(struct sb_str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = sb_str_skip(text, 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool is_same(struct sb_str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

/* The value of `name` among "a; b=c; d=\"e; f\""; false: it is not there. */
static bool find_param(struct sb_str text, const char *name, struct sb_str *ret_value)
{
    while (text.len > 0) {
        size_t n = 0;
        bool is_quoted = false;
        while (n < text.len && (is_quoted || text.ptr[n] != ';')) {
            is_quoted ^= text.ptr[n] == '"';
            n += text.ptr[n] == '\\' && is_quoted && n + 1 < text.len ? 2 : 1;
        }
        struct sb_str key;
        struct sb_str value;
        if (sb_str_split(sb_str_head(text, n), '=', &key, &value) && is_same(trim(key), name)) {
            value = trim(value);
            if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
                value = sb_str_of(value.ptr + 1, value.len - 2);
            }
            *ret_value = value;
            return true;
        }
        text = sb_str_skip(text, n < text.len ? n + 1 : n);
    }
    return false;
}

static bool is_named(struct sb_str head, const char *name)
{
    struct sb_str line;
    struct sb_str key;
    struct sb_str value;
    struct sb_str found;
    while (sb_str_next(&head, '\n', &line)) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (sb_str_split(line, ':', &key, &value) && is_same(trim(key), "content-disposition")) {
            return find_param(value, "name", &found) && sb_str_eq(found, sb_str_from(name));
        }
    }
    return false;
}

static int malformed(const char *what, struct sb_err *err)
{
    return sb_err_set(err, SB_INVALID, "invalid multipart body: %s", what);
}

int sb_multipart_new(const char *type,
                     const char *name,
                     struct sb_multipart **ret_form,
                     struct sb_err *err)
{
    struct sb_str boundary;
    if (!find_param(sb_str_from(type), "boundary", &boundary) || boundary.len == 0 ||
        boundary.len > MAX_BOUNDARY) {
        return malformed("Content-Type has no boundary of 1 to 70 characters", err);
    }
    struct sb_multipart *made = malloc(sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->state = BEFORE;
    made->name = name;
    int n = snprintf(made->text, sizeof made->text, "\r\n--%.*s", SB_STR_ARG(boundary));
    made->mark = sb_str_of(made->text, (size_t)n);
    /* So a boundary that is the first line of all is one like the others. */
    memcpy(made->held, "\r\n", 2);
    made->n_held = 2;
    *ret_form = made;
    return 0;
}

/* ---- the steps: each returns bytes of `held` that are done with, 0: more must come, or -1 ---- */

static bool find(struct sb_str text, struct sb_str mark, size_t *ret_at)
{
    const char *at = text.len == 0 ? NULL : memmem(text.ptr, text.len, mark.ptr, mark.len);
    *ret_at = at == NULL ? 0 : (size_t)(at - text.ptr);
    return at != NULL;
}

/* What comes before a boundary: *ret_before. */
static int
step_text(struct sb_multipart *form, struct sb_str held, struct sb_str *ret_before, enum state next)
{
    size_t at = 0;
    if (find(held, form->mark, &at)) {
        form->state = next;
        *ret_before = sb_str_head(held, at);
        return (int)(at + form->mark.len);
    }
    size_t kept = form->mark.len - 1; /* may be a beginning of it */
    *ret_before = sb_str_head(held, held.len < kept ? 0 : held.len - kept);
    return (int)ret_before->len;
}

/* The rest of a boundary's line. */
static int step_line(struct sb_multipart *form, struct sb_str held, struct sb_err *err)
{
    size_t at = 0;
    if (sb_str_starts_with(held, SB_STR("--"))) {
        return sb_err_set(err, SB_INVALID, "multipart body is missing the required \"%s\" part",
                          form->name);
    }
    bool is_whole = find(held, SB_STR("\r\n"), &at);
    struct sb_str line = trim(is_whole ? sb_str_head(held, at) : held);
    if (is_whole && line.len == 0 && at <= MAX_LINE) {
        form->state = HEAD;
        return (int)at + 2;
    }
    bool may_become = sb_str_eq(line, SB_STR("-")) || sb_str_eq(line, SB_STR("\r"));
    if (is_whole || held.len > MAX_LINE + 2 || (line.len > 0 && !may_become)) {
        return malformed("a boundary does not end its line", err);
    }
    return 0;
}

static int step_head(struct sb_multipart *form, struct sb_str held, struct sb_err *err)
{
    size_t at = 0;
    bool is_whole = find(held, SB_STR("\r\n\r\n"), &at);
    if (is_whole ? at > MAX_HEAD : held.len > MAX_HEAD + 4) {
        return malformed("a part has no head, or one over 4096 bytes", err);
    }
    if (!is_whole) {
        return 0;
    }
    form->state = is_named(sb_str_head(held, at), form->name) ? CONTENT : OTHER;
    return (int)at + 4;
}

/* Takes what it can of what is held. */
static int advance(struct sb_multipart *form,
                   void (*content)(void *ctx, struct sb_str piece),
                   void *ctx,
                   struct sb_err *err)
{
    struct sb_str held = sb_str_of(form->held, form->n_held);
    struct sb_str text;
    int taken = 1;
    while (taken > 0) {
        text.len = 0;
        switch (form->state) {
        case BEFORE:
        case OTHER:
            taken = step_text(form, held, &text, LINE);
            break;
        case CONTENT:
            taken = step_text(form, held, &text, BEHIND);
            if (text.len > 0) {
                content(ctx, text);
            }
            break;
        case LINE:
            taken = step_line(form, held, err);
            break;
        case HEAD:
            taken = step_head(form, held, err);
            break;
        case BEHIND:
            taken = 0;
            held.len = 0;
        }
        held = sb_str_skip(held, taken < 0 ? 0 : (size_t)taken);
    }
    if (held.len > 0) {
        memmove(form->held, held.ptr, held.len);
    }
    form->n_held = held.len;
    return taken;
}

int sb_multipart_feed(struct sb_multipart *form,
                      struct sb_str bytes,
                      void (*content)(void *ctx, struct sb_str piece),
                      void *ctx,
                      struct sb_err *err)
{
    while (bytes.len > 0) {
        struct sb_str part = sb_str_head(bytes, SLICE);
        memcpy(form->held + form->n_held, part.ptr, part.len);
        form->n_held += part.len;
        if (advance(form, content, ctx, err) < 0) {
            return -1;
        }
        bytes = sb_str_skip(bytes, part.len);
    }
    return 0;
}

int sb_multipart_end(const struct sb_multipart *form, struct sb_err *err)
{
    static const char *const missing[] = {
        [BEFORE] = "it does not begin with its boundary",
        [LINE] = "a boundary does not end its line",
        [HEAD] = "a part has no head, or one over 4096 bytes",
        [OTHER] = "the last boundary is missing",
        [CONTENT] = "the last boundary is missing",
    };
    return form->state == BEHIND ? 0 : malformed(missing[form->state], err);
}
