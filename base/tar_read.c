#include <string.h>

#include "base/tar_format.h"

enum state {
    HEAD, /* a header, or zeros */
    META, /* data of an extended header, or of a long name */
    MORE, /* blocks with further parts of an old sparse file */
    MAP,  /* the list of parts that a sparse file's data begins with */
    DATA,
    PASS,  /* data that nobody wants */
    PAD,   /* to the end of a block */
    ENDED, /* after the end mark */
};

enum { PERMISSIONS = 07777 };

static enum sb_tar_result fail(struct sb_tar_reader *reader, enum sb_tar_result result)
{
    if (reader->result == SB_TAR_OK) {
        reader->result = result;
    }
    return reader->result;
}

/* ---- names ---- */

static void names(struct sb_tar_reader *reader, const struct sb_tar_header *header)
{
    if (!reader->has_path) {
        sb_tar_name(header, reader->path);
    }
    if (!reader->has_link) {
        sb_tar_text(header->link, sizeof header->link, reader->link);
    }
    if (reader->path[0] == '\0' && reader->problem == SB_TAR_FINE) {
        reader->problem = SB_TAR_NAME_MISSING;
    }
}

/* ---- entries ---- */

static enum sb_tar_result done(struct sb_tar_reader *reader)
{
    if (!reader->is_passed_over && reader->sink->end(reader->ctx) != 0) {
        return fail(reader, SB_TAR_STOPPED);
    }
    reader->problem = SB_TAR_FINE;
    reader->has_path = reader->has_link = reader->has_size = 0;
    reader->has_mtime = reader->has_real_size = 0;
    reader->sparse_major = reader->sparse_minor = -1;
    reader->n_parts = 0;
    reader->part = 0;
    reader->part_done = 0;
    return SB_TAR_OK;
}

/* What is after data, which must be whole. */
static enum sb_tar_result data_over(struct sb_tar_reader *reader)
{
    if (reader->state == DATA) {
        while (reader->part < reader->n_parts && reader->parts[reader->part].len == 0) {
            reader->part++;
        }
        if (reader->part < reader->n_parts) {
            return fail(reader, SB_TAR_SPARSE);
        }
    }
    reader->state = PAD;
    return done(reader);
}

static enum sb_tar_result begin_data(struct sb_tar_reader *reader)
{
    int is_file = reader->entry.kind == SB_TAR_FILE;
    uint64_t end = 0;
    if (reader->n_parts > 0) {
        const struct sb_tar_part *last = &reader->parts[reader->n_parts - 1];
        end = last->offset + last->len;
    }
    if (end > reader->entry.size && reader->problem == SB_TAR_FINE) {
        return fail(reader, SB_TAR_SPARSE);
    }
    reader->entry.problem = reader->problem;
    int wanted = reader->sink->entry(reader->ctx, &reader->entry);
    if (wanted < 0) {
        return fail(reader, SB_TAR_STOPPED);
    }
    reader->is_passed_over = wanted > 0 || reader->problem != SB_TAR_FINE;
    reader->state = is_file && !reader->is_passed_over ? DATA : PASS;
    return reader->left == 0 ? data_over(reader) : SB_TAR_OK;
}

static enum sb_tar_result take_old_sparse(struct sb_tar_reader *reader)
{
    int has_more = 0;
    enum sb_tar_result result = reader->state == HEAD
                                    ? sb_tar_old_sparse(reader, reader->block, &has_more)
                                    : sb_tar_old_more(reader, reader->block, &has_more);
    if (result != SB_TAR_OK) {
        return fail(reader, result);
    }
    reader->state = MORE;
    return has_more ? SB_TAR_OK : begin_data(reader);
}

static enum sb_tar_result begin_file(struct sb_tar_reader *reader, char type)
{
    reader->entry.size = reader->has_real_size ? reader->real_size : reader->left;
    if (type == SB_TAR_OLD_SPARSE) {
        return take_old_sparse(reader);
    }
    if (reader->sparse_major == 1) {
        reader->state = MAP;
        sb_tar_map_begin(reader);
        return reader->left == 0 ? fail(reader, SB_TAR_SPARSE) : SB_TAR_OK;
    }
    if (reader->sparse_major != 0) {
        if (reader->sparse_major > 1 || reader->has_real_size) {
            return fail(reader, SB_TAR_SPARSE);
        }
        (void)sb_tar_add_part(reader, 0, reader->left);
    }
    return begin_data(reader);
}

