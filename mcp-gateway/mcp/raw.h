#pragma once
/** Values of a JSON text as they are written, for what must go back unchanged: numbers lose digits
 *  in cJSON. Only for text that passed sb_json_scan. */
#include <stdbool.h>

#include "base/str.h"

/** The member's value; empty (ptr NULL) when object is none or has none. Keys that are written with
 *  escapes are not found. */
struct sb_str sb_raw_member(struct sb_str object, struct sb_str key);

/** Walks an array: start with *rest what sb_raw_elements gives for it; false at the end. */
struct sb_str sb_raw_elements(struct sb_str array);
bool sb_raw_next(struct sb_str *rest, struct sb_str *ret_element);
