#pragma once
/** Archives in the format of tar, read and written as streams in constant memory.
 *
 *  Theory of operation. Written is pax with what GNU tar knows beside it: a plain ustar header, and
 *  before it an extended one where a name is long or not ASCII, a size is 8 GiB or more, a time has
 *  nanoseconds, or the file has holes (GNU sparse format 1.0). Read are v7, ustar, pax, GNU's long
 *  names and all of its sparse formats, in pieces of any size: the reader tells entry, data, end.
 *  An archive that is broken ends the reading; an entry that is merely not wanted has a problem,
 *  and its data is passed over. Paths are handed on as they stand: whoever makes files of them has
 *  to look at "..", "/" and links.
 *
 *  Freestanding: nothing of libc but memcpy and memset. */
#include <stddef.h>
#include <stdint.h>

enum {
    SB_TAR_BLOCK = 512,
    SB_TAR_MAX_PATH = 4096,       /* with its NUL */
    SB_TAR_MAX_HEAD = 12 << 10,   /* bytes of the headers of one entry */
    SB_TAR_MAX_PARTS = 512,       /* of a sparse file; with more, holes are written as zeros */
    SB_TAR_MAX_MAP = 24 << 10,    /* bytes of their list */
    SB_TAR_MAX_META = 64 << 10,   /* bytes of one extended header that is read */
    SB_TAR_MAX_READ_PARTS = 4096, /* of a sparse file that is read */
    SB_TAR_MAX_TAIL = 1 << 20,    /* bytes after the end mark */
};

enum sb_tar_kind {
    SB_TAR_FILE,
    SB_TAR_HARDLINK,
    SB_TAR_SYMLINK,
    SB_TAR_CHAR,
    SB_TAR_BLOCK_DEVICE,
    SB_TAR_DIR,
    SB_TAR_FIFO,
    SB_TAR_OTHER,
};

/** What is wrong with an entry of an archive that is sound. */
enum sb_tar_problem {
    SB_TAR_FINE = 0,
    SB_TAR_NAME_MISSING,
    SB_TAR_NAME_TOO_LONG,
    SB_TAR_NAME_HAS_NUL,
    SB_TAR_TOO_MANY_PARTS,
    SB_TAR_PROBLEMS,
};

struct sb_tar_entry {
    enum sb_tar_kind kind;
    enum sb_tar_problem problem; /* read only */
    const char *path;            /* borrowed */
    const char *link;            /* SYMLINK, HARDLINK: where to; else "" */
    uint32_t mode;               /* permission bits, setuid, setgid, sticky */
    uint32_t uid;                /* written only */
    uint32_t gid;                /* written only */
    uint64_t size;               /* FILE: bytes, its holes included */
    int64_t mtime_s;
    uint32_t mtime_ns;
};

/** Bytes of a file that are no hole. */
struct sb_tar_part {
    uint64_t offset;
    uint64_t len;
};

/* ---- writing ---- */

/** The headers of an entry. @parts  of a sparse file, ascending, at most SB_TAR_MAX_PARTS; NULL:
 *  it is not sparse. For a sparse one sb_tar_map follows, then the parts' bytes, then zeros up to a
 *  block (sb_tar_pad); else the bytes of the file and zeros.
 *  @out  SB_TAR_MAX_HEAD bytes. Returns how many are used: whole blocks; 0: a name is too long. */
size_t sb_tar_head(const struct sb_tar_entry *entry,
                   const struct sb_tar_part *parts,
                   size_t n_parts,
                   char *out);
/** The list of parts. @out  SB_TAR_MAX_MAP bytes. Returns how many are used: whole blocks. */
size_t sb_tar_map(const struct sb_tar_part *parts, size_t n_parts, char *out);
/** How many zeros fill the last block of so many bytes. */
static inline size_t sb_tar_pad(uint64_t bytes)
{
    return (size_t)(-bytes % SB_TAR_BLOCK);
}
/** Zeros at the end of an archive. */
enum { SB_TAR_END = 2 * SB_TAR_BLOCK };

/* ---- reading ---- */

enum sb_tar_result {
    SB_TAR_OK = 0,
    SB_TAR_NOT_TAR,
    SB_TAR_COMPRESSED,
    SB_TAR_CHECKSUM,
    SB_TAR_NUMBER,
    SB_TAR_META,
    SB_TAR_META_TOO_LARGE,
    SB_TAR_SPARSE,
    SB_TAR_CUT,
    SB_TAR_TAIL,
    SB_TAR_STOPPED, /* the sink did not want to go on */
    SB_TAR_RESULTS,
};

/** What is found. Nonzero: stop. */
struct sb_tar_sink {
    int (*entry)(void *ctx, const struct sb_tar_entry *entry);
    /** Of the entry told last, FILE only; offsets ascend, what is left out between is a hole. */
    int (*data)(void *ctx, uint64_t offset, const char *bytes, size_t len);
    /** The entry is whole. */
    int (*end)(void *ctx);
};

struct sb_tar_reader {
    const struct sb_tar_sink *sink;
    void *ctx;
    int state;
    enum sb_tar_result result;
    uint64_t left;     /* bytes of this entry's data, or of an extended header, still to come */
    uint64_t position; /* in it */
    size_t pad;        /* bytes to pass over then */
    size_t block_len;
    char block[SB_TAR_BLOCK];
    unsigned n_zero_blocks;
    uint64_t n_blocks;
    uint64_t tail;
    char meta_kind;
    size_t meta_len;
    char meta[SB_TAR_MAX_META];
    /* what extended headers say of the next entry */
    enum sb_tar_problem problem;
    int has_path, has_link, has_size, has_mtime, has_real_size;
    int sparse_major, sparse_minor;
    uint64_t size, real_size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    char path[SB_TAR_MAX_PATH];
    char link[SB_TAR_MAX_PATH];
    /* the entry */
    struct sb_tar_entry entry;
    int is_passed_over;
    size_t n_parts;
    size_t part; /* which one is being read */
    uint64_t part_done;
    uint64_t map_value; /* of the number being read in a list of parts */
    size_t map_count;   /* numbers read */
    int map_has_digit;
    struct sb_tar_part parts[SB_TAR_MAX_READ_PARTS];
};

/** @reader  zeroed by the caller. */
void sb_tar_begin(struct sb_tar_reader *reader, const struct sb_tar_sink *sink, void *ctx);
/** Once it failed, it says the same again. */
enum sb_tar_result sb_tar_feed(struct sb_tar_reader *reader, const char *bytes, size_t len);
/** All bytes were fed. */
enum sb_tar_result sb_tar_finish(struct sb_tar_reader *reader);
/** To follow "the archive ". Static. */
const char *sb_tar_why(enum sb_tar_result result);
/** To follow an entry's path and a colon. Static. */
const char *sb_tar_problem_text(enum sb_tar_problem problem);
