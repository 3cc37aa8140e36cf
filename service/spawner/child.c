#include "service/spawner/child.h"

#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/driver.h"

static _Noreturn void give_up(const struct sb_child *child, struct sb_child_report *report)
{
    struct sb_err ignored;
    (void)sb_fd_write_full(child->report_fd, report, sizeof *report, &ignored);
    _exit(1);
}

_Noreturn void sb_child_run(struct sb_child *child)
{
    struct sb_child_report report = {.magic = SB_CHILD_REPORT_MAGIC, .step = "group"};
    if (sb_cgroup_join(child->cgroup, &report.err) < 0) { /* before it does anything at all */
        give_up(child, &report);
    }
    for (const struct sb_driver_step *step = child->driver->steps; step->name != NULL; step++) {
        if (!sb_mutated_part("step", step->name) && step->run(child, &report.err) < 0) {
            (void)strncpy(report.step, step->name, sizeof report.step - 1);
            give_up(child, &report);
        }
    }
    _exit(1); /* not reached: the last step does not return when it works */
}
