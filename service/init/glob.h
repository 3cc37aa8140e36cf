#pragma once

/** Whether a path below a directory matches a pattern: `*` and `?` for what is within one name,
 *  `**` for any bytes, slashes too, with a slash behind it for nothing as well, `[a-z]` and
 *  `[!a-z]` for one byte of a name, `\` takes the next byte as it is. A pattern without a slash is
 *  laid to the last name alone. Takes at most pattern times path steps. */
int sb_glob_matches(const char *pattern, const char *path);
