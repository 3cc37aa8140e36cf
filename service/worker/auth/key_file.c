#include "service/worker/auth/key_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/worker/auth/keys.h"

enum {
    SETTLED_MS = 2000, /* clocks of file systems are coarser than ours */
    READ_TRIES = 3,
};

/* ---- which files ---- */

struct listing {
    int dir; /* AT_FDCWD: the path is a file by itself */
    size_t n;
    char *names[SB_KEY_FILE_MAX_FILES]; /* owned; sorted */
};

static void listing_done(struct listing *listing)
{
    for (size_t i = 0; i < listing->n; i++) {
        free(listing->names[i]);
    }
    if (listing->dir >= 0) {
        close(listing->dir);
    }
}

static int add_name(struct listing *listing, const char *name, struct sb_err *err)
{
    if (listing->n == SB_KEY_FILE_MAX_FILES) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %d files", SB_KEY_FILE_MAX_FILES);
    }
    listing->names[listing->n] = sb_str_dup(sb_str_from(name));
    if (listing->names[listing->n] == NULL) {
        return sb_err_oom(err);
    }
    listing->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int walk(struct listing *listing, DIR *dir, struct sb_err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return errno == 0 ? 0 : sb_err_sys(err, errno, "read the directory");
        }
        if (entry->d_name[0] != '.' && add_name(listing, entry->d_name, err) < 0) {
            return -1;
        }
    }
}

