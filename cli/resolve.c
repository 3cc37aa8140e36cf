#include "cli/resolve.h"

#include <stdio.h>
#include <string.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/connect.h"
#include "proto/client/message.h"

enum { PAGE = 200 };

/* What is looked for, and what has been found so far. */
struct search {
    const char *kind;  /* "sandbox" */
    const char *kinds; /* "sandboxes" */
    const char *verb;  /* that lists them */
    const char *prefix;
    char wanted[SB_ID_SIZE];
    char found[SB_ID_SIZE];
    unsigned n;
};

static void look_at(struct search *search, const char *id)
{
    if (strncmp(id, search->wanted, strlen(search->wanted)) == 0 && strlen(id) < SB_ID_SIZE) {
        search->n++;
        (void)snprintf(search->found, sizeof search->found, "%s", id);
    }
}

/* *ret_is_whole: the text is a whole id already. Nothing, as of a variable that is not set, is no
 * beginning of an id: where there is one sandbox, it would mean that one. */
static int begin(struct search *search, const char *text, bool *ret_is_whole, struct sb_err *err)
{
    bool has_prefix = strncmp(text, search->prefix, strlen(search->prefix)) == 0;
    *ret_is_whole = sb_id_valid(sb_str_from(text), search->prefix);
    if (*ret_is_whole) {
        (void)snprintf(search->found, sizeof search->found, "%s", text);
        return 0;
    }
    if (text[has_prefix ? strlen(search->prefix) : 0] == '\0') {
        return sb_err_set(err, SB_INVALID, "\"%s\" is not the id of a %s (%s shows what there is)",
                          text, search->kind, search->verb);
    }
    (void)snprintf(search->wanted, sizeof search->wanted, "%s%s", has_prefix ? "" : search->prefix,
                   text);
    return 0;
}

static int finish(const struct search *search, const char *text, struct sb_err *err)
{
    if (search->n == 0) {
        return sb_err_set(err, SB_NOT_FOUND,
                          "no %s has an id that begins with \"%s\" (%s shows what there is)",
                          search->kind, text, search->verb);
    }
    if (search->n > 1) {
        return sb_err_set(err, SB_INVALID, "the ids of %u %s begin with \"%s\": write more of it",
                          search->n, search->kinds, text);
    }
    return 0;
}

