/* Prints the document without descriptions, for tools/openapi. */
#include <stdio.h>
#include <stdlib.h>

#include "mcp-gateway/rest/openapi.h"

int main(void)
{
    char *text = sb_openapi_make();
    if (text == NULL) {
        return EXIT_FAILURE;
    }
    (void)fputs(text, stdout);
    free(text);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
