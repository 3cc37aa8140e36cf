#include "service/init/watch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>

#include "service/init/sys.h"
#include "service/init/text.h"

enum { MAX_PROCESSES = 256, MAX_READ = 4096, LOOKS_AT_SPACES = 4 /* for one at the rest */ };

void sb_watch_spaces(struct sb_init_space spaces[SB_INIT_SPACES])
{
    static const char *const paths[SB_INIT_SPACES] = {"/tmp", "/dev/shm", "/workspace"};
    for (int i = 0; i < SB_INIT_SPACES; i++) {
        struct statfs st = {.f_type = 0};
        /* Of an overlay it tells the tmpfs on top. */
        if (sb_sys_statfs(paths[i], &st) < 0 ||
            (st.f_type != TMPFS_MAGIC && st.f_type != OVERLAYFS_SUPER_MAGIC)) {
            continue;
        }
        spaces[i].bytes = st.f_blocks * (uint64_t)st.f_bsize;
        spaces[i].bytes_free = st.f_bfree * (uint64_t)st.f_bsize;
        spaces[i].inodes = st.f_files;
        spaces[i].inodes_free = st.f_ffree;
    }
}

static void look_at_spaces(struct sb_init_seen *seen)
{
    struct sb_init_space spaces[SB_INIT_SPACES] = {{0}};
    sb_watch_spaces(spaces);
    for (int i = 0; i < SB_INIT_SPACES; i++) {
        if (spaces[i].bytes > 0 && spaces[i].bytes_free == 0) {
            seen->bytes_full |= 1U << i;
        }
        if (spaces[i].inodes > 0 && spaces[i].inodes_free == 0) {
            seen->inodes_full |= 1U << i;
        }
    }
}

static uint64_t read_number(const char **at)
{
    uint64_t value = 0;
    while (**at >= '0' && **at <= '9') {
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    }
    return value;
}

/* The line "SigQ:\t3/4096": all that this user has queued, timers among it, and how much may be. */
static void look_at_signals(struct sb_init_seen *seen, int job)
{
    char data[MAX_READ];
    char path[64];
    char *end = path;
    sb_text_add(&end, path + sizeof path, "/proc/");
    sb_text_add_number(&end, path + sizeof path, (unsigned)job);
    sb_text_add(&end, path + sizeof path, "/status");
    int fd = (int)sb_sys_open(path, O_RDONLY | O_CLOEXEC);
    long len = fd < 0 ? 0 : sb_sys_read(fd, data, sizeof data - 1);
    if (fd >= 0) {
        sb_sys_close(fd);
    }
    data[len < 0 ? 0 : len] = '\0';
    for (const char *at = data; *at != '\0'; at++) {
        if (at[0] != '\n' || at[1] != 'S' || at[2] != 'i' || at[3] != 'g' || at[4] != 'Q') {
            continue;
        }
        at += sizeof "\nSigQ:\t" - 1;
        uint64_t queued = read_number(&at);
        at += *at == '/';
        seen->max_signals = read_number(&at);
        seen->most_signals = queued > seen->most_signals ? queued : seen->most_signals;
        return;
    }
}

/* From Linux 6.2 on the size of that directory is how many descriptors there are; 0 before. */
static void look_at_process(struct sb_init_seen *seen, const char *pid)
{
    char path[64];
    char *at = path;
    struct stat st = {.st_size = 0};
    sb_text_add(&at, path + sizeof path, "/proc/");
    sb_text_add(&at, path + sizeof path, pid);
    sb_text_add(&at, path + sizeof path, "/fd");
    if (sb_sys_stat(path, &st) == 0 && (uint64_t)st.st_size > seen->most_files) {
        seen->most_files = (uint64_t)st.st_size;
    }
}

static void look_at_files(struct sb_init_seen *seen)
{
    _Alignas(struct sb_sys_entry) char data[MAX_READ] = {0};
    int fd = (int)sb_sys_open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long len = 0;
    int n = 0;
    while (fd >= 0 && n < MAX_PROCESSES && (len = sb_sys_getdents(fd, data, sizeof data)) > 0) {
        for (long i = 0; i < len;) {
            const struct sb_sys_entry *entry =
                (const struct sb_sys_entry *)(const void *)(data + i);
            if (entry->name[0] >= '1' && entry->name[0] <= '9' && n++ < MAX_PROCESSES) {
                look_at_process(seen, entry->name);
            }
            i += entry->len;
        }
    }
    if (fd >= 0) {
        sb_sys_close(fd);
    }
}

void sb_watch_look(struct sb_init_seen *seen, int job)
{
    look_at_spaces(seen);
    if (++seen->looks % LOOKS_AT_SPACES == 0) {
        look_at_signals(seen, job);
        look_at_files(seen);
    }
}
