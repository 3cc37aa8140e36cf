#include "service/worker/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "service/shared/denial.h"
#include "service/shared/floor.h"
#include "service/worker/deny.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum {
    PER_TURN = 16,   /* answers, before others have their turn */
    MAX_STRUCT = 256 /* bytes; the kernel's structs may be longer than ours */
};

#define INIT_COMM "aisbx-init" /* service/init/main.c */

/* ---- which refusal it is ---- */

static bool matches(const Spawn__V1__FilterArg *arg, const uint64_t *args)
{
    uint64_t value = arg->index < 6 ? args[arg->index] : 0;
    switch (arg->op) {
    case SPAWN__V1__COMPARE__COMPARE_NE:
        return value != arg->value;
    case SPAWN__V1__COMPARE__COMPARE_LT:
        return value < arg->value;
    case SPAWN__V1__COMPARE__COMPARE_LE:
        return value <= arg->value;
    case SPAWN__V1__COMPARE__COMPARE_EQ:
        return value == arg->value;
    case SPAWN__V1__COMPARE__COMPARE_GE:
        return value >= arg->value;
    case SPAWN__V1__COMPARE__COMPARE_GT:
        return value > arg->value;
    case SPAWN__V1__COMPARE__COMPARE_MASKED_EQ:
        return (value & arg->value) == arg->value_two;
    case SPAWN__V1__COMPARE__COMPARE_UNSPECIFIED:
    case _SPAWN__V1__COMPARE_IS_INT_SIZE:
    default:
        return false;
    }
}

/* The name by which a rule that refuses with an errno means the call; NULL: it does not. */
static const char *name_in_rule(const Spawn__V1__FilterRule *rule, int number, const uint64_t *args)
{
    if (rule->action != SPAWN__V1__ACTION__ACTION_NOTIFY &&
        rule->action != SPAWN__V1__ACTION__ACTION_ERRNO) {
        return NULL;
    }
    for (size_t i = 0; i < rule->n_args; i++) {
        if (!matches(rule->args[i], args)) {
            return NULL;
        }
    }
    for (size_t i = 0; i < rule->n_names; i++) {
        if (sb_floor_resolve(rule->names[i]) == number) {
            return rule->names[i];
        }
    }
    return NULL;
}

/* False: no row of that number, or not one that the floor refuses. */
static bool find_in_floor(int number, struct sb_denial *what)
{
    for (size_t i = 0; i < sb_denial_n_calls; i++) {
        const struct sb_denial_call *call = &sb_denial_calls[i];
        if (sb_floor_resolve(call->name) != number) {
            continue;
        }
        what->name = call->name;
        what->error = call->error;
        what->key_arg = call->key_arg;
        return sb_denial_is_floor(call, what->args);
    }
    return false;
}

static void identify(const struct sb_policy *policy,
                     const struct seccomp_data *data,
                     struct sb_denial *ret_what)
{
    *ret_what = (struct sb_denial){.name = "unknown", .error = EPERM, .key_arg = -1};
    for (size_t i = 0; i < 6; i++) {
        ret_what->args[i] = data->args[i];
    }
    if (find_in_floor(data->nr, ret_what)) {
        return;
    }
    const Spawn__V1__LoadFilter *filter = policy->filter->message;
    for (size_t i = 0; i < filter->n_rules; i++) {
        const char *name = name_in_rule(filter->rules[i], data->nr, ret_what->args);
        if (name != NULL) {
            ret_what->name = name;
            ret_what->error = (int)filter->rules[i]->errno_value;
            ret_what->is_by_rule = true;
            return;
        }
    }
}

/* ---- who it was ---- */

/* Name and, of the numbers it has in each PID namespace, the innermost. */
static void read_process(uint32_t pid, struct sb_denial *what)
{
    char path[64];
    char text[4096];
    (void)snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", pid);
    SB_CLEANUP(sb_closep) int fd = pid == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0) {
        return;
    }
    text[n] = '\0';
    (void)sscanf(text, "Name:\t%15[^\n]", what->comm);
    const char *line = strstr(text, "\nNSpid:");
    for (const char *at = line == NULL ? "" : line + 7; *at == '\t';) {
        char *end = NULL;
        what->pid = strtol(at + 1, &end, 10);
        at = end;
    }
}

