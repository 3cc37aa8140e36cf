#include "service/worker/packages/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"

enum { DIR_MODE = 0755, FILE_MODE = 0444, PROGRAM_MODE = 0555, NAME_BYTES_MAX = 255 };

enum state { STATE_HEAD, STATE_PATH, STATE_BODY };

void sb_tree_init(struct sb_tree *tree, int top, uint64_t max_bytes, uint64_t max_files)
{
    *tree = (struct sb_tree){
        .top = top, .max_bytes = max_bytes, .max_files = max_files, .parent = -1, .file = -1};
}

void sb_tree_done(struct sb_tree *tree)
{
    sb_closep(&tree->file);
    sb_closep(&tree->parent);
    tree->file = tree->parent = -1;
    sb_strings_done(&tree->lines);
}

bool sb_tree_is_whole(const struct sb_tree *tree)
{
    return tree->is_ended;
}

static uint64_t number(const unsigned char *bytes, size_t len)
{
    uint64_t value = 0;
    while (len-- > 0) {
        value = value << 8 | bytes[len];
    }
    return value;
}

static char kind_of(const struct sb_tree *tree)
{
    return (char)tree->head[0];
}

static size_t path_len(const struct sb_tree *tree)
{
    return (size_t)number(tree->head + 2, 2);
}

static uint64_t size_of(const struct sb_tree *tree)
{
    return number(tree->head + 8, 8);
}

/* ---- what is taken ---- */

static int check_head(const struct sb_tree *tree, struct sb_err *err)
{
    static const struct {
        char kind;
        bool has_path;
        uint64_t max_size;
    } rows[] = {
        {'f', true, UINT64_MAX},
        {'l', true, SB_TREE_PATH_MAX},
        {'p', false, SB_TREE_LINE_MAX},
        {'e', false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool has_path = path_len(tree) > 0;
        if (rows[i].kind == kind_of(tree) && rows[i].has_path == has_path &&
            path_len(tree) <= SB_TREE_PATH_MAX && size_of(tree) <= rows[i].max_size &&
            tree->head[1] <= 1 && number(tree->head + 4, 4) == 0) {
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID, "what the install wrote is not a list of files");
}

static bool is_name(struct sb_str name)
{
    return name.len > 0 && name.len <= NAME_BYTES_MAX && !sb_str_eq(name, SB_STR(".")) &&
           !sb_str_eq(name, SB_STR("..")) && !sb_str_has_nul(name);
}

static int refuse_path(const char *what, struct sb_str path, struct sb_err *err)
{
    char shown[128];
    (void)sb_utf8_sanitize(shown, sizeof shown, path, SB_UTF8_ONE_LINE);
    return sb_err_set(err, SB_INVALID, "%s \"%s\" would lead out of the packages", what, shown);
}

static int check_path(struct sb_str path, struct sb_err *err)
{
    struct sb_str rest = path;
    struct sb_str name;
    unsigned depth = 0;
    while (sb_str_next(&rest, '/', &name)) {
        if (!is_name(name) || ++depth > SB_TREE_DEPTH_MAX) {
            return refuse_path("the file", path, err);
        }
    }
    return 0;
}

/* By its words alone: from the directory of @path it never gets above the top. */
static int check_link(const char *path, struct sb_str target, struct sb_err *err)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str name;
    int depth = -1;
    while (sb_str_next(&rest, '/', &name)) {
        depth++;
    }
    rest = target;
    bool is_bad = target.len == 0 || target.ptr[0] == '/' || sb_str_has_nul(target);
    while (!is_bad && sb_str_next(&rest, '/', &name)) {
        if (sb_str_eq(name, SB_STR(".."))) {
            depth--;
        } else if (name.len > 0 && !sb_str_eq(name, SB_STR("."))) {
            depth++;
        }
        is_bad = depth < 0 || name.len > NAME_BYTES_MAX;
    }
    return is_bad ? refuse_path("the link to", target, err) : 0;
}

/* ---- what is written ---- */

static int count_file(struct sb_tree *tree, struct sb_err *err)
{
    if (tree->files >= tree->max_files) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %ju files and directories",
                          (uintmax_t)tree->max_files);
    }
    tree->files++;
    return 0;
}

/* Opens a directory of the top's, or makes it. Links are not followed. */
static int enter(struct sb_tree *tree, int from, const char *name, struct sb_err *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    bool is_new = mkdirat(from, name, DIR_MODE) == 0;
    if ((is_new && count_file(tree, err) < 0)) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int fd = openat(from, name, flags);
    if (fd < 0 || (is_new && fchmod(fd, DIR_MODE) < 0)) {
        return sb_err_sys(err, errno, "make the directory of a package");
    }
    return SB_STEAL_FD(fd);
}

/* The directory that @path is in becomes tree->parent. Returns the last name. */
static const char *find_parent(struct sb_tree *tree, struct sb_err *err)
{
    char *slash = strrchr(tree->path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - tree->path);
    const char *name = slash == NULL ? tree->path : slash + 1;
    if (tree->parent >= 0 && strlen(tree->parent_path) == len &&
        memcmp(tree->parent_path, tree->path, len) == 0) {
        return name;
    }
    sb_closep(&tree->parent);
    tree->parent = fcntl(tree->top, F_DUPFD_CLOEXEC, 3);
    if (tree->parent < 0) {
        (void)sb_err_sys(err, errno, "write packages");
        return NULL;
    }
    struct sb_str rest = sb_str_of(tree->path, len);
    struct sb_str part;
    while (len > 0 && sb_str_next(&rest, '/', &part)) {
        char text[NAME_BYTES_MAX + 1];
        memcpy(text, part.ptr, part.len);
        text[part.len] = '\0';
        int fd = enter(tree, tree->parent, text, err);
        sb_closep(&tree->parent);
        tree->parent = fd;
        if (fd < 0) {
            return NULL;
        }
    }
    memcpy(tree->parent_path, tree->path, len);
    tree->parent_path[len] = '\0';
    return name;
}

