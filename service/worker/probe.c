#include "service/worker/probe.h"

#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/sandbox.pb-c.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/json/control.h"
#include "service/shared/frame.h"
#include "service/worker/egress.h"
#include "service/worker/limits.h"
#include "service/worker/spawner.h"
#include "service/worker/worker.h"

enum { CONTROL_EGRESS = AISBX__V1__CONTROL__CONTROL_EGRESS };

void sb_probe_init(struct sb_probe *probe, struct sb_worker *worker)
{
    *probe = (struct sb_probe){.worker = worker};
    sb_list_init(&probe->waiters);
}

static void clear_controls(struct sb_control controls[SB_PROBE_CONTROLS])
{
    for (size_t i = 0; i < SB_PROBE_CONTROLS; i++) {
        free(controls[i].detail);
        free(controls[i].fix);
        controls[i] = (struct sb_control){SB_CONTROL_UNKNOWN, NULL, NULL};
    }
}

static void clear(struct sb_probe *probe)
{
    clear_controls(probe->controls);
    for (size_t i = 0; i < SB_DRIVER_END_; i++) {
        struct sb_probe_driver *driver = &probe->drivers[i];
        clear_controls(driver->controls);
        free(driver->detail);
        driver->detail = NULL;
        driver->is_available = false;
    }
    free(probe->snapshots_why);
    probe->snapshots_why = NULL;
}

void sb_probe_done(struct sb_probe *probe)
{
    clear(probe);
}

bool sb_probe_was_made(const struct sb_probe *probe)
{
    return probe->time_ms != 0;
}

bool sb_probe_is_fresh(const struct sb_probe *probe)
{
    return probe->time_ms != 0 && sb_clock_mono_ms() - probe->time_ms < SB_MAX_PROBE_AGE_MS;
}

static void take_controls(struct sb_control controls[SB_PROBE_CONTROLS],
                          Spawn__V1__ProbedControl *const *probed,
                          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Spawn__V1__ProbedControl *from = probed[i];
        if (from->control == 0 || from->control >= SB_PROBE_CONTROLS) {
            continue;
        }
        struct sb_control *to = &controls[from->control];
        free(to->detail);
        free(to->fix);
        to->state = from->state <= SB_CONTROL_ABSENT ? (enum sb_control_state)from->state
                                                     : SB_CONTROL_UNKNOWN;
        to->detail = sb_str_dup(sb_str_from(from->detail));
        to->fix = sb_str_dup(sb_str_from(from->fix));
    }
}

static const char *name_of(Spawn__V1__LayersWay way)
{
    return way == SPAWN__V1__LAYERS_WAY__LAYERS_WAY_OVERLAY ? "overlay"
           : way == SPAWN__V1__LAYERS_WAY__LAYERS_WAY_COPY  ? "copy"
                                                            : "none";
}

static void take(struct sb_probe *probe, const Spawn__V1__Probed *probed)
{
    clear(probe);
    take_controls(probe->controls, probed->controls, probed->n_controls);
    for (size_t i = 0; i < probed->n_drivers; i++) {
        const Spawn__V1__ProbedDriver *from = probed->drivers[i];
        unsigned number = (unsigned)from->driver;
        if (number == 0 || number >= SB_DRIVER_END_) {
            continue;
        }
        struct sb_probe_driver *to = &probe->drivers[number];
        free(to->detail);
        to->is_available = from->available;
        to->detail = sb_str_dup(sb_str_from(from->detail));
        take_controls(to->controls, from->controls, from->n_controls);
    }
    probe->snapshots = name_of(probed->layers_way);
    probe->snapshots_why = sb_str_dup(sb_str_from(probed->layers_why));
    probe->time_ms = sb_clock_mono_ms();
}

