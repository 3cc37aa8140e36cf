#include "service/worker/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/num.h"
#include "base/utf8.h"
#include "service/shared/filepart.h"
#include "service/shared/initproto.h"

/** What each cause means. */
static const struct {
    enum sb_verdict_kind kind;
    const char *source; /* of the evidence */
    const char *text;
    const char *next_step;
} causes[SB_CAUSE_END_] = {
    [SB_CAUSE_TIMEOUT] = {SB_VERDICT_TIMED_OUT, "timer.wall_ms", "timed out",
                          "raise the wall limit (limits.wall_ms, --timeout) within the profile's"},
    [SB_CAUSE_CANCELLED] = {SB_VERDICT_CANCELLED, "call.cancel_exec", "cancelled", ""},
    [SB_CAUSE_CLIENT_GONE] = {SB_VERDICT_CANCELLED, "call.ended",
                              "cancelled: the call that started it was cancelled, reached its "
                              "deadline or lost its connection",
                              "set background to keep it running without its caller"},
    [SB_CAUSE_DESTROYED] = {SB_VERDICT_CANCELLED, "call.destroy_sandbox",
                            "cancelled: its sandbox was destroyed", ""},
    [SB_CAUSE_ROLLED_BACK] = {SB_VERDICT_CANCELLED, "call.rollback_sandbox",
                              "cancelled: its sandbox was taken back to a snapshot",
                              "start it again in the sandbox"},
    [SB_CAUSE_TTL] = {SB_VERDICT_CANCELLED, "timer.ttl_ms",
                      "cancelled: the time to live of its sandbox ended",
                      "raise ttl_ms of the sandbox"},
    [SB_CAUSE_IDLE] = {SB_VERDICT_CANCELLED, "timer.idle_ms",
                       "cancelled: its sandbox was idle for too long",
                       "raise idle_ms of the sandbox"},
    [SB_CAUSE_WORKER_STOPPED] = {SB_VERDICT_WORKER_LOST, "worker.stopped",
                                 "the worker was stopped while it ran", "run it again"},
    [SB_CAUSE_SPAWNER_DIED] = {SB_VERDICT_WORKER_LOST, "spawner.eof",
                               "the worker's spawner died while it ran",
                               "run it again; the worker's log says more"},
    [SB_CAUSE_INIT_DIED] = {SB_VERDICT_SIGNALED, "init.wait_status",
                            "PID 1 of its sandbox was killed, and the program with it",
                            "look for the kernel's out-of-memory killer in the host's log"},
    [SB_CAUSE_STUB_DIED] = {SB_VERDICT_SIGNALED, "init.exec_eof",
                            "its supervisor inside the sandbox was killed, most likely by the "
                            "program itself",
                            ""},
};

static void add_evidence(struct sb_verdict *verdict, const char *source, uint64_t value)
{
    if (verdict->n_evidence < SB_VERDICT_MAX_EVIDENCE) {
        verdict->evidence[verdict->n_evidence++] = (struct sb_evidence){source, value};
    }
}

