#pragma once
/** What the worker and init say to each other.
 *
 *  Theory of operation. init is PID 1 of a sandbox: freestanding, no heap, the sandbox's own uid,
 * no capability. It reads requests from its control socket (SOCK_SEQPACKET, fd 3 of init; the other
 * end is the worker's). One packet is one struct, in host byte order (both ends run on one machine
 * and come from one build), followed by its strings.
 *
 *    worker -> init       SB_INIT_EXEC + 4 fds: stdin, stdout, stderr, and one end of a new
 * SOCK_SEQPACKET pair, the exec's own socket. Everything about that exec goes over that socket from
 * then on: init -> worker         SB_INIT_STARTED or SB_INIT_FAILED; SB_INIT_EXITED when the main
 * process has ended; SB_INIT_EMPTY when its whole tree has (always the last packet). worker -> init
 * SB_INIT_SIGNAL, SB_INIT_KILL. End of file means KILL.
 *
 *  An exec runs under a stub, a fork of init that is a child subreaper, so that daemons the program
 * detaches stay below the stub and KILL finds them. With SB_INIT_ONLY the exec is the sandbox's
 * only one: PID 1 serves it itself, and exits after SB_INIT_EMPTY, which ends the PID namespace.
 *  With SB_INIT_CHANNEL a fifth descriptor comes along, which is descriptor 3 of the program:
 * whoever started it talks to it there.
 *
 *  Without KILL, a program's leftovers live on (a server started by a shell) until the sandbox
 * ends: EXITED is sent, EMPTY follows when the last of them ends. End of file on the control socket
 * ends init, and with it the sandbox.
 *
 *    worker -> init       SB_INIT_FILE + 1 fd: a helper for one operation on files
 * (service/shared/fileproto.h). Not to an init that serves its only exec.
 *
 *    worker -> init       SB_INIT_CONNECT + 1 fd, one end of a new SOCK_SEQPACKET pair: a helper
 * that connects to a TCP port of the sandbox's own loopback and answers over that socket with
 * SB_INIT_CONNECTED + 1 fd, the connection, or with SB_INIT_FAILED. Nor to such an init.
 *
 *  With SB_INIT_TERMINAL init opens a pty of the sandbox's own devpts. The three streams that came
 * are closed, the program has the pty's slave side for all of them and as controlling terminal, and
 * SB_INIT_STARTED brings its master side. init holds the slave side open until the main process
 * ends, so that the master does not read as ended when programs close theirs for a moment.
 *
 *  Before init runs, the child that becomes it may hand over descriptors that only it can make,
 * over the same socket: child -> worker SB_INIT_HANDOVER + 1 fd, at most once per kind. All of them
 * lie in the socket when the spawner says Spawned; init itself never sends any.
 *
 *  The job is hostile and has the same uid: it can reach neither socket (close-on-exec, init is not
 * dumpable). */

#include <stdint.h>

enum {
    SB_INIT_FD = 3,                 /* control socket of init */
    SB_INIT_READY_FD = 4,           /* open: takes one byte, 0, when init runs */
    SB_INIT_MAX_PACKET = 160 << 10, /* an EXEC with its strings; fits the default socket buffer */
    SB_INIT_MAX_STRINGS = 8192,     /* args + env */
    SB_INIT_FDS = 4,
    SB_INIT_JOB_ID = 1000,      /* uid and gid of the job, in a user namespace */
    SB_INIT_MAX_FDS = 5,        /* with a channel */
    SB_INIT_CHANNEL_FD = 3,     /* of the program */
    SB_INIT_EGRESS_PORT = 3128, /* on 127.0.0.1 inside, where the egress proxy is reached */
    SB_INIT_CONNECT_MS = 5000,  /* that connecting may take, for each of IPv4 and IPv6 */
};

enum sb_init_type {
    SB_INIT_EXEC = 1,
    SB_INIT_SIGNAL,
    SB_INIT_KILL,
    SB_INIT_STARTED,
    SB_INIT_FAILED,
    SB_INIT_EXITED,
    SB_INIT_EMPTY,
    SB_INIT_HANDOVER,
    SB_INIT_FILE,
    SB_INIT_CONNECT,
    SB_INIT_CONNECTED,
    SB_INIT_SIGNALED,
};

/** What a descriptor that is handed over is. */
enum sb_handover_kind {
    SB_HANDOVER_NOTIFY = 1, /* listener of seccomp_unotify(2) */
    SB_HANDOVER_EGRESS = 2, /* listening socket inside the sandbox's network namespace */
    SB_HANDOVER_KINDS,
};

/** With one descriptor. */
struct sb_init_handover {
    uint32_t type; /* SB_INIT_HANDOVER */
    uint32_t kind; /* enum sb_handover_kind */
};

