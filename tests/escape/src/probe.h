/** What every probe of the escape battery is written with.
 *
 * A probe is one function that tries one way out of a sandbox and says what came of it. It runs in
 * a process of its own, inside the sandbox, with key=value arguments that describe the canaries
 * outside (never the environment, which a sandbox is expected to scrub). One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** The exit status of a probe, too. */
enum sb_verdict {
    SB_HELD = 0,
    SB_LEAKED = 1,
    SB_NOT_APPLICABLE = 2,
};

struct sb_run {
    char **args; // key=value, NULL at the end
    const char *self;
    char detail[900];
};

struct sb_probe {
    const char *name;
    const char *needs; // "none", or what the sandbox must be able to: "cgroup", "own-id", "tty",
                       // "userns", "wall"
    const char *holds; // what must hold, in a sentence
    enum sb_verdict (*run)(struct sb_run *run);
};

struct sb_probe_class {
    const char *name;
    const struct sb_probe *probes;
    size_t count;
};

extern const struct sb_probe_class sb_probes_control, sb_probes_files, sb_probes_workspace,
    sb_probes_kernelfiles, sb_probes_devices, sb_probes_identity, sb_probes_setuid, sb_probes_init,
    sb_probes_inherited, sb_probes_namespaces, sb_probes_mounts, sb_probes_syscalls,
    sb_probes_sockets, sb_probes_ipc, sb_probes_terminal, sb_probes_network, sb_probes_memory,
    sb_probes_counts, sb_probes_disk, sb_probes_leftovers, sb_probes_layers, sb_probes_newer;

#define SB_COUNT(array)      (sizeof(array) / sizeof((array)[0]))
#define SB_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))

/** Each sets the detail that is printed and returns the verdict of its name. "%m" is errno. */
enum sb_verdict sb_probe_held(struct sb_run *run, const char *format, ...) SB_PRINTF(2, 3);
enum sb_verdict sb_probe_leaked(struct sb_run *run, const char *format, ...) SB_PRINTF(2, 3);
enum sb_verdict sb_probe_na(struct sb_run *run, const char *format, ...) SB_PRINTF(2, 3);

/** Value of an argument, or @fallback. */
const char *sb_probe_arg(const struct sb_run *run, const char *key, const char *fallback);
long sb_probe_arg_long(const struct sb_run *run, const char *key, long fallback);

/** A list of findings: a probe that tries many things names each that worked. */
struct sb_found {
    size_t count;
    char text[480];
};
void sb_probe_found(struct sb_found *found, const char *format, ...) SB_PRINTF(2, 3);
/** Leaks "@leak: what was found" when there are findings, holds with @held otherwise. */
enum sb_verdict sb_probe_by_found(struct sb_run *run,
                                  const struct sb_found *found,
                                  const char *leak,
                                  const char *held);

/** Reads at most size - 1 bytes and ends them with NUL. Returns their number, or -1 and errno. */
ssize_t sb_probe_read_file(const char *path, char *buffer, size_t size);
bool sb_probe_opens(const char *path, int flags);
/** A file gives at least a byte, a folder lists at least a name. */
bool sb_probe_gives_something(const char *path);
/** Whether the file holds the token of this run's canaries. */
bool sb_probe_shows_token(const struct sb_run *run, const char *path);
/** errno says that the call was refused before the kernel looked at its arguments. */
bool sb_probe_is_refusal(int error);

/** Folders that a sandbox may let its job write to, NULL at the end. */
extern const char *const sb_probe_dirs[];
/** Makes "<dir>/sbx-<stem>-<pid>" into @path. */
void sb_probe_path(char *path, size_t size, const char *dir, const char *stem);

/** Waits under a name that the runner looks for from outside, until SIGUSR1 says that it has seen
 * it. */
void sb_probe_be_seen(const struct sb_run *run);
/** Runs @body in a child that is ended after @seconds. Returns its exit status, or -signal. */
int sb_probe_in_child(int (*body)(const void *arg), const void *arg, unsigned seconds);
/** Whether the process' PID namespace is the one the battery was started in. */
bool sb_probe_shares_pids(const struct sb_run *run);
/** Prints "LEFT name" for each process that a probe left, of those that can be seen. */
void sb_probe_list_left(void);
double sb_probe_now(void);
