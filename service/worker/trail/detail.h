#pragma once
/** What of a request goes into its record. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/str.h"

struct sb_buf;
struct sb_json;

enum {
    SB_DETAIL_MAX = 12 << 10,  /* bytes of all of it */
    SB_DETAIL_TEXT_MAX = 1024, /* bytes of one text; then "..." */
    SB_DETAIL_ITEMS_MAX = 64,  /* of one list; then "NAME.more" has how many there are */
};

/** Writes the named fields of msg as members of an open object, leaving out what is empty or 0.
 *  @paths  "a.b c": names of fields, through messages and lists of messages, separated by blanks.
 *  Of bytes only the number is written. */
void sb_detail_write(struct sb_json *json, const ProtobufCMessage *msg, const char *paths);

/** The text of one field; NULL: not set, or no such field. */
const char *sb_detail_text(const ProtobufCMessage *msg, const char *path);
/** The message in one field; NULL: not set, or no such field. */
const ProtobufCMessage *sb_detail_message(const ProtobufCMessage *msg, const char *name);
/** True when that field of msg, by its name, is set. */
bool sb_detail_has(const ProtobufCMessage *msg, const char *name);
