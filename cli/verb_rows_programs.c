/* Verbs that make sandboxes and run programs in them. */
#include <stdint.h>

#include "cli/option.h"
#include "cli/verb.h"
#include "cli/verb_rows.h"

static const char *const run_examples[] = {
    "Run a script; the current directory is /workspace",
    "aisbx run --profile python-dev python3 script.py",
    "At most 30 seconds and 256 MiB, and nothing less than these controls",
    "aisbx run --timeout 30s --memory 256m --require userns,seccomp -- ./untrusted --flag",
    "Data in and out by pipes, no directory bound",
    "cat data.csv | aisbx run --no-workspace awk -F, '{ n += $2 } END { print n }'",
    "Let it do what it likes to a copy of this directory, which takes no time to make",
    "aisbx run -p python-dev --workspace .:overlay sh ./clean-everything.sh",
    "With packages, installed by the profile's registries and kept for the next time",
    "aisbx run -p python-dev --packages 'requests>=2.31,numpy' python3 script.py",
    "Everything about one run as JSON",
    "aisbx run --json -p strict sh -c 'echo hello; exit 3' | jq .verdict",
    NULL,
};
static const char *const create_examples[] = {
    "Make a sandbox that lives until an hour has passed without a program",
    "id=$(aisbx create --profile node-dev --idle 1h --label project=demo)",
    NULL,
};
static const char *const exec_examples[] = {
    "Run programs in it, one after the other or at once",
    "aisbx exec \"$id\" npm test",
    "Start a server there and read its output later",
    "ex=$(aisbx exec --detach \"$id\" node server.js) && aisbx logs --follow \"$ex\"",
    "A shell on a terminal",
    "aisbx exec -it \"$id\" bash",
    NULL,
};
static const char *const ps_examples[] = {
    "What runs in a sandbox, and what ran in it",
    "aisbx ps sb_9xq2 && aisbx ps --all sb_9xq2",
    NULL,
};
static const char *const attach_examples[] = {
    "A shell that stays when you leave it by Enter ~ .",
    "ex=$(aisbx exec --detach -it sb_9xq2 bash) && aisbx attach \"$ex\"",
    "Go on where another reader stopped",
    "aisbx attach --from 1048576 ex_4m2c >>output",
    NULL,
};
static const char *const kill_examples[] = {
    "End a program with all it started",
    "aisbx kill ex_4m2c",
    "Let it write down what it has",
    "aisbx kill --signal TERM ex_4m2c",
    NULL,
};
static const char *const batch_examples[] = {
    "Judge a program: 1.in, 1.out, 2.in ... lie in tests/",
    "aisbx batch --cases tests main.cpp",
    "Until the first failure, eight at once, two seconds and 256 MiB for each",
    "aisbx batch --cases tests --fail-fast --parallel 8 --timeout 2s --memory 256m main.py",
    NULL,
};
static const char *const list_examples[] = {
    "Sandboxes of one project, the destroyed ones too",
    "aisbx list --all --label project=demo",
    "Ids alone, for scripts",
    "aisbx list --quiet | xargs -r aisbx destroy",
    NULL,
};
static const char *const logs_examples[] = {
    "Follow what a program writes",
    "aisbx logs --follow ex_4m2c",
    "The last 4 KiB of standard error of the newest program in a sandbox",
    "aisbx logs --stderr --tail 4k sb_9xq2",
    NULL,
};
static const char *const code_examples[] = {
    "The value of the last line, from a sandbox that is made for it",
    "aisbx code -c 'sum(range(10))'",
    "State that stays from one call to the next",
    "aisbx code -s sb_9xq2 -c 'x = 41' && aisbx code -s sb_9xq2 -c 'x + 1'",
    "Figures as files",
    "aisbx code -s sb_9xq2 --output-dir . plot.py",
    "A conversation, until Ctrl-D; Ctrl-C stops what runs",
    "aisbx code --language node",
    NULL,
};
static const char *const contexts_examples[] = {
    "Interpreters of a sandbox",
    "aisbx contexts sb_9xq2",
    NULL,
};

