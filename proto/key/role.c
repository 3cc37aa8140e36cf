#include "proto/key/role.h"

#include <stddef.h>

const char *const sb_role_names[] = {"", "auditor", "user", "admin", NULL};

bool sb_tenant_is_name(struct sb_str text)
{
    if (text.len == 0 || text.len >= SB_TENANT_SIZE) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}
