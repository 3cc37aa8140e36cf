#pragma once
/** Every bound of the worker in one table: name, value, unit, what it bounds. Becomes constants
 *  SB_MAX_<NAME> here and lines of --help in options.c. */

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define SB_WORKER_LIMITS(X)                                                                        \
    X(SANDBOXES,        1024,       "sandboxes",    "alive at once")                               \
    X(EXECS,            4096,       "execs",        "alive at once, leftovers of ended ones included") \
    X(SNAPSHOTS,        1024,       "snapshots",    "kept at once")                                \
    X(SNAPSHOT_BYTES,   8ULL << 30, "bytes",        "of all snapshots, those included that only sandboxes stand on") \
    X(TENANT_SNAPSHOTS, 256,        "snapshots",    "of one tenant, kept at once")                 \
    X(TENANT_SNAPSHOT_BYTES, 4ULL << 30, "bytes",   "of all snapshots of one tenant")              \
    X(TENANT_DIFFS,     8,          "calls",        "of DiffFiles of one tenant at once")          \
    X(FORKS,            256,        "sandboxes",    "made by one ForkSandbox")                     \
    X(FORKS_AT_ONCE,    16,         "sandboxes",    "of one ForkSandbox starting at once")         \
    X(TOMBSTONES,       1024,       "sandboxes",    "remembered after their end")                  \
    X(ENDED_EXECS,      2048,       "execs",        "remembered after their end")                  \
    X(KEPT_BYTES,       1ULL << 30, "bytes",        "output kept of ended execs, all together")    \
    X(MEMORY_MS,        86400000,   "ms",           "how long ended sandboxes and execs are remembered") \
    X(REQUEST_IDS,      8192,       "ids",          "remembered request_id values")                \
    X(REQUEST_ID_BYTES, 64,         "bytes",        "one request_id")                              \
    X(WATCHERS,         2048,       "calls",        "of WatchSandboxes at once")                   \
    X(FOLLOWERS,        64,         "calls",        "following one exec")                          \
    X(STDIN_BYTES,      2 << 20,    "bytes",        "input waiting for one exec")                  \
    X(SPOOL_HEAP_BYTES, 16 << 10,   "bytes",        "of one output stream held in memory before it goes to a file") \
    X(CHUNK_BYTES,      64 << 10,   "bytes",        "in one output message, and in one read from a program") \
    X(READ_BYTES,       1 << 20,    "bytes",        "in one ReadExecOutput reply")                 \
    X(READ_WAIT_MS,     60000,      "ms",           "ReadExecOutput waits for a first byte")       \
    X(CONTEXTS,         16,         "contexts",     "of one sandbox")                              \
    X(ALL_CONTEXTS,     1024,       "contexts",     "of this worker")                              \
    X(PIECES,           16,         "pieces",       "of code in one context, the one that runs included") \
    X(CODE_BYTES,       1 << 20,    "bytes",        "one piece of code")                           \
    X(WAITING_CODE_BYTES, 2 << 20,  "bytes",        "the code of one context's pieces")            \
    X(CONTEXT_START_MS, 30000,      "ms",           "an interpreter may take to be ready")         \
    X(INTERRUPT_MS,     3000,       "ms",           "a piece over its wall limit may go on after its interrupt") \
    X(FILE_CALLS,       32,         "calls",        "on files of one sandbox at once")             \
    X(FILE_WAIT_MS,     60000,      "ms",           "a file operation inside may take for its next step") \
    X(FILE_PAGE,        10000,      "files",        "on one page of ListFiles")                    \
    X(FILE_PAGE_BYTES,  3 << 20,    "bytes",        "on one page of ListFiles")                    \
    X(PORTS,            32,         "ports",        "of one sandbox exposed at once")              \
    X(PORT_CALLS,       256,        "connections",  "to exposed ports of one sandbox at once")     \
    X(PORT_LINKS,       8,          "links",        "to one exposed port at once")                 \
    X(PORT_LINK_MS,     86400000,   "ms",           "a link to a port may work")                   \
    X(PORT_WAIT_MS,     15000,      "ms",           "a server inside may take to accept a connection") \
    X(PACKAGE_BYTES,    1ULL << 30, "bytes",        "of all files of one install of packages")      \
    X(PACKAGE_FILES,    200000,     "files",        "of one install of packages, directories included") \
    X(PAGE,             1000,       "items",        "on one page of a list")                       \
    X(LABELS,           64,         "labels",       "of one sandbox")                              \
    X(LABEL_BYTES,      63,         "bytes",        "key or value of a label")                     \
    X(SPAWNER_REQUESTS, 4096,       "requests",     "waiting for the spawner")                     \
    X(SPAWNING,         16,         "sandboxes",    "made at once; more wait their turn")         \
    X(LISTEN,           8,          "addresses",    "listened on")                                 \
    X(KILL_WAIT_MS,     2000,       "ms",           "init may take to end a tree before its PID namespace is ended") \
    X(HANGUP_MS,        500,        "ms",           "programs may go on when the terminal of a cancelled exec has hung up") \
    X(DRAIN_GRACE_MS,   10000,      "ms",           "live calls get to end on SIGTERM")            \
    X(OUTPUT_GRACE_MS,  100,        "ms",           "output may come after the end of a main process whose pipes are still held") \
    X(STAGED_BYTES,     256 << 20,  "bytes",        "of files and batches on their way, all together") \
    X(FREEZE_MS,        5000,       "ms",           "the kernel may take to freeze a sandbox")     \
    X(PROBE_AGE_MS,     5000,       "ms",           "a probe of the host's controls is good for")
/* clang-format on */

#define SB_LIMIT_CONSTANT(name, value, unit, help) SB_MAX_##name = (value),
enum sb_worker_limit { SB_WORKER_LIMITS(SB_LIMIT_CONSTANT) };
#undef SB_LIMIT_CONSTANT
