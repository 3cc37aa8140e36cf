#include "mcp-gateway/rest/openapi.h"

__asm__(".pushsection .rodata.sb_openapi,\"a\"\n"
        ".global sb_openapi_document\n"
        ".global sb_openapi_document_end\n"
        "sb_openapi_document:\n"
        ".incbin \"" SB_OPENAPI_FILE "\"\n"
        "sb_openapi_document_end:\n"
        ".byte 0\n"
        ".popsection\n");