__attribute__((format(printf, 3, 4))) static void
put_text(char *out, size_t cap, const char *fmt, ...)
{
    char raw[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n;
    (void)sb_utf8_sanitize(out, cap, sb_str_of(raw, len < sizeof raw ? len : sizeof raw - 1),
                           SB_UTF8_ONE_LINE);
}

static void decide_start_failed(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    const char *program = facts->program == NULL ? "" : facts->program;
    bool has_slash = strchr(program, '/') != NULL;
    bool is_missing = facts->fail_errno == ENOENT || facts->fail_errno == ENOTDIR;
    verdict->kind = SB_VERDICT_START_FAILED;
    verdict->exit_code = 126;
    add_evidence(verdict, "init.errno", (uint64_t)facts->fail_errno);
    add_evidence(verdict, "init.stage", facts->fail_stage);
    if (facts->fail_stage == SB_INIT_STAGE_CWD) {
        put_text(verdict->message, sizeof verdict->message,
                 "working directory %s: %s inside the sandbox",
                 facts->cwd == NULL ? "" : facts->cwd,
                 facts->fail_errno == ENOENT    ? "not found"
                 : facts->fail_errno == ENOTDIR ? "not a directory"
                                                : strerrordesc_np(facts->fail_errno));
        put_text(verdict->next_step, sizeof verdict->next_step,
                 facts->fail_errno == ENOTDIR ? "choose a directory as cwd"
                                              : "create it first, mount it, or choose another cwd");
        return;
    }
    if (facts->fail_stage == SB_INIT_STAGE_TERMINAL) {
        put_text(verdict->message, sizeof verdict->message, "%s: no terminal could be had: %s",
                 program,
                 facts->fail_errno == ENOSPC ? "the sandbox uses as many as it may"
                                             : strerrordesc_np(facts->fail_errno));
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "end programs that use terminals, or run it without one");
        return;
    }
    if (facts->fail_stage == SB_INIT_STAGE_LIMITS) {
        put_text(verdict->message, sizeof verdict->message,
                 "%s: its own limits could not be set: %s", program,
                 strerrordesc_np(facts->fail_errno));
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "allow prlimit64 in the profile's seccomp list, or leave exec.limits out");
        return;
    }
    if (facts->fail_stage == SB_INIT_STAGE_EXEC && is_missing) {
        verdict->exit_code = 127;
        put_text(verdict->message, sizeof verdict->message,
                 has_slash
                     ? "%s: not found inside the sandbox (nor its interpreter, if it names one)"
                     : "%s: not found in PATH inside the sandbox",
                 program);
        put_text(verdict->next_step, sizeof verdict->next_step,
                 has_slash ? "mount the file, or use a path below /workspace or /usr"
                           : "install %s on the host, whose /usr the sandbox shows read-only, or "
                             "mount the program and use its path",
                 program);
        return;
    }
    put_text(verdict->message, sizeof verdict->message, "%s: could not be started: %s", program,
             facts->fail_errno == ENOEXEC ? "not an executable, and no #! line"
                                          : strerrordesc_np(facts->fail_errno));
    if (facts->fail_errno == EACCES) {
        put_text(verdict->next_step, sizeof verdict->next_step, "make it executable: chmod +x");
    } else if (facts->fail_errno == EAGAIN) {
        put_text(verdict->next_step, sizeof verdict->next_step, "raise limits.pids");
    }
}

/** Counters, by the files they are in. */
enum counter { OOM_KILLS, PIDS_REFUSED, CPU_THROTTLED, N_COUNTERS };
static const struct {
    size_t offset;
    const char *source[2]; /* by version */
} counters[N_COUNTERS] = {
#define AT(member) offsetof(struct sb_counters, member)
    [OOM_KILLS] = {AT(oom_kills), {"memory.oom_control:oom_kill", "memory.events:oom_kill"}},
    [PIDS_REFUSED] = {AT(pids_refused), {"pids.events:max", "pids.events:max"}},
    [CPU_THROTTLED] = {AT(cpu_throttled), {"cpu.stat:nr_throttled", "cpu.stat:nr_throttled"}},
};

static uint64_t count_of(const struct sb_facts *facts, enum counter which)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)&facts->counters + counters[which].offset, sizeof value);
    return value;
}

static void
add_counter(const struct sb_facts *facts, enum counter which, struct sb_verdict *verdict)
{
    uint64_t value = count_of(facts, which);
    if (value > 0) {
        add_evidence(verdict, counters[which].source[facts->counters.version == 2 ? 1 : 0], value);
    }
}

/** Where a bounded file system is, and the facts of one that is full. */
static const struct {
    const char *path;
    const char *bytes_used;
    const char *bytes;
    const char *inodes_used;
    const char *inodes;
} places[SB_SPACES] = {
#define PLACE(path)                                                                                \
    {                                                                                              \
        path, "statfs.bytes_used:" path, "statfs.bytes:" path, "statfs.inodes_used:" path,         \
            "statfs.inodes:" path                                                                  \
    }
    PLACE("/tmp"),
    PLACE("/dev/shm"),
    PLACE("/workspace"),
#undef PLACE
};

