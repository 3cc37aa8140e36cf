#include "mcp-gateway/tools/spec.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "mcp-gateway/tools/arg.h"
#include "proto/client/setting.h"

static void read_labels(struct sb_spec *spec, const struct cJSON *labels)
{
    size_t n = 0;
    const cJSON *label = NULL;
    cJSON_ArrayForEach(label, labels)
    {
        if (n < SB_SPEC_MAX_LABELS && cJSON_IsString(label)) {
            aisbx__v1__sandbox_spec__labels_entry__init(&spec->labels[n]);
            spec->labels[n].key = label->string;
            spec->labels[n].value = label->valuestring;
            spec->label_list[n] = &spec->labels[n];
            n++;
        }
    }
    spec->sandbox.n_labels = n;
    spec->sandbox.labels = spec->label_list;
}

void sb_spec_read(struct sb_spec *ret_spec, const struct cJSON *arguments, const char *profile)
{
    const char *asked = sb_arg_text(arguments, "profile");
    const char *network = sb_arg_text(arguments, "network");
    const char *preset = sb_setting_get(SB_SETTING_DEFAULT_PROFILE);
    aisbx__v1__sandbox_spec__init(&ret_spec->sandbox);
    aisbx__v1__network__init(&ret_spec->network);
    if (asked == NULL) {
        asked = preset;
    }
    if (asked == NULL && network == NULL) { /* nobody chose what it may reach */
        network = "none";
    }
    ret_spec->sandbox.profile = sb_lend(asked == NULL ? profile : asked);
    if (network != NULL) {
        ret_spec->network.mode = strcmp(network, "none") == 0
                                     ? AISBX__V1__NETWORK_MODE__NETWORK_MODE_NONE
                                     : AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED;
        ret_spec->sandbox.network = &ret_spec->network;
    }
    read_labels(ret_spec, cJSON_GetObjectItemCaseSensitive(arguments, "labels"));
}
