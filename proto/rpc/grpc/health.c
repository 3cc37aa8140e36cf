#include "proto/rpc/grpc/health.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "grpc/health/v1/health.rpc.h"
#include "proto/rpc/grpc/bytes.h"
#include "proto/rpc/internal.h"

typedef Grpc__Health__V1__HealthCheckResponse Response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

/** State set for one service by name. */
struct entry {
    struct sb_list node;
    Status status;
    char name[];
};

/** One Watch call. */
struct watcher {
    struct sb_list node;
    struct sb_rpc_call *call;
    int last; /* Status told last; -1: none */
    char service[];
};

struct sb_grpc_health {
    struct sb_rpc_server *server;
    Status overall;
    struct sb_list entries;
    struct sb_list watchers;
};

static struct entry *find_entry(const struct sb_grpc_health *health, const char *service)
{
    SB_FOREACH (node, &health->entries) {
        struct entry *entry = SB_LIST_ENTRY(node, struct entry, node);
        if (strcmp(entry->name, service) == 0) {
            return entry;
        }
    }
    return NULL;
}

static bool is_registered(const struct sb_grpc_health *health, const char *service)
{
    const struct sb_rpc_registration *reg = NULL;
    for (size_t i = 0; (reg = sb_rpc_server_registration(health->server, i)) != NULL; i++) {
        if (strcmp(reg->method->service, service) == 0) {
            return true;
        }
    }
    return false;
}

static Status look_up(const struct sb_grpc_health *health, const char *service)
{
    const struct entry *entry = find_entry(health, service);
    if (service[0] != '\0' && entry == NULL && !is_registered(health, service)) {
        return STATUS(SERVICE_UNKNOWN);
    }
    return entry != NULL && health->overall == STATUS(SERVING) ? entry->status : health->overall;
}

static void
on_check(struct sb_rpc_call *call, const Grpc__Health__V1__HealthCheckRequest *req, void *svc)
{
    Status status = look_up(svc, req->service);
    sb_rpc_call_set_looking(call);
    if (status == STATUS(SERVICE_UNKNOWN)) {
        struct sb_err err;
        (void)sb_err_set(&err, SB_NOT_FOUND, "unknown service %.200s", req->service);
        sb_rpc_call_fail(call, &err);
        return;
    }
    Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status;
    sb_rpc_call_reply(call, &response.base);
}

/* ---- List ---- */

typedef Grpc__Health__V1__HealthListResponse__StatusesEntry ListEntry;

struct list_row {
    ListEntry entry;
    Response response;
};

/** Fills one row per service, "" first; returns how many. @rows  NULL: only counts. */
static size_t fill_rows(const struct sb_grpc_health *health, struct list_row *rows)
{
    size_t n = 0;
    size_t at = 0;
    const char *name = "";
    while (name != NULL) {
        if (rows != NULL) {
            grpc__health__v1__health_list_response__statuses_entry__init(&rows[n].entry);
            grpc__health__v1__health_check_response__init(&rows[n].response);
            rows[n].response.status = look_up(health, name);
            rows[n].entry.key = sb_grpc_bytes_unconst(name);
            rows[n].entry.value = &rows[n].response;
        }
        n++;
        /* Methods of one service are registered in a row. */
        const struct sb_rpc_registration *reg = NULL;
        while ((reg = sb_rpc_server_registration(health->server, at)) != NULL &&
               strcmp(reg->method->service, name) == 0) {
            at++;
        }
        name = reg != NULL ? reg->method->service : NULL;
    }
    return n;
}

static void
on_list(struct sb_rpc_call *call, const Grpc__Health__V1__HealthListRequest *req, void *svc)
{
    (void)req;
    struct sb_err err;
    sb_rpc_call_set_looking(call);
    size_t n = fill_rows(svc, NULL);
    struct list_row *rows = calloc(n, sizeof *rows);
    ListEntry **pointers = calloc(n, sizeof(void *));
    if (rows == NULL || pointers == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
    } else {
        (void)fill_rows(svc, rows);
        for (size_t i = 0; i < n; i++) {
            pointers[i] = &rows[i].entry;
        }
        Grpc__Health__V1__HealthListResponse response =
            GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
        response.n_statuses = n;
        response.statuses = pointers;
        sb_rpc_call_reply(call, &response.base);
    }
    free(pointers);
    free(rows);
}

