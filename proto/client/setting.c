#include "proto/client/setting.h"

#include <stdlib.h>

const struct sb_setting sb_setting_table[SB_SETTING_COUNT] = {
    [SB_SETTING_ADDRESS] = {"AISBX_ADDRESS", "Worker to use when --address is not given"},
    [SB_SETTING_DEFAULT_PROFILE] = {"AISBX_DEFAULT_PROFILE",
                                    "Profile to use when --profile is not given"},
    [SB_SETTING_CONFIG_PATH] = {"AISBX_CONFIG_PATH",
                                "config.yaml with profiles of your own; a worker that aisbx starts "
                                "reads it"},
    [SB_SETTING_API_KEY] = {"AISBX_API_KEY", "Key sent to the worker with every call"},
    [SB_SETTING_TLS_CA] = {"AISBX_TLS_CA",
                           "PEM file of who may vouch for a worker on another machine; default: "
                           "the system's when AISBX_TLS_CERT is set, else no TLS"},
    [SB_SETTING_TLS_CERT] = {"AISBX_TLS_CERT",
                             "PEM file of the certificate shown to that worker; wants "
                             "AISBX_TLS_KEY"},
    [SB_SETTING_TLS_KEY] = {"AISBX_TLS_KEY", "PEM file of that certificate's key"},
    [SB_SETTING_DEBUG] = {"AISBX_DEBUG",
                          "1: log what happens, on stderr and in the log of a worker that aisbx "
                          "starts"},
    [SB_SETTING_RUNTIME_DIR] = {"AISBX_RUNTIME_DIR",
                                "Directory for socket and log of a worker that aisbx starts; "
                                "default: $XDG_RUNTIME_DIR/aisbx, for root /run/aisbx, else "
                                "/tmp/aisbx-UID"},
    [SB_SETTING_NO_COLOR] = {"NO_COLOR", "Any text: no colours"},
};

const char *sb_setting_get(enum sb_setting_id id)
{
    const char *value = getenv(sb_setting_table[id].name);
    return value == NULL || *value == '\0' ? NULL : value;
}
