#pragma once
/** What the worker and a file helper say to each other.
 *
 *  Theory of operation. The worker may not touch the files of a sandbox: what lies there is the
 *  job's, links and races included. So it asks init for a helper, which is inside: a fork of init,
 *  with its uid, its filter, its limits and its view, which serves one operation and ends.
 *
 *    worker -> init      struct sb_file_request with three strings, + 1 fd: one end of a new
 *                        SOCK_SEQPACKET pair. All that follows goes over that pair.
 *    helper -> worker    SB_FILE_INFO (many for LIST, first for READ), SB_FILE_DATA (READ),
 *                        SB_FILE_READY (WRITE: send), then SB_FILE_DONE or SB_FILE_FAILED, last.
 *    worker -> helper    SB_FILE_DATA and then SB_FILE_COMMIT (WRITE). End of file means: give up,
 *                        and leave nothing behind.
 *
 *  Where init has no uid of its own the job can kill a helper; nothing in it can make a helper lie
 *  but a bug. The worker believes it nothing all the same: a lie could only be about the sandbox's
 *  own files. One packet is one struct, in host byte order, followed by its bytes. */

#include <stdint.h>

enum {
    SB_FILE_MAX_DATA = 64 << 10, /* bytes of one DATA */
    SB_FILE_MAX_PATH = 4096,     /* bytes of a path, with its NUL */
    SB_FILE_MAX_GLOB = 256,      /* bytes of a pattern, with its NUL */
    SB_FILE_MAX_DEPTH = 64,      /* levels of LIST */
};

enum sb_file_op {
    SB_FILE_STAT = 1,
    SB_FILE_LIST,
    SB_FILE_READ,
    SB_FILE_WRITE,
    SB_FILE_MKDIR,
    SB_FILE_MOVE,
    SB_FILE_REMOVE,
    SB_FILE_CHMOD,
    SB_FILE_OPS,
};

enum sb_file_flags {
    SB_FILE_FOLLOW = 1,     /* STAT: of the link's target */
    SB_FILE_PARENTS = 2,    /* WRITE, MKDIR: make missing directories */
    SB_FILE_NO_REPLACE = 4, /* WRITE, MOVE */
    SB_FILE_APPEND = 8,     /* WRITE */
    SB_FILE_TREE = 16,      /* REMOVE */
};

/** Followed by the path, a second text (MOVE: where to; LIST: glob) and a third (LIST: only what
 *  comes after this path below the directory), each NUL-terminated, nothing after. */
struct sb_file_request {
    uint32_t type; /* SB_INIT_FILE */
    uint32_t op;
    uint32_t flags;
    uint32_t mode;  /* permission bits; 0: the usual ones */
    uint32_t depth; /* LIST: 1..SB_FILE_MAX_DEPTH */
    uint32_t reserved;
    uint64_t offset;    /* READ */
    uint64_t max_bytes; /* READ; 0: to the end */
};

enum sb_file_type {
    SB_FILE_INFO = 1,
    SB_FILE_DATA,
    SB_FILE_READY,
    SB_FILE_COMMIT,
    SB_FILE_DONE,
    SB_FILE_FAILED,
};

/** The numbers of aisbx.v1.FileKind. */
enum sb_file_kind {
    SB_FILE_KIND_REGULAR = 1,
    SB_FILE_KIND_DIRECTORY = 2,
    SB_FILE_KIND_SYMLINK = 3,
    SB_FILE_KIND_SPECIAL = 4,
};

/** Followed by the path below the directory (LIST; else none) and where a link leads. */
struct sb_file_info {
    uint32_t type; /* SB_FILE_INFO */
    uint32_t kind;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t links;
    uint64_t size;      /* bytes */
    uint64_t allocated; /* bytes */
    int64_t modify_s;
    uint32_t modify_ns;
    uint16_t path_len;
    uint16_t link_len;
};

/** DATA (followed by at least one byte), READY, COMMIT. */
struct sb_file_head {
    uint32_t type;
};

struct sb_file_done {
    uint32_t type; /* SB_FILE_DONE */
    uint32_t reserved;
    uint64_t count; /* REMOVE: how many */
};

/** Why, when no errno says it. */
enum sb_file_why {
    SB_FILE_WHY_ERRNO = 0,
    SB_FILE_WHY_NOT_REGULAR, /* a FIFO, a socket or a device */
    SB_FILE_WHY_MAGIC,       /* a link of /proc, which leads anywhere */
    SB_FILE_WHY_PROC,        /* a change below /proc */
    SB_FILE_WHY_SHRUNK,      /* it became shorter while it was read */
    SB_FILE_WHY_DEEP,        /* too many levels */
    SB_FILE_WHY_ROOT,        /* the root itself, or what ends in ".." */
    SB_FILE_WHYS,
};

struct sb_file_failed {
    uint32_t type; /* SB_FILE_FAILED */
    int32_t error; /* errno, positive */
    uint32_t why;
};
