#include "cli/security/program.h"

#include <stdint.h>

#include "cli/option.h"
#include "cli/program.h"
#include "cli/security/audit.h"
#include "cli/security/doctor.h"
#include "cli/security/keys.h"
#include "cli/security/learn.h"
#include "cli/security/lint.h"
#include "cli/verb.h"

static const char *const doctor_examples[] = {
    "What this machine gives to sandboxes of yours, and how to have the rest",
    "aisbx-security doctor",
    "The same for a worker that root starts",
    "sudo aisbx-security doctor",
    "In a script: refuse to go on without full isolation",
    "aisbx-security doctor > report.txt || exit 1",
    "The gaps alone",
    "aisbx-security doctor --json | jq '.findings[] | select(.result != \"pass\")'",
    NULL,
};
static const char *const explain_examples[] = {
    "May programs under this profile do that, and which rule says so",
    "aisbx-security profile explain strict --syscall ptrace --host pypi.org:443 --path /etc/shadow",
    NULL,
};
static const char *const learn_examples[] = {
    "The calls of a script, from three runs; writes out.json and out.yaml",
    "aisbx-security profile learn -p python-dev --runs 3 -o out.json -- python3 convert.py",
    "Without a file the list is what is printed",
    "aisbx-security profile learn true | jq -r '.syscalls[].names[]'",
    "A program that needs more than the profile's own list allows",
    "aisbx-security profile learn --open -o db.json -- ./database --self-test",
    NULL,
};
static const char *const lint_examples[] = {
    "Before a file is put where workers read it",
    "aisbx-security profile lint ./config.yaml && sudo install -m 644 config.yaml /etc/aisbx/",
    "In a script: one rule a line",
    "aisbx-security profile lint --json | jq -r '.findings[] | .result + \" \" + .rule'",
    NULL,
};
static const char *const keys_create_examples[] = {
    "A key for programs of one team, for a month",
    "aisbx-security keys create --tenant team-a --expires 30d --title 'CI of team A'",
    "Into the place where a program finds it",
    "(umask 077; aisbx-security keys create --tenant team-a > team-a.key)",
    "One that may read the records of all tenants, and do nothing",
    "aisbx-security keys create --role auditor --tenant '*'",
    "One for all workers that read this file by --keys",
    "aisbx-security keys create --tenant team-a --file keys > team-a.key",
    NULL,
};
static const char *const keys_list_examples[] = {
    "All of them",
    "aisbx-security keys list",
    "Those that nobody has used",
    "aisbx-security keys list --json | jq -r '.[] | select(.last_use_time == null) | .key_id'",
    NULL,
};
static const char *const keys_revoke_examples[] = {
    "By the id that stands in its text after aisbx_",
    "aisbx-security keys revoke mfrggzdfmztwq2lkmfrggzdfm4",
    NULL,
};
static const char *const audit_tail_examples[] = {
    "What is decided, as it is decided",
    "aisbx-security audit tail -f",
    "Programs alone, for another program to read",
    "aisbx-security audit tail -f --action exec.start --json | jq '.detail[\"exec.command.args\"]'",
    NULL,
};
static const char *const audit_query_examples[] = {
    "Who was refused in the last hour",
    "aisbx-security audit query --action auth --since 1h",
    "All about one sandbox",
    "aisbx-security audit query --sandbox sb_mfrggzdfmztwq2lkmfrggzdfm4 --json | jq '.[].action'",
    NULL,
};
static const char *const audit_export_examples[] = {
    "A day, for safe keeping",
    "aisbx-security audit export --since 1d -o audit.jsonl",
    "From a database that no worker has open",
    "aisbx-security audit export ./aisbx.db | gzip > audit.jsonl.gz",
    NULL,
};
static const char *const audit_verify_examples[] = {
    "The worker that root started, while it runs",
    "sudo aisbx-security audit verify /var/lib/aisbx/aisbx.db",
    "With a head that was noted elsewhere, so that a chain that was cut short is found, too",
    "aisbx-security audit verify --head \"$(cat /mnt/elsewhere/head)\" aisbx.db",
    NULL,
};
static const char *const completion_examples[] = {
    "For this shell",
    "source <(aisbx-security completion bash)",
    NULL,
};
static const char *const help_examples[] = {"About one verb", "aisbx-security help doctor", NULL};

