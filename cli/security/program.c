#include "cli/security/program.h"

#include "cli/program.h"
#include "cli/security/doctor.h"
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
        .name = "completion",
        .summary = "Print a completion script",
        .usage = "bash|zsh|fish",
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a shell: bash, zsh or fish",
        .offer = SB_VERB_OFFERS_SHELLS,
        .examples = completion_examples,
        .is_offline = true,
        .run = sb_verb_completion,
    },
    {
        .name = "version",
        .summary = "Print the version",
        .usage = "",
        .is_offline = true,
        .run = sb_verb_version,
    },
    {
        .name = "help",
        .summary = "Show help",
        .usage = "[VERB]",
        .max_operands = 2,
        .offer = SB_VERB_OFFERS_VERBS,
        .examples = help_examples,
        .is_offline = true,
        .run = sb_verb_help,
    },
    {
        .name = "man",
        .summary = "Print the generated parts of the manual page",
        .usage = "",
        .is_hidden = true,
        .is_offline = true,
        .run = sb_verb_man,
    },
    {.name = NULL},
};

static const char *const statuses[][2] = {
    {"0", "Done; doctor: every wall is up"},
    {"1", "Failed"},
    {"2", "Wrong usage"},
    {"3", "doctor: sandboxes run, but something is weaker than it could be"},
    {"4", "doctor: sandboxes cannot run"},
    {NULL, NULL},
};

static const char *const overview_examples[] = {
    "aisbx-security doctor",
    "aisbx-security help doctor",
    NULL,
};

const struct sb_program sb_security_program = {
    .name = "aisbx-security",
    .summary = "what an operator asks about the walls around sandboxes",
    .verbs = table,
    .examples = overview_examples,
    .statuses = statuses,
};
