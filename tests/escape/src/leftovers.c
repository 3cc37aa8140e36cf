/** What stays when the job is over. The runner looks after the sandbox has ended. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

#define DEPTH 1500

static void live_on(const struct sb_run *run, const char *stem, unsigned seconds)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "sbx-%s-%s", stem, sb_probe_arg(run, "tag", "x"));
    prctl(PR_SET_NAME, name);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    sleep(seconds);
    _exit(0);
}

static enum sb_verdict daemon_left(struct sb_run *run)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (int fd = 0; fd < 3; fd++) {
                close(fd);
            }
            live_on(run, "dmn", 20);
        }
        _exit(0);
    }
    usleep(200000);
    return sb_probe_held(run, "a daemon was started and is gone");
}

/** Killing the one process that the supervisor knows is not enough. */
static enum sb_verdict timeout_daemon(struct sb_run *run)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (int fd = 0; fd < 3; fd++) {
                close(fd);
            }
            live_on(run, "tmd", 40);
        }
        _exit(0);
    }
    (void)signal(SIGTERM, SIG_IGN);
    sleep(15);
    return sb_probe_leaked(run, "still running after 15 s");
}

static enum sb_verdict output_held(struct sb_run *run)
{
    if (fork() == 0) {
        setsid();
        live_on(run, "out", 12);
    }
    usleep(100000);
    return sb_probe_held(run, "a child holds standard output and the run is over");
}

static enum sb_verdict fork_chain(struct sb_run *run)
{
    // Each generation ends at once: whoever kills by a list of pids never has the right one.
    if (fork() == 0) {
        setsid();
        for (int i = 0; i < 100; i++) {
            if (fork() > 0) {
                _exit(0);
            }
            usleep(1000);
        }
        live_on(run, "chn", 20);
    }
    usleep(100000);
    return sb_probe_held(run, "a chain of forks was started and is gone");
}

/** Orphans that nobody waits for would fill the table of processes. */
static enum sb_verdict zombies(struct sb_run *run)
{
    enum { ORPHANS = 20 };
    int left = 0;
    pid_t orphans[ORPHANS];
    for (int i = 0; i < ORPHANS; i++) {
        int ends[2];
        orphans[i] = 0;
        if (pipe2(ends, O_CLOEXEC) == 0 && fork() == 0) {
            pid_t orphan = fork();
            _exit(orphan != 0 && write(ends[1], &orphan, sizeof(orphan)) < 0);
        }
        wait(NULL);
        if (read(ends[0], &orphans[i], sizeof(orphans[i])) < 0) {
            return sb_probe_na(run, "read: %m");
        }
        close(ends[0]);
        close(ends[1]);
    }
    usleep(300000);
    for (int i = 0; i < ORPHANS; i++) {
        left += orphans[i] > 0 && kill(orphans[i], 0) == 0;
    }
    return left > 0 ? sb_probe_leaked(run, "%d of %d orphans are zombies", left, ORPHANS)
                    : sb_probe_held(run, "all orphans were reaped");
}

/** A path beyond PATH_MAX, which a recursive removal by name cannot follow. */
static enum sb_verdict deep_folders(struct sb_run *run)
{
    static const char name[] = "sbx-deep-dddddddddddddddddd";
    if (chdir("/tmp") < 0) {
        return sb_probe_na(run, "no /tmp");
    }
    int depth = 0;
    while (depth < DEPTH && mkdir(name, 0700) == 0 && chdir(name) == 0) {
        depth++;
    }
    return sb_probe_held(run, "%d folders deep, and gone", depth);
}

static void make_file(const char *name)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
    }
}

/** Names that a removal by shell, by lines or by text would stumble over. */
static enum sb_verdict hostile_names(struct sb_run *run)
{
    static const char *const names[] = {
        "-rf", "--", "a\nb", "\033[2J", "\xff\xfe", "$(id)", "`id`", "*", " ", "\r", ";", "...",
    };
    char longest[256];
    char dir[64];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    (void)snprintf(dir, sizeof(dir), "/tmp/sbx-names-%s", sb_probe_arg(run, "tag", "x"));
    if (mkdir(dir, 0700) < 0 || chdir(dir) < 0) {
        return sb_probe_na(run, "no folder in /tmp: %m");
    }
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        make_file(names[i]);
    }
    make_file(longest);
    return sb_probe_held(run, "%zu hostile names, and gone", SB_COUNT(names) + 1);
}

/** Folders that their owner may not enter, within each other. */
static enum sb_verdict closed_folders(struct sb_run *run)
{
    enum { DEEP = 20 };
    char dir[64];
    (void)snprintf(dir, sizeof(dir), "/tmp/sbx-closed-%s", sb_probe_arg(run, "tag", "x"));
    if (mkdir(dir, 0700) < 0 || chdir(dir) < 0) {
        return sb_probe_na(run, "no folder in /tmp: %m");
    }
    for (int i = 0; i < DEEP && mkdir("inner", 0700) == 0 && chdir("inner") == 0; i++) {
        make_file("file");
    }
    for (int i = 0; i < DEEP; i++) {
        (void)chmod(".", 0);
        if (chdir("..") < 0) {
            (void)chmod("..", 0);
            break;
        }
    }
    (void)chmod(dir, 0);
    return sb_probe_held(run, "folders of mode 0, and gone");
}

/** A lock that outlives its holder stops the next one. */
static enum sb_verdict lock_left(struct sb_run *run)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "sbx-lock-%s", sb_probe_arg(run, "tag", "x"));
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        return sb_probe_held(run, "flock: %m");
    }
    if (fork() == 0) {
        setsid();
        live_on(run, "lck", 12);
    }
    return sb_probe_held(run, "a lock was taken and is free again");
}

static const struct sb_probe probes[] = {
    {"daemon-left", "none", "a daemon ends with the sandbox", daemon_left},
    {"timeout-daemon", "wall", "nor does a daemon outlive the deadline of who started it",
     timeout_daemon},
    {"output-held", "none", "a child that holds the output does not delay the end", output_held},
    {"fork-chain", "none", "processes that fork and exit are caught", fork_chain},
    {"zombies", "none", "orphans are reaped", zombies},
    {"deep-folders", "none", "folders deeper than any path are removed", deep_folders},
    {"hostile-names", "none", "files with hostile names are removed", hostile_names},
    {"closed-folders", "none", "folders that nobody may enter are removed", closed_folders},
    {"lock-left", "none", "locks are released with the sandbox", lock_left},
};
const struct sb_probe_class sb_probes_leftovers = {"leftovers", probes, SB_COUNT(probes)};
