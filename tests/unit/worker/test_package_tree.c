/* Streams of files, good ones and hostile ones, into a directory; and what is kept of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/packages/cache.h"
#include "service/worker/packages/sweep.h"
#include "service/worker/packages/tree.h"

static char top_path[64];
static int top = -1;

static int setup(void **state)
{
    (void)state;
    (void)strcpy(top_path, "/tmp/aisbx-tree.XXXXXX");
    top = mkdtemp(top_path) == NULL ? -1 : open(top_path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    return top < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    (void)close(top);
    (void)snprintf(command, sizeof command, "rm -rf %s", top_path);
    return system(command); // NOLINT(cert-env33-c): a name of our own
}

static void
put(struct sb_buf *out, char kind, const char *path, const char *data, size_t size, bool is_program)
{
    size_t len = strlen(path);
    unsigned char head[SB_TREE_HEAD_SIZE] = {
        (unsigned char)kind, is_program, (unsigned char)(len & 0xff), (unsigned char)(len >> 8)};
    for (int i = 0; i < 8; i++) {
        head[8 + i] = (unsigned char)((uint64_t)size >> (8 * i));
    }
    assert_int_equal(sb_buf_append(out, head, sizeof head), 0);
    assert_int_equal(sb_buf_append(out, path, len), 0);
    assert_int_equal(sb_buf_append(out, data, data == NULL ? 0 : size), 0);
}

static int feed(const struct sb_buf *bytes, size_t piece, bool *ret_is_whole, struct sb_err *err)
{
    struct sb_tree tree;
    int rc = 0;
    sb_tree_init(&tree, top, 1 << 20, 64);
    for (size_t at = 0; rc == 0 && at < bytes->len; at += piece) {
        size_t n = bytes->len - at < piece ? bytes->len - at : piece;
        rc = sb_tree_feed(&tree, sb_buf_cstr(bytes) + at, n, err);
    }
    *ret_is_whole = sb_tree_is_whole(&tree);
    sb_tree_done(&tree);
    return rc;
}

static void writes_files_links_and_lines_however_they_are_cut(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 4096};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct sb_err err = {0};
        struct stat st;
        char name[32];
        char link[64] = "";
        bool is_whole = false;
        SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(1 << 20);
        (void)snprintf(name, sizeof name, "a%zu/b/c.py", i);
        put(&bytes, 'f', name, "hello", 5, false);
        (void)snprintf(name, sizeof name, "a%zu/b/run", i);
        put(&bytes, 'f', name, "", 0, true);
        (void)snprintf(name, sizeof name, "a%zu/.bin/run", i);
        put(&bytes, 'l', name, "../b/run", 8, false);
        put(&bytes, 'p', "", "c==1", 4, false);
        put(&bytes, 'e', "", "", 0, false);
        if (feed(&bytes, pieces[i], &is_whole, &err) < 0) {
            fail_msg("%s", err.text);
        }
        assert_true(is_whole);
        (void)snprintf(name, sizeof name, "a%zu/b/c.py", i);
        assert_int_equal(fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode & 07777, 0444);
        assert_int_equal(st.st_size, 5);
        (void)snprintf(name, sizeof name, "a%zu/.bin/run", i);
        assert_true(readlinkat(top, name, link, sizeof link - 1) == 8);
        assert_int_equal(fstatat(top, name, &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0555);
    }
}

static void is_not_whole_before_its_end(void **state)
{
    (void)state;
    struct sb_err err = {0};
    bool is_whole = true;
    SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(1 << 20);
    put(&bytes, 'f', "x", "hello", 5, false);
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), 0);
    assert_false(is_whole);
}

static void refuses_what_leads_out_or_is_no_stream(void **state)
{
    (void)state;
    static const struct {
        char kind;
        const char *path;
        const char *data;
    } rows[] = {
        {'f', "../x", "a"},
        {'f', "a/../../x", "a"},
        {'f', "/etc/x", "a"},
        {'f', "a//b", "a"},
        {'f', "./a", "a"},
        {'f', "a/", "a"},
        {'f', "..", "a"},
        {'f', "", "a"},
        {'l', "l", "/etc/passwd"},
        {'l', "l", "../x"},
        {'l', "a/l", "../../x"},
        {'l', "l", ""},
        {'l', "a/l", "b/../../../x"},
        {'d', "dir", ""},
        {'x', "x", ""},
        {'e', "x", ""},
        {'e', "", "x"},
        {'p', "x", "line"},
        {'\0', "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        bool is_whole = false;
        SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(1 << 20);
        put(&bytes, rows[i].kind, rows[i].path, rows[i].data, strlen(rows[i].data), false);
        put(&bytes, 'e', "", "", 0, false);
        if (feed(&bytes, 4096, &is_whole, &err) == 0) {
            fail_msg("took %c \"%s\" \"%s\"", rows[i].kind, rows[i].path, rows[i].data);
        }
        assert_int_equal(err.code, SB_INVALID);
        assert_false(is_whole);
    }
}

static void refuses_a_nul_within_a_path(void **state)
{
    (void)state;
    struct sb_err err = {0};
    bool is_whole = false;
    SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(1 << 20);
    const unsigned char head[SB_TREE_HEAD_SIZE] = {'f', 0, 3};
    assert_int_equal(sb_buf_append(&bytes, head, sizeof head), 0);
    assert_int_equal(sb_buf_append(&bytes, "a\0b", 3), 0);
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);
}

static void writes_through_no_link_and_over_no_file(void **state)
{
    (void)state;
    static const char *const targets[] = {"inner/file", "inner", "link/file", "link/new", "link"};
    struct stat st;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct sb_err err = {0};
        bool is_whole = false;
        SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(1 << 20);
        put(&bytes, 'f', "inner/file", "first", 5, false);
        put(&bytes, 'l', "link", "inner", 5, false);
        put(&bytes, 'f', targets[i], "second", 6, false);
        assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);
        assert_int_equal(fstatat(top, "inner/file", &st, 0), 0);
        assert_int_equal(st.st_size, 5);
        assert_int_equal(faccessat(top, "inner/new", F_OK, 0), -1);
        assert_int_equal(unlinkat(top, "link", 0), 0);
        assert_int_equal(unlinkat(top, "inner/file", 0), 0);
        assert_int_equal(unlinkat(top, "inner", AT_REMOVEDIR), 0);
    }
}

static void bounds_bytes_files_and_depth(void **state)
{
    (void)state;
    struct sb_err err = {0};
    bool is_whole = false;
    char deep[SB_TREE_DEPTH_MAX * 2 + 8] = "";
    SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(4 << 20);
    put(&bytes, 'f', "big", NULL, (1 << 20) + 1, false);
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);

    sb_buf_clear(&bytes);
    put(&bytes, 'f', "huge", NULL, SIZE_MAX, false);
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);

    sb_buf_clear(&bytes);
    for (int i = 0; i < 65; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        put(&bytes, 'f', name, "", 0, false);
    }
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);

    sb_buf_clear(&bytes);
    for (int i = 0; i <= SB_TREE_DEPTH_MAX; i++) {
        (void)strcat(deep, "d/");
    }
    (void)strcat(deep, "x");
    put(&bytes, 'f', deep, "", 0, false);
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);
}

static void takes_nothing_behind_the_end(void **state)
{
    (void)state;
    struct sb_err err = {0};
    bool is_whole = false;
    SB_CLEANUP(sb_buf_done) struct sb_buf bytes = SB_BUF_INIT(1 << 20);
    put(&bytes, 'e', "", "", 0, false);
    put(&bytes, 'p', "", "x", 1, false);
    assert_int_equal(feed(&bytes, 4096, &is_whole, &err), -1);
}

/* ---- what is kept ---- */

