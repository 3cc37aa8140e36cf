#include "cli/boxpath.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

struct sb_boxpath sb_boxpath_of(const char *text)
{
    const char *colon = strchr(text, ':');
    const char *slash = strchr(text, '/');
    if (colon == NULL || colon == text || (slash != NULL && slash < colon)) {
        return (struct sb_boxpath){.path = text};
    }
    return (struct sb_boxpath){
        .is_inside = true,
        .sandbox = sb_str_of(text, (size_t)(colon - text)),
        .path = colon + 1,
    };
}

static int join(const char *dir, const char *name, char *ret_path, struct sb_err *err)
{
    size_t len = strlen(dir);
    const char *between = len > 0 && dir[len - 1] == '/' ? "" : "/";
    int n = snprintf(ret_path, SB_BOXPATH_SIZE, "%s%s%s", dir, between, name);
    return n >= SB_BOXPATH_SIZE
               ? sb_err_set(err, SB_INVALID, "%.60s...: the path is too long", name)
               : 0;
}

int sb_boxpath_absolute(const char *path, char *ret_path, struct sb_err *err)
{
    if (path[0] == '/') {
        return join("/", path + 1, ret_path, err);
    }
    return path[0] == '\0' ? join("/", "workspace", ret_path, err)
                           : join("/workspace", path, ret_path, err);
}

int sb_boxpath_join(const char *dir, const char *name, char *ret_path, struct sb_err *err)
{
    return join(dir, name, ret_path, err);
}

struct sb_str sb_boxpath_name(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    struct sb_str name = sb_str_of(path + start, end - start);
    return sb_str_eq(name, SB_STR(".")) || sb_str_eq(name, SB_STR("..")) ? SB_STR("") : name;
}

bool sb_boxpath_is_below(const char *path)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str name;
    while (sb_str_next(&rest, '/', &name)) {
        if (name.len == 0 || sb_str_eq(name, SB_STR(".")) || sb_str_eq(name, SB_STR(".."))) {
            return false;
        }
    }
    return path[0] != '\0';
}
