#include "mcp-gateway/fleet/members.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

struct address {
    char text[SB_MEMBERS_ADDRESS_SIZE];
    int entry; /* of the list */
};

struct addresses {
    struct address items[SB_MEMBERS_MAX];
    size_t n;
};

/* What loop and thread share. The last of them frees it. */
struct looker {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool is_ended;
    unsigned refs;
    int told; /* eventfd */
    struct addresses found;
    char *text;
    struct sb_members_entry entries[SB_MEMBERS_MAX]; /* borrow from text */
    size_t n;
};

struct sb_members {
    struct looker *looker;
    struct event *event;
    sb_members_changed *changed;
    void *ctx;
    struct addresses now;
    char names[SB_MEMBERS_MAX][SB_MEMBERS_ADDRESS_SIZE]; /* by entry; "": an address */
};

/* ---- the list ---- */

static int parse_one(struct sb_str text, struct sb_members_entry *ret, struct sb_err *err)
{
    static const struct sb_str scheme = {"dns:", 4};
    struct sb_str rest = text;
    size_t colon = text.len;
    if (text.len == 0 || text.len >= SB_MEMBERS_ADDRESS_SIZE) {
        return sb_err_set(err, SB_INVALID, "workers: \"%.*s\" is no address of a worker",
                          SB_STR_ARG(text));
    }
    if (!sb_str_starts_with(text, scheme)) {
        *ret = (struct sb_members_entry){.address = text};
        return 0;
    }
    rest = sb_str_skip(text, scheme.len);
    while (sb_str_starts_with(rest, SB_STR("/"))) {
        rest = sb_str_skip(rest, 1);
    }
    for (colon = rest.len; colon > 0 && rest.ptr[colon - 1] != ':'; colon--) {
    }
    if (colon < 2 || colon == rest.len) {
        return sb_err_set(err, SB_INVALID, "workers: \"%.*s\": dns:///NAME:PORT is wanted",
                          SB_STR_ARG(text));
    }
    *ret = (struct sb_members_entry){.address = sb_str_head(rest, colon - 1),
                                     .port = sb_str_skip(rest, colon)};
    return 0;
}

int sb_members_parse(struct sb_str text,
                     struct sb_members_entry ret_entries[SB_MEMBERS_MAX],
                     size_t *ret_n,
                     struct sb_err *err)
{
    struct sb_str rest = text;
    struct sb_str piece;
    size_t n = 0;
    while (sb_str_next(&rest, ',', &piece)) {
        if (n == SB_MEMBERS_MAX) {
            return sb_err_set(err, SB_INVALID, "workers: more than %d", SB_MEMBERS_MAX);
        }
        if (parse_one(sb_str_trim(piece), &ret_entries[n++], err) < 0) {
            return -1;
        }
    }
    *ret_n = n;
    return 0;
}

/* ---- looking up, on the thread ---- */

