#include "service/spawner/layers/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "service/spawner/dirent.h"

enum { TRIES = 100, WAIT_NS = 2000000, NAMES_SIZE = 4096, STAT_SIZE = 512 };

struct process {
    char state; /* as /proc shows it */
    pid_t parent;
};

static bool look(int proc, const char *pid, struct process *ret_process)
{
    char path[32];
    char text[STAT_SIZE];
    (void)snprintf(path, sizeof path, "%.16s/stat", pid);
    SB_CLEANUP(sb_closep) int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (len <= 0) {
        return false; /* gone */
    }
    text[len] = '\0';
    const char *end = strrchr(text, ')'); /* names hold anything */
    if (end == NULL || strlen(end) < sizeof ") S 1") {
        return false;
    }
    ret_process->state = end[2];
    ret_process->parent = (pid_t)strtol(end + 4, NULL, 10);
    return true;
}

/* Signals one; returns true when it has to be looked at again. */
static bool signal_one(int proc, const char *name, int signal_number)
{
    struct process process;
    pid_t pid = (pid_t)strtol(name, NULL, 10);
    if (pid <= 1 || pid == getpid() || !look(proc, name, &process) || process.parent <= 1) {
        return false;
    }
    /* Who goes on is told so whatever it does: the stop may still be on its way to it. */
    bool is_stopped = signal_number == SIGSTOP && strchr("Tt", process.state) != NULL;
    if (is_stopped || strchr("ZXx", process.state) != NULL) {
        return false;
    }
    (void)kill(pid, signal_number);
    return signal_number == SIGSTOP;
}

/* True when nothing was left to do. */
static bool signal_round(int signal_number)
{
    _Alignas(struct sb_dirent) char names[NAMES_SIZE];
    bool is_done = true;
    SB_CLEANUP(sb_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (;;) {
        long len = proc < 0 ? 0 : syscall(SYS_getdents64, proc, names, sizeof names);
        if (len <= 0) {
            return is_done;
        }
        for (long at = 0; at < len;) {
            const struct sb_dirent *entry = (const void *)(names + at);
            at += entry->len;
            is_done = !signal_one(proc, entry->name, signal_number) && is_done;
        }
    }
}

/* By a process that has a number there. */
static void signal_all(int signal_number)
{
    const struct timespec wait = {.tv_nsec = WAIT_NS};
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < TRIES && !signal_round(signal_number); i++) {
            (void)nanosleep(&wait, NULL);
        }
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

void sb_stop_all(void)
{
    signal_all(SIGSTOP);
}

void sb_continue_all(void)
{
    signal_all(SIGCONT);
}
