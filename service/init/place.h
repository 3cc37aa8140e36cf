#pragma once
#include <sys/stat.h>

/** Where a path leads. */
struct sb_place {
    int dir;        /* O_PATH, the directory it is in */
    char name[256]; /* in dir; "." for the root and for what ends in ".." */
    int fd;         /* O_PATH, the thing itself, which is no link unless links were not wanted; -1:
                       it is not there */
    struct stat st; /* of fd */
    int is_proc;    /* below /proc */
};

enum sb_place_flags {
    SB_PLACE_FOLLOW = 1,  /* a link at the end, too */
    SB_PLACE_PARENTS = 2, /* makes missing directories */
};

/** Walks a path name by name. Links are read here and followed from the sandbox's root on; those of
 *  /proc never are, as what they lead to has no path.
 *  Returns 0, or -errno and *ret_why (enum sb_file_why). */
int sb_place_find(const char *path, int flags, struct sb_place *ret_place, unsigned *ret_why);

/** Whether something lies in /proc. */
int sb_place_is_proc(const struct stat *st);
