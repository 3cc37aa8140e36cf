/* Runs a program in a sandbox of its own and prints what it wrote and how it ended.
 *
 *     cc client.c $(pkg-config --cflags --libs aisbx) -o client
 *     AISBX_ADDRESS=unix:/run/aisbx/worker.sock ./client python3 -c 'print(6 * 7)' */
#include <stdio.h>
#include <stdlib.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "proto/client/connect.h"
#include "proto/client/message.h"

static int run(const struct sb_connect *worker, size_t argc, char **argv, struct sb_err *err)
{
    Aisbx__V1__Command command = AISBX__V1__COMMAND__INIT;
    Aisbx__V1__ExecSpec exec = AISBX__V1__EXEC_SPEC__INIT;
    Aisbx__V1__SandboxSpec sandbox = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    Aisbx__V1__RunRequest request = AISBX__V1__RUN_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__RunResponse *reply = NULL;
    command.args = argv;
    command.n_args = argc;
    exec.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_COMMAND;
    exec.command = &command;
    sandbox.profile = (char[]){"python-dev"};
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    target.new_sandbox = &sandbox;
    request.target = &target;
    request.exec = &exec;
    if (aisbx__v1__sandbox_service__run__call(worker->channel, &request, &worker->options, &reply,
                                              err) < 0) {
        return -1;
    }
    (void)fwrite(reply->stdout.data, 1, reply->stdout.len, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct sb_err err;
    char hint[256] = "";
    const struct sb_connect_options options = {
        .mode = SB_CONNECT_START, .hint = hint, .hint_size = sizeof hint};
    struct sb_connect worker;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s PROGRAM [ARGUMENT]...\n", argv[0]);
        return 2;
    }
    if (sb_connect_worker(&options, &worker, &err) < 0) {
        (void)fprintf(stderr, "%s\n%s\n", err.text, hint);
        return EXIT_FAILURE;
    }
    int rc = run(&worker, (size_t)argc - 1, argv + 1, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
    }
    sb_connect_done(&worker);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
