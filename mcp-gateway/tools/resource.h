#pragma once
/** Private to mcp-gateway/tools: output, files and profiles by their URI. */
#include "base/str.h"

struct sb_mcp_call;

void sb_resource_read(struct sb_mcp_call *call, struct sb_str uri, void *user);
