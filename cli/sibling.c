#include "cli/sibling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

bool sb_sibling_find(const char *name, char out[PATH_MAX])
{
    static const char *const places[] = {"", "../libexec/aisbx/"};
    char dir[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", dir, sizeof dir - 1);
    char *slash = len < 0 ? NULL : memrchr(dir, '/', (size_t)len);
    for (size_t i = 0; slash != NULL && i < sizeof places / sizeof places[0]; i++) {
        slash[1] = '\0';
        int n = snprintf(out, PATH_MAX, "%s%s%s", dir, places[i], name);
        if (n < PATH_MAX && access(out, X_OK) == 0) {
            return true;
        }
    }
    struct sb_str rest = sb_str_from(getenv("PATH"));
    for (struct sb_str piece; sb_str_next(&rest, ':', &piece);) {
        int n = snprintf(out, PATH_MAX, "%.*s/%s", SB_STR_ARG(piece), name);
        if (piece.len > 0 && piece.ptr[0] == '/' && n < PATH_MAX && access(out, X_OK) == 0) {
            return true;
        }
    }
    return false;
}
