/* Names are parsed here so that nothing else reaches the command line of a package manager: no
 * option, URL, path, archive or repository. Stricter than either manager on purpose. */
#include <string.h>

#include "base/err.h"
#include "service/worker/policy/packages.h"

const char *const sb_manager_names[] = {
    [SB_MANAGER_UNSET] = "",
    [SB_MANAGER_PIP] = "pip",
    [SB_MANAGER_NPM] = "npm",
    NULL,
};
const char *const sb_manager_targets[] = {
    [SB_MANAGER_UNSET] = "",
    [SB_MANAGER_PIP] = "/packages",
    [SB_MANAGER_NPM] = "/node_modules", /* where import looks from every folder */
    NULL,
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* How many characters from the start are alphanumeric or in @more. */
static size_t span(struct sb_str text, const char *more)
{
    size_t n = 0;
    while (n < text.len &&
           (is_alnum(text.ptr[n]) || (text.ptr[n] != '\0' && strchr(more, text.ptr[n]) != NULL))) {
        n++;
    }
    return n;
}

/* Both managers take a name with such an end for a file of the folder they run in. */
static bool looks_like_archive(struct sb_str text)
{
    static const char *const ends[] = {".whl", ".zip", ".gz", ".tgz",
                                       ".tar", ".bz2", ".xz", ".egg"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t len = strlen(ends[i]);
        if (text.len >= len && strncasecmp(text.ptr + text.len - len, ends[i], len) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- pip: PEP 508 without URL, marker and space ---- */

static bool take_project(struct sb_str *rest)
{
    size_t n = span(*rest, "._-");
    if (n == 0 || !is_alnum(rest->ptr[0]) || !is_alnum(rest->ptr[n - 1])) {
        return false;
    }
    *rest = sb_str_skip(*rest, n);
    return true;
}

static bool take_extras(struct sb_str *rest)
{
    if (rest->len == 0 || rest->ptr[0] != '[') {
        return true;
    }
    do {
        *rest = sb_str_skip(*rest, 1);
        if (!take_project(rest)) {
            return false;
        }
    } while (rest->len > 0 && rest->ptr[0] == ',');
    if (rest->len == 0 || rest->ptr[0] != ']') {
        return false;
    }
    *rest = sb_str_skip(*rest, 1);
    return true;
}

static bool take_pip_version(struct sb_str *rest)
{
    static const char *const operators[] = {"==", "!=", "<=", ">=", "~=", "<", ">"};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (sb_str_starts_with(*rest, sb_str_from(operators[i]))) {
            *rest = sb_str_skip(*rest, strlen(operators[i]));
            size_t n = span(*rest, ".*+!_-");
            bool is_version = n > 0 && is_alnum(rest->ptr[0]);
            *rest = sb_str_skip(*rest, n);
            return is_version;
        }
    }
    return false;
}

static bool is_pip(struct sb_str text)
{
    struct sb_str rest = text;
    if (!take_project(&rest) || !take_extras(&rest)) {
        return false;
    }
    if (rest.len == 0) {
        return !looks_like_archive(text);
    }
    for (;;) {
        if (!take_pip_version(&rest)) {
            return false;
        }
        if (rest.len == 0) {
            return true;
        }
        if (rest.ptr[0] != ',') {
            return false;
        }
        rest = sb_str_skip(rest, 1);
    }
}

/* ---- npm: a name of the registry, and a version, a range of one comparison, or a tag ---- */

static bool take_npm_part(struct sb_str *rest)
{
    size_t n = span(*rest, "._-");
    if (n == 0 || !is_alnum(rest->ptr[0])) {
        return false;
    }
    *rest = sb_str_skip(*rest, n);
    return true;
}

static bool is_npm_version(struct sb_str text)
{
    static const char *const operators[] = {"<=", ">=", "^", "~", "<", ">", "="};
    bool has_operator = false;
    for (size_t i = 0; i < sizeof operators / sizeof *operators && !has_operator; i++) {
        has_operator = sb_str_starts_with(text, sb_str_from(operators[i]));
        text = sb_str_skip(text, has_operator ? strlen(operators[i]) : 0);
    }
    if (text.len == 0 || looks_like_archive(text)) {
        return false;
    }
    if (is_digit(text.ptr[0])) {
        return span(text, ".+-") == text.len;
    }
    return !has_operator && is_alnum(text.ptr[0]) && span(text, "_-") == text.len; /* a tag */
}

static bool is_npm(struct sb_str text)
{
    struct sb_str rest = text;
    if (rest.len > 0 && rest.ptr[0] == '@') {
        rest = sb_str_skip(rest, 1);
        if (!take_npm_part(&rest) || rest.len == 0 || rest.ptr[0] != '/') {
            return false;
        }
        rest = sb_str_skip(rest, 1);
    }
    if (!take_npm_part(&rest)) {
        return false;
    }
    if (rest.len == 0) {
        return !looks_like_archive(text);
    }
    return rest.ptr[0] == '@' && is_npm_version(sb_str_skip(rest, 1));
}

static const struct {
    bool (*is_name)(struct sb_str text);
    const char *example;
} managers[SB_MANAGER_END_] = {
    [SB_MANAGER_PIP] = {is_pip, "requests, requests==2.31.0 or numpy>=1.26,<2"},
    [SB_MANAGER_NPM] = {is_npm, "left-pad, left-pad@1.3.0 or @types/node@^20"},
};

int sb_packages_parse(struct sb_str text,
                      enum sb_manager usual,
                      enum sb_manager *ret_manager,
                      struct sb_str *ret_name,
                      struct sb_err *err)
{
    enum sb_manager manager = usual;
    struct sb_str name = text;
    for (enum sb_manager i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        size_t len = strlen(sb_manager_names[i]);
        if (sb_str_starts_with(text, sb_str_from(sb_manager_names[i])) && text.len > len &&
            text.ptr[len] == ':') {
            manager = i;
            name = sb_str_skip(text, len + 1);
        }
    }
    if (name.len > SB_PACKAGES_TEXT_MAX) {
        return sb_err_set(err, SB_INVALID, "longer than %d characters", SB_PACKAGES_TEXT_MAX);
    }
    if (manager == SB_MANAGER_UNSET) {
        return sb_err_set(err, SB_INVALID,
                          "\"%.*s\": say whose it is, pip:%.*s or npm:%.*s, or packages: {manager: "
                          "pip} in the profile",
                          SB_STR_ARG(name), SB_STR_ARG(name), SB_STR_ARG(name));
    }
    if (!managers[manager].is_name(name)) {
        return sb_err_set(err, SB_INVALID,
                          "\"%.*s\" is not a package of %s by its name, such as %s: URLs, paths, "
                          "options and spaces are not taken",
                          SB_STR_ARG(name), sb_manager_names[manager], managers[manager].example);
    }
    *ret_manager = manager;
    *ret_name = name;
    return 0;
}
