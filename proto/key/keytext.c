#include "proto/key/keytext.h"

#include <errno.h>
#include <nettle/base64.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/id.h"
#include "base/sha256.h"

enum { SECRET_BYTES = 32, BASE64_SIZE = BASE64_ENCODE_RAW_LENGTH(SECRET_BYTES) };

int sb_key_text_make(char ret_id[SB_KEY_ID_SIZE],
                     char ret_text[SB_KEY_TEXT_SIZE],
                     struct sb_err *err)
{
    char id[SB_ID_SIZE];
    unsigned char secret[SECRET_BYTES];
    char text[BASE64_SIZE];
    if (sb_id_make(id, "", err) < 0) {
        return -1;
    }
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret) {
        return sb_err_sys(err, errno, "get random bytes");
    }
    base64_encode_raw(text, sizeof secret, secret); /* 43 characters and "=" */
    for (size_t i = 0; i < SB_KEY_SECRET; i++) {
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }
    memcpy(ret_id, id, SB_KEY_ID_SIZE);
    char *at = stpcpy(stpcpy(stpcpy(ret_text, SB_KEY_PREFIX), ret_id), "_");
    memcpy(at, text, SB_KEY_SECRET);
    at[SB_KEY_SECRET] = '\0';
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(text, sizeof text);
    return 0;
}

static bool is_base64url(struct sb_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

bool sb_key_text_parse(struct sb_str text, char ret_id[SB_KEY_ID_SIZE])
{
    if (text.len != SB_KEY_TEXT_SIZE - 1 || !sb_str_starts_with(text, SB_STR(SB_KEY_PREFIX))) {
        return false;
    }
    struct sb_str rest = sb_str_skip(text, sizeof SB_KEY_PREFIX - 1);
    struct sb_str id = sb_str_head(rest, SB_KEY_ID_SIZE - 1);
    if (!sb_id_valid(id, "") || rest.ptr[id.len] != '_' ||
        !is_base64url(sb_str_skip(rest, SB_KEY_ID_SIZE))) {
        return false;
    }
    memcpy(ret_id, id.ptr, id.len);
    ret_id[id.len] = '\0';
    return true;
}

void sb_key_text_hash(struct sb_str text, unsigned char ret_hash[SB_KEY_HASH])
{
    sb_sha256_of(text, ret_hash);
}

bool sb_key_hash_equal(const unsigned char a[SB_KEY_HASH], const unsigned char b[SB_KEY_HASH])
{
    return sb_sha256_equal(a, b);
}

struct sb_str sb_key_text_bearer(struct sb_str header)
{
    static const struct sb_str scheme = SB_STR("Bearer ");
    if (header.len <= scheme.len || strncasecmp(header.ptr, scheme.ptr, scheme.len) != 0) {
        return (struct sb_str){NULL, 0};
    }
    return sb_str_trim(sb_str_skip(header, scheme.len));
}
