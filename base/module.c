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

/* Debian names a package of a library by it and its version: libgrpc.so.29 is in libgrpc29. */
static const struct {
    const char *library;
    const char *package; /* without the version */
} packages[] = {
    {"libgrpc.so.", "libgrpc"}, {"libgpr.so.", "libgrpc"},   {"libaddress_sorting.so.", "libgrpc"},
    {"libssl.so.", "libssl"},   {"libcrypto.so.", "libssl"}, {"libprotobuf-c.so.", "libprotobuf-c"},
};

const char *sb_module_advise(const char *why, char *ret_text, size_t size)
{
    static const char lacks[] = ": cannot open shared object file";
    const char *end = strstr(why, lacks);
    int len = end == NULL ? 0 : (int)(end - why);
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++) {
        size_t known = strlen(packages[i].library);
        if ((size_t)len > known && strncmp(why, packages[i].library, known) == 0) {
            const char *version = why + known;
            int digits = (int)strspn(version, "0123456789");
            const char *package = packages[i].package;
            (void)snprintf(ret_text, size, "apt install %s%.*s (on Ubuntu 24.04 %s%.*st64)",
                           package, digits, version, package, digits, version);
            return ret_text;
        }
    }
    if (len > 0 && memchr(why, '/', (size_t)len) == NULL) {
        (void)snprintf(ret_text, size,
                       "install the package that has %.*s: apt install apt-file && apt-file update "
                       "&& apt-file search %.*s",
                       len, why, len, why);
    } else {
        (void)snprintf(ret_text, size,
                       "it is missing, damaged or of another build: apt install --reinstall "
                       "aisbx, or copy it anew from where this program came from");
    }
    return ret_text;
}

void *sb_module_load(int fd, const char *file, const char *symbol, struct sb_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *address = module == NULL ? NULL : dlsym(module, symbol);
    if (address == NULL) {
        const char *why = dlerror();
        char next[SB_MODULE_ADVICE_SIZE];
        why = why == NULL ? "?" : why;
        (void)sb_err_set(err, SB_UNAVAILABLE, "%s: %.120s; %s", file, why,
                         sb_module_advise(why, next, sizeof next));
    }
    return address;
}