/* Ends with listing_done in any case. */
static int list(const char *path, struct listing *listing, struct sb_err *err)
{
    *listing = (struct listing){.dir = AT_FDCWD};
    listing->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (listing->dir < 0) {
        int sys = errno;
        listing->dir = AT_FDCWD;
        return sys == ENOTDIR ? add_name(listing, path, err) : sb_err_sys(err, sys, "open it");
    }
    int copy = openat(listing->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (dir == NULL) {
        int sys = errno;
        if (copy >= 0) {
            close(copy);
        }
        return sb_err_sys(err, sys, "open it");
    }
    int rc = walk(listing, dir, err);
    (void)closedir(dir);
    qsort(listing->names, listing->n, sizeof listing->names[0], by_name);
    return rc;
}

static int
stamp_of(const struct listing *listing, struct sb_key_stamp *ret_stamp, struct sb_err *err)
{
    struct sb_sha256 sum;
    uint64_t newest_ms = 0;
    sb_sha256_init(&sum);
    for (size_t i = 0; i < listing->n; i++) {
        struct stat st;
        const char *name = listing->names[i];
        if (fstatat(listing->dir, name, &st, 0) < 0) {
            return sb_err_sys(err, errno, "look at %s", name);
        }
        const uint64_t parts[] = {st.st_dev,
                                  st.st_ino,
                                  (uint64_t)st.st_size,
                                  (uint64_t)st.st_mtim.tv_sec,
                                  (uint64_t)st.st_mtim.tv_nsec,
                                  (uint64_t)st.st_ctim.tv_sec,
                                  (uint64_t)st.st_ctim.tv_nsec};
        uint64_t changed_ms =
            (uint64_t)st.st_ctim.tv_sec * 1000 + (uint64_t)st.st_ctim.tv_nsec / 1000000;
        newest_ms = changed_ms > newest_ms ? changed_ms : newest_ms;
        sb_sha256_add(&sum, name, strlen(name) + 1);
        sb_sha256_add(&sum, parts, sizeof parts);
    }
    sb_sha256_end(&sum, ret_stamp->hash);
    ret_stamp->is_settled = newest_ms + SETTLED_MS < sb_clock_real_ms();
    return 0;
}

int sb_key_file_stamp(const char *path, struct sb_key_stamp *ret_stamp, struct sb_err *err)
{
    struct listing listing;
    int rc = list(path, &listing, err) < 0 ? -1 : stamp_of(&listing, ret_stamp, err);
    listing_done(&listing);
    return rc;
}

/* ---- what they hold ---- */

static void note_wrong(const char *file,
                       unsigned line,
                       const struct sb_err *why,
                       size_t *ret_wrong,
                       struct sb_err *ret_first)
{
    if (*ret_wrong < SB_KEY_FILE_TOLD) {
        SB_LOG_ERROR("a key is wrong and opens nothing", "file=%s line=%u why=%s", file, line,
                     why->text);
    }
    if ((*ret_wrong)++ == 0) {
        (void)sb_err_set(ret_first, why->code, "%s, line %u: %s", file, line, why->text);
    }
}

static int
take_line(struct sb_str text, struct sb_keys *keys, struct sb_err *why, struct sb_err *err)
{
    struct sb_key_line line;
    struct sb_key *added = NULL;
    why->code = SB_OK;
    if (sb_key_line_parse(text, &line, why) < 0) {
        return 0;
    }
    struct sb_key *other = sb_keys_get(keys, sb_str_from(line.id));
    if (other != NULL) {
        memset(other->hash, 0, sizeof other->hash); /* which of the two is meant nobody knows */
        (void)sb_err_set(why, SB_INVALID, "there is a line with its id before: neither counts");
        return 0;
    }
    struct sb_key key = {.role = line.role, .expire_ms = line.expire_ms};
    memcpy(key.id, line.id, sizeof key.id);
    memcpy(key.hash, line.hash, sizeof key.hash);
    memcpy(key.tenant, line.tenant, sizeof key.tenant);
    memcpy(key.title, line.title, sizeof key.title);
    return sb_keys_add(keys, &key, &added, err);
}

int sb_key_file_parse(struct sb_str text,
                      const char *file,
                      struct sb_keys *keys,
                      size_t *ret_wrong,
                      struct sb_err *ret_first,
                      struct sb_err *err)
{
    struct sb_str piece;
    unsigned number = 0;
    while (sb_str_next(&text, '\n', &piece)) {
        struct sb_err why;
        struct sb_str line = sb_str_trim(piece);
        number++;
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        if (take_line(line, keys, &why, err) < 0) {
            return -1;
        }
        if (why.code != SB_OK) {
            note_wrong(file, number, &why, ret_wrong, ret_first);
        }
    }
    return 0;
}

static void drop_doubled(struct sb_keys *keys)
{
    static const unsigned char nothing[SB_KEY_HASH] = {0};
    SB_FOREACH (node, &keys->list) {
        struct sb_key *key = SB_LIST_ENTRY(node, struct sb_key, link);
        if (memcmp(key->hash, nothing, sizeof nothing) == 0) {
            sb_keys_remove(keys, key);
        }
    }
}

static int read_once(const char *path,
                     struct sb_keys *keys,
                     struct sb_key_stamp *ret_stamp,
                     size_t *ret_wrong,
                     struct sb_err *ret_first,
                     struct sb_err *err)
{
    struct listing listing;
    size_t left = SB_KEY_FILE_MAX_BYTES;
    int rc = list(path, &listing, err) < 0 ? -1 : stamp_of(&listing, ret_stamp, err);
    for (size_t i = 0; rc == 0 && i < listing.n; i++) {
        SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(SB_KEY_FILE_MAX_BYTES);
        rc = sb_fd_read_file(listing.dir, listing.names[i], left, &text, err);
        if (rc == 0) {
            left -= text.len;
            rc = sb_key_file_parse(sb_buf_str(&text), listing.names[i], keys, ret_wrong, ret_first,
                                   err);
        }
    }
    listing_done(&listing);
    return rc;
}

int sb_key_file_read(const char *path,
                     struct sb_keys *keys,
                     struct sb_key_stamp *ret_stamp,
                     size_t *ret_wrong,
                     struct sb_err *ret_first,
                     struct sb_err *err)
{
    (void)sb_err_set(err, SB_UNAVAILABLE, "it changes while it is read");
    for (int i = 0; i < READ_TRIES; i++) {
        struct sb_key_stamp after;
        size_t n_wrong = 0;
        sb_keys_done(keys);
        sb_keys_init(keys);
        bool is_read = read_once(path, keys, ret_stamp, &n_wrong, ret_first, err) == 0;
        if (is_read && sb_key_file_stamp(path, &after, err) == 0) {
            if (memcmp(after.hash, ret_stamp->hash, sizeof after.hash) == 0) {
                *ret_wrong = n_wrong;
                drop_doubled(keys);
                return 0;
            }
            (void)sb_err_set(err, SB_UNAVAILABLE, "it changes while it is read");
        }
    }
    return -1;
}
