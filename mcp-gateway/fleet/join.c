#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/worker_service.pb-c.h"
#include "base/cleanup.h"
#include "mcp-gateway/fleet/merge_internal.h"
#include "proto/client/message.h"

ProtobufCMessage *sb_merge_new(const ProtobufCMessageDescriptor *type, struct sb_err *err)
{
    ProtobufCMessage *made = calloc(1, type->sizeof_message);
    if (made == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    protobuf_c_message_init(type, made);
    return made;
}

static void add_field(void *sum, const void *one, ProtobufCType type, bool is_first)
{
    switch ((int)type) {
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)sum += *(const uint32_t *)one;
        break;
    case PROTOBUF_C_TYPE_UINT64:
        *(uint64_t *)sum += *(const uint64_t *)one;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)sum =
            (is_first || *(protobuf_c_boolean *)sum) && *(const protobuf_c_boolean *)one;
        break;
    default:
        break;
    }
}

void sb_merge_add(ProtobufCMessage *sum, const ProtobufCMessage *one, bool is_first)
{
    for (unsigned i = 0; i < sum->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &sum->descriptor->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            add_field((char *)sum + field->offset, (const char *)one + field->offset, field->type,
                      is_first);
        }
    }
}

/* ---- sums ---- */

static ProtobufCMessage *
join_sum(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err)
{
    ProtobufCMessage *sum = sb_merge_new(call->method->out, err);
    bool is_first = true;
    for (size_t i = 0; sum != NULL && i < merge->n; i++) {
        if (merge->legs[i]->message != NULL) {
            sb_merge_add(sum, merge->legs[i]->message, is_first);
            is_first = false;
        }
    }
    return sum;
}

/* Not before each worker has said something; those that are gone count no more. */
static ProtobufCMessage *
join_load(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err)
{
    for (size_t i = 0; i < merge->n; i++) {
        struct sb_merge_leg *leg = merge->legs[i];
        if (leg->is_live && leg->message == NULL) {
            return NULL;
        }
        if (!leg->is_live && leg->message != NULL) {
            protobuf_c_message_free_unpacked(SB_STEAL_PTR(leg->message), NULL);
        }
    }
    return join_sum(merge, call, err);
}

/* ---- one of them ---- */

static ProtobufCMessage *
join_one(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err)
{
    (void)call;
    for (size_t i = 0; i < merge->n; i++) {
        if (merge->legs[i]->message != NULL) {
            return SB_STEAL_PTR(merge->legs[i]->message);
        }
    }
    (void)sb_err_set(err, SB_INTERNAL, "nobody said anything");
    return NULL;
}

/* ---- metrics ---- */

static int label(Aisbx__V1__MetricSample *sample, const char *worker)
{
    Aisbx__V1__MetricSample__LabelsEntry **labels =
        realloc(sample->labels, (sample->n_labels + 1) * sizeof *labels);
    if (labels == NULL) {
        return -1;
    }
    sample->labels = labels;
    Aisbx__V1__MetricSample__LabelsEntry *entry = malloc(sizeof *entry);
    if (entry == NULL) {
        return -1;
    }
    aisbx__v1__metric_sample__labels_entry__init(entry);
    entry->key = strdup("worker");
    entry->value = strdup(worker);
    labels[sample->n_labels++] = entry;
    return entry->key == NULL || entry->value == NULL ? -1 : 0;
}

static Aisbx__V1__MetricFamily *family_of(const Aisbx__V1__GetMetricsResponse *all,
                                          const char *name)
{
    for (size_t i = 0; i < all->n_families; i++) {
        if (strcmp(all->families[i]->name, name) == 0) {
            return all->families[i];
        }
    }
    return NULL;
}