struct world {
    struct event_base *base;
    struct sb_package_cache cache;
};

static void open_world(struct world *world, uint64_t max_bytes)
{
    struct sb_err err = {0};
    world->base = event_base_new();
    assert_non_null(world->base);
    assert_int_equal(sb_package_cache_open(&world->cache, world->base, top, max_bytes, &err), 0);
}

static void close_world(struct world *world)
{
    sb_package_cache_done(&world->cache);
    event_base_free(world->base);
}

static struct sb_package_entry *
keep(struct world *world, const char *key, uint64_t bytes, uint64_t made_ms)
{
    struct sb_err err = {0};
    struct sb_package_stage stage = SB_PACKAGE_STAGE_INIT;
    struct sb_package_entry *entry = calloc(1, sizeof *entry);
    assert_non_null(entry);
    assert_int_equal(sb_package_cache_stage(&world->cache, &stage, &err), 0);
    int fd = openat(stage.tree, "file", O_CREAT | O_WRONLY, 0444);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(entry->key, sizeof entry->key, "%s", key);
    (void)snprintf(entry->tenant, sizeof entry->tenant, "t");
    entry->manager = SB_MANAGER_PIP;
    entry->bytes = bytes;
    entry->made_ms = made_ms;
    assert_int_equal(sb_strings_add(&entry->names, SB_STR("a"), &err), 0);
    assert_int_equal(sb_package_cache_publish(&world->cache, &stage, entry, &err), 0);
    return entry;
}

static unsigned count(const char *suffix)
{
    unsigned n = 0;
    int fd = openat(top, "packages", O_DIRECTORY | O_RDONLY);
    DIR *dir = fdopendir(fd);
    assert_non_null(dir);
    for (const struct dirent *item = NULL; (item = readdir(dir)) != NULL;) {
        n += item->d_name[0] != '.' &&
             sb_str_ends_with(sb_str_from(item->d_name), sb_str_from(suffix));
    }
    (void)closedir(dir);
    return n;
}

