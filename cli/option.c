#include "cli/option.h"

#include <stdint.h>

#include "cli/args.h"
#include "proto/json/control.h"

#define AT(member) offsetof(struct sb_args, member)
#define GROUP(text, table)                                                                         \
    {                                                                                              \
        .title = (text), .rows = (table), .n = sizeof(table) / sizeof(table)[0]                    \
    }

static const char *const network_modes[] = {"none", "limited", NULL};
static const char *const drivers[] = {"native", "bwrap", "chroot", "lima", NULL};

/* Limits stand in proto/aisbx/v1/sandbox.proto, message Limits; the worker checks them again. */
static const char *const code_languages[] = {"python", "node", "bash", NULL};

static const struct sb_option code_rows[] = {
    {0, "language", SB_OPTION_TEXT, AT(language), "LANGUAGE",
     "python, node or bash; default: python", 0, 0, SB_OFFER_CHOICES, code_languages},
    {'s', "sandbox", SB_OPTION_TEXT, AT(sandbox), "SANDBOX",
     "Where to run, and what keeps its state from one call to the next; default: a sandbox that is "
     "made for this call and goes with it",
     0, 0, SB_OFFER_NOTHING, NULL},
    {0, "context", SB_OPTION_TEXT, AT(context), "CONTEXT",
     "Another interpreter than the one of the language (aisbx contexts)", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {'c', "code", SB_OPTION_ANY, AT(code), "CODE", "Run this text", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "timeout", SB_OPTION_MILLIS, AT(timeout_ms), "TIME",
     "Interrupt it after this long: 30s; default and maximum: the profile's", 1, 86400000,
     SB_OFFER_NOTHING, NULL},
    {'o', "output-dir", SB_OPTION_TEXT, AT(output_dir), "DIR",
     "Save images and HTML there: result-1.png; default: values are shown as text", 0, 0,
     SB_OFFER_DIRECTORY, NULL},
};

static const struct sb_option everywhere_rows[] = {
    {'A', "address", SB_OPTION_TEXT, AT(address), "ADDRESS",
     "Worker to use: unix:/path, dns:///host:port, ipv4:a:port; default: a worker of your own, "
     "started when needed",
     0, 0, SB_OFFER_NOTHING, NULL},
    {'v', "verbose", SB_OPTION_FLAG, AT(verbose), NULL,
     "Say on stderr what was set up, how it ended and what it used", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "json", SB_OPTION_FLAG, AT(json), NULL,
     "Print JSON on stdout instead of text: one value, or one a line where a verb says so", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'h', "help", SB_OPTION_FLAG, AT(help), NULL, "Show help with examples", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {0, "version", SB_OPTION_FLAG, AT(version), NULL, "Show the version", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option sandbox_rows[] = {
    {'p', "profile", SB_OPTION_TEXT, AT(profile), "NAME",
     "Policy to run under (aisbx profile list); default: $AISBX_DEFAULT_PROFILE, else the worker's",
     0, 0, SB_OFFER_PROFILE, NULL},
    {0, "driver", SB_OPTION_TEXT, AT(driver), "DRIVER",
     "What makes the sandbox: native, bwrap (bubblewrap), chroot (root without user namespaces: "
     "weaker), lima (a worker in a virtual machine of lima's, not in profiles); default: what the "
     "profile says",
     0, 0, SB_OFFER_CHOICES, drivers},
    {'w', "workspace", SB_OPTION_TEXT, AT(workspace), "DIR[:ro|rw|overlay]",
     "Directory seen as /workspace; default: the current one, unless that is / or your home or "
     "belongs to the system. overlay: copy-on-write, the directory stays as it is",
     0, 0, SB_OFFER_DIRECTORY, NULL},
    {0, "no-workspace", SB_OPTION_FLAG, AT(no_workspace), NULL,
     "Bind no directory; /workspace is empty and goes with the sandbox", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {0, "mount", SB_OPTION_TEXTS, AT(mounts), "SRC[:DST][:ro|rw]",
     "Make a host file or directory visible inside, read-only unless rw; may be repeated", 0, 0,
     SB_OFFER_FILE, NULL},
    {0, "memory", SB_OPTION_BYTES, AT(memory_bytes), "SIZE", "Lower the memory limit: 512m, 2g",
     4 << 20, 1ULL << 40, SB_OFFER_NOTHING, NULL},
    {0, "cpu", SB_OPTION_CPU, AT(cpu_millis), "CPUS", "Lower the CPU limit: 1, 0.5", 10, 1024000,
     SB_OFFER_NOTHING, NULL},
    {0, "pids", SB_OPTION_COUNT, AT(pids), "N", "Lower the limit of processes and threads", 1,
     1048576, SB_OFFER_NOTHING, NULL},
    {0, "disk", SB_OPTION_BYTES, AT(disk_bytes), "SIZE",
     "Lower the limit of writable space that is the sandbox's own", 64 << 10, 1ULL << 40,
     SB_OFFER_NOTHING, NULL},
    {0, "without-secret", SB_OPTION_COMMAS, AT(without_secrets), "NAME,...",
     "Leave out these secrets of the profile; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "packages", SB_OPTION_COMMAS, AT(packages), "NAME,...",
     "Packages that programs find installed: requests, numpy>=1.26,<2, npm:left-pad@1.3.0; from "
     "the "
     "registries of the profile, kept for the next time; may be repeated",
     0, 0, SB_OFFER_NOTHING, NULL},
    {0, "require", SB_OPTION_COMMAS, AT(require), "CONTROL,...",
     "Refuse to run unless these controls are enforced: " SB_CONTROL_NAMES, 0, 0, SB_OFFER_NOTHING,
     NULL},
    {'l', "label", SB_OPTION_TEXTS, AT(labels), "KEY=VALUE",
     "Label of the sandbox, for lists; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "hostname", SB_OPTION_TEXT, AT(hostname), "NAME", "Host name inside", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option lifetime_rows[] = {
    {0, "ttl", SB_OPTION_MILLIS, AT(ttl_ms), "TIME",
     "Destroy the sandbox this long after it was made", 1, 31536000000, SB_OFFER_NOTHING, NULL},
    {0, "idle", SB_OPTION_MILLIS, AT(idle_ms), "TIME",
     "Destroy the sandbox this long after its last program ended", 1, 31536000000, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option update_rows[] = {
    {0, "no-ttl", SB_OPTION_FLAG, AT(no_ttl), NULL, "Take the --ttl away", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {0, "no-idle", SB_OPTION_FLAG, AT(no_idle), NULL, "Take the --idle away", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'l', "label", SB_OPTION_TEXTS, AT(labels), "KEY=VALUE",
     "Label of the sandbox, in place of all it had; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "no-labels", SB_OPTION_FLAG, AT(no_labels), NULL, "Take all labels away", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option program_rows[] = {
    {'i', "interactive", SB_OPTION_FLAG, AT(interactive), NULL,
     "Standard input is the program's, as it is anyway; with --detach it stays open for aisbx "
     "attach",
     0, 0, SB_OFFER_NOTHING, NULL},
    {'t', "tty", SB_OPTION_FLAG, AT(tty), NULL,
     "Give the program a terminal of the sandbox's own, of the size of yours; what you type is its "
     "input, Ctrl-C included",
     0, 0, SB_OFFER_NOTHING, NULL},
    {0, "timeout", SB_OPTION_MILLIS, AT(timeout_ms), "TIME",
     "Kill the program and all it started after this long: 30s, 5m; exit status 124", 1, 86400000,
     SB_OFFER_NOTHING, NULL},
    {'e', "env", SB_OPTION_TEXTS, AT(env), "KEY[=VALUE]",
     "Set a variable, or pass yours through; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "env-file", SB_OPTION_TEXTS, AT(env_files), "FILE",
     "Read KEY=VALUE lines from a file; may be repeated", 0, 0, SB_OFFER_FILE, NULL},
    {'C', "cwd", SB_OPTION_TEXT, AT(cwd), "DIR",
     "Directory inside to start in; default: /workspace", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "workdir", SB_OPTION_TEXT, AT(cwd), "DIR", "The same as --cwd", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {'u', "user", SB_OPTION_TEXT, AT(user), "USER",
     "Who it runs as: sandbox, or that user's number inside; a sandbox has no other", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'n', "no-stdin", SB_OPTION_FLAG, AT(no_stdin), NULL,
     "Give the program an empty standard input", 0, 0, SB_OFFER_NOTHING, NULL},
    {'d', "detach", SB_OPTION_FLAG, AT(detach), NULL,
     "Start the program and leave it running; prints the id for aisbx logs", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

/* As aisbx.v1.ExecLimits has them. */
static const struct sb_option alone_rows[] = {
    {0, "output-limit", SB_OPTION_BYTES, AT(output_bytes), "SIZE",
     "Lower how much is kept of each output", 1 << 10, 1ULL << 30, SB_OFFER_NOTHING, NULL},
    {0, "cpu-time", SB_OPTION_MILLIS, AT(cpu_time_ms), "TIME",
     "End each process that has used this much processor time, in whole seconds: 10s", 1, 86400000,
     SB_OFFER_NOTHING, NULL},
    {0, "address-space", SB_OPTION_BYTES, AT(address_bytes), "SIZE",
     "Limit the address space of each process; runtimes reserve far more than they use", 1 << 20,
     1ULL << 46, SB_OFFER_NOTHING, NULL},
    {0, "open-files", SB_OPTION_COUNT, AT(open_files), "N",
     "Lower the limit of open files of each process", 16, 1048576, SB_OFFER_NOTHING, NULL},
    {0, "file-size", SB_OPTION_BYTES, AT(file_bytes), "SIZE",
     "Lower the limit of the size of a file", 4 << 10, 1ULL << 40, SB_OFFER_NOTHING, NULL},
};

static const char *const languages[] = {"python", "node", "bash", "c", "cpp",
                                        "go",     "rust", "java", NULL};

static const struct sb_option batch_rows[] = {
    {0, "cases", SB_OPTION_TEXT, AT(cases), "DIR",
     "Folder with NAME.in and NAME.out of each case; no more than 1 MiB each", 0, 0,
     SB_OFFER_DIRECTORY, NULL},
    {0, "language", SB_OPTION_TEXT, AT(language), "LANGUAGE",
     "python, node, bash, c, cpp, go, rust or java; default: by the name of SOURCE", 0, 0,
     SB_OFFER_CHOICES, languages},
    {'j', "parallel", SB_OPTION_COUNT, AT(parallel), "N",
     "Cases at once; default: the worker's processors", 1, 64, SB_OFFER_NOTHING, NULL},
    {0, "fail-fast", SB_OPTION_FLAG, AT(fail_fast), NULL, "Stop at the first case that fails", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {0, "timeout", SB_OPTION_MILLIS, AT(timeout_ms), "TIME", "For each case: 2s, 500ms", 1,
     86400000, SB_OFFER_NOTHING, NULL},
    {0, "compile-timeout", SB_OPTION_MILLIS, AT(compile_timeout_ms), "TIME", "For the compiler", 1,
     86400000, SB_OFFER_NOTHING, NULL},
    {'e', "env", SB_OPTION_TEXTS, AT(env), "KEY[=VALUE]",
     "Set a variable, or pass yours through; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the cases that fail", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

/* Offered by shells; the verb checks each of the list. */
static const char *const states[] = {"starting", "running",   "paused",
                                     "stopping", "destroyed", NULL};

static const struct sb_option list_rows[] = {
    {'a', "all", SB_OPTION_FLAG, AT(all), NULL,
     "Destroyed sandboxes too, while they are remembered", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "state", SB_OPTION_COMMAS, AT(states), "STATE,...",
     "Only those in one of these states: starting, running, paused, stopping, destroyed", 0, 0,
     SB_OFFER_CHOICES, states},
    {'l', "label", SB_OPTION_TEXTS, AT(labels), "KEY=VALUE",
     "Only those with this label; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
    {'p', "profile", SB_OPTION_TEXT, AT(profile), "NAME", "Only those of this profile", 0, 0,
     SB_OFFER_PROFILE, NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the ids, one a line", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option logs_rows[] = {
    {'f', "follow", SB_OPTION_FLAG, AT(follow), NULL, "Go on until the program ends", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {0, "tail", SB_OPTION_BYTES, AT(tail_bytes), "SIZE",
     "Only the last bytes of each stream: 500, 64k", 1, 1ULL << 30, SB_OFFER_NOTHING, NULL},
    {0, "stdout", SB_OPTION_FLAG, AT(only_stdout), NULL, "Only standard output", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {0, "stderr", SB_OPTION_FLAG, AT(only_stderr), NULL, "Only standard error", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option ps_rows[] = {
    {'a', "all", SB_OPTION_FLAG, AT(all), NULL, "Ended ones too, while they are remembered", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the ids, one a line", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option profile_list_rows[] = {
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the names, one a line", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option attach_rows[] = {
    {0, "from", SB_OPTION_BYTES, AT(from_bytes), "OFFSET",
     "First byte of standard output, and of a terminal; default: 0", 0, UINT64_MAX >> 1,
     SB_OFFER_NOTHING, NULL},
    {0, "from-stderr", SB_OPTION_BYTES, AT(from_stderr_bytes), "OFFSET",
     "First byte of standard error; default: 0", 0, UINT64_MAX >> 1, SB_OFFER_NOTHING, NULL},
    {'i', "interactive", SB_OPTION_FLAG, AT(interactive), NULL,
     "Send it our standard input, as is done anyway from terminal to terminal", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'n', "no-stdin", SB_OPTION_FLAG, AT(no_stdin), NULL, "Only look", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option kill_rows[] = {
    {'s', "signal", SB_OPTION_TEXT, AT(signal), "SIGNAL",
     "Send this signal to the main process and return: TERM, SIGINT, 10", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {0, "tree", SB_OPTION_FLAG, AT(tree), NULL, "Send it to every process of the program", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option cp_rows[] = {
    {'r', "recursive", SB_OPTION_FLAG, AT(recursive), NULL, "Directories too, with all below them",
     0, 0, SB_OFFER_NOTHING, NULL},
    {0, "tar", SB_OPTION_FLAG, AT(tar), NULL,
     "A directory as a tar archive on standard output, or one from standard input; links, modes, "
     "times and holes are kept",
     0, 0, SB_OFFER_NOTHING, NULL},
};

static const struct sb_option grep_rows[] = {
    {'g', "glob", SB_OPTION_TEXT, AT(glob), "GLOB",
     "Only files whose name matches: '*.py'; with a slash, whose path below does: 'src/**'", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'i', "ignore-case", SB_OPTION_FLAG, AT(ignore_case), NULL, "Upper and lower case alike", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'m', "max", SB_OPTION_COUNT, AT(limit), "N", "Stop after this many lines; default: 10000", 1,
     10000, SB_OFFER_NOTHING, NULL},
};

static const struct sb_option watch_rows[] = {
    {'r', "recursive", SB_OPTION_FLAG, AT(recursive), NULL, "All directories below it, too", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option ls_rows[] = {
    {'r', "recursive", SB_OPTION_FLAG, AT(recursive), NULL, "All below, down to 64 levels", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the paths, one a line", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option network_rows[] = {
    {0, "network", SB_OPTION_TEXT, AT(network), "MODE",
     "none: no network; limited: what the profile allows", 0, 0, SB_OFFER_CHOICES, network_modes},
    {0, "allow-host", SB_OPTION_COMMAS, AT(allow_hosts), "RULE,...",
     "Of what the profile allows, only this: host, *.host, host:port, address or CIDR range; may "
     "be "
     "repeated",
     0, 0, SB_OFFER_NOTHING, NULL},
    {0, "deny-host", SB_OPTION_COMMAS, AT(deny_hosts), "RULE,...",
     "Not this, though the profile allows it; may be repeated", 0, 0, SB_OFFER_NOTHING, NULL},
};

static const struct sb_option destroy_rows[] = {
    {'a', "all", SB_OPTION_FLAG, AT(all), NULL, "Every live sandbox of yours", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option from_rows[] = {
    {0, "snapshot", SB_OPTION_TEXT, AT(snapshot), "SNAPSHOT",
     "Begin with what was in /workspace and /tmp when that was taken", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option snapshot_rows[] = {
    {0, "title", SB_OPTION_ANY, AT(title), "TEXT", "What it is, for people", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option snapshots_rows[] = {
    {0, "delete", SB_OPTION_FLAG, AT(forget), NULL,
     "Forget the snapshots that are named; sandboxes made from them go on", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the ids, one a line", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option diff_rows[] = {
    {0, "tar", SB_OPTION_FLAG, AT(tar), NULL,
     "An archive of what was made and changed on standard output; what was removed is an empty "
     "file "
     ".wh.NAME, as in layers of OCI images",
     0, 0, SB_OFFER_NOTHING, NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "Only the paths, one a line", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option commit_rows[] = {
    {'n', "dry-run", SB_OPTION_FLAG, AT(dry_run), NULL, "Say what would change, and change nothing",
     0, 0, SB_OFFER_NOTHING, NULL},
    {'q', "quiet", SB_OPTION_FLAG, AT(quiet), NULL, "No line for each change", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option fork_rows[] = {
    {'n', "count", SB_OPTION_COUNT, AT(count), "N", "How many; else one", 1, 256, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option explain_rows[] = {
    {0, "syscall", SB_OPTION_COMMAS, AT(syscalls), "NAME,...",
     "Say whether programs may make this system call, by which list, and what would allow it; may "
     "be repeated",
     0, 0, SB_OFFER_NOTHING, NULL},
    {0, "host", SB_OPTION_COMMAS, AT(hosts), "HOST[:PORT],...",
     "The same for a destination; without a port: 443", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "path", SB_OPTION_TEXTS, AT(paths), "PATH",
     "Say whether this path inside can be written, only read, or is hidden", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option learn_rows[] = {
    {'o', "output", SB_OPTION_TEXT, AT(output), "FILE",
     "Write the list there, and beside it, as FILE with .yaml at its end, a profile that uses it; "
     "default: the list goes to standard output, and what the program prints to standard error",
     0, 0, SB_OFFER_FILE, NULL},
    {0, "runs", SB_OPTION_COUNT, AT(runs), "N",
     "Learn from this many runs together, for programs that do not do the same every time; "
     "default: 1",
     1, 100, SB_OFFER_NOTHING, NULL},
    {0, "open", SB_OPTION_FLAG, AT(open), NULL,
     "While learning allow every call that no profile is refused, not only those of the profile's "
     "list: for programs that you trust and that need more",
     0, 0, SB_OFFER_NOTHING, NULL},
};

static const char *const role_choices[] = {"user", "admin", "auditor", NULL};

#define TENANT_ROW(help_)                                                                          \
    {                                                                                              \
        0, "tenant", SB_OPTION_TEXT, AT(tenant), "NAME", (help_), 0, 0, SB_OFFER_NOTHING, NULL     \
    }

static const struct sb_option keys_rows[] = {
    {0, "role", SB_OPTION_TEXT, AT(role), "ROLE",
     "What its bearer may do: user (sandboxes of its tenant), auditor (look, and read no output), "
     "admin (everything); default: user",
     0, 0, SB_OFFER_CHOICES, role_choices},
    TENANT_ROW("Whose sandboxes it sees: a-z, 0-9 and \"-\"; \"*\" for an auditor of all"),
    {0, "title", SB_OPTION_ANY, AT(title), "TEXT", "What it is for", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "expires", SB_OPTION_TEXT, AT(expires), "TIME", "When it ends: 30d, 12h; default: never", 0,
     0, SB_OFFER_NOTHING, NULL},
    {0, "file", SB_OPTION_TEXT, AT(file), "FILE",
     "Ask no worker: add what a worker needs to know of it, and not the key, to this file, which "
     "workers read by --keys",
     0, 0, SB_OFFER_FILE, NULL},
};

static const struct sb_option keys_list_rows[] = {
    TENANT_ROW("Only keys of this tenant"),
};

static const struct sb_option audit_rows[] = {
    {0, "sandbox", SB_OPTION_TEXT, AT(sandbox), "ID", "Only of this sandbox, by its whole id", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {0, "action", SB_OPTION_TEXT, AT(action), "ACTION",
     "Only this action and those below it: exec.start; exec finds all that begin with \"exec.\"", 0,
     0, SB_OFFER_NOTHING, NULL},
    {0, "since", SB_OPTION_TEXT, AT(since), "TIME",
     "Not before: 2026-01-31T23:59:59Z, or how long ago: 10m, 2d", 0, 0, SB_OFFER_NOTHING, NULL},
    {0, "until", SB_OPTION_TEXT, AT(until), "TIME", "Before that time, in the same form", 0, 0,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option audit_tail_rows[] = {
    {'f', "follow", SB_OPTION_FLAG, AT(follow), NULL,
     "Go on with what is written from now on, until interrupted", 0, 0, SB_OFFER_NOTHING, NULL},
    {'n', "lines", SB_OPTION_COUNT, AT(lines), "N", "This many of the newest; default: 10", 1, 1000,
     SB_OFFER_NOTHING, NULL},
};

static const struct sb_option audit_query_rows[] = {
    {0, "limit", SB_OPTION_COUNT, AT(limit), "N", "At most this many; default: 100", 1, 1000000,
     SB_OFFER_NOTHING, NULL},
};

static const char *const audit_formats[] = {"jsonl", NULL};

static const struct sb_option audit_export_rows[] = {
    {0, "format", SB_OPTION_TEXT, AT(format), "FORMAT",
     "jsonl: one JSON object a line; the default", 0, 0, SB_OFFER_CHOICES, audit_formats},
    {'o', "output", SB_OPTION_TEXT, AT(output), "FILE",
     "Write there, for its owner alone; default: standard output", 0, 0, SB_OFFER_FILE, NULL},
};

static const struct sb_option audit_verify_rows[] = {
    {0, "head", SB_OPTION_TEXTS, AT(heads), "NUMBER:HASH",
     "A record that was noted elsewhere (the worker's log has them as \"audit head\") must be in "
     "the chain; may be repeated",
     0, 0, SB_OFFER_NOTHING, NULL},
};

static const struct sb_option mcp_rows[] = {
    {0, "project", SB_OPTION_FLAG, AT(project), NULL,
     "Only for the project in the current directory, not for you everywhere", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {0, "file", SB_OPTION_TEXT, AT(file), "FILE", "Change this file instead of the usual one", 0, 0,
     SB_OFFER_FILE, NULL},
    {0, "name", SB_OPTION_TEXT, AT(name), "NAME", "Name of the entry; default: aisbx", 0, 0,
     SB_OFFER_NOTHING, NULL},
    {'n', "dry-run", SB_OPTION_FLAG, AT(dry_run), NULL, "Say what would change, and change nothing",
     0, 0, SB_OFFER_NOTHING, NULL},
};

static const struct sb_option mcp_install_rows[] = {
    {'p', "profile", SB_OPTION_TEXT, AT(profile), "NAME",
     "Policy for what the model runs; default: the worker's", 0, 0, SB_OFFER_PROFILE, NULL},
    {'e', "env", SB_OPTION_TEXTS, AT(env), "KEY=VALUE",
     "Set a variable for aisbx-mcp, as AISBX_API_KEY; may be repeated", 0, 0, SB_OFFER_NOTHING,
     NULL},
};

static const struct sb_option expose_rows[] = {
    {0, "title", SB_OPTION_ANY, AT(title), "TEXT", "What it is, for people", 0, 0, SB_OFFER_NOTHING,
     NULL},
    {0, "share", SB_OPTION_MILLIS, AT(share_ms), "TIME",
     "Print a path for browsers instead, which opens the port to whoever has it for so long: 1h",
     1000, 86400000, SB_OFFER_NOTHING, NULL},
};

static const struct sb_option port_forward_rows[] = {
    {0, "bind", SB_OPTION_TEXT, AT(bind), "ADDRESS",
     "Listen on this IPv4 or IPv6 address of this machine; default: 127.0.0.1. Whoever can connect "
     "there reaches the sandbox",
     0, 0, SB_OFFER_NOTHING, NULL},
};

const struct sb_option_group sb_option_everywhere = GROUP("Options everywhere", everywhere_rows);
const struct sb_option_group sb_option_sandbox = GROUP("Options of the sandbox", sandbox_rows);
const struct sb_option_group sb_option_lifetime = GROUP("Options of its lifetime", lifetime_rows);
const struct sb_option_group sb_option_update = GROUP("Options of the change", update_rows);
const struct sb_option_group sb_option_program = GROUP("Options of the program", program_rows);
const struct sb_option_group sb_option_alone = GROUP("Limits of the program alone", alone_rows);
const struct sb_option_group sb_option_ps = GROUP("Options", ps_rows);
const struct sb_option_group sb_option_profile_list = GROUP("Options", profile_list_rows);
const struct sb_option_group sb_option_attach = GROUP("Options", attach_rows);
const struct sb_option_group sb_option_kill = GROUP("Options", kill_rows);
const struct sb_option_group sb_option_batch = GROUP("Options of the cases", batch_rows);
const struct sb_option_group sb_option_code = GROUP("Options", code_rows);
const struct sb_option_group sb_option_list = GROUP("Options", list_rows);
const struct sb_option_group sb_option_cp = GROUP("Options", cp_rows);
const struct sb_option_group sb_option_ls = GROUP("Options", ls_rows);
const struct sb_option_group sb_option_grep = GROUP("Options", grep_rows);
const struct sb_option_group sb_option_watch = GROUP("Options", watch_rows);
const struct sb_option_group sb_option_logs = GROUP("Options", logs_rows);
const struct sb_option_group sb_option_destroy = GROUP("Options", destroy_rows);
const struct sb_option_group sb_option_expose = GROUP("Options", expose_rows);
const struct sb_option_group sb_option_port_forward = GROUP("Options", port_forward_rows);
const struct sb_option_group sb_option_network = GROUP("Options of its network", network_rows);
const struct sb_option_group sb_option_learn = GROUP("Options", learn_rows);
const struct sb_option_group sb_option_from = GROUP("Options of its beginning", from_rows);
const struct sb_option_group sb_option_snapshot = GROUP("Options", snapshot_rows);
const struct sb_option_group sb_option_snapshots = GROUP("Options", snapshots_rows);
const struct sb_option_group sb_option_diff = GROUP("Options", diff_rows);
const struct sb_option_group sb_option_commit = GROUP("Options", commit_rows);
const struct sb_option_group sb_option_fork = GROUP("Options", fork_rows);
const struct sb_option_group sb_option_explain = GROUP("Questions", explain_rows);
const struct sb_option_group sb_option_keys = GROUP("Options of the key", keys_rows);
const struct sb_option_group sb_option_keys_list = GROUP("Options", keys_list_rows);
const struct sb_option_group sb_option_audit = GROUP("Which records", audit_rows);
const struct sb_option_group sb_option_audit_tail = GROUP("Options", audit_tail_rows);
const struct sb_option_group sb_option_audit_query = GROUP("Options", audit_query_rows);
const struct sb_option_group sb_option_audit_export = GROUP("Options", audit_export_rows);
const struct sb_option_group sb_option_audit_verify = GROUP("Options", audit_verify_rows);
const struct sb_option_group sb_option_mcp = GROUP("Options", mcp_rows);
const struct sb_option_group sb_option_mcp_install =
    GROUP("Options of the entry", mcp_install_rows);
