/* Where the value of a secret comes from. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/shared/egressproto.h"
#include "service/worker/policy/certificates.h"
#include "service/worker/policy/profile_secrets.h"

/* Without a line end; refused are what could end a header field, and what a program of an HTTP
 * server could see otherwise. */
static int check(const char *text, size_t len, struct sb_err *err)
{
    if (len < SB_EGRESS_SECRET_MIN || len > SB_EGRESS_SECRET_MAX) {
        return sb_err_set(err, SB_INVALID, "its value has %zu characters; %d to %d are expected",
                          len, SB_EGRESS_SECRET_MIN, SB_EGRESS_SECRET_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return sb_err_set(err, SB_INVALID, "character %zu of its value is not printable ASCII",
                              i + 1);
        }
    }
    return text[0] == ' ' || text[len - 1] == ' '
               ? sb_err_set(err, SB_INVALID, "its value begins or ends with a blank")
               : 0;
}

static int check_file(int fd, const char *path, struct sb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return sb_err_set(err, SB_INVALID, "%s is not a regular file", path);
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return sb_err_set(err, SB_DENIED, "%s belongs to user %u, not to the worker's", path,
                          (unsigned)st.st_uid);
    }
    if ((st.st_mode & 077) != 0) {
        return sb_err_set(err, SB_DENIED, "%s can be used by others (mode %03o): chmod 600 it",
                          path, (unsigned)st.st_mode & 0777);
    }
    return 0;
}

static int read_file(const char *path,
                     char text[SB_EGRESS_SECRET_MAX + 3],
                     size_t *ret_len,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (check_file(fd, path, err) < 0 ||
        sb_fd_read_full(fd, text, SB_EGRESS_SECRET_MAX + 3, ret_len, err) < 0) {
        return -1;
    }
    if (*ret_len > 0 && text[*ret_len - 1] == '\n') {
        (*ret_len)--;
        *ret_len -= *ret_len > 0 && text[*ret_len - 1] == '\r';
    }
    return 0;
}

static int
read_env(const char *name, char text[SB_EGRESS_SECRET_MAX + 3], size_t *ret_len, struct sb_err *err)
{
    const char *value = getenv(name);
    if (value == NULL) {
        return sb_err_set(err, SB_NOT_FOUND, "the worker has no environment variable %s", name);
    }
    *ret_len = strnlen(value, SB_EGRESS_SECRET_MAX + 3);
    memcpy(text, value, *ret_len);
    return 0;
}

static int read_value(struct sb_profile_secret *secret, struct sb_err *err)
{
    char text[SB_EGRESS_SECRET_MAX + 3];
    size_t len = 0;
    int rc = secret->file != NULL ? read_file(secret->file, text, &len, err)
                                  : read_env(secret->env, text, &len, err);
    if (rc == 0) {
        rc = check(text, len, err);
    }
    if (rc == 0) {
        secret->value = strndup(text, len);
        rc = secret->value == NULL ? sb_err_oom(err) : 0;
    }
    explicit_bzero(text, sizeof text);
    return rc;
}

static int read_ca(struct sb_profile_secret *secret, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(SB_SECRET_CA_MAX);
    if (secret->ca_file == NULL) {
        return 0;
    }
    if (sb_fd_read_file(AT_FDCWD, secret->ca_file, SB_SECRET_CA_MAX, &text, err) < 0) {
        return -1;
    }
    if (strlen(sb_buf_cstr(&text)) != text.len) {
        return sb_err_set(err, SB_INVALID, "%s: it is no text", secret->ca_file);
    }
    if (sb_certificates_check(sb_str_of(sb_buf_cstr(&text), text.len), err) < 0) {
        return sb_err_wrap(err, "%s", secret->ca_file);
    }
    secret->ca = sb_buf_steal(&text);
    return secret->ca == NULL ? sb_err_oom(err) : 0;
}

int sb_profile_secret_read(struct sb_profile_secret *secret, struct sb_err *err)
{
    if (secret->value != NULL || secret->failure != NULL ||
        (read_value(secret, err) == 0 && read_ca(secret, err) == 0)) {
        return 0;
    }
    if (err->code == SB_EXHAUSTED && err->sys == ENOMEM) {
        return -1;
    }
    secret->failure = strdup(err->text);
    return secret->failure == NULL ? sb_err_oom(err) : 0;
}
