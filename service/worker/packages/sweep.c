#include "service/worker/packages/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "service/worker/packages/tree.h"

enum { A_TURN = 128 };

static DIR *open_dir(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        sb_closep(&fd);
    }
    return dir;
}

/* Removes at most *budget names of @name, and itself as the last. False: something is left. The
 * depth is that of the trees we write. */
// NOLINTNEXTLINE(misc-no-recursion)
static bool remove_tree(int at, const char *name, unsigned depth, unsigned *budget)
{
    bool is_empty = true;
    DIR *dir = depth > SB_TREE_DEPTH_MAX + 2 ? NULL : open_dir(at, name);
    if (dir == NULL) {
        return false;
    }
    for (const struct dirent *item = NULL; is_empty && (item = readdir(dir)) != NULL;) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) {
            continue;
        }
        if (*budget == 0) {
            is_empty = false;
        } else if (unlinkat(dirfd(dir), item->d_name, 0) == 0) {
            (*budget)--;
        } else {
            is_empty = remove_tree(dirfd(dir), item->d_name, depth + 1, budget);
        }
    }
    (void)closedir(dir);
    if (!is_empty || *budget == 0) {
        return false;
    }
    (*budget)--;
    return unlinkat(at, name, AT_REMOVEDIR) == 0;
}

bool sb_package_sweep(int dir, const char *suffix)
{
    unsigned budget = A_TURN;
    bool is_done = true;
    DIR *all = open_dir(dir, ".");
    if (all == NULL) {
        return true;
    }
    for (const struct dirent *item = NULL; budget > 0 && (item = readdir(all)) != NULL;) {
        unsigned before = budget;
        if (sb_str_ends_with(sb_str_from(item->d_name), sb_str_from(suffix)) &&
            !remove_tree(dirfd(all), item->d_name, 0, &budget)) {
            is_done = false;
            if (budget == before) {
                SB_LOG_WARN("packages cannot be removed", "entry=%s errno=%d", item->d_name, errno);
                is_done = true;
                break;
            }
        }
    }
    (void)closedir(all);
    return is_done && budget > 0;
}
