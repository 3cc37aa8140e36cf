#include "cli/verb.h"

#include <stdint.h>

#include "cli/option.h"
#include "cli/program.h"

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
static const char *const cp_examples[] = {
    "A file in, and a result out",
    "aisbx cp data.csv sb_9xq2:/tmp/ && aisbx cp sb_9xq2:/workspace/plot.png .",
    "A directory with all below it",
    "aisbx cp -r ./src sb_9xq2:src",
    "From and to pipes",
    "make-data | aisbx cp - sb_9xq2:data && aisbx cp sb_9xq2:log.txt - | less",
    "A tree with links, modes and times, as an archive",
    "aisbx cp --tar sb_9xq2:/workspace - > tree.tar && aisbx cp --tar - sb_c41:/tmp < tree.tar",
    NULL,
};
static const char *const ls_examples[] = {
    "What is in /workspace, and in a tree",
    "aisbx ls sb_9xq2 && aisbx ls -r sb_9xq2:/tmp",
    NULL,
};
static const char *const expose_examples[] = {
    "Let callers reach a server in a sandbox through the gateway",
    "aisbx exec --detach \"$id\" python3 -m http.server 8080 && aisbx expose \"$id\" 8080",
    "A link for a browser, good for an hour",
    "aisbx expose --share 1h \"$id\" 8080",
    NULL,
};
static const char *const ports_examples[] = {
    "What can be reached, and by how many connections it is",
    "aisbx ports sb_9xq2",
    NULL,
};
static const char *const unexpose_examples[] = {
    "Close it again",
    "aisbx unexpose sb_9xq2 8080",
    NULL,
};
static const char *const port_forward_examples[] = {
    "http://127.0.0.1:9000 leads to port 8080 in the sandbox, until Ctrl-C",
    "aisbx port-forward sb_9xq2 9000:8080",
    "Two ports, the first by whatever number is free here",
    "aisbx port-forward sb_9xq2 0:5432 8888",
    NULL,
};
static const char *const grep_examples[] = {
    "Lines of Python files below /workspace",
    "aisbx grep -g '*.py' 'def +main' sb_9xq2",
    NULL,
};
static const char *const watch_examples[] = {
    "What changes below a directory, as it happens",
    "aisbx watch -r sb_9xq2:src",
    NULL,
};
static const char *const network_examples[] = {
    "What a sandbox may reach",
    "aisbx network sb_9xq2",
    "One registry only",
    "aisbx network --allow-host pypi.org:443,files.pythonhosted.org:443 sb_9xq2",
    "Nothing, and later all that the profile allows",
    "aisbx network --network none sb_9xq2 && aisbx network --network limited sb_9xq2",
    NULL,
};
static const char *const update_examples[] = {
    "Another hour from now, whatever it had before",
    "aisbx update --ttl 1h sb_9xq2",
    "Keep it until it is destroyed, under another label",
    "aisbx update --no-ttl --no-idle --label state=kept sb_9xq2",
    NULL,
};
static const char *const pause_examples[] = {
    "Give the processors back for the night, and lose nothing",
    "aisbx list --quiet --label project=demo | xargs -r aisbx pause",
    NULL,
};
static const char *const resume_examples[] = {
    "Let it run on",
    "aisbx resume sb_9xq2",
    NULL,
};
static const char *const snapshot_examples[] = {
    "Keep what a sandbox has written, and come back to it",
    "sn=$(aisbx snapshot sb_9xq2 --title installed) && aisbx rollback sb_9xq2 \"$sn\"",
    NULL,
};
static const char *const snapshots_examples[] = {
    "What is kept, and how much of it",
    "aisbx snapshots",
    "Forget all that were taken of one sandbox",
    "aisbx snapshots --quiet sb_9xq2 | xargs -r aisbx snapshots --delete",
    NULL,
};
static const char *const fork_examples[] = {
    "Try eight ways from one state",
    "for sb in $(aisbx fork sb_9xq2 --count 8); do aisbx exec --detach \"$sb\" ./try.sh; done",
    NULL,
};
static const char *const diff_examples[] = {
    "What programs have made, changed and removed",
    "aisbx diff sb_9xq2",
    "Since a snapshot, the paths alone",
    "aisbx diff --quiet sb_9xq2 sn_4m2c",
    "As an archive",
    "aisbx diff --tar sb_9xq2 > changes.tar",
    NULL,
};
static const char *const commit_examples[] = {
    "Try something in a copy of this directory, look, and keep it",
    "id=$(aisbx create -p python-dev -w .:overlay) && aisbx exec \"$id\" make && aisbx commit -n "
    "\"$id\" && aisbx commit \"$id\"",
    "Keep what is below one directory alone",
    "aisbx commit sb_9xq2 src",
    NULL,
};
static const char *const rollback_examples[] = {
    "Undo what happened since",
    "aisbx rollback sb_9xq2 sn_4m2c",
    NULL,
};
static const char *const destroy_examples[] = {
    "By id, or by the beginning of an id",
    "aisbx destroy sb_9xq2 sb_c41",
    "All of yours",
    "aisbx destroy --all",
    NULL,
};
static const char *const profile_list_examples[] = {
    "Built-in ones and those of your config.yaml",
    "aisbx profile list",
    NULL,
};
static const char *const profile_show_examples[] = {
    "What it comes to, with all it inherits",
    "aisbx profile show strict",
    NULL,
};
static const char *const profile_explain_examples[] = {
    "Every setting, the profile and line that says it, and what it means",
    "aisbx profile explain python-dev",
    "May programs do that, which rule says so, and what would allow it",
    "aisbx profile explain strict --syscall ptrace,clone --host pypi.org:443 --path /workspace/x",
    NULL,
};
static const char *const profile_validate_examples[] = {
    "Check a file before you use it",
    "aisbx profile validate ./config.yaml",
    "Check standard input",
    "aisbx profile validate - < config.yaml",
    NULL,
};
static const char *const packages_list_examples[] = {
    "What --packages has installed, for whom, and whether it is in use",
    "aisbx packages list",
    NULL,
};
static const char *const packages_prune_examples[] = {
    "All of yours, so that the next run gets the newest versions",
    "aisbx packages prune",
    "Those of one install",
    "aisbx packages prune pk_4m2c",
    NULL,
};
static const char *const worker_info_examples[] = {
    "Which controls this machine really gives",
    "aisbx worker info",
    NULL,
};
static const char *const worker_stop_examples[] = {
    "End the worker that aisbx started for you; its sandboxes end with it",
    "aisbx worker stop",
    NULL,
};
static const char *const mcp_install_examples[] = {
    "See what would change for Claude Desktop",
    "aisbx mcp install --dry-run claude",
    "Do it, under a profile",
    "aisbx mcp install --profile python-dev claude",
    "For everybody who opens this project in VS Code",
    "aisbx mcp install --project vscode",
    NULL,
};
static const char *const mcp_uninstall_examples[] = {
    "Undo it",
    "aisbx mcp uninstall claude",
    NULL,
};
static const char *const completion_examples[] = {
    "For this shell",
    "source <(aisbx completion bash)",
    "For every fish shell",
    "aisbx completion fish > ~/.config/fish/completions/aisbx.fish",
    NULL,
};
static const char *const help_examples[] = {"About one verb", "aisbx help run", NULL};

