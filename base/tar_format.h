#pragma once
/** Private to base/tar_*.c: what a block of tar looks like. */
#include "base/tar.h"

enum {
    SB_TAR_NAME = 100,
    SB_TAR_DIGITS = 21,      /* of a number of 64 bits, with its NUL */
    SB_TAR_OLD_SPARSE = 'S', /* the type of a file whose header has a list of parts */
};
#define SB_TAR_MAX_OCTAL8  07777777ULL
#define SB_TAR_MAX_OCTAL12 077777777777ULL
#define SB_TAR_MAGIC       "ustar\00000"

struct sb_tar_header {
    char name[SB_TAR_NAME];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[SB_TAR_NAME];
    char magic[8]; /* with the version */
    char user[32];
    char group[32];
    char device[16];
    char prefix[155];
    char rest[12];
};
_Static_assert(sizeof(struct sb_tar_header) == SB_TAR_BLOCK, "a header is a block");

static inline size_t sb_tar_len(const char *text)
{
    size_t n = 0;
    while (text[n] != '\0') {
        n++;
    }
    return n;
}

/* How many bytes follow this first one of a character; -1: none begins so. */
static inline int sb_tar_utf8_tail(unsigned char lead)
{
    return lead < 0x80   ? 0
           : lead < 0xC2 ? -1
           : lead < 0xE0 ? 1
           : lead < 0xF0 ? 2
           : lead < 0xF5 ? 3
                         : -1;
}

static inline int sb_tar_is_utf8(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        unsigned char lead = *at;
        int tail = sb_tar_utf8_tail(lead);
        if (tail < 0 || (lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F) ||
            (lead == 0xF0 && at[1] < 0x90) || (lead == 0xF4 && at[1] > 0x8F)) {
            return 0;
        }
        for (; tail > 0; tail--) {
            if ((*++at & 0xC0) != 0x80) {
                return 0;
            }
        }
    }
    return 1;
}

/* ---- tar_header.c: what the fields of a header say. They have no NUL where they are full. ---- */

/* Octal digits between blanks, or base 256; SB_TAR_NUMBER: neither, or beyond 64 bits. */
enum sb_tar_result sb_tar_number(const char *field, size_t size, int64_t *ret_number);
/* A number that is not negative. */
enum sb_tar_result sb_tar_size(const char *field, size_t size, uint64_t *ret_size);
size_t sb_tar_field_len(const char *field, size_t size);
/* @ret_text  size + 1 bytes. */
void sb_tar_text(const char *field, size_t size, char *ret_text);
int sb_tar_is_zero(const char *block);
int sb_tar_has_sum(const struct sb_tar_header *header);
/* Why a first block is no header: SB_TAR_COMPRESSED, or SB_TAR_NOT_TAR. */
enum sb_tar_result sb_tar_what_else(const char *block);
/* @ret_name  of SB_TAR_MAX_PATH bytes; "" where there is none. */
void sb_tar_name(const struct sb_tar_header *header, char *ret_name);
/* @path  the entry's: of files before ustar only a "/" at its end tells that it is a directory. */
enum sb_tar_kind sb_tar_kind(char type, const char *path);

/* ---- tar_meta.c ---- */

/* Puts what an extended header says into the reader. */
enum sb_tar_result sb_tar_meta_read(struct sb_tar_reader *reader);

/* ---- tar_sparse.c: SB_TAR_SPARSE where a list is broken ---- */

/* Appends a part, which must come after those there are. Beyond SB_TAR_MAX_READ_PARTS the entry has
 * a problem. */
enum sb_tar_result sb_tar_add_part(struct sb_tar_reader *reader, uint64_t offset, uint64_t len);
/* Size and parts of an old sparse file, of its header, or of a block after it.
 * @ret_has_more  another block of them follows. */
enum sb_tar_result
sb_tar_old_sparse(struct sb_tar_reader *reader, const char *block, int *ret_has_more);
enum sb_tar_result
sb_tar_old_more(struct sb_tar_reader *reader, const char *block, int *ret_has_more);
/* The list before the data of a file. */
void sb_tar_map_begin(struct sb_tar_reader *reader);
enum sb_tar_result
sb_tar_map_take(struct sb_tar_reader *reader, const char *bytes, size_t len, size_t *ret_taken);
int sb_tar_map_is_whole(const struct sb_tar_reader *reader);
