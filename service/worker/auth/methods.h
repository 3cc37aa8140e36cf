#pragma once
#include <stdbool.h>

#include "service/worker/policy/auth_config.h"

/** May the role call the method? False for a method that the table does not have.
 *  @path  "/aisbx.v1.SandboxService/Run" */
bool sb_methods_allow(const char *path, enum sb_role role);
/** "admin", "admin or user" and so on, for messages; "nobody" for an unknown method. */
const char *sb_methods_who(const char *path);
/** May who has only a link to a port call it? */
bool sb_methods_is_of_links(const char *path);
