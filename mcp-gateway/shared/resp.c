#include "mcp-gateway/shared/resp.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* The reader wants to make objects of what it reads: there is one, and it is used again. */
struct sb_resp {
    redisReader *reader;
    size_t pending; /* bytes since the last whole answer */
    size_t len;
    long long number;
    enum sb_resp_kind kind;
    bool is_too_much; /* what was said; else the reader knows what is wrong */
    char text[SB_RESP_TEXT];
};

#if HIREDIS_MAJOR < 1
typedef int list_size;
#else
typedef size_t list_size;
#endif

static void *on_text(const redisReadTask *task, char *text, size_t len)
{
    struct sb_resp *resp = task->privdata;
    if (len > sizeof resp->text) {
        resp->is_too_much = true;
        return NULL;
    }
    memcpy(resp->text, text, len);
    resp->len = len;
    resp->kind = task->type == REDIS_REPLY_ERROR ? SB_RESP_ERROR_IS : SB_RESP_TEXT_IS;
    return resp;
}

/* Before the reader makes room for what it is said to have. */
static void *on_list(const redisReadTask *task, list_size n)
{
    (void)n;
    ((struct sb_resp *)task->privdata)->is_too_much = true;
    return NULL;
}

static void *on_number(const redisReadTask *task, long long number)
{
    struct sb_resp *resp = task->privdata;
    resp->number = number;
    resp->kind = SB_RESP_NUMBER_IS;
    return resp;
}

static void *on_nothing(const redisReadTask *task)
{
    struct sb_resp *resp = task->privdata;
    resp->kind = SB_RESP_NOTHING_IS;
    return resp;
}

static void on_free(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions functions = {
    .createString = on_text,
    .createArray = on_list,
    .createInteger = on_number,
    .createNil = on_nothing,
    .freeObject = on_free,
};

struct sb_resp *sb_resp_new(void)
{
    struct sb_resp *resp = calloc(1, sizeof *resp);
    if (resp == NULL) {
        return NULL;
    }
    resp->reader = redisReaderCreateWithFunctions(&functions);
    if (resp->reader == NULL) {
        free(resp);
        return NULL;
    }
    resp->reader->privdata = resp;
    return resp;
}

void sb_resp_free(struct sb_resp *resp)
{
    if (resp != NULL) {
        redisReaderFree(resp->reader);
        free(resp);
    }
}

int sb_resp_feed(struct sb_resp *resp, const void *bytes, size_t n, struct sb_err *err)
{
    resp->pending += n;
    return redisReaderFeed(resp->reader, bytes, n) == REDIS_OK ? 0 : sb_err_oom(err);
}

static int too_much(struct sb_err *err)
{
    return sb_err_set(err, SB_INVALID, "it says more than was asked for");
}

int sb_resp_next(struct sb_resp *resp, struct sb_resp_answer *ret_answer, struct sb_err *err)
{
    void *object = NULL;
    if (redisReaderGetReply(resp->reader, &object) != REDIS_OK) {
        return resp->is_too_much
                   ? too_much(err)
                   : sb_err_set(err, SB_INVALID, "it says what no such store says (%.100s)",
                                resp->reader->errstr);
    }
    if (object == NULL) {
        return resp->pending > 2UL * SB_RESP_PENDING ? too_much(err) : 0;
    }
    /* Of kinds that RESP3 has and we have no function for hiredis makes something of its own, and
     * resp would still hold the answer before. */
    if (object != resp) {
        return too_much(err);
    }
    resp->pending = resp->reader->len - resp->reader->pos;
    *ret_answer = (struct sb_resp_answer){
        .kind = resp->kind, .text = sb_str_of(resp->text, resp->len), .number = resp->number};
    return 1;
}

char *sb_resp_command(const struct sb_str *words, size_t n, size_t *ret_len)
{
    enum { WORDS_MAX = 16 };
    const char *texts[WORDS_MAX];
    size_t lens[WORDS_MAX];
    char *made = NULL;
    for (size_t i = 0; i < n && i < WORDS_MAX; i++) {
        texts[i] = words[i].ptr;
        lens[i] = words[i].len;
    }
    long long len = n > WORDS_MAX ? -1 : redisFormatCommandArgv(&made, (int)n, texts, lens);
    if (len < 0) {
        return NULL;
    }
    *ret_len = (size_t)len;
    return made;
}
