#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/err.h"

static const char *block_of(const char *text)
{
    unsigned char address[SB_ADDR_SIZE];
    assert_true(sb_addr_parse(sb_str_from(text), address));
    const struct sb_addr_block *block = sb_addr_block_of(address);
    return block == NULL ? "" : block->name;
}

static void names_the_narrowest_block(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *block;
    } rows[] = {
        {"8.8.8.8", ""},
        {"11.0.0.0", ""},
        {"172.15.255.255", ""},
        {"172.32.0.0", ""},
        {"100.63.255.255", ""},
        {"223.255.255.255", ""},
        {"2606:4700::1111", ""},
        {"2001:200::1", ""},
        {"0.0.0.0", "the unspecified address"},
        {"0.255.255.255", "the unspecified address"},
        {"10.255.255.255", "a private address"},
        {"172.16.0.0", "a private address"},
        {"172.31.255.255", "a private address"},
        {"192.168.0.1", "a private address"},
        {"100.127.255.255", "a carrier's private address"},
        {"127.255.255.254", "a loopback address"},
        {"169.254.0.1", "a link-local address"},
        {"169.254.169.254", "a metadata service"},
        {"198.19.255.255", "an address for measurements"},
        {"203.0.113.9", "an address for documentation"},
        {"239.1.2.3", "a multicast address"},
        {"255.255.255.254", "a reserved address"},
        {"255.255.255.255", "the broadcast address"},
        {"::ffff:127.0.0.1", "a loopback address"},
        {"::ffff:8.8.8.8", ""},
        {"::", "the unspecified address"},
        {"::1", "the loopback address"},
        {"::2", "an IPv4-compatible address"},
        {"::8.8.8.8", "an IPv4-compatible address"},
        {"::ffff:0:8.8.8.8", "an IPv4-translated address"},
        {"64:ff9b::1", "a NAT64 address"},
        {"64:ff9b:1:ffff::1", "a NAT64 address"},
        {"64:ff9b:2::1", "an address that is not assigned"},
        {"2001::1", "a Teredo address"},
        {"2001:db8::1", "an address for documentation"},
        {"2002::1", "a 6to4 address"},
        {"fc00::1", "a private address"},
        {"fd00:ec2::254", "a metadata service"},
        {"fe80::1", "a link-local address"},
        {"fec0::1", "a site-local address"},
        {"ff02::1", "a multicast address"},
        {"4000::1", "an address that is not assigned"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(block_of(rows[i].text), rows[i].block) != 0) {
            fail_msg("%s: \"%s\", wanted \"%s\"", rows[i].text, block_of(rows[i].text),
                     rows[i].block);
        }
    }
}

static void reads_only_the_usual_forms(void **state)
{
    (void)state;
    static const char *const refused[] = {"",         "1",          "127.1",      "1.2.3",
                                          "01.2.3.4", "1.2.3.0x4",  "1.2.3.4.",   "1.2.3.256",
                                          " 1.2.3.4", "1.2.3.4/32", "[::1]",      "fe80::1%lo",
                                          "::g",      "1::2::3",    "2130706433", "1.2.3.4 "};
    unsigned char address[SB_ADDR_SIZE];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (sb_addr_parse(sb_str_from(refused[i]), address)) {
            fail_msg("took \"%s\"", refused[i]);
        }
    }
}

static void unwraps_what_only_wraps(void **state)
{
    (void)state;
    unsigned char address[SB_ADDR_SIZE];
    unsigned char inner[SB_ADDR_SIZE];
    char shown[SB_ADDR_TEXT_SIZE];
    assert_true(sb_addr_parse(SB_STR("64:ff9b::10.1.2.3"), address));
    assert_true(sb_addr_unwrap(address, inner));
    assert_string_equal(sb_addr_format(shown, inner), "10.1.2.3");
    assert_true(sb_addr_parse(SB_STR("2606:4700::1"), address));
    assert_false(sb_addr_unwrap(address, inner));
}

static void shows_mapped_addresses_as_ipv4(void **state)
{
    (void)state;
    unsigned char address[SB_ADDR_SIZE];
    char shown[SB_ADDR_TEXT_SIZE];
    assert_true(sb_addr_parse(SB_STR("::FFFF:7f00:1"), address));
    assert_string_equal(sb_addr_format(shown, address), "127.0.0.1");
    assert_true(sb_addr_parse(SB_STR("2001:DB8:0::1"), address));
    assert_string_equal(sb_addr_format(shown, address), "2001:db8::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_narrowest_block),
        cmocka_unit_test(reads_only_the_usual_forms),
        cmocka_unit_test(unwraps_what_only_wraps),
        cmocka_unit_test(shows_mapped_addresses_as_ipv4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
