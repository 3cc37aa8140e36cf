#include "service/spawner/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/driver.h"
#include "service/spawner/process.h"

static _Noreturn void give_up(const struct sb_child *child, struct sb_child_report *report)
{
    struct sb_err ignored;
    (void)sb_fd_write_full(child->report_fd, report, sizeof *report, &ignored);
    _exit(1);
}

static int greet(const struct sb_child *child, struct sb_err *err)
{
    static const char *const paths[] = {"/proc/self/ns/mnt", "/proc/self/ns/pid"};
    const char greeting = SB_CHILD_IS;
    const size_t n = child->driver->keeps_places ? 2 : 0;
    int fds[2] = {-1, -1};
    int done = 0;
    for (size_t i = 0; i < n && done == 0; i++) {
        fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
        done = fds[i] < 0 ? sb_err_sys(err, errno, "open %s", paths[i]) : 0;
    }
    if (done == 0 && sb_fd_send(child->report_fd, &greeting, 1, fds, n, err) < 0) {
        done = -1;
    }
    sb_fd_close_all(fds, 2);
    return done;
}

_Noreturn void sb_child_run(struct sb_child *child)
{
    struct sb_child_report report = {.magic = SB_CHILD_REPORT_MAGIC, .step = "group"};
    /* Else it would never see the end of file. */
    (void)close(child->spawner_fd);
    if (sb_process_tie(child, &report.err) < 0 ||         /* and again when ids have changed */
        sb_cgroup_join(child->cgroup, &report.err) < 0 || /* before it does anything at all */
        greet(child, &report.err) < 0) {
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
