#pragma once
#include <stdbool.h>

struct sb_err;

/** What is done with a name of /proc that sandboxes do not see. Returns -1 and err to end. */
typedef int sb_proc_look(void *arg, const char *name, bool is_dir, struct sb_err *err);

/** Calls @look for each name of @proc, a procfs, that is none of those that programs are given: not
 *  a process, nor a link, which leads to one or to another name. Whatever a kernel or a module adds
 *  is among them. /proc/sys, of which the sandbox has a part, is not.
 *  For a child that shares memory, too. Returns 0; -1 as @look did, or by errno. */
int sb_proc_each_hidden(const char *proc, sb_proc_look *look, void *arg, struct sb_err *err);
