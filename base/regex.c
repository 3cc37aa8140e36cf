#include "base/regex.h"

#include <string.h>

#include "base/regex_class.h"
#include "base/regex_node.h"

/* A piece of the automaton: one way in, and one way out, a JUMP that leads nowhere yet. Its nodes
 * are neighbours, so that a copy is a shift. */
struct piece {
    uint16_t start;
    uint16_t end;
};

struct parser {
    const char *at;
    const char *end;
    const char *begin;
    struct sb_regex *regex;
    int fold;
    int depth;
    enum sb_regex_result result;
};

static int fail(struct parser *parser, enum sb_regex_result result)
{
    if (parser->result == SB_REGEX_OK) {
        parser->result = result;
    }
    return 0;
}

/* Returns the node, or 0, which is none, when there is no room. */
static uint16_t add(struct parser *parser, enum sb_regex_type type, uint16_t out, uint16_t other)
{
    struct sb_regex *regex = parser->regex;
    if (regex->n == SB_REGEX_MAX_NODES) {
        (void)fail(parser, SB_REGEX_TOO_LARGE);
        return 0;
    }
    regex->nodes[regex->n] =
        (struct sb_regex_node){.type = (uint8_t)type, .out = out, .other = other};
    return regex->n++;
}

static void lead(struct parser *parser, uint16_t from, uint16_t to)
{
    parser->regex->nodes[from].out = to;
}

/* ---- sets ---- */

static void put(struct parser *parser, struct sb_regex_set *set, unsigned char byte)
{
    sb_regex_set_add(set, byte);
    if (parser->fold && ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))) {
        sb_regex_set_add(set, byte ^ 0x20);
    }
}

static void invert(struct sb_regex_set *set)
{
    for (size_t i = 0; i < sizeof set->bits / sizeof *set->bits; i++) {
        set->bits[i] = ~set->bits[i];
    }
}

static void put_class(struct parser *parser, struct sb_regex_set *set, sb_regex_class_fn *has)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        if (has((unsigned char)byte)) {
            put(parser, set, (unsigned char)byte);
        }
    }
}

/* The set of what stands at this place; the same place has the same, however often it is read. */
static struct sb_regex_set *set_at(struct parser *parser, const char *place)
{
    struct sb_regex_set *set = &parser->regex->sets[place - parser->begin];
    memset(set, 0, sizeof *set);
    return set;
}

static int set_piece(struct parser *parser, const char *place, struct piece *ret)
{
    uint16_t node = add(parser, SB_REGEX_BYTE, 0, 0);
    uint16_t end = add(parser, SB_REGEX_JUMP, 0, 0);
    if (end == 0) {
        return 0;
    }
    parser->regex->nodes[node].set = (uint16_t)(place - parser->begin);
    lead(parser, node, end);
    *ret = (struct piece){node, end};
    return 1;
}

/* ---- brackets ---- */

/* "[:alpha:]", "[=a=]", "[.a.]", of which at stands on the second byte. *ret_byte is -1 for a
 * class. */
static int bracket_inner(struct parser *parser, struct sb_regex_set *set, int *ret_byte)
{
    char kind = *parser->at;
    const char *text = ++parser->at;
    while (parser->end - parser->at >= 2 && !(parser->at[0] == kind && parser->at[1] == ']')) {
        parser->at++;
    }
    size_t len = (size_t)(parser->at - text);
    if (parser->end - parser->at < 2) {
        return fail(parser, SB_REGEX_BRACKET);
    }
    parser->at += 2;
    if (kind != ':') {
        *ret_byte = len == 1 ? (unsigned char)*text : -1;
        return len == 1 ? 1 : fail(parser, SB_REGEX_CLASS);
    }
    *ret_byte = -1;
    sb_regex_class_fn *has = sb_regex_class_named(text, len);
    if (has == NULL) {
        return fail(parser, SB_REGEX_CLASS);
    }
    put_class(parser, set, has);
    return 1;
}

/* One end of a range, or a class. */
static int bracket_item(struct parser *parser, struct sb_regex_set *set, int *ret_byte)
{
    const char *at = parser->at;
    if (at[0] == '[' && parser->end - at > 1 && (at[1] == ':' || at[1] == '=' || at[1] == '.')) {
        parser->at++;
        return bracket_inner(parser, set, ret_byte);
    }
    *ret_byte = (unsigned char)*parser->at++;
    return 1;
}

