/* Which parts of a sparse file are in an archive, in the formats that do not tell it in extended
 * headers: GNU tar's old one, and its 1.0. */
#include <string.h>

#include "base/tar_format.h"

enum sb_tar_result sb_tar_add_part(struct sb_tar_reader *reader, uint64_t offset, uint64_t len)
{
    uint64_t before = 0;
    if (reader->n_parts > 0 && reader->n_parts <= SB_TAR_MAX_READ_PARTS) {
        const struct sb_tar_part *last = &reader->parts[reader->n_parts - 1];
        before = last->offset + last->len;
    }
    if (offset < before || offset > INT64_MAX || len > INT64_MAX - offset) {
        return SB_TAR_SPARSE;
    }
    if (reader->n_parts >= SB_TAR_MAX_READ_PARTS) {
        reader->problem = SB_TAR_TOO_MANY_PARTS;
        return SB_TAR_OK;
    }
    reader->parts[reader->n_parts++] = (struct sb_tar_part){offset, len};
    return SB_TAR_OK;
}

/* ---- the old format: in the header, and in blocks after it ---- */

enum {
    HEAD_PARTS_AT = 386,
    HEAD_N_PARTS = 4,
    HEAD_HAS_MORE_AT = 482,
    HEAD_SIZE_AT = 483,
    MORE_N_PARTS = 21,
    MORE_HAS_MORE_AT = 504,
};

struct old_part {
    char offset[12];
    char len[12];
};

static enum sb_tar_result old_parts(struct sb_tar_reader *reader, const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct old_part part;
        uint64_t offset = 0;
        uint64_t len = 0;
        memcpy(&part, at + i * sizeof part, sizeof part);
        if (part.offset[0] == '\0') {
            break;
        }
        if (sb_tar_size(part.offset, sizeof part.offset, &offset) != SB_TAR_OK ||
            sb_tar_size(part.len, sizeof part.len, &len) != SB_TAR_OK ||
            sb_tar_add_part(reader, offset, len) != SB_TAR_OK) {
            return SB_TAR_SPARSE;
        }
    }
    return SB_TAR_OK;
}

enum sb_tar_result
sb_tar_old_sparse(struct sb_tar_reader *reader, const char *block, int *ret_has_more)
{
    *ret_has_more = block[HEAD_HAS_MORE_AT] != '\0';
    if (sb_tar_size(block + HEAD_SIZE_AT, 12, &reader->entry.size) != SB_TAR_OK) {
        return SB_TAR_SPARSE;
    }
    return old_parts(reader, block + HEAD_PARTS_AT, HEAD_N_PARTS);
}

enum sb_tar_result
sb_tar_old_more(struct sb_tar_reader *reader, const char *block, int *ret_has_more)
{
    *ret_has_more = block[MORE_HAS_MORE_AT] != '\0';
    return old_parts(reader, block, MORE_N_PARTS);
}

/* ---- format 1.0: decimal numbers, a line each, before the data and up to a block ---- */

void sb_tar_map_begin(struct sb_tar_reader *reader)
{
    reader->map_count = 0;
    reader->map_value = 0;
    reader->map_has_digit = 0;
}

/* The first number is how many parts there are; entry.size has the file's size by now. */
static enum sb_tar_result map_number(struct sb_tar_reader *reader)
{
    uint64_t value = reader->map_value;
    size_t count = reader->map_count++;
    reader->map_value = 0;
    reader->map_has_digit = 0;
    if (count == 0) {
        reader->real_size = value;
        return SB_TAR_OK;
    }
    if (count % 2 == 1) {
        reader->size = value;
        return SB_TAR_OK;
    }
    return sb_tar_add_part(reader, reader->size, value);
}

static enum sb_tar_result map_byte(struct sb_tar_reader *reader, char byte)
{
    unsigned digit = (unsigned char)byte - (unsigned)'0';
    if (byte == '\n' && reader->map_has_digit) {
        return map_number(reader);
    }
    if (digit > 9 || reader->map_value > ((uint64_t)INT64_MAX - digit) / 10) {
        return SB_TAR_SPARSE;
    }
    reader->map_value = reader->map_value * 10 + digit;
    reader->map_has_digit = 1;
    return SB_TAR_OK;
}

/* What follows, up to a block, is zeros. */
static int has_all_numbers(const struct sb_tar_reader *reader)
{
    return reader->map_count > 0 && reader->map_count % 2 == 1 &&
           reader->map_count / 2 >= reader->real_size;
}

int sb_tar_map_is_whole(const struct sb_tar_reader *reader)
{
    return has_all_numbers(reader) && reader->position % SB_TAR_BLOCK == 0;
}

enum sb_tar_result
sb_tar_map_take(struct sb_tar_reader *reader, const char *bytes, size_t len, size_t *ret_taken)
{
    enum sb_tar_result result = SB_TAR_OK;
    size_t i = 0;
    while (i < len && result == SB_TAR_OK && reader->left > 0 && !sb_tar_map_is_whole(reader)) {
        if (!has_all_numbers(reader)) {
            result = map_byte(reader, bytes[i]);
        }
        reader->left--;
        reader->position++;
        i++;
    }
    *ret_taken = i;
    int is_cut = reader->left == 0 && !sb_tar_map_is_whole(reader);
    return is_cut ? SB_TAR_SPARSE : result;
}
