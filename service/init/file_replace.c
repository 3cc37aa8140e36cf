/* REPLACE: a text for another in one file.
 *
 * Theory of operation. The file is read once, as a stream of any length, by the automaton of Knuth,
 * Morris and Pratt, and written anew beside its place; what may still become a find is held back
 * as a number, since it is the beginning of the text. The new file gets the mode and then the name
 * of the old one, if that is still the same. */
#include <errno.h>
#include <fcntl.h>

#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum { PERMISSIONS = 0777 };

struct replace {
    const struct sb_file *file;
    struct sb_file_part part;
    size_t find_len;
    size_t put_len;
    uint32_t n;
    size_t out_len;
    char out[SB_FILE_MAX_DATA];
    char data[SB_FILE_MAX_DATA];
    char texts[2 * SB_FILE_MAX_TEXT]; /* what to find, and what to put there */
    uint32_t back[SB_FILE_MAX_TEXT]; /* of its first i+1 bytes: how many at the end are its begin */
};

static _Noreturn void give_up(struct replace *replace, long error, unsigned why)
{
    struct sb_file_failed failed = {SB_FILE_FAILED, (int32_t)-error, why, replace->n};
    sb_file_part_drop(&replace->part);
    sb_file_send(replace->file, &failed, sizeof failed, "", 0);
    sb_sys_exit(0);
}

static void flush(struct replace *replace)
{
    long error = sb_file_write_all(replace->part.fd, replace->out, replace->out_len);
    if (error < 0) {
        give_up(replace, error, 0);
    }
    replace->out_len = 0;
}

static void put(struct replace *replace, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t room = sizeof replace->out - replace->out_len;
        size_t n = len < room ? len : room;
        __builtin_memcpy(replace->out + replace->out_len, bytes, n);
        replace->out_len += n;
        bytes += n;
        len -= n;
        if (replace->out_len == sizeof replace->out) {
            flush(replace);
        }
    }
}

static void take_texts(struct replace *replace)
{
    size_t len = 0;
    long n = 0;
    while ((n = sb_file_receive(replace->file, replace->data)) > 0) {
        if ((size_t)n > sizeof replace->texts - len) {
            sb_sys_exit(0);
        }
        __builtin_memcpy(replace->texts + len, replace->data, (size_t)n);
        len += (size_t)n;
    }
    uint64_t find_len = replace->file->request.offset;
    if (n < 0 || find_len == 0 || find_len > SB_FILE_MAX_TEXT || find_len > len) {
        sb_sys_exit(0);
    }
    replace->find_len = (size_t)find_len;
    replace->put_len = len - (size_t)find_len;
}

static void prepare(struct replace *replace)
{
    const char *find = replace->texts;
    size_t k = 0;
    replace->back[0] = 0;
    for (size_t i = 1; i < replace->find_len; i++) {
        while (k > 0 && find[k] != find[i]) {
            k = replace->back[k - 1];
        }
        k += find[k] == find[i];
        replace->back[i] = (uint32_t)k;
    }
}

static void run(struct replace *replace, int fd)
{
    const char *find = replace->texts;
    size_t held = 0; /* bytes read last that are its begin, and not written yet */
    long len = 0;
    while ((len = sb_sys_read(fd, replace->data, sizeof replace->data)) > 0) {
        sb_file_check_listener(replace->file);
        for (long i = 0; i < len; i++) {
            char c = replace->data[i];
            while (held > 0 && find[held] != c) {
                size_t before = held;
                held = replace->back[held - 1];
                put(replace, find, before - held);
            }
            if (find[held] != c) {
                put(replace, &c, 1);
            } else if (++held == replace->find_len) {
                put(replace, find + replace->find_len, replace->put_len);
                replace->n++;
                held = 0;
            }
        }
    }
    if (len < 0) {
        give_up(replace, len, 0);
    }
    put(replace, find, held);
    flush(replace);
}

/* Somebody may have written meanwhile: what was read is then not what is there. */
static void check_same(struct replace *replace, const struct sb_place *place, const struct stat *st)
{
    struct stat now = {.st_mode = 0};
    if (sb_sys_lstatat(place->dir, place->name, &now) < 0 || now.st_ino != st->st_ino ||
        now.st_dev != st->st_dev || now.st_size != st->st_size ||
        now.st_mtim.tv_sec != st->st_mtim.tv_sec || now.st_mtim.tv_nsec != st->st_mtim.tv_nsec) {
        give_up(replace, -EAGAIN, SB_FILE_WHY_CHANGED);
    }
}

void sb_file_replace(const struct sb_file *file)
{
    static struct sb_place place;
    const struct sb_file_head ready = {SB_FILE_READY};
    struct replace *replace = sb_file_memory(file, sizeof *replace);
    struct stat st = {.st_mode = 0};
    replace->file = file;
    replace->part.fd = -1;
    sb_file_find_there(file, file->path, SB_PLACE_FOLLOW, &place);
    if (place.is_proc) {
        sb_file_fail(file, -EACCES, SB_FILE_WHY_PROC);
    }
    int fd = sb_file_open_regular(file, &place, O_RDONLY, &st);
    sb_file_send(file, &ready, sizeof ready, "", 0);
    take_texts(replace);
    prepare(replace);
    long error = sb_file_part_open(&replace->part, place.dir);
    if (error < 0) {
        give_up(replace, error, 0);
    }
    run(replace, fd);
    if (file->request.count != 0 && file->request.count != replace->n) {
        give_up(replace, -EINVAL, SB_FILE_WHY_COUNT);
    }
    if (replace->n > 0) {
        error = sb_sys_fchmod(replace->part.fd, st.st_mode & PERMISSIONS);
        check_same(replace, &place, &st);
        error = error < 0 ? error : sb_file_part_name(&replace->part, place.dir, place.name);
        if (error < 0) {
            give_up(replace, error, 0);
        }
        replace->part.name[0] = '\0';
    }
    sb_file_part_drop(&replace->part);
    sb_file_finish(file, replace->n);
}
