#pragma once
#include <stdbool.h>

/** A name below /etc that a sandbox sees: made for it by the spawner (etc.c), or the host's, when
 * it is there. Every row of the host's is readable by all on a stock system and holds no secret: no
 *  row may be a directory in which administrators keep keys (ssl/private is why ssl itself is not
 *  here) or credentials (pip.conf, npmrc, maven). */
struct sb_shown_etc {
    const char *name;
    bool is_made;
    bool in_minimal;
};

/** Certificates that programs trust, where a secret is put into TLS. */
#define SB_SHOWN_TRUST "/etc/aisbx-certificates.pem"

/** Ended by a row without name. */
extern const struct sb_shown_etc sb_shown_etc[];
