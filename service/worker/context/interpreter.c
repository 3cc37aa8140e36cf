#include "service/worker/context/interpreter.h"

#include <string.h>

extern const char sb_context_python[];
extern const char sb_context_node[];
extern const char sb_context_bash[];

static const struct sb_interpreter languages[] = {
    {"python", {"python3", "-c"}, 0, sb_context_python},
    {"node", {"node", "-e"}, 250, sb_context_node},
    {"bash", {"bash", "--norc", "--noprofile", "-c"}, 1000, sb_context_bash},
};

const struct sb_interpreter *sb_interpreter_find(const char *name)
{
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        if (strcmp(languages[i].name, name) == 0) {
            return &languages[i];
        }
    }
    return NULL;
}

const char *sb_interpreter_names(void)
{
    return "python, node, bash";
}
