/** For programs that load it when it is needed. */
#include <string.h>

#include "base/err.h"
#include "base/module.h"
#include "service/worker/x509/x509.h"

static int module_fd = -1;

void sb_x509_find(void)
{
    struct sb_err ignored;
    (void)sb_module_find(SB_X509_FILE, &module_fd, &ignored);
}

const struct sb_x509 *sb_x509(struct sb_err *err)
{
    static const struct sb_x509 *loaded;
    if (loaded != NULL) {
        return loaded;
    }
    if (module_fd < 0 && sb_module_find(SB_X509_FILE, &module_fd, err) < 0) {
        return NULL;
    }
    void *symbol = sb_module_load(module_fd, SB_X509_FILE, SB_X509_SYMBOL, err);
    const struct sb_x509 *(*entry)(void) = NULL;
    if (symbol == NULL) {
        return NULL;
    }
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointer */
    const struct sb_x509 *found = entry();
    if (strcmp(found->version, SB_VERSION) != 0) {
        (void)sb_err_set(err, SB_PRECONDITION, SB_X509_FILE " is of another build");
        return NULL;
    }
    loaded = found;
    return loaded;
}
