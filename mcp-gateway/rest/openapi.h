#pragma once
/** The document of the REST interface. */
#include <stddef.h>

/** mcp-gateway/openapi.json, as it was built in. */
extern const char sb_openapi_document[];
extern const char sb_openapi_document_end[];

/** As it follows from routes and contract, without descriptions; heap, NULL: memory. For the tool
 *  that writes the file, in a library of its own (sb_openapi). */
char *sb_openapi_make(void);
