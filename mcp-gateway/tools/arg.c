#include "mcp-gateway/tools/arg.h"

#include <cjson/cJSON.h>

const char *sb_arg_text(const struct cJSON *arguments, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(arguments, name);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

char *sb_arg_field(const struct cJSON *arguments, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(arguments, name);
    return cJSON_IsString(value) ? value->valuestring : sb_lend("");
}

bool sb_arg_flag(const struct cJSON *arguments, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(arguments, name)) != 0;
}

int64_t sb_arg_number(const struct cJSON *arguments, const char *name, int64_t otherwise)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(arguments, name);
    return cJSON_IsNumber(value) ? (int64_t)value->valuedouble : otherwise;
}

uint64_t sb_arg_seconds(const struct cJSON *arguments, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(arguments, name);
    return cJSON_IsNumber(value) && value->valuedouble > 0 ? (uint64_t)(value->valuedouble * 1000)
                                                           : 0;
}

bool sb_arg_has(const struct cJSON *arguments, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(arguments, name) != NULL;
}
