#include "base/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum { MAX_PATH_BYTES = 4096 };

int sb_module_find(const char *file, int *ret_fd, struct sb_err *err)
{
    char path[MAX_PATH_BYTES];
    size_t size = strlen(file) + 1;
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - size);
    char *slash = len <= 0 ? NULL : memrchr(path, '/', (size_t)len);
    if (slash == NULL) {
        return sb_err_sys(err, len < 0 ? errno : ENOENT, "find the program's directory");
    }
    memcpy(slash + 1, file, size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return sb_err_sys(err, errno, "open %s (it comes with this program: install both)", path);
    }
    *ret_fd = fd;
    return 0;
}

void *sb_module_load(int fd, const char *file, const char *symbol, struct sb_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *address = module == NULL ? NULL : dlsym(module, symbol);
    if (address == NULL) {
        const char *why = dlerror();
        (void)sb_err_set(err, SB_UNAVAILABLE, "%s: %s", file, why == NULL ? "?" : why);
    }
    return address;
}