static const struct sb_verb table[] = {
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
            "NAME.out (or NAME.ans) holds, if there is one. A line a case, as they end; the exit "
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
    {
        .name = "cp",
        .summary = "Copy files into a sandbox and out of it",
        .usage = "[OPTIONS] SRC DST",
        .about =
            "One of both is SANDBOX:PATH; a path that does not begin with / is below "
            "/workspace. Into a directory that is there, a copy goes by its own name. - is "
            "standard input or output. A file appears when all of it has arrived. A tree "
            "goes as one archive; modes and times of its files are kept, links and special files "
            "are left out, which is said. It is done with the rights and within the limits of the "
            "sandbox's programs.",
        .groups = {&sb_option_cp},
        .min_operands = 2,
        .max_operands = 2,
        .wants = "a source and a destination, one of them SANDBOX:PATH",
        .offer = SB_VERB_OFFERS_PLACES,
        .examples = cp_examples,
        .run = sb_verb_cp,
    },
    {
        .name = "ls",
        .summary = "List files of a sandbox",
        .usage = "[OPTIONS] SANDBOX[:PATH]",
        .about = "Without PATH: /workspace. A path that does not begin with / is below it.",
        .groups = {&sb_option_ls},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a sandbox, or SANDBOX:PATH",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = ls_examples,
        .run = sb_verb_ls,
    },
    {
        .name = "grep",
        .summary = "Search the text of files of a sandbox",
        .usage = "[OPTIONS] PATTERN SANDBOX[:PATH]",
        .about = "PATTERN is a POSIX extended regular expression over bytes; \\w, \\s, \\d and "
                 "\\b are known, too. Files that are no text are left out, and what lies "
                 "more than 64 directories deep. Exit status 1: no line "
                 "matches, 2: it failed. Without PATH: /workspace.",
        .groups = {&sb_option_grep},
        .min_operands = 2,
        .max_operands = 2,
        .wants = "a pattern and a sandbox, or SANDBOX:PATH",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = grep_examples,
        .failed = SB_STATUS_USAGE,
        .run = sb_verb_grep,
    },
    {
        .name = "watch",
        .summary = "Tell what changes in a directory",
        .usage = "[OPTIONS] SANDBOX[:PATH]",
        .about =
            "A line each: created, changed or removed, and the path; overflow: some were lost. "
            "It begins with \"watching\", when what happens from then on is told, and goes on "
            "until it is interrupted or the directory is gone. Without PATH: /workspace.",
        .groups = {&sb_option_watch},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a sandbox, or SANDBOX:PATH",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = watch_examples,
        .run = sb_verb_watch,
    },
    {
        .name = "expose",
        .summary = "Let callers reach a port of a sandbox",
        .usage = "[OPTIONS] SANDBOX PORT",
        .about = "A program inside may listen there now or later, on 127.0.0.1 or ::1. Prints the "
                 "path at which the gateway (aisbx-mcp) passes HTTP and WebSocket on to it, for "
                 "callers of the sandbox's tenant. Ports that are not exposed cannot be reached.",
        .groups = {&sb_option_expose},
        .min_operands = 2,
        .max_operands = 2,
        .wants = "a sandbox and a port",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = expose_examples,
        .run = sb_verb_expose,
    },
    {
        .name = "ports",
        .summary = "List the exposed ports of a sandbox",
        .usage = "SANDBOX",
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = ports_examples,
        .run = sb_verb_ports,
    },
    {
        .name = "unexpose",
        .summary = "Let nobody reach ports of a sandbox any more",
        .usage = "SANDBOX PORT...",
        .about = "Open connections are closed.",
        .min_operands = 2,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox and a port",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = unexpose_examples,
        .run = sb_verb_unexpose,
    },
    {
        .name = "port-forward",
        .summary = "Reach ports of a sandbox as if they were here",
        .usage = "[OPTIONS] SANDBOX [LOCAL:]PORT...",
        .about = "Listens here, and carries each connection to that port inside, until Ctrl-C or "
                 "the end of the sandbox. LOCAL is the same number unless it is given; 0 picks "
                 "one. A port that is not exposed is, for as long. The worker may be on another "
                 "machine.",
        .groups = {&sb_option_port_forward},
        .min_operands = 2,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox and a port",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = port_forward_examples,
        .run = sb_verb_port_forward,
    },
    {
        .name = "network",
        .summary = "Show or change what a sandbox may reach",
        .usage = "[OPTIONS] SANDBOX",
        .about = "Without options shows the rules in force. With options replaces them, within the "
                 "sandbox's profile, and returns when no connection is left that they forbid. "
                 "Only a sandbox that was made with a limited network can have one.",
        .groups = {&sb_option_network},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = network_examples,
        .run = sb_verb_network,
    },
    {
        .name = "update",
        .summary = "Change how long a sandbox lives, or its labels",
        .usage = "OPTIONS SANDBOX",
        .about = "Times count from now. Labels that are given take the place of all it had.",
        .groups = {&sb_option_lifetime, &sb_option_update},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a sandbox id",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = update_examples,
        .run = sb_verb_update,
    },
    {
        .name = "pause",
        .summary = "Freeze everything in sandboxes",
        .usage = "SANDBOX...",
        .about = "Returns when no process of them runs. Memory and files stay. Programs that are "
                 "started meanwhile wait, and the --timeout of those that run stands still; --ttl "
                 "runs on. Files are reached again after aisbx resume. The worker needs a control "
                 "group for it: one of root's, or in a delegated group.",
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox id",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = pause_examples,
        .run = sb_verb_pause,
    },
    {
        .name = "resume",
        .summary = "Let paused sandboxes run on",
        .usage = "SANDBOX...",
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "a sandbox id",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = resume_examples,
        .run = sb_verb_resume,
    },
    {
        .name = "snapshot",
        .summary = "Keep what a sandbox has written, and print the snapshot's id",
        .usage = "[OPTIONS] SANDBOX",
        .about =
            "What is in /workspace and /tmp; not programs, /dev/shm, or directories of the host, "
            "of "
            "which one that is copy-on-write has its changes kept. "
            "Programs are stopped meanwhile and go on. Snapshots live in memory, and end with the "
            "worker. Of a sandbox that began with a snapshot only what changed since is copied.",
        .groups = {&sb_option_snapshot},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = snapshot_examples,
        .run = sb_verb_snapshot,
    },
    {
        .name = "snapshots",
        .summary = "List snapshots, newest first, or forget some",
        .usage = "[OPTIONS] [SANDBOX]",
        .groups = {&sb_option_snapshots},
        .max_operands = SIZE_MAX,
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = snapshots_examples,
        .run = sb_verb_snapshots,
    },
    {
        .name = "fork",
        .summary = "Make sandboxes that begin as this one, and print their ids",
        .usage = "[OPTIONS] SANDBOX",
        .about = "They share what is in /workspace and /tmp until they change it, and have the "
                 "profile, limits, environment, labels and network rules of this one. Programs "
                 "that run in it are not copied. All are made, or none.",
        .groups = {&sb_option_fork},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = fork_examples,
        .run = sb_verb_fork,
    },
    {
        .name = "diff",
        .summary = "List what changed in a sandbox",
        .usage = "[OPTIONS] SANDBOX [SNAPSHOT]",
        .about =
            "Since that snapshot; without one, since what the sandbox began with. Of /workspace "
            "and /tmp, but not of directories of the host unless copy-on-write (--workspace "
            "DIR:overlay): A is made, M changed, D removed. "
            "Contents are compared, not times.",
        .groups = {&sb_option_diff},
        .min_operands = 1,
        .max_operands = 2,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SNAPSHOTS,
        .examples = diff_examples,
        .run = sb_verb_diff,
    },
    {
        .name = "commit",
        .summary = "Make a sandbox's changes in the directory it was given",
        .usage = "[OPTIONS] SANDBOX [PATH...]",
        .about =
            "Of a sandbox made with --workspace DIR:overlay: all that changed since DIR, or what "
            "is "
            "at and below PATH. It is done with your rights, through no link that is in DIR; each "
            "file appears at once and whole, owned by you, without set-id bits. Links are made as "
            "links, wherever they lead; FIFOs and sockets are refused. What was changed in DIR "
            "meanwhile is overwritten, and what was put into a directory that is removed goes with "
            "it. The sandbox stays as it is. Exits with 1 when something was refused.",
        .groups = {&sb_option_commit},
        .min_operands = 1,
        .max_operands = SIZE_MAX,
        .wants = "the id of a sandbox",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = commit_examples,
        .run = sb_verb_commit,
    },
    {
        .name = "rollback",
        .summary = "Take a sandbox back to a snapshot of it",
        .usage = "SANDBOX SNAPSHOT",
        .about = "Everything that runs in it is killed; /workspace and /tmp are as they were. Its "
                 "id, its time, its labels and its network rules stay.",
        .min_operands = 2,
        .max_operands = 2,
        .wants = "the ids of a sandbox and of a snapshot",
        .offer = SB_VERB_OFFERS_SNAPSHOTS,
        .examples = rollback_examples,
        .run = sb_verb_rollback,
    },
    {
        .name = "destroy",
        .summary = "Kill everything in sandboxes and remove them",
        .usage = "[--all] [SANDBOX...]",
        .groups = {&sb_option_destroy},
        .max_operands = SIZE_MAX,
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = destroy_examples,
        .run = sb_verb_destroy,
    },
    {
        .name = "profile list",
        .summary = "List the profiles",
        .usage = "",
        .examples = profile_list_examples,
        .run = sb_verb_profile_list,
    },
    {
        .name = "profile show",
        .summary = "Show one profile with all it inherits",
        .usage = "NAME",
        .min_operands = 1,
        .max_operands = 1,
        .wants = "the name of a profile",
        .offer = SB_VERB_OFFERS_PROFILES,
        .examples = profile_show_examples,
        .run = sb_verb_profile_show,
    },
    {
        .name = "profile explain",
        .summary = "Tell where each setting comes from, and what is allowed",
        .usage = "[OPTIONS] [NAME]",
        .about = SB_VERB_EXPLAIN_ABOUT,
        .groups = {&sb_option_explain, NULL},
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_PROFILES,
        .examples = profile_explain_examples,
        .run = sb_verb_profile_explain,
    },
    {
        .name = "profile validate",
        .summary = "Check a configuration file",
        .usage = "[FILE|-]",
        .about = "Without FILE: $AISBX_CONFIG_PATH, else ./config.yaml. Prints each problem as "
                 "FILE:LINE:COLUMN: what is wrong; exit status 1 when there is one.",
        .max_operands = 1,
        .offer = SB_VERB_OFFERS_FILES,
        .examples = profile_validate_examples,
        .run = sb_verb_profile_validate,
    },
    {
        .name = "packages list",
        .summary = "List the installed packages that are kept",
        .usage = "",
        .examples = packages_list_examples,
        .run = sb_verb_packages_list,
    },
    {
        .name = "packages prune",
        .summary = "Forget installed packages",
        .usage = "[PACKAGES...]",
        .about = "All of yours, or those of the installs named by an id or the beginning of one. "
                 "Sandboxes that have them keep them to their end.",
        .max_operands = SIZE_MAX,
        .examples = packages_prune_examples,
        .run = sb_verb_packages_prune,
    },
    {
        .name = "worker info",
        .summary = "Show the worker and the controls this machine gives",
        .usage = "",
        .examples = worker_info_examples,
        .run = sb_verb_worker_info,
    },
    {
        .name = "worker stop",
        .summary = "End the worker that aisbx started for you",
        .usage = "",
        .about = "Programs that run get 10 seconds to end by themselves; then everything in its "
                 "sandboxes ends. Returns when the worker is gone.",
        .examples = worker_stop_examples,
        .run = sb_verb_worker_stop,
    },
    {
        .name = "mcp install",
        .summary = "Give a desktop program's model the sandbox as tools",
        .usage = "[OPTIONS] claude|claude-code|cursor|vscode",
        .about = "Enters aisbx-mcp into the configuration of a program that speaks MCP. The rest "
                 "of that "
                 "file stays as it is, comments included; beside it, with .aisbx-backup at its "
                 "end, lies "
                 "what it was before. The program reads it when it starts the next time.",
        .groups = {&sb_option_mcp, &sb_option_mcp_install},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a program: claude, claude-code, cursor or vscode",
        .offer = SB_VERB_OFFERS_MCP_HOSTS,
        .examples = mcp_install_examples,
        .is_offline = true,
        .run = sb_verb_mcp_install,
    },
    {
        .name = "mcp uninstall",
        .summary = "Undo mcp install",
        .usage = "[OPTIONS] claude|claude-code|cursor|vscode",
        .about = "Takes the entry out again. A file that nobody changed since becomes what it was, "
                 "byte for byte; one that was made for the entry goes.",
        .groups = {&sb_option_mcp},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a program: claude, claude-code, cursor or vscode",
        .offer = SB_VERB_OFFERS_MCP_HOSTS,
        .examples = mcp_uninstall_examples,
        .is_offline = true,
        .run = sb_verb_mcp_uninstall,
    },
    SB_VERBS_COMMON(completion_examples, help_examples),
    {.name = NULL},
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
    .verbs = table,
    .examples = overview_examples,
    .statuses = statuses,
};
