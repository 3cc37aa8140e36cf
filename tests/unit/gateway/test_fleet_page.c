#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "mcp-gateway/fleet/merge_internal.h"
#include "proto/client/message.h"

/* Workers that are lists: items by time, newest first; 0 ends them. */
enum { WORKERS = 3, ITEMS = 8 };
static const char *const tags[WORKERS] = {"aaaaaa", "bbbbbb", "cccccc"};
struct world {
    int times[WORKERS][ITEMS];
};

static char *text(const char *from)
{
    char *copy = strdup(from);
    assert_non_null(copy);
    return copy;
}

static void *make(const ProtobufCMessageDescriptor *type)
{
    struct sb_err err;
    void *made = sb_merge_new(type, &err);
    assert_non_null(made);
    return made;
}

static Aisbx__V1__Sandbox *sandbox(int worker, int time)
{
    char id[32];
    Aisbx__V1__Sandbox *box = make(&aisbx__v1__sandbox__descriptor);
    (void)snprintf(id, sizeof id, "sb_%s%d", tags[worker], time);
    box->sandbox_id = text(id);
    box->create_time = make(&google__protobuf__timestamp__descriptor);
    box->create_time->seconds = time;
    return box;
}

/* What a worker answers: its token is where its next page begins. */
static ProtobufCMessage *
answer(const struct world *world, int worker, const Aisbx__V1__ListSandboxesRequest *req)
{
    Aisbx__V1__ListSandboxesResponse *reply = make(&aisbx__v1__list_sandboxes_response__descriptor);
    int before = req->page_token[0] == '\0' ? 1000 : atoi(req->page_token);
    reply->sandboxes = calloc(ITEMS, sizeof(void *));
    int i = 0;
    for (; i < ITEMS && world->times[worker][i] != 0; i++) {
        if (world->times[worker][i] >= before) {
            continue;
        }
        if (reply->n_sandboxes == req->page_size) {
            char token[16];
            (void)snprintf(token, sizeof token, "%d",
                           (int)reply->sandboxes[reply->n_sandboxes - 1]->create_time->seconds);
            reply->next_page_token = text(token);
            break;
        }
        reply->sandboxes[reply->n_sandboxes++] = sandbox(worker, world->times[worker][i]);
    }
    return &reply->base;
}

/* One page through the merge, printed: "9a 7b ". Returns the next token. */
static char *
page(const struct world *world, unsigned size, const char *token, bool is_gone[WORKERS], char *out)
{
    Aisbx__V1__ListSandboxesRequest req = AISBX__V1__LIST_SANDBOXES_REQUEST__INIT;
    char *own = text(token);
    struct sb_err err = {.code = SB_OK};
    struct sb_merge merge = {.kind = sb_merge_find("/aisbx.v1.SandboxService/ListSandboxes")};
    req.page_size = size;
    req.page_token = own;
    struct sb_fleet_call call = {
        .message = &req.base,
        .method =
            &aisbx__v1__sandbox_service__methods[AISBX__V1__SANDBOX_SERVICE__METHOD_LIST_SANDBOXES],
    };
    merge.page = sb_page_new(&call, &err);
    free(own);
    if (merge.page == NULL) {
        assert_int_equal(err.code, SB_INVALID);
        return NULL;
    }
    for (int i = 0; i < WORKERS; i++) {
        ProtobufCMessage *asked = sb_page_request(merge.page, &call, tags[i], &err);
        if (asked != NULL) {
            struct sb_merge_leg *leg = calloc(1, sizeof *leg);
            (void)snprintf(leg->tag, sizeof leg->tag, "%s", tags[i]);
            if (!is_gone[i]) {
                leg->message = answer(world, i, (const void *)asked);
            }
            merge.legs[merge.n++] = leg;
            protobuf_c_message_free_unpacked(asked, NULL);
        }
    }
    Aisbx__V1__ListSandboxesResponse *reply = (void *)sb_page_join(&merge, &call, &err);
    assert_non_null(reply);
    assert_true(reply->n_sandboxes <= size);
    for (size_t i = 0; i < reply->n_sandboxes; i++) {
        out += sprintf(out, "%d%c ", (int)reply->sandboxes[i]->create_time->seconds,
                       reply->sandboxes[i]->sandbox_id[3]);
    }
    *out = '\0';
    char *next = text(reply->next_page_token);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    sb_page_free(merge.page);
    for (size_t i = 0; i < merge.n; i++) {
        if (merge.legs[i]->message != NULL) {
            protobuf_c_message_free_unpacked(merge.legs[i]->message, NULL);
        }
        free(merge.legs[i]);
    }
    return next;
}

