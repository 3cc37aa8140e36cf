/** gRPC for servers that load it when somebody needs it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "proto/rpc/internal.h"

enum { MAX_PATH_BYTES = 4096 };

int sb_rpc_grpc_server_find(int *ret_fd, struct sb_err *err)
{
    static const char name[] = SB_RPC_SERVER_MODULE_FILE;
    char path[MAX_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof name);
    char *slash = len <= 0 ? NULL : memrchr(path, '/', (size_t)len);
    if (slash == NULL) {
        return sb_err_sys(err, len < 0 ? errno : ENOENT, "find the program's directory");
    }
    memcpy(slash + 1, name, sizeof name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return sb_err_sys(err, errno, "open %s", path);
    }
    *ret_fd = fd;
    return 0;
}

const struct sb_rpc_server_transport *sb_rpc_grpc_server_load(int fd, struct sb_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (module == NULL) {
        const char *why = dlerror();
        (void)sb_err_set(err, SB_UNAVAILABLE, SB_RPC_SERVER_MODULE_FILE ": %s",
                         why == NULL ? "?" : why);
        return NULL;
    }
    sb_rpc_server_module_entry entry = NULL;
    void *symbol = dlsym(module, SB_RPC_SERVER_MODULE_SYMBOL);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointer */
    const struct sb_rpc_server_transport *transport = entry == NULL ? NULL : entry();
    if (transport == NULL || transport->abi != SB_RPC_SERVER_ABI) {
        (void)sb_err_set(err, SB_PRECONDITION, SB_RPC_SERVER_MODULE_FILE " is of another build");
        return NULL;
    }
    return transport;
}
