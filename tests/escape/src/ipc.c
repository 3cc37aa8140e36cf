/** Objects of the kernel that processes share without files: keys, queues, segments, sockets. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"
#include "tests/escape/src/victim.h"

static const long keyrings[] = {KEY_SPEC_THREAD_KEYRING, KEY_SPEC_PROCESS_KEYRING,
                                KEY_SPEC_SESSION_KEYRING, KEY_SPEC_USER_KEYRING,
                                KEY_SPEC_USER_SESSION_KEYRING};

static enum sb_verdict keyring_secret(struct sb_run *run)
{
    struct sb_found found = {0};
    for (size_t i = 0; i < SB_COUNT(keyrings); i++) {
        if (syscall(SYS_keyctl, KEYCTL_SEARCH, keyrings[i], "user", SB_VICTIM_KEY, 0) > 0) {
            sb_probe_found(&found, "keyring %ld", keyrings[i]);
        }
    }
    if (syscall(SYS_request_key, "user", SB_VICTIM_KEY, NULL, 0) > 0) {
        sb_probe_found(&found, "request_key");
    }
    return sb_probe_by_found(run, &found, "the host's key was found by", "the key is not found");
}

static enum sb_verdict keyring_calls(struct sb_run *run)
{
    struct sb_found found = {0};
    if (syscall(SYS_keyctl, 9999, 0, 0, 0, 0) >= 0 || !sb_probe_is_refusal(errno)) {
        sb_probe_found(&found, "keyctl");
    }
    if (syscall(SYS_add_key, NULL, NULL, NULL, 0, 0) >= 0 || !sb_probe_is_refusal(errno)) {
        sb_probe_found(&found, "add_key");
    }
    if (syscall(SYS_request_key, NULL, NULL, NULL, 0) >= 0 || !sb_probe_is_refusal(errno)) {
        sb_probe_found(&found, "request_key");
    }
    return sb_probe_by_found(run, &found, "reach the kernel", "key management is refused");
}

static enum sb_verdict sysv_objects(struct sb_run *run)
{
    struct sb_found found = {0};
    if (shmget(SB_VICTIM_IPC_KEY, 0, 0) >= 0) {
        sb_probe_found(&found, "shared memory");
    }
    if (semget(SB_VICTIM_IPC_KEY, 0, 0) >= 0) {
        sb_probe_found(&found, "semaphores");
    }
    if (msgget(SB_VICTIM_IPC_KEY, 0) >= 0) {
        sb_probe_found(&found, "message queue");
    }
    return sb_probe_by_found(run, &found, "of the host visible", "no System V object of the host");
}

static enum sb_verdict posix_queue(struct sb_run *run)
{
    mqd_t queue = mq_open(SB_VICTIM_QUEUE, O_RDONLY | O_NONBLOCK);
    return queue >= 0 ? sb_probe_leaked(run, "the host's POSIX queue opens")
                      : sb_probe_held(run, "mq_open: %m");
}

/** @name  of a path, or of an abstract socket when @is_abstract. */
static int connect_unix(const char *name, bool is_abstract, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *to = address.sun_path + (is_abstract ? 1 : 0);
    (void)snprintf(to, sizeof(address.sun_path) - 1, "%s", name);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                 (is_abstract ? 1 + strlen(name) : sizeof(address.sun_path)));
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int result = connect(fd, (const struct sockaddr *)&address, size);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static enum sb_verdict abstract_socket(struct sb_run *run)
{
    const char *name = sb_probe_arg(run, "abstract", "sbx-none");
    return connect_unix(name, true, SOCK_STREAM) == 0
               ? sb_probe_leaked(run, "connected to @%s of the host", name)
               : sb_probe_held(run, "@%s: %m", name);
}

static enum sb_verdict path_socket(struct sb_run *run)
{
    const char *path = sb_probe_arg(run, "socket", "/none");
    return connect_unix(path, false, SOCK_STREAM) == 0
               ? sb_probe_leaked(run, "connected to %s", path)
               : sb_probe_held(run, "%s: %m", path);
}

/** Sockets of the host's services, by any name they are known under. */
static enum sb_verdict service_sockets(struct sb_run *run)
{
    struct sb_found found = {0};
    char own[128];
    (void)snprintf(own, sizeof(own), "%s", sb_probe_arg(run, "service", "/run/aisbx/worker.sock"));
    const char *const paths[] = {own,
                                 "/dev/log",
                                 "/run/systemd/journal/socket",
                                 "/run/systemd/notify",
                                 "/run/dbus/system_bus_socket",
                                 "/run/nscd/socket",
                                 "/run/udev/control",
                                 "/tmp/.X11-unix/X0",
                                 "/run/aisbx/worker.sock"};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < SB_COUNT(paths) * SB_COUNT(types); i++) {
        const char *path = paths[i / SB_COUNT(types)];
        if (connect_unix(path, false, types[i % SB_COUNT(types)]) == 0) {
            sb_probe_found(&found, "%s", path);
        }
    }
    return sb_probe_by_found(run, &found, "connected to", "no service of the host answers");
}

static enum sb_verdict listed_sockets(struct sb_run *run)
{
    char text[16384];
    if (sb_probe_read_file("/proc/net/unix", text, sizeof(text)) <= 0) {
        return sb_probe_held(run, "/proc/net/unix: %m");
    }
    return strstr(text, sb_probe_arg(run, "abstract", "\n")) != NULL
               ? sb_probe_leaked(run, "/proc/net/unix lists the host's sockets")
               : sb_probe_held(run, "the host's sockets are not listed");
}

static const struct sb_probe probes[] = {
    {"keyring-secret", "none", "no key of the host is found", keyring_secret},
    {"keyring-calls", "none", "keyctl, add_key and request_key are refused", keyring_calls},
    {"sysv-objects", "none", "System V objects of the host are out of reach", sysv_objects},
    {"posix-queue", "none", "POSIX queues of the host are out of reach", posix_queue},
    {"abstract-socket", "none", "abstract sockets of the host are out of reach", abstract_socket},
    {"path-socket", "none", "unix sockets in the host's folders are out of reach", path_socket},
    {"service-sockets", "none", "no service of the host, nor the worker, answers", service_sockets},
    {"listed-sockets", "none", "the host's sockets are not even listed", listed_sockets},
};
const struct sb_probe_class sb_probes_ipc = {"ipc", probes, SB_COUNT(probes)};
