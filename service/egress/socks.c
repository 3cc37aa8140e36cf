#include "service/egress/socks.h"

#include <string.h>

#include "base/err.h"
#include "base/mutate.h"

enum {
    COMMAND_CONNECT = 1,
    TYPE_IPV4 = 1,
    TYPE_NAME = 3,
    TYPE_IPV6 = 4,
    HEAD = 4, /* version, command, reserved, address type */
    PORT = 2,
};

static unsigned byte_at(struct sb_str bytes, size_t at)
{
    return (unsigned char)bytes.ptr[at];
}

int sb_socks_read_greeting(struct sb_str bytes, struct sb_err *err)
{
    if (bytes.len >= 1 && byte_at(bytes, 0) != SB_SOCKS_VERSION) {
        return sb_err_set(err, SB_INVALID, "not SOCKS5");
    }
    if (bytes.len < 2 || bytes.len < 2 + byte_at(bytes, 1)) {
        return 0;
    }
    size_t n = byte_at(bytes, 1);
    if (n == 0 || memchr(bytes.ptr + 2, 0, n) == NULL) {
        return sb_err_set(err, SB_INVALID, "SOCKS5: \"no authentication\" is not offered");
    }
    return (int)(2 + n);
}

/* Bytes of the address, with the length before a name; 0: not known yet; -1: no such type. */
static int address_size(struct sb_str bytes)
{
    switch (byte_at(bytes, 3)) {
    case TYPE_IPV4:
        return 4;
    case TYPE_IPV6:
        return SB_ADDR_SIZE;
    case TYPE_NAME:
        return bytes.len > HEAD ? 1 + (int)byte_at(bytes, HEAD) : 0;
    default:
        return -1;
    }
}

static int
read_address(struct sb_str bytes, size_t size, struct sb_host *ret_host, struct sb_err *err)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sb_host host = {.is_address = true};
    const char *at = bytes.ptr + HEAD;
    char shown[SB_ADDR_TEXT_SIZE];
    if (byte_at(bytes, 3) == TYPE_NAME) {
        return sb_host_parse((struct sb_str){at + 1, size - 1}, false, ret_host, err);
    }
    memcpy(host.address, mapped, sizeof mapped);
    memcpy(host.address + (SB_ADDR_SIZE - size), at, size);
    memcpy(host.name, sb_addr_format(shown, host.address), sizeof shown);
    *ret_host = host;
    return 0;
}

int sb_socks_read_request(struct sb_str bytes,
                          struct sb_socks_request *ret_request,
                          enum sb_socks_reply *ret_reply,
                          struct sb_err *err)
{
    struct sb_socks_request request;
    if (bytes.len < HEAD) {
        return 0;
    }
    *ret_reply = SB_SOCKS_FAILED;
    if (byte_at(bytes, 0) != SB_SOCKS_VERSION || byte_at(bytes, 2) != 0) {
        return sb_err_set(err, SB_INVALID, "SOCKS5: not a request");
    }
    int size = address_size(bytes);
    if (size < 0) {
        *ret_reply = SB_SOCKS_NO_ADDRESS_TYPE;
        return sb_err_set(err, SB_INVALID, "SOCKS5: no such type of address");
    }
    if (byte_at(bytes, 1) != COMMAND_CONNECT && !sb_mutated("egress.socks-command")) {
        *ret_reply = SB_SOCKS_NO_COMMAND;
        return sb_err_set(err, SB_INVALID, "SOCKS5: only CONNECT is taken");
    }
    if (size == 0 || bytes.len < HEAD + (size_t)size + PORT) {
        return 0;
    }
    *ret_reply = SB_SOCKS_NOT_ALLOWED;
    if (read_address(bytes, (size_t)size, &request.host, err) < 0) {
        return -1;
    }
    size_t at = HEAD + (size_t)size;
    request.port = (uint16_t)(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
    if (request.port == 0) {
        return sb_err_set(err, SB_INVALID, "SOCKS5: port 0");
    }
    *ret_request = request;
    return (int)(at + PORT);
}

void sb_socks_make_reply(enum sb_socks_reply reply, unsigned char ret_bytes[SB_SOCKS_REPLY_SIZE])
{
    memset(ret_bytes, 0, SB_SOCKS_REPLY_SIZE); /* bound to 0.0.0.0:0: nobody needs to know */
    ret_bytes[0] = SB_SOCKS_VERSION;
    ret_bytes[1] = (unsigned char)reply;
    ret_bytes[3] = TYPE_IPV4;
}
