#pragma once
/** preload of a profile: the modules that an interpreter which waits for a program has imported
 * already. */
#include <stdbool.h>

#include "base/str.h"

struct sb_buf;
struct sb_config_reader;
struct sb_err;
struct sb_strings;
struct sb_yaml_node;

enum {
    SB_PRELOAD_MAX = 32,      /* names of a profile */
    SB_PRELOAD_NAME_MAX = 64, /* characters of one */
};

/** A module of python, as import names it ("json", "xml.dom"), or one that is built into node
 *  ("node:http"). Errors: SB_INVALID. */
int sb_preload_check(struct sb_str name, struct sb_err *err);
/** Whose it is, of one that was checked. */
bool sb_preload_is_node(const char *name);

/** Reads the list into the profile. As all readers of config_read.h. */
int sb_preload_read(struct sb_config_reader *r, const struct sb_yaml_node *list);
/** Appends it as it stands in a profile. Errors: -1 with errno. */
int sb_preload_yaml(const struct sb_strings *names, struct sb_buf *out);
