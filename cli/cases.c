#include "cli/cases.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum { MAX_NAME = 64 };

static int is_input(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 3 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 3, ".in") == 0;
}

/* "DIR/NAME" and an ending. */
static char *path_of(struct sb_arena *arena,
                     const char *dir,
                     const char *name,
                     const char *ending,
                     struct sb_err *err)
{
    char *base = sb_arena_join(arena, sb_str_from(dir), SB_STR("/"), err);
    base = base == NULL ? NULL : sb_arena_join(arena, sb_str_from(base), sb_str_from(name), err);
    return base == NULL ? NULL : sb_arena_join(arena, sb_str_from(base), sb_str_from(ending), err);
}

static int fill(struct sb_cases_item *item,
                const char *dir,
                const char *file,
                struct sb_arena *arena,
                struct sb_err *err)
{
    static const char *const endings[] = {".out", ".ans"};
    size_t len = strlen(file) - 3;
    if (len > MAX_NAME) {
        return sb_err_set(err, SB_INVALID, "%s/%s: the name is longer than %d bytes", dir, file,
                          MAX_NAME);
    }
    item->name = sb_arena_text(arena, sb_str_of(file, len), err);
    item->input = path_of(arena, dir, file, "", err);
    if (item->name == NULL || item->input == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings && item->expected == NULL; i++) {
        char *path = path_of(arena, dir, item->name, endings[i], err);
        if (path == NULL) {
            return -1;
        }
        item->expected = access(path, F_OK) == 0 ? path : NULL;
    }
    return 0;
}

int sb_cases_find(struct sb_cases *ret_cases,
                  const char *dir,
                  struct sb_arena *arena,
                  struct sb_err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_input, versionsort);
    if (n < 0) {
        return sb_err_sys(err, errno, "%s", dir);
    }
    struct sb_cases_item *items = sb_arena_alloc(arena, (size_t)n, sizeof *items, err);
    int rc = items == NULL ? -1 : 0;
    for (int i = 0; i < n; i++) {
        rc = rc < 0 ? rc : fill(&items[i], dir, entries[i]->d_name, arena, err);
        free(entries[i]);
    }
    free(entries);
    if (rc == 0 && n == 0) {
        return sb_err_set(err, SB_INVALID, "%s: no file there is named NAME.in", dir);
    }
    if (rc == 0) {
        *ret_cases = (struct sb_cases){.items = items, .n = (size_t)n};
    }
    return rc;
}
