#include "mcp-gateway/tools/program.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/spec.h"

enum { MAX_PREFIX = 4 };

/* The code is $1 of these; what it is built into lies in a folder of its own under /tmp. */
#define BUILD(file, make)                                                                          \
    "d=$(mktemp -d /tmp/run.XXXXXX) && printf '%s' \"$1\" >\"$d/" file "\" && shift && " make

static const struct {
    const char *language;
    const char *profile;
    const char *before[MAX_PREFIX]; /* of the code */
    const char *after;              /* NULL: nothing */
} languages[] = {
    {"python", "python-dev", {"python3", "-c"}, NULL},
    {"node", "node-dev", {"node", "-e"}, "--"},
    {"bash", SB_SPEC_PROFILE, {"bash", "-c"}, "bash"},
    {"c",
     SB_SPEC_PROFILE,
     {"sh", "-c",
      BUILD("main.c", "cc -O1 -o \"$d/main\" \"$d/main.c\" -lm && exec \"$d/main\" \"$@\""), "sh"},
     NULL},
    {"go",
     "go-dev",
     {"sh", "-c", BUILD("main.go", "exec go run \"$d/main.go\" \"$@\""), "sh"},
     NULL},
    {"rust",
     "rust-dev",
     {"sh", "-c",
      BUILD("main.rs", "rustc -o \"$d/main\" \"$d/main.rs\" && exec \"$d/main\" \"$@\""), "sh"},
     NULL},
    {"java",
     "java-dev",
     {"sh", "-c", BUILD("Main.java", "exec java \"$d/Main.java\" \"$@\""), "sh"},
     NULL},
};

static void add(struct sb_program *program, const char *arg)
{
    if (program->n_args < SB_PROGRAM_MAX_ARGS) {
        program->args[program->n_args++] = sb_lend(arg);
    }
}

void sb_program_of_code(const char *language,
                        const char *code,
                        const struct cJSON *args,
                        struct sb_program *ret_program)
{
    const cJSON *arg = NULL;
    size_t row = 0;
    while (row + 1 < sizeof languages / sizeof *languages &&
           strcmp(languages[row].language, language) != 0) {
        row++;
    }
    ret_program->n_args = 0;
    ret_program->profile = languages[row].profile;
    for (size_t i = 0; i < MAX_PREFIX && languages[row].before[i] != NULL; i++) {
        add(ret_program, languages[row].before[i]);
    }
    add(ret_program, code);
    if (languages[row].after != NULL) {
        add(ret_program, languages[row].after);
    }
    cJSON_ArrayForEach(arg, args)
    {
        add(ret_program, arg->valuestring);
    }
}

void sb_program_of_shell(const char *command, struct sb_program *ret_program)
{
    ret_program->n_args = 0;
    ret_program->profile = SB_SPEC_PROFILE;
    add(ret_program, "bash");
    add(ret_program, "-c");
    add(ret_program, command);
}