/** The first place without a free block or inode; SB_SPACES: none. */
static size_t find_full(const struct sb_facts *facts)
{
    size_t i = 0;
    while (i < SB_SPACES && !(facts->spaces[i].bytes > 0 && facts->spaces[i].bytes_free == 0) &&
           !(facts->spaces[i].inodes > 0 && facts->spaces[i].inodes_free == 0)) {
        i++;
    }
    return i;
}

static void decide_full(const struct sb_facts *facts, size_t i, struct sb_verdict *verdict)
{
    char limit[SB_NUM_TEXT_SIZE];
    const struct sb_space *space = &facts->spaces[i];
    verdict->kind = SB_VERDICT_DISK_FULL;
    if (space->bytes_free == 0) {
        put_text(verdict->message, sizeof verdict->message,
                 "no space left: all %s of %s were used when it failed",
                 sb_num_format_bytes_short(limit, space->bytes), places[i].path);
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "raise the limit of disk space (limits.disk_bytes, --disk) within the profile's%s",
                 i == 2 ? ", or bind a directory as workspace" : "");
    } else {
        put_text(verdict->message, sizeof verdict->message,
                 "no space left: all %" PRIu64 " inodes of %s were used when it failed",
                 space->inodes, places[i].path);
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "raise the limit of files (limits.inodes, inodes: of the profile)%s",
                 i == 2 ? ", or bind a directory as workspace" : "");
    }
    add_evidence(verdict, places[i].bytes_used, space->bytes - space->bytes_free);
    add_evidence(verdict, places[i].bytes, space->bytes);
    add_evidence(verdict, places[i].inodes_used, space->inodes - space->inodes_free);
    add_evidence(verdict, places[i].inodes, space->inodes);
}

/** Of a sandbox with several programs the kernel does not say whose process it killed, but the main
 *  process of the one that ended by SIGKILL was. */
static bool is_company_to_blame(const struct sb_facts *facts, bool is_killed)
{
    bool is_by_kill = facts->has_exited && WIFSIGNALED(facts->wait_status) &&
                      WTERMSIG(facts->wait_status) == SIGKILL;
    return facts->has_company && !is_killed && !is_by_kill;
}

/** The kernel's own account of an end that was not a success: which limit was met. False: none.
 *  An exec whose cause the worker knows (its time, a cancel) is not explained by limits. */
static bool decide_limit(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    char limit[SB_NUM_TEXT_SIZE];
    bool is_killed = facts->cause == SB_CAUSE_INIT_DIED || facts->cause == SB_CAUSE_STUB_DIED;
    bool is_failure = is_killed || (facts->has_exited && facts->wait_status != 0);
    bool is_ours = facts->cause == SB_CAUSE_NONE || is_killed;
    bool is_shared = is_company_to_blame(facts, is_killed);
    uint64_t oom_kills = is_shared ? 0 : count_of(facts, OOM_KILLS);
    uint64_t refused = facts->has_company ? 0 : count_of(facts, PIDS_REFUSED);
    size_t full = find_full(facts);
    if (!is_failure || !is_ours || (oom_kills == 0 && refused == 0 && full == SB_SPACES)) {
        return false;
    }
    if (is_killed) {
        verdict->signal = SIGKILL;
    } else if (WIFEXITED(facts->wait_status)) {
        verdict->exit_code = WEXITSTATUS(facts->wait_status);
    } else {
        verdict->signal = WTERMSIG(facts->wait_status);
    }
    if (oom_kills > 0) {
        verdict->kind = SB_VERDICT_OOM_KILLED;
        put_text(verdict->message, sizeof verdict->message,
                 "out of memory: the kernel killed %" PRIu64 " %s at the limit of %s", oom_kills,
                 oom_kills == 1 ? "process" : "processes",
                 sb_num_format_bytes_short(limit, facts->memory_limit));
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "raise the memory limit (limits.memory_bytes, --memory) within the profile's; "
                 "files in /tmp and other space of the sandbox's own count");
        add_counter(facts, OOM_KILLS, verdict);
        add_counter(facts, PIDS_REFUSED, verdict);
        return true;
    }
    if (refused == 0) {
        decide_full(facts, full, verdict);
        return true;
    }
    verdict->kind = SB_VERDICT_PIDS_EXHAUSTED;
    put_text(verdict->message, sizeof verdict->message,
             "out of processes: the kernel refused %" PRIu64 " at the limit of %" PRIu64, refused,
             facts->pids_limit);
    put_text(verdict->next_step, sizeof verdict->next_step,
             "raise the limit of processes (limits.pids, --pids) within the profile's");
    add_counter(facts, PIDS_REFUSED, verdict);
    return true;
}

