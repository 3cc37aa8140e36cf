#pragma once
/** What the worker and a file helper say to each other.
 *
 *  Theory of operation. The worker may not touch the files of a sandbox: what lies there is the
 *  job's, links and races included. So it asks init for a helper, which is inside: a fork of init,
 *  with its uid, its filter, its limits and its view, which serves one operation and ends.
 *
 *    worker -> init      struct sb_file_request with three strings, + 1 fd: one end of a new
 *                        SOCK_SEQPACKET pair. All that follows goes over that pair.
 *    helper -> worker    SB_FILE_INFO (many for LIST, first for READ), SB_FILE_DATA (READ, EXPORT),
 *                        SB_FILE_MATCH (SEARCH), SB_FILE_EVENT (WATCH), SB_FILE_REFUSED (IMPORT),
 *                        SB_FILE_READY (WRITE, REPLACE, IMPORT: send; WATCH: from now on), then
 *                        SB_FILE_DONE or SB_FILE_FAILED, last. With DONE, what was written is
 *                        open no more: it may be executed.
 *    worker -> helper    SB_FILE_DATA and then SB_FILE_COMMIT (WRITE, REPLACE: what to find and
 *                        then what to put there, IMPORT). End of file means: give up, and leave
 *                        nothing half written behind.
 *
 *  Where init has no uid of its own the job can kill a helper; nothing in it can make a helper lie
 *  but a bug. The worker believes it nothing all the same: a lie could only be about the sandbox's
 *  own files. One packet is one struct, in host byte order, followed by its bytes. */

#include <stdint.h>

enum {
    SB_FILE_MAX_DATA = 64 << 10, /* bytes of one DATA */
    SB_FILE_MAX_PATH = 4096,     /* bytes of a path, with its NUL */
    SB_FILE_MAX_GLOB = 256,      /* bytes of a pattern, with its NUL */
    SB_FILE_MAX_DEPTH = 64,      /* levels of LIST, SEARCH, WATCH, IMPORT */
    SB_FILE_MAX_TEXT = 1 << 20,  /* bytes of what REPLACE finds, and of what it puts there */
    SB_FILE_MAX_LINE = 1024,     /* bytes of a line that SEARCH shows */
    SB_FILE_MAX_WATCHES = 2048,  /* directories of one WATCH */
    SB_FILE_MAX_REFUSED = 64,    /* REFUSED of one IMPORT; the rest is counted */
    SB_FILE_SEARCH_S = 30,       /* seconds that SEARCH may take */
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
    SB_FILE_SEARCH,
    SB_FILE_REPLACE,
    SB_FILE_WATCH,
    SB_FILE_EXPORT,
    SB_FILE_IMPORT,
    SB_FILE_OPS,
};

enum sb_file_flags {
    SB_FILE_FOLLOW = 1,     /* STAT: of the link's target */
    SB_FILE_PARENTS = 2,    /* WRITE, MKDIR: make missing directories */
    SB_FILE_NO_REPLACE = 4, /* WRITE, MOVE */
    SB_FILE_APPEND = 8,     /* WRITE */
    SB_FILE_TREE = 16,      /* REMOVE, WATCH */
    SB_FILE_FOLD = 32,      /* SEARCH: upper and lower case alike */
};

/** Followed by the path, a second text (MOVE: where to; LIST, SEARCH: glob) and a third (LIST: only
 *  what comes after this path below the directory; SEARCH: the pattern), each NUL-terminated,
 *  nothing after. */
struct sb_file_request {
    uint32_t type; /* SB_INIT_FILE */
    uint32_t op;
    uint32_t flags;
    uint32_t mode;      /* permission bits; 0: the usual ones */
    uint32_t depth;     /* LIST: 1..SB_FILE_MAX_DEPTH */
    uint32_t count;     /* SEARCH: at most so many; REPLACE: exactly so many, 0: any number */
    uint64_t offset;    /* READ; REPLACE: bytes of what to find */
    uint64_t max_bytes; /* READ; 0: to the end. IMPORT; 0: no bound of the call's own */
};

enum sb_file_type {
    SB_FILE_INFO = 1,
    SB_FILE_DATA,
    SB_FILE_READY,
    SB_FILE_COMMIT,
    SB_FILE_DONE,
    SB_FILE_FAILED,
    SB_FILE_MATCH,
    SB_FILE_EVENT,
    SB_FILE_REFUSED, /* a struct sb_file_failed about one entry of an archive */
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
    uint64_t inode;
    int64_t modify_s;
    int64_t change_s;
    uint32_t change_ns;
    uint32_t modify_ns;
    uint16_t path_len;
    uint16_t link_len;
};

/** DATA (followed by at least one byte), READY, COMMIT. */
struct sb_file_head {
    uint32_t type;
};

/** Followed by the path below the directory, and the line as far as it is shown. */
struct sb_file_match {
    uint32_t type; /* SB_FILE_MATCH */
    uint16_t path_len;
    uint16_t text_len;
    uint64_t line; /* from 1 */
};

/** The numbers of aisbx.v1.FileEventKind. */
enum sb_file_event_kind {
    SB_FILE_EVENT_CREATED = 1,
    SB_FILE_EVENT_CHANGED = 2,
    SB_FILE_EVENT_REMOVED = 3,
    SB_FILE_EVENT_OVERFLOW = 4,
};

/** Followed by the path below the directory; none: the directory itself. */
struct sb_file_event {
    uint32_t type; /* SB_FILE_EVENT */
    uint32_t kind;
};

struct sb_file_done {
    uint32_t type; /* SB_FILE_DONE */
    uint32_t reserved;
    uint64_t count;   /* REMOVE, REPLACE, IMPORT: how many */
    uint64_t bytes;   /* IMPORT: written */
    uint64_t refused; /* IMPORT: entries */
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
    SB_FILE_WHY_TIME,        /* SEARCH takes too long */
    SB_FILE_WHY_COUNT,       /* REPLACE found count of them */
    SB_FILE_WHY_CHANGED,     /* REPLACE: somebody else changed it */
    SB_FILE_WHY_WATCHES,     /* more directories than may be watched */
    SB_FILE_WHY_TAR,         /* error is an enum sb_tar_result */
    SB_FILE_WHY_BYTES,       /* IMPORT: more than max_bytes */
    SB_FILE_WHY_WHITEOUT,    /* of changes as an archive: a name begins with ".wh." */
    /* of one entry of an archive */
    SB_FILE_WHY_ENTRY, /* error is an enum sb_tar_problem */
    SB_FILE_WHY_ABSOLUTE,
    SB_FILE_WHY_DOTS,    /* ".." in it */
    SB_FILE_WHY_THROUGH, /* a symbolic link on its way */
    SB_FILE_WHY_NO_DIR,  /* something that is no directory is where one should be */
    SB_FILE_WHY_LEVELS,  /* too many */
    SB_FILE_WHY_FIFO,
    SB_FILE_WHY_DEVICE,
    SB_FILE_WHY_KIND,
    SB_FILE_WHY_HARDLINK, /* to no regular file within */
    SB_FILE_WHYS,
};

/** FAILED, REFUSED. Followed by the path it is about, as it stands; none: the one asked for. */
struct sb_file_failed {
    uint32_t type;
    int32_t error; /* errno, positive */
    uint32_t why;
    uint32_t count;
};
