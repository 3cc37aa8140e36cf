#pragma once
/** Entries of an archive, from files inside to the worker as DATA. */
#include <sys/stat.h>

#include "base/tar.h"
#include "service/init/file.h"

struct sb_filetar;

/** Begins one; its memory is kept to the end of the process. */
struct sb_filetar *sb_filetar_new(const struct sb_file *file);
/** Adds what lies at a name: a directory, a regular file with its content, holes and second names,
 *  a symbolic link, a FIFO. What is gone is left out, and so are sockets and devices. setuid and
 *  setgid are not told. Ends the process with FAILED when it cannot be read.
 *  @path  under which it is told.  @ret_stat  of what was added; st_mode 0: nothing was. */
void sb_filetar_add(
    struct sb_filetar *tar, int dir, const char *name, const char *path, struct stat *ret_stat);
/** The end mark, and DONE. */
_Noreturn void sb_filetar_finish(struct sb_filetar *tar);
