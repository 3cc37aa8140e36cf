#include "proto/client/sibling.h"

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

bool sb_sibling_find_file(const char *installed,
                          const char *in_source,
                          char ret_path[PATH_MAX],
                          char ret_source[PATH_MAX])
{
    char self[PATH_MAX];
    char there[PATH_MAX + 256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = len < 0 ? NULL : memrchr(self, '/', (size_t)len);
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    (void)snprintf(there, sizeof there, "%s/../share/aisbx/%s", self, installed);
    ret_source[0] = '\0';
    if (realpath(there, ret_path) != NULL) {
        return true;
    }
    /* build/bin, and build/PRESET/bin */
    static const char *const tops[] = {"../..", "../../.."};
    for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++) {
        (void)snprintf(there, sizeof there, "%s/%s/%s", self, tops[i], in_source);
        if (realpath(there, ret_path) != NULL) {
            (void)snprintf(there, sizeof there, "%s/%s", self, tops[i]);
            return realpath(there, ret_source) != NULL;
        }
    }
    return false;
}
