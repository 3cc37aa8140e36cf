#pragma once
#include <stdbool.h>

#include "proto/client/connect.h"

struct sb_cli;

/** The address that was named: --address, else $AISBX_ADDRESS; NULL: none. */
const char *sb_connect_address(const struct sb_cli *cli);
/** sb_connect_leads_away of it. */
bool sb_connect_is_remote(const struct sb_cli *cli);

/** sb_connect_worker for a command line; on failure cli->hint is set. */
int sb_connect_open(struct sb_cli *cli,
                    enum sb_connect_mode mode,
                    struct sb_connect *ret_connect,
                    struct sb_err *err);
