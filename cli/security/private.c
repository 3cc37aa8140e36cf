#include "cli/security/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/connect.h"
#include "proto/client/embedded.h"
#include "proto/client/message.h"
#include "proto/client/setting.h"

enum { END_WAIT_MS = 30000 }; /* more than a worker needs to end */

int sb_private_make(struct sb_private *own, struct sb_err *err)
{
    const char *tmp = getenv("TMPDIR");
    char dir[PATH_MAX];
    /* Short: a socket's path has 107 bytes. */
    if (snprintf(dir, sizeof dir, "%s/aisbx.XXXXXX",
                 tmp != NULL && tmp[0] == '/' && strlen(tmp) < 40 ? tmp : "/tmp") < 0 ||
        mkdtemp(dir) == NULL) {
        return sb_err_sys(err, errno, "make a directory for a worker");
    }
    (void)snprintf(own->config, sizeof own->config, "%.*s/config.yaml", PATH_MAX - 16, dir);
    memcpy(own->dir, dir, sizeof dir);
    if (setenv(sb_setting_table[SB_SETTING_RUNTIME_DIR].name, own->dir, 1) < 0 ||
        setenv(sb_setting_table[SB_SETTING_CONFIG_PATH].name, own->config, 1) < 0 ||
        unsetenv(sb_setting_table[SB_SETTING_ADDRESS].name) < 0) {
        return sb_err_oom(err);
    }
    return 0;
}

int sb_private_write(const struct sb_private *own,
                     const char *name,
                     struct sb_str text,
                     char ret_path[PATH_MAX],
                     struct sb_err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.*s/%.64s", PATH_MAX - 80, own->dir, name);
    SB_CLEANUP(sb_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (sb_fd_write_full(fd, text.ptr, text.len, err) < 0) {
        return sb_err_wrap(err, "%s", path);
    }
    if (ret_path != NULL) {
        memcpy(ret_path, path, sizeof path);
    }
    return 0;
}

/* Ends the worker at that address, if there is one, and waits for it. */
static void end_worker(const char *address)
{
    struct sb_err ignored;
    struct sb_rpc_channel *channel = NULL;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetInfoResponse *info = NULL;
    Aisbx__V1__GetInfoRequest request = AISBX__V1__GET_INFO_REQUEST__INIT;
    if (sb_rpc_channel_open(address, NULL, &channel, &ignored) < 0) {
        return;
    }
    int asked = aisbx__v1__worker_service__get_info__call(channel, &request, NULL, &info, &ignored);
    sb_rpc_channel_free(channel);
    SB_CLEANUP(sb_closep)
    int pidfd = asked < 0 ? -1 : (int)syscall(SYS_pidfd_open, (pid_t)info->pid, 0);
    if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0) {
        return;
    }
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
    while (poll(&pfd, 1, END_WAIT_MS) < 0 && errno == EINTR) {
    }
}

int sb_private_connect(const struct sb_private *own,
                       struct sb_cli *cli,
                       struct sb_connect *ret_connect,
                       struct sb_err *err)
{
    sb_private_end(own);
    return sb_connect_open(cli, SB_CONNECT_START, ret_connect, err);
}

/* Removes the files in a directory. @on_dir  for directories in it; may be NULL */
static void empty(int parent_fd, const char *name, void (*on_dir)(int fd, const char *name))
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        sb_closep(&fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        bool is_itself = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!is_itself && unlinkat(fd, entry->d_name, 0) < 0 && errno == EISDIR && on_dir != NULL) {
            on_dir(fd, entry->d_name);
        }
    }
    (void)closedir(dir);
}

static void remove_flat(int parent_fd, const char *name)
{
    empty(parent_fd, name, NULL);
    (void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

void sb_private_end(const struct sb_private *own)
{
    char address[SB_EMBEDDED_ADDRESS_SIZE];
    struct sb_err ignored;
    if (own->dir[0] != '\0' && sb_embedded_address(address, &ignored) == 0) {
        end_worker(address);
    }
}

void sb_private_done(struct sb_private *own)
{
    if (own->dir[0] == '\0') {
        return;
    }
    sb_private_end(own);
    empty(AT_FDCWD, own->dir, remove_flat);
    (void)rmdir(own->dir);
    own->dir[0] = '\0';
}
