/* What the fields of a header say, apart from what came before it. */
#include <string.h>

#include "base/tar_format.h"

/* Octal digits between blanks, or from a first byte with its highest bit on, base 256. */
enum sb_tar_result sb_tar_number(const char *field, size_t size, int64_t *ret_number)
{
    uint64_t value = 0;
    size_t i = 0;
    if (((unsigned char)field[0] & 0x80) != 0) {
        int is_negative = ((unsigned char)field[0] & 0x40) != 0;
        value = is_negative ? ~0ULL : 0;
        value = value << 6 | ((unsigned char)field[0] & 0x3F);
        for (i = 1; i < size; i++) {
            if (value >> 55 != (is_negative ? 0x1FFU : 0U)) {
                return SB_TAR_NUMBER;
            }
            value = value << 8 | (unsigned char)field[i];
        }
        *ret_number = (int64_t)value;
        return SB_TAR_OK;
    }
    while (i < size && field[i] == ' ') {
        i++;
    }
    for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
        value = value << 3 | (uint64_t)(field[i] - '0'); /* at most 12 digits: 36 bits */
    }
    if (i < size && field[i] != ' ' && field[i] != '\0') {
        return SB_TAR_NUMBER;
    }
    *ret_number = (int64_t)value;
    return SB_TAR_OK;
}

enum sb_tar_result sb_tar_size(const char *field, size_t size, uint64_t *ret_size)
{
    int64_t value = 0;
    if (sb_tar_number(field, size, &value) != SB_TAR_OK || value < 0) {
        return SB_TAR_NUMBER;
    }
    *ret_size = (uint64_t)value;
    return SB_TAR_OK;
}

int sb_tar_is_zero(const char *block)
{
    for (size_t i = 0; i < SB_TAR_BLOCK; i++) {
        if (block[i] != 0) {
            return 0;
        }
    }
    return 1;
}

/* Some old programs summed signed bytes. */
int sb_tar_has_sum(const struct sb_tar_header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    int64_t said = 0;
    int64_t sum = 0;
    int64_t signed_sum = 0;
    for (size_t i = 0; i < sizeof *header; i++) {
        size_t at = (size_t)(header->checksum - header->name);
        unsigned char byte = i >= at && i < at + sizeof header->checksum ? ' ' : bytes[i];
        sum += byte;
        signed_sum += (signed char)byte;
    }
    return sb_tar_number(header->checksum, sizeof header->checksum, &said) == SB_TAR_OK &&
           (said == sum || said == signed_sum);
}

static int begins_with(const char *bytes, const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && bytes[i] == text[i]) {
        i++;
    }
    return i == len;
}

enum sb_tar_result sb_tar_what_else(const char *block)
{
    static const struct {
        const char *bytes;
        size_t len;
    } compressed[] = {{"\x1f\x8b", 2},
                      {"BZh", 3},
                      {"\xfd"
                       "7zXZ",
                       5},
                      {"\x28\xb5\x2f\xfd", 4},
                      {"PK\3\4", 4},
                      {"LZIP", 4}};
    for (size_t i = 0; i < sizeof compressed / sizeof *compressed; i++) {
        if (begins_with(block, compressed[i].bytes, compressed[i].len)) {
            return SB_TAR_COMPRESSED;
        }
    }
    return SB_TAR_NOT_TAR;
}

size_t sb_tar_field_len(const char *field, size_t size)
{
    size_t n = 0;
    while (n < size && field[n] != '\0') {
        n++;
    }
    return n;
}

void sb_tar_text(const char *field, size_t size, char *ret_text)
{
    size_t len = sb_tar_field_len(field, size);
    memcpy(ret_text, field, len);
    ret_text[len] = '\0';
}

void sb_tar_name(const struct sb_tar_header *header, char *ret_name)
{
    if (header->prefix[0] != '\0' && begins_with(header->magic, SB_TAR_MAGIC, 6)) {
        sb_tar_text(header->prefix, sizeof header->prefix, ret_name);
        ret_name += sb_tar_len(ret_name);
        *ret_name++ = '/';
    }
    sb_tar_text(header->name, sizeof header->name, ret_name);
}

enum sb_tar_kind sb_tar_kind(char type, const char *path)
{
    static const struct {
        char type;
        enum sb_tar_kind kind;
    } kinds[] = {
        {'\0', SB_TAR_FILE},
        {'0', SB_TAR_FILE},
        {'1', SB_TAR_HARDLINK},
        {'2', SB_TAR_SYMLINK},
        {'3', SB_TAR_CHAR},
        {'4', SB_TAR_BLOCK_DEVICE},
        {'5', SB_TAR_DIR},
        {'6', SB_TAR_FIFO},
        {'7', SB_TAR_FILE}, /* contiguous */
        {SB_TAR_OLD_SPARSE, SB_TAR_FILE},
    };
    size_t len = sb_tar_len(path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (type == kinds[i].type) {
            /* v7 has no type for directories. */
            int is_dir = kinds[i].kind == SB_TAR_FILE && type != SB_TAR_OLD_SPARSE && len > 0 &&
                         path[len - 1] == '/';
            return is_dir ? SB_TAR_DIR : kinds[i].kind;
        }
    }
    return SB_TAR_OTHER;
}
