#include "mcp-gateway/shared/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "mcp-gateway/shared/script.h"
#include "mcp-gateway/shared/wire.h"

enum { KEY_SIZE = 128, WORDS_MAX = 16, NUMBER_SIZE = 24, SECRET_SIZE = 512 };

#define CLAIM_MS "86400000" /* as long as workers remember a request_id */

const char *const sb_shared_acts[SB_SHARED_ACTS_] = {"claim", "release", "take"};
const char *const sb_shared_ends[SB_SHARED_ENDS_] = {"done", "failed"};
const double sb_shared_bounds[SB_SHARED_BOUNDS] = {0.00025, 0.0005, 0.001, 0.0025,
                                                   0.005,   0.01,   0.1,   1};

struct sb_shared {
    struct sb_wire *wire;
    struct sb_url url;
    char secret[SECRET_SIZE];
    bool goes_on_without;
    char hashes[SB_SHARED_ACTS_][SB_SCRIPT_HASH_SIZE];
    struct sb_shared_stats stats;
};

/* One script with its words; they are kept, as the store may not know the script yet. */
struct sb_shared_ask {
    struct sb_shared *shared;
    enum sb_shared_act act;
    bool has_text; /* the script itself was sent, not its hash */
    uint64_t begin_ns;
    sb_shared_claimed *claimed;
    sb_shared_taken *taken;
    void *ctx;
    size_t n_keys;
    size_t n; /* words, keys first */
    char words[SB_SHARED_BUCKETS * 3][KEY_SIZE];
};

/* ---- asking ---- */

static void note(struct sb_shared_ask *ask, enum sb_shared_end end)
{
    struct sb_shared_stats *stats = &ask->shared->stats;
    uint64_t us = (sb_clock_mono_ns() - ask->begin_ns) / 1000;
    size_t i = 0;
    stats->n[ask->act][end]++;
    if (end == SB_SHARED_DONE) {
        while (i < SB_SHARED_BOUNDS && (double)us > sb_shared_bounds[i] * 1e6) {
            i++;
        }
        stats->buckets[i]++;
        stats->n_answers++;
        stats->sum_us += us;
    }
}

static void end_failed(struct sb_shared_ask *ask, const struct sb_err *err)
{
    note(ask, SB_SHARED_FAILED);
    if (ask->claimed != NULL) {
        ask->claimed(ask->ctx, NULL, err);
    } else if (ask->taken != NULL) {
        ask->taken(ask->ctx, NULL, err);
    }
    free(ask);
}

static bool read_rate(struct sb_str text, struct sb_shared_rate *ret)
{
    uint64_t numbers[5];
    struct sb_err ignored;
    for (size_t i = 0; i < 5; i++) {
        struct sb_str piece;
        if (!sb_str_next(&text, ' ', &piece) ||
            sb_num_u64(piece, 0, INT64_MAX, &numbers[i], &ignored) < 0) {
            return false;
        }
    }
    *ret = (struct sb_shared_rate){.has_token = numbers[0] != 0,
                                   .bucket = (unsigned)numbers[1],
                                   .remaining = numbers[2],
                                   .reset_ms = numbers[3],
                                   .retry_ms = numbers[4]};
    return numbers[0] <= 1 && numbers[1] < SB_SHARED_BUCKETS;
}

/* False: it is no answer of our script's. */
static bool end_done(struct sb_shared_ask *ask, const struct sb_resp_answer *said)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_shared_rate rate;
    char owner[SB_ID_SIZE];
    if (ask->act == SB_SHARED_CLAIM) {
        if (said->kind != SB_RESP_TEXT_IS || !sb_id_valid(said->text, "wk_")) {
            return false;
        }
        (void)snprintf(owner, sizeof owner, "%.*s", SB_STR_ARG(said->text));
        note(ask, SB_SHARED_DONE);
        if (ask->claimed != NULL) {
            ask->claimed(ask->ctx, owner, &err);
        }
    } else if (ask->act == SB_SHARED_TAKE) {
        if (said->kind != SB_RESP_TEXT_IS || !read_rate(said->text, &rate) ||
            rate.bucket >= ask->n_keys) {
            return false;
        }
        note(ask, SB_SHARED_DONE);
        if (ask->taken != NULL) {
            ask->taken(ask->ctx, &rate, &err);
        }
    } else {
        note(ask, SB_SHARED_DONE);
    }
    free(ask);
    return true;
}

static int send_script(struct sb_shared_ask *ask, bool has_text, struct sb_err *err);

