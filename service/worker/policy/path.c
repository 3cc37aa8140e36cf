#include "service/worker/policy/path.h"

#include <errno.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define PATH_BYTES_MAX 4095

static void drop_last(struct sb_buf *out)
{
    struct sb_str path = sb_buf_str(out);
    while (path.len > 0 && path.ptr[path.len - 1] != '/') {
        path.len--;
    }
    sb_buf_truncate(out, path.len == 0 ? 0 : path.len - 1);
}

static int append_parts(struct sb_buf *out, struct sb_str path)
{
    struct sb_str rest = path;
    struct sb_str part;
    while (sb_str_next(&rest, '/', &part)) {
        if (part.len == 0 || sb_str_eq(part, SB_STR("."))) {
            continue;
        }
        if (sb_str_eq(part, SB_STR(".."))) {
            drop_last(out);
        } else if (sb_buf_append_byte(out, '/') < 0 || sb_buf_append_str(out, part) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_path_resolve(const char *base_dir, struct sb_str path, char **ret_path, struct sb_err *err)
{
    if (path.len == 0 || sb_str_has_nul(path)) {
        return sb_err_set(err, SB_INVALID, "a path is expected");
    }
    if (path.ptr[0] == '~') {
        return sb_err_set(err, SB_INVALID, "\"~\" is not expanded; write the directory itself");
    }
    SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(PATH_BYTES_MAX);
    int rc = path.ptr[0] == '/' ? 0 : append_parts(&out, sb_str_from(base_dir));
    if (rc == 0) {
        rc = append_parts(&out, path);
    }
    if (rc == 0 && out.len == 0) {
        rc = sb_buf_append_byte(&out, '/');
    }
    if (rc < 0) {
        return errno == ENOBUFS
                   ? sb_err_set(err, SB_INVALID, "a path longer than %d bytes", PATH_BYTES_MAX)
                   : sb_err_oom(err);
    }
    char *text = sb_buf_steal(&out);
    if (text == NULL) {
        return sb_err_oom(err);
    }
    *ret_path = text;
    return 0;
}
