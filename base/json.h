#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct sb_out;

/** Writes one JSON value (RFC 8259), compact, valid UTF-8 whatever the text holds.
 *
 *      struct sb_json json = {.out = out};
 *      sb_json_open(&json, NULL, '{');
 *      sb_json_u64(&json, "pid", 7);
 *      sb_json_close(&json, '}');
 *
 *  @key  member name inside an object, a constant; NULL inside arrays and at the top. */
struct sb_json {
    struct sb_out *out; /* borrowed */
    bool needs_comma;
};

/** @bracket  '{' or '['; close with '}' or ']'. */
void sb_json_open(struct sb_json *json, const char *key, char bracket);
void sb_json_close(struct sb_json *json, char bracket);

/** Malformed UTF-8 becomes U+FFFD. */
void sb_json_str(struct sb_json *json, const char *key, struct sb_str value);
void sb_json_cstr(struct sb_json *json, const char *key, const char *value);
void sb_json_u64(struct sb_json *json, const char *key, uint64_t value);
void sb_json_i64(struct sb_json *json, const char *key, int64_t value);
void sb_json_double(struct sb_json *json, const char *key, double value);
void sb_json_bool(struct sb_json *json, const char *key, bool value);
void sb_json_null(struct sb_json *json, const char *key);
/** @value  text that is one JSON value, checked by nobody. */
void sb_json_raw(struct sb_json *json, const char *key, struct sb_str value);
/** Bytes as a string of base64. */
void sb_json_base64(struct sb_json *json, const char *key, struct sb_str data);
/** A member name that is not a constant; the next value is called with key NULL. */
void sb_json_key(struct sb_json *json, struct sb_str key);
