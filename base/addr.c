#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define V4(a, b, c, d)                                                                             \
    {                                                                                              \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d                                       \
    }
#define V4_BITS(n) (96 + (n))
#define V6(...)                                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* IANA's registries of special-purpose addresses, and the metadata services of clouds. Of blocks
 * that hold an address the narrowest counts. */
static const struct sb_addr_block blocks[] = {
    {"the unspecified address", V4(0, 0, 0, 0), V4_BITS(8), true, false},
    {"a private address", V4(10, 0, 0, 0), V4_BITS(8), false, false},
    {"a carrier's private address", V4(100, 64, 0, 0), V4_BITS(10), false, false},
    {"a metadata service", V4(100, 100, 100, 200), V4_BITS(32), false, false},
    {"a loopback address", V4(127, 0, 0, 0), V4_BITS(8), false, false},
    {"a link-local address", V4(169, 254, 0, 0), V4_BITS(16), false, false},
    {"a metadata service", V4(169, 254, 169, 254), V4_BITS(32), false, false},
    {"a metadata service", V4(169, 254, 170, 2), V4_BITS(32), false, false},
    {"a private address", V4(172, 16, 0, 0), V4_BITS(12), false, false},
    {"a reserved address", V4(192, 0, 0, 0), V4_BITS(24), false, false},
    {"a metadata service", V4(192, 0, 0, 192), V4_BITS(32), false, false},
    {"an address for documentation", V4(192, 0, 2, 0), V4_BITS(24), false, false},
    {"a 6to4 relay", V4(192, 88, 99, 0), V4_BITS(24), false, false},
    {"a private address", V4(192, 168, 0, 0), V4_BITS(16), false, false},
    {"an address for measurements", V4(198, 18, 0, 0), V4_BITS(15), false, false},
    {"an address for documentation", V4(198, 51, 100, 0), V4_BITS(24), false, false},
    {"an address for documentation", V4(203, 0, 113, 0), V4_BITS(24), false, false},
    {"a multicast address", V4(224, 0, 0, 0), V4_BITS(4), true, false},
    {"a reserved address", V4(240, 0, 0, 0), V4_BITS(4), false, false},
    {"the broadcast address", V4(255, 255, 255, 255), V4_BITS(32), true, false},
    {"an IPv4-compatible address", V6(0), 96, true, false},
    {"the unspecified address", V6(0), 128, true, false},
    {"the loopback address", V6([15] = 1), 128, false, false},
    {"an IPv4-translated address", V6([8] = 0xff, [9] = 0xff), 96, true, false},
    {"a NAT64 address", V6(0x00, 0x64, 0xff, 0x9b), 96, false, true},
    {"a NAT64 address", V6(0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), 48, false, false},
    {"an address that is discarded", V6(0x01), 64, true, false},
    {"a reserved address", V6(0x20, 0x01), 23, false, false},
    {"a Teredo address", V6(0x20, 0x01), 32, false, false},
    {"an address for documentation", V6(0x20, 0x01, 0x0d, 0xb8), 32, false, false},
    {"a 6to4 address", V6(0x20, 0x02), 16, false, false},
    {"an address for documentation", V6(0x3f, 0xff), 20, false, false},
    {"a segment routing address", V6(0x5f, 0x00), 16, false, false},
    {"a private address", V6(0xfc), 7, false, false},
    {"a metadata service", V6(0xfd, 0x00, 0x0e, 0xc2, [15] = 0x54), 112, false, false},
    {"a metadata service", V6(0xfd, 0x20, 0x00, 0xce, [15] = 0x54), 128, false, false},
    {"a link-local address", V6(0xfe, 0x80), 10, false, false},
    {"a site-local address", V6(0xfe, 0xc0), 10, false, false},
    {"a multicast address", V6(0xff), 8, true, false},
};

/* What no row names is public only in 2000::/3 and ::ffff:0:0/96. */
static const struct sb_addr_block unassigned = {"an address that is not assigned", V6(0), 0, false,
                                                false};
