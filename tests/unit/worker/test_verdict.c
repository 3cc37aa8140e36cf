/** Facts in, verdict out. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/shared/initproto.h"
#include "service/worker/verdict.h"

#define EXITED(code)     ((code) << 8)
#define SIGNALED(signal) (signal)

static const struct {
    const char *name;
    struct sb_facts facts;
    enum sb_verdict_kind kind;
    int exit_code;
    int signal;
    const char *message;
    const char *evidence; /* the first */
} rows[] = {
    {"exit 0",
     {.has_exited = true, .wait_status = EXITED(0), .has_empty = true},
     SB_VERDICT_EXITED,
     0,
     0,
     "exited with 0",
     "wait4.status"},
    {"exit 137 is an exit, not a kill",
     {.has_exited = true, .wait_status = EXITED(137)},
     SB_VERDICT_EXITED,
     137,
     0,
     "exited with 137",
     "wait4.status"},
    {"segmentation fault",
     {.has_exited = true, .wait_status = SIGNALED(SIGSEGV)},
     SB_VERDICT_SIGNALED,
     0,
     SIGSEGV,
     "ended by signal 11 (SIGSEGV)",
     "wait4.status"},
    {"SIGSYS under a list that kills",
     {.has_exited = true, .wait_status = SIGNALED(SIGSYS), .kill_list = "mine"},
     SB_VERDICT_POLICY_KILLED,
     0,
     SIGSYS,
     "killed for a system call by seccomp list mine (SIGSYS)",
     "wait4.status"},
    {"SIGSYS under a list that kills nobody",
     {.has_exited = true, .wait_status = SIGNALED(SIGSYS)},
     SB_VERDICT_SIGNALED,
     0,
     SIGSYS,
     "ended by signal 31 (SIGSYS)",
     "wait4.status"},
    {"another signal under a list that kills",
     {.has_exited = true, .wait_status = SIGNALED(SIGSEGV), .kill_list = "mine"},
     SB_VERDICT_SIGNALED,
     0,
     SIGSEGV,
     "ended by signal 11 (SIGSEGV)",
     "wait4.status"},
    {"killed by itself is not timed out",
     {.has_exited = true, .wait_status = SIGNALED(SIGKILL), .wall_limit_ms = 1000},
     SB_VERDICT_SIGNALED,
     0,
     SIGKILL,
     "ended by signal 9 (SIGKILL)",
     "wait4.status"},
    {"timed out",
     {.cause = SB_CAUSE_TIMEOUT,
      .has_exited = true,
      .wait_status = SIGNALED(SIGKILL),
      .has_empty = true,
      .killed = 3,
      .wall_limit_ms = 30000},
     SB_VERDICT_TIMED_OUT,
     0,
     0,
     "timed out after 30s; 3 processes killed",
     "timer.wall_ms"},
    {"killed at the memory limit",
     {.has_exited = true,
      .wait_status = SIGNALED(SIGKILL),
      .counters = {.version = 2, .oom_kills = 1},
      .memory_limit = 64U << 20},
     SB_VERDICT_OOM_KILLED,
     0,
     SIGKILL,
     "out of memory: the kernel killed 1 process at the limit of 64MiB",
     "memory.events:oom_kill"},
    {"a child was killed at the memory limit, and the program failed",
     {.has_exited = true,
      .wait_status = EXITED(137),
      .counters = {.version = 1, .oom_kills = 2},
      .memory_limit = 64U << 20},
     SB_VERDICT_OOM_KILLED,
     137,
     0,
     "out of memory: the kernel killed 2 processes at the limit of 64MiB",
     "memory.oom_control:oom_kill"},
    {"a child was killed at the memory limit, and the program went on",
     {.has_exited = true, .wait_status = EXITED(0), .counters = {.version = 1, .oom_kills = 2}},
     SB_VERDICT_EXITED,
     0,
     0,
     "exited with 0",
     "wait4.status"},
    {"init was killed at the memory limit",
     {.cause = SB_CAUSE_INIT_DIED,
      .has_gone = true,
      .counters = {.version = 2, .oom_kills = 3},
      .memory_limit = 1U << 20},
     SB_VERDICT_OOM_KILLED,
     0,
     SIGKILL,
     "out of memory: the kernel killed 3 processes at the limit of 1MiB",
     "memory.events:oom_kill"},
    {"failed after it was refused a process",
     {.has_exited = true,
      .wait_status = EXITED(2),
      .counters = {.version = 2, .pids_refused = 5},
      .pids_limit = 32},
     SB_VERDICT_PIDS_EXHAUSTED,
     2,
     0,
     "out of processes: the kernel refused 5 at the limit of 32",
     "pids.events:max"},
    {"timed out while it was refused processes",
     {.cause = SB_CAUSE_TIMEOUT,
      .has_exited = true,
      .wait_status = SIGNALED(SIGKILL),
      .counters = {.version = 2, .pids_refused = 5},
      .wall_limit_ms = 30000},
     SB_VERDICT_TIMED_OUT,
     0,
     0,
     "timed out after 30s",
     "timer.wall_ms"},
    {"timed out, one process",
     {.cause = SB_CAUSE_TIMEOUT, .has_empty = true, .killed = 1, .wall_limit_ms = 1},
     SB_VERDICT_TIMED_OUT,
     0,
     0,
     "timed out after 1ms; 1 process killed",
     "timer.wall_ms"},
    {"a shell that reports its killed child is timed out all the same",
     {.cause = SB_CAUSE_TIMEOUT,
      .has_exited = true,
      .wait_status = EXITED(137),
      .wall_limit_ms = 1000},
     SB_VERDICT_TIMED_OUT,
     0,
     0,
     "timed out after 1s",
     "timer.wall_ms"},
    {"cancelled",
     {.cause = SB_CAUSE_CANCELLED, .has_empty = true, .killed = 2},
     SB_VERDICT_CANCELLED,
     0,
     0,
     "cancelled; 2 processes killed",
     "call.cancel_exec"},
    {"sandbox destroyed",
     {.cause = SB_CAUSE_DESTROYED, .has_gone = true},
     SB_VERDICT_CANCELLED,
     0,
     0,
     "cancelled: its sandbox was destroyed",
     "call.destroy_sandbox"},
    {"spawner died",
     {.cause = SB_CAUSE_SPAWNER_DIED},
     SB_VERDICT_WORKER_LOST,
     0,
     0,
     "the worker's spawner died while it ran",
     "spawner.eof"},
    {"PID 1 died",
     {.cause = SB_CAUSE_INIT_DIED, .has_gone = true, .init_status = SIGNALED(SIGKILL)},
     SB_VERDICT_SIGNALED,
     0,
     SIGKILL,
     "PID 1 of its sandbox was killed, and the program with it",
     "init.wait_status"},
    {"not in PATH",
     {.has_failed = true,
      .fail_errno = ENOENT,
      .fail_stage = SB_INIT_STAGE_EXEC,
      .program = "python3"},
     SB_VERDICT_START_FAILED,
     127,
     0,
     "python3: not found in PATH inside the sandbox",
     "init.errno"},
    {"no such file",
     {.has_failed = true,
      .fail_errno = ENOENT,
      .fail_stage = SB_INIT_STAGE_EXEC,
      .program = "/opt/x"},
     SB_VERDICT_START_FAILED,
     127,
     0,
     "/opt/x: not found inside the sandbox (nor its interpreter, if it names one)",
     "init.errno"},
    {"not executable",
     {.has_failed = true,
      .fail_errno = EACCES,
      .fail_stage = SB_INIT_STAGE_EXEC,
      .program = "./a.txt"},
     SB_VERDICT_START_FAILED,
     126,
     0,
     "./a.txt: could not be started: Permission denied",
     "init.errno"},
    {"no such directory",
     {.has_failed = true,
      .fail_errno = ENOENT,
      .fail_stage = SB_INIT_STAGE_CWD,
      .program = "true",
      .cwd = "/nowhere"},
     SB_VERDICT_START_FAILED,
     126,
     0,
     "working directory /nowhere: not found inside the sandbox",
     "init.errno"},
    {"a file as directory",
     {.has_failed = true,
      .fail_errno = ENOTDIR,
      .fail_stage = SB_INIT_STAGE_CWD,
      .program = "true",
      .cwd = "/etc/passwd"},
     SB_VERDICT_START_FAILED,
     126,
     0,
     "working directory /etc/passwd: not a directory inside the sandbox",
     "init.errno"},
};

