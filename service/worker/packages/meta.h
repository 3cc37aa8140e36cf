#pragma once

struct sb_buf;
struct sb_err;
struct sb_package_entry;

/** An entry as text, and back: its form is private to the worker, and checked all the same.
 *  Errors: SB_DATA_LOSS: not such a text, or of another start of the machine. */
int sb_package_meta_write(const struct sb_package_entry *entry, struct sb_buf *out);
int sb_package_meta_read(const char *text, struct sb_package_entry *entry, struct sb_err *err);
