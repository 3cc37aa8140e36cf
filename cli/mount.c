#include "cli/mount.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/arena.h"

static const struct {
    struct sb_str suffix;
    enum sb_mount_mode mode;
} modes[] = {
    {SB_STR(":ro"), SB_MOUNT_RO},
    {SB_STR(":rw"), SB_MOUNT_RW},
    {SB_STR(":overlay"), SB_MOUNT_OVERLAY},
};

/* Takes a mode off the end. */
static enum sb_mount_mode take_mode(struct sb_str *text)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (sb_str_ends_with(*text, modes[i].suffix)) {
            text->len -= modes[i].suffix.len;
            return modes[i].mode;
        }
    }
    return SB_MOUNT_UNSAID;
}

int sb_mount_parse(struct sb_str text, struct sb_mount_text *ret_mount, struct sb_err *err)
{
    struct sb_mount_text mount = {.source = text};
    mount.mode = take_mode(&mount.source);
    bool has_target = sb_str_split(mount.source, ':', &mount.source, &mount.target);
    if (mount.source.len == 0 ||
        (has_target && (mount.target.len == 0 || mount.target.ptr[0] != '/'))) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is not SRC[:DST][:ro|rw] with an absolute DST",
                          SB_STR_ARG(text));
    }
    if (has_target && memchr(mount.target.ptr, ':', mount.target.len) != NULL) {
        return sb_err_set(err, SB_INVALID,
                          "\"%.*s\" has one part too many, or a mode other than ro and rw",
                          SB_STR_ARG(text));
    }
    *ret_mount = mount;
    return 0;
}

int sb_mount_parse_workspace(struct sb_str text,
                             struct sb_mount_text *ret_mount,
                             struct sb_err *err)
{
    struct sb_mount_text mount = {.source = text, .target = SB_STR(SB_MOUNT_WORKSPACE)};
    mount.mode = take_mode(&mount.source);
    if (mount.source.len == 0) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is not DIR[:ro|rw|overlay]", SB_STR_ARG(text));
    }
    *ret_mount = mount;
    return 0;
}

char *sb_mount_real(struct sb_arena *arena, struct sb_str path, struct sb_err *err)
{
    char *text = sb_arena_text(arena, path, err);
    if (text == NULL) {
        return NULL;
    }
    SB_CLEANUP(sb_freep) char *real = realpath(text, NULL);
    if (real == NULL) {
        (void)sb_err_sys(err, errno, "%s", text);
        return NULL;
    }
    return sb_arena_text(arena, sb_str_from(real), err);
}
