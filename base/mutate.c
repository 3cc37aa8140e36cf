/* Of builds with SB_MUTATIONS alone. Freestanding in init, where there is no libc. */
#include "base/mutate.h"

#include <stddef.h>

#define VARIABLE "AISBX_MUTATE"

enum { HEAD = sizeof VARIABLE, SIZE = 1024 };

/* The spawner finds it in init's file by its head. */
static char text[SIZE] = VARIABLE "=";

/* Compares up to the end of @what; NULL: it differs. */
static const char *skip(const char *at, const char *what)
{
    for (; *what != '\0'; what++, at++) {
        if (*at != *what) {
            return NULL;
        }
    }
    return at;
}

static bool is_listed(const char *first, const char *dot, const char *second)
{
    const char *volatile list = text + HEAD; /* written by others than this program */
    for (const char *at = list; *at != '\0';) {
        const char *end = skip(at, first);
        end = end == NULL ? NULL : skip(end, dot);
        end = end == NULL ? NULL : skip(end, second);
        if (end != NULL && (*end == ',' || *end == '\0')) {
            return true;
        }
        while (*at != ',' && *at != '\0') {
            at++;
        }
        at += *at == ',';
    }
    return false;
}

bool sb_mutated(const char *name)
{
    return is_listed(name, "", "");
}

bool sb_mutated_part(const char *group, const char *part)
{
    return is_listed(group, ".", part);
}

bool sb_mutated_number(const char *group, unsigned number)
{
    char digits[12] = {0};
    char *at = digits + sizeof digits - 1;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return sb_mutated_part(group, at);
}

#if __STDC_HOSTED__
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void read_variable(void)
{
    const char *value = getenv(VARIABLE);
    int len = value == NULL ? 0 : snprintf(text + HEAD, SIZE - HEAD, "%s", value);
    if (len < 0 || len >= SIZE - HEAD) { /* half a list would prove nothing */
        (void)fputs(VARIABLE " is too long\n", stderr);
        _exit(EXIT_FAILURE);
    }
}

void sb_mutate_keep(void)
{
    (void)setenv(VARIABLE, text + HEAD, 1);
}

void sb_mutate_stamp(int fd)
{
    static char file[1 << 20];
    ssize_t len = pread(fd, file, sizeof file, 0);
    const char *at = len <= 0 ? NULL : memmem(file, (size_t)len, VARIABLE "=", HEAD);
    if (at == NULL || pwrite(fd, text, sizeof text, at - file) != (ssize_t)sizeof text) {
        abort();
    }
}
#endif
