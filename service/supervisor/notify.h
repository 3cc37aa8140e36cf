#pragma once
/** What a service manager is told, as sd_notify(3) does it: one datagram of lines.
 *  Source: systemd's sd_notify(3), "the protocol is stable and may be reimplemented". */
#include <stdint.h>

struct sb_notify {
    char path[108];       /* of $NOTIFY_SOCKET; "": nobody listens */
    uint64_t watchdog_ms; /* tell WATCHDOG=1 at least this often; 0: not wanted */
};

/** Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment, for
 *  programs that we start are not meant. */
void sb_notify_init(struct sb_notify *notify);

/** Sends; best effort, never blocks. @lines  "READY=1\nSTATUS=..." */
void sb_notify_send(const struct sb_notify *notify, const char *lines);
