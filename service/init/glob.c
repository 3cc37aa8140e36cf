#include "service/init/glob.h"

#include "service/init/text.h"
#include "service/shared/fileproto.h"

/* Theory of operation. All places of the pattern at which the path read so far may stand are kept
 * as a set and moved on byte by byte, so no pattern takes more than a pass for each byte. */

enum { MAX_PLACES = SB_FILE_MAX_GLOB };

/* Length of the class that begins at p, 0: it is not closed, so "[" is a byte as any other. */
static unsigned class_len(const char *p)
{
    unsigned i = 1;
    i += p[i] == '!' || p[i] == '^';
    i += p[i] == ']';
    while (p[i] != '\0' && p[i] != ']') {
        i++;
    }
    return p[i] == ']' ? i + 1 : 0;
}

static int in_class(const char *p, unsigned len, char c)
{
    unsigned i = 1;
    int is_not = p[i] == '!' || p[i] == '^';
    int found = 0;
    unsigned char byte = (unsigned char)c;
    i += (unsigned)is_not;
    for (; i < len - 1; i++) {
        unsigned char low = (unsigned char)p[i];
        unsigned char high = low;
        if (p[i + 1] == '-' && i + 2 < len - 1) {
            high = (unsigned char)p[i + 2];
            i += 2;
        }
        found = found || (low <= byte && byte <= high);
    }
    return found != is_not && c != '/';
}

/* Adds a place, and those that are reached from it without a byte. @is_fresh  a name begins here.
 */
/* NOLINTNEXTLINE(misc-no-recursion): once for each double star */
static void add(const char *p, char *set, unsigned at, int is_fresh)
{
    while (!set[at]) {
        set[at] = 1;
        if (p[at] != '*') {
            return;
        }
        unsigned next = at + 1 + (p[at + 1] == '*');
        if (next == at + 2 && p[next] == '/' && is_fresh) {
            add(p, set, next + 1,
                1); /* a double star and its slash for nothing; nests once a star */
        }
        at = next;
    }
}

static void step(const char *p, const char *now, char *next, unsigned at, char c)
{
    if (!now[at]) {
        return;
    }
    if (p[at] == '*') {
        if (c != '/' || p[at + 1] == '*') {
            add(p, next, at, c == '/');
        }
        return;
    }
    unsigned len = p[at] == '[' ? class_len(p + at) : 0;
    if (len > 0) {
        if (in_class(p + at, len, c)) {
            add(p, next, at + len, c == '/');
        }
    } else if (p[at] == '?') {
        if (c != '/') {
            add(p, next, at + 1, c == '/');
        }
    } else if (p[at] == '\\' && p[at + 1] != '\0') {
        if (p[at + 1] == c) {
            add(p, next, at + 2, c == '/');
        }
    } else if (p[at] == c && c != '\0') {
        add(p, next, at + 1, c == '/');
    }
}

int sb_glob_matches(const char *pattern, const char *path)
{
    char sets[2][MAX_PLACES + 2] = {{0}};
    size_t len = sb_text_len(pattern);
    int which = 0;
    if (len >= MAX_PLACES) {
        return 0;
    }
    if (!sb_text_has(pattern, '/')) {
        for (const char *c = path; *c != '\0'; c++) {
            path = *c == '/' ? c + 1 : path;
        }
    }
    add(pattern, sets[0], 0, 1);
    for (; *path != '\0'; path++) {
        for (unsigned i = 0; i <= len; i++) {
            sets[!which][i] = 0;
        }
        for (unsigned i = 0; i < len; i++) {
            step(pattern, sets[which], sets[!which], i, *path);
        }
        which = !which;
    }
    return sets[which][len];
}
