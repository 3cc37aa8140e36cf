#include "proto/json/language.h"

#include "base/err.h"
#include "base/near.h"

static const struct {
    const char *name;
    const char *profile;
    const char *file;
} rows[SB_LANGUAGES] = {
    [SB_LANGUAGE_PYTHON] = {"python", "python-dev", "main.py"},
    [SB_LANGUAGE_NODE] = {"node", "node-dev", "main.js"},
    [SB_LANGUAGE_BASH] = {"bash", "python-dev", "main.sh"}, /* whose workspace can be written */
    [SB_LANGUAGE_C] = {"c", "python-dev", "main.c"},
    [SB_LANGUAGE_CPP] = {"cpp", "python-dev", "main.cpp"},
    [SB_LANGUAGE_GO] = {"go", "go-dev", "main.go"},
    [SB_LANGUAGE_RUST] = {"rust", "rust-dev", "main.rs"},
    [SB_LANGUAGE_JAVA] = {"java", "java-dev", "Main.java"},
};

int sb_language_from(struct sb_str name, enum sb_language *ret_language, struct sb_err *err)
{
    const char *names[SB_LANGUAGES];
    for (size_t i = 0; i < SB_LANGUAGES; i++) {
        names[i] = rows[i].name;
        if (sb_str_eq(name, sb_str_from(names[i]))) {
            *ret_language = (enum sb_language)i;
            return 0;
        }
    }
    const char *near = sb_near_find(name, names, SB_LANGUAGES);
    return sb_err_set(err, SB_INVALID,
                      "no language is named \"%.*s\"%s%s%s; there are: " SB_LANGUAGE_NAMES,
                      SB_STR_ARG(name), near == NULL ? "" : " (did you mean ",
                      near == NULL ? "" : near, near == NULL ? "" : "?)");
}

const char *sb_language_name(enum sb_language language)
{
    return rows[language].name;
}

const char *sb_language_profile(enum sb_language language)
{
    return rows[language].profile;
}

const char *sb_language_file(enum sb_language language)
{
    return rows[language].file;
}