static int begin_file(struct sb_tree *tree, struct sb_err *err)
{
    if (size_of(tree) > tree->max_bytes - tree->bytes) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %ju bytes of files",
                          (uintmax_t)tree->max_bytes);
    }
    tree->bytes += size_of(tree);
    if (count_file(tree, err) < 0 || tree->top < 0) {
        return tree->top < 0 ? 0 : -1;
    }
    const char *name = find_parent(tree, err);
    if (name == NULL) {
        return -1;
    }
    tree->file =
        openat(tree->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return tree->file < 0 ? sb_err_sys(err, errno, "write a file of a package") : 0;
}

static int write_file(struct sb_tree *tree, const char *data, size_t len, struct sb_err *err)
{
    while (len > 0 && tree->file >= 0) {
        ssize_t n = write(tree->file, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return sb_err_sys(err, n == 0 ? EIO : errno, "write a file of a package");
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int end_file(struct sb_tree *tree, struct sb_err *err)
{
    if (tree->file >= 0 && fchmod(tree->file, tree->head[1] == 1 ? PROGRAM_MODE : FILE_MODE) < 0) {
        return sb_err_sys(err, errno, "chmod a file of a package");
    }
    sb_closep(&tree->file);
    tree->file = -1;
    return 0;
}

static int make_link(struct sb_tree *tree, struct sb_err *err)
{
    struct sb_str target = sb_str_of(tree->text, tree->have);
    tree->text[tree->have] = '\0';
    if (check_link(tree->path, target, err) < 0 || count_file(tree, err) < 0) {
        return -1;
    }
    if (tree->top < 0) {
        return 0;
    }
    const char *name = find_parent(tree, err);
    if (name == NULL) {
        return -1;
    }
    return symlinkat(tree->text, tree->parent, name) < 0
               ? sb_err_sys(err, errno, "write a link of a package")
               : 0;
}

static int add_line(struct sb_tree *tree, struct sb_err *err)
{
    char line[SB_TREE_LINE_MAX + 1];
    if (tree->lines.n >= SB_TREE_LINES_MAX) {
        return 0;
    }
    size_t n =
        sb_utf8_sanitize(line, sizeof line, sb_str_of(tree->text, tree->have), SB_UTF8_ONE_LINE);
    return sb_strings_add(&tree->lines, sb_str_of(line, n), err);
}

/* ---- records ---- */

static int begin_body(struct sb_tree *tree, struct sb_err *err)
{
    tree->state = STATE_BODY;
    tree->have = 0;
    tree->left = size_of(tree);
    if (path_len(tree) > 0 && check_path(sb_str_of(tree->path, path_len(tree)), err) < 0) {
        return -1;
    }
    return kind_of(tree) == 'f' ? begin_file(tree, err) : 0;
}

static int end_record(struct sb_tree *tree, struct sb_err *err)
{
    int rc = 0;
    if (kind_of(tree) == 'f') {
        rc = end_file(tree, err);
    } else if (kind_of(tree) == 'l') {
        rc = make_link(tree, err);
    } else if (kind_of(tree) == 'p') {
        rc = add_line(tree, err);
    } else {
        tree->is_ended = true;
    }
    tree->state = STATE_HEAD;
    tree->have = 0;
    return rc;
}

/* Collects up to @want bytes in @to. Returns how many it took of data. */
static size_t collect(struct sb_tree *tree, void *to, size_t want, const void *data, size_t len)
{
    size_t n = want - tree->have < len ? want - tree->have : len;
    memcpy((char *)to + tree->have, data, n);
    tree->have += n;
    return n;
}

static int feed_body(struct sb_tree *tree, const char **data, size_t *len, struct sb_err *err)
{
    size_t n = tree->left < *len ? (size_t)tree->left : *len;
    if (kind_of(tree) != 'f') {
        n = collect(tree, tree->text, tree->have + n, *data, n);
    } else if (write_file(tree, *data, n, err) < 0) {
        return -1;
    }
    *data += n;
    *len -= n;
    tree->left -= n;
    return tree->left == 0 ? end_record(tree, err) : 0;
}

static int feed_some(struct sb_tree *tree, const char **data, size_t *len, struct sb_err *err)
{
    bool is_head = tree->state == STATE_HEAD;
    if (tree->state == STATE_BODY) {
        return feed_body(tree, data, len, err);
    }
    size_t want = is_head ? SB_TREE_HEAD_SIZE : path_len(tree);
    size_t n = collect(tree, is_head ? (void *)tree->head : tree->path, want, *data, *len);
    *data += n;
    *len -= n;
    if (tree->have < want) {
        return 0;
    }
    if (is_head) {
        if (check_head(tree, err) < 0) {
            return -1;
        }
        tree->have = 0;
        tree->state = STATE_PATH;
        if (path_len(tree) > 0) {
            return 0;
        }
    }
    tree->path[path_len(tree)] = '\0';
    if (begin_body(tree, err) < 0) {
        return -1;
    }
    return tree->left == 0 ? end_record(tree, err) : 0;
}

int sb_tree_feed(struct sb_tree *tree, const void *data, size_t len, struct sb_err *err)
{
    const char *at = data;
    while (len > 0) {
        if (tree->is_ended) {
            return sb_err_set(err, SB_INVALID, "something came behind the list of files");
        }
        if (feed_some(tree, &at, &len, err) < 0) {
            return -1;
        }
    }
    return 0;
}
