#pragma once
/** POSIX extended regular expressions over bytes, matched in time linear in the text.
 *
 *  Theory of operation. A pattern becomes a nondeterministic automaton (regex.c: Thompson's
 *  construction, at most SB_REGEX_MAX_NODES nodes, counted repetition by copies). A matcher
 *  (regex_match.c) keeps the set of nodes at which the text read so far may stand, and remembers
 *  the sets it has met and where each byte leads from them, in a table of fixed size that is
 *  emptied when it is full: so no pattern and no text costs more than one pass over the nodes for
 *  each byte, and no memory but what is named here.
 *
 *  It answers whether a line has a match somewhere, and not where. Classes are those of the C
 *  locale, a character is a byte. Beside POSIX: \w \W \s \S \d \D outside of brackets, \b \B \< \>,
 *  \t \r \n, and { is itself where it begins no repetition. Back-references are refused, as none
 *  can serve them in linear time.
 *
 *  Freestanding: nothing of libc but memcpy and memset. */
#include <stddef.h>
#include <stdint.h>

enum {
    SB_REGEX_MAX_PATTERN = 1024, /* bytes */
    SB_REGEX_MAX_NODES = 4096,
    SB_REGEX_MAX_REPEAT = 255, /* in {m,n} */
    SB_REGEX_MAX_NESTING = 64, /* parentheses */
    SB_REGEX_MAX_STATES = 256, /* remembered by one matcher */
};

enum sb_regex_result {
    SB_REGEX_OK = 0,
    SB_REGEX_PATTERN_TOO_LONG,
    SB_REGEX_TOO_LARGE,
    SB_REGEX_TOO_DEEP,
    SB_REGEX_BRACKET,
    SB_REGEX_CLASS,
    SB_REGEX_RANGE,
    SB_REGEX_PAREN,
    SB_REGEX_REPEAT_NOTHING,
    SB_REGEX_REPEAT_COUNT,
    SB_REGEX_ESCAPE,
    SB_REGEX_BACK_REFERENCE,
    SB_REGEX_RESULTS,
};

struct sb_regex_set {
    uint64_t bits[4]; /* of 256 bytes */
};

struct sb_regex_node {
    uint8_t type;
    uint8_t what; /* which assertion */
    uint16_t set;
    uint16_t out;
    uint16_t other;
};

struct sb_regex {
    struct sb_regex_node nodes[SB_REGEX_MAX_NODES];
    struct sb_regex_set sets[SB_REGEX_MAX_PATTERN]; /* by the place in the pattern */
    uint16_t n;
    uint16_t start;
    uint8_t has_begin; /* assertions of the begin of a line */
    uint8_t has_word;  /* of words */
};

/** @fold  upper and lower case of ASCII alike. *ret_regex is garbage on failure. */
enum sb_regex_result
sb_regex_compile(const char *pattern, size_t len, int fold, struct sb_regex *ret_regex);
/** Why not, to follow "pattern: ". Static. */
const char *sb_regex_why(enum sb_regex_result result);

/* ---- matching ---- */

enum { SB_REGEX_WORDS = SB_REGEX_MAX_NODES / 64, SB_REGEX_SYMBOLS = 257 /* bytes, and the end */ };

struct sb_regex_state {
    uint64_t nodes[SB_REGEX_WORDS];
    uint16_t next[SB_REGEX_SYMBOLS]; /* 0: not known yet */
    uint8_t before;
};

/** About 270 kB, which the caller gives, zeroed. */
struct sb_regex_matcher {
    const struct sb_regex *regex;
    struct sb_regex_state states[SB_REGEX_MAX_STATES];
    uint16_t buckets[4 * SB_REGEX_MAX_STATES];
    uint16_t n_states;
    uint16_t start;
    uint16_t now;
    uint64_t seen[SB_REGEX_WORDS];
    uint16_t stack[SB_REGEX_MAX_NODES];
};

/** @regex  borrowed. */
void sb_regex_matcher_init(struct sb_regex_matcher *matcher, const struct sb_regex *regex);
/** A new line begins. */
void sb_regex_begin(struct sb_regex_matcher *matcher);
/** Reads on until a match is found, a newline comes, or the bytes end. Returns how many bytes were
 *  taken; the newline is not among them. */
size_t sb_regex_read(struct sb_regex_matcher *matcher, const char *bytes, size_t len);
/** Whether the line read so far has a match, wherever it goes on. */
int sb_regex_has_matched(const struct sb_regex_matcher *matcher);
/** The line ends here: whether it has a match. */
int sb_regex_end(struct sb_regex_matcher *matcher);
