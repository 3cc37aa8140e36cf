#include "base/beneath.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

/* "/a/b" -> "/a"; "/a" -> "". */
static size_t parent_of(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    return len > 0 ? len - 1 : 0;
}

/* Normal and with a slash before each name: "" for the top. */
static int normalize(struct sb_str path, char *out, size_t cap, size_t *ret_len, struct sb_err *err)
{
    bool is_absolute = path.len > 0 && path.ptr[0] == '/';
    size_t len = 0;
    struct sb_str name;
    struct sb_str rest = path;
    while (sb_str_next(&rest, '/', &name)) {
        if (name.len == 0 || sb_str_eq(name, SB_STR("."))) {
            continue;
        }
        if (sb_str_eq(name, SB_STR(".."))) {
            if (len == 0 && !is_absolute) {
                return sb_err_set(err, SB_DENIED, "path %.*s leads out of its directory",
                                  SB_STR_ARG(sb_str_head(path, 256)));
            }
            len = parent_of(out, len);
            continue;
        }
        if (name.len + 2 > cap - len) {
            return sb_err_set(err, SB_INVALID, "path: more than %zu bytes", cap - 1);
        }
        out[len++] = '/';
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    *ret_len = len;
    return 0;
}

int sb_beneath(const char *root, struct sb_str path, char *ret_path, size_t cap, struct sb_err *err)
{
    size_t root_len = strlen(root);
    size_t len = 0;
    if (root_len + 1 > cap) {
        return sb_err_set(err, SB_INVALID, "path: more than %zu bytes", cap - 1);
    }
    if (normalize(path, ret_path, cap, &len, err) < 0) {
        return -1;
    }
    bool is_named = path.len > 0 && path.ptr[0] == '/' && len >= root_len &&
                    memcmp(ret_path, root, root_len) == 0 &&
                    (len == root_len || ret_path[root_len] == '/');
    if (!is_named) {
        if (len + 1 > cap - root_len) {
            return sb_err_set(err, SB_INVALID, "path: more than %zu bytes", cap - 1);
        }
        memmove(ret_path + root_len, ret_path, len);
        memcpy(ret_path, root, root_len);
        len += root_len;
    }
    ret_path[len] = '\0';
    return 0;
}
