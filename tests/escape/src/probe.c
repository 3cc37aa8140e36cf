#include "tests/escape/src/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const sb_probe_dirs[] = {".", "/tmp", "/dev/shm", "/var/tmp", "/run", NULL};

SB_PRINTF(3, 0)
static enum sb_verdict
say(struct sb_run *run, enum sb_verdict verdict, const char *format, va_list args)
{
    (void)vsnprintf(run->detail, sizeof(run->detail), format, args);
    for (char *c = run->detail; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ') {
            *c = ' ';
        }
    }
    return verdict;
}

enum sb_verdict sb_probe_held(struct sb_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum sb_verdict verdict = say(run, SB_HELD, format, args);
    va_end(args);
    return verdict;
}

enum sb_verdict sb_probe_leaked(struct sb_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum sb_verdict verdict = say(run, SB_LEAKED, format, args);
    va_end(args);
    return verdict;
}

enum sb_verdict sb_probe_na(struct sb_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum sb_verdict verdict = say(run, SB_NOT_APPLICABLE, format, args);
    va_end(args);
    return verdict;
}

const char *sb_probe_arg(const struct sb_run *run, const char *key, const char *fallback)
{
    size_t length = strlen(key);
    for (char **arg = run->args; *arg != NULL; arg++) {
        if (strncmp(*arg, key, length) == 0 && (*arg)[length] == '=') {
            return *arg + length + 1;
        }
    }
    return fallback;
}

long sb_probe_arg_long(const struct sb_run *run, const char *key, long fallback)
{
    const char *text = sb_probe_arg(run, key, NULL);
    return text == NULL ? fallback : strtol(text, NULL, 0);
}

void sb_probe_found(struct sb_found *found, const char *format, ...)
{
    size_t used = strlen(found->text);
    if (found->count++ > 0 && used + 2 < sizeof(found->text)) {
        used += (size_t)snprintf(found->text + used, sizeof(found->text) - used, ", ");
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(found->text + used, sizeof(found->text) - used, format, args);
    va_end(args);
}

enum sb_verdict sb_probe_by_found(struct sb_run *run,
                                  const struct sb_found *found,
                                  const char *leak,
                                  const char *held)
{
    if (found->count == 0) {
        return sb_probe_held(run, "%s", held);
    }
    return sb_probe_leaked(run, "%s (%zu): %s", leak, found->count, found->text);
}

ssize_t sb_probe_read_file(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return -1;
    }
    size_t used = 0;
    ssize_t got = 0;
    while (used < size - 1 && (got = read(fd, buffer + used, size - 1 - used)) > 0) {
        used += (size_t)got;
    }
    int error = errno;
    close(fd);
    errno = error;
    buffer[used] = '\0';
    return got < 0 && used == 0 ? -1 : (ssize_t)used;
}

bool sb_probe_opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static bool lists_something(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    const struct dirent *entry;
    do {
        entry = readdir(dir);
    } while (entry != NULL && entry->d_name[0] == '.');
    closedir(dir);
    return entry != NULL;
}

bool sb_probe_gives_something(const char *path)
{
    struct stat st;
    char byte[2];
    if (stat(path, &st) < 0) {
        return false;
    }
    return S_ISDIR(st.st_mode) ? lists_something(path)
                               : sb_probe_read_file(path, byte, sizeof(byte)) > 0;
}

bool sb_probe_shows_token(const struct sb_run *run, const char *path)
{
    char text[4096];
    return sb_probe_read_file(path, text, sizeof(text)) > 0 &&
           strstr(text, sb_probe_arg(run, "token", "\n")) != NULL;
}

bool sb_probe_is_refusal(int error)
{
    return error == EPERM || error == ENOSYS || error == EACCES;
}

void sb_probe_path(char *path, size_t size, const char *dir, const char *stem)
{
    (void)snprintf(path, size, "%s/sbx-%s-%d", dir, stem, (int)getpid());
}

static void on_seen(int number)
{
    (void)number;
}

void sb_probe_be_seen(const struct sb_run *run)
{
    char name[16];
    (void)signal(SIGUSR1, on_seen); /* from whoever has seen it, where he may */
    (void)snprintf(name, sizeof(name), "sbx-uid-%s", sb_probe_arg(run, "tag", "x"));
    prctl(PR_SET_NAME, name);
    usleep(1200000);
}

void sb_probe_list_left(void)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        char path[300];
        char name[32] = "";
        (void)snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        if (strtol(entry->d_name, NULL, 10) > 0 && strtol(entry->d_name, NULL, 10) != getpid() &&
            sb_probe_read_file(path, name, sizeof(name)) > 0 && strncmp(name, "sbx-", 4) == 0) {
            printf("LEFT %s", name);
        }
    }
    if (proc != NULL) {
        closedir(proc);
    }
}

int sb_probe_in_child(int (*body)(const void *arg), const void *arg, unsigned seconds)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return -SIGCHLD;
    }
    if (pid == 0) {
        alarm(seconds);
        _exit(body(arg));
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -SIGCHLD;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool sb_probe_shares_pids(const struct sb_run *run)
{
    char link[64] = "";
    const char *outside = sb_probe_arg(run, "pidns", "");
    if (readlink("/proc/self/ns/pid", link, sizeof(link) - 1) < 0) {
        return true; // cannot tell: be careful
    }
    return *outside == '\0' || strcmp(link, outside) == 0;
}

double sb_probe_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
