#include "service/supervisor/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"

void sb_notify_init(struct sb_notify *notify)
{
    struct sb_err ignored;
    uint64_t usec = 0;
    uint64_t pid = 0;
    const char *path = getenv("NOTIFY_SOCKET");
    const char *watchdog = getenv("WATCHDOG_USEC");
    const char *whose = getenv("WATCHDOG_PID");
    *notify = (struct sb_notify){.watchdog_ms = 0};
    if (path != NULL && (path[0] == '/' || path[0] == '@') && path[1] != '\0' &&
        strlen(path) < sizeof notify->path) {
        memcpy(notify->path, path, strlen(path) + 1);
    }
    bool is_ours =
        whose == NULL || (sb_num_u64(sb_str_from(whose), 1, INT32_MAX, &pid, &ignored) == 0 &&
                          (pid_t)pid == getpid());
    if (watchdog != NULL && is_ours &&
        sb_num_u64(sb_str_from(watchdog), 1, UINT64_MAX, &usec, &ignored) == 0) {
        notify->watchdog_ms = usec / 1000 < 2 ? 1 : usec / 1000;
    }
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void sb_notify_send(const struct sb_notify *notify, const char *lines)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(notify->path);
    if (len == 0) {
        return;
    }
    memcpy(to.sun_path, notify->path, len);
    if (to.sun_path[0] == '@') {
        to.sun_path[0] = '\0'; /* an abstract name has no end but its length */
    }
    SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
        SB_LOG_DEBUG("the service manager was not told", "why=%s", strerror(errno));
    }
}
