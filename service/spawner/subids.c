#include "service/spawner/subids.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/passwd.h"
#include "base/str.h"

enum { MAX_FILE = 1 << 20 }; /* bytes */

/* Calls found() for each line until it says true. */
static bool find_line(const char *path,
                      bool (*found)(struct sb_str line, const void *arg, void *ret),
                      const void *arg,
                      void *ret)
{
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(MAX_FILE);
    if (sb_fd_read_file(AT_FDCWD, path, MAX_FILE, &buf, &err) < 0) {
        return false;
    }
    struct sb_str rest = sb_buf_str(&buf);
    struct sb_str line;
    while (sb_str_next(&rest, '\n', &line)) {
        if (found(line, arg, ret)) {
            return true;
        }
    }
    return false;
}

struct owner {
    struct sb_str name;
    struct sb_str number;
};

/* "owner:first:count" */
static bool is_range(struct sb_str line, const void *arg, void *ret)
{
    const struct owner *owner = arg;
    struct sb_subids *ids = ret;
    struct sb_err err;
    struct sb_str who;
    struct sb_str first;
    uint64_t from = 0;
    uint64_t count = 0;
    if (!sb_str_split(line, ':', &who, &line) || !sb_str_split(line, ':', &first, &line) ||
        who.len == 0 || !(sb_str_eq(who, owner->name) || sb_str_eq(who, owner->number))) {
        return false;
    }
    if (sb_num_u64(first, 1, UINT32_MAX - 1, &from, &err) < 0 ||
        sb_num_u64(line, 1, UINT32_MAX - 1 - from, &count, &err) < 0) {
        return false;
    }
    *ids = (struct sb_subids){.first = (uint32_t)from, .count = (uint32_t)count};
    return true;
}

bool sb_subids_find(const char *path, uid_t uid, struct sb_subids *ret_ids)
{
    struct sb_passwd user = {.name = ""};
    char number[16];
    (void)sb_passwd_by_uid(uid, &user);
    (void)snprintf(number, sizeof number, "%u", uid);
    struct owner owner = {sb_str_from(user.name), sb_str_from(number)};
    return find_line(path, is_range, &owner, ret_ids);
}
