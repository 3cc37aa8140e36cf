#include "service/init/text.h"

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *at, int byte, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    while (n-- > 0) {
        *t++ = *f++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if (t <= f) {
        return memcpy(to, from, n);
    }
    while (n-- > 0) {
        t[n] = f[n];
    }
    return to;
}

void *memset(void *at, int byte, size_t n)
{
    unsigned char *a = at;
    while (n-- > 0) {
        *a++ = (unsigned char)byte;
    }
    return at;
}

size_t sb_text_len(const char *text)
{
    size_t n = 0;
    while (text[n] != '\0') {
        n++;
    }
    return n;
}

int sb_text_has(const char *text, char c)
{
    for (; *text != '\0'; text++) {
        if (*text == c) {
            return 1;
        }
    }
    return 0;
}

const char *sb_text_env(const char *const *env, const char *name)
{
    for (; *env != NULL; env++) {
        size_t i = 0;
        while (name[i] != '\0' && (*env)[i] == name[i]) {
            i++;
        }
        if (name[i] == '\0') {
            return *env + i;
        }
    }
    return NULL;
}

void sb_text_add(char **at, const char *end, const char *text)
{
    while (*text != '\0' && *at < end - 1) {
        *(*at)++ = *text++;
    }
    **at = '\0';
}

void sb_text_add_number(char **at, const char *end, unsigned number)
{
    char digits[16];
    char *d = digits + sizeof digits;
    *--d = '\0';
    do {
        *--d = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    sb_text_add(at, end, d);
}
