#include "proto/rpc/grpc/inbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"

int sb_grpc_inbox_init(struct sb_grpc_inbox *inbox, struct sb_err *err)
{
    atomic_init(&inbox->head, NULL);
    inbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (inbox->fd < 0) {
        return sb_err_sys(err, errno, "eventfd");
    }
    return 0;
}

void sb_grpc_inbox_done(struct sb_grpc_inbox *inbox)
{
    if (inbox->fd >= 0) {
        (void)close(inbox->fd);
        inbox->fd = -1;
    }
}

void sb_grpc_inbox_post(struct sb_grpc_inbox *inbox, struct sb_grpc_note *note)
{
    struct sb_grpc_note *head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
    /* Once the note is in, the owner may free it and all it belongs to, except the inbox. */
    do {
        note->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->head, &head, note, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        const uint64_t one = 1;
        /* Can fail only when the counter is full, and then the fd is readable already. */
        ssize_t n = write(inbox->fd, &one, sizeof one);
        (void)n;
    }
}

bool sb_grpc_inbox_is_empty(struct sb_grpc_inbox *inbox)
{
    return atomic_load_explicit(&inbox->head, memory_order_relaxed) == NULL;
}

size_t sb_grpc_inbox_run(struct sb_grpc_inbox *inbox)
{
    uint64_t posts = 0;
    /* Before taking the list: a post that comes in between then leaves the fd readable. */
    ssize_t n = read(inbox->fd, &posts, sizeof posts);
    (void)n;
    struct sb_grpc_note *newest =
        atomic_exchange_explicit(&inbox->head, NULL, memory_order_acquire);
    struct sb_grpc_note *oldest = NULL;
    while (newest != NULL) {
        struct sb_grpc_note *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    size_t count = 0;
    while (oldest != NULL) {
        struct sb_grpc_note *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
        count++;
    }
    return count;
}
