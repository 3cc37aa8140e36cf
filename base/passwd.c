#include "base/passwd.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"

enum { MAX_FILE = 1 << 20 }; /* bytes */

bool sb_passwd_parse(const char *line, size_t len, struct sb_passwd *ret_user)
{
    struct sb_str rest = sb_str_of(line, len);
    struct sb_str parts[4];
    struct sb_err err;
    uint64_t uid = 0;
    uint64_t gid = 0;
    for (size_t i = 0; i < 4; i++) {
        if (!sb_str_split(rest, ':', &parts[i], &rest)) {
            return false;
        }
    }
    if (parts[0].len == 0 || parts[0].len >= sizeof ret_user->name ||
        sb_num_u64(parts[2], 0, UINT32_MAX, &uid, &err) < 0 ||
        sb_num_u64(parts[3], 0, UINT32_MAX, &gid, &err) < 0) {
        return false;
    }
    *ret_user = (struct sb_passwd){.uid = (uid_t)uid, .gid = (gid_t)gid};
    memcpy(ret_user->name, parts[0].ptr, parts[0].len);
    return true;
}

/* The first one of that name, or, without one, of that uid. */
static bool find(const char *name, uid_t uid, struct sb_passwd *ret_user)
{
    struct sb_err err;
    struct sb_str line;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(MAX_FILE);
    if (sb_fd_read_file(AT_FDCWD, "/etc/passwd", MAX_FILE, &buf, &err) < 0) {
        return false;
    }
    for (struct sb_str rest = sb_buf_str(&buf); sb_str_next(&rest, '\n', &line);) {
        struct sb_passwd user;
        if (sb_passwd_parse(line.ptr, line.len, &user) &&
            (name != NULL ? strcmp(user.name, name) == 0 : user.uid == uid)) {
            *ret_user = user;
            return true;
        }
    }
    return false;
}

bool sb_passwd_by_name(const char *name, struct sb_passwd *ret_user)
{
    return find(name, 0, ret_user);
}

bool sb_passwd_by_uid(uid_t uid, struct sb_passwd *ret_user)
{
    return find(NULL, uid, ret_user);
}
