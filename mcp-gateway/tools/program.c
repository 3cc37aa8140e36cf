#include "mcp-gateway/tools/program.h"

#include <cjson/cJSON.h>

#include "base/err.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/spec.h"
#include "proto/json/language.h"

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
    enum sb_language known = SB_LANGUAGE_PYTHON;
    struct sb_err ignored; /* the schema lets no other in */
    (void)sb_language_from(sb_str_from(language), &known, &ignored);
    ret_program->profile = sb_language_profile(known);
    ret_program->language = language;
    ret_program->source = code;
    ret_program->n_args = 0;
    cJSON_ArrayForEach(arg, args)
    {
        add(ret_program, arg->valuestring);
    }
}

void sb_program_of_shell(const char *command, struct sb_program *ret_program)
{
    ret_program->n_args = 0;
    ret_program->language = NULL;
    ret_program->profile = SB_SPEC_PROFILE;
    add(ret_program, "bash");
    add(ret_program, "-c");
    add(ret_program, command);
}
