#include "service/init/tree.h"

/* Theory of operation. The kernel lists the children of a thread in /proc/P/task/T/children. All
 * that a job starts stays below its stub, a child subreaper, or below PID 1; so walking down from
 * here finds every process, daemons included. The list is exact only while its process does not
 * run: hence SIGSTOP in rounds until a round finds nothing new. A process with a pending signal
 * cannot finish a fork, so the rounds end.
 *
 * Any other signal must not be sent while walking: a parent that dies of it hands its children up,
 * to where the walk has been already. So all are found first, by walks until two agree. */

#include <fcntl.h>

#include "service/init/sys.h"
#include "service/init/text.h"

enum {
    MAX_PIDS = 32768, /* seen in one walk; what is beyond is met in the next, as the rest is dead */
    MAX_ROUNDS = 64,
    MAX_LOOKS = 8,
    MAX_READ = 2048, /* bytes */
};

struct walk {
    int pids[MAX_PIDS]; /* breadth first */
    int n;
    uint64_t sum;      /* of the pids: tells walks apart */
    int signal_number; /* 0: none */
    const int *spare;
};

static int is_spared(const struct walk *walk, int pid)
{
    for (const int *p = walk->spare; p != NULL && *p != 0; p++) {
        if (*p == pid) {
            return 1;
        }
    }
    return 0;
}

static void meet(struct walk *walk, int pid)
{
    if (pid <= 1 || is_spared(walk, pid)) {
        return;
    }
    if (walk->signal_number != 0) {
        (void)sb_sys_kill(pid, walk->signal_number);
    }
    walk->sum += (uint64_t)pid;
    if (walk->n < MAX_PIDS) {
        walk->pids[walk->n++] = pid;
    }
}

/* "12 13 14 " */
static void read_children(struct walk *walk, int fd)
{
    char data[MAX_READ] = {0};
    long len = 0;
    int pid = 0;
    while ((len = sb_sys_read(fd, data, sizeof data)) > 0) {
        for (long i = 0; i < len; i++) {
            if (data[i] >= '0' && data[i] <= '9') {
                pid = pid * 10 + (data[i] - '0');
            } else if (pid != 0) {
                meet(walk, pid);
                pid = 0;
            }
        }
    }
    if (pid != 0) {
        meet(walk, pid);
    }
}

static void open_children(struct walk *walk, const char *task_dir, const char *thread)
{
    char path[64];
    char *at = path;
    sb_text_add(&at, path + sizeof path, task_dir);
    sb_text_add(&at, path + sizeof path, thread);
    sb_text_add(&at, path + sizeof path, "/children");
    int fd = (int)sb_sys_open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        read_children(walk, fd);
        sb_sys_close(fd);
    }
}

/* Children belong to the thread that made them. */
static void visit(struct walk *walk, int pid)
{
    _Alignas(struct sb_sys_entry) char data[MAX_READ] = {0};
    char task_dir[32];
    char *at = task_dir;
    sb_text_add(&at, task_dir + sizeof task_dir, "/proc/");
    sb_text_add_number(&at, task_dir + sizeof task_dir, (unsigned)pid);
    sb_text_add(&at, task_dir + sizeof task_dir, "/task/");
    int fd = (int)sb_sys_open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    long len = 0;
    while ((len = sb_sys_getdents(fd, data, sizeof data)) > 0) {
        for (long i = 0; i < len;) {
            const struct sb_sys_entry *entry =
                (const struct sb_sys_entry *)(const void *)(data + i);
            if (entry->name[0] != '.') {
                open_children(walk, task_dir, entry->name);
            }
            i += entry->len;
        }
    }
    sb_sys_close(fd);
}

/* Signals while it walks. */
static const struct walk *walk_down(int signal_number, const int *spare)
{
    static struct walk walk; /* too large for the stack */
    walk.n = 0;
    walk.sum = 0;
    walk.signal_number = signal_number;
    walk.spare = spare;
    visit(&walk, sb_sys_getpid());
    for (int i = 0; i < walk.n; i++) {
        visit(&walk, walk.pids[i]);
    }
    return &walk;
}

void sb_tree_signal(int signal_number)
{
    const struct walk *walk = walk_down(0, NULL);
    uint64_t before = 0;
    for (int look = 1; look < MAX_LOOKS && walk->sum != before; look++) {
        before = walk->sum;
        walk = walk_down(0, NULL);
    }
    for (int i = 0; i < walk->n; i++) {
        (void)sb_sys_kill(walk->pids[i], signal_number);
    }
}

void sb_tree_kill(const int *spare)
{
    int before = -1;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        int now = walk_down(SIGSTOP, spare)->n;
        if (now == before) {
            break;
        }
        before = now;
    }
    (void)walk_down(SIGKILL, spare);
}