static int bracket_range(struct parser *parser, struct sb_regex_set *set)
{
    int low = -1;
    int high = -1;
    if (!bracket_item(parser, set, &low)) {
        return 0;
    }
    const char *at = parser->at;
    int is_range = parser->end - at > 1 && at[0] == '-' && at[1] != ']';
    if (low < 0) {
        return is_range ? fail(parser, SB_REGEX_RANGE) : 1;
    }
    high = low;
    if (is_range) {
        parser->at++;
        if (!bracket_item(parser, set, &high)) {
            return 0;
        }
    }
    if (high < low) {
        return fail(parser, SB_REGEX_RANGE);
    }
    for (int byte = low; byte <= high; byte++) {
        put(parser, set, (unsigned char)byte);
    }
    return 1;
}

static int bracket(struct parser *parser, struct piece *ret)
{
    const char *place = parser->at;
    struct sb_regex_set *set = set_at(parser, place);
    int is_not = 0;
    parser->at++;
    if (parser->at < parser->end && *parser->at == '^') {
        is_not = 1;
        parser->at++;
    }
    for (const char *first = parser->at; parser->at < parser->end;) {
        if (*parser->at == ']' && parser->at != first) {
            parser->at++;
            if (is_not) {
                invert(set);
            }
            return set_piece(parser, place, ret);
        }
        if (!bracket_range(parser, set)) {
            return 0;
        }
    }
    return fail(parser, SB_REGEX_BRACKET);
}

/* ---- atoms ---- */

static int assertion(struct parser *parser, enum sb_regex_assertion what, struct piece *ret)
{
    uint16_t node = add(parser, SB_REGEX_ASSERT, 0, 0);
    uint16_t end = add(parser, SB_REGEX_JUMP, 0, 0);
    if (end == 0) {
        return 0;
    }
    parser->regex->nodes[node].what = (uint8_t)what;
    parser->regex->has_begin |= what == SB_REGEX_BEGIN;
    parser->regex->has_word |= what != SB_REGEX_BEGIN && what != SB_REGEX_END;
    lead(parser, node, end);
    *ret = (struct piece){node, end};
    return 1;
}

static const struct {
    char letter;
    enum sb_regex_assertion what;
} escaped_assertions[] = {
    {'b', SB_REGEX_WORD_EDGE},
    {'B', SB_REGEX_NO_WORD_EDGE},
    {'<', SB_REGEX_WORD_BEGIN},
    {'>', SB_REGEX_WORD_END},
};
static const char escaped_bytes[][2] = {{'t', '\t'}, {'r', '\r'}, {'n', '\n'}};

static int escape(struct parser *parser, struct piece *ret)
{
    const char *place = parser->at++;
    if (parser->at == parser->end) {
        return fail(parser, SB_REGEX_ESCAPE);
    }
    char c = *parser->at++;
    for (size_t i = 0; i < sizeof escaped_assertions / sizeof *escaped_assertions; i++) {
        if (escaped_assertions[i].letter == c) {
            return assertion(parser, escaped_assertions[i].what, ret);
        }
    }
    struct sb_regex_set *set = set_at(parser, place);
    int is_not = 0;
    sb_regex_class_fn *has = sb_regex_class_escaped(c, &is_not);
    if (has != NULL) {
        put_class(parser, set, has);
        if (is_not) {
            invert(set);
        }
        return set_piece(parser, place, ret);
    }
    for (size_t i = 0; i < sizeof escaped_bytes / sizeof *escaped_bytes; i++) {
        if (escaped_bytes[i][0] == c) {
            sb_regex_set_add(set, (unsigned char)escaped_bytes[i][1]);
            return set_piece(parser, place, ret);
        }
    }
    if (sb_regex_class_is_digit((unsigned char)c)) {
        return fail(parser, SB_REGEX_BACK_REFERENCE);
    }
    if (sb_regex_class_is_alpha((unsigned char)c)) {
        return fail(parser, SB_REGEX_ESCAPE);
    }
    put(parser, set, (unsigned char)c);
    return set_piece(parser, place, ret);
}

static int any(struct parser *parser, struct piece *ret)
{
    struct sb_regex_set *set = set_at(parser, parser->at);
    invert(set);
    return set_piece(parser, parser->at++, ret);
}

static int byte(struct parser *parser, struct piece *ret)
{
    put(parser, set_at(parser, parser->at), (unsigned char)*parser->at);
    return set_piece(parser, parser->at++, ret);
}

/* NOLINTBEGIN(misc-no-recursion): SB_REGEX_MAX_NESTING levels at most */
static int alternatives(struct parser *parser, struct piece *ret);

static int group(struct parser *parser, struct piece *ret)
{
    if (++parser->depth > SB_REGEX_MAX_NESTING) {
        return fail(parser, SB_REGEX_TOO_DEEP);
    }
    parser->at++;
    if (!alternatives(parser, ret)) {
        return 0;
    }
    if (parser->at == parser->end) {
        return fail(parser, SB_REGEX_PAREN);
    }
    parser->at++;
    parser->depth--;
    return 1;
}