static void decides_every_row_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_verdict verdict;
        sb_verdict_decide(&rows[i].facts, &verdict);
        print_message("  %s\n", rows[i].name);
        assert_int_equal(verdict.kind, rows[i].kind);
        assert_int_equal(verdict.exit_code, rows[i].exit_code);
        assert_int_equal(verdict.signal, rows[i].signal);
        assert_string_equal(verdict.message, rows[i].message);
        assert_true(verdict.n_evidence >= 1);
        assert_string_equal(verdict.evidence[0].source, rows[i].evidence);
    }
}

static void every_failure_to_start_says_what_to_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_verdict verdict;
        sb_verdict_decide(&rows[i].facts, &verdict);
        assert_true(!rows[i].facts.has_failed || verdict.next_step[0] != '\0');
    }
}

static void the_limit_stands_in_the_evidence_of_a_timeout(void **state)
{
    (void)state;
    const struct sb_facts facts = {.cause = SB_CAUSE_TIMEOUT, .wall_limit_ms = 1234};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.evidence[0].value, 1234);
}

static void an_exit_with_output_left_out_is_output_truncated(void **state)
{
    (void)state;
    const struct sb_facts facts = {.has_exited = true,
                                   .wait_status = EXITED(3),
                                   .stdout_dropped = 70,
                                   .stderr_dropped = 7,
                                   .output_limit = 1024};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_OUTPUT_TRUNCATED);
    assert_int_equal(verdict.exit_code, 3);
    assert_string_equal(verdict.evidence[1].source, "output.stdout_dropped_bytes");
    assert_int_equal(verdict.evidence[1].value, 70);
    assert_string_equal(verdict.evidence[2].source, "output.stderr_dropped_bytes");
    assert_int_equal(verdict.evidence[2].value, 7);
    assert_int_equal(verdict.evidence[3].value, 1024);
    assert_non_null(strstr(verdict.next_step, "limits.output_bytes"));
}

