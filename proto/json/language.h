#pragma once
/** Languages that a program's source may be in, and the profile that is made for each. */
#include <stddef.h>

#include "base/str.h"

struct sb_err;

enum sb_language {
    SB_LANGUAGE_PYTHON,
    SB_LANGUAGE_NODE,
    SB_LANGUAGE_BASH,
    SB_LANGUAGE_C,
    SB_LANGUAGE_CPP,
    SB_LANGUAGE_GO,
    SB_LANGUAGE_RUST,
    SB_LANGUAGE_JAVA,
    SB_LANGUAGES,
};

/** As they stand in the contract. */
#define SB_LANGUAGE_NAMES "python, node, bash, c, cpp, go, rust, java"

/** Errors: SB_INVALID: the text suggests the nearest name and lists all. */
int sb_language_from(struct sb_str name, enum sb_language *ret_language, struct sb_err *err);
/** "cpp"; static. */
const char *sb_language_name(enum sb_language language);
/** Built-in profile in which it has all it needs, "go-dev"; static. */
const char *sb_language_profile(enum sb_language language);
/** Name of the file that holds a source, "main.go"; static. */
const char *sb_language_file(enum sb_language language);
