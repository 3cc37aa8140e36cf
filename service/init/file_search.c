/* SEARCH: lines that match a pattern, below a directory.
 *
 * Theory of operation. The pattern comes from a caller and the text from a job, and both may want
 * to cost time; base/regex.h takes one pass over the text, whatever they are. A file is read in
 * pieces, a line that lies across two of them goes on where it was, and of a line only what will be
 * shown is kept. A file with a NUL in its first piece is taken for no text. The whole search has
 * SB_FILE_SEARCH_S seconds. */
#include <errno.h>
#include <fcntl.h>

#include "base/regex.h"
#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/glob.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum { READ_SIZE = 4096 };

struct search {
    const struct sb_file *file;
    uint64_t until; /* seconds */
    uint64_t left;  /* matches */
    char path[SB_FILE_MAX_PATH];
    /* the line that is being read */
    uint64_t line;
    int is_open; /* and has no end yet */
    size_t shown_len;
    char shown[SB_FILE_MAX_LINE];
    char data[SB_FILE_MAX_DATA];
    struct sb_regex regex;
    struct sb_regex_matcher matcher;
};

static void check(const struct search *search)
{
    sb_file_check_listener(search->file);
    if (sb_sys_seconds() > search->until) {
        sb_file_fail(search->file, -ETIMEDOUT, SB_FILE_WHY_TIME);
    }
}

static void tell(struct search *search)
{
    struct sb_file_match match = {.type = SB_FILE_MATCH, .line = search->line};
    char text[SB_FILE_MAX_PATH + SB_FILE_MAX_LINE];
    match.path_len = (uint16_t)sb_text_len(search->path);
    match.text_len = (uint16_t)search->shown_len;
    __builtin_memcpy(text, search->path, match.path_len);
    __builtin_memcpy(text + match.path_len, search->shown, search->shown_len);
    sb_file_send(search->file, &match, sizeof match, text,
                 (unsigned long)match.path_len + match.text_len);
    if (--search->left == 0) {
        sb_file_finish(search->file, 1);
    }
}

static void keep(struct search *search, const char *bytes, size_t len)
{
    size_t room = sizeof search->shown - search->shown_len;
    size_t n = len < room ? len : room;
    __builtin_memcpy(search->shown + search->shown_len, bytes, n);
    search->shown_len += n;
}

static void next_line(struct search *search)
{
    search->line++;
    search->shown_len = 0;
    search->is_open = 0;
    sb_regex_begin(&search->matcher);
}

static const char *find(const char *at, const char *end, char c)
{
    while (at < end && *at != c) {
        at++;
    }
    return at;
}

static void read_piece(struct search *search, const char *at, const char *end)
{
    while (at < end) {
        const char *stop = at + sb_regex_read(&search->matcher, at, (size_t)(end - at));
        if (sb_regex_has_matched(&search->matcher)) {
            stop = find(stop, end, '\n');
        }
        if (stop == end) { /* goes on in the next piece */
            keep(search, at, (size_t)(stop - at));
            search->is_open = 1;
            return;
        }
        if (sb_regex_end(&search->matcher)) {
            keep(search, at, (size_t)(stop - at));
            tell(search);
        }
        next_line(search);
        at = stop + 1;
    }
}

static void search_content(struct search *search, int fd)
{
    long len = 0;
    search->line = 0;
    next_line(search);
    for (int is_first = 1; (len = sb_sys_read(fd, search->data, sizeof search->data)) > 0;
         is_first = 0) {
        const char *end = search->data + len;
        if (is_first && find(search->data, end, '\0') != end) {
            return;
        }
        check(search);
        read_piece(search, search->data, end);
    }
    if (search->is_open && sb_regex_end(&search->matcher)) {
        tell(search); /* the last line has no newline */
    }
}

static void search_file(struct search *search, int dir, const char *name)
{
    struct stat st = {.st_mode = 0};
    int fd =
        (int)sb_sys_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (fd >= 0 && sb_sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        search_content(search, fd);
    }
    if (fd >= 0) {
        sb_sys_close(fd);
    }
}

/* NOLINTBEGIN(misc-no-recursion): SB_FILE_MAX_DEPTH levels at most */
static void search_dir(struct search *search, int fd, char *end, unsigned level);

static void
search_entry(struct search *search, int dir, const char *name, char *end, unsigned level)
{
    struct stat st = {.st_mode = 0};
    char *after = end;
    const char *limit = search->path + sizeof search->path;
    if (sb_text_len(name) + 2 > (size_t)(limit - end) || sb_sys_lstatat(dir, name, &st) < 0) {
        return;
    }
    sb_text_add(&after, limit, name);
    if (S_ISREG(st.st_mode) &&
        (search->file->second[0] == '\0' || sb_glob_matches(search->file->second, search->path))) {
        search_file(search, dir, name);
    }
    if (!S_ISDIR(st.st_mode) || level == SB_FILE_MAX_DEPTH || sb_place_is_proc(&st)) {
        return;
    }
    int fd = sb_file_open_dir(dir, name);
    if (fd >= 0) { /* what the job may not read is not searched */
        sb_text_add(&after, limit, "/");
        search_dir(search, fd, after, level + 1);
        sb_sys_close(fd);
    }
}

static void search_dir(struct search *search, int fd, char *end, unsigned level)
{
    _Alignas(struct sb_sys_entry) char entries[READ_SIZE] = {0};
    long len = 0;
    while ((len = sb_sys_getdents(fd, entries, sizeof entries)) > 0) {
        check(search);
        for (long i = 0; i < len;) {
            const struct sb_sys_entry *entry =
                (const struct sb_sys_entry *)(const void *)(entries + i);
            if (!sb_file_is_itself(entry->name) && !sb_file_is_part(entry->name)) {
                search_entry(search, fd, entry->name, end, level);
            }
            i += entry->len;
        }
    }
}
/* NOLINTEND(misc-no-recursion) */

void sb_file_search(const struct sb_file *file)
{
    static struct sb_place place;
    struct search *search = sb_file_memory(file, sizeof *search);
    search->file = file;
    search->until = sb_sys_seconds() + SB_FILE_SEARCH_S;
    search->left = file->request.count == 0 ? UINT64_MAX : file->request.count;
    /* The worker has compiled it before, so it can be. */
    enum sb_regex_result result =
        sb_regex_compile(file->third, sb_text_len(file->third),
                         (file->request.flags & SB_FILE_FOLD) != 0, &search->regex);
    if (result != SB_REGEX_OK) {
        sb_file_fail(file, -EINVAL, 0);
    }
    sb_regex_matcher_init(&search->matcher, &search->regex);
    sb_file_find_there(file, file->path, SB_PLACE_FOLLOW, &place);
    if (S_ISREG(place.st.st_mode)) {
        search_file(search, place.dir, place.name);
        sb_file_finish(file, 1);
    }
    search_dir(search, sb_file_open_root(file, &place), search->path, 1);
    sb_file_finish(file, 1);
}
