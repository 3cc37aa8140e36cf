#pragma once
/** What a caller may do, and to whose things. */
#include <stdbool.h>

#include "base/str.h"

#define SB_TENANT_SIZE  64      /* bytes, with the NUL */
#define SB_TENANT_LOCAL "local" /* of callers by uid */
#define SB_TENANT_ALL   "*"     /* an auditor's: every tenant */

/** From weak to strong; an auditor may do nothing, and see lists, metrics and audit records. */
enum sb_role {
    SB_ROLE_NONE,
    SB_ROLE_AUDITOR,
    SB_ROLE_USER,
    SB_ROLE_ADMIN,
};
/** By enum sb_role; [0] is "", NULL at the end. */
extern const char *const sb_role_names[];

/** 1 to 63 of [a-z0-9-]. */
bool sb_tenant_is_name(struct sb_str text);