/* ---- what is learnt ---- */

/* Init's own calls, and those of its children until they are the program, are not the program's.
 * Only who calls itself so, too, is missed, and to its own harm. */
static bool is_of_init(const struct sb_sandbox *sandbox, uint32_t pid)
{
    struct sb_denial who = {.comm = ""};
    if (pid == (uint64_t)sandbox->init_pid) {
        return true;
    }
    read_process(pid, &who);
    return strcmp(who.comm, INIT_COMM) == 0;
}

static void learn(struct sb_sandbox *sandbox, const struct seccomp_notif *asked)
{
    struct sb_notify *notify = &sandbox->notify;
    if (notify->learnt == NULL) {
        notify->learnt = calloc(1, sizeof *notify->learnt);
    }
    if (notify->learnt != NULL &&
        (sb_learnt_has(notify->learnt, asked->data.nr) || !is_of_init(sandbox, asked->pid))) {
        sb_learnt_add(notify->learnt, asked->data.nr);
    }
}

/* ---- the listener ---- */

/* Receiving blocks when nothing is there, so it is asked first; nobody else reads. */
static short state_of(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, 0) > 0 ? poller.revents : 0;
}

/* Answers one. False: nothing is there, or nobody is left to ask. */
static bool answer(struct sb_sandbox *sandbox)
{
    union {
        struct seccomp_notif head;
        char bytes[MAX_STRUCT];
    } asked = {.bytes = {0}};
    union {
        struct seccomp_notif_resp head;
        char bytes[MAX_STRUCT];
    } said = {.bytes = {0}};
    int fd = sandbox->notify.fd;
    struct sb_denial what;
    if ((state_of(fd) & POLLIN) == 0) {
        return false;
    }
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0) {
        return errno == ENOENT || errno == EINTR; /* the caller was killed meanwhile */
    }
    said.head.id = asked.head.id;
    if (sandbox->policy->learns) {
        learn(sandbox, &asked.head);
        said.head.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        (void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &said);
        return true;
    }
    identify(sandbox->policy, &asked.head.data, &what);
    if (sb_deny_is_new(sandbox, &what)) {
        read_process(asked.head.pid, &what); /* while it waits for us */
    }
    said.head.error = -what.error;
    (void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &said); /* ENOENT: killed meanwhile */
    sb_deny_count(sandbox, &what);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_sandbox *sandbox = ctx;
    int left = PER_TURN;
    while (left > 0 && sandbox->notify.fd >= 0 && answer(sandbox)) {
        left--;
    }
    if (left > 0 && sandbox->notify.fd >= 0 &&
        (state_of(fd) & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        sb_notify_stop(&sandbox->notify); /* no process has the filter any more */
    }
}

void sb_notify_init(struct sb_notify *notify)
{
    *notify = (struct sb_notify){.fd = -1};
}

void sb_notify_start(struct sb_sandbox *sandbox, int fd)
{
    struct seccomp_notif_sizes sizes = {0};
    struct sb_notify *notify = &sandbox->notify;
    if (fd < 0) {
        return;
    }
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0 ||
        sizes.seccomp_notif > MAX_STRUCT || sizes.seccomp_notif_resp > MAX_STRUCT) {
        SB_LOG_WARN("refused system calls are not counted: unknown kernel", "sandbox=%s",
                    sandbox->id);
        close(fd);
        return;
    }
    notify->fd = fd;
    (void)event_assign(&notify->event, sandbox->worker->base, fd, EV_READ | EV_PERSIST, on_readable,
                       sandbox);
    (void)event_add(&notify->event, NULL);
}

void sb_notify_stop(struct sb_notify *notify)
{
    if (notify->fd >= 0) {
        (void)event_del(&notify->event);
        close(notify->fd);
        notify->fd = -1;
    }
}

void sb_notify_done(struct sb_notify *notify)
{
    sb_notify_stop(notify);
    sb_denials_done(&notify->denials);
    free(notify->learnt);
    notify->learnt = NULL;
}
