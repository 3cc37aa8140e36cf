#pragma once
/** Private to treecopy.c: an archive from a sandbox becomes files here. */
#include <stddef.h>

struct sb_err;
struct sb_treecopy;
struct sb_treecopy_out;

/** @from  of the tree inside, for messages; @to  the directory here, made when it is missing. Both
 *  borrowed. */
int sb_treecopy_out_new(struct sb_treecopy *tree,
                        const char *from,
                        const char *to,
                        struct sb_treecopy_out **ret_out,
                        struct sb_err *err);
/** The next bytes of the archive. Once it failed it must not be called again. */
int sb_treecopy_out_feed(struct sb_treecopy_out *out,
                         const char *bytes,
                         size_t len,
                         struct sb_err *err);
int sb_treecopy_out_finish(struct sb_treecopy_out *out, struct sb_err *err);
/** Takes a file away that is not whole. */
void sb_treecopy_out_free(struct sb_treecopy_out *out);
