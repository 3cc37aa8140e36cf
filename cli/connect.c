#include "cli/connect.h"

#include "cli/verb.h"

const char *sb_connect_address(const struct sb_cli *cli)
{
    return sb_connect_named(cli->args.address);
}

bool sb_connect_is_remote(const struct sb_cli *cli)
{
    return sb_connect_leads_away(cli->args.address);
}

int sb_connect_open(struct sb_cli *cli,
                    enum sb_connect_mode mode,
                    struct sb_connect *ret_connect,
                    struct sb_err *err)
{
    const struct sb_connect_options options = {
        .address = cli->args.address,
        .mode = mode,
        .hint = cli->hint,
        .hint_size = sizeof cli->hint,
    };
    return sb_connect_worker(&options, ret_connect, err);
}