static void decide_cause(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    char limit[SB_NUM_TEXT_SIZE];
    char when[SB_NUM_TEXT_SIZE + 16] = "";
    char killed[64] = "";
    uint64_t value = 0;
    verdict->kind = causes[facts->cause].kind;
    if (facts->cause == SB_CAUSE_TIMEOUT) {
        value = facts->wall_limit_ms;
        (void)snprintf(when, sizeof when, " after %s",
                       sb_num_format_millis(limit, facts->wall_limit_ms));
    } else if (facts->cause == SB_CAUSE_INIT_DIED) {
        value = (uint32_t)facts->init_status;
    }
    if (verdict->kind == SB_VERDICT_SIGNALED) {
        verdict->signal = SIGKILL;
    }
    if (facts->has_empty && facts->killed > 0) {
        (void)snprintf(killed, sizeof killed, "; %" PRIu32 " %s killed", facts->killed,
                       facts->killed == 1 ? "process" : "processes");
    }
    add_evidence(verdict, causes[facts->cause].source, value);
    put_text(verdict->message, sizeof verdict->message, "%s%s%s", causes[facts->cause].text, when,
             killed);
    put_text(verdict->next_step, sizeof verdict->next_step, "%s", causes[facts->cause].next_step);
}

/** Signals whose reason is known well enough to say what to do. */
static const struct {
    int signal;
    const char *next_step;
} signal_hints[] = {
    {SIGSYS, "a system call the profile's seccomp list kills for is the usual reason"},
    {SIGXFSZ, "it wrote past limits.file_bytes: raise it"},
    {SIGXCPU, "a process used up its CPU time: raise exec.limits.process_cpu_ms (--cpu-time)"},
};

static void decide_status(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    if (WIFEXITED(facts->wait_status)) {
        verdict->kind = SB_VERDICT_EXITED;
        verdict->exit_code = WEXITSTATUS(facts->wait_status);
        put_text(verdict->message, sizeof verdict->message, "exited with %d", verdict->exit_code);
        return;
    }
    verdict->kind = SB_VERDICT_SIGNALED;
    verdict->signal = WTERMSIG(facts->wait_status);
    if (verdict->signal == SIGSYS && facts->kill_list != NULL) {
        verdict->kind = SB_VERDICT_POLICY_KILLED;
        put_text(verdict->message, sizeof verdict->message,
                 "killed for a system call by seccomp list %s (SIGSYS)", facts->kill_list);
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "let that rule answer SCMP_ACT_NOTIFY to see the call, or allow it");
        return;
    }
    const char *name = sigabbrev_np(verdict->signal);
    put_text(verdict->message, sizeof verdict->message, "ended by signal %d (SIG%s)",
             verdict->signal, name == NULL ? "RT" : name);
    for (size_t i = 0; i < sizeof signal_hints / sizeof *signal_hints; i++) {
        if (verdict->signal == SIGXFSZ && facts->files_by_memory) {
            put_text(verdict->next_step, sizeof verdict->next_step,
                     "it wrote more to a file than limits.memory_bytes permits where no control "
                     "group bounds memory: raise it, or give the worker control groups");
        } else if (signal_hints[i].signal == verdict->signal) {
            put_text(verdict->next_step, sizeof verdict->next_step, "%s",
                     signal_hints[i].next_step);
        }
    }
}

