#include "service/worker/policy/sha256.h"

#include <openssl/evp.h>

#include "base/err.h"

int sb_sha256_hex(struct sb_str data, char ret_hex[65], struct sb_err *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(data.ptr == NULL ? "" : data.ptr, data.len, digest, &len, EVP_sha256(), NULL) !=
            1 ||
        len != 32) {
        return sb_err_set(err, SB_INTERNAL, "SHA-256 failed");
    }
    for (size_t i = 0; i < len; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[64] = '\0';
    return 0;
}