static const unsigned char mapped[SB_ADDR_SIZE] = V4(0, 0, 0, 0);

bool sb_addr_same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned bytes = bits / 8;
    if (memcmp(a, b, bytes) != 0) {
        return false;
    }
    return bits % 8 == 0 || ((a[bytes] ^ b[bytes]) & (0xff00U >> (bits % 8)) & 0xffU) == 0;
}

static bool is_v4(const unsigned char address[SB_ADDR_SIZE])
{
    return sb_addr_same_prefix(address, mapped, 96);
}

const struct sb_addr_block *sb_addr_block_around(const unsigned char address[SB_ADDR_SIZE],
                                                 unsigned bits)
{
    const struct sb_addr_block *found = NULL;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (blocks[i].prefix <= bits &&
            sb_addr_same_prefix(address, blocks[i].base, blocks[i].prefix) &&
            (found == NULL || blocks[i].prefix > found->prefix)) {
            found = &blocks[i];
        }
    }
    bool is_public = bits >= 96 ? is_v4(address) : false;
    is_public = is_public || bits < 3 || (address[0] & 0xe0) == 0x20;
    return found == NULL && !is_public ? &unassigned : found;
}

const struct sb_addr_block *sb_addr_block_of(const unsigned char address[SB_ADDR_SIZE])
{
    return sb_addr_block_around(address, 128);
}

bool sb_addr_unwrap(const unsigned char address[SB_ADDR_SIZE],
                    unsigned char ret_inner[SB_ADDR_SIZE])
{
    const struct sb_addr_block *block = sb_addr_block_of(address);
    if (block == NULL || !block->is_embedded) {
        return false;
    }
    unsigned char inner[SB_ADDR_SIZE];
    memcpy(inner, mapped, 12);
    memcpy(inner + 12, address + 12, 4);
    memcpy(ret_inner, inner, sizeof inner);
    return true;
}

bool sb_addr_parse(struct sb_str text, unsigned char ret_address[SB_ADDR_SIZE])
{
    char buf[INET6_ADDRSTRLEN];
    unsigned char address[SB_ADDR_SIZE];
    if (text.len == 0 || text.len >= sizeof buf || sb_str_has_nul(text)) {
        return false;
    }
    memcpy(buf, text.ptr, text.len);
    buf[text.len] = '\0';
    if (inet_pton(AF_INET, buf, address + 12) == 1) { /* refuses short, octal and hex forms */
        memcpy(address, mapped, 12);
    } else if (inet_pton(AF_INET6, buf, address) != 1) {
        return false;
    }
    memcpy(ret_address, address, sizeof address);
    return true;
}

const char *sb_addr_format(char out[SB_ADDR_TEXT_SIZE], const unsigned char address[SB_ADDR_SIZE])
{
    bool v4 = is_v4(address);
    (void)inet_ntop(v4 ? AF_INET : AF_INET6, address + (v4 ? 12 : 0), out, SB_ADDR_TEXT_SIZE);
    return out;
}

bool sb_addr_from_socket(const struct sockaddr *from, unsigned char ret_address[SB_ADDR_SIZE])
{
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        memcpy(ret_address, mapped, 12);
        memcpy(ret_address + 12, &v4.sin_addr, 4);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        memcpy(ret_address, &v6.sin6_addr, SB_ADDR_SIZE);
        return true;
    }
    return false;
}

unsigned sb_addr_to_socket(const unsigned char address[SB_ADDR_SIZE],
                           uint16_t port,
                           struct sockaddr_storage *ret_to)
{
    memset(ret_to, 0, sizeof *ret_to);
    if (is_v4(address)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&v4.sin_addr, address + 12, 4);
        memcpy(ret_to, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&v6.sin6_addr, address, SB_ADDR_SIZE);
    memcpy(ret_to, &v6, sizeof v6);
    return sizeof v6;
}
