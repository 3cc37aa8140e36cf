#pragma once
/** One file between here and a sandbox. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "base/id.h"

struct sb_connect;
struct sb_err;

/** What copies have in common. */
struct sb_filecopy {
    struct sb_connect *connect; /* borrowed */
    char sandbox_id[SB_ID_SIZE];
    uint64_t bytes;    /* copied so far */
    bool has_progress; /* shown on stderr, which is a terminal */
    uint64_t total;    /* bytes of the file on its way; 0: not known */
    uint64_t before;   /* copied before it */
    uint64_t start_ms; /* of it */
    uint64_t shown_ms; /* when progress was shown last */
};

/** A message for a path, which it borrows; bytes that are not UTF-8 travel raw. */
Aisbx__V1__FilePath sb_filecopy_path(const char *path);

/** @fd  read from to its end.   @mode  permission bits; 0: the usual.
 *  Errors: of the call; by errno of the read, and nothing is left in the sandbox. */
int sb_filecopy_put(
    struct sb_filecopy *copy, int fd, const char *path, unsigned mode, struct sb_err *err);
/** @fd  written to. */
int sb_filecopy_get(struct sb_filecopy *copy, const char *path, int fd, struct sb_err *err);
/** A directory as a tar archive into @fd, and one from @fd into a directory. *ret_refused (NULL:
 *  not wanted) says what was not taken, and is freed with sb_message_freep. */
int sb_filecopy_export(struct sb_filecopy *copy, const char *path, int fd, struct sb_err *err);
int sb_filecopy_import(struct sb_filecopy *copy,
                       int fd,
                       const char *path,
                       Aisbx__V1__ImportTarResponse **ret_reply,
                       struct sb_err *err);
/** What follows has so many bytes; 0: nobody knows. */
void sb_filecopy_begin(struct sb_filecopy *copy, uint64_t total);
/** So many were copied. */
void sb_filecopy_count(struct sb_filecopy *copy, size_t len);
/** Takes the progress away from the terminal. */
void sb_filecopy_end_progress(const struct sb_filecopy *copy);

/** What is at a path, links followed. *ret_info is part of *ret_reply, which is freed with
 *  sb_message_freep. */
int sb_filecopy_stat(struct sb_filecopy *copy,
                     const char *path,
                     Aisbx__V1__StatFileResponse **ret_reply,
                     struct sb_err *err);
