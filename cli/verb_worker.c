#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/control.h"
#include "proto/json/pbjson.h"
#include "proto/json/when.h"

/* Longer than the worker gives to what runs (10 s), to its last words and to its sandboxes. */
enum { STOP_WAIT_MS = 30000 };

static int get_info(struct sb_connect *connect,
                    bool without_controls,
                    Aisbx__V1__GetInfoResponse **ret_info,
                    struct sb_err *err)
{
    Aisbx__V1__GetInfoRequest request = AISBX__V1__GET_INFO_REQUEST__INIT;
    request.without_controls = without_controls;
    if (aisbx__v1__worker_service__get_info__call(connect->channel, &request, &connect->options,
                                                  ret_info, err) < 0) {
        return sb_err_wrap(err, "cannot ask the worker");
    }
    return 0;
}

/* ---- info ---- */

enum { DIFFERENCE_SIZE = 256 };

/* "userns absent, landlock degraded": what it gives otherwise than the table of controls says. */
static void put_difference(const Aisbx__V1__DriverStatus *driver, char text[DIFFERENCE_SIZE])
{
    char state[64];
    size_t at = 0;
    (void)snprintf(text, DIFFERENCE_SIZE, "as below");
    for (size_t i = 0; i < driver->n_controls && at < DIFFERENCE_SIZE; i++) {
        const Aisbx__V1__ControlStatus *control = driver->controls[i];
        int n = snprintf(
            text + at, DIFFERENCE_SIZE - at, "%s%s %s", i == 0 ? "" : ", ",
            sb_control_name(control->control),
            sb_pbjson_enum(&aisbx__v1__control_state__descriptor, (int)control->state, state));
        at += n < 0 ? 0 : (size_t)n;
    }
}

static void put_drivers(struct sb_out *out, const Aisbx__V1__GetInfoResponse *info)
{
    static const char *const titles[] = {"DRIVER", "AVAILABLE", "CONTROLS", "DETAIL"};
    char difference[DIFFERENCE_SIZE];
    struct sb_table table;
    sb_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < info->n_drivers; i++) {
        sb_table_cell(&table, info->drivers[i]->driver);
        sb_table_cell(&table, info->drivers[i]->available ? "yes" : "no");
        put_difference(info->drivers[i], difference);
        sb_table_cell(&table, info->drivers[i]->available ? difference : "-");
        sb_table_cell(&table, info->drivers[i]->detail);
    }
    sb_out_put(out, "\n");
    sb_table_print(&table, out);
    sb_table_done(&table);
}

static void put_controls(struct sb_out *out, const Aisbx__V1__GetInfoResponse *info)
{
    static const char *const titles[] = {"CONTROL", "STATE", "DETAIL", "FIX"};
    char state[64];
    struct sb_table table;
    sb_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < info->n_controls; i++) {
        const Aisbx__V1__ControlStatus *control = info->controls[i];
        sb_table_cell(&table, sb_control_name(control->control));
        sb_table_cell(&table, sb_pbjson_enum(&aisbx__v1__control_state__descriptor,
                                             (int)control->state, state));
        sb_table_cell(&table, control->detail);
        sb_table_cell(&table, control->fix);
    }
    sb_out_put(out, "\n");
    sb_table_print(&table, out);
    sb_table_done(&table);
}

static void put_info(struct sb_out *out, const Aisbx__V1__GetInfoResponse *info)
{
    char age[SB_WHEN_SIZE];
    sb_out_printf(out, "worker %s, version %s, %s mode%s%s\n", info->worker_id, info->version,
                  info->mode, info->embedded ? ", embedded" : "",
                  info->draining ? ", draining" : "");
    sb_out_printf(out, "pid %" PRId64 ", up %s, kernel %s, default profile %s\n", info->pid,
                  sb_when_format_age(age, info->start_time, sb_clock_real_ms()), info->kernel,
                  info->default_profile);
    sb_out_printf(out, "snapshots %s%s", info->snapshots,
                  info->snapshots_detail[0] == '\0' ? "" : ": ");
    sb_out_put_safe(out, sb_str_from(info->snapshots_detail));
    sb_out_put(out, "\n");
    put_drivers(out, info);
    put_controls(out, info);
}

int sb_verb_worker_info(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetInfoResponse *info = NULL;
    if (sb_connect_open(cli, SB_CONNECT_START, &connect, err) < 0 ||
        get_info(&connect, false, &info, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)info);
        sb_out_put(&out, "\n");
    } else {
        put_info(&out, info);
    }
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

/* ---- stop ---- */

static int end_process(pid_t pid, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0) {
        return sb_err_sys(err, errno, "cannot end process %d", (int)pid);
    }
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&pfd, 1, STOP_WAIT_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return sb_err_set(err, SB_DEADLINE, "process %d goes on", (int)pid);
    }
    return 0;
}

/* @pid  0: none ran. */
static int put_stopped(const struct sb_args *args, int64_t pid, struct sb_err *err)
{
    if (!args->json) {
        return 0;
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, STDOUT_FILENO);
    sb_json_open(&json, NULL, '{');
    sb_json_bool(&json, "stopped", pid > 0);
    if (pid > 0) {
        sb_json_u64(&json, "pid", (uint64_t)pid);
    }
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

int sb_verb_worker_stop(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetInfoResponse *info = NULL;
    *ret_status = 0;
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0) {
        /* None runs: that is what was asked for. */
        return connect.is_absent ? put_stopped(&cli->args, 0, err) : -1;
    }
    if (get_info(&connect, true, &info, err) < 0) {
        return -1;
    }
    if (!info->embedded || info->pid <= 0) {
        sb_verb_hint(cli, "stop it where it was started, e.g. by systemctl");
        return sb_err_set(err, SB_PRECONDITION, "that worker was not started by aisbx");
    }
    sb_connect_done(&connect);
    return end_process((pid_t)info->pid, err) < 0 ? -1 : put_stopped(&cli->args, info->pid, err);
}
