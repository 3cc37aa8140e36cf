#pragma once
/** Makes the first flight of a TLS client. */
#include <stddef.h>
#include <string.h>

#include "base/str.h"

/** One handshake record: a ClientHello with the extension server_name @times times.
 *  @out  at least 512 bytes. Returns what was written to it. */
static inline struct sb_str client_hello(unsigned char *out, const char *name, unsigned times)
{
    size_t name_len = strlen(name);
    size_t extension = 9 + name_len;
    size_t extensions = times * extension + 4; /* and an empty one of another type */
    size_t hello = 2 + 32 + 1 + 4 + 2 + 2 + extensions;
    size_t n = 0;
    const unsigned char head[] = {22,
                                  3,
                                  1,
                                  (unsigned char)((hello + 4) >> 8),
                                  (unsigned char)(hello + 4),
                                  1,
                                  0,
                                  (unsigned char)(hello >> 8),
                                  (unsigned char)hello,
                                  3,
                                  3};
    memcpy(out, head, sizeof head);
    memset(out + sizeof head, 0x55, 32);
    n = sizeof head + 32;
    const unsigned char middle[] = {
        0, 0,  2, 0x13, 1, 1, 0, (unsigned char)(extensions >> 8), (unsigned char)extensions,
        0, 23, 0, 0};
    memcpy(out + n, middle, sizeof middle);
    n += sizeof middle;
    for (unsigned i = 0; i < times; i++) {
        const unsigned char start[] = {0,
                                       0,
                                       0,
                                       (unsigned char)(name_len + 5),
                                       0,
                                       (unsigned char)(name_len + 3),
                                       0,
                                       0,
                                       (unsigned char)name_len};
        memcpy(out + n, start, sizeof start);
        memcpy(out + n + sizeof start, name, name_len);
        n += sizeof start + name_len;
    }
    return sb_str_of(out, n);
}
