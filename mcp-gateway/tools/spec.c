#include "mcp-gateway/tools/spec.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mcp-gateway/mcp/tool.h"
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

/* Whose a name without a prefix is: the language says, or else the profile of the sandbox does. */
static const char *prefix_of(const struct cJSON *arguments, const char *name)
{
    static const char *const rows[][2] = {{"python", "pip:"}, {"node", "npm:"}};
    const char *language = sb_arg_text(arguments, "language");
    bool has_prefix = strncmp(name, "pip:", 4) == 0 || strncmp(name, "npm:", 4) == 0;
    for (size_t i = 0; !has_prefix && language != NULL && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(language, rows[i][0]) == 0) {
            return rows[i][1];
        }
    }
    return "";
}

static void read_packages(struct sb_spec *spec, const struct cJSON *arguments)
{
    const cJSON *item = NULL;
    size_t n = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(arguments, "packages"))
    {
        if (n < SB_SPEC_MAX_PACKAGES && cJSON_IsString(item)) {
            (void)snprintf(spec->package_texts[n], SB_SPEC_PACKAGE_SIZE, "%s%s",
                           prefix_of(arguments, item->valuestring), item->valuestring);
            spec->packages[n] = spec->package_texts[n];
            n++;
        }
    }
    spec->sandbox.packages = spec->packages;
    spec->sandbox.n_packages = n;
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
    read_packages(ret_spec, arguments);
    read_labels(ret_spec, cJSON_GetObjectItemCaseSensitive(arguments, "labels"));
}

void sb_spec_tell(const struct sb_spec *spec, struct sb_mcp_call *call)
{
    char text[256];
    size_t used = 0;
    if (spec->sandbox.n_packages == 0 || !sb_mcp_wants_progress(call)) {
        return;
    }
    for (size_t i = 0; i < spec->sandbox.n_packages && used < sizeof text; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s",
                                 i == 0 ? "installing " : ", ", spec->sandbox.packages[i]);
    }
    sb_mcp_progress(call, 0, 0, sb_str_from(text));
}