static void what_is_kept_is_found_by_the_next_worker(void **state)
{
    (void)state;
    struct world world;
    struct sb_err err = {0};
    open_world(&world, 1000);
    sb_package_cache_release(&world.cache, keep(&world, "k", 100, 5000));
    close_world(&world);
    open_world(&world, 1000);
    struct sb_package_entry *found = sb_package_cache_find(&world.cache, "k", 1000, 5500);
    assert_non_null(found);
    assert_string_equal(found->tenant, "t");
    assert_string_equal(found->names.items[0], "a");
    assert_int_equal(world.cache.bytes, 100);
    int fd = sb_package_cache_open_tree(&world.cache, found, &err);
    assert_true(fd >= 0 && faccessat(fd, "file", F_OK, 0) == 0);
    (void)close(fd);
    assert_null(sb_package_cache_find(&world.cache, "other", 1000, 5500));
    close_world(&world);
}

static void what_is_too_old_is_forgotten_but_not_while_it_is_used(void **state)
{
    (void)state;
    struct world world;
    struct sb_err err = {0};
    open_world(&world, 1000);
    struct sb_package_entry *entry = keep(&world, "old", 1, 1000);
    assert_null(sb_package_cache_find(&world.cache, "old", 1000, 2001));
    int fd = sb_package_cache_open_tree(&world.cache, entry, &err);
    assert_true(fd >= 0); /* still there for who has it */
    (void)close(fd);
    sb_package_cache_release(&world.cache, entry);
    (void)event_base_loop(world.base, EVLOOP_NONBLOCK);
    assert_int_equal(world.cache.bytes, 100); /* of the test before */
    close_world(&world);
}

static void a_half_install_of_a_dead_worker_is_removed(void **state)
{
    (void)state;
    struct world world;
    struct sb_err err = {0};
    struct sb_package_stage stage = SB_PACKAGE_STAGE_INIT;
    open_world(&world, 1000);
    assert_int_equal(sb_package_cache_stage(&world.cache, &stage, &err), 0);
    int fd = openat(stage.tree, "half", O_CREAT | O_WRONLY, 0444);
    (void)close(fd);
    (void)close(stage.tree);
    (void)close(stage.dir);
    close_world(&world); /* nothing was dropped: it was killed */
    assert_int_equal(count(SB_PACKAGE_NEW), 1);
    open_world(&world, 1000);
    assert_int_equal(count(SB_PACKAGE_NEW), 0);
    for (int i = 0; i < 10; i++) {
        (void)event_base_loop(world.base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(count(SB_PACKAGE_OLD), 0);
    assert_non_null(sb_package_cache_find(&world.cache, "k", 1000, 5500));
    close_world(&world);
}

static void what_was_not_used_longest_goes_first(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, 250);
    sb_package_cache_release(&world.cache, keep(&world, "k1", 100, 6000));
    struct sb_package_entry *used = keep(&world, "k2", 100, 6000);
    sb_package_cache_release(&world.cache, keep(&world, "k3", 100, 6000));
    assert_null(sb_package_cache_find(&world.cache, "k", 10000, 6000));
    assert_null(sb_package_cache_find(&world.cache, "k1", 10000, 6000));
    assert_non_null(sb_package_cache_find(&world.cache, "k2", 10000, 6000));
    assert_non_null(sb_package_cache_find(&world.cache, "k3", 10000, 6000));
    sb_package_cache_release(&world.cache, keep(&world, "k4", 100, 6000));
    assert_non_null(sb_package_cache_find(&world.cache, "k2", 10000, 6000)); /* in use */
    assert_null(sb_package_cache_find(&world.cache, "k3", 10000, 6000));
    sb_package_cache_release(&world.cache, used);
    close_world(&world);
}

static void a_large_tree_is_removed_over_many_turns(void **state)
{
    (void)state;
    struct world world;
    struct sb_err err = {0};
    struct sb_package_stage stage = SB_PACKAGE_STAGE_INIT;
    open_world(&world, 1000);
    assert_int_equal(sb_package_cache_stage(&world.cache, &stage, &err), 0);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        int fd = openat(stage.tree, name, O_CREAT | O_WRONLY, 0444);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    sb_package_cache_drop(&world.cache, &stage);
    (void)event_base_loop(world.base, EVLOOP_ONCE);
    assert_int_not_equal(count(SB_PACKAGE_OLD), 0);
    for (int i = 0; i < 20; i++) {
        (void)event_base_loop(world.base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(count(SB_PACKAGE_OLD), 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_files_links_and_lines_however_they_are_cut),
        cmocka_unit_test(is_not_whole_before_its_end),
        cmocka_unit_test(refuses_what_leads_out_or_is_no_stream),
        cmocka_unit_test(refuses_a_nul_within_a_path),
        cmocka_unit_test(writes_through_no_link_and_over_no_file),
        cmocka_unit_test(bounds_bytes_files_and_depth),
        cmocka_unit_test(takes_nothing_behind_the_end),
        cmocka_unit_test(what_is_kept_is_found_by_the_next_worker),
        cmocka_unit_test(what_is_too_old_is_forgotten_but_not_while_it_is_used),
        cmocka_unit_test(a_half_install_of_a_dead_worker_is_removed),
        cmocka_unit_test(what_was_not_used_longest_goes_first),
        cmocka_unit_test(a_large_tree_is_removed_over_many_turns),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
