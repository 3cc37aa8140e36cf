/** aisbx is linked statically and opens no module: remote_exec.c runs another program instead.
 * These take the place of what the channel's code calls (by the linker's --wrap), for glibc's own
 * would pull the dynamic loader in, which a static program cannot use well. */
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);
void *__wrap_dlsym(void *module, const char *name);
char *__wrap_dlerror(void);

void *__wrap_dlopen(const char *file, int mode)
{
    (void)file;
    (void)mode;
    return NULL;
}

void *__wrap_dlsym(void *module, const char *name)
{
    (void)module;
    (void)name;
    return NULL;
}

char *__wrap_dlerror(void)
{
    return NULL;
}