/** The worker's own disk, no limit of the sandbox. */
static void
note_unstored(const struct sb_facts *facts, uint64_t dropped, struct sb_verdict *verdict)
{
    char left_out[SB_NUM_TEXT_SIZE];
    add_evidence(verdict, "output.store_errno", (uint64_t)facts->store_errno);
    if (verdict->kind == SB_VERDICT_EXITED) {
        verdict->kind = SB_VERDICT_OUTPUT_TRUNCATED;
        put_text(verdict->message, sizeof verdict->message,
                 "exited with %d; %s of output were not kept: the worker could not store them: %s",
                 verdict->exit_code, sb_num_format_bytes_short(left_out, dropped),
                 strerrordesc_np(facts->store_errno));
    }
    if (verdict->next_step[0] == '\0') {
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "make room where the worker keeps output (--state-dir)");
    }
}

/** Output that was not kept is part of any end, and the verdict when the program ended by itself:
 * it is never stopped for it. */
static void note_dropped(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    char left_out[SB_NUM_TEXT_SIZE];
    char limit[SB_NUM_TEXT_SIZE];
    uint64_t dropped = facts->stdout_dropped + facts->stderr_dropped;
    if (dropped == 0) {
        return;
    }
    if (facts->stdout_dropped > 0) {
        add_evidence(verdict, "output.stdout_dropped_bytes", facts->stdout_dropped);
    }
    if (facts->stderr_dropped > 0) {
        add_evidence(verdict, "output.stderr_dropped_bytes", facts->stderr_dropped);
    }
    if (facts->store_errno != 0) {
        note_unstored(facts, dropped, verdict);
        return;
    }
    add_evidence(verdict, "limits.output_bytes", facts->output_limit);
    if (verdict->kind == SB_VERDICT_EXITED) {
        verdict->kind = SB_VERDICT_OUTPUT_TRUNCATED;
        put_text(verdict->message, sizeof verdict->message,
                 "exited with %d; %s of output were not kept: head and tail within the limit of %s "
                 "are",
                 verdict->exit_code, sb_num_format_bytes_short(left_out, dropped),
                 sb_num_format_bytes_short(limit, facts->output_limit));
    }
    if (verdict->next_step[0] == '\0') {
        put_text(verdict->next_step, sizeof verdict->next_step,
                 "write to a file, or raise the output limit (limits.output_bytes, output: of the "
                 "profile)");
    }
}

__attribute__((format(printf, 4, 5))) static void
add_met(struct sb_verdict *verdict, const char *name, uint64_t count, const char *fmt, ...)
{
    if (count == 0 || verdict->n_met == SB_VERDICT_MAX_MET) {
        return;
    }
    struct sb_met *met = &verdict->met[verdict->n_met++];
    va_list args;
    va_start(args, fmt);
    met->name = name;
    met->count = count;
    (void)vsnprintf(met->detail, sizeof met->detail, fmt, args);
    va_end(args);
}

/** Spaces that were full at the end or at a look; each limit once, with the first of them. */
static void note_full(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    bool has_bytes = false;
    bool has_inodes = false;
    for (size_t i = 0; i < SB_SPACES; i++) {
        const struct sb_space *space = &facts->spaces[i];
        bool is_full =
            (facts->seen_bytes_full >> i & 1) != 0 || (space->bytes > 0 && space->bytes_free == 0);
        bool is_out = (facts->seen_inodes_full >> i & 1) != 0 ||
                      (space->inodes > 0 && space->inodes_free == 0);
        add_met(verdict, "disk", is_full && !has_bytes, "%s: all %" PRIu64 " bytes used",
                places[i].path, space->bytes > 0 ? space->bytes : facts->disk_limit);
        add_met(verdict, "inodes", is_out && !has_inodes, "%s: all %" PRIu64 " inodes used",
                places[i].path, space->inodes > 0 ? space->inodes : facts->inodes_limit);
        has_bytes = has_bytes || is_full;
        has_inodes = has_inodes || is_out;
    }
}

