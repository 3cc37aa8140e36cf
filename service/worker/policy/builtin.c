#include "service/worker/policy/builtin.h"

#include <stdint.h>

#include "base/near.h"

static const struct sb_str seccomp_dir = SB_STR("seccomp/");
static const struct sb_str seccomp_end = SB_STR(".json");

static struct sb_str text_of(const struct sb_builtin_file *file)
{
    return sb_str_of(file->start, (size_t)(file->end - file->start));
}

/* "python" of "seccomp/python.json"; empty for other files. */
static struct sb_str seccomp_name(const struct sb_builtin_file *file)
{
    struct sb_str name = sb_str_from(file->name);
    if (!sb_str_starts_with(name, seccomp_dir) || !sb_str_ends_with(name, seccomp_end)) {
        return SB_STR("");
    }
    name = sb_str_skip(name, seccomp_dir.len);
    return sb_str_head(name, name.len - seccomp_end.len);
}

struct sb_str sb_builtin_seccomp(struct sb_str name)
{
    for (size_t i = 0; name.len > 0 && i < sb_builtin_files_n; i++) {
        if (sb_str_eq(seccomp_name(&sb_builtin_files[i]), name)) {
            return text_of(&sb_builtin_files[i]);
        }
    }
    return (struct sb_str){0};
}

struct sb_str sb_builtin_seccomp_near(struct sb_str name)
{
    struct sb_str nearest = {0};
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < sb_builtin_files_n; i++) {
        struct sb_str known = seccomp_name(&sb_builtin_files[i]);
        if (known.len > 0 && sb_near_improves(name, known, &best)) {
            nearest = known;
        }
    }
    return nearest;
}

bool sb_builtin_next_yaml(size_t *cursor, const char **ret_name, struct sb_str *ret_text)
{
    while (*cursor < sb_builtin_files_n) {
        const struct sb_builtin_file *file = &sb_builtin_files[(*cursor)++];
        if (sb_str_ends_with(sb_str_from(file->name), SB_STR(".yaml"))) {
            *ret_name = file->name;
            *ret_text = text_of(file);
            return true;
        }
    }
    return false;
}
