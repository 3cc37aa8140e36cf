#include "cli/connect.h"

#include <stdlib.h>

#include "base/trace.h"
#include "cli/verb.h"
#include "proto/client/setting.h"

const char *sb_connect_address(const struct sb_cli *cli)
{
    return sb_connect_named(cli->args.address);
}

bool sb_connect_is_remote(const struct sb_cli *cli)
{
    return sb_connect_leads_away(cli->args.address);
}

/* Who started us says by these variables what trace we are part of, as programs do. */
static void add_trace(struct sb_connect *connect)
{
    static char text[SB_TRACE_TEXT_SIZE]; /* lent to the connection: a command has one */
    const char *state = getenv("TRACESTATE");
    struct sb_trace trace;
    if (sb_trace_parse(sb_str_from(getenv("TRACEPARENT")), &trace)) {
        /* Not as it came: behind what we know a later version has anything. */
        sb_connect_add(connect, "traceparent", sb_trace_format(&trace, text));
        if (state != NULL && sb_trace_state_is_good(sb_str_from(state))) {
            sb_connect_add(connect, "tracestate", state);
        }
    }
}

int sb_connect_open(struct sb_cli *cli,
                    enum sb_connect_mode mode,
                    struct sb_connect *ret_connect,
                    struct sb_err *err)
{
    const struct sb_connect_options options = {
        .address = cli->args.address,
        .mode = mode,
        .expect = cli->args.profile != NULL ? cli->args.profile
                                            : sb_setting_get(SB_SETTING_DEFAULT_PROFILE),
        .hint = cli->hint,
        .hint_size = sizeof cli->hint,
    };
    if (sb_connect_worker(&options, ret_connect, err) < 0) {
        return -1;
    }
    add_trace(ret_connect);
    return 0;
}