static void on_answer(void *ctx, const struct sb_resp_answer *said, const struct sb_err *err)
{
    struct sb_shared_ask *ask = ctx;
    struct sb_err failure;
    if (err->code == SB_OK && end_done(ask, said)) {
        return;
    }
    bool is_new = err->code == SB_PRECONDITION && strncmp(err->text, "NOSCRIPT", 8) == 0;
    if (is_new && !ask->has_text && send_script(ask, true, &failure) == 0) {
        return;
    }
    if (err->code == SB_CANCELLED) {
        failure = *err;
    } else {
        if (err->code == SB_OK || err->code == SB_PRECONDITION) {
            SB_LOG_WARN("shared store", "act=%s why=%s", sb_shared_acts[ask->act],
                        err->code == SB_OK ? "it is no answer to that" : err->text);
        }
        (void)sb_err_set(&failure, SB_UNAVAILABLE,
                         err->code == SB_UNAVAILABLE
                             ? "%s"
                             : "the store that the gateways share does not do what is asked",
                         err->text);
    }
    end_failed(ask, &failure);
}

static int send_script(struct sb_shared_ask *ask, bool has_text, struct sb_err *err)
{
    char n_keys[NUMBER_SIZE];
    struct sb_str words[WORDS_MAX];
    size_t n = 0;
    (void)snprintf(n_keys, sizeof n_keys, "%zu", ask->n_keys);
    ask->has_text = has_text;
    words[n++] = has_text ? SB_STR("EVAL") : SB_STR("EVALSHA");
    words[n++] = sb_str_from(has_text ? sb_scripts[ask->act] : ask->shared->hashes[ask->act]);
    words[n++] = sb_str_from(n_keys);
    for (size_t i = 0; i < ask->n; i++) {
        words[n++] = sb_str_from(ask->words[i]);
    }
    return sb_wire_ask(ask->shared->wire, words, n, on_answer, ask, err);
}

static struct sb_shared_ask *
ask_new(struct sb_shared *shared, enum sb_shared_act act, struct sb_err *err)
{
    struct sb_shared_ask *ask = calloc(1, sizeof *ask);
    if (ask == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    ask->shared = shared;
    ask->act = act;
    ask->begin_ns = sb_clock_mono_ns();
    return ask;
}

/* Takes it. */
static struct sb_shared_ask *begin(struct sb_shared_ask *ask, struct sb_err *err)
{
    if (send_script(ask, false, err) == 0) {
        return ask;
    }
    note(ask, SB_SHARED_FAILED);
    free(ask);
    return NULL;
}

void sb_shared_forget(struct sb_shared_ask *ask)
{
    ask->claimed = NULL;
    ask->taken = NULL;
}

/* ---- claims ---- */

static int
digest(const EVP_MD *kind, const void *data, size_t len, char *ret_hex, struct sb_err *err)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(data, len, bytes, &n, kind, NULL) != 1) {
        return sb_err_set(err, SB_INTERNAL, "no digest");
    }
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(ret_hex + 2UL * i, 3, "%02x", bytes[i]);
    }
    return 0;
}

int sb_shared_hash(const char *credential,
                   const char *method,
                   const char *request_id,
                   char ret_hash[SB_SHARED_HASH_SIZE],
                   struct sb_err *err)
{
    char parts[3][SB_SHARED_HASH_SIZE];
    const char *const texts[3] = {credential, method, request_id};
    for (size_t i = 0; i < 3; i++) { /* each alone, so that none passes for another's end */
        if (digest(EVP_sha256(), texts[i], strlen(texts[i]), parts[i], err) < 0) {
            return -1;
        }
    }
    return digest(EVP_sha256(), parts, sizeof parts, ret_hash, err);
}

static struct sb_shared_ask *claim_ask(struct sb_shared *shared,
                                       enum sb_shared_act act,
                                       const char *hash,
                                       const char *owner,
                                       struct sb_err *err)
{
    struct sb_shared_ask *ask = ask_new(shared, act, err);
    if (ask != NULL) {
        ask->n_keys = 1;
        (void)snprintf(ask->words[ask->n++], KEY_SIZE, "aisbx:claim:%s", hash);
        (void)snprintf(ask->words[ask->n++], KEY_SIZE, "%s", owner);
        (void)snprintf(ask->words[ask->n++], KEY_SIZE, CLAIM_MS);
    }
    return ask;
}

struct sb_shared_ask *sb_shared_claim(struct sb_shared *shared,
                                      const char *hash,
                                      const char *owner,
                                      sb_shared_claimed *claimed,
                                      void *ctx,
                                      struct sb_err *err)
{
    struct sb_shared_ask *ask = claim_ask(shared, SB_SHARED_CLAIM, hash, owner, err);
    if (ask == NULL) {
        return NULL;
    }
    ask->claimed = claimed;
    ask->ctx = ctx;
    return begin(ask, err);
}

void sb_shared_release(struct sb_shared *shared, const char *hash, const char *owner)
{
    struct sb_err ignored; /* then a repetition goes where this one went, and hears the same */
    struct sb_shared_ask *ask = claim_ask(shared, SB_SHARED_RELEASE, hash, owner, &ignored);
    if (ask != NULL) {
        (void)begin(ask, &ignored);
    }
}

