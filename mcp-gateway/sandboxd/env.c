#include "mcp-gateway/sandboxd/env.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/out.h"

static bool has_word(struct sb_str name, const char *word)
{
    struct sb_str wanted = sb_str_from(word);
    for (size_t at = 0; at + wanted.len <= name.len; at++) {
        size_t n = 0;
        while (n < wanted.len && (name.ptr[at + n] & ~0x20) == wanted.ptr[n]) {
            n++;
        }
        if (n == wanted.len) {
            return true;
        }
    }
    return false;
}

static bool is_secret(struct sb_str name)
{
    static const char *const words[] = {"TOKEN", "SECRET", "PASSWORD", "PASSWD",  "CRED",
                                        "KEY",   "AUTH",   "BEARER",   "PRIVATE", "CERT"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (has_word(name, words[i])) {
            return true;
        }
    }
    return false;
}

void sb_env_write(struct sb_out *out, char *const *vars)
{
    struct sb_json json = {.out = out};
    sb_json_open(&json, NULL, '{');
    sb_json_open(&json, "env", '{');
    for (; *vars != NULL; vars++) {
        struct sb_str name;
        struct sb_str value;
        if (sb_str_split(sb_str_from(*vars), '=', &name, &value) &&
            sb_str_starts_with(name, SB_STR("SANDBOX_")) && !is_secret(name)) {
            sb_json_key(&json, name);
            sb_json_str(&json, NULL, value);
        }
    }
    sb_json_close(&json, '}');
    sb_json_close(&json, '}');
    sb_out_put(out, "\n");
}
