/** Theory of operation. A worker reads config.yaml once, before it gives its privilege away, and
 *  could not read it again. So a changed file means a new worker: SIGHUP tells an embedded worker
 *  to end when nothing lives in it, which only the worker itself can know without a race. */
#include "proto/client/refresh.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/say.h"
#include "proto/client/connect.h"
#include "proto/client/message.h"
#include "proto/client/setting.h"

enum { TRIES_MAX = 50, TRY_MS = 20 };

/* ---- is it due ---- */

/* As the worker looks for it. False: there is none. */
static bool find_config(char path[PATH_MAX], struct stat *ret_st)
{
    const char *named = sb_setting_get(SB_SETTING_CONFIG_PATH);
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (named != NULL) {
        (void)snprintf(path, PATH_MAX, "%s", named);
        return stat(path, ret_st) == 0;
    }
    path[0] = '\0';
    if (xdg != NULL && xdg[0] == '/') {
        (void)snprintf(path, PATH_MAX, "%s/aisbx/config.yaml", xdg);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(path, PATH_MAX, "%s/.config/aisbx/config.yaml", home);
    }
    if (path[0] != '\0' && stat(path, ret_st) == 0) {
        return true;
    }
    (void)snprintf(path, PATH_MAX, "/etc/aisbx/config.yaml");
    return stat(path, ret_st) == 0;
}

bool sb_refresh_find_config(char *path)
{
    struct stat st;
    return find_config(path, &st);
}

/* The change time: that of the contents may be set to any value, e.g. by cp -p. */
static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* A link beside the socket, to the file that was read, or that. */
#define NO_CONFIG "-"

static void note_path(const char *address, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s.config", address + strlen("unix:"));
}

void sb_refresh_note(const char *address)
{
    char note[PATH_MAX];
    char path[PATH_MAX];
    struct stat config;
    note_path(address, note);
    (void)unlink(note);
    if (sb_setting_get(SB_SETTING_CONFIG_PATH) == NULL &&
        symlink(find_config(path, &config) ? path : NO_CONFIG, note) < 0) {
        SB_LOG_DEBUG("cannot note the configuration", "link=%s why=%s", note, strerror(errno));
    }
}

/* Another file than before, or none where one was. With AISBX_CONFIG_PATH each file has a worker
 * of its own. */
static bool is_another(const char *address, const char *path)
{
    char note[PATH_MAX];
    char before[PATH_MAX];
    note_path(address, note);
    ssize_t len = readlink(note, before, sizeof before - 1);
    before[len < 0 ? 0 : len] = '\0';
    return len > 0 && strcmp(before, path) != 0;
}

bool sb_refresh_is_due(const char *address)
{
    char path[PATH_MAX];
    struct stat config;
    struct stat socket;
    bool has_config = find_config(path, &config);
    if (sb_setting_get(SB_SETTING_CONFIG_PATH) == NULL &&
        is_another(address, has_config ? path : NO_CONFIG)) {
        return true;
    }
    return has_config && stat(address + strlen("unix:"), &socket) == 0 &&
           is_later(&config.st_ctim, &socket.st_ctim);
}

/* ---- asking ---- */

static int count_sandboxes(struct sb_connect *connect, bool *ret_any, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListSandboxesResponse *reply = NULL;
    Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    request.page_size = 1;
    if (aisbx__v1__sandbox_service__list_sandboxes__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
        return -1;
    }
    *ret_any = reply->n_sandboxes > 0;
    return 0;
}

static int open_process(struct sb_connect *connect, int *ret_pidfd, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetInfoResponse *info = NULL;
    Aisbx__V1__GetInfoRequest request = AISBX__V1__GET_INFO_REQUEST__INIT;
    request.without_controls = true;
    if (aisbx__v1__worker_service__get_info__call(connect->channel, &request, &connect->options,
                                                  &info, err) < 0) {
        return -1;
    }
    int pidfd = info->embedded ? (int)syscall(SYS_pidfd_open, (pid_t)info->pid, 0) : -1;
    if (pidfd < 0) {
        return sb_err_set(err, SB_PRECONDITION, "that worker was not started by aisbx");
    }
    *ret_pidfd = pidfd;
    return 0;
}

static void say_stays(void)
{
    sb_say_note("config.yaml has changed, but your worker has sandboxes and goes on with what it "
                "read");
    sb_say_hint("aisbx worker stop ends it and them; the next one reads the file");
}

/* More than once: at first the worker may not have seen yet that our connection is closed. */
static bool end_unused(int pidfd)
{
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
    for (int i = 0; i < TRIES_MAX; i++) {
        if (syscall(SYS_pidfd_send_signal, pidfd, SIGHUP, NULL, 0) < 0) {
            return errno == ESRCH;
        }
        if (poll(&pfd, 1, TRY_MS) > 0) {
            return true;
        }
    }
    return false;
}

int sb_refresh_ask(struct sb_connect *connect, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int pidfd = -1;
    bool has_sandboxes = false;
    if (count_sandboxes(connect, &has_sandboxes, err) < 0 ||
        (!has_sandboxes && open_process(connect, &pidfd, err) < 0)) {
        return -1;
    }
    sb_connect_done(connect);
    if (has_sandboxes || !end_unused(pidfd)) {
        say_stays();
    }
    return 0;
}