static int atom(struct parser *parser, struct piece *ret)
{
    switch (*parser->at) {
    case '(':
        return group(parser, ret);
    case '[':
        return bracket(parser, ret);
    case '\\':
        return escape(parser, ret);
    case '.':
        return any(parser, ret);
    case '^':
        parser->at++;
        return assertion(parser, SB_REGEX_BEGIN, ret);
    case '$':
        parser->at++;
        return assertion(parser, SB_REGEX_END, ret);
    case '*':
    case '+':
    case '?':
        return fail(parser, SB_REGEX_REPEAT_NOTHING);
    default:
        return byte(parser, ret);
    }
}

/* ---- repetition ---- */

static int number(struct parser *parser, const char **at, unsigned *ret)
{
    const char *first = *at;
    *ret = 0;
    while (*at < parser->end && sb_regex_class_is_digit((unsigned char)**at)) {
        *ret = *ret > SB_REGEX_MAX_REPEAT ? *ret : *ret * 10 + (unsigned)(**at - '0');
        (*at)++;
    }
    return *at != first;
}

enum { FOREVER = SB_REGEX_MAX_REPEAT + 1 };

/* "{3}", "{3,}", "{,3}", "{3,5}"; anything else is no repetition, and the brace stands for
 * itself. */
static int braces(struct parser *parser, unsigned *ret_least, unsigned *ret_most)
{
    const char *at = parser->at + 1;
    int has_least = number(parser, &at, ret_least);
    *ret_most = *ret_least;
    if (at < parser->end && *at == ',') {
        at++;
        int has_most = number(parser, &at, ret_most);
        if (!has_most && !has_least) {
            return 0;
        }
        *ret_most = has_most ? *ret_most : FOREVER;
        if (has_most && *ret_most > SB_REGEX_MAX_REPEAT) {
            *ret_least = FOREVER;
        }
    } else if (!has_least) {
        return 0;
    }
    if (at == parser->end || *at != '}') {
        return 0;
    }
    parser->at = at + 1;
    return 1;
}

static int is_repetition(struct parser *parser, unsigned *ret_least, unsigned *ret_most)
{
    *ret_least = 0;
    *ret_most = FOREVER;
    if (parser->at == parser->end) {
        return 0;
    }
    switch (*parser->at) {
    case '+':
        *ret_least = 1;
        parser->at++;
        return 1;
    case '?':
        *ret_most = 1;
        parser->at++;
        return 1;
    case '*':
        parser->at++;
        return 1;
    case '{':
        return braces(parser, ret_least, ret_most);
    default:
        return 0;
    }
}

/* Another of the piece whose nodes are first..last-1. */
static int copy(struct parser *parser, uint16_t first, uint16_t last, struct piece *piece)
{
    struct sb_regex *regex = parser->regex;
    uint16_t shift = (uint16_t)(regex->n - first);
    for (uint16_t i = first; i < last; i++) {
        uint16_t node = add(parser, SB_REGEX_JUMP, 0, 0);
        if (node == 0) {
            return 0;
        }
        struct sb_regex_node copied = regex->nodes[i];
        copied.out = copied.out == 0 ? 0 : (uint16_t)(copied.out + shift);
        copied.other = copied.other == 0 ? 0 : (uint16_t)(copied.other + shift);
        regex->nodes[node] = copied;
    }
    piece->start = (uint16_t)(piece->start + shift);
    piece->end = (uint16_t)(piece->end + shift);
    return 1;
}

/* Makes a piece optional, or one that may come again, too. */
static int optional(struct parser *parser, struct piece *piece, int is_again)
{
    uint16_t split = add(parser, SB_REGEX_SPLIT, piece->start, 0);
    uint16_t end = add(parser, SB_REGEX_JUMP, 0, 0);
    if (end == 0) {
        return 0;
    }
    parser->regex->nodes[split].other = end;
    lead(parser, piece->end, is_again ? split : end);
    *piece = (struct piece){split, end};
    return 1;
}

static int append(struct parser *parser, struct piece *all, const struct piece *next)
{
    lead(parser, all->end, next->start);
    all->end = next->end;
    return 1;
}

