#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/near.h"
#include "base/out.h"
#include "cli/completion.h"
#include "cli/verb.h"

int sb_verb_completion(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    struct sb_str shell = sb_str_from(cli->args.operands[0]);
    if (!sb_completion_write(&out, cli->program, shell)) {
        sb_verb_hint(cli, "there are: bash, zsh, fish");
        return sb_verb_misused(cli, sb_err_set(err, SB_INVALID, "no completion for shell \"%.*s\"",
                                               SB_STR_ARG(shell)));
    }
    *ret_status = 0;
    return sb_out_flush(&out, err);
}
