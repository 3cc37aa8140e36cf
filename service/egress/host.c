#include "service/egress/host.h"

#include <string.h>

#include "base/err.h"
#include "base/mutate.h"
#include "base/num.h"

enum { LABEL_MAX = 63 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Of a lower-case name. */
static bool is_label(struct sb_str label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

/* inet_aton(3) and URL parsers read a name as a number when its last label is one. */
static bool is_number(struct sb_str label)
{
    bool is_prefixed = label.len >= 2 && label.ptr[0] == '0' && label.ptr[1] == 'x';
    for (size_t i = is_prefixed ? 2 : 0; i < label.len; i++) {
        if (is_prefixed ? !is_hex(label.ptr[i]) : !is_digit(label.ptr[i])) {
            return false;
        }
    }
    return true;
}

static int parse_name(struct sb_str text, struct sb_host *host, struct sb_err *err)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '.') {
        text.len--;
    }
    if (text.len == 0 || text.len > SB_HOST_MAX) {
        return sb_err_set(err, SB_INVALID, "host name: empty, or longer than %d", SB_HOST_MAX);
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        host->name[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    host->name[text.len] = '\0';
    struct sb_str rest = {host->name, text.len};
    struct sb_str label = {0};
    while (sb_str_next(&rest, '.', &label)) {
        if (!is_label(label)) {
            return sb_err_set(err, SB_INVALID, "\"%.*s\" is not a host name", SB_STR_ARG(text));
        }
    }
    if (is_number(label) && !sb_mutated("egress.number")) {
        return sb_err_set(err, SB_INVALID,
                          "\"%.*s\" is neither a name nor an address in its usual form",
                          SB_STR_ARG(text));
    }
    return 0;
}

int sb_host_parse(struct sb_str text,
                  bool in_brackets,
                  struct sb_host *ret_host,
                  struct sb_err *err)
{
    struct sb_host host = {0};
    bool has_colon = text.len > 0 && memchr(text.ptr, ':', text.len) != NULL;
    bool has_brackets = text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']';
    if (has_brackets && in_brackets) {
        text = (struct sb_str){text.ptr + 1, text.len - 2};
        has_colon = true; /* "[192.0.2.1]" is no form of anything */
    } else if (has_colon && in_brackets) {
        return sb_err_set(err, SB_INVALID, "an IPv6 address goes in brackets");
    }
    host.is_address = sb_addr_parse(text, host.address);
    if (host.is_address) {
        if (has_brackets && memchr(text.ptr, ':', text.len) == NULL) {
            return sb_err_set(err, SB_INVALID, "only an IPv6 address goes in brackets");
        }
        char shown[SB_ADDR_TEXT_SIZE];
        memcpy(host.name, sb_addr_format(shown, host.address), sizeof shown);
    } else if (has_colon) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is not an address", SB_STR_ARG(text));
    } else if (parse_name(text, &host, err) < 0) {
        return -1;
    }
    *ret_host = host;
    return 0;
}

int sb_host_parse_authority(struct sb_str text,
                            uint16_t port,
                            struct sb_host *ret_host,
                            uint16_t *ret_port,
                            struct sb_err *err)
{
    struct sb_str name = text;
    struct sb_str digits = {0};
    uint64_t number = port;
    if (text.len > 0 && memchr(text.ptr, '@', text.len) != NULL) {
        return sb_err_set(err, SB_INVALID, "a user before the host is not taken");
    }
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        if (end == NULL) {
            return sb_err_set(err, SB_INVALID, "\"[\" without \"]\"");
        }
        name.len = (size_t)(end - text.ptr) + 1;
        digits = sb_str_skip(text, name.len);
        if (digits.len > 0 && digits.ptr[0] != ':') {
            return sb_err_set(err, SB_INVALID, "not \"[address]:port\"");
        }
        digits = digits.len > 0 ? (struct sb_str){digits.ptr + 1, digits.len - 1} : digits;
    } else {
        (void)sb_str_split(text, ':', &name, &digits);
    }
    bool has_port = name.len < text.len;
    if (!has_port && port == 0) {
        return sb_err_set(err, SB_INVALID, "the port is missing");
    }
    if (has_port && (digits.len > 5 || sb_num_u64(digits, 1, 65535, &number, err) < 0)) {
        return sb_err_set(err, SB_INVALID, "not a port");
    }
    if (sb_host_parse(name, true, ret_host, err) < 0) {
        return -1;
    }
    *ret_port = (uint16_t)number;
    return 0;
}

bool sb_host_eq(const struct sb_host *a, const struct sb_host *b)
{
    return a->is_address == b->is_address && strcmp(a->name, b->name) == 0;
}
