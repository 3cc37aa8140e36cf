#pragma once
#include <stdint.h>
#include <sys/stat.h>

#include "service/shared/fileproto.h"

/** One operation as received, checked. */
struct sb_file {
    struct sb_file_request request;
    const char *path;
    const char *second;
    const char *third;
    int sock; /* its own */
};

/** Checks a packet, whose strings the result points into. @fds  that came with it.
 *  Returns 0, or -errno. */
int sb_file_parse(
    const char *packet, unsigned long len, const int *fds, int n_fds, struct sb_file *ret_file);

/** Serves it and exits. In a child of init of its own. */
_Noreturn void sb_file_serve(const struct sb_file *file);

/* ---- for the operations, all of which end the process ---- */

_Noreturn void sb_file_fail(const struct sb_file *file, long error, unsigned why);
/** @path  below the one asked for. */
_Noreturn void
sb_file_fail_at(const struct sb_file *file, long error, unsigned why, const char *path);
_Noreturn void sb_file_finish(const struct sb_file *file, uint64_t count);
/** Sends bytes behind a struct; exits when nobody listens any more. */
void sb_file_send(const struct sb_file *file,
                  const void *head,
                  unsigned long head_len,
                  const void *data,
                  unsigned long len);
/** @path  below the directory, or "".   @dir, @name  what st is of, to read where a link leads. */
void sb_file_tell(
    const struct sb_file *file, const struct stat *st, const char *path, int dir, const char *name);

struct sb_place;
/** Where the path leads; fails when it cannot be walked. The thing itself may not be there. */
void sb_file_find(const struct sb_file *file, const char *path, int flags, struct sb_place *place);
/** The same, and it is there. */
void sb_file_find_there(const struct sb_file *file,
                        const char *path,
                        int flags,
                        struct sb_place *place);
/** Opens the directory that the request names; fails when it is none. */
int sb_file_open_root(const struct sb_file *file, struct sb_place *place);
/** Opens one to be read, without following a link. Returns -errno. */
int sb_file_open_dir(int dir, const char *name);
/** Opens what lies at the place, if it is a regular file; fails otherwise. */
int sb_file_open_regular(const struct sb_file *file,
                         const struct sb_place *place,
                         int flags,
                         struct stat *ret_stat);
/** Ends when nobody waits for it any more, which what says nothing for long would not notice. */
void sb_file_check_listener(const struct sb_file *file);
/** "." or "..". */
int sb_file_is_itself(const char *name);
/** Zeroed memory; fails when there is none. Kept to the end. */
void *sb_file_memory(const struct sb_file *file, unsigned long size);

/** A file that is written beside its place until it is whole. */
struct sb_file_part {
    int dir;
    int fd;
    char name[64]; /* "": none */
};
/** Whether a name is that of one: what is half written is nobody's business. */
int sb_file_is_part(const char *name);
/** Chooses a name that is free for the moment. Returns 0 or -errno; open is called with it and may
 *  say -EEXIST, for another to be chosen. */
long sb_file_part_new(struct sb_file_part *part,
                      int dir,
                      long (*open)(const struct sb_file_part *part, void *ctx),
                      void *ctx);
/** A regular file. Returns 0, with fd, or -errno. */
long sb_file_part_open(struct sb_file_part *part, int dir);
/** Takes it away. */
void sb_file_part_drop(struct sb_file_part *part);
/** Gives it its name, in place of what has it. Returns 0 or -errno. */
long sb_file_part_name(struct sb_file_part *part, int dir, const char *name);
/** Writes all. Returns 0 or -errno. */
long sb_file_write_all(int fd, const char *bytes, unsigned long len);
/** The next DATA from the worker. Returns its length, 0 for COMMIT, -1: nobody is there any more,
 *  or it is none of these. @data  SB_FILE_MAX_DATA bytes. */
long sb_file_receive(const struct sb_file *file, char *data);

_Noreturn void sb_file_read(const struct sb_file *file);
_Noreturn void sb_file_write(const struct sb_file *file);
_Noreturn void sb_file_list(const struct sb_file *file);
_Noreturn void sb_file_remove(const struct sb_file *file);
_Noreturn void sb_file_search(const struct sb_file *file);
_Noreturn void sb_file_replace(const struct sb_file *file);
_Noreturn void sb_file_watch(const struct sb_file *file);
_Noreturn void sb_file_export(const struct sb_file *file);
_Noreturn void sb_file_import(const struct sb_file *file);