const struct sb_verb sb_verb_rows_programs[] = {
    {
        .name = "run",
        .summary = "Run a program in a new sandbox",
        .usage = "[OPTIONS] [--] COMMAND [ARGS...]",
        .about =
            "Makes a sandbox, runs one program in it and destroys it. Standard input, output and "
            "error are yours; the exit status is the program's. Options end at COMMAND.\n\n"
            "COMMAND is looked up in PATH inside, or is a path below the workspace (./tool), or an "
            "absolute path: one below the workspace is found there, any other outside the system "
            "directories is made visible read-only.\n\n"
            "Ctrl-C, SIGTERM, SIGHUP and SIGQUIT end everything the program started.",
        .groups = {&sb_option_sandbox, &sb_option_network, &sb_option_lifetime, &sb_option_program,
                   &sb_option_alone},
        .style = SB_ARGS_COMMAND,
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "a command to run",
        .offer = SB_VERB_OFFERS_COMMANDS,
        .runs_program = true,
        .examples = run_examples,
        .run = sb_verb_run,
    },
    {
        .name = "create",
        .summary = "Make a sandbox that stays, and print its id",
        .usage = "[OPTIONS]",
        .about =
            "The sandbox lives until aisbx destroy, its --ttl or its --idle. Without either it "
            "lives as long as the worker.",
        .groups = {&sb_option_sandbox, &sb_option_network, &sb_option_lifetime, &sb_option_from},
        .examples = create_examples,
        .run = sb_verb_create,
    },
    {
        .name = "exec",
        .summary = "Run a program in a sandbox that exists",
        .usage = "[OPTIONS] SANDBOX [--] COMMAND [ARGS...]",
        .about = "As aisbx run, but files and leftover processes of earlier programs are there. "
                 "Options end at COMMAND.",
        .groups = {&sb_option_program, &sb_option_alone},
        .style = SB_ARGS_IN_COMMAND,
        .min_operands = 2,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox id and a command to run",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .runs_program = true,
        .examples = exec_examples,
        .run = sb_verb_exec,
    },
    {
        .name = "attach",
        .summary = "Follow a program that runs in the background, and type to it",
        .usage = "[OPTIONS] EXEC|SANDBOX",
        .about =
            "Shows its output from --from on as it comes, to its end; the exit status is its own. "
            "A "
            "lost connection is made again where it broke off. From a terminal to a program that "
            "has one, what you type is its input; a line that begins with ~. leaves it running, "
            "and "
            "~~ is one ~. Any number may be attached at once.",
        .groups = {&sb_option_attach},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of an exec or a sandbox",
        .offer = SB_VERB_OFFERS_EITHER,
        .runs_program = true,
        .examples = attach_examples,
        .run = sb_verb_attach,
    },
    {
        .name = "ps",
        .summary = "List programs, newest first",
        .usage = "[OPTIONS] [SANDBOX]",
        .groups = {&sb_option_ps},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = ps_examples,
        .run = sb_verb_ps,
    },
    {
        .name = "kill",
        .summary = "End programs, or send them a signal",
        .usage = "[OPTIONS] EXEC...",
        .about = "Without --signal: the program with all it started; returns when nothing of it is "
                 "left. One with a terminal hangs up first.",
        .groups = {&sb_option_kill},
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "the id of an exec (aisbx ps)",
        .offer = SB_VERB_OFFERS_EXECS,
        .examples = kill_examples,
        .run = sb_verb_kill,
    },
    {
        .name = "batch",
        .summary = "Run a program for many inputs, each in a sandbox of its own",
        .usage = "[OPTIONS] --cases DIR SOURCE [ARGS...]",
        .about =
            "Compiles SOURCE once, where its language is compiled, and runs it for each NAME.in in "
            "DIR. A case passes when the program ends with status 0 and has written exactly what "
            "NAME.out (or NAME.ans) holds, if there is one. A line a case, as they end, with "
            "--json "
            "each one JSON value (JSON Lines); the exit "
            "status is 1 when one did not pass. No directory is bound, and without a profile the "
            "one of the language is taken, without network. Options end at SOURCE.",
        .groups = {&sb_option_batch, &sb_option_sandbox, &sb_option_network},
        .style = SB_ARGS_COMMAND,
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "a source file",
        .offer = SB_VERB_OFFERS_FILES,
        .examples = batch_examples,
        .run = sb_verb_batch,
    },
    {
        .name = "list",
        .summary = "List sandboxes, newest first",
        .usage = "[OPTIONS]",
        .groups = {&sb_option_list},
        .examples = list_examples,
        .run = sb_verb_list,
    },
    {
        .name = "logs",
        .summary = "Show what a program wrote",
        .usage = "[OPTIONS] EXEC|SANDBOX",
        .about = "For a sandbox, the newest program in it. Standard output goes to standard output "
                 "and standard error to standard error, byte for byte. The output of a program "
                 "started with --detach or --json is kept; any other went straight to you.",
        .groups = {&sb_option_logs},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of an exec or a sandbox",
        .offer = SB_VERB_OFFERS_EITHER,
        .examples = logs_examples,
        .run = sb_verb_logs,
    },
    {
        .name = "code",
        .summary = "Run code in an interpreter that keeps its state",
        .usage = "[OPTIONS] [FILE]",
        .about = "Python, Node or bash. Output comes as it is written, then the value of the last "
                 "expression; an error is shown with its traceback, and leaves variables as they "
                 "are. Without FILE and --code: standard input, or a conversation on a terminal. "
                 "The exit status is 0, 1 after an error, that of bash, or 124 at the time limit. "
                 "With --json each event is a line.",
        .groups = {&sb_option_code, &sb_option_sandbox},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_FILES,
        .examples = code_examples,
        .run = sb_verb_code,
    },
    {
        .name = "contexts",
        .summary = "List the interpreters of a sandbox",
        .usage = "[OPTIONS] SANDBOX",
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = contexts_examples,
        .run = sb_verb_contexts,
    },
    {.name = NULL},
};