int sb_resolve_sandbox(struct sb_connect *connect,
                       const char *text,
                       char ret_id[SB_ID_SIZE],
                       struct sb_err *err)
{
    static Aisbx__V1__SandboxState states[] = {
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_STARTING,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_PAUSED,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_STOPPING,
        AISBX__V1__SANDBOX_STATE__SANDBOX_STATE_DESTROYED,
    };
    struct search search = {
        .kind = "sandbox", .kinds = "sandboxes", .verb = "aisbx list", .prefix = "sb_"};
    Aisbx__V1__ListSandboxesRequest request = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    bool is_whole = false;
    if (begin(&search, text, &is_whole, err) < 0) {
        return -1;
    }
    request.page_size = PAGE;
    request.states = states;
    request.n_states = sizeof states / sizeof states[0];
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListSandboxesResponse *page = NULL;
    for (bool has_more = !is_whole; has_more;) {
        Aisbx__V1__ListSandboxesResponse *reply = NULL;
        if (aisbx__v1__sandbox_service__list_sandboxes__call(connect->channel, &request,
                                                             &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot look for sandbox %s", text);
        }
        sb_message_freep(&page); /* whose token the request borrowed */
        page = reply;
        for (size_t i = 0; i < page->n_sandboxes; i++) {
            look_at(&search, page->sandboxes[i]->sandbox_id);
        }
        request.page_token = page->next_page_token;
        has_more = *page->next_page_token != '\0';
    }
    if (!is_whole && finish(&search, text, err) < 0) {
        return -1;
    }
    memcpy(ret_id, search.found, SB_ID_SIZE);
    return 0;
}

int sb_resolve_exec(struct sb_connect *connect,
                    const char *text,
                    char ret_id[SB_ID_SIZE],
                    struct sb_err *err)
{
    struct search search = {.kind = "exec", .kinds = "execs", .verb = "aisbx ps", .prefix = "ex_"};
    Aisbx__V1__ListExecsRequest request = AISBX__V1__LIST_EXECS_REQUEST__INIT;
    bool is_whole = false;
    if (begin(&search, text, &is_whole, err) < 0) {
        return -1;
    }
    request.page_size = PAGE;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListExecsResponse *page = NULL;
    for (bool has_more = !is_whole; has_more;) {
        Aisbx__V1__ListExecsResponse *reply = NULL;
        if (aisbx__v1__sandbox_service__list_execs__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot look for exec %s", text);
        }
        sb_message_freep(&page); /* whose token the request borrowed */
        page = reply;
        for (size_t i = 0; i < page->n_execs; i++) {
            look_at(&search, page->execs[i]->exec_id);
        }
        request.page_token = page->next_page_token;
        has_more = *page->next_page_token != '\0';
    }
    if (!is_whole && finish(&search, text, err) < 0) {
        return -1;
    }
    memcpy(ret_id, search.found, SB_ID_SIZE);
    return 0;
}

static int
newest_of(struct sb_connect *connect, char *sandbox_id, char ret_id[SB_ID_SIZE], struct sb_err *err)
{
    Aisbx__V1__ListExecsRequest request = AISBX__V1__LIST_EXECS_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListExecsResponse *reply = NULL;
    request.sandbox_id = sandbox_id;
    request.page_size = 1;
    if (aisbx__v1__sandbox_service__list_execs__call(connect->channel, &request, &connect->options,
                                                     &reply, err) < 0) {
        return sb_err_wrap(err, "cannot list the programs of %s", sandbox_id);
    }
    if (reply->n_execs == 0) {
        return sb_err_set(err, SB_NOT_FOUND, "no program has run in %s", sandbox_id);
    }
    (void)snprintf(ret_id, SB_ID_SIZE, "%s", reply->execs[0]->exec_id);
    return 0;
}

int sb_resolve_exec_of(struct sb_connect *connect,
                       const char *text,
                       char ret_id[SB_ID_SIZE],
                       struct sb_err *err)
{
    char sandbox_id[SB_ID_SIZE];
    if (strncmp(text, "ex_", 3) == 0) {
        return sb_resolve_exec(connect, text, ret_id, err);
    }
    if (sb_resolve_sandbox(connect, text, sandbox_id, err) < 0) {
        return -1;
    }
    return newest_of(connect, sandbox_id, ret_id, err);
}

int sb_resolve_snapshot(struct sb_connect *connect,
                        const char *text,
                        char ret_id[SB_ID_SIZE],
                        struct sb_err *err)
{
    struct search search = {
        .kind = "snapshot", .kinds = "snapshots", .verb = "aisbx snapshots", .prefix = "sn_"};
    Aisbx__V1__ListSnapshotsRequest request = AISBX__V1__LIST_SNAPSHOTS_REQUEST__INIT;
    bool is_whole = false;
    if (begin(&search, text, &is_whole, err) < 0) {
        return -1;
    }
    request.page_size = PAGE;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListSnapshotsResponse *page = NULL;
    for (bool has_more = !is_whole; has_more;) {
        Aisbx__V1__ListSnapshotsResponse *reply = NULL;
        if (aisbx__v1__sandbox_service__list_snapshots__call(connect->channel, &request,
                                                             &connect->options, &reply, err) < 0) {
            return sb_err_wrap(err, "cannot look for snapshot %s", text);
        }
        sb_message_freep(&page); /* whose token the request borrowed */
        page = reply;
        for (size_t i = 0; i < page->n_snapshots; i++) {
            look_at(&search, page->snapshots[i]->snapshot_id);
        }
        request.page_token = page->next_page_token;
        has_more = *page->next_page_token != '\0';
    }
    if (!is_whole && finish(&search, text, err) < 0) {
        return -1;
    }
    memcpy(ret_id, search.found, SB_ID_SIZE);
    return 0;
}
