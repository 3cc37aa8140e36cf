#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/help.h"
#include "cli/manpage.h"
#include "cli/program.h"
#include "cli/verb.h"

int sb_verb_help(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.n_operands == 0) {
        sb_help_overview(&out, cli->program);
    } else if (cli->args.n_operands > 1 ||
               !sb_help_group(&out, cli->program, cli->args.operands[0])) {
        const struct sb_verb *verb = NULL;
        size_t used = 0;
        if (sb_program_find(cli->program, cli->args.operands, &verb, &used, err) < 0) {
            sb_verb_hint(cli, "%s help lists all verbs", cli->program->name);
            return -1;
        }
        sb_help_verb(&out, cli->program, verb);
    }
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

int sb_verb_man(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    sb_manpage_write(&out, cli->program);
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

int sb_verb_version(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "version", SB_VERSION);
        sb_json_close(&json, '}');
        sb_out_put(&out, "\n");
    } else {
        sb_out_printf(&out, "%s " SB_VERSION "\n", cli->program->name);
    }
    *ret_status = 0;
    return sb_out_flush(&out, err);
}
