#include "service/worker/store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "service/worker/store/store.h"

enum { BUSY_MS = 2000, LOCK_STEP_MS = 5 };

/* The directory may lie where the worker cannot go any more, so its files are reached through the
 * descriptor, by /proc/self/fd. SQLite would resolve that to the path. */
static int keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static const char *own_vfs(void)
{
    static sqlite3_vfs own;
    const sqlite3_vfs *unix_vfs = sqlite3_vfs_find("unix");
    if (unix_vfs == NULL) {
        return NULL;
    }
    if (own.zName == NULL) {
        own = *unix_vfs;
        own.pNext = NULL;
        own.zName = "aisbx";
        own.xFullPathname = keep_name;
        (void)sqlite3_vfs_register(&own, 0);
    }
    return own.zName;
}

static int lock_dir(int dir, uint64_t wait_ms, int *ret_lock, struct sb_err *err)
{
    SB_CLEANUP(sb_closep)
    int fd = openat(dir, SB_STORE_FILE ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, SB_STORE_FILE ".lock");
    }
    uint64_t deadline_ms = sb_clock_mono_ms() + wait_ms;
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc < 0 && errno == EWOULDBLOCK && sb_clock_mono_ms() < deadline_ms) {
        (void)poll(NULL, 0, LOCK_STEP_MS); /* the one before may be ending just now */
        rc = flock(fd, LOCK_EX | LOCK_NB);
    }
    if (rc < 0) {
        return errno == EWOULDBLOCK
                   ? sb_err_set(err, SB_EXISTS,
                                "another worker keeps its records in this directory; give each a "
                                "--state-dir of its own")
                   : sb_err_sys(err, errno, "lock " SB_STORE_FILE);
    }
    *ret_lock = SB_STEAL_FD(fd);
    return 0;
}

static int make_file(int dir, struct sb_err *err)
{
    struct stat st;
    SB_CLEANUP(sb_closep)
    int fd = openat(dir, SB_STORE_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, SB_STORE_FILE);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1) {
        return sb_err_set(err, SB_DENIED, SB_STORE_FILE " is not a file of the worker's own");
    }
    return (st.st_mode & 077) == 0 || fchmod(fd, 0600) == 0 ? 0 : sb_err_sys(err, errno, "chmod");
}

/* Whether what is committed first begins a log of its own. */
static bool has_log(int dir)
{
    struct stat st;
    return dir >= 0 && fstatat(dir, SB_STORE_FILE "-wal", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_size > 0;
}

static int set_up(sqlite3 *db, const char *synchronous, struct sb_err *err)
{
    char text[64];
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, BUSY_MS);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)snprintf(text, sizeof text, "PRAGMA synchronous = %s", synchronous);
    if (sb_store_exec(db, text, err) < 0) {
        return -1;
    }
    return sb_store_exec(db,
                         "PRAGMA journal_mode = WAL; PRAGMA temp_store = MEMORY;"
                         "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;",
                         err);
}

int sb_store_file_settle(sqlite3 *db, struct sb_err *err)
{
    return sb_store_exec(db, "PRAGMA synchronous = NORMAL", err);
}

int sb_store_file_open(const struct sb_store_options *options,
                       sqlite3 **ret_db,
                       int *ret_lock,
                       bool *ret_is_settled,
                       struct sb_err *err)
{
    char path[64];
    int dir = options->dir;
    SB_CLEANUP(sb_closep) int lock = -1;
    sqlite3 *db = NULL;
    (void)strcpy(path, ":memory:");
    if (dir >= 0) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" SB_STORE_FILE, dir);
        if (lock_dir(dir, options->wait_ms, &lock, err) < 0 || make_file(dir, err) < 0) {
            return -1;
        }
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(path, &db, flags, own_vfs()) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL) != SQLITE_OK) {
        (void)sb_store_fail(db, err, "open " SB_STORE_FILE);
        (void)sqlite3_close(db);
        return -1;
    }
    bool is_synced = options->durability == SB_DURABLE_DISK;
    bool is_settled = is_synced || has_log(dir);
    if (set_up(db, is_synced ? "FULL" : is_settled ? "NORMAL" : "OFF", err) < 0) {
        (void)sqlite3_close(db);
        return -1;
    }
    *ret_is_settled = is_settled;
    *ret_db = db;
    *ret_lock = SB_STEAL_FD(lock);
    return 0;
}
