#pragma once
#include <stdbool.h>
#include <stddef.h>

/** Intrusive doubly linked ring: a head, and one such member in each element. An element that is in
 *  no list has both pointers NULL (zeroed memory), so removing it twice is harmless. */
struct sb_list {
    struct sb_list *prev;
    struct sb_list *next;
};

/** The element of type @type whose member @member is *node. */
#define SB_LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/** Walks all nodes; the current one may be removed or freed, its successor may not. */
/* NOLINTBEGIN(bugprone-macro-parentheses): node is a name to define */
#define SB_FOREACH(node, head)                                                                     \
    for (struct sb_list *node = (head)->next, *node##_next_ = node->next; node != (head);          \
         node = node##_next_, node##_next_ = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void sb_list_init(struct sb_list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool sb_list_is_empty(const struct sb_list *head)
{
    return head->next == head;
}

/** Walks the list. */
static inline size_t sb_list_count(const struct sb_list *head)
{
    size_t n = 0;
    for (const struct sb_list *node = head->next; node != head; node = node->next) {
        n++;
    }
    return n;
}

static inline bool sb_list_is_linked(const struct sb_list *node)
{
    return node->next != NULL;
}

/** Links node, which is in no list, before @at: before an element, or, at the head, as the last. */
static inline void sb_list_insert_before(struct sb_list *at, struct sb_list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void sb_list_append(struct sb_list *head, struct sb_list *node)
{
    sb_list_insert_before(head, node);
}

static inline void sb_list_prepend(struct sb_list *head, struct sb_list *node)
{
    sb_list_insert_before(head->next, node);
}

/** Unlinks; nothing happens when node is in no list. */
static inline void sb_list_remove(struct sb_list *node)
{
    if (node->next != NULL) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->prev = NULL;
        node->next = NULL;
    }
}

/** Unlinks and returns the first node; NULL when the list is empty. */
static inline struct sb_list *sb_list_pop(struct sb_list *head)
{
    struct sb_list *first = head->next;
    if (first == head) {
        return NULL;
    }
    /* The analyzer loses track of what is still linked when a caller frees what it popped. */
    sb_list_remove(first); /* NOLINT(clang-analyzer-unix.Malloc) */
    return first;
}