static enum sb_tar_result begin_entry(struct sb_tar_reader *reader,
                                      const struct sb_tar_header *header)
{
    struct sb_tar_entry *entry = &reader->entry;
    int64_t mode = 0;
    names(reader, header);
    *entry = (struct sb_tar_entry){.path = reader->path,
                                   .link = reader->link,
                                   .kind = sb_tar_kind(header->type, reader->path)};
    if (sb_tar_number(header->mode, sizeof header->mode, &mode) != SB_TAR_OK ||
        sb_tar_number(header->mtime, sizeof header->mtime, &entry->mtime_s) != SB_TAR_OK) {
        return fail(reader, SB_TAR_NUMBER);
    }
    entry->mode = (uint32_t)mode & PERMISSIONS;
    if (reader->has_mtime) {
        entry->mtime_s = reader->mtime_s;
        entry->mtime_ns = reader->mtime_ns;
    }
    if (reader->has_size) {
        reader->left = reader->size;
    }
    /* Of links, directories and devices the size says nothing about data. */
    if (entry->kind != SB_TAR_FILE && entry->kind != SB_TAR_OTHER) {
        reader->left = 0;
    }
    reader->pad = sb_tar_pad(reader->left);
    reader->position = 0;
    return entry->kind == SB_TAR_FILE ? begin_file(reader, header->type) : begin_data(reader);
}

static enum sb_tar_result begin_meta(struct sb_tar_reader *reader, char kind)
{
    if (reader->left > SB_TAR_MAX_META) {
        return fail(reader, SB_TAR_META_TOO_LARGE);
    }
    reader->meta_kind = kind;
    reader->meta_len = 0;
    reader->pad = sb_tar_pad(reader->left);
    reader->state = reader->left == 0 ? HEAD : META;
    return SB_TAR_OK;
}

/* ---- blocks ---- */

static enum sb_tar_result take_header(struct sb_tar_reader *reader)
{
    struct sb_tar_header header;
    if (sb_tar_is_zero(reader->block)) {
        if (++reader->n_zero_blocks == 2) {
            reader->state = ENDED;
        }
        reader->n_blocks++;
        return SB_TAR_OK;
    }
    memcpy(&header, reader->block, sizeof header);
    if (reader->n_zero_blocks > 0 || !sb_tar_has_sum(&header)) {
        return fail(reader,
                    reader->n_blocks == 0 ? sb_tar_what_else(reader->block) : SB_TAR_CHECKSUM);
    }
    reader->n_blocks++;
    if (sb_tar_size(header.size, sizeof header.size, &reader->left) != SB_TAR_OK) {
        return fail(reader, SB_TAR_NUMBER);
    }
    switch (header.type) {
    case 'x':
    case 'g': /* of all entries: none of what we read is such */
    case 'L':
    case 'K':
        return begin_meta(reader, header.type);
    default:
        return begin_entry(reader, &header);
    }
}

static size_t take_block(struct sb_tar_reader *reader, const char *bytes, size_t len)
{
    size_t n = SB_TAR_BLOCK - reader->block_len;
    n = n < len ? n : len;
    memcpy(reader->block + reader->block_len, bytes, n);
    reader->block_len += n;
    if (reader->block_len == SB_TAR_BLOCK) {
        reader->block_len = 0;
        (void)(reader->state == HEAD ? take_header(reader) : take_old_sparse(reader));
    }
    return n;
}

/* ---- what is between ---- */

static void long_name(struct sb_tar_reader *reader)
{
    int is_link = reader->meta_kind == 'K';
    size_t len = sb_tar_field_len(reader->meta, reader->meta_len);
    *(is_link ? &reader->has_link : &reader->has_path) = 1;
    if (len >= SB_TAR_MAX_PATH) {
        reader->problem = SB_TAR_NAME_TOO_LONG;
        len = 0;
    }
    char *text = is_link ? reader->link : reader->path;
    memcpy(text, reader->meta, len);
    text[len] = '\0';
}

static size_t take_meta(struct sb_tar_reader *reader, const char *bytes, size_t len)
{
    size_t n = reader->left < len ? (size_t)reader->left : len;
    memcpy(reader->meta + reader->meta_len, bytes, n);
    reader->meta_len += n;
    reader->left -= n;
    if (reader->left == 0) {
        reader->state = PAD;
        if (reader->meta_kind == 'x') {
            (void)fail(reader, sb_tar_meta_read(reader));
        } else if (reader->meta_kind != 'g') {
            long_name(reader);
        }
    }
    return n;
}

static size_t take_map(struct sb_tar_reader *reader, const char *bytes, size_t len)
{
    size_t taken = 0;
    enum sb_tar_result result = sb_tar_map_take(reader, bytes, len, &taken);
    if (result != SB_TAR_OK) {
        (void)fail(reader, result);
    } else if (sb_tar_map_is_whole(reader)) {
        (void)begin_data(reader);
    }
    return taken;
}

