#include "service/worker/snapshot/spec.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/api_pb.h"
#include "service/worker/sandbox.h"

void sb_spec_freep(Aisbx__V1__SandboxSpec **spec)
{
    if (*spec != NULL) {
        aisbx__v1__sandbox_spec__free_unpacked(*spec, NULL);
    }
}

static Aisbx__V1__SandboxSpec *unpack(const struct sb_sandbox *sandbox)
{
    return aisbx__v1__sandbox_spec__unpack(NULL, sandbox->spec_len, sandbox->spec);
}

static int
set_labels(Aisbx__V1__SandboxSpec *spec, const struct sb_pairs *labels, struct sb_err *err)
{
    for (size_t i = 0; i < spec->n_labels; i++) {
        protobuf_c_message_free_unpacked(&spec->labels[i]->base, NULL);
    }
    free(spec->labels);
    spec->n_labels = 0;
    spec->labels = calloc(labels->n + 1, sizeof(Aisbx__V1__SandboxSpec__LabelsEntry *));
    if (spec->labels == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < labels->n; i++) {
        Aisbx__V1__SandboxSpec__LabelsEntry *entry =
            sb_api_pb_new(&aisbx__v1__sandbox_spec__labels_entry__descriptor);
        if (entry == NULL) {
            return sb_err_oom(err);
        }
        spec->labels[spec->n_labels++] = entry;
        if (!sb_api_pb_text(&entry->key, labels->items[i].name) ||
            !sb_api_pb_text(&entry->value, labels->items[i].value)) {
            return sb_err_oom(err);
        }
    }
    return 0;
}

int sb_spec_of(const struct sb_sandbox *sandbox,
               Aisbx__V1__SandboxSpec **ret_spec,
               struct sb_err *err)
{
    SB_CLEANUP(sb_spec_freep) Aisbx__V1__SandboxSpec *spec = unpack(sandbox);
    if (spec == NULL) {
        return sb_err_oom(err);
    }
    if (set_labels(spec, &sandbox->labels, err) < 0) {
        return -1;
    }
    spec->ttl_ms = sandbox->ttl_ms;
    spec->idle_ms = sandbox->idle_ms;
    *ret_spec = SB_STEAL_PTR(spec);
    return 0;
}

int sb_spec_set_network(struct sb_sandbox *sandbox,
                        const Aisbx__V1__Network *network,
                        struct sb_err *err)
{
    SB_CLEANUP(sb_spec_freep) Aisbx__V1__SandboxSpec *spec = unpack(sandbox);
    if (spec == NULL) {
        return sb_err_oom(err);
    }
    Aisbx__V1__Network *before = spec->network;
    union { /* it is read alone */
        const Aisbx__V1__Network *from;
        Aisbx__V1__Network *to;
    } now = {network};
    spec->network = now.to;
    size_t len = aisbx__v1__sandbox_spec__get_packed_size(spec);
    uint8_t *packed = malloc(len + 1);
    if (packed != NULL) {
        (void)aisbx__v1__sandbox_spec__pack(spec, packed);
        free(sandbox->spec);
        sandbox->spec = packed;
        sandbox->spec_len = len;
    }
    spec->network = before;
    return packed == NULL ? sb_err_oom(err) : 0;
}
