#include "service/worker/reload.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/worker.h"

/* The first ones, or others in their place. */
static int load(struct sb_worker *worker, struct sb_problems *problems, struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *found = NULL;
    const char *path = worker->options.config;
    if (path == NULL) {
        if (sb_profiles_find_config(&found, err) < 0) {
            return -1;
        }
        path = found;
    }
    return worker->profiles == NULL ? sb_profiles_open(path, problems, &worker->profiles, err)
                                    : sb_profiles_load(worker->profiles, path, problems, err);
}

int sb_worker_configure(struct sb_worker *worker, struct sb_err *err)
{
    return load(worker, NULL, err);
}

void sb_worker_reload(struct sb_worker *worker)
{
    struct sb_err err;
    struct sb_problems problems = {0};
    sb_key_watch_reload(worker);
    if (load(worker, &problems, &err) == 0) {
        SB_LOG_INFO("configuration read again", "profiles=%zu",
                    sb_profiles_count(worker->profiles));
        return;
    }
    for (size_t i = 0; i < problems.n; i++) {
        SB_LOG_ERROR("configuration is wrong", "line=%u column=%u why=%s", problems.items[i].line,
                     problems.items[i].column, problems.items[i].text);
    }
    SB_LOG_ERROR("the configuration stays as it was", "why=%s", err.text);
}
