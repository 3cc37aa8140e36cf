#include <string.h>

#include "base/regex_node.h"

enum { UNKNOWN = 0, MATCHED = 1, FIRST_STATE = 2, END = 256 /* the symbol */ };

enum before { BEFORE_ANY, BEFORE_BEGIN, BEFORE_WORD };

static int has(const uint64_t *set, unsigned node)
{
    return (set[node / 64] >> (node % 64) & 1) != 0;
}

static void put(uint64_t *set, unsigned node)
{
    set[node / 64] |= 1ULL << (node % 64);
}

static size_t words(const struct sb_regex_matcher *matcher)
{
    return ((size_t)matcher->regex->n + 63) / 64;
}

/* Adds a node, and those that are reached from it without a byte and without a condition. */
static void reach(struct sb_regex_matcher *matcher, unsigned from, uint64_t *set)
{
    const struct sb_regex_node *nodes = matcher->regex->nodes;
    unsigned n = 0;
    matcher->stack[n++] = (uint16_t)from;
    while (n > 0) {
        unsigned at = matcher->stack[--n];
        if (has(matcher->seen, at)) {
            continue;
        }
        put(matcher->seen, at);
        if (nodes[at].type == SB_REGEX_SPLIT) {
            /* Each node is pushed by at most two, and seen once: it fits. */
            if (!has(matcher->seen, nodes[at].other)) {
                matcher->stack[n++] = nodes[at].other;
            }
            if (!has(matcher->seen, nodes[at].out)) {
                matcher->stack[n++] = nodes[at].out;
            }
        } else if (nodes[at].type == SB_REGEX_JUMP) {
            matcher->stack[n++] = nodes[at].out;
        } else {
            put(set, at);
        }
    }
}

static void forget_seen(struct sb_regex_matcher *matcher)
{
    memset(matcher->seen, 0, words(matcher) * sizeof *matcher->seen);
}

static int holds(unsigned what, unsigned before, unsigned symbol)
{
    int after_word = before == BEFORE_WORD;
    int before_word = symbol != END && sb_regex_is_word(symbol);
    switch (what) {
    case SB_REGEX_BEGIN:
        return before == BEFORE_BEGIN;
    case SB_REGEX_END:
        return symbol == END;
    case SB_REGEX_WORD_EDGE:
        return after_word != before_word;
    case SB_REGEX_NO_WORD_EDGE:
        return after_word == before_word;
    case SB_REGEX_WORD_BEGIN:
        return !after_word && before_word;
    default:
        return after_word && !before_word;
    }
}

/* Lets conditions through that hold between what was read and the symbol, until none is new. */
static void resolve(struct sb_regex_matcher *matcher, uint64_t *set, unsigned before, unsigned c)
{
    const struct sb_regex_node *nodes = matcher->regex->nodes;
    int has_changed = 1;
    forget_seen(matcher);
    while (has_changed) {
        has_changed = 0;
        for (unsigned i = 1; i < matcher->regex->n; i++) {
            if (nodes[i].type == SB_REGEX_ASSERT && has(set, i) &&
                !has(matcher->seen, nodes[i].out) && holds(nodes[i].what, before, c)) {
                reach(matcher, nodes[i].out, set);
                has_changed = 1;
            }
        }
    }
}

static int accepts(const struct sb_regex_matcher *matcher, const uint64_t *set)
{
    return has(set, matcher->regex->n - 1U); /* the last node */
}

static uint64_t hash(const uint64_t *set, size_t n, unsigned before)
{
    uint64_t sum = before + 1;
    for (size_t i = 0; i < n; i++) {
        sum = (sum ^ set[i]) * 0x9E3779B97F4A7C15ULL;
        sum ^= sum >> 29;
    }
    return sum;
}

static void empty(struct sb_regex_matcher *matcher)
{
    memset(matcher->buckets, 0, sizeof matcher->buckets);
    matcher->n_states = FIRST_STATE;
}