/* ---- Watch ---- */

static void tell(const struct sb_grpc_health *health, struct watcher *watcher)
{
    Status status = look_up(health, watcher->service);
    if ((int)status == watcher->last) {
        return;
    }
    watcher->last = (int)status;
    Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status;
    (void)sb_rpc_call_send(watcher->call, &response.base); /* few and small */
}

static void
on_watch(struct sb_rpc_call *call, const Grpc__Health__V1__HealthCheckRequest *req, void *svc)
{
    struct sb_grpc_health *health = svc;
    size_t size = strlen(req->service) + 1;
    struct watcher *watcher = calloc(1, sizeof *watcher + size);
    if (watcher == NULL) {
        struct sb_err err;
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    memcpy(watcher->service, req->service, size);
    watcher->call = call;
    watcher->last = -1;
    sb_list_append(&health->watchers, &watcher->node);
    sb_rpc_call_set_user(call, watcher);
    sb_rpc_call_set_looking(call);
    tell(health, watcher);
}

static void on_watch_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct watcher *watcher = sb_rpc_call_user(call);
    if (watcher != NULL) {
        sb_list_remove(&watcher->node);
        free(watcher);
    }
}

/* ---- life ---- */

int sb_grpc_health_new(struct sb_rpc_server *server,
                       struct sb_grpc_health **ret_health,
                       struct sb_err *err)
{
    static const struct grpc__health__v1__health__server impl = {
        .check = {.start = on_check},
        .list = {.start = on_list},
        .watch = {.start = on_watch, .done = on_watch_done},
    };
    struct sb_grpc_health *health = calloc(1, sizeof *health);
    if (health == NULL) {
        return sb_err_oom(err);
    }
    health->server = server;
    health->overall = STATUS(SERVING);
    sb_list_init(&health->entries);
    sb_list_init(&health->watchers);
    if (grpc__health__v1__health__serve(server, &impl, health, err) < 0) {
        free(health);
        return -1;
    }
    *ret_health = health;
    return 0;
}

void sb_grpc_health_free(struct sb_grpc_health *health)
{
    if (health == NULL) {
        return;
    }
    for (struct sb_list *node; (node = sb_list_pop(&health->entries)) != NULL;) {
        free(SB_LIST_ENTRY(node, struct entry, node));
    }
    free(health);
}

static int put_entry(struct sb_grpc_health *health, const char *service, Status status)
{
    struct entry *entry = find_entry(health, service);
    if (entry == NULL) {
        size_t size = strlen(service) + 1;
        entry = calloc(1, sizeof *entry + size);
        if (entry == NULL) {
            return -1;
        }
        memcpy(entry->name, service, size);
        sb_list_append(&health->entries, &entry->node);
    }
    entry->status = status;
    return 0;
}

void sb_grpc_health_set(struct sb_grpc_health *health,
                        const char *service,
                        enum sb_rpc_health state)
{
    _Static_assert((int)SB_RPC_HEALTH_UNKNOWN == (int)STATUS(UNKNOWN), "same numbers");
    _Static_assert((int)SB_RPC_HEALTH_SERVING == (int)STATUS(SERVING), "same numbers");
    _Static_assert((int)SB_RPC_HEALTH_NOT_SERVING == (int)STATUS(NOT_SERVING), "same numbers");
    if (service[0] == '\0') {
        health->overall = (Status)state;
    } else if (put_entry(health, service, (Status)state) < 0) {
        SB_LOG_ERROR("health state lost", "service=%s", service);
        return;
    }
    SB_FOREACH (node, &health->watchers) {
        tell(health, SB_LIST_ENTRY(node, struct watcher, node));
    }
}
