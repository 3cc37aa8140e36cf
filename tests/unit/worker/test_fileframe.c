/** What file helpers say, and pages of lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/fileframe.h"
#include "service/worker/filepage.h"

struct packet {
    struct sb_file_info info;
    char text[64];
    size_t len;
};

static struct packet info_packet(const char *path, const char *link, uint32_t kind)
{
    struct packet packet = {.info = {.type = SB_FILE_INFO, .kind = kind, .mode = 0644}};
    packet.info.path_len = (uint16_t)strlen(path);
    packet.info.link_len = (uint16_t)strlen(link);
    memcpy(packet.text, path, strlen(path));
    memcpy(packet.text + strlen(path), link, strlen(link));
    packet.len = sizeof packet.info + strlen(path) + strlen(link);
    return packet;
}

static int read_it(const struct packet *packet, struct sb_fileframe *frame)
{
    struct sb_err err;
    return sb_fileframe_read(packet, packet->len, frame, &err);
}

static void reads_what_is_known_of_a_file(void **state)
{
    (void)state;
    struct sb_fileframe frame;
    struct packet packet = info_packet("a/b", "../t", SB_FILE_KIND_SYMLINK);
    assert_int_equal(read_it(&packet, &frame), 0);
    assert_int_equal(frame.type, SB_FILE_INFO);
    assert_true(sb_str_eq(frame.path, SB_STR("a/b")));
    assert_true(sb_str_eq(frame.link, SB_STR("../t")));
}

static void refuses_paths_that_are_not_below(void **state)
{
    (void)state;
    static const char *const bad[] = {"/a", "..", "a/..", "a//b", "a/", "./a", "a/../b"};
    struct sb_fileframe frame;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct packet packet = info_packet(bad[i], "", SB_FILE_KIND_REGULAR);
        assert_int_equal(read_it(&packet, &frame), -1);
    }
}

static void refuses_numbers_that_mean_nothing(void **state)
{
    (void)state;
    struct sb_fileframe frame;
    struct packet packet = info_packet("a", "", SB_FILE_KIND_SPECIAL + 1);
    assert_int_equal(read_it(&packet, &frame), -1);
    packet = info_packet("a", "link", SB_FILE_KIND_REGULAR);
    assert_int_equal(read_it(&packet, &frame), -1);
    packet = info_packet("a", "", SB_FILE_KIND_REGULAR);
    packet.info.mode = 04755;
    assert_int_equal(read_it(&packet, &frame), -1);
    packet = info_packet("a", "", SB_FILE_KIND_REGULAR);
    packet.info.path_len = 2;
    assert_int_equal(read_it(&packet, &frame), -1);
}

static void refuses_what_only_the_worker_says(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_fileframe frame;
    const struct sb_file_head commit = {SB_FILE_COMMIT};
    const struct sb_file_head data = {SB_FILE_DATA};
    const struct sb_file_failed failed = {SB_FILE_FAILED, 0, 0, 0};
    const struct sb_file_failed why = {SB_FILE_FAILED, 1, SB_FILE_WHYS, 0};
    assert_int_equal(sb_fileframe_read(&commit, sizeof commit, &frame, &err), -1);
    assert_int_equal(sb_fileframe_read(&data, sizeof data, &frame, &err), -1);
    assert_int_equal(sb_fileframe_read(&failed, sizeof failed, &frame, &err), -1);
    assert_int_equal(sb_fileframe_read(&why, sizeof why, &frame, &err), -1);
    assert_int_equal(sb_fileframe_read("", 0, &frame, &err), -1);
}

static int read_bytes(const void *head,
                      size_t head_len,
                      const char *rest,
                      size_t rest_len,
                      struct sb_fileframe *frame)
{
    static char packet[8192]; /* the frame's texts lie in it */
    struct sb_err err;
    memcpy(packet, head, head_len);
    memcpy(packet + head_len, rest, rest_len);
    return sb_fileframe_read(packet, head_len + rest_len, frame, &err);
}

