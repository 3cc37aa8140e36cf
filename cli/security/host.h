#pragma once
#include <stddef.h>
#include <sys/types.h>

struct sb_findings;

/** The machine as the doctor sees it. */
struct sb_host {
    int root_fd;      /* O_PATH of "/", or of a folder that a test made; borrowed */
    uid_t uid;        /* for whom sandboxes are to run */
    const char *user; /* name; NULL: none */
    enum {
        SB_HOST_USERNS_UNKNOWN, /* no worker could be asked */
        SB_HOST_USERNS_WORKS,
        SB_HOST_USERNS_REFUSED,
    } userns;             /* as the spawner found it */
    const char *spawner;  /* path of the program that makes the namespaces; NULL: not found */
    const char *apparmor; /* path of the AppArmor profile that comes with us; NULL: not found */
};

/** Reads settings of the kernel and of the system: /proc, /sys, /etc. Changes nothing. */
void sb_host_read(const struct sb_host *host, struct sb_findings *findings);