static void limits_met_in_company_are_blamed_on_whom_they_killed_only(void **state)
{
    (void)state;
    static const struct {
        int wait_status;
        enum sb_verdict_kind kind;
        struct sb_counters counters;
    } ends[] = {
        {EXITED(1), SB_VERDICT_EXITED, {.version = 1, .oom_kills = 1}},
        {SIGNALED(SIGSEGV), SB_VERDICT_SIGNALED, {.version = 1, .oom_kills = 1}},
        {SIGNALED(SIGKILL), SB_VERDICT_OOM_KILLED, {.version = 1, .oom_kills = 1}},
        {EXITED(1), SB_VERDICT_EXITED, {.version = 1, .pids_refused = 9}},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct sb_facts facts = {.has_exited = true,
                                 .wait_status = ends[i].wait_status,
                                 .counters = ends[i].counters,
                                 .has_company = true};
        struct sb_verdict verdict;
        sb_verdict_decide(&facts, &verdict);
        assert_int_equal(verdict.kind, ends[i].kind);
        assert_int_equal(verdict.n_met, 1); /* told all the same */
    }
}

static void output_that_the_worker_could_not_store_is_not_laid_to_the_limit(void **state)
{
    (void)state;
    const struct sb_facts facts = {.has_exited = true,
                                   .wait_status = EXITED(0),
                                   .stdout_dropped = 70,
                                   .store_errno = ENOSPC,
                                   .output_limit = 1024};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_OUTPUT_TRUNCATED);
    assert_string_equal(verdict.message, "exited with 0; 70B of output were not kept: the "
                                         "worker could not store them: No space left on device");
    assert_non_null(strstr(verdict.next_step, "--state-dir"));
    assert_string_equal(verdict.evidence[2].source, "output.store_errno");
    assert_int_equal(verdict.evidence[2].value, ENOSPC);
    assert_int_equal(verdict.n_met, 0);
}

static const struct sb_facts full = {
    .has_exited = true,
    .wait_status = EXITED(1),
    .spaces = {[1] = {.bytes = 4096, .bytes_free = 4096, .inodes = 16, .inodes_free = 0},
               [2] = {.bytes = 65536, .bytes_free = 0, .inodes = 16, .inodes_free = 3}}};

static void a_failure_with_a_full_file_system_is_disk_full(void **state)
{
    (void)state;
    struct sb_facts facts = full;
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_DISK_FULL);
    assert_int_equal(verdict.exit_code, 1);
    assert_string_equal(verdict.evidence[2].source, "statfs.inodes_used:/dev/shm");
    assert_int_equal(verdict.evidence[2].value, 16);
    assert_string_equal(verdict.message,
                        "no space left: all 16 inodes of /dev/shm were used when it failed");
    assert_int_equal(verdict.n_met, 2);
    assert_string_equal(verdict.met[0].name, "inodes");
    assert_string_equal(verdict.met[1].name, "disk");

    facts.spaces[1] = (struct sb_space){0};
    sb_verdict_decide(&facts, &verdict);
    assert_string_equal(verdict.evidence[0].source, "statfs.bytes_used:/workspace");
    assert_int_equal(verdict.evidence[0].value, 65536);
}

