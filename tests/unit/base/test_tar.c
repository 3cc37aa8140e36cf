/** Archives: what is written is read back in pieces of any size, and what is broken is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tar.h"

static char archive[1 << 20];
static size_t archive_len;
static struct sb_tar_reader reader;

/* What the reader told, as text. */
static char told[8192];

static void tell(const char *text)
{
    (void)snprintf(told + strlen(told), sizeof told - strlen(told), "%s", text);
}

static int on_entry(void *ctx, const struct sb_tar_entry *entry)
{
    char text[512];
    (void)ctx;
    (void)snprintf(text, sizeof text, "[%d %.40s(%zu) %.40s %o %llu %lld.%09u !%d]", entry->kind,
                   entry->path, strlen(entry->path), entry->link, entry->mode,
                   (unsigned long long)entry->size, (long long)entry->mtime_s, entry->mtime_ns,
                   entry->problem);
    tell(text);
    return 0;
}

static int on_data(void *ctx, uint64_t offset, const char *bytes, size_t len)
{
    uint64_t *at = ctx; /* pieces that follow one another are one */
    char text[64];
    if (offset != *at) {
        (void)snprintf(text, sizeof text, "@%llu:", (unsigned long long)offset);
        tell(text);
    }
    *at = offset + len;
    (void)snprintf(text, sizeof text, "%.*s", (int)len, bytes);
    tell(text);
    return 0;
}

static int on_end(void *ctx)
{
    *(uint64_t *)ctx = 0;
    tell(".");
    return 0;
}

static const struct sb_tar_sink sink = {on_entry, on_data, on_end};

static enum sb_tar_result read_in_pieces(const char *bytes, size_t len, size_t piece)
{
    uint64_t at = 0;
    memset(&reader, 0, sizeof reader);
    told[0] = '\0';
    sb_tar_begin(&reader, &sink, &at);
    for (size_t i = 0; i < len; i += piece) {
        (void)sb_tar_feed(&reader, bytes + i, len - i < piece ? len - i : piece);
    }
    return sb_tar_finish(&reader);
}

static void add(const struct sb_tar_entry *entry, const char *data)
{
    size_t n = sb_tar_head(entry, NULL, 0, archive + archive_len);
    assert_int_not_equal(n, 0);
    assert_int_equal(n % SB_TAR_BLOCK, 0);
    archive_len += n;
    memcpy(archive + archive_len, data, strlen(data));
    archive_len += strlen(data) + sb_tar_pad(strlen(data));
}

static int begin(void **state)
{
    (void)state;
    memset(archive, 0, sizeof archive);
    archive_len = 0;
    return 0;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    add(
        &(struct sb_tar_entry){
            .kind = SB_TAR_DIR, .path = "d", .link = "", .mode = 0750, .mtime_s = 5},
        "");
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE,
                               .path = "d/f",
                               .link = "",
                               .mode = 04755,
                               .size = 5,
                               .mtime_s = 1700000000,
                               .mtime_ns = 120},
        "hello");
    add(
        &(struct sb_tar_entry){
            .kind = SB_TAR_FILE, .path = name, .link = "", .mtime_s = -3, .mtime_ns = 500000000},
        "");
    add(&(struct sb_tar_entry){.kind = SB_TAR_SYMLINK, .path = "l", .link = name}, "");
    add(&(struct sb_tar_entry){.kind = SB_TAR_HARDLINK, .path = "h", .link = "d/f", .size = 5}, "");
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE, .path = "caf\xc3\xa9", .link = ""}, "");
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE, .path = "caf\xe9", .link = ""}, "");
    archive_len += SB_TAR_END;
    static const char want[] =
        "[5 d(1)  750 0 5.000000000 !0]."
        "[0 d/f(3)  4755 5 1700000000.000000120 !0]hello."
        "[0 nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn(299)  0 0 -3.500000000 !0]."
        "[2 l(1) nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn 0 0 0.000000000 !0]."
        "[1 h(1) d/f 0 0 0.000000000 !0]."
        "[0 caf\xc3\xa9(5)  0 0 0.000000000 !0]."
        "[0 caf\xe9(4)  0 0 0.000000000 !0].";
    for (size_t piece = 1; piece < 2000; piece += piece < 20 ? 1 : 97) {
        assert_int_equal(read_in_pieces(archive, archive_len, piece), SB_TAR_OK);
        assert_string_equal(told, want);
    }
}