static int
repeat(struct parser *parser, struct piece *piece, uint16_t first, unsigned least, unsigned most)
{
    const struct piece one = *piece; /* stays as it is, to be copied */
    const uint16_t last = parser->regex->n;
    if (least == 0 && most == FOREVER) {
        return optional(parser, piece, 1);
    }
    if (least == 0 && most == 1) {
        return optional(parser, piece, 0);
    }
    if (least > most || least > SB_REGEX_MAX_REPEAT) {
        return fail(parser, SB_REGEX_REPEAT_COUNT);
    }
    uint16_t begin = add(parser, SB_REGEX_JUMP, 0, 0);
    if (begin == 0) {
        return 0;
    }
    struct piece all = {begin, begin};
    unsigned n = most == FOREVER ? least + 1 : most;
    for (unsigned i = 0; i < n; i++) {
        struct piece next = one;
        if (!copy(parser, first, last, &next) ||
            (i >= least && !optional(parser, &next, most == FOREVER)) ||
            !append(parser, &all, &next)) {
            return 0;
        }
    }
    *piece = all;
    return 1;
}

static int repeated(struct parser *parser, struct piece *ret)
{
    uint16_t first = parser->regex->n;
    unsigned least = 0;
    unsigned most = 0;
    if (!atom(parser, ret)) {
        return 0;
    }
    while (is_repetition(parser, &least, &most)) {
        if (!repeat(parser, ret, first, least, most)) {
            return 0;
        }
    }
    return 1;
}

static int sequence(struct parser *parser, struct piece *ret)
{
    uint16_t begin = add(parser, SB_REGEX_JUMP, 0, 0);
    if (begin == 0) {
        return 0;
    }
    *ret = (struct piece){begin, begin};
    while (parser->at < parser->end && *parser->at != '|' && *parser->at != ')') {
        struct piece next;
        if (!repeated(parser, &next) || !append(parser, ret, &next)) {
            return 0;
        }
    }
    return 1;
}

static int alternatives(struct parser *parser, struct piece *ret)
{
    if (!sequence(parser, ret)) {
        return 0;
    }
    while (parser->at < parser->end && *parser->at == '|') {
        struct piece other;
        parser->at++;
        if (!sequence(parser, &other)) {
            return 0;
        }
        uint16_t split = add(parser, SB_REGEX_SPLIT, ret->start, other.start);
        uint16_t end = add(parser, SB_REGEX_JUMP, 0, 0);
        if (end == 0) {
            return 0;
        }
        lead(parser, ret->end, end);
        lead(parser, other.end, end);
        *ret = (struct piece){split, end};
    }
    return 1;
}
/* NOLINTEND(misc-no-recursion) */

enum sb_regex_result
sb_regex_compile(const char *pattern, size_t len, int fold, struct sb_regex *ret_regex)
{
    struct parser parser = {
        .at = pattern, .begin = pattern, .end = pattern + len, .regex = ret_regex, .fold = fold};
    struct piece all;
    if (len > SB_REGEX_MAX_PATTERN) {
        return SB_REGEX_PATTERN_TOO_LONG;
    }
    ret_regex->n = 1; /* node 0 is none */
    ret_regex->has_begin = 0;
    ret_regex->has_word = 0;
    if (!alternatives(&parser, &all)) {
        return parser.result;
    }
    if (parser.at != parser.end) {
        return SB_REGEX_PAREN; /* one that closes nothing */
    }
    uint16_t accept = add(&parser, SB_REGEX_ACCEPT, 0, 0);
    lead(&parser, all.end, accept);
    ret_regex->start = all.start;
    return parser.result;
}

const char *sb_regex_why(enum sb_regex_result result)
{
    static const char *const texts[SB_REGEX_RESULTS] = {
        [SB_REGEX_OK] = "is fine",
        [SB_REGEX_PATTERN_TOO_LONG] = "is longer than 1024 bytes",
        [SB_REGEX_TOO_LARGE] = "is too large with its repetitions written out; use smaller counts",
        [SB_REGEX_TOO_DEEP] = "has more than 64 levels of parentheses",
        [SB_REGEX_BRACKET] = "has a [ without its ]; \\[ stands for itself",
        [SB_REGEX_CLASS] = ("names a class that there is not; there are [:alnum:], [:alpha:], "
                            "[:digit:], [:lower:], [:space:], [:upper:] and so on"),
        [SB_REGEX_RANGE] = "has a range whose end comes before its begin",
        [SB_REGEX_PAREN] = "has a parenthesis without its other; \\( stands for itself",
        [SB_REGEX_REPEAT_NOTHING] = "has a *, + or ? with nothing before it; \\* stands for itself",
        [SB_REGEX_REPEAT_COUNT] = "has a {m,n} that is not in 0..255, or with m above n",
        [SB_REGEX_ESCAPE] = "has a backslash before nothing, or before a letter that means nothing",
        [SB_REGEX_BACK_REFERENCE] =
            "has a back-reference, which no search in bounded time can follow",
    };
    return texts[result];
}
