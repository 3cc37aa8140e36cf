/** Probes that prove that the battery itself works. */
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict always_holds(struct sb_run *run)
{
    return sb_probe_held(run, "ran as uid %d, pid %d", (int)getuid(), (int)getpid());
}

static enum sb_verdict leaks_without_sandbox(struct sb_run *run)
{
    const char *path = sb_probe_arg(run, "secret", "");
    return sb_probe_shows_token(run, path) ? sb_probe_leaked(run, "read %s", path)
                                           : sb_probe_held(run, "%s: %m", path);
}

static const struct sb_probe probes[] = {
    {"control-holds", "none", "a probe runs inside and its verdict comes out", always_holds},
    {"control-leaks", "none", "the secret outside is readable only without a sandbox",
     leaks_without_sandbox},
};
const struct sb_probe_class sb_probes_control = {"control", probes, SB_COUNT(probes)};
