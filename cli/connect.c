#include "cli/connect.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/embedded.h"
#include "cli/setting.h"
#include "cli/verb.h"

const char *sb_connect_address(const struct sb_cli *cli)
{
    return cli->args.address != NULL ? cli->args.address : sb_setting_get(SB_SETTING_ADDRESS);
}

bool sb_connect_is_remote(const struct sb_cli *cli)
{
    const char *address = sb_connect_address(cli);
    return address != NULL && !sb_str_starts_with(sb_str_from(address), SB_STR("unix:"));
}

static int
open_named(struct sb_cli *cli, const char *address, struct sb_connect *connect, struct sb_err *err)
{
    connect->is_local = !sb_connect_is_remote(cli);
    if (sb_rpc_channel_open(address, NULL, &connect->channel, err) < 0) {
        sb_verb_hint(cli, "is a worker listening there? Without --address and AISBX_ADDRESS aisbx "
                          "starts one of your own");
        return sb_err_wrap(err, "cannot connect to %s", address);
    }
    return 0;
}

static int open_embedded(struct sb_cli *cli,
                         enum sb_connect_mode mode,
                         struct sb_connect *connect,
                         struct sb_err *err)
{
    char address[SB_EMBEDDED_ADDRESS_SIZE];
    connect->is_local = true;
    connect->is_embedded = true;
    if (sb_embedded_address(address, err) < 0) {
        return -1;
    }
    if (sb_rpc_channel_open(address, NULL, &connect->channel, err) == 0) {
        return 0;
    }
    if (mode == SB_CONNECT_PRESENT) {
        connect->is_absent = true;
        sb_verb_hint(cli, "aisbx run and aisbx create start one");
        return sb_err_set(err, SB_NOT_FOUND, "no worker runs");
    }
    if (sb_embedded_start(address, cli->hint, sizeof cli->hint, err) < 0) {
        return -1;
    }
    if (sb_rpc_channel_open(address, NULL, &connect->channel, err) < 0) {
        return sb_err_wrap(err, "cannot connect to the worker just started");
    }
    return 0;
}

int sb_connect_open(struct sb_cli *cli,
                    enum sb_connect_mode mode,
                    struct sb_connect *ret_connect,
                    struct sb_err *err)
{
    const char *address = sb_connect_address(cli);
    const char *key = sb_setting_get(SB_SETTING_API_KEY);
    *ret_connect = (struct sb_connect){0};
    if (key != NULL) {
        ret_connect->key = (struct sb_rpc_metadata){"x-api-key", key, strlen(key)};
        ret_connect->options.metadata = &ret_connect->key;
        ret_connect->options.n_metadata = 1;
    }
    return address != NULL ? open_named(cli, address, ret_connect, err)
                           : open_embedded(cli, mode, ret_connect, err);
}

void sb_connect_done(struct sb_connect *connect)
{
    sb_rpc_channel_free(connect->channel);
    connect->channel = NULL;
}
