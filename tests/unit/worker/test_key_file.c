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

#include "base/err.h"
#include "base/log.h"
#include "service/worker/auth/key_file.h"
#include "service/worker/auth/keys.h"

#define ID1  "abcdefghijklmnopqrstuvwxya"
#define ID2  "abcdefghijklmnopqrstuvwxye"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct sb_err err;
static struct sb_keys keys;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, "test");
    sb_keys_init(&keys);
    (void)strcpy(dir, "/tmp/sbx-key-file-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    sb_keys_done(&keys);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static size_t n_wrong;
static struct sb_err first;
static struct sb_key_stamp stamp;

static int read_at(const char *path)
{
    return sb_key_file_read(path, &keys, &stamp, &n_wrong, &first, &err);
}

/* ---- a line ---- */

static void a_line_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct sb_key_line line;
    char text[SB_KEY_LINE_SIZE];
    static const char *const lines[] = {
        ID1 " " HASH " user team-a never",
        ID1 " " HASH " user team-a 2031-02-28T23:59:59.250Z CI of team A, nightly",
        ID1 " " HASH " auditor * never prometheus",
        ID1 " " HASH " admin local never ",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (sb_key_line_parse(sb_str_from(lines[i]), &line, &err) < 0) {
            fail_msg("%s: %s", lines[i], err.text);
        }
        (void)sb_key_line_format(&line, text);
        assert_memory_equal(text, lines[i], strlen(text));
        assert_true(strlen(lines[i]) - strlen(text) <= 1); /* a blank before no title */
    }
    assert_int_equal(line.role, SB_ROLE_ADMIN);
    assert_int_equal(line.hash[1], 0x11);
    memset(&line, 'x', sizeof line); /* the longest there can be */
    line.role = SB_ROLE_AUDITOR;
    line.expire_ms = 253402300799999;
    line.id[sizeof line.id - 1] = line.tenant[sizeof line.tenant - 1] = '\0';
    line.title[sizeof line.title - 1] = '\0';
    assert_int_equal(strlen(sb_key_line_format(&line, text)), 26 + 64 + 7 + 63 + 24 + 200 + 5);
}

static void a_wrong_line_is_told_and_never_shown(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *wanted;
    } rows[] = {
        {"", "ID HASH ROLE TENANT EXPIRES"},
        {"aisbx_" ID1 "_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq", "ID HASH ROLE"},
        {ID1 " " HASH " user team-a", "ID HASH ROLE TENANT EXPIRES"},
        {ID1 "  " HASH " user team-a never", "ID HASH ROLE TENANT EXPIRES"},
        {ID1 "x " HASH " user team-a never", "no key's id"},
        {ID1 " " HASH "0 user team-a never", "64 hexadecimal digits"},
        {ID1 " G" HASH " user team-a never", "64 hexadecimal digits"},
        {ID1 " AA112233445566778899aabbccddeeff00112233445566778899aabbccddeeff user a never",
         "64 hexadecimal digits"},
        {ID1 " " HASH " root team-a never", "none of user, auditor and admin"},
        {ID1 " " HASH "  team-a never", "ID HASH ROLE TENANT EXPIRES"},
        {ID1 " " HASH " user Team_A never", "tenant: 1 to 63"},
        {ID1 " " HASH " user * never", "\"*\" is for auditors only"},
        {ID1 " " HASH " admin * never", "\"*\" is for auditors only"},
        {ID1 " " HASH " user a soon", "neither \"never\" nor a time"},
        {ID1 " " HASH " user a 1970-01-01T00:00:00Z", "neither \"never\" nor a time"},
        {ID1 " " HASH " user a never a\tb", "printable"},
        {ID1 " " HASH " user a never \xff", "printable"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_key_line line;
        if (sb_key_line_parse(sb_str_from(rows[i].line), &line, &err) == 0 ||
            strstr(err.text, rows[i].wanted) == NULL || err.code != SB_INVALID) {
            fail_msg("%s: %s", rows[i].line, err.text);
        }
        assert_null(strstr(err.text, "00112233"));
        assert_null(strstr(err.text, "abcdefghijk"));
    }
}

/* ---- a file, and a directory of files ---- */

