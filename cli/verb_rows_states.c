/* Verbs about how long a sandbox lives, and what is kept of it. */
#include <stdint.h>

#include "cli/option.h"
#include "cli/verb.h"
#include "cli/verb_rows.h"

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

const struct sb_verb sb_verb_rows_states[] = {
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
    {.name = NULL},
};
