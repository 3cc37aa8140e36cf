/* Verbs about the files of a sandbox. */
#include "cli/option.h"
#include "cli/verb.h"
#include "cli/verb_rows.h"

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

const struct sb_verb sb_verb_rows_files[] = {
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
                 "matches, 2: it failed. Without PATH: /workspace. With --json each line that "
                 "matches is "
                 "one JSON value on a line of its own (JSON Lines).",
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
            "until it is interrupted or the directory is gone. Without PATH: /workspace. With "
            "--json "
            "each event is one JSON value on a line of its own (JSON Lines).",
        .groups = {&sb_option_watch},
        .min_operands = 1,
        .max_operands = 1,
        .wants = "a sandbox, or SANDBOX:PATH",
        .offer = SB_VERB_OFFERS_SANDBOXES,
        .examples = watch_examples,
        .run = sb_verb_watch,
    },
    {.name = NULL},
};