bool sb_shared_goes_on_without(const struct sb_shared *shared)
{
    return shared->goes_on_without;
}

/* ---- rates ---- */

struct sb_shared_ask *sb_shared_take(struct sb_shared *shared,
                                     const struct sb_shared_bucket *buckets,
                                     size_t n,
                                     sb_shared_taken *taken,
                                     void *ctx,
                                     struct sb_err *err)
{
    struct sb_shared_ask *ask = ask_new(shared, SB_SHARED_TAKE, err);
    if (ask == NULL) {
        return NULL;
    }
    ask->taken = taken;
    ask->ctx = ctx;
    ask->n_keys = n;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ask->words[ask->n++], KEY_SIZE, "aisbx:rate:%s", buckets[i].name);
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ask->words[ask->n++], KEY_SIZE, "%ju", (uintmax_t)buckets[i].rate);
        (void)snprintf(ask->words[ask->n++], KEY_SIZE, "%ju", (uintmax_t)buckets[i].burst);
    }
    return begin(ask, err);
}

/* ---- life ---- */

const char *sb_shared_url(const struct sb_shared_options *options)
{
    const char *url = options->url != NULL ? options->url : getenv("AISBX_SHARED_STORE");
    return url == NULL || *url == '\0' ? NULL : url;
}

static int read_secret(struct sb_shared *shared, const char *path, struct sb_err *err)
{
    const char *from = getenv("AISBX_SHARED_STORE_PASSWORD");
    size_t len = 0;
    if (path == NULL) {
        len = from == NULL ? 0 : strlen(from);
        if (len >= sizeof shared->secret) {
            return sb_err_set(err, SB_INVALID, "AISBX_SHARED_STORE_PASSWORD: longer than %d bytes",
                              SECRET_SIZE - 1);
        }
        (void)snprintf(shared->secret, sizeof shared->secret, "%s", from == NULL ? "" : from);
        return 0;
    }
    SB_CLEANUP(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, shared->secret, sizeof shared->secret);
    if (n < 0) {
        return sb_err_sys(err, errno, "--shared-store-password-file %s", path);
    }
    len = (size_t)n;
    while (len > 0 && len < sizeof shared->secret &&
           (shared->secret[len - 1] == '\n' || shared->secret[len - 1] == '\r')) {
        len--;
    }
    if (len == 0 || len == sizeof shared->secret || memchr(shared->secret, '\0', len) != NULL) {
        return sb_err_set(
            err, SB_INVALID,
            "--shared-store-password-file %s: one password of 1 to %d bytes is wanted", path,
            SECRET_SIZE - 1);
    }
    shared->secret[len] = '\0';
    return 0;
}

static int
prepare(struct sb_shared *shared, const struct sb_shared_options *options, struct sb_err *err)
{
    const char *url = sb_shared_url(options);
    if (sb_url_parse(sb_str_from(url), &shared->url, err) < 0 ||
        read_secret(shared, options->password_file, err) < 0) {
        return -1;
    }
    if (options->url != NULL && shared->url.password[0] != '\0') {
        SB_LOG_WARN("the password of the shared store is on the command line, where everybody on "
                    "this machine reads it",
                    "instead=%s", "--shared-store-password-file");
    }
    for (size_t i = 0; i < SB_SHARED_ACTS_; i++) {
        if (digest(EVP_sha1(), sb_scripts[i], strlen(sb_scripts[i]), shared->hashes[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_shared_new(const struct sb_shared_options *options,
                  struct event_base *base,
                  struct sb_shared **ret_shared,
                  struct sb_err *err)
{
    struct sb_shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        return sb_err_oom(err);
    }
    shared->goes_on_without = options->goes_on_without;
    int rc = prepare(shared, options, err);
    if (rc == 0) {
        const struct sb_wire_options wire = {
            .base = base,
            .url = &shared->url,
            .password = shared->secret[0] == '\0' ? NULL : shared->secret,
            .ca = options->ca,
            .cert = options->cert,
            .key = options->key,
        };
        rc = sb_wire_new(&wire, &shared->wire, err);
    }
    if (rc < 0) {
        sb_shared_free(shared);
        return -1;
    }
    *ret_shared = shared;
    return 0;
}

void sb_shared_free(struct sb_shared *shared)
{
    if (shared != NULL) {
        sb_wire_free(shared->wire);
        OPENSSL_cleanse(shared, sizeof *shared);
        free(shared);
    }
}

void sb_shared_tell(const struct sb_shared *shared, struct sb_shared_stats *ret_stats)
{
    *ret_stats = shared->stats;
    ret_stats->is_up = sb_wire_state_of(shared->wire) == SB_WIRE_UP;
    ret_stats->trouble = sb_wire_trouble(shared->wire);
}
