#include "service/worker/denials.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "base/str.h"
#include "base/utf8.h"

enum { FIRST_ROOM = 4 };

/* The table's copy of a text that the caller only lends; NULL stays. */
static bool own(const char **text)
{
    char *copy = *text == NULL ? NULL : strdup(*text);
    bool is_done = copy != NULL || *text == NULL;
    *text = copy;
    return is_done;
}

/* All are tried, so that disown frees only what is ours. */
static bool own_all(struct sb_denial *row)
{
    const char **const texts[] = {&row->name, &row->rule, &row->why, &row->allow};
    bool is_done = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        is_done = own(texts[i]) && is_done;
    }
    return is_done;
}

static void disown(struct sb_denial *row)
{
    const char *const texts[] = {row->name, row->rule, row->why, row->allow};
    for (size_t i = 0; row->kind != SB_DENIAL_CALL && i < sizeof texts / sizeof *texts; i++) {
        void *ptr = NULL;
        memcpy(&ptr, &texts[i], sizeof ptr); /* ours, though others must not write to it */
        free(ptr);
    }
}

void sb_denials_done(struct sb_denials *denials)
{
    for (size_t i = 0; i < denials->n; i++) {
        disown(&denials->items[i]);
    }
    free(denials->items);
    *denials = (struct sb_denials){0};
}

static uint64_t key_of(const struct sb_denial *denial)
{
    return denial->kind != SB_DENIAL_CALL || denial->key_arg < 0
               ? 0
               : (uint32_t)denial->args[denial->key_arg];
}

struct sb_denial *sb_denials_find(const struct sb_denials *denials, const struct sb_denial *what)
{
    for (size_t i = 0; i < denials->n; i++) {
        struct sb_denial *item = &denials->items[i];
        if (item->kind == what->kind && strcmp(item->name, what->name) == 0 &&
            key_of(item) == key_of(what)) {
            return item;
        }
    }
    return NULL;
}

/* Room for one more; rooms are powers of two, and full at one. */
static bool reserve(struct sb_denials *denials)
{
    size_t n = denials->n;
    if (n == SB_DENIALS_MAX) {
        return false;
    }
    if (n != 0 && (n < FIRST_ROOM || (n & (n - 1)) != 0)) {
        return true;
    }
    size_t room = n == 0 ? FIRST_ROOM : n * 2;
    struct sb_denial *items = realloc(denials->items, room * sizeof *items);
    if (items != NULL) {
        denials->items = items;
    }
    return items != NULL;
}

bool sb_denials_add(struct sb_denials *denials, const struct sb_denial *what)
{
    struct sb_denial *item = sb_denials_find(denials, what);
    uint64_t count = what->count == 0 ? 1 : what->count;
    if (item != NULL) {
        item->count += count;
        return false;
    }
    if (!reserve(denials)) {
        denials->n_more += count;
        return false;
    }
    struct sb_denial row = *what;
    row.count = count;
    if (row.kind != SB_DENIAL_CALL && !own_all(&row)) {
        disown(&row);
        denials->n_more += count;
        return false;
    }
    denials->items[denials->n++] = row;
    return true;
}

/* What the telling argument of a call means; 0 as mask: all of it. */
static const struct {
    const char *call;
    uint64_t mask, value;
    const char *name;
} meanings[] = {
#define EXACTLY(call, name)                                                                        \
    {                                                                                              \
        call, 0, name, #name                                                                       \
    }
#define BIT(call, name)                                                                            \
    {                                                                                              \
        call, name, name, #name                                                                    \
    }
    EXACTLY("socket", AF_ALG),        EXACTLY("socket", AF_VSOCK),
    EXACTLY("socket", AF_PACKET),     EXACTLY("socket", AF_NETLINK),
    EXACTLY("socket", AF_BLUETOOTH),  EXACTLY("socket", AF_CAN),
    EXACTLY("socket", AF_KEY),        EXACTLY("socket", AF_TIPC),
    EXACTLY("socket", AF_XDP),        EXACTLY("ptrace", PTRACE_TRACEME),
    EXACTLY("ptrace", PTRACE_ATTACH), EXACTLY("ptrace", PTRACE_SEIZE),
    EXACTLY("ioctl", TIOCSTI),        EXACTLY("ioctl", TIOCCONS),
    EXACTLY("ioctl", TIOCSETD),       EXACTLY("ioctl", FIOSETOWN),
    EXACTLY("fcntl", F_SETOWN),       EXACTLY("fcntl", F_SETOWN_EX),
    EXACTLY("fcntl", F_SETLEASE),     BIT("clone", CLONE_NEWUSER),
    BIT("clone", CLONE_NEWNS),        BIT("clone", CLONE_NEWPID),
    BIT("clone", CLONE_NEWNET),       BIT("clone", CLONE_NEWIPC),
    BIT("clone", CLONE_NEWUTS),       BIT("clone", CLONE_NEWCGROUP),
#undef EXACTLY
#undef BIT
};

static const char *meaning_of(const struct sb_denial *denial)
{
    uint64_t key = key_of(denial);
    for (size_t i = 0; denial->key_arg >= 0 && i < sizeof meanings / sizeof *meanings; i++) {
        uint64_t mask = meanings[i].mask == 0 ? UINT32_MAX : meanings[i].mask;
        if (strcmp(meanings[i].call, denial->name) == 0 &&
            (key & mask) == (uint32_t)meanings[i].value) {
            return meanings[i].name;
        }
    }
    return NULL;
}

const char *sb_denials_describe(const struct sb_denial *denial, char ret_text[SB_DENIAL_TEXT_SIZE])
{
    char raw[SB_DENIAL_TEXT_SIZE];
    if (denial->kind != SB_DENIAL_CALL) {
        (void)sb_utf8_sanitize(ret_text, SB_DENIAL_TEXT_SIZE, sb_str_from(denial->why),
                               SB_UTF8_ONE_LINE);
        return ret_text;
    }
    const char *meaning = meaning_of(denial);
    const char *error = strerrorname_np(denial->error);
    int n = snprintf(raw, sizeof raw,
                     "%s%s%s; first by %.*s (pid %" PRId64 "), arguments %#" PRIx64 ", %#" PRIx64
                     ", %#" PRIx64,
                     meaning == NULL ? "" : meaning, meaning == NULL ? "" : "; ",
                     error == NULL ? "refused" : error, SB_DENIAL_COMM_SIZE,
                     denial->comm[0] == '\0' ? "a process" : denial->comm, denial->pid,
                     denial->args[0], denial->args[1], denial->args[2]);
    size_t len = n < 0 ? 0 : (size_t)n;
    len = len < sizeof raw ? len : sizeof raw - 1;
    (void)sb_utf8_sanitize(ret_text, SB_DENIAL_TEXT_SIZE, sb_str_of(raw, len), SB_UTF8_ONE_LINE);
    return ret_text;
}
