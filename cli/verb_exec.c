#include "base/cleanup.h"
#include "base/err.h"
#include "cli/connect.h"
#include "cli/launch.h"
#include "cli/resolve.h"
#include "cli/spec.h"
#include "cli/verb.h"

int sb_verb_exec(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_spec_done) struct sb_spec spec = {0};
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    Aisbx__V1__StartExecRequest request = AISBX__V1__START_EXEC_REQUEST__INIT;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    char id[SB_ID_SIZE];
    bool was_started;
    const char *command = cli->args.operands[1];
    if (sb_spec_exec(&spec, &cli->args, cli->args.operands + 1, err) < 0 ||
        sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID;
    target.sandbox_id = id;
    request.target = &target;
    request.exec = &spec.exec;
    *ret_status = 0;
    int rc = cli->args.detach
                 ? sb_launch_detached(cli, &connect, &request, NULL, ret_status, err)
                 : sb_launch_run(cli, &connect, &request, &was_started, ret_status, err);
    return rc < 0 ? sb_err_wrap(err, "cannot run %s in %s", command, id) : 0;
}
