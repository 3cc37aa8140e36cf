/** Regular expressions: what they match, what is refused, and the same answers as glibc's. */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/regex.h"

static struct sb_regex compiled;
static struct sb_regex_matcher matcher;

static int matches(const char *text)
{
    sb_regex_begin(&matcher);
    (void)sb_regex_read(&matcher, text, strlen(text));
    return sb_regex_end(&matcher);
}

static enum sb_regex_result compile(const char *pattern, int fold)
{
    enum sb_regex_result result = sb_regex_compile(pattern, strlen(pattern), fold, &compiled);
    if (result == SB_REGEX_OK) {
        sb_regex_matcher_init(&matcher, &compiled);
    }
    return result;
}

static void finds_what_a_pattern_says(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        int fold;
        int is_match;
    } rows[] = {
        {"", "", 0, 1},
        {"b", "abc", 0, 1},
        {"^b", "abc", 0, 0},
        {"^abc$", "abc", 0, 1},
        {"^$", "", 0, 1},
        {"^$", "x", 0, 0},
        {"a|b$", "cb", 0, 1},
        {"(ab)+$", "xabab", 0, 1},
        {"^(ab){2}$", "abab", 0, 1},
        {"^(ab){2}$", "ababab", 0, 0},
        {"^a{2,3}$", "aaaa", 0, 0},
        {"^a{,2}$", "aa", 0, 1},
        {"^a{2,}$", "aaaaa", 0, 1},
        {"^(a*)*$", "aaaa", 0, 1},
        {"^(a|b*)*c", "abababc", 0, 1},
        {"f() {", "f {", 0, 1},
        {"\\(\\) \\{", "f() {", 0, 1},
        {"[[:digit:]]+-[^0-9]", "12-x", 0, 1},
        {"[]a]", "]", 0, 1},
        {"[a-]", "-", 0, 1},
        {"[[.a.]-[=c=]]", "b", 0, 1},
        {"HeLLo", "say hello", 1, 1},
        {"[A-C]x", "bX", 1, 1},
        {"HeLLo", "say hello", 0, 0},
        {"\\bint\\b", "an int here", 0, 1},
        {"\\bint\\b", "print", 0, 0},
        {"\\<in", "print in", 0, 1},
        {"in\\>", "inner", 0, 0},
        {"\\Bint", "print", 0, 1},
        {"^\\w+\\s\\d\\d$", "ab_1 42", 0, 1},
        {"\\D\\W\\S", "1 x", 0, 0},
        {"a\\tb", "a\tb", 0, 1},
        {"caf\xc3\xa9", "un caf\xc3\xa9", 0, 1},
        {"^.$", "\xff", 0, 1},
        {"x*$", "y", 0, 1},
        {"a$b", "a", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (compile(rows[i].pattern, rows[i].fold) != SB_REGEX_OK ||
            matches(rows[i].text) != rows[i].is_match) {
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
        }
    }
}

static void refuses_what_is_no_pattern(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        enum sb_regex_result result;
    } rows[] = {
        {"[a", SB_REGEX_BRACKET},
        {"[[:alpha:]", SB_REGEX_BRACKET},
        {"[[:alpha", SB_REGEX_BRACKET},
        {"[[:word:]]", SB_REGEX_CLASS},
        {"[[.ab.]]", SB_REGEX_CLASS},
        {"[z-a]", SB_REGEX_RANGE},
        {"[[:alpha:]-z]", SB_REGEX_RANGE},
        {"(a", SB_REGEX_PAREN},
        {"a)", SB_REGEX_PAREN},
        {"*a", SB_REGEX_REPEAT_NOTHING},
        {"a|+", SB_REGEX_REPEAT_NOTHING},
        {"(?:a)", SB_REGEX_REPEAT_NOTHING},
        {"a{3,2}", SB_REGEX_REPEAT_COUNT},
        {"a{256}", SB_REGEX_REPEAT_COUNT},
        {"a{1,999999999999}", SB_REGEX_REPEAT_COUNT},
        {"a\\", SB_REGEX_ESCAPE},
        {"\\q", SB_REGEX_ESCAPE},
        {"(a)\\1", SB_REGEX_BACK_REFERENCE},
        {"((((a{99}){99}){99}){99})", SB_REGEX_TOO_LARGE},
        {"((((){255}){255}){255}){255}", SB_REGEX_TOO_LARGE},
    };
    char deep[200] = "";
    char longest[1100];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (compile(rows[i].pattern, 0) != rows[i].result) {
            fail_msg("%s", rows[i].pattern);
        }
        assert_true(strlen(sb_regex_why(rows[i].result)) > 10);
    }
    memset(deep, '(', 65);
    assert_int_equal(compile(deep, 0), SB_REGEX_TOO_DEEP);
    memset(longest, 'a', sizeof longest);
    longest[1025] = '\0';
    assert_int_equal(compile(longest, 0), SB_REGEX_PATTERN_TOO_LONG);
    longest[1024] = '\0';
    assert_int_equal(compile(longest, 0), SB_REGEX_OK);
}