static void a_file_is_read_line_by_line(void **state)
{
    (void)state;
    put("keys", "# ours\n\n" ID1 " " HASH " user a never\r\n  " ID2 " " HASH " auditor * never x");
    assert_int_equal(read_at(path_of("keys")), 0);
    assert_int_equal(n_wrong, 0);
    assert_int_equal(sb_map_count(&keys.by_id), 2);
    assert_string_equal(sb_keys_get(&keys, SB_STR(ID1))->tenant, "a");
    assert_int_equal(sb_keys_get(&keys, SB_STR(ID2))->role, SB_ROLE_AUDITOR);
}

static void what_is_wrong_opens_nothing_and_the_rest_does(void **state)
{
    (void)state;
    put("keys", ID1 " " HASH " user a never\nrubbish\n" ID2 " " HASH " root a never\n");
    assert_int_equal(read_at(path_of("keys")), 0);
    assert_int_equal(n_wrong, 2);
    assert_int_equal(sb_map_count(&keys.by_id), 1);
    assert_non_null(strstr(first.text, ", line 2: "));
    put("keys", ID1 " " HASH " user a never\n" ID1 " " HASH " admin a never\n" ID1 " " HASH
                    " user b never\n" ID2 " " HASH " user b never\n");
    assert_int_equal(read_at(path_of("keys")), 0);
    assert_int_equal(n_wrong, 2);
    assert_null(sb_keys_get(&keys, SB_STR(ID1))); /* nobody knows which is meant */
    assert_non_null(sb_keys_get(&keys, SB_STR(ID2)));
}

static void a_directory_is_all_files_in_it(void **state)
{
    (void)state;
    put("a", ID1 " " HASH " user a never");
    put("b", ID2 " " HASH " user b never");
    put(".hidden", "rubbish");
    assert_int_equal(read_at(dir), 0);
    assert_int_equal(n_wrong, 0);
    assert_int_equal(sb_map_count(&keys.by_id), 2);
    const struct sb_key_stamp before = stamp;
    assert_int_equal(sb_key_file_stamp(dir, &stamp, &err), 0);
    assert_memory_equal(stamp.hash, before.hash, sizeof before.hash);
    put("b", ID2 " " HASH " user bb never");
    assert_int_equal(sb_key_file_stamp(dir, &stamp, &err), 0);
    assert_memory_not_equal(stamp.hash, before.hash, sizeof before.hash);
    assert_false(stamp.is_settled); /* another change may bear the same time */
    assert_int_equal(unlink(path_of("a")), 0);
    assert_int_equal(read_at(dir), 0);
    assert_int_equal(sb_map_count(&keys.by_id), 1);
}

static void what_cannot_be_read_whole_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_at(path_of("none")), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    assert_int_equal(read_at(dir), -1);
    assert_int_equal(rmdir(path_of("folder")), 0);
    assert_int_equal(symlink("nowhere", path_of("link")), 0);
    assert_int_equal(read_at(dir), -1);
    assert_int_equal(unlink(path_of("link")), 0);
    FILE *file = fopen(path_of("long"), "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), SB_KEY_FILE_MAX_BYTES + 1), 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(read_at(dir), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_int_equal(unlink(path_of("long")), 0);
    for (int i = 0; i <= SB_KEY_FILE_MAX_FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        put(name, "");
    }
    assert_int_equal(read_at(dir), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
}

static void more_keys_than_there_may_be_are_refused(void **state)
{
    (void)state;
    static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
    FILE *file = fopen(path_of("keys"), "w");
    assert_non_null(file);
    for (unsigned i = 0; i <= SB_KEYS_MAX; i++) {
        char id[] = ID1;
        id[0] = base32[i & 31];
        id[1] = base32[i >> 5 & 31];
        id[2] = base32[i >> 10 & 31];
        assert_true(fprintf(file, "%s " HASH " user a never\n", id) > 0);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(read_at(path_of("keys")), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_read_as_it_was_written),
        TEST(a_wrong_line_is_told_and_never_shown),
        TEST(a_file_is_read_line_by_line),
        TEST(what_is_wrong_opens_nothing_and_the_rest_does),
        TEST(a_directory_is_all_files_in_it),
        TEST(what_cannot_be_read_whole_is_refused),
        TEST(more_keys_than_there_may_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