/* The samples go over; those of the first of a name with the family. */
static int append(Aisbx__V1__MetricFamily *to, Aisbx__V1__MetricFamily *from)
{
    Aisbx__V1__MetricSample **samples =
        realloc(to->samples, (to->n_samples + from->n_samples + 1) * sizeof(void *));
    if (samples == NULL) {
        return -1;
    }
    to->samples = samples;
    for (size_t i = 0; i < from->n_samples; i++) {
        samples[to->n_samples++] = from->samples[i];
    }
    from->n_samples = 0;
    return 0;
}

static int take_metrics(Aisbx__V1__GetMetricsResponse *all,
                        Aisbx__V1__GetMetricsResponse *one,
                        const char *worker)
{
    Aisbx__V1__MetricFamily **families =
        realloc(all->families, (all->n_families + one->n_families + 1) * sizeof(void *));
    if (families == NULL) {
        return -1;
    }
    all->families = families;
    int rc = 0;
    for (size_t i = 0; i < one->n_families; i++) {
        Aisbx__V1__MetricFamily *family = one->families[i];
        for (size_t k = 0; k < family->n_samples; k++) {
            rc |= label(family->samples[k], worker);
        }
        Aisbx__V1__MetricFamily *known = family_of(all, family->name);
        if (known == NULL) {
            families[all->n_families++] = family;
        } else {
            rc |= append(known, family);
            protobuf_c_message_free_unpacked(&family->base, NULL);
        }
    }
    one->n_families = 0;
    return rc;
}

static ProtobufCMessage *
join_metrics(const struct sb_merge *merge, const struct sb_fleet_call *call, struct sb_err *err)
{
    ProtobufCMessage *all = sb_merge_new(call->method->out, err);
    int rc = all == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < merge->n; i++) {
        if (merge->legs[i]->message != NULL) {
            rc = take_metrics((Aisbx__V1__GetMetricsResponse *)(void *)all,
                              (Aisbx__V1__GetMetricsResponse *)(void *)merge->legs[i]->message,
                              merge->legs[i]->address);
        }
    }
    if (rc < 0 && all != NULL) {
        (void)sb_err_oom(err);
        protobuf_c_message_free_unpacked(all, NULL);
        return NULL;
    }
    return all;
}

/* ---- by method ---- */

#define SANDBOX(name) "/aisbx.v1.SandboxService/" name
#define WORKER(name)  "/aisbx.v1.WorkerService/" name
#define KEY(name)     "/aisbx.v1.KeyService/" name

/* clang-format off */
static const struct sb_merge_kind kinds[] = {
    {SANDBOX("ListSandboxes"),   "sandboxes", "sandbox_id",  "create_time", NULL, sb_page_join, false, false, NULL},
    {SANDBOX("ListSnapshots"),   "snapshots", "snapshot_id", "create_time", NULL, sb_page_join, false, false, NULL},
    {SANDBOX("ListExecs"),       "execs",     "exec_id",     "start_time", NULL, sb_page_join, false, false, NULL},
    {SANDBOX("WatchSandboxes"),  NULL, NULL, NULL, NULL, NULL, false, false, NULL},
    {WORKER("WatchLoad"),        NULL, NULL, NULL, NULL, join_load, true, false, NULL},
    {WORKER("GetMetrics"),       NULL, NULL, NULL, NULL, join_metrics, false, false, NULL},
    {WORKER("ListProfiles"),     NULL, NULL, NULL, NULL, sb_profiles_join, false, false, &sb_profiles_pages},
    {WORKER("ListPackages"),     "packages",  "package_id",  "create_time", NULL, sb_page_join, false, false, NULL},
    {WORKER("DeletePackages"),   NULL, NULL, NULL, NULL, join_sum, false, true, NULL},
    {WORKER("ListAuditRecords"), "records",   "sequence",    "time", "oldest_first", sb_page_join, false, false, NULL},
    {KEY("ListKeys"),            "keys",      "key_id",      "create_time", NULL, sb_page_join, false, false, NULL},
    {KEY("RevokeKey"),           NULL, NULL, NULL, NULL, join_one, false, true, NULL},
};
/* clang-format on */

const struct sb_merge_kind *sb_merge_find(const char *path)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].path, path) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}