static const struct sb_verb table[] = {
    {
        .name = "doctor",
        .summary = "Tell what this machine gives to sandboxes, and how to fix each gap",
        .usage = "[OPTIONS]",
        .about =
            "Asks the worker, and starts one when needed, which controls stand: it tries each one "
            "now. Then looks for the reasons in settings of this machine. Changes nothing.\n\n"
            "Each check has a result: pass; note (no wall rests on it, but it is worth a fix); "
            "warn (sandboxes run, but this wall is weaker or missing); fail (sandboxes cannot "
            "run). Below the table is the fix of each gap.\n\n"
            "Exit status: 0 when every wall is up (notes do not count), 3 when something warns, 4 "
            "when something fails, 1 when the doctor itself failed, 2 for wrong usage.",
        .examples = doctor_examples,
        .run = sb_doctor_run,
    },
    {
        .name = "profile explain",
        .summary = "Tell where each setting comes from, and what is allowed",
        .usage = "[OPTIONS] [NAME]",
        .about = SB_VERB_EXPLAIN_ABOUT,
        .groups = {&sb_option_explain, NULL},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_PROFILES,
        .examples = explain_examples,
        .run = sb_verb_profile_explain,
    },
    {
        .name = "profile learn",
        .is_local = true,
        .summary = "Find the least system calls a program needs, and prove it",
        .usage = "[OPTIONS] [--] COMMAND [ARG ...]",
        .about =
            "Runs the program in a sandbox and notes each system call that passes, from the first "
            "one of its loader on, of all its processes and threads. Writes a seccomp profile in "
            "OCI's form that allows these and nothing else, and a profile that uses it. Then runs "
            "the program again under that list alone: it must end as before.\n\n"
            "What the profile's own list refuses stays refused; a call that it allows for some "
            "arguments only is learnt for all of them, but for those that no profile can have. "
            "With --open the result may be wider, and what is wider is told. What no profile can "
            "lift (mount, ptrace, bpf and others) is refused in any case and never becomes part of "
            "a list.\n\n"
            "Runs take place on this machine, with workers of their own that end with the command; "
            "programs run several times as slowly. Standard input goes to the first run alone.\n\n"
            "Exit status: 0 when it is proved, 5 when the program ended otherwise under the list "
            "(which is written all the same), 1 when nothing could be learnt, 2 for wrong usage.",
        .groups = {&sb_option_learn, &sb_option_sandbox, &sb_option_network, &sb_option_program,
                   NULL},
        .style = SB_ARGS_COMMAND,
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "a command to learn from",
        .offer = SB_VERB_OFFERS_COMMANDS,
        .examples = learn_examples,
        .run = sb_learn_run,
    },
    {
        .name = "profile lint",
        .is_local = true,
        .summary = "Tell what is wrong or unwise in a configuration file",
        .usage = "[FILE]",
        .about =
            "Without FILE: the one that aisbx reads ($AISBX_CONFIG_PATH, "
            "~/.config/aisbx/config.yaml, /etc/aisbx/config.yaml). A worker of its own, which ends "
            "with the command, reads the file and the seccomp lists that it names; each profile is "
            "looked at with all that it inherits.\n\n"
            "Told are, with file and line: mounts of the system, of homes, of keys and of sockets; "
            "network rules that reach this machine, its network, or strangers; secrets in the "
            "environment; lists that allow more than any built-in one; files that others can "
            "change; weak drivers; limits that bound nothing.\n\n"
            "Exit status: 0 when there is nothing but notes, 3 when something warns, 4 when "
            "something is wrong, 1 when the file could not be looked at, 2 for wrong usage.",
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_FILES,
        .examples = lint_examples,
        .run = sb_lint_run,
    },
    {
        .name = "keys create",
        .summary = "Make an API key, and show it once",
        .usage = "[OPTIONS]",
        .about =
            "The worker keeps an id and a hash of it; the text is printed here and nowhere else. "
            "Callers give it as AISBX_API_KEY (aisbx), X-API-Key or Authorization: Bearer (HTTP), "
            "x-api-key (gRPC). It decides who the caller is, whatever else would. Needs role "
            "admin: root, who started the worker, or a key with that role.\n\n"
            "With --file no worker is asked. The file gets a line with the key's id and hash, "
            "role, "
            "tenant, end and title; each worker that has it (aisbx-worker --keys, in Kubernetes a "
            "Secret) then knows the key. To end such a key take its line out.",
        .groups = {&sb_option_keys, NULL},
        .examples = keys_create_examples,
        .run = sb_keys_create_run,
    },
    {
        .name = "keys list",
        .summary = "List API keys, without their text",
        .usage = "[OPTIONS]",
        .about = "Newest first, revoked and expired ones too.",
        .groups = {&sb_option_keys_list, NULL},
        .examples = keys_list_examples,
        .run = sb_keys_list_run,
    },
    {
        .name = "keys revoke",
        .summary = "End API keys at once",
        .usage = "KEY ...",
        .about =
            "By id, or by the whole text. Calls that begin afterwards are refused; streams that "
            "are open end when their exec or their client does.",
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "a key: its id, see \"aisbx-security keys list\"",
        .examples = keys_revoke_examples,
        .run = sb_keys_revoke_run,
    },
    {
        .name = "audit tail",
        .summary = "Show the newest records, and those to come",
        .usage = "[OPTIONS]",
        .about =
            "One record a line, the newest last: number, time, outcome, action, who, tenant, "
            "sandbox, exec, and detail as JSON. With --json each line is an object as \"audit "
            "export\" writes it. The worker says what the caller may see: an auditor or admin, or "
            "what the caller's own tenant did.",
        .groups = {&sb_option_audit_tail, &sb_option_audit, NULL},
        .examples = audit_tail_examples,
        .run = sb_audit_tail_run,
    },
    {
        .name = "audit query",
        .summary = "Show records of a sandbox, an action, a time",
        .usage = "[OPTIONS]",
        .about = "Newest first, in the form of \"audit tail\"; with --json a list.",
        .groups = {&sb_option_audit_query, &sb_option_audit, NULL},
        .examples = audit_query_examples,
        .run = sb_audit_query_run,
    },
    {
        .name = "audit export",
        .summary = "Write all records, one JSON object a line",
        .usage = "[OPTIONS] [FILE]",
        .about =
            "Oldest first. Without FILE they come from the worker; with it from that database "
            "(aisbx.db), without a worker. Whatever callers put into arguments, labels or names, "
            "a record is one line.",
        .groups = {&sb_option_audit_export, &sb_option_audit, NULL},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_FILES,
        .examples = audit_export_examples,
        .run = sb_audit_export_run,
    },
    {
        .name = "audit verify",
        .summary = "Tell whether the records are as they were written",
        .usage = "[OPTIONS] [FILE]",
        .about =
            "Goes along the whole chain of hashes in a database, which is only read; its worker "
            "may run. Tells how many records there are, and the head: the number and hash of the "
            "last. Without FILE: /var/lib/aisbx/aisbx.db for root, else "
            "$XDG_STATE_HOME/aisbx/aisbx.db or ~/.local/state/aisbx/aisbx.db.\n\n"
            "Who can write the database can write another chain, whole and good. Note heads where "
            "they cannot write, and name them with --head.\n\n"
            "Exit status: 0 when all are as they were written, 1 when not, with the first that is "
            "changed, missing or not the worker's, or when they could not be read, 2 for wrong "
            "usage.",
        .groups = {&sb_option_audit_verify, NULL},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_FILES,
        .is_offline = true,
        .examples = audit_verify_examples,
        .run = sb_audit_verify_run,
    },
    SB_VERBS_COMMON(completion_examples, help_examples),
    {.name = NULL},
};

static const char *const statuses[][2] = {
    {"0", "Done; doctor: every wall is up"},
    {"1", "Failed; audit verify: a record is not as it was written"},
    {"2", "Wrong usage"},
    {"3", "doctor: sandboxes run, but something is weaker than it could be; profile lint: "
          "something warns"},
    {"4", "doctor: sandboxes cannot run; profile lint: something is wrong"},
    {"5", "profile learn: the program ended otherwise under the list that was learnt"},
    {NULL, NULL},
};

static const char *const overview_examples[] = {
    "aisbx-security doctor",
    "aisbx-security profile learn -o true.json -- true",
    "aisbx-security help doctor",
    NULL,
};

static const struct sb_verb *const tables[] = {table, NULL};

const struct sb_program sb_security_program = {
    .name = "aisbx-security",
    .summary = "what an operator asks about the walls around sandboxes",
    .verbs = tables,
    .examples = overview_examples,
    .statuses = statuses,
};
