#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* errno values that mean the same wherever they come from; all others are SB_INTERNAL. */
static const struct {
    int sys;
    enum sb_code code;
} sys_codes[] = {
    {0, SB_OK},
    {ENOENT, SB_NOT_FOUND},
    {ESRCH, SB_NOT_FOUND},
    {ENXIO, SB_NOT_FOUND},
    {ENODEV, SB_NOT_FOUND},
    {EACCES, SB_DENIED},
    {EPERM, SB_DENIED},
    {EROFS, SB_DENIED},
    {EEXIST, SB_EXISTS},
    {ENOMEM, SB_EXHAUSTED},
    {EMFILE, SB_EXHAUSTED},
    {ENFILE, SB_EXHAUSTED},
    {ENOSPC, SB_EXHAUSTED},
    {EDQUOT, SB_EXHAUSTED},
    {EAGAIN, SB_EXHAUSTED},
    {ENOBUFS, SB_EXHAUSTED},
    {EFBIG, SB_EXHAUSTED},
    {EMSGSIZE, SB_EXHAUSTED},
    {EUSERS, SB_EXHAUSTED},
    {ETOOMANYREFS, SB_EXHAUSTED},
    {EINVAL, SB_INVALID},
    {ENAMETOOLONG, SB_INVALID},
    {E2BIG, SB_INVALID},
    {EDOM, SB_INVALID},
    {EILSEQ, SB_INVALID},
    {ENOTDIR, SB_PRECONDITION},
    {EISDIR, SB_PRECONDITION},
    {ENOTEMPTY, SB_PRECONDITION},
    {ELOOP, SB_PRECONDITION},
    {EXDEV, SB_PRECONDITION},
    {EBUSY, SB_PRECONDITION},
    {ETXTBSY, SB_PRECONDITION},
    {ENOTCONN, SB_PRECONDITION},
    {ERANGE, SB_RANGE},
    {EOVERFLOW, SB_RANGE},
    {ENOSYS, SB_UNIMPLEMENTED},
    {EOPNOTSUPP, SB_UNIMPLEMENTED},
    {EAFNOSUPPORT, SB_UNIMPLEMENTED},
    {EPROTONOSUPPORT, SB_UNIMPLEMENTED},
    {ECONNREFUSED, SB_UNAVAILABLE},
    {ECONNRESET, SB_UNAVAILABLE},
    {ECONNABORTED, SB_UNAVAILABLE},
    {EPIPE, SB_UNAVAILABLE},
    {EHOSTUNREACH, SB_UNAVAILABLE},
    {ENETUNREACH, SB_UNAVAILABLE},
    {ENETDOWN, SB_UNAVAILABLE},
    {ETIMEDOUT, SB_DEADLINE},
    {ECANCELED, SB_CANCELLED},
    {EINTR, SB_CANCELLED},
    {EIO, SB_DATA_LOSS},
};

static const char *const code_names[] = {
    [SB_OK] = "OK",
    [SB_CANCELLED] = "CANCELLED",
    [SB_UNKNOWN] = "UNKNOWN",
    [SB_INVALID] = "INVALID_ARGUMENT",
    [SB_DEADLINE] = "DEADLINE_EXCEEDED",
    [SB_NOT_FOUND] = "NOT_FOUND",
    [SB_EXISTS] = "ALREADY_EXISTS",
    [SB_DENIED] = "PERMISSION_DENIED",
    [SB_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [SB_PRECONDITION] = "FAILED_PRECONDITION",
    [SB_ABORTED] = "ABORTED",
    [SB_RANGE] = "OUT_OF_RANGE",
    [SB_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [SB_INTERNAL] = "INTERNAL",
    [SB_UNAVAILABLE] = "UNAVAILABLE",
    [SB_DATA_LOSS] = "DATA_LOSS",
    [SB_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *sb_code_name(enum sb_code code)
{
    size_t i = (size_t)code; /* a negative number becomes a large one */
    return i < sizeof code_names / sizeof code_names[0] ? code_names[i] : "UNKNOWN";
}

enum sb_code sb_err_code_of(int sys)
{
    for (size_t i = 0; i < sizeof sys_codes / sizeof sys_codes[0]; i++) {
        if (sys_codes[i].sys == sys) {
            return sys_codes[i].code;
        }
    }
    return SB_INTERNAL;
}

/* Messages quote what strangers wrote, and end up in terminals, logs and protobuf strings. */
static void keep(struct sb_err *err, const char *text)
{
    (void)sb_utf8_sanitize(err->text, sizeof err->text, sb_str_from(text), SB_UTF8_ONE_LINE);
}

int sb_err_set(struct sb_err *err, enum sb_code code, const char *fmt, ...)
{
    char text[sizeof err->text]; /* the arguments may point into err->text */
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err->code = code;
    err->sys = 0;
    keep(err, text);
    return -1;
}

int sb_err_sys(struct sb_err *err, int sys, const char *fmt, ...)
{
    const char *why = strerrordesc_np(sys); /* unlike strerror: constant, no locale, no lock */
    char number[24];
    if (why == NULL) {
        (void)snprintf(number, sizeof number, "error %d", sys);
        why = number;
    }

    char what[sizeof err->text - 64]; /* the reason stays readable after a long "what" */
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)sb_err_set(err, sb_err_code_of(sys), "%s: %s", what, why);
    err->sys = sys;
    return -1;
}

int sb_err_wrap(struct sb_err *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text / 2, fmt, ap); /* the cause keeps the other half */
    va_end(ap);

    size_t head = strlen(text);
    size_t tail = strlen(err->text);
    memcpy(text + head, ": ", 2);
    head += 2;
    if (tail > sizeof text - 1 - head) {
        tail = sizeof text - 1 - head;
    }
    memcpy(text + head, err->text, tail);
    text[head + tail] = '\0';
    keep(err, text);
    return -1;
}

int sb_err_oom(struct sb_err *err)
{
    (void)sb_err_set(err, SB_EXHAUSTED, "out of memory");
    err->sys = ENOMEM;
    return -1;
}

void sb_err_clear(struct sb_err *err)
{
    err->code = SB_OK;
    err->sys = 0;
    err->text[0] = '\0';
}
