#include "cli/verb.h"

#include "cli/program.h"
#include "cli/verb_rows.h"

static const char *const completion_examples[] = {
    "For this shell",
    "source <(aisbx completion bash)",
    "For every fish shell",
    "aisbx completion fish > ~/.config/fish/completions/aisbx.fish",
    NULL,
};
static const char *const help_examples[] = {"About one verb", "aisbx help run", NULL};

static const struct sb_verb common[] = {
    SB_VERBS_COMMON(completion_examples, help_examples),
    {.name = NULL},
};

static const struct sb_verb *const tables[] = {
    sb_verb_rows_programs,
    sb_verb_rows_files,
    sb_verb_rows_network,
    sb_verb_rows_states,
    sb_verb_rows_setup,
    common,
    NULL,
};

static const char *const statuses[][2] = {
    {"0..123", "run, exec: the program's own; other verbs: 0 done, 1 failed, 2 wrong usage"},
    {"124", "The program ran longer than its limit"},
    {"125", "The sandbox or the worker failed, or the command line is wrong"},
    {"126", "The command was found but cannot be executed"},
    {"127", "The command was not found"},
    {"128+N", "Signal N ended the program, or aisbx (130: Ctrl-C)"},
    {NULL, NULL},
};

static const char *const overview_examples[] = {
    "aisbx run --profile python-dev python3 script.py",
    "aisbx help run",
    NULL,
};

const struct sb_program sb_verb_aisbx = {
    .name = "aisbx",
    .summary = "run programs that a machine wrote in a sandbox",
    .verbs = tables,
    .examples = overview_examples,
    .statuses = statuses,
};