static void holes_are_kept(void **state)
{
    (void)state;
    static const struct sb_tar_part parts[] = {{0, 3}, {1 << 20, 5}, {10ULL << 30, 0}};
    const struct sb_tar_entry entry = {
        .kind = SB_TAR_FILE, .path = "sparse", .link = "", .size = 10ULL << 30, .mode = 0600};
    archive_len = sb_tar_head(&entry, parts, 3, archive);
    assert_int_not_equal(archive_len, 0);
    archive_len += sb_tar_map(parts, 3, archive + archive_len);
    memcpy(archive + archive_len, "onethree", 8);
    archive_len += 8 + sb_tar_pad(8) + SB_TAR_END;
    for (size_t piece = 1; piece < 700; piece += 13) {
        assert_int_equal(read_in_pieces(archive, archive_len, piece), SB_TAR_OK);
        assert_string_equal(told,
                            "[0 sparse(6)  600 10737418240 0.000000000 !0]one@1048576:three.");
    }
}

static void sizes_beyond_octal_digits(void **state)
{
    (void)state;
    const struct sb_tar_entry entry = {
        .kind = SB_TAR_FILE, .path = "big", .link = "", .size = 9ULL << 30};
    archive_len = sb_tar_head(&entry, NULL, 0, archive);
    assert_int_equal(read_in_pieces(archive, archive_len, 512), SB_TAR_CUT);
    assert_non_null(strstr(told, "9663676416"));
}

/* Puts something else into the header that begins there, under a right checksum. */
static void change(char *block, size_t at, const void *bytes, size_t len)
{
    unsigned sum = 0;
    memcpy(block + at, bytes, len);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++) {
        sum += (unsigned char)block[i];
    }
    (void)snprintf(block + 148, 8, "%06o", sum);
}

static enum sb_tar_result read_odd(size_t at, const void *bytes, size_t len)
{
    (void)begin(NULL);
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE, .path = "odd", .link = ""}, "");
    change(archive, at, bytes, len);
    archive_len += SB_TAR_END;
    return read_in_pieces(archive, archive_len, 100);
}

static void what_is_broken_is_told(void **state)
{
    (void)state;
    enum { MODE = 100, SIZE = 124, TYPE = 156 };
    assert_int_equal(read_in_pieces("", 0, 1), SB_TAR_NOT_TAR);
    assert_int_equal(read_in_pieces("no archive at all", 17, 1), SB_TAR_NOT_TAR);
    assert_int_equal(read_in_pieces("\x1f\x8b\x08 something", 13, 1), SB_TAR_COMPRESSED);
    assert_int_equal(read_odd(SIZE, "00000000009 ", 12), SB_TAR_NUMBER);
    assert_int_equal(read_odd(SIZE, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),
                     SB_TAR_NUMBER);
    assert_int_equal(read_odd(SIZE, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),
                     SB_TAR_NUMBER);
    assert_int_equal(read_odd(SIZE, "\x80\0\0\0\0\0\0\0\0\0\0\x09", 12), SB_TAR_OK);
    assert_int_equal(read_odd(MODE, "rwxr-xr-", 8), SB_TAR_NUMBER);
    assert_int_equal(read_odd(TYPE, "S", 1), SB_TAR_OK);
    assert_int_equal(read_odd(TYPE, "Q", 1), SB_TAR_OK);
    assert_non_null(strstr(told, "[7 odd"));
    assert_int_equal(read_odd(0, "\0\0\0", 3), SB_TAR_OK);
    assert_non_null(strstr(told, "!1]"));
    (void)begin(NULL);
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE, .path = "a", .link = ""}, "");
    assert_int_equal(read_in_pieces(archive, archive_len, 512), SB_TAR_CUT);
    assert_int_equal(read_in_pieces(archive, archive_len + 512, 512), SB_TAR_OK);
    assert_int_equal(read_in_pieces(archive, archive_len + 1024, 512), SB_TAR_OK);
    assert_int_equal(read_in_pieces(archive, archive_len + 1024 + 10240, 512), SB_TAR_OK);
    archive[0] = 'b';
    assert_int_equal(read_in_pieces(archive, archive_len + 1024, 512), SB_TAR_NOT_TAR);
}

