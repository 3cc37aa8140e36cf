#include "service/worker/filepage.h"

#include <stdlib.h>
#include <string.h>

enum { ITEM_BYTES = 128, TEXT_COPIES = 3 /* what is no UTF-8 grows, and comes raw as well */ };

static int compare(struct sb_str a, struct sb_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *a, const void *b)
{
    struct sb_filepage_item *const *left = a;
    struct sb_filepage_item *const *right = b;
    return compare((*left)->path, (*right)->path);
}

static size_t weight(const struct sb_filepage_item *item)
{
    return ITEM_BYTES + TEXT_COPIES * (item->path.len + item->link.len);
}

bool sb_filepage_init(struct sb_filepage *page, size_t max, size_t max_bytes)
{
    *page = (struct sb_filepage){.max = max, .max_bytes = max_bytes};
    page->items = calloc(max + 1, sizeof(struct sb_filepage_item *));
    return page->items != NULL;
}

void sb_filepage_done(struct sb_filepage *page)
{
    for (size_t i = 0; i < page->n; i++) {
        free(page->items[i]);
    }
    free(page->items);
    *page = (struct sb_filepage){0};
}

static void swap(struct sb_filepage *page, size_t a, size_t b)
{
    struct sb_filepage_item *item = page->items[a];
    page->items[a] = page->items[b];
    page->items[b] = item;
}

static bool is_less(const struct sb_filepage *page, size_t a, size_t b)
{
    return compare(page->items[a]->path, page->items[b]->path) < 0;
}

static void push(struct sb_filepage *page, struct sb_filepage_item *item)
{
    size_t at = page->n++;
    page->items[at] = item;
    page->bytes += weight(item);
    for (; at > 0 && is_less(page, (at - 1) / 2, at); at = (at - 1) / 2) {
        swap(page, at, (at - 1) / 2);
    }
}

/* Puts the largest out. */
static void pop(struct sb_filepage *page)
{
    struct sb_filepage_item *largest = page->items[0];
    page->has_more = true;
    memcpy(page->first_out, largest->path.ptr, largest->path.len);
    page->first_out_len = largest->path.len;
    page->bytes -= weight(largest);
    free(largest);
    page->items[0] = page->items[--page->n];
    for (size_t at = 0; 2 * at + 1 < page->n;) {
        size_t child = 2 * at + 1;
        child += child + 1 < page->n && is_less(page, child, child + 1);
        if (!is_less(page, at, child)) {
            break;
        }
        swap(page, at, child);
        at = child;
    }
}

bool sb_filepage_add(struct sb_filepage *page,
                     const struct sb_file_info *info,
                     struct sb_str path,
                     struct sb_str link)
{
    if (page->has_more && compare(path, sb_str_of(page->first_out, page->first_out_len)) >= 0) {
        return true;
    }
    struct sb_filepage_item *item = malloc(sizeof *item + path.len + link.len);
    if (item == NULL) {
        return false;
    }
    item->info = *info;
    memcpy(item->text, path.ptr, path.len);
    item->path = sb_str_of(item->text, path.len);
    if (link.len > 0) {
        memcpy(item->text + path.len, link.ptr, link.len);
    }
    item->link = sb_str_of(item->text + path.len, link.len);
    push(page, item);
    while (page->n > page->max || (page->bytes > page->max_bytes && page->n > 1)) {
        pop(page);
    }
    return true;
}

void sb_filepage_sort(struct sb_filepage *page)
{
    qsort(page->items, page->n, sizeof(struct sb_filepage_item *), compare_items);
}
