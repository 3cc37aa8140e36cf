#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "service/worker/policy/seccomp_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted keeps the promises that the message's comments make. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_err err = {0};
    struct sb_filter *filter = NULL;
    if (sb_seccomp_json_parse("f", sb_str_of(data, size), &filter, &err) < 0) {
        if (err.code != SB_INVALID) {
            abort();
        }
        return 0;
    }
    const Spawn__V1__LoadFilter *message = filter->message;
    if (message->n_rules > 4096 || message->default_action == 0) {
        abort();
    }
    for (size_t i = 0; i < message->n_rules; i++) {
        const Spawn__V1__FilterRule *rule = message->rules[i];
        unsigned seen = 0;
        if (rule->n_names == 0 || rule->n_args > 6 || rule->action == 0) {
            abort();
        }
        for (size_t k = 0; k < rule->n_args; k++) {
            unsigned bit = 1U << rule->args[k]->index;
            if (bit > 1U << 5 || (seen & bit) != 0 || rule->args[k]->op == 0) {
                abort();
            }
            seen |= bit;
        }
    }
    sb_filter_unref(filter);
    return 0;
}