enum sb_init_flags {
    SB_INIT_ONLY = 1,     /* the sandbox's only exec */
    SB_INIT_TERMINAL = 2, /* a pty instead of the three streams */
    SB_INIT_CHANNEL = 4,  /* the fifth descriptor is for the program */
};

/** Limits of each process of an exec. */
enum sb_init_rlimit {
    SB_INIT_RLIMIT_CPU,     /* seconds */
    SB_INIT_RLIMIT_ADDRESS, /* bytes */
    SB_INIT_RLIMIT_FILES,   /* open descriptors */
    SB_INIT_RLIMIT_FILE,    /* bytes written to one file */
    SB_INIT_RLIMITS,
};

/** Followed by cwd, args (n_args), env (n_env), each NUL-terminated, nothing between, nothing
 * after. args[0] without a slash is searched in PATH of that env; the search answers 127 and 126 as
 * shells do. */
struct sb_init_exec {
    uint32_t type; /* SB_INIT_EXEC */
    uint32_t flags;
    uint32_t n_args; /* at least 1 */
    uint32_t n_env;
    uint16_t rows; /* SB_INIT_TERMINAL */
    uint16_t columns;
    uint32_t reserved;
    uint64_t rlimits[SB_INIT_RLIMITS]; /* 0: as the sandbox has it */
};

enum sb_init_whom {
    SB_INIT_MAIN = 0,  /* the main process */
    SB_INIT_TREE = 1,  /* every process of the exec */
    SB_INIT_GROUP = 2, /* the main process' group, as a terminal does; answered by SIGNALED */
};

struct sb_init_signal {
    uint32_t type; /* SB_INIT_SIGNAL */
    int32_t signal;
    uint32_t whom; /* enum sb_init_whom */
};

struct sb_init_signaled {
    uint32_t type; /* SB_INIT_SIGNALED: the signal to the group has been sent */
};

struct sb_init_kill {
    uint32_t type; /* SB_INIT_KILL: SIGKILL to the whole tree, until it is empty */
};

/** With one descriptor when the exec has a terminal. */
struct sb_init_started {
    uint32_t type; /* SB_INIT_STARTED */
    int32_t pid;   /* inside the sandbox */
};

enum sb_init_stage {
    SB_INIT_STAGE_CWD = 1,
    SB_INIT_STAGE_FORK,
    SB_INIT_STAGE_TERMINAL,
    SB_INIT_STAGE_EXEC,
    SB_INIT_STAGE_CONNECT,
    SB_INIT_STAGE_LIMITS,
};

struct sb_init_failed {
    uint32_t type; /* SB_INIT_FAILED; nothing runs; no EMPTY follows */
    int32_t error; /* errno */
    uint32_t stage;
};

enum { SB_INIT_SPACES = 3 }; /* /tmp, /dev/shm, /workspace */

/** From statfs(2); all 0 when it is not a tmpfs, or was not looked at. */
struct sb_init_space {
    uint64_t bytes;
    uint64_t bytes_free;
    uint64_t inodes;
    uint64_t inodes_free;
};

/** Limits of which the kernel keeps no count, as they were met in the sandbox when init looked:
 * at the spaces four times a second while the main process runs, at the rest once. What lasts for
 * less may go unseen. */
struct sb_init_seen {
    uint32_t looks;
    uint32_t bytes_full;  /* bit i: space i had no block left */
    uint32_t inodes_full; /* bit i: no inode */
    uint32_t reserved;
    uint64_t most_files;   /* descriptors of one process; 0: the kernel does not tell */
    uint64_t most_signals; /* queued, timers included, of all processes */
    uint64_t max_signals;  /* RLIMIT_SIGPENDING; 0: not looked at */
};

/** From wait4 of the main process. The spaces are as they were then; looked at when it failed. */
struct sb_init_exited {
    uint32_t type; /* SB_INIT_EXITED */
    int32_t wait_status;
    uint64_t user_us;
    uint64_t system_us;
    uint64_t max_rss_bytes; /* largest process */
    struct sb_init_space spaces[SB_INIT_SPACES];
    struct sb_init_seen seen;
};

struct sb_init_connect {
    uint32_t type; /* SB_INIT_CONNECT */
    uint32_t port; /* 1..65535 */
};

/** With one descriptor. */
struct sb_init_connected {
    uint32_t type; /* SB_INIT_CONNECTED */
};

struct sb_init_empty {
    uint32_t type;    /* SB_INIT_EMPTY */
    uint32_t killed;  /* processes that KILL had to end, the main one included when it still ran */
    uint64_t user_us; /* the whole tree, reaped children included */
    uint64_t system_us;
    uint64_t max_rss_bytes;
};
