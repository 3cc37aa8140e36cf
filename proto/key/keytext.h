#pragma once
/** The text of a key: "aisbx_", an id of 26 characters of lower-case base32, "_", a secret of 43
 *  characters of base64url (256 random bits). */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct sb_err;

#define SB_KEY_PREFIX    "aisbx_"
#define SB_KEY_ID_SIZE   27 /* bytes, with the NUL */
#define SB_KEY_SECRET    43
#define SB_KEY_TEXT_SIZE (sizeof SB_KEY_PREFIX - 1 + SB_KEY_ID_SIZE + SB_KEY_SECRET + 1)
#define SB_KEY_HASH      32 /* bytes of SHA-256 */

/** A new one. Errors: of getrandom(2). */
int sb_key_text_make(char ret_id[SB_KEY_ID_SIZE],
                     char ret_text[SB_KEY_TEXT_SIZE],
                     struct sb_err *err);
/** The id in the text. False: it is no key at all. */
bool sb_key_text_parse(struct sb_str text, char ret_id[SB_KEY_ID_SIZE]);
/** SHA-256 of the whole text. */
void sb_key_text_hash(struct sb_str text, unsigned char ret_hash[SB_KEY_HASH]);
/** In time that does not depend on what is in them. */
bool sb_key_hash_equal(const unsigned char a[SB_KEY_HASH], const unsigned char b[SB_KEY_HASH]);

/** What follows "Bearer" (in any case) in an Authorization header; empty for another scheme. */
struct sb_str sb_key_text_bearer(struct sb_str header);