static void reads_what_a_search_and_a_watch_tell(void **state)
{
    (void)state;
    struct sb_fileframe frame;
    struct sb_file_match match = {SB_FILE_MATCH, 3, 4, 12};
    struct sb_file_event event = {SB_FILE_EVENT, SB_FILE_EVENT_OVERFLOW};
    assert_int_equal(read_bytes(&match, sizeof match, "a/bline", 7, &frame), 0);
    assert_true(sb_str_eq(frame.path, SB_STR("a/b")) && sb_str_eq(frame.data, SB_STR("line")));
    assert_int_equal(read_bytes(&match, sizeof match, "../line", 7, &frame), -1);
    assert_int_equal(read_bytes(&match, sizeof match, "a/blin", 6, &frame), -1);
    match.line = 0;
    assert_int_equal(read_bytes(&match, sizeof match, "a/bline", 7, &frame), -1);
    assert_int_equal(read_bytes(&event, sizeof event, "", 0, &frame), 0);
    assert_int_equal(read_bytes(&event, sizeof event, "/a", 2, &frame), -1);
    event.kind++;
    assert_int_equal(read_bytes(&event, sizeof event, "", 0, &frame), -1);
}

static void what_was_refused_has_any_path(void **state)
{
    (void)state;
    char longest[SB_FILE_MAX_PATH];
    struct sb_fileframe frame;
    const struct sb_file_failed refused = {SB_FILE_REFUSED, 22, SB_FILE_WHY_ABSOLUTE, 0};
    memset(longest, 'x', sizeof longest);
    assert_int_equal(read_bytes(&refused, sizeof refused, "/../x", 5, &frame), 0);
    assert_true(sb_str_eq(frame.path, SB_STR("/../x")));
    assert_int_equal(read_bytes(&refused, sizeof refused, "a\0b", 3, &frame), -1);
    assert_int_equal(read_bytes(&refused, sizeof refused, longest, sizeof longest, &frame), -1);
    assert_int_equal(read_bytes(&refused, sizeof refused, longest, sizeof longest - 1, &frame), 0);
}

static void add(struct sb_filepage *page, const char *path)
{
    static const struct sb_file_info info = {.kind = SB_FILE_KIND_REGULAR};
    assert_true(sb_filepage_add(page, &info, sb_str_from(path), SB_STR("")));
}

static void a_page_keeps_the_first_by_path(void **state)
{
    (void)state;
    struct sb_filepage page;
    assert_true(sb_filepage_init(&page, 3, 1 << 20));
    static const char *const paths[] = {"m", "c", "z", "a", "b", "y", "aa"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        add(&page, paths[i]);
    }
    sb_filepage_sort(&page);
    assert_int_equal(page.n, 3);
    assert_true(page.has_more);
    assert_true(sb_str_eq(page.items[0]->path, SB_STR("a")));
    assert_true(sb_str_eq(page.items[1]->path, SB_STR("aa")));
    assert_true(sb_str_eq(page.items[2]->path, SB_STR("b")));
    sb_filepage_done(&page);
}

/* Room that is there again must not be filled with what comes after what was put out. */
static void a_page_has_no_holes(void **state)
{
    (void)state;
    struct sb_filepage page;
    char longest[400];
    memset(longest, 'c', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_true(sb_filepage_init(&page, 100, 1500));
    add(&page, longest);
    add(&page, "a");
    add(&page, "b");
    add(&page, "d");
    sb_filepage_sort(&page);
    assert_int_equal(page.n, 2);
    assert_true(page.has_more);
    assert_true(sb_str_eq(page.items[1]->path, SB_STR("b")));
    sb_filepage_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_known_of_a_file),
        cmocka_unit_test(refuses_paths_that_are_not_below),
        cmocka_unit_test(reads_what_a_search_and_a_watch_tell),
        cmocka_unit_test(what_was_refused_has_any_path),
        cmocka_unit_test(refuses_numbers_that_mean_nothing),
        cmocka_unit_test(refuses_what_only_the_worker_says),
        cmocka_unit_test(a_page_keeps_the_first_by_path),
        cmocka_unit_test(a_page_has_no_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