/* An extended header with this text, and a file after it. */
static enum sb_tar_result read_meta(const char *text, size_t len)
{
    (void)begin(NULL);
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE, .path = "x", .link = "", .size = len}, "");
    change(archive, 156, "x", 1);
    memcpy(archive + archive_len, text, len);
    archive_len += len + sb_tar_pad(len);
    add(&(struct sb_tar_entry){.kind = SB_TAR_FILE, .path = "after", .link = ""}, "");
    archive_len += SB_TAR_END;
    return read_in_pieces(archive, archive_len, 100);
}

static void extended_headers(void **state)
{
    (void)state;
#define META(text) read_meta(text, sizeof text - 1)
    assert_int_equal(META("9 path=b\n"), SB_TAR_OK);
    assert_non_null(strstr(told, "[0 b(1)"));
    assert_int_equal(META("14 mtime=-1.5\n13 comment=x\n"), SB_TAR_OK);
    assert_non_null(strstr(told, "-2.500000000"));
    assert_int_equal(META("11 path=b\0\n"), SB_TAR_OK);
    assert_non_null(strstr(told, "!3]"));
    assert_int_equal(META("8 path=b\n"), SB_TAR_META);
    assert_int_equal(META("99 path=b\n"), SB_TAR_META);
    assert_int_equal(META("path=b\n"), SB_TAR_META);
    assert_int_equal(META("7 path\n"), SB_TAR_META);
    assert_int_equal(META("9 size=x\n"), SB_TAR_NUMBER);
    assert_int_equal(META("27 size=9999999999999999999\n"), SB_TAR_META);
    assert_int_equal(META("28 size=9999999999999999999\n"), SB_TAR_NUMBER);
    assert_int_equal(META("22 GNU.sparse.major=1\n"), SB_TAR_SPARSE);
    assert_int_equal(META("22 GNU.sparse.major=7\n"), SB_TAR_SPARSE);
    assert_int_equal(META("26 GNU.sparse.map=0,5,3,5\n25 GNU.sparse.realsize=8\n"), SB_TAR_SPARSE);
    assert_int_equal(META("20 GNU.sparse.map=0\n"), SB_TAR_SPARSE);
#undef META
}

/* Whatever byte is wrong, the reader ends, and says the same however it is fed. */
static void damage_never_depends_on_pieces(void **state)
{
    (void)state;
    static const struct sb_tar_part parts[] = {{0, 3}, {4096, 5}};
    const struct sb_tar_entry entry = {
        .kind = SB_TAR_FILE, .path = "sparse", .link = "", .size = 9000, .mode = 0600};
    archive_len = sb_tar_head(&entry, parts, 2, archive);
    archive_len += sb_tar_map(parts, 2, archive + archive_len);
    memcpy(archive + archive_len, "onethree", 8);
    archive_len += 8 + sb_tar_pad(8) + SB_TAR_END;
    srand(5);
    for (int i = 0; i < 3000; i++) {
        static char first[sizeof told];
        size_t at = (size_t)rand() % archive_len;
        char before = archive[at];
        archive[at] = (char)rand();
        enum sb_tar_result result = read_in_pieces(archive, archive_len, 1);
        strcpy(first, told);
        assert_int_equal(read_in_pieces(archive, archive_len, 777), result);
        assert_string_equal(first, told);
        assert_true(strlen(sb_tar_why(result)) > 3);
        archive[at] = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_written_is_read, begin),
        cmocka_unit_test_setup(holes_are_kept, begin),
        cmocka_unit_test_setup(sizes_beyond_octal_digits, begin),
        cmocka_unit_test_setup(what_is_broken_is_told, begin),
        cmocka_unit_test_setup(extended_headers, begin),
        cmocka_unit_test_setup(damage_never_depends_on_pieces, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