static void
on_reply(void *ctx, const Spawn__V1__Reply *reply, struct sb_frame *frame, const struct sb_err *err)
{
    (void)frame;
    struct sb_probe *probe = ctx;
    probe->is_under_way = false;
    if (reply != NULL) {
        take(probe, reply->probed);
    } else {
        SB_LOG_ERROR("probe failed", "why=%s", err->text);
    }
    for (struct sb_list *node = NULL; (node = sb_list_pop(&probe->waiters)) != NULL;) {
        struct sb_probe_waiter *waiter = SB_LIST_ENTRY(node, struct sb_probe_waiter, link);
        waiter->ready(waiter, reply == NULL ? err : NULL);
    }
}

static int ask(struct sb_probe *probe, struct sb_err *err)
{
    if (!probe->is_under_way) {
        if (sb_spawner_probe(probe->worker->spawner, on_reply, probe, err) < 0) {
            return -1;
        }
        probe->is_under_way = true;
    }
    return 0;
}

int sb_probe_want(struct sb_probe *probe, struct sb_err *err)
{
    return sb_probe_was_made(probe) ? 0 : ask(probe, err);
}

int sb_probe_refresh(struct sb_probe *probe, struct sb_probe_waiter *waiter, struct sb_err *err)
{
    if (ask(probe, err) < 0) {
        return -1;
    }
    sb_list_append(&probe->waiters, &waiter->link);
    return 0;
}

void sb_probe_leave(struct sb_probe_waiter *waiter)
{
    sb_list_remove(&waiter->link);
}

/* How the proxy really does; NULL: as probed. */
static const struct sb_control *failed_egress(const struct sb_probe *probe)
{
    static struct sb_control failed = {.state = SB_CONTROL_ABSENT}; /* the loop thread's */
    static char fix[] = "see the worker's log; aisbx-egress must be of the same build";
    const char *failure = sb_egress_failure(probe->worker->egress);
    if (failure == NULL || probe->controls[CONTROL_EGRESS].state != SB_CONTROL_ENFORCED) {
        return NULL;
    }
    memcpy(&failed.detail, &failure, sizeof failure);
    failed.fix = fix;
    return &failed;
}

const struct sb_control *
sb_probe_control(const struct sb_probe *probe, enum sb_driver driver, unsigned number)
{
    const struct sb_control *own = &probe->drivers[driver].controls[number];
    const struct sb_control *failed = number == CONTROL_EGRESS ? failed_egress(probe) : NULL;
    if (failed != NULL) {
        return failed;
    }
    return own->state != SB_CONTROL_UNKNOWN ? own : &probe->controls[number];
}

static int refuse(const struct sb_probe *probe,
                  enum sb_driver driver,
                  unsigned number,
                  const struct sb_control *control,
                  struct sb_err *err)
{
    static const struct sb_control unknown = {SB_CONTROL_UNKNOWN, NULL, NULL};
    bool is_driver =
        number < SB_PROBE_CONTROLS && control == &probe->drivers[driver].controls[number];
    control = control == NULL ? &unknown : control;
    bool has_detail = control->detail != NULL && control->detail[0] != '\0';
    bool has_fix = control->fix != NULL && control->fix[0] != '\0';
    return sb_err_set(err, SB_PRECONDITION, "required control %s is not enforced %s%s%s%s%s%s",
                      sb_control_name((Aisbx__V1__Control)number),
                      is_driver ? "by driver " : "on this host",
                      is_driver ? sb_driver_names[driver] : "", has_detail ? ": " : "",
                      has_detail ? control->detail : "", has_fix ? "; to have it: " : "",
                      has_fix ? control->fix : "");
}

int sb_probe_require(const struct sb_probe *probe,
                     enum sb_driver driver,
                     uint64_t require,
                     struct sb_err *err)
{
    for (unsigned i = 1; i < 64; i++) {
        if ((require >> i & 1) == 0) {
            continue;
        }
        const struct sb_control *control =
            i < SB_PROBE_CONTROLS ? sb_probe_control(probe, driver, i) : NULL;
        if (control == NULL || control->state != SB_CONTROL_ENFORCED) {
            return refuse(probe, driver, i, control, err);
        }
    }
    return 0;
}