/** Slowed down by its quota: it was used up in half of the periods, of a second at least. */
static void note_throttled(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    enum { PERIOD_MS = 100, MIN_PERIODS = 10 };
    uint64_t periods = facts->wall_ms / PERIOD_MS;
    uint64_t throttled = count_of(facts, CPU_THROTTLED);
    if (periods >= MIN_PERIODS && throttled >= periods / 2) {
        add_met(verdict, "cpu", throttled,
                "of about %" PRIu64 " periods of %d ms, in which the quota was used up", periods,
                PERIOD_MS);
    }
}

/** Which limits the kernel or the worker says were met, whatever the end. Of a refused size of a
 *  file whose signal is ignored nobody says. */
static void note_met(const struct sb_facts *facts, struct sb_verdict *verdict)
{
    bool is_by_signal = facts->has_exited && WIFSIGNALED(facts->wait_status);
    add_met(verdict, "memory", count_of(facts, OOM_KILLS), "processes killed by the kernel");
    add_met(verdict, "pids", count_of(facts, PIDS_REFUSED), "processes or threads refused");
    note_full(facts, verdict);
    bool is_files_known =
        facts->most_files > 0 && !(facts->has_own_files_limit && facts->has_company);
    add_met(verdict, "open_files", is_files_known && facts->most_files >= facts->files_limit,
            "a process had %" PRIu64 " open", facts->most_files);
    add_met(verdict, "signals",
            facts->signals_limit > 0 && facts->most_signals >= facts->signals_limit,
            "%" PRIu64 " signals and timers queued", facts->most_signals);
    note_throttled(facts, verdict);
    add_met(verdict, "wall", facts->cause == SB_CAUSE_TIMEOUT, "killed after %" PRIu64 " ms",
            facts->wall_limit_ms);
    if (facts->cause == SB_CAUSE_TIMEOUT && verdict->n_met > 0) {
        verdict->met[verdict->n_met - 1].value = facts->wall_limit_ms;
    }
    bool is_by_size = is_by_signal && WTERMSIG(facts->wait_status) == SIGXFSZ;
    add_met(verdict, "file_size", is_by_size && !facts->files_by_memory, "ended by SIGXFSZ");
    add_met(verdict, "memory", is_by_size && facts->files_by_memory,
            "ended by SIGXFSZ: a file had %" PRIu64 " bytes, as many as without control groups",
            facts->memory_limit / SB_FILE_PART);
    add_met(verdict, "output",
            facts->store_errno == 0 && (facts->stdout_dropped > 0 || facts->stderr_dropped > 0),
            "%" PRIu64 " bytes of stdout and %" PRIu64 " of stderr not kept", facts->stdout_dropped,
            facts->stderr_dropped);
}

void sb_verdict_decide(const struct sb_facts *facts, struct sb_verdict *ret_verdict)
{
    struct sb_verdict verdict = {.kind = SB_VERDICT_NONE};
    bool counts_limits = true;
    if (facts->has_failed) {
        decide_start_failed(facts, &verdict);
    } else if (decide_limit(facts, &verdict)) {
        counts_limits = false; /* done */
    } else if (facts->cause != SB_CAUSE_NONE) {
        decide_cause(facts, &verdict);
    } else if (facts->has_exited) {
        decide_status(facts, &verdict);
    }
    if (facts->has_exited) {
        add_evidence(&verdict, "wait4.status", (uint32_t)facts->wait_status);
    }
    if (facts->has_empty) {
        add_evidence(&verdict, "init.killed", facts->killed);
    }
    if (counts_limits) {
        add_counter(facts, OOM_KILLS, &verdict);
        add_counter(facts, PIDS_REFUSED, &verdict);
    }
    add_counter(facts, CPU_THROTTLED, &verdict);
    note_dropped(facts, &verdict);
    note_met(facts, &verdict);
    *ret_verdict = verdict;
}
