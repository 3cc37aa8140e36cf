/* What an archive from a sandbox may do here. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/tar.h"
#include "cli/filecopy.h"
#include "cli/treecopy.h"
#include "cli/treecopy_out.h"
#include "testing.h"

struct world {
    char dir[64]; /* "dir/to" is copied into; "dir/outside" must stay */
    char to[80];
    struct sb_filecopy copy;
    struct sb_treecopy tree;
    unsigned n_skipped;
    struct sb_buf archive;
};

static void on_skip(void *ctx, const char *path, const char *why)
{
    struct world *world = ctx;
    (void)path;
    (void)why;
    world->n_skipped++;
}

/* A shell's judgement, within the directory. */
static int run(const char *script, const char *dir)
{
    assert_int_equal(chdir(dir), 0);
    return system(script); /* NOLINT(cert-env33-c,bugprone-command-processor): in a test */
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/aisbx-treecopy-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(world->to, sizeof world->to, "%s/to", world->dir);
    assert_int_equal(
        run("mkdir to outside && echo kept >outside/f && ln -s ../outside to/link", world->dir), 0);
    world->tree = (struct sb_treecopy){.copy = &world->copy, .skip = on_skip, .ctx = world};
    sb_buf_init(&world->archive, 1 << 20);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    assert_int_equal(run("[ \"$(cat outside/f)\" = kept ]", world->dir), 0);
    assert_int_equal(run("[ \"$(ls -A outside)\" = f ]", world->dir), 0);
    assert_int_equal(run("! find . -name '.aisbx-*' | grep .", world->dir), 0);
    assert_int_equal(run("rm -r to outside && rmdir \"$PWD\"", world->dir), 0);
    sb_buf_done(&world->archive);
    free(world);
    return 0;
}

static void add(struct world *world,
                enum sb_tar_kind kind,
                const char *path,
                const char *link,
                const char *data)
{
    char head[SB_TAR_MAX_HEAD];
    static const char zeros[SB_TAR_BLOCK];
    const struct sb_tar_entry entry = {.kind = kind,
                                       .path = path,
                                       .link = link,
                                       .mode = 0644,
                                       .size = kind == SB_TAR_FILE ? strlen(data) : 0};
    size_t len = sb_tar_head(&entry, NULL, 0, head);
    assert_true(len > 0);
    assert_int_equal(sb_buf_append(&world->archive, head, len), 0);
    assert_int_equal(sb_buf_append(&world->archive, data, (size_t)entry.size), 0);
    assert_int_equal(sb_buf_append(&world->archive, zeros, sb_tar_pad(entry.size)), 0);
}

static void add_end(struct world *world)
{
    static const char zeros[SB_TAR_END];
    assert_int_equal(sb_buf_append(&world->archive, zeros, sizeof zeros), 0);
}

/* In pieces of that many bytes. */
static int unpack(struct world *world, size_t piece, struct sb_err *err)
{
    struct sb_treecopy_out *out = NULL;
    struct sb_str rest = sb_buf_str(&world->archive);
    int rc = sb_treecopy_out_new(&world->tree, "/workspace", world->to, &out, err);
    while (rc == 0 && rest.len > 0) {
        struct sb_str part = sb_str_head(rest, piece);
        rc = sb_treecopy_out_feed(out, part.ptr, part.len, err);
        rest = sb_str_skip(rest, part.len);
    }
    if (rc == 0) {
        rc = sb_treecopy_out_finish(out, err);
    }
    sb_treecopy_out_free(out);
    return rc;
}

static void archive_becomes_files(void **state)
{
    struct world *world = *state;
    struct sb_err err;
    add(world, SB_TAR_DIR, "a", "", "");
    add(world, SB_TAR_FILE, "a/f", "", "one\n");
    add(world, SB_TAR_HARDLINK, "a/g", "a/f", "");
    add(world, SB_TAR_FILE, "a/f", "", "two\n"); /* in place of it, and the other name stays */
    add(world, SB_TAR_HARDLINK, "a/h", "a/f", "");
    add(world, SB_TAR_HARDLINK, "a/h", "a/f", "");
    add_end(world);
    assert_int_equal(unpack(world, 100, &err), 0);
    assert_int_equal(world->tree.files, 5);
    assert_int_equal(run("cd to/a && [ \"$(cat f g h | tr -d '\\n')\" = twoonetwo ]", world->dir),
                     0);
}

static void links_and_special_files_are_left_out(void **state)
{
    struct world *world = *state;
    struct sb_err err;
    add(world, SB_TAR_SYMLINK, "s", "/etc/passwd", "");
    add(world, SB_TAR_FIFO, "p", "", "");
    add(world, SB_TAR_CHAR, "c", "", "");
    add(world, SB_TAR_FILE, "f", "", "x");
    add_end(world);
    assert_int_equal(unpack(world, 4096, &err), 0);
    assert_int_equal(world->n_skipped, 3);
    assert_int_equal(run("[ \"$(ls to | tr '\\n' ' ')\" = 'f link ' ]", world->dir), 0);
}

/* Each alone ends the copy. */
static const struct {
    enum sb_tar_kind kind;
    const char *path;
    const char *link;
} hostile[] = {
    {SB_TAR_FILE, "../outside/f", ""},
    {SB_TAR_FILE, "/tmp/x", ""},
    {SB_TAR_FILE, "a/../../x", ""},
    {SB_TAR_FILE, "./f", ""},
    {SB_TAR_FILE, "a//f", ""},
    {SB_TAR_FILE, "..", ""},
    {SB_TAR_DIR, "../made", ""},
    {SB_TAR_FILE, "link/f", ""},
    {SB_TAR_DIR, "link", ""},
    {SB_TAR_DIR, "link/made", ""},
    {SB_TAR_FILE, "missing/f", ""},
    {SB_TAR_HARDLINK, "h", "../outside/f"},
    {SB_TAR_HARDLINK, "h", "link/f"},
    {SB_TAR_HARDLINK, "h", "/etc/passwd"},
    {SB_TAR_HARDLINK, "link/h", "first"},
    {SB_TAR_HARDLINK, "h", "nothing"},
};

static void archive_leads_nowhere_else(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct sb_err err = {0};
        sb_buf_clear(&world->archive);
        add(world, SB_TAR_FILE, "first", "", "1");
        add(world, hostile[i].kind, hostile[i].path, hostile[i].link, "evil");
        add_end(world);
        assert_int_equal(unpack(world, 512, &err), -1);
        assert_int_not_equal(err.code, SB_OK);
        assert_int_equal(run("[ \"$(ls -A)\" = \"outside\nto\" ]", world->dir), 0);
        assert_int_equal(run("[ \"$(ls -A to)\" = \"first\nlink\" ]", world->dir), 0);
    }
}

static void cut_archive_leaves_no_half_file(void **state)
{
    struct world *world = *state;
    struct sb_err err;
    add(world, SB_TAR_FILE, "f", "", "whole");
    add(world, SB_TAR_FILE, "g", "", "not whole");
    sb_buf_truncate(&world->archive, world->archive.len - SB_TAR_BLOCK + 3);
    assert_int_equal(unpack(world, 1, &err), -1);
    assert_int_equal(err.code, SB_DATA_LOSS);
    assert_int_equal(run("[ \"$(ls -A to)\" = \"f\nlink\" ]", world->dir), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(archive_becomes_files),
        TEST(links_and_special_files_are_left_out),
        TEST(archive_leads_nowhere_else),
        TEST(cut_archive_leaves_no_half_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