/* A set of every combination of places: more states than are kept, and each byte makes one. */
static void no_pattern_takes_long(void **state)
{
    (void)state;
    char text[20000];
    srand(7);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        text[i] = "ab"[rand() & 1];
    }
    text[sizeof text - 1] = '\0';
    assert_int_equal(compile("(a|b)*a(a|b){30}c", 0), SB_REGEX_OK);
    assert_int_equal(matches(text), 0);
    strcpy(text + 100, "c");
    assert_int_equal(matches(text), strchr("a", text[69]) != NULL);
    assert_int_equal(compile("((a*)*)*((a|aa)*)*b", 0), SB_REGEX_OK);
    memset(text, 'a', sizeof text - 1);
    assert_int_equal(matches(text), 0);
}

static void reads_lines_in_any_pieces(void **state)
{
    (void)state;
    static const char text[] = "one\ntwo needle\nthree";
    assert_int_equal(compile("nee+dle$", 0), SB_REGEX_OK);
    for (size_t piece = 1; piece < sizeof text; piece++) {
        int n_matches = 0;
        sb_regex_begin(&matcher);
        for (size_t at = 0; at < sizeof text - 1;) {
            size_t len = sizeof text - 1 - at < piece ? sizeof text - 1 - at : piece;
            size_t taken = sb_regex_read(&matcher, text + at, len);
            at += taken;
            if (taken < len) {
                assert_int_equal(text[at], '\n');
                n_matches += sb_regex_end(&matcher);
                sb_regex_begin(&matcher);
                at++;
            }
        }
        n_matches += sb_regex_end(&matcher);
        assert_int_equal(n_matches, 1);
    }
}

static void make_pattern(char *out, size_t size, int depth)
{
    static const char *const atoms[] = {"a",     "b",           "c",   ".",   "[ab]", "[^a]",
                                        "[b-d]", "[[:alpha:]]", "\\.", "\\w", "\\b",  "ab"};
    static const char *const ends[] = {"", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}"};
    size_t len = 0;
    int n = 1 + rand() % 3;
    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        char inner[256];
        int choice = rand() % 8;
        const char *end = ends[(size_t)rand() % (sizeof ends / sizeof *ends)];
        if (choice == 0 && depth < 3) {
            make_pattern(inner, sizeof inner / 2, depth + 1);
            len += (size_t)snprintf(out + len, size - len, "(%s)%s", inner, end);
        } else if (choice == 1 && i > 0) {
            len += (size_t)snprintf(out + len, size - len, "|%s", i == n - 1 ? "b" : "");
        } else if (choice == 2 &&
                   depth == 0) { /* in repeated groups glibc lets ^ and \\b hold anywhere */
            len += (size_t)snprintf(out + len, size - len, "%s", (rand() & 1) != 0 ? "^" : "$");
        } else {
            const char *atom = atoms[(size_t)rand() % (sizeof atoms / sizeof *atoms)];
            int is_edge = strcmp(atom, "\\b") == 0;
            atom = is_edge && depth > 0 ? "d" : atom;
            len += (size_t)snprintf(out + len, size - len, "%s%s", atom, is_edge ? "" : end);
        }
        if (len >= size) {
            out[0] = 'a';
            out[1] = '\0';
            return;
        }
    }
}

static void answers_as_glibc_does(void **state)
{
    (void)state;
    int n_compared = 0;
    srand(20261127);
    for (int i = 0; i < 6000; i++) {
        char pattern[600];
        regex_t theirs;
        int fold = rand() % 4 == 0;
        make_pattern(pattern, sizeof pattern, 0);
        enum sb_regex_result result = compile(pattern, fold);
        if (regcomp(&theirs, pattern, REG_EXTENDED | REG_NOSUB | (fold ? REG_ICASE : 0)) != 0) {
            continue;
        }
        if (result != SB_REGEX_OK) {
            assert_true(result == SB_REGEX_REPEAT_NOTHING || result == SB_REGEX_TOO_LARGE);
            regfree(&theirs);
            continue;
        }
        for (int k = 0; k < 12; k++) {
            char text[16] = "";
            int len = rand() % 12;
            for (int j = 0; j < len; j++) {
                text[j] = "aabbcdAB. _"[rand() % 11];
            }
            int want = regexec(&theirs, text, 0, NULL, 0) == 0;
            n_compared++;
            if (matches(text) != want) {
                fail_msg("%s on \"%s\": glibc says %d", pattern, text, want);
            }
        }
        regfree(&theirs);
    }
    assert_true(n_compared > 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_pattern_says), cmocka_unit_test(refuses_what_is_no_pattern),
        cmocka_unit_test(no_pattern_takes_long),     cmocka_unit_test(reads_lines_in_any_pieces),
        cmocka_unit_test(answers_as_glibc_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
