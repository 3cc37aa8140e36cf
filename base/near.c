#include "base/near.h"

#include <stdint.h>

#define LEN_MAX 64U

static unsigned fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A' + 'a') : (unsigned char)c;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Optimal string alignment; three rows of the matrix are enough: the swap looks back two. */
size_t sb_near_distance(struct sb_str a, struct sb_str b)
{
    if (a.len > LEN_MAX || b.len > LEN_MAX) {
        return SIZE_MAX;
    }
    size_t rows[3][LEN_MAX + 1] = {{0}};
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *up = rows[(i + 2) % 3];
        const size_t *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned x = fold(a.ptr[i - 1]);
            unsigned y = fold(b.ptr[j - 1]);
            row[j] = min3(up[j] + 1, row[j - 1] + 1, up[j - 1] + (x == y ? 0 : 1));
            bool is_swap =
                i > 1 && j > 1 && x == fold(b.ptr[j - 2]) && y == fold(a.ptr[i - 2]) && x != y;
            if (is_swap && up2[j - 2] + 1 < row[j]) {
                row[j] = up2[j - 2] + 1;
            }
        }
    }
    return rows[a.len % 3][b.len];
}

bool sb_near_improves(struct sb_str typed, struct sb_str name, size_t *best)
{
    size_t allowed = typed.len < 3 ? 1 : typed.len / 3;
    size_t distance = sb_near_distance(typed, name);
    if (typed.len >= 3 && distance > allowed && sb_str_starts_with(name, typed)) {
        distance = allowed; /* an abbreviation */
    }
    if (distance > allowed || distance >= typed.len || distance >= *best) {
        return false;
    }
    *best = distance;
    return true;
}

const char *sb_near_find(struct sb_str typed, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (names[i] != NULL && sb_near_improves(typed, sb_str_from(names[i]), &best)) {
            nearest = names[i];
        }
    }
    return nearest;
}
