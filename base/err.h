#pragma once

#define SB_ERR_TEXT_SIZE 480 /* bytes, with the NUL */

/** What went wrong, for a caller that must react. The numbers are the gRPC status numbers. */
enum sb_code {
    SB_OK = 0,
    SB_CANCELLED = 1,
    SB_UNKNOWN = 2,
    SB_INVALID = 3, /* the input is wrong, whatever the state of the system */
    SB_DEADLINE = 4,
    SB_NOT_FOUND = 5,
    SB_EXISTS = 6,
    SB_DENIED = 7,       /* known caller, not permitted */
    SB_EXHAUSTED = 8,    /* memory, descriptors, a quota, a full buffer; or "would block" */
    SB_PRECONDITION = 9, /* the system is not in the state this call needs */
    SB_ABORTED = 10,
    SB_RANGE = 11, /* read or seek past the end */
    SB_UNIMPLEMENTED = 12,
    SB_INTERNAL = 13,
    SB_UNAVAILABLE = 14, /* peer gone or not yet there; trying again may help */
    SB_DATA_LOSS = 15,
    SB_UNAUTHENTICATED = 16,
};

/** One failure. Plain bytes without pointers, so that a child can write it to a pipe before exec.
 */
struct sb_err {
    enum sb_code code;
    int sys;                     /* errno, or 0 */
    char text[SB_ERR_TEXT_SIZE]; /* "mount /proc: Permission denied"; always NUL-terminated */
};

/** Fills *err (never NULL) and returns -1, so that callers write `return sb_err_set(...)`.
 *  The text becomes one line of valid UTF-8 without control characters, whatever the arguments
 * hold, and is cut to fit. Arguments may point into err->text. No malloc: safe in a cloned child.
 */
int sb_err_set(struct sb_err *err, enum sb_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** As sb_err_set; the code follows from the errno value @sys, whose description is appended:
 *  "open cgroup x: No such file or directory". Returns -1. */
int sb_err_sys(struct sb_err *err, int sys, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Prefixes "context: " to the text, keeps code and sys. Returns -1. */
int sb_err_wrap(struct sb_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** "out of memory", SB_EXHAUSTED, ENOMEM. Returns -1. */
int sb_err_oom(struct sb_err *err);

/** Makes *err SB_OK with empty text. */
void sb_err_clear(struct sb_err *err);

/** The code that fits an errno value; SB_INTERNAL for values without a better one, SB_OK for 0. */
enum sb_code sb_err_code_of(int sys);

/** "NOT_FOUND" and so on, as gRPC spells it; "UNKNOWN" for a number out of range. Static storage.
 */
const char *sb_code_name(enum sb_code code);
