#include "service/spawner/etc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutate.h"
#include "service/shared/shown.h"
#include "service/spawner/child.h"
#include "service/spawner/mount.h"
#include "service/spawner/rootfs.h"

static const struct {
    const char *path;
    const char *text;
} generated[] = {
    {"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n"
                          "protocols: files\n"},
    {"etc/resolv.conf", ""},
    {"etc/shells", "/bin/sh\n"},
};

/* Names with a slash need their directory; one level is all there is. */
static int make_parent(const char *name, struct sb_err *err)
{
    char path[64] = "etc/";
    size_t at = 4;
    for (const char *c = name; *c != '\0' && at < sizeof path - 1; c++) {
        if (*c == '/' && sb_rootfs_mkdir(path, 0755, err) < 0) {
            return -1;
        }
        path[at++] = *c;
        path[at] = '\0';
    }
    return 0;
}

static int show(const char *name, struct sb_err *err)
{
    char host[64];
    char inside[64];
    struct stat st;
    (void)snprintf(host, sizeof host, "/etc/%s", name);
    (void)snprintf(inside, sizeof inside, "etc/%s", name);
    if (stat(host, &st) < 0) {
        return 0;
    }
    if (make_parent(name, err) < 0) {
        return -1;
    }
    if (S_ISDIR(st.st_mode) ? sb_rootfs_mkdir(inside, 0755, err) < 0
                            : sb_rootfs_touch(inside, err) < 0) {
        return -1;
    }
    return sb_mount_bind(host, inside, err);
}

static int write_users(const struct sb_child *child, struct sb_err *err)
{
    char text[256];
    (void)snprintf(text, sizeof text,
                   "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
                   "sandbox:x:%u:%u:sandbox:/tmp:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                   child->job_uid, child->job_gid);
    if (sb_rootfs_write("etc/passwd", text, err) < 0) {
        return -1;
    }
    (void)snprintf(text, sizeof text, "root:x:0:\ntty:x:5:\nsandbox:x:%u:\nnogroup:x:65534:\n",
                   child->job_gid);
    return sb_rootfs_write("etc/group", text, err);
}

static int write_names(const struct sb_child *child, struct sb_err *err)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s\n", child->plan->hostname);
    if (sb_rootfs_write("etc/hostname", text, err) < 0) {
        return -1;
    }
    (void)snprintf(text, sizeof text,
                   "127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost\n",
                   child->plan->hostname);
    return sb_rootfs_write("etc/hosts", text, err);
}

/* The certificates that the host trusts. */
static int open_trusted(void)
{
    static const char *const paths[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
    int fd = -1;
    for (size_t i = 0; fd < 0 && i < sizeof paths / sizeof *paths; i++) {
        fd = open(paths[i], O_RDONLY | O_CLOEXEC);
    }
    return fd;
}

/* Those and one more; the new root bounds how much that is. */
static int write_trusted(const struct sb_child *child, struct sb_err *err)
{
    const char *certificate = child->plan->trusted_certificate;
    char bytes[4096];
    ssize_t n = 0;
    if (certificate[0] == '\0') {
        return 0;
    }
    if (sb_rootfs_write(&SB_SHOWN_TRUST[1], certificate, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int from = open_trusted();
    SB_CLEANUP(sb_closep) int to = open(&SB_SHOWN_TRUST[1], O_WRONLY | O_APPEND | O_CLOEXEC);
    while (from >= 0 && to >= 0 && (n = read(from, bytes, sizeof bytes)) > 0) {
        if (write(to, bytes, (size_t)n) != n) {
            n = -1;
            break;
        }
    }
    return n < 0 || to < 0 ? sb_err_sys(err, errno, "write %s", SB_SHOWN_TRUST) : 0;
}

int sb_etc_make(struct sb_child *child, struct sb_err *err)
{
    if (sb_mutated("etc")) {
        return sb_mount_bind("/etc", "etc", err);
    }
    for (size_t i = 0; i < sizeof generated / sizeof *generated; i++) {
        if (sb_rootfs_write(generated[i].path, generated[i].text, err) < 0) {
            return -1;
        }
    }
    if (write_users(child, err) < 0 || write_names(child, err) < 0 ||
        write_trusted(child, err) < 0) {
        return -1;
    }
    for (const struct sb_shown_etc *row = sb_shown_etc; row->name != NULL; row++) {
        if (!row->is_made && (row->in_minimal || !child->plan->is_minimal) &&
            show(row->name, err) < 0) {
            return -1;
        }
    }
    return sb_rootfs_symlink("/proc/self/mounts", "etc/mtab", err);
}
