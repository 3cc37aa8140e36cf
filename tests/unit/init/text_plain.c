/* service/init/text.h by libc. */
#include <string.h>

#include "service/init/text.h"

size_t sb_text_len(const char *text)
{
    return strlen(text);
}

int sb_text_has(const char *text, char c)
{
    return c != '\0' && strchr(text, c) != NULL;
}
