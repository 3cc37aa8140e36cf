#pragma once
/** Where the store of all gateways is: one URL. */
#include <stdint.h>

#include "base/str.h"

struct sb_err;

enum sb_url_kind {
    SB_URL_TCP,  /* redis://[USER[:PASSWORD]@]HOST[:PORT][/DB] */
    SB_URL_TLS,  /* rediss://, the same */
    SB_URL_UNIX, /* unix://[USER[:PASSWORD]@]/PATH[?db=DB] */
};

enum {
    SB_URL_PORT = 6379,
    SB_URL_DB_MAX = 65535,
    SB_URL_MAX = 1024, /* bytes */
};

struct sb_url {
    enum sb_url_kind kind;
    char host[256]; /* a name, or an address without brackets */
    uint16_t port;
    char path[108]; /* of a socket */
    uint64_t db;
    char user[128];     /* "": the default one */
    char password[256]; /* "": none is said */
};

/** Errors: SB_INVALID; the text says what is wrong and never holds a password. */
int sb_url_parse(struct sb_str text, struct sb_url *ret_url, struct sb_err *err);
