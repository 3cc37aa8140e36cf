/* Records as a kernel wrote them, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/worker/audit_record.h"

#define HEAD "audit(1795725764.591:7): "

static bool read_one(unsigned type, const char *text, struct sb_audit_record *record)
{
    return sb_audit_record_read(type, sb_str_from(text), record);
}

static void reads_what_was_denied(void **state)
{
    (void)state;
    struct sb_audit_record record;
    assert_true(read_one(SB_AUDIT_ACCESS,
                         HEAD "domain=190a8a2dd blockers=fs.remove_file,fs.refer path=\"/proc\" "
                              "dev=\"proc\" ino=1",
                         &record));
    assert_int_equal(record.type, SB_AUDIT_ACCESS);
    assert_int_equal(record.domain, 0x190a8a2dd);
    assert_string_equal(record.blockers, "fs.remove_file,fs.refer");
    assert_string_equal(record.path, "/proc");
}

static void reads_who_put_the_wall_up(void **state)
{
    (void)state;
    struct sb_audit_record record;
    assert_true(read_one(SB_AUDIT_DOMAIN,
                         HEAD "domain=190a8a2dd status=allocated mode=enforcing pid=222 "
                              "uid=1879050217 exe=\"/opt/aisbx/aisbx-spawner\" comm=61203D62",
                         &record));
    assert_int_equal(record.domain, 0x190a8a2dd);
    assert_int_equal(record.pid, 222);
    assert_int_equal(record.uid, 1879050217);
}

/* What a program may have in a name, the kernel writes in digits: nothing of it is a member. */
static void what_a_program_named_is_shown_safely(void **state)
{
    (void)state;
    struct sb_audit_record record;
    assert_true(read_one(SB_AUDIT_ACCESS,
                         HEAD "domain=1 blockers=fs.read_file path=2F6120646F6D61696E3D320A1B5BFF",
                         &record));
    assert_int_equal(record.domain, 1);
    assert_string_equal(record.path, "/a domain=2\xef\xbf\xbd\xef\xbf\xbd[\xef\xbf\xbd");
}

static void a_long_path_is_cut(void **state)
{
    (void)state;
    static char text[9000] = HEAD "domain=1 blockers=fs.read_file path=";
    struct sb_audit_record record;
    size_t n = strlen(text);
    while (n < sizeof text - 3) {
        text[n++] = '4';
        text[n++] = '1';
    }
    assert_true(read_one(SB_AUDIT_ACCESS, text, &record));
    assert_int_equal(strlen(record.path), SB_AUDIT_PATH_SIZE - 1);
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        const char *text;
    } rows[] = {
        {SB_AUDIT_ACCESS, ""},
        {SB_AUDIT_ACCESS, "domain=1 blockers=fs.read_file path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD},
        {SB_AUDIT_ACCESS, HEAD "domain=0 blockers=fs.read_file path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=12345678123456781 blockers=fs.read_file path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=1g blockers=fs.read_file path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=\"1\" blockers=fs.read_file path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=1 domain=2 blockers=fs.read_file path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file path=\"/x"},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file path=\"/x\"y"},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file path=2F6"},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file path=2F6x"},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file path="},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file"},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.\x1b[ path=\"/x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=scope.signal opid=7 ocomm=\"x\""},
        {SB_AUDIT_ACCESS, HEAD "domain=1 blockers=fs.read_file path=\"/x\" junk"},
        {SB_AUDIT_DOMAIN, HEAD "domain=1 status=deallocated denials=3"},
        {SB_AUDIT_DOMAIN, HEAD "domain=1 status=allocated pid=-1 uid=0"},
        {SB_AUDIT_DOMAIN, HEAD "domain=1 status=allocated pid=7"},
        {SB_AUDIT_DOMAIN, HEAD "domain=1 status=allocated pid=7 uid=4294967296"},
        {1400, HEAD "domain=1 blockers=fs.read_file path=\"/x\""},
    };
    struct sb_audit_record record;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (read_one(rows[i].type, rows[i].text, &record)) {
            fail_msg("taken: %s", rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_denied),
        cmocka_unit_test(reads_who_put_the_wall_up),
        cmocka_unit_test(what_a_program_named_is_shown_safely),
        cmocka_unit_test(a_long_path_is_cut),
        cmocka_unit_test(what_is_no_record_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
