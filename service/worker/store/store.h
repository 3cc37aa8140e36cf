#pragma once
/** What the worker must not forget: one SQLite database, `aisbx.db`, in the state directory.
 *
 *  Theory of operation. One thread owns the database. The loop thread posts jobs; the writer takes
 *  all that wait (at most SB_STORE_BATCH), runs them inside one transaction, commits, and hands
 *  them back, so that the cost of reaching the disk is shared by everything that came meanwhile and
 *  the loop never waits for it. A job is told that it is done when it is durable, in the order of
 *  posting. When a batch cannot be committed its jobs are run again one by one: each fails for
 *  itself.
 *
 *      loop    post --> queue                                     <-- eventfd -- done(job, err)
 *      writer           take all, BEGIN, run each, COMMIT (fsync) --> finished
 *
 *  A second worker in the same directory is refused by a lock. The file is opened after privilege
 *  was dropped, through the descriptor of its directory, and belongs to the worker alone (0600).
 *  When the disk is full or the file is damaged every job fails with SB_UNAVAILABLE, and the owner
 *  learns it by `changed`; the store tries again by itself every SB_STORE_RETRY_MS. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct event_base;
struct sb_store;
struct sqlite3;

enum {
    SB_STORE_QUEUE = 16384, /* jobs waiting; more are SB_UNAVAILABLE */
    SB_STORE_BATCH = 1024,  /* jobs in one transaction */
    SB_STORE_RETRY_MS = 1000,
    SB_STORE_PATIENT_MS = 2,
};
#define SB_STORE_FILE "aisbx.db"

/** How much a commit promises. */
enum sb_durability {
    SB_DURABLE_COMMIT, /* survives the end of the process; a crash of the machine may lose the last
                        */
    SB_DURABLE_DISK,   /* was written through to the disk */
};

/** A piece of work, owned by who posts it, until done. */
struct sb_store_job {
    struct sb_list link;
    /** Writer thread, inside a transaction; may be called again after that was rolled back, and
     *  must not touch anything that others look at. An error of its own (SB_NOT_FOUND, SB_EXISTS,
     *  SB_INVALID, ...) fails this job alone; SB_UNAVAILABLE, SB_EXHAUSTED, SB_DATA_LOSS and
     *  SB_INTERNAL say that nothing can be kept, and reach done as SB_UNAVAILABLE. */
    int (*run)(struct sb_store_job *job, struct sqlite3 *db, struct sb_err *err);
    /** Loop thread; err NULL: it is committed. May free the job and post others. */
    void (*done)(struct sb_store_job *job, const struct sb_err *err);
    bool is_patient;   /* nobody waits for it: others may have SB_STORE_PATIENT_MS to join it */
    struct sb_err err; /* the store's own */
};

struct sb_store_options {
    int dir; /* state directory; borrowed until free; -1: in memory, for who keeps nothing */
    uint64_t wait_ms; /* for another worker that has it, and may be ending */
    enum sb_durability durability;
    /** Loop thread: it fails from now on (why), or works again (NULL). NULL: nobody asks. */
    void (*changed)(void *ctx, const struct sb_err *why);
    /** Writer thread, or before it was started: a transaction with jobs was undone. */
    void (*undone)(void *ctx);
    /** The writer has ended, and the database will be closed: the last statements go. */
    void (*closing)(void *ctx);
    void *ctx;
};

/** Opens or makes the database and brings its schema up to date. No thread yet.
 *  Errors: SB_EXISTS: another worker has it, for wait_ms more; SB_PRECONDITION: written by a newer
 * aisbx; SB_DATA_LOSS: damaged or no database; SB_DENIED, SB_EXHAUSTED and others by errno. */
int sb_store_open(const struct sb_store_options *options,
                  struct sb_store **ret_store,
                  struct sb_err *err);
/** The database, for what must be read before the start; NULL after it. */
struct sqlite3 *sb_store_db(struct sb_store *store);
/** Starts the writer. After privilege was dropped. */
int sb_store_start(struct sb_store *store, struct event_base *base, struct sb_err *err);
/** Queues. @job  zeroed but for run, done and is_patient. On -1 (SB_UNAVAILABLE: the queue is full)
 * done is not called. Loop thread, after start. */
int sb_store_post(struct sb_store *store, struct sb_store_job *job, struct sb_err *err);
/** False: the last transaction failed, and why. */
bool sb_store_works(const struct sb_store *store, struct sb_err *ret_why);
/** Waits until all that was posted is done, and told. For the end, when the loop does not run. */
void sb_store_settle(struct sb_store *store);
/** Commits what waits, tells who posted it, closes. NULL is fine. */
void sb_store_free(struct sb_store *store);

/* ---- for jobs ---- */

/** Fills err from the database's last failure: SB_EXHAUSTED (disk full), SB_DATA_LOSS (damaged),
 *  SB_UNAVAILABLE (locked, I/O); returns -1.   @what  was tried. */
int sb_store_fail(struct sqlite3 *db, struct sb_err *err, const char *what);
/** One or more statements without parameters. */
int sb_store_exec(struct sqlite3 *db, const char *sql, struct sb_err *err);