static bool has(const struct addresses *addresses, const char *text)
{
    for (size_t i = 0; i < addresses->n; i++) {
        if (strcmp(addresses->items[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

static void put(struct addresses *addresses, const char *text, int entry)
{
    if (addresses->n < SB_MEMBERS_MAX && !has(addresses, text)) {
        struct address *made = &addresses->items[addresses->n++];
        (void)snprintf(made->text, sizeof made->text, "%s", text);
        made->entry = entry;
    }
}

static void put_found(struct addresses *addresses, const struct addrinfo *found, int entry)
{
    for (; found != NULL; found = found->ai_next) {
        char host[NI_MAXHOST];
        char port[NI_MAXSERV];
        char text[SB_MEMBERS_ADDRESS_SIZE];
        if (getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, port, sizeof port,
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
            strlen(host) < sizeof text / 2) {
            bool is_six = found->ai_family == AF_INET6;
            (void)snprintf(text, sizeof text, is_six ? "ipv6:[%.128s]:%.8s" : "ipv4:%.128s:%.8s",
                           host, port);
            put(addresses, text, entry);
        }
    }
}

/* What this entry had before stays, where nobody could say what it has now. */
static void keep(struct addresses *addresses, const struct addresses *before, int entry)
{
    for (size_t i = 0; i < before->n; i++) {
        if (before->items[i].entry == entry) {
            put(addresses, before->items[i].text, entry);
        }
    }
}

static void look_up(const struct looker *looker,
                    int entry,
                    const struct addresses *before,
                    struct addresses *addresses)
{
    const struct sb_members_entry *at = &looker->entries[entry];
    static const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    SB_CLEANUP(sb_freep) char *name = sb_str_dup(at->address);
    SB_CLEANUP(sb_freep) char *port = sb_str_dup(at->port);
    int rc = name == NULL || port == NULL ? EAI_MEMORY : getaddrinfo(name, port, &hints, &found);
    if (rc == 0) {
        put_found(addresses, found, entry);
        freeaddrinfo(found);
    } else if (rc != EAI_NONAME && rc != EAI_NODATA) {
        SB_LOG_DEBUG("no answer about workers", "name=%s why=%s", name == NULL ? "" : name,
                     gai_strerror(rc));
        keep(addresses, before, entry);
    }
}

static void
collect(const struct looker *looker, const struct addresses *before, struct addresses *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < looker->n; i++) {
        if (looker->entries[i].port.len == 0) {
            char text[SB_MEMBERS_ADDRESS_SIZE];
            (void)snprintf(text, sizeof text, "%.*s", SB_STR_ARG(looker->entries[i].address));
            put(ret, text, (int)i);
        } else {
            look_up(looker, (int)i, before, ret);
        }
    }
}

static void unref(struct looker *looker)
{
    pthread_mutex_lock(&looker->lock);
    bool is_last = --looker->refs == 0;
    pthread_mutex_unlock(&looker->lock);
    if (is_last) {
        pthread_cond_destroy(&looker->ended);
        pthread_mutex_destroy(&looker->lock);
        close(looker->told);
        free(looker->text);
        free(looker);
    }
}

static bool has_names(const struct looker *looker)
{
    for (size_t i = 0; i < looker->n; i++) {
        if (looker->entries[i].port.len > 0) {
            return true;
        }
    }
    return false;
}

/* False: it is over. */
static bool tell_and_sleep(struct looker *looker, const struct addresses *found)
{
    const uint64_t one = 1;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SB_MEMBERS_LOOK_MS / 1000;
    pthread_mutex_lock(&looker->lock);
    looker->found = *found;
    (void)!write(looker->told, &one, sizeof one);
    while (!looker->is_ended &&
           pthread_cond_timedwait(&looker->ended, &looker->lock, &until) != ETIMEDOUT) {
    }
    bool goes_on = !looker->is_ended;
    pthread_mutex_unlock(&looker->lock);
    return goes_on;
}

static void *look(void *ctx)
{
    struct looker *looker = ctx;
    struct addresses *found = calloc(2, sizeof *found);
    bool goes_on = found != NULL;
    while (goes_on) {
        collect(looker, &found[1], &found[0]);
        found[1] = found[0];
        goes_on = tell_and_sleep(looker, &found[0]) && has_names(looker);
    }
    free(found);
    unref(looker);
    return NULL;
}

/* ---- the loop ---- */

static bool is_same(const struct addresses *a, const struct addresses *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!has(b, a->items[i].text)) {
            return false;
        }
    }
    return true;
}

static void on_told(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_members *members = ctx;
    struct looker *looker = members->looker;
    uint64_t n = 0;
    const char *addresses[SB_MEMBERS_MAX];
    const char *names[SB_MEMBERS_MAX];
    (void)!read(fd, &n, sizeof n);
    pthread_mutex_lock(&looker->lock);
    bool is_news = !is_same(&members->now, &looker->found);
    members->now = looker->found;
    pthread_mutex_unlock(&looker->lock);
    if (!is_news) {
        return;
    }
    for (size_t i = 0; i < members->now.n; i++) {
        const char *name = members->names[members->now.items[i].entry];
        addresses[i] = members->now.items[i].text;
        names[i] = name[0] == '\0' ? NULL : name;
    }
    members->changed(members->ctx, addresses, names, members->now.n);
}

static struct looker *looker_new(const char *text, struct sb_err *err)
{
    pthread_condattr_t monotonic;
    struct looker *looker = calloc(1, sizeof *looker);
    if (looker == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    looker->refs = 1;
    (void)pthread_mutex_init(&looker->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&looker->ended, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    looker->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    looker->text = strdup(text);
    if (looker->told < 0 || looker->text == NULL) {
        (void)sb_err_sys(err, looker->told < 0 ? errno : ENOMEM, "look for workers");
    } else if (sb_members_parse(sb_str_from(looker->text), looker->entries, &looker->n, err) == 0) {
        return looker;
    }
    unref(looker);
    return NULL;
}

/* Signals are the loop's. */
static int start_thread(struct looker *looker, struct sb_err *err)
{
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    looker->refs++;
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, look, looker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        looker->refs--;
        return sb_err_sys(err, rc, "look for workers");
    }
    (void)pthread_detach(thread);
    return 0;
}

int sb_members_new(struct event_base *base,
                   const char *text,
                   sb_members_changed *changed,
                   void *ctx,
                   struct sb_members **ret_members,
                   struct sb_err *err)
{
    struct sb_members *members = calloc(1, sizeof *members);
    if (members == NULL) {
        return sb_err_oom(err);
    }
    members->changed = changed;
    members->ctx = ctx;
    members->looker = looker_new(text, err);
    if (members->looker == NULL) {
        free(members);
        return -1;
    }
    struct looker *looker = members->looker;
    for (size_t i = 0; i < looker->n; i++) {
        if (looker->entries[i].port.len > 0) {
            (void)snprintf(members->names[i], sizeof members->names[i], "%.*s",
                           SB_STR_ARG(looker->entries[i].address));
        }
    }
    members->event = event_new(base, looker->told, EV_READ | EV_PERSIST, on_told, members);
    if (members->event == NULL || event_add(members->event, NULL) < 0) {
        sb_members_free(members);
        return sb_err_oom(err);
    }
    if (start_thread(looker, err) < 0) {
        sb_members_free(members);
        return -1;
    }
    *ret_members = members;
    return 0;
}

void sb_members_free(struct sb_members *members)
{
    if (members == NULL) {
        return;
    }
    if (members->event != NULL) {
        event_free(members->event);
    }
    pthread_mutex_lock(&members->looker->lock);
    members->looker->is_ended = true;
    pthread_cond_broadcast(&members->looker->ended);
    pthread_mutex_unlock(&members->looker->lock);
    unref(members->looker);
    free(members);
}