/* The state of that set. *ret_is_emptied: all that were known are forgotten. */
static uint16_t
state_of(struct sb_regex_matcher *matcher, const uint64_t *set, unsigned before, int *ret_emptied)
{
    enum { BUCKETS = sizeof matcher->buckets / sizeof *matcher->buckets };
    size_t n = words(matcher);
    size_t at = hash(set, n, before) % BUCKETS;
    *ret_emptied = 0;
    for (; matcher->buckets[at] != 0; at = (at + 1) % BUCKETS) {
        const struct sb_regex_state *state = &matcher->states[matcher->buckets[at]];
        size_t i = 0;
        while (i < n && state->nodes[i] == set[i]) {
            i++;
        }
        if (i == n && state->before == before) {
            return matcher->buckets[at];
        }
    }
    if (matcher->n_states == SB_REGEX_MAX_STATES) {
        empty(matcher);
        *ret_emptied = 1;
        at = hash(set, n, before) % BUCKETS;
    }
    struct sb_regex_state *made = &matcher->states[matcher->n_states];
    memcpy(made->nodes, set, n * sizeof *set);
    memset(made->next, 0, sizeof made->next);
    made->before = (uint8_t)before;
    matcher->buckets[at] = matcher->n_states;
    return matcher->n_states++;
}

static unsigned before_of(const struct sb_regex *regex, unsigned symbol)
{
    return regex->has_word && symbol != END && sb_regex_is_word(symbol) ? BEFORE_WORD : BEFORE_ANY;
}

/* Where a symbol leads that was not met in this state before. */
static uint16_t step(struct sb_regex_matcher *matcher, uint16_t from, unsigned symbol)
{
    const struct sb_regex *regex = matcher->regex;
    struct sb_regex_state *state = &matcher->states[from];
    uint64_t now[SB_REGEX_WORDS];
    uint64_t next[SB_REGEX_WORDS];
    size_t n = words(matcher);
    int is_emptied = 0;
    memcpy(now, state->nodes, n * sizeof *now);
    memset(next, 0, n * sizeof *next);
    resolve(matcher, now, state->before, symbol);
    if (accepts(matcher, now)) {
        state->next[symbol] = MATCHED;
        return MATCHED;
    }
    forget_seen(matcher);
    for (unsigned i = 1; symbol != END && i < regex->n; i++) {
        if (regex->nodes[i].type == SB_REGEX_BYTE && has(now, i) &&
            sb_regex_set_has(&regex->sets[regex->nodes[i].set], symbol)) {
            reach(matcher, regex->nodes[i].out, next);
        }
    }
    reach(matcher, regex->start, next); /* a match may begin anywhere */
    uint16_t to = accepts(matcher, next)
                      ? MATCHED
                      : state_of(matcher, next, before_of(regex, symbol), &is_emptied);
    if (!is_emptied) {
        state->next[symbol] = to;
    } else {
        matcher->start = UNKNOWN;
    }
    return to;
}

void sb_regex_matcher_init(struct sb_regex_matcher *matcher, const struct sb_regex *regex)
{
    matcher->regex = regex;
    matcher->start = UNKNOWN;
    empty(matcher);
    sb_regex_begin(matcher);
}

void sb_regex_begin(struct sb_regex_matcher *matcher)
{
    uint64_t set[SB_REGEX_WORDS] = {0};
    int is_emptied = 0;
    if (matcher->start == UNKNOWN) {
        forget_seen(matcher);
        reach(matcher, matcher->regex->start, set);
        matcher->start =
            accepts(matcher, set)
                ? MATCHED
                : state_of(matcher, set, matcher->regex->has_begin ? BEFORE_BEGIN : BEFORE_ANY,
                           &is_emptied);
    }
    matcher->now = matcher->start;
}

size_t sb_regex_read(struct sb_regex_matcher *matcher, const char *bytes, size_t len)
{
    size_t i = 0;
    for (; i < len && matcher->now != MATCHED && bytes[i] != '\n'; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        uint16_t next = matcher->states[matcher->now].next[byte];
        matcher->now = next != UNKNOWN ? next : step(matcher, matcher->now, byte);
    }
    return i;
}

int sb_regex_has_matched(const struct sb_regex_matcher *matcher)
{
    return matcher->now == MATCHED;
}

int sb_regex_end(struct sb_regex_matcher *matcher)
{
    if (matcher->now != MATCHED) {
        uint16_t next = matcher->states[matcher->now].next[END];
        matcher->now = next != UNKNOWN ? next : step(matcher, matcher->now, END);
    }
    return matcher->now == MATCHED;
}
