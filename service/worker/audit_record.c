#include "service/worker/audit_record.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/utf8.h"

enum { RAW_MAX = 4352 /* bytes of a path: the kernel's PATH_MAX and what it puts after it */ };

/* Members that are of use, and how the value stands there. */
enum member { DOMAIN, BLOCKERS, PATH, STATUS, PID, UID, N_MEMBERS };
static const char *const names[N_MEMBERS] = {
    [DOMAIN] = "domain", [BLOCKERS] = "blockers", [PATH] = "path",
    [STATUS] = "status", [PID] = "pid",           [UID] = "uid",
};

struct value {
    struct sb_str text; /* without the quotes; ptr NULL: not there */
    bool is_quoted;
};

/* Takes what stands before the next blank; a quoted value ends at its quote, as the kernel writes
 * what has a quote, a blank or a control in hexadecimal digits. */
static bool take_value(struct sb_str *rest, struct value *ret_value)
{
    bool is_quoted = sb_str_starts_with(*rest, SB_STR("\""));
    struct sb_str value = *rest;
    struct sb_str tail = {NULL, 0};
    if (is_quoted) {
        if (!sb_str_split(sb_str_skip(*rest, 1), '"', &value, &tail) ||
            (tail.len > 0 && tail.ptr[0] != ' ')) {
            return false;
        }
        tail = sb_str_skip(tail, 1);
    } else {
        (void)sb_str_split(*rest, ' ', &value, &tail);
    }
    *ret_value = (struct value){value, is_quoted};
    *rest = tail;
    return value.ptr != NULL;
}

static bool take_members(struct sb_str rest, struct value *values)
{
    while (rest.len > 0) {
        struct sb_str name;
        struct sb_str tail;
        struct value value;
        if (!sb_str_split(rest, '=', &name, &tail) || !take_value(&tail, &value)) {
            return false;
        }
        for (int i = 0; i < N_MEMBERS; i++) {
            if (!sb_str_eq(name, sb_str_from(names[i]))) {
                continue;
            }
            if (values[i].text.ptr != NULL) {
                return false;
            }
            values[i] = value;
        }
        rest = tail;
    }
    return true;
}

/* "audit(SECONDS.MILLISECONDS:NUMBER): " */
static bool skip_head(struct sb_str *text)
{
    struct sb_str head;
    struct sb_str rest;
    if (!sb_str_starts_with(*text, SB_STR("audit(")) || !sb_str_split(*text, ')', &head, &rest) ||
        !sb_str_starts_with(rest, SB_STR(": "))) {
        return false;
    }
    *text = sb_str_skip(rest, 2);
    return true;
}

static bool read_domain(const struct value *value, uint64_t *ret_domain)
{
    uint64_t domain = 0;
    bool is_fine = value->text.len > 0 && value->text.len <= 16 && !value->is_quoted;
    for (size_t i = 0; is_fine && i < value->text.len; i++) {
        int digit = sb_num_hex_digit(value->text.ptr[i]);
        is_fine = digit >= 0;
        domain = domain << 4 | (unsigned)digit;
    }
    *ret_domain = domain;
    return is_fine && domain != 0;
}

static bool read_number(const struct value *value, uint64_t max, uint64_t *ret_number)
{
    struct sb_err ignored;
    return !value->is_quoted && sb_num_u64(value->text, 0, max, ret_number, &ignored) == 0;
}

/* Letters, "_", "." and ",": shown as it is. */
static bool read_blockers(const struct value *value, char *ret_blockers)
{
    static const char wanted[] = "abcdefghijklmnopqrstuvwxyz0123456789_.,";
    size_t len =
        value->text.len < SB_AUDIT_BLOCKERS_SIZE - 1 ? value->text.len : SB_AUDIT_BLOCKERS_SIZE - 1;
    if (value->is_quoted || !sb_str_starts_with(value->text, SB_STR("fs."))) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (value->text.ptr[i] == '\0' || strchr(wanted, value->text.ptr[i]) == NULL) {
            return false;
        }
    }
    memcpy(ret_blockers, value->text.ptr, len);
    ret_blockers[len] = '\0';
    return true;
}

static bool read_path(const struct value *value, char *ret_path)
{
    char raw[RAW_MAX];
    struct sb_str text = value->text;
    size_t n = 0;
    if (text.len == 0) {
        return false;
    }
    for (; !value->is_quoted && n < text.len / 2 && n < sizeof raw; n++) {
        int high = sb_num_hex_digit(text.ptr[2 * n]);
        int low = sb_num_hex_digit(text.ptr[2 * n + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        raw[n] = (char)(high << 4 | low);
    }
    if (!value->is_quoted && text.len % 2 != 0) {
        return false;
    }
    text = value->is_quoted ? text : sb_str_of(raw, n);
    (void)sb_utf8_sanitize(ret_path, SB_AUDIT_PATH_SIZE, text, SB_UTF8_ONE_LINE);
    return true;
}

bool sb_audit_record_read(unsigned type, struct sb_str text, struct sb_audit_record *ret_record)
{
    struct value values[N_MEMBERS] = {{{NULL, 0}, false}};
    uint64_t pid = 0;
    uint64_t uid = 0;
    if ((type != SB_AUDIT_ACCESS && type != SB_AUDIT_DOMAIN) || !skip_head(&text) ||
        !take_members(text, values)) {
        return false;
    }
    *ret_record = (struct sb_audit_record){.type = (enum sb_audit_type)type};
    if (!read_domain(&values[DOMAIN], &ret_record->domain)) {
        return false;
    }
    if (type == SB_AUDIT_ACCESS) {
        return read_blockers(&values[BLOCKERS], ret_record->blockers) &&
               read_path(&values[PATH], ret_record->path);
    }
    if (!sb_str_eq(values[STATUS].text, SB_STR("allocated")) ||
        !read_number(&values[PID], INT32_MAX, &pid) ||
        !read_number(&values[UID], UINT32_MAX, &uid)) {
        return false;
    }
    ret_record->pid = (int64_t)pid;
    ret_record->uid = (uint32_t)uid;
    return true;
}
