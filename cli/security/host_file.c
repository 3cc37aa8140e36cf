#include "cli/security/host_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "cli/security/host.h"

bool sb_host_file_read(const struct sb_host *host, const char *path, struct sb_host_file *file)
{
    struct sb_err ignored;
    size_t len = 0;
    SB_CLEANUP(sb_closep) int fd = openat(host->root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || sb_fd_read_full(fd, file->data, sizeof file->data, &len, &ignored) < 0) {
        return false;
    }
    file->text = sb_str_of(file->data, len);
    return true;
}

bool sb_host_file_number(const struct sb_host *host, const char *path, uint64_t *ret_number)
{
    struct sb_err ignored;
    struct sb_host_file file;
    return sb_host_file_read(host, path, &file) &&
           sb_num_u64(sb_str_trim(file.text), 0, UINT64_MAX, ret_number, &ignored) == 0;
}

bool sb_host_file_has(struct sb_str list, const char *word)
{
    struct sb_str rest = sb_str_trim(list);
    for (struct sb_str piece; sb_str_next(&rest, ' ', &piece);) {
        if (sb_str_eq(piece, sb_str_from(word))) {
            return true;
        }
    }
    return false;
}
