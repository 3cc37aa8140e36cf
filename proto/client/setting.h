#pragma once
#include <stddef.h>

/** Environment variables, one table for reading, help and the manual page. */
enum sb_setting_id {
    SB_SETTING_ADDRESS,
    SB_SETTING_DEFAULT_PROFILE,
    SB_SETTING_CONFIG_PATH,
    SB_SETTING_API_KEY,
    SB_SETTING_TLS_CA,
    SB_SETTING_TLS_CERT,
    SB_SETTING_TLS_KEY,
    SB_SETTING_DEBUG,
    SB_SETTING_RUNTIME_DIR,
    SB_SETTING_NO_COLOR,
    SB_SETTING_COUNT,
};

struct sb_setting {
    const char *name;
    const char *help;
};

extern const struct sb_setting sb_setting_table[SB_SETTING_COUNT];

/** Its value, or NULL when unset or empty. */
const char *sb_setting_get(enum sb_setting_id id);
