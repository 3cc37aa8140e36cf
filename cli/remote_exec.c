/** In aisbx. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/remote.h"
#include "proto/client/sibling.h"

int sb_remote_become_able(char **argv, struct sb_err *err)
{
    char path[PATH_MAX];
    if (!sb_sibling_find("aisbx-remote", path)) {
        return sb_err_set(err, SB_UNIMPLEMENTED,
                          "aisbx-remote, which talks to other machines, is not installed");
    }
    (void)signal(SIGPIPE, SIG_DFL); /* as it was when we started */
    (void)execv(path, argv);
    return sb_err_sys(err, errno, "execute %s", path);
}