static void read_all(const struct world *world, unsigned size, char *out)
{
    bool gone[WORKERS] = {false};
    char *token = text("");
    do {
        char one[512];
        char *next = page(world, size, token, gone, one);
        out = stpcpy(out, one);
        free(token);
        token = next;
    } while (token[0] != '\0');
    free(token);
}

/* ---- */

static void pages_of_any_size_are_one_list(void **state)
{
    (void)state;
    static const struct {
        struct world world;
        const char *list;
    } rows[] = {
        {{{{0}, {0}, {0}}}, ""},
        {{{{5, 3}, {0}, {0}}}, "5a 3a "},
        {{{{9, 6, 3}, {8, 5, 2}, {7, 4, 1}}}, "9a 8b 7c 6a 5b 4c 3a 2b 1c "},
        {{{{9, 8, 7, 6}, {5, 4}, {3}}}, "9a 8a 7a 6a 5b 4b 3c "},
        {{{{1}, {9, 8, 7, 6, 5}, {0}}}, "9b 8b 7b 6b 5b 1a "},
        {{{{4}, {4}, {4}}}, "4a 4b 4c "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned size = 1; size < 12; size++) {
            char got[512] = "";
            read_all(&rows[i].world, size, got);
            assert_string_equal(got, rows[i].list);
        }
    }
}

static void what_ends_between_pages_moves_nothing_else(void **state)
{
    (void)state;
    static const struct world before = {{{9, 6, 3}, {8, 5, 2}, {0}}};
    static const struct world after = {{{6, 3}, {5, 2}, {0}}}; /* 9 and 8 were shown, and end */
    bool gone[WORKERS] = {false};
    char out[512];
    char *token = page(&before, 2, "", gone, out);
    assert_string_equal(out, "9a 8b ");
    char *next = page(&after, 2, token, gone, out);
    assert_string_equal(out, "6a 5b ");
    free(token);
    free(next);
}

static void nothing_is_shown_again_when_what_was_shown_last_is_gone(void **state)
{
    (void)state;
    static const struct world before = {{{9, 8, 5}, {7, 6, 4}, {0}}};
    static const struct world after = {{{9, 5}, {7, 6, 4}, {0}}}; /* 8 was its worker's last */
    bool gone[WORKERS] = {false};
    char out[512];
    char *token = page(&before, 3, "", gone, out);
    assert_string_equal(out, "9a 8a 7b ");
    char *next = page(&after, 3, token, gone, out);
    assert_string_equal(out, "6b 5a 4b ");
    free(token);
    free(next);
}

static void a_worker_that_is_lost_takes_only_its_own_along(void **state)
{
    (void)state;
    static const struct world world = {{{9, 6, 3}, {8, 5, 2}, {7, 4, 1}}};
    bool gone[WORKERS] = {false};
    char out[512];
    char *token = page(&world, 2, "", gone, out);
    gone[1] = true;
    char *next = page(&world, 9, token, gone, out);
    assert_string_equal(out, "7c 6a 4c 3a 1c ");
    assert_string_equal(next, "");
    free(token);
    free(next);
}

static void other_tokens_are_refused(void **state)
{
    (void)state;
    static const struct world world = {{{9}, {0}, {0}}};
    static const char *const tokens[] = {
        "x",
        "w1~",
        "w1~aaaaaa",
        "w1~aaaaaa.1",
        "w1~aaaaaa.1.x.",
        "w1~toolongtag.1.1.",
        "0123456789abcdef0123456789abcdef",
        "w1~aaaaaa.0123456789012345678901234567890123456789012345678901234567890123456789.0."};
    bool gone[WORKERS] = {false};
    char out[512];
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        assert_null(page(&world, 2, tokens[i], gone, out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_any_size_are_one_list),
        cmocka_unit_test(what_ends_between_pages_moves_nothing_else),
        cmocka_unit_test(nothing_is_shown_again_when_what_was_shown_last_is_gone),
        cmocka_unit_test(a_worker_that_is_lost_takes_only_its_own_along),
        cmocka_unit_test(other_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
