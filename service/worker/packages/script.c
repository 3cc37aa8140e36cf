#include "service/worker/packages/script.h"

#include <string.h>

/* install.py and install.js, ended with NUL; see CMakeLists.txt. */
extern const char sb_script_install_py[];
extern const char sb_script_install_js[];

static const struct {
    const char *words[4]; /* before the script */
    const char *script;
    const char *after; /* NULL: nothing */
    const char *needs;
} managers[SB_MANAGER_END_] = {
    [SB_MANAGER_PIP] = {{"python3", "-I", "-c"},
                        sb_script_install_py,
                        NULL,
                        "python3 and pip (apt install python3-pip)"},
    [SB_MANAGER_NPM] = {{"node", "-e"},
                        sb_script_install_js,
                        "--",
                        "node and npm (apt install nodejs npm)"},
};

/* Commands take char *, but nobody writes through it. */
static char *borrow(const char *text)
{
    char *ptr = NULL;
    memcpy(&ptr, &text, sizeof ptr);
    return ptr;
}

size_t sb_script_args(enum sb_manager manager, const struct sb_package_set *set, char **ret_args)
{
    size_t n = 0;
    for (size_t i = 0; i < 4 && managers[manager].words[i] != NULL; i++) {
        ret_args[n++] = borrow(managers[manager].words[i]);
    }
    ret_args[n++] = borrow(managers[manager].script);
    if (managers[manager].after != NULL) {
        ret_args[n++] = borrow(managers[manager].after);
    }
    ret_args[n++] = set->url;
    ret_args[n++] = borrow(set->runs_code ? "code" : "");
    for (size_t i = 0; i < set->names.n; i++) {
        ret_args[n++] = set->names.items[i];
    }
    return n;
}

const char *sb_script_needs(enum sb_manager manager)
{
    return managers[manager].needs;
}
