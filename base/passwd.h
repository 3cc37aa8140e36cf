#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Users of the host: lines of /etc/passwd. getpwnam(3) and getpwuid(3) may load modules, which a
 * program with privilege should not, and which cost more than all else on its way up. */

/** One user. */
struct sb_passwd {
    char name[64];
    uid_t uid;
    gid_t gid;
};

/** False: there is none, or the file cannot be read. */
bool sb_passwd_by_name(const char *name, struct sb_passwd *ret_user);
bool sb_passwd_by_uid(uid_t uid, struct sb_passwd *ret_user);

/** Of a line "name:x:uid:gid:..."; false: it is none. */
bool sb_passwd_parse(const char *line, size_t len, struct sb_passwd *ret_user);
