#include "service/egress/sni.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

/* RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3. */
enum {
    RECORD_HEAD = 5,
    RECORD_MAX = 1 << 14,
    HANDSHAKE = 22,
    HANDSHAKE_HEAD = 4,
    CLIENT_HELLO = 1,
    RANDOM = 32,
    SESSION_ID_MAX = 32,
    EXTENSION_SERVER_NAME = 0,
    NAME_TYPE_HOST = 0,
};

/* Takes a big-endian number of @width bytes off *from. */
static bool take_number(struct sb_str *from, size_t width, size_t *ret_value)
{
    size_t value = 0;
    if (from->len < width) {
        return false;
    }
    for (size_t i = 0; i < width; i++) {
        value = value << 8 | (unsigned char)from->ptr[i];
    }
    *from = (struct sb_str){from->ptr + width, from->len - width};
    *ret_value = value;
    return true;
}

/* Takes a vector whose length stands before it in @width bytes. */
static bool take_vector(struct sb_str *from, size_t width, struct sb_str *ret_vector)
{
    struct sb_str rest = *from;
    size_t len = 0;
    if (!take_number(&rest, width, &len) || len > rest.len) {
        return false;
    }
    *ret_vector = (struct sb_str){rest.ptr, len};
    *from = (struct sb_str){rest.ptr + len, rest.len - len};
    return true;
}

/* NAME: so far it looks like the head of a record with handshake bytes. */
static enum sb_sni_state check_record_head(struct sb_str bytes, size_t joined)
{
    const unsigned char *head = (const unsigned char *)bytes.ptr;
    if (head[0] != HANDSHAKE || (bytes.len > 1 && head[1] != 3) || (bytes.len > 2 && head[2] > 4)) {
        return joined == 0 ? SB_SNI_NOT_TLS : SB_SNI_BAD;
    }
    if (bytes.len < RECORD_HEAD) {
        return SB_SNI_MORE;
    }
    size_t record = (size_t)head[3] << 8 | head[4];
    return record == 0 || record > RECORD_MAX ? SB_SNI_BAD : SB_SNI_NAME;
}

/* All of the handshake message whose start is in these bytes is there. */
static bool is_whole(const unsigned char *joined, size_t len)
{
    return len >= HANDSHAKE_HEAD &&
           len - HANDSHAKE_HEAD >= ((size_t)joined[1] << 16 | (size_t)joined[2] << 8 | joined[3]);
}

/* Puts the handshake bytes of all whole records, and of the begun last one, into out, as far as
 * the first message goes. */
static enum sb_sni_state join_records(struct sb_str bytes, unsigned char *out, size_t *ret_len)
{
    size_t len = 0;
    while (bytes.len > 0 && !is_whole(out, len)) {
        enum sb_sni_state state = check_record_head(bytes, len);
        if (state == SB_SNI_MORE) {
            break;
        }
        if (state != SB_SNI_NAME) {
            return state;
        }
        const unsigned char *head = (const unsigned char *)bytes.ptr;
        size_t record = (size_t)head[3] << 8 | head[4];
        bytes = (struct sb_str){bytes.ptr + RECORD_HEAD, bytes.len - RECORD_HEAD};
        size_t n = record < bytes.len ? record : bytes.len;
        if (n > SB_SNI_MAX_BYTES - len) {
            return SB_SNI_BAD;
        }
        memcpy(out + len, bytes.ptr, n);
        len += n;
        bytes = sb_str_skip(bytes, n);
    }
    *ret_len = len;
    return SB_SNI_MORE;
}

/* The one host name of the extension. */
static enum sb_sni_state read_server_name(struct sb_str extension, struct sb_host *ret_host)
{
    struct sb_err err;
    struct sb_str list;
    struct sb_str name;
    size_t type = 0;
    if (!take_vector(&extension, 2, &list) || extension.len != 0 || !take_number(&list, 1, &type) ||
        type != NAME_TYPE_HOST || !take_vector(&list, 2, &name) || list.len != 0) {
        return SB_SNI_BAD;
    }
    struct sb_host host;
    if (sb_host_parse(name, false, &host, &err) < 0) {
        return SB_SNI_BAD;
    }
    *ret_host = host;
    return SB_SNI_NAME;
}

static enum sb_sni_state read_extensions(struct sb_str extensions, struct sb_host *ret_host)
{
    enum sb_sni_state state = SB_SNI_NONE;
    while (extensions.len > 0) {
        size_t type = 0;
        struct sb_str body;
        if (!take_number(&extensions, 2, &type) || !take_vector(&extensions, 2, &body)) {
            return SB_SNI_BAD;
        }
        if (type != EXTENSION_SERVER_NAME) {
            continue;
        }
        if (state != SB_SNI_NONE) { /* twice: who reads which? */
            return SB_SNI_BAD;
        }
        state = read_server_name(body, ret_host);
        if (state != SB_SNI_NAME) {
            return state;
        }
    }
    return state;
}

static enum sb_sni_state read_hello(struct sb_str hello, struct sb_host *ret_host)
{
    size_t version = 0;
    struct sb_str skipped;
    struct sb_str extensions;
    if (!take_number(&hello, 2, &version) || version >> 8 != 3 || hello.len < RANDOM) {
        return SB_SNI_BAD;
    }
    hello = (struct sb_str){hello.ptr + RANDOM, hello.len - RANDOM};
    if (!take_vector(&hello, 1, &skipped) || skipped.len > SESSION_ID_MAX || /* session id */
        !take_vector(&hello, 2, &skipped) || skipped.len < 2 ||              /* ciphers */
        !take_vector(&hello, 1, &skipped) || skipped.len < 1) {              /* compression */
        return SB_SNI_BAD;
    }
    if (hello.len == 0) {
        return SB_SNI_NONE;
    }
    if (!take_vector(&hello, 2, &extensions) || hello.len != 0) {
        return SB_SNI_BAD;
    }
    return read_extensions(extensions, ret_host);
}

enum sb_sni_state sb_sni_read(struct sb_str bytes, struct sb_host *ret_host)
{
    unsigned char joined[SB_SNI_MAX_BYTES];
    size_t len = 0;
    enum sb_sni_state state = join_records(bytes, joined, &len);
    if (state != SB_SNI_MORE) {
        return state;
    }
    struct sb_str handshake = sb_str_of(joined, len);
    size_t type = 0;
    struct sb_str hello;
    if (!take_number(&handshake, 1, &type)) {
        return SB_SNI_MORE;
    }
    if (type != CLIENT_HELLO) {
        return SB_SNI_BAD;
    }
    struct sb_str size = handshake;
    size_t wanted = 0;
    if (take_number(&size, 3, &wanted) && wanted > SB_SNI_MAX_BYTES - HANDSHAKE_HEAD) {
        return SB_SNI_BAD;
    }
    if (!take_vector(&handshake, 3, &hello)) {
        return bytes.len >= SB_SNI_MAX_BYTES ? SB_SNI_BAD : SB_SNI_MORE;
    }
    return read_hello(hello, ret_host);
}
