#include "service/spawner/layers/between.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/ns.h"
#include "service/spawner/userns.h"

enum { FROM_AT = 1 << 20 }; /* ids of the first one begin there */

int sb_between_open(const struct sb_ids *from,
                    const struct sb_ids *to,
                    bool has_setgroups,
                    struct sb_between *ret_between,
                    struct sb_err *err)
{
    struct sb_userns_map map = {
        .inside_uid = to->inside,
        .outside_uid = to->outside_uid,
        .inside_gid = to->inside,
        .outside_gid = to->outside_gid,
        .count = to->count,
        .beside = FROM_AT,
        .beside_uid = from->outside_uid,
        .beside_gid = from->outside_gid,
        .beside_count = from->count,
        .has_setgroups = has_setgroups,
    };
    int fd = sb_userns_open(&map, err);
    if (fd < 0) {
        return sb_err_wrap(err, "ids of two sandboxes");
    }
    *ret_between = (struct sb_between){
        .userns_fd = fd, .from = *from, .to = *to, .has_setgroups = has_setgroups};
    return 0;
}

void sb_between_done(struct sb_between *between)
{
    sb_fd_close_all(&between->userns_fd, 1);
}

int sb_between_enter(const struct sb_between *between, struct sb_err *err)
{
    unsigned id = between->to.inside;
    if (setns(between->userns_fd, CLONE_NEWUSER) < 0) {
        return sb_err_sys(err, errno, "enter the ids of two sandboxes");
    }
    if (between->has_setgroups && syscall(SYS_setgroups, 0, NULL) < 0) {
        return sb_err_sys(err, errno, "drop supplementary groups");
    }
    if (syscall(SYS_setresgid, id, id, id) < 0 || syscall(SYS_setresuid, id, id, id) < 0) {
        return sb_err_sys(err, errno, "become user %u of a sandbox", id);
    }
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0
               ? sb_err_sys(err, errno, "prctl")
               : 0;
}

static uint32_t translate(const struct sb_between *between, uint32_t id)
{
    const struct sb_ids *to = &between->to;
    uint32_t inside = id;
    if (id >= FROM_AT && id - FROM_AT < between->from.count) {
        inside = id - FROM_AT + between->from.inside;
    }
    return inside >= to->inside && inside - to->inside < to->count ? inside : SB_CHILD_ID;
}

uint32_t sb_between_id(const struct sb_between *between, uint32_t id)
{
    bool is_here = between != NULL && between->userns_fd >= 0 && !sb_mutated("layers.ids");
    return is_here ? translate(between, id) : id;
}

/* linux/posix_acl_xattr.h; in the byte order of x86 and ARM. */
struct acl_entry {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
};
enum { ACL_HEAD = 4, ACL_USER_ = 2, ACL_GROUP_ = 8 };

void sb_between_acl(const struct sb_between *between, void *value, size_t size)
{
    char *bytes = value;
    for (size_t at = ACL_HEAD; at + sizeof(struct acl_entry) <= size;
         at += sizeof(struct acl_entry)) {
        struct acl_entry entry;
        memcpy(&entry, bytes + at, sizeof entry);
        if (entry.tag == ACL_USER_ || entry.tag == ACL_GROUP_) {
            entry.id = sb_between_id(between, entry.id);
            memcpy(bytes + at, &entry, sizeof entry);
        }
    }
}
