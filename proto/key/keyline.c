#include "proto/key/keyline.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/id.h"
#include "base/utf8.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/when.h"

#define FORM                                                                                       \
    "ID HASH ROLE TENANT EXPIRES [TITLE], parted by one blank each, is expected; "                 \
    "aisbx-security keys create --file FILE writes it"

int sb_key_check(enum sb_role role, struct sb_str tenant, struct sb_str title, struct sb_err *err)
{
    bool is_all = sb_str_eq(tenant, SB_STR(SB_TENANT_ALL));
    if (is_all && role != SB_ROLE_AUDITOR) {
        return sb_err_set(err, SB_INVALID, "tenant: \"*\" is for auditors only");
    }
    if (tenant.len == 0 && role != SB_ROLE_ADMIN) {
        return sb_err_set(err, SB_INVALID, "tenant: is missing; whose sandboxes may it see?");
    }
    if (tenant.len > 0 && !is_all && !sb_tenant_is_name(tenant)) {
        return sb_err_set(err, SB_INVALID,
                          "tenant: 1 to %d small letters, digits and \"-\" are expected",
                          SB_TENANT_SIZE - 1);
    }
    if (title.len >= SB_KEY_TITLE_SIZE || sb_str_has_nul(title) || !sb_utf8_all_printable(title)) {
        return sb_err_set(err, SB_INVALID, "title: at most %d bytes of printable text",
                          SB_KEY_TITLE_SIZE - 1);
    }
    return 0;
}

/* ---- parsing ---- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hash(struct sb_str text, unsigned char ret_hash[SB_KEY_HASH])
{
    if (text.len != (size_t)2 * SB_KEY_HASH) {
        return false;
    }
    for (size_t i = 0; i < SB_KEY_HASH; i++) {
        int high = digit_of(text.ptr[2 * i]);
        int low = digit_of(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_hash[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static enum sb_role parse_role(struct sb_str text)
{
    for (int role = SB_ROLE_AUDITOR; role <= SB_ROLE_ADMIN; role++) {
        if (sb_str_eq(text, sb_str_from(sb_role_names[role]))) {
            return (enum sb_role)role;
        }
    }
    return SB_ROLE_NONE;
}

static bool parse_expiry(struct sb_str text, uint64_t *ret_ms)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (sb_str_eq(text, SB_STR("never"))) {
        *ret_ms = 0;
        return true;
    }
    if (!sb_when_parse(text, &seconds, &nanos) || seconds <= 0) {
        return false;
    }
    *ret_ms = (uint64_t)seconds * 1000 + (uint64_t)nanos / 1000000;
    return true;
}

static void copy(struct sb_str text, char *out)
{
    if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    out[text.len] = '\0';
}

int sb_key_line_parse(struct sb_str line, struct sb_key_line *ret_line, struct sb_err *err)
{
    enum { ID, HASH, ROLE, TENANT, EXPIRES, N };
    struct sb_key_line made = {0};
    struct sb_str parts[N];
    struct sb_str title = line;
    for (int i = 0; i < N; i++) {
        if (!sb_str_next(&title, ' ', &parts[i]) || parts[i].len == 0) {
            return sb_err_set(err, SB_INVALID, FORM);
        }
    }
    if (!sb_id_valid(parts[ID], "")) {
        return sb_err_set(err, SB_INVALID, "it begins with no key's id: " FORM);
    }
    if (!parse_hash(parts[HASH], made.hash)) {
        return sb_err_set(err, SB_INVALID,
                          "its hash is not 64 hexadecimal digits, of SHA-256 of the key: " FORM);
    }
    made.role = parse_role(parts[ROLE]);
    if (made.role == SB_ROLE_NONE) {
        return sb_err_set(err, SB_INVALID, "its role is none of user, auditor and admin");
    }
    if (!parse_expiry(parts[EXPIRES], &made.expire_ms)) {
        return sb_err_set(err, SB_INVALID,
                          "its end is neither \"never\" nor a time like 2027-01-31T00:00:00Z");
    }
    if (sb_key_check(made.role, parts[TENANT], title, err) < 0) {
        return -1;
    }
    copy(parts[ID], made.id);
    copy(parts[TENANT], made.tenant);
    copy(title, made.title);
    *ret_line = made;
    return 0;
}

/* ---- writing ---- */

const char *sb_key_line_format(const struct sb_key_line *line, char out[SB_KEY_LINE_SIZE])
{
    char hex[2 * SB_KEY_HASH + 1];
    char when[SB_WHEN_SIZE] = "never";
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    for (size_t i = 0; i < SB_KEY_HASH; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", line->hash[i]);
    }
    if (line->expire_ms != 0) {
        time.seconds = (int64_t)(line->expire_ms / 1000);
        time.nanos = (int32_t)(line->expire_ms % 1000 * 1000000);
        (void)sb_when_format(when, &time);
    }
    (void)snprintf(out, SB_KEY_LINE_SIZE, "%s %s %s %s %s%s%s", line->id, hex,
                   sb_role_names[line->role], line->tenant, when, line->title[0] == '\0' ? "" : " ",
                   line->title);
    return out;
}
