#pragma once
#include <stdbool.h>

#include "base/str.h"

enum sb_log_level {
    SB_LOG_LEVEL_DEBUG,
    SB_LOG_LEVEL_INFO,
    SB_LOG_LEVEL_WARN,
    SB_LOG_LEVEL_ERROR,
    SB_LOG_LEVEL_NONE, /* silences everything */
};

enum sb_log_format {
    SB_LOG_FORMAT_LOGFMT, /* ts=... level=info program=... msg="sandbox started" id=sb_x pid=7 */
    SB_LOG_FORMAT_JSON,   /* one object per line, the same keys */
};

/** Sets the one global of the code base; call in main, before any thread. Without it: logfmt, INFO,
 *  no program name. @program  must outlive the process's last line. Lines go to stderr. */
void sb_log_init(enum sb_log_format format, enum sb_log_level level, const char *program);

#define SB_LOG_ENV_FORMAT "AISBX_LOG_FORMAT" /* logfmt or json */
/** The same as the environment says: AISBX_DEBUG (DEBUG instead of INFO) and AISBX_LOG_FORMAT. */
void sb_log_start(const char *program);

/** False when lines of that level would be dropped. */
bool sb_log_enabled(enum sb_log_level level);

/** "debug", "info", "warn", "error", "none". False for other names. */
bool sb_log_level_from(struct sb_str name, enum sb_log_level *ret_level);
/** "logfmt" ("text" is the same), "json". */
bool sb_log_format_from(struct sb_str name, enum sb_log_format *ret_format);

/** Writes one line with one write(2). Use the macros:
 *
 *      SB_LOG_INFO("sandbox started", "id=%s pid=%d", id, pid);
 *      SB_LOG_WARN("draining");
 *
 *  The event is a constant. The format is pairs "key=..." parted by single blanks, each value any
 *  mix of text without blanks and directives: "peer=%s:%u". Directives: %s %.*s %.Ns %c %d %i %u %x
 *  %% with hh h l ll z j t, no flags or widths. Values are quoted and escaped one by one, whatever
 * is in them, so a value can end neither its line nor its field. Lines are cut at 4 KiB, the size
 *  that is atomic on a pipe. No malloc. Keeps errno. Thread-safe. Not for a cloned child. */
void sb_log(enum sb_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The blank in front lets the format be absent and makes it a literal. */
#define SB_LOG(level, event, ...) sb_log((level), (event), " " __VA_ARGS__)
#define SB_LOG_DEBUG(event, ...)  SB_LOG(SB_LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define SB_LOG_INFO(event, ...)   SB_LOG(SB_LOG_LEVEL_INFO, event, __VA_ARGS__)
#define SB_LOG_WARN(event, ...)   SB_LOG(SB_LOG_LEVEL_WARN, event, __VA_ARGS__)
#define SB_LOG_ERROR(event, ...)  SB_LOG(SB_LOG_LEVEL_ERROR, event, __VA_ARGS__)