static void a_full_file_system_alone_is_no_verdict(void **state)
{
    (void)state;
    struct sb_facts facts = full;
    struct sb_verdict verdict;
    facts.wait_status = EXITED(0);
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_EXITED);
    assert_int_equal(verdict.n_met, 2);
    facts = full;
    facts.spaces[1].inodes_free = 1;
    facts.spaces[2].bytes_free = 4096;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_EXITED);
    facts = full;
    facts.cause = SB_CAUSE_TIMEOUT;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_TIMED_OUT);
    assert_int_equal(verdict.n_met, 3);
    assert_string_equal(verdict.met[0].name, "inodes");
    assert_string_equal(verdict.met[1].name, "disk");
    assert_string_equal(verdict.met[2].name, "wall");
}

static void what_init_saw_is_named_whatever_the_end(void **state)
{
    (void)state;
    struct sb_facts facts = {.has_exited = true,
                             .wait_status = EXITED(0),
                             .wall_ms = 1000,
                             .seen_bytes_full = 1U << 1 | 1U << 2,
                             .seen_inodes_full = 1U << 0,
                             .disk_limit = 4096,
                             .inodes_limit = 16,
                             .most_files = 64,
                             .files_limit = 64,
                             .most_signals = 4096,
                             .signals_limit = 4096,
                             .counters = {.version = 2, .cpu_throttled = 5}};
    static const char *const names[] = {"inodes", "disk", "open_files", "signals", "cpu"};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_EXITED);
    assert_int_equal(verdict.n_met, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(verdict.met[i].name, names[i]);
    }
    assert_string_equal(verdict.met[1].detail, "/dev/shm: all 4096 bytes used");
    facts.seen_bytes_full = facts.seen_inodes_full = 0;
    facts.most_files = 63;
    facts.most_signals = 4095;
    facts.counters.cpu_throttled = 4;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.n_met, 0);
}

static void every_limit_that_was_met_is_named(void **state)
{
    (void)state;
    struct sb_facts facts = {.has_exited = true,
                             .wait_status = SIGNALED(SIGXFSZ),
                             .stderr_dropped = 1,
                             .counters = {.version = 2, .oom_kills = 2, .pids_refused = 3}};
    static const char *const names[] = {"memory", "pids", "file_size", "output"};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.n_met, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(verdict.met[i].name, names[i]);
    }
    assert_int_equal(verdict.met[1].count, 3);
}

static void a_file_bounded_by_memory_is_not_laid_to_its_size(void **state)
{
    (void)state;
    const struct sb_facts facts = {
        .has_exited = true, .wait_status = SIGNALED(SIGXFSZ), .files_by_memory = true};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_SIGNALED);
    assert_non_null(strstr(verdict.next_step, "limits.memory_bytes"));
    assert_null(strstr(verdict.next_step, "limits.file_bytes"));
    assert_int_equal(verdict.n_met, 1);
    assert_string_equal(verdict.met[0].name, "memory");
}

static void output_left_out_does_not_hide_another_end(void **state)
{
    (void)state;
    const struct sb_facts facts = {
        .has_exited = true, .wait_status = SIGNALED(SIGSEGV), .stdout_dropped = 70};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_int_equal(verdict.kind, SB_VERDICT_SIGNALED);
    assert_int_equal(verdict.evidence[1].value, 70);
}

static void hostile_program_names_cannot_break_the_line(void **state)
{
    (void)state;
    const struct sb_facts facts = {.has_failed = true,
                                   .fail_errno = ENOENT,
                                   .fail_stage = SB_INIT_STAGE_EXEC,
                                   .program = "a\nb\033[31m"};
    struct sb_verdict verdict;
    sb_verdict_decide(&facts, &verdict);
    assert_null(strchr(verdict.message, '\n'));
    assert_null(strchr(verdict.message, '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_every_row_of_the_table),
        cmocka_unit_test(every_failure_to_start_says_what_to_do),
        cmocka_unit_test(the_limit_stands_in_the_evidence_of_a_timeout),
        cmocka_unit_test(an_exit_with_output_left_out_is_output_truncated),
        cmocka_unit_test(limits_met_in_company_are_blamed_on_whom_they_killed_only),
        cmocka_unit_test(output_that_the_worker_could_not_store_is_not_laid_to_the_limit),
        cmocka_unit_test(a_failure_with_a_full_file_system_is_disk_full),
        cmocka_unit_test(a_full_file_system_alone_is_no_verdict),
        cmocka_unit_test(what_init_saw_is_named_whatever_the_end),
        cmocka_unit_test(every_limit_that_was_met_is_named),
        cmocka_unit_test(a_file_bounded_by_memory_is_not_laid_to_its_size),
        cmocka_unit_test(output_left_out_does_not_hide_another_end),
        cmocka_unit_test(hostile_program_names_cannot_break_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