static size_t take_data(struct sb_tar_reader *reader, const char *bytes, size_t len)
{
    size_t taken = reader->left < len ? (size_t)reader->left : len;
    for (size_t at = 0; at < taken;) {
        if (reader->part == reader->n_parts) {
            (void)fail(reader, SB_TAR_SPARSE);
            return taken;
        }
        const struct sb_tar_part *part = &reader->parts[reader->part];
        uint64_t room = part->len - reader->part_done;
        size_t n = room < taken - at ? (size_t)room : taken - at;
        if (n > 0 &&
            reader->sink->data(reader->ctx, part->offset + reader->part_done, bytes + at, n) != 0) {
            (void)fail(reader, SB_TAR_STOPPED);
            return taken;
        }
        at += n;
        reader->part_done += n;
        if (reader->part_done == part->len) {
            reader->part++;
            reader->part_done = 0;
        }
    }
    reader->left -= taken;
    if (reader->left == 0) {
        (void)data_over(reader);
    }
    return taken;
}

static size_t take_pass(struct sb_tar_reader *reader, size_t len)
{
    size_t n = reader->left < len ? (size_t)reader->left : len;
    reader->left -= n;
    if (reader->left == 0) {
        (void)data_over(reader);
    }
    return n;
}

static size_t take_pad(struct sb_tar_reader *reader, size_t len)
{
    size_t n = reader->pad < len ? reader->pad : len;
    reader->pad -= n;
    if (reader->pad == 0) {
        reader->state = HEAD;
    }
    return n;
}

static size_t take_tail(struct sb_tar_reader *reader, size_t len)
{
    reader->tail += len;
    if (reader->tail > SB_TAR_MAX_TAIL) {
        (void)fail(reader, SB_TAR_TAIL);
    }
    return len;
}

static size_t step(struct sb_tar_reader *reader, const char *bytes, size_t len)
{
    switch ((enum state)reader->state) {
    case HEAD:
    case MORE:
        return take_block(reader, bytes, len);
    case META:
        return take_meta(reader, bytes, len);
    case MAP:
        return take_map(reader, bytes, len);
    case DATA:
        return take_data(reader, bytes, len);
    case PASS:
        return take_pass(reader, len);
    case PAD:
        return take_pad(reader, len);
    case ENDED:
    default:
        return take_tail(reader, len);
    }
}

void sb_tar_begin(struct sb_tar_reader *reader, const struct sb_tar_sink *sink, void *ctx)
{
    reader->sink = sink;
    reader->ctx = ctx;
    reader->is_passed_over = 1;
    (void)done(reader);
}

enum sb_tar_result sb_tar_feed(struct sb_tar_reader *reader, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len && reader->result == SB_TAR_OK;) {
        at += step(reader, bytes + at, len - at);
    }
    return reader->result;
}

enum sb_tar_result sb_tar_finish(struct sb_tar_reader *reader)
{
    int is_whole = reader->state == ENDED || (reader->state == HEAD && reader->n_zero_blocks == 1);
    if (!is_whole && reader->n_blocks == 0) {
        memset(reader->block + reader->block_len, 0, SB_TAR_BLOCK - reader->block_len);
        return fail(reader, sb_tar_what_else(reader->block));
    }
    return is_whole ? reader->result : fail(reader, SB_TAR_CUT);
}

const char *sb_tar_why(enum sb_tar_result result)
{
    static const char *const texts[SB_TAR_RESULTS] = {
        [SB_TAR_OK] = "is sound",
        [SB_TAR_NOT_TAR] = "is none: it does not begin as a tar archive does",
        [SB_TAR_COMPRESSED] = "is compressed; send it uncompressed (gzip -dc, zstd -dc)",
        [SB_TAR_CHECKSUM] = "is damaged: a header does not have the checksum it says",
        [SB_TAR_NUMBER] = "is damaged: a size or time in it is no number",
        [SB_TAR_META] = "is damaged: an extended header in it is no list of records",
        [SB_TAR_META_TOO_LARGE] = "has an extended header of more than 64 KiB",
        [SB_TAR_SPARSE] = "is damaged: the list of parts of a sparse file does not fit its data",
        [SB_TAR_CUT] = "is cut short: it ends before its end mark",
        [SB_TAR_TAIL] = "goes on for more than 1 MiB after its end mark",
        [SB_TAR_STOPPED] = "was not wanted further",
    };
    return texts[result];
}

const char *sb_tar_problem_text(enum sb_tar_problem problem)
{
    static const char *const texts[SB_TAR_PROBLEMS] = {
        [SB_TAR_FINE] = "fine",
        [SB_TAR_NAME_MISSING] = "has no name",
        [SB_TAR_NAME_TOO_LONG] = "its name, or where it links to, is longer than 4095 bytes",
        [SB_TAR_NAME_HAS_NUL] = "its name, or where it links to, has a NUL",
        [SB_TAR_TOO_MANY_PARTS] = "is a sparse file of more than 4096 parts",
    };
    return texts[problem];
}
