#include "proto/rpc/grpc/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "proto/rpc/grpc/pair.h"
#include "proto/rpc/rpc.h"

enum { PEM_CERT, PEM_KEY, PEM_CA, N_PEM };

static const char *const pem_markers[N_PEM] = {
    [PEM_CERT] = "-----BEGIN CERTIFICATE-----",
    [PEM_KEY] = "PRIVATE KEY-----", /* also EC and RSA PRIVATE KEY */
    [PEM_CA] = "-----BEGIN CERTIFICATE-----",
};

/** What tells a rewritten file from the one that was read. */
struct stamp {
    struct timespec mtime;
    off_t size;
    ino_t ino;
};

struct sb_grpc_identity {
    pthread_mutex_t lock; /* core calls the fetcher on its own threads */
    char *paths[N_PEM];   /* NULL: not given */
    char *kept[N_PEM];    /* for when the file may not be read; NULL: none */
    struct stamp stamps[N_PEM];
    bool is_unread;
};

/** The contents of the files; NULL where no path was given. */
struct pem_set {
    char *text[N_PEM];
};

static void pem_set_done(struct pem_set *set)
{
    for (int i = 0; i < N_PEM; i++) {
        if (set->text[i] != NULL) {
            explicit_bzero(set->text[i], strlen(set->text[i]));
            free(set->text[i]);
        }
    }
}

void sb_grpc_creds_identity_free(struct sb_grpc_identity *identity)
{
    if (identity == NULL) {
        return;
    }
    struct pem_set kept;
    memcpy(kept.text, identity->kept, sizeof kept.text);
    pem_set_done(&kept);
    for (int i = 0; i < N_PEM; i++) {
        free(identity->paths[i]);
    }
    (void)pthread_mutex_destroy(&identity->lock);
    free(identity);
}

struct sb_grpc_identity *sb_grpc_creds_identity_new(const struct sb_rpc_tls *tls,
                                                    struct sb_err *err)
{
    if ((tls->cert_file == NULL) != (tls->key_file == NULL)) {
        (void)sb_err_set(err, SB_INVALID, "TLS needs certificate and key together");
        return NULL;
    }
    struct sb_grpc_identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    (void)pthread_mutex_init(&identity->lock, NULL);
    const char *const paths[N_PEM] = {tls->cert_file, tls->key_file, tls->ca_file};
    const char *const kept[N_PEM] = {tls->cert_pem, tls->key_pem, tls->ca_pem};
    for (int i = 0; i < N_PEM; i++) {
        if ((paths[i] != NULL && (identity->paths[i] = strdup(paths[i])) == NULL) ||
            (kept[i] != NULL && (identity->kept[i] = strdup(kept[i])) == NULL)) {
            sb_grpc_creds_identity_free(identity);
            (void)sb_err_oom(err);
            return NULL;
        }
    }
    return identity;
}

/** All zero for a file that is absent, which thereby also counts as a change. */
static struct stamp take_stamp(const char *path)
{
    struct stat st;
    if (path == NULL || stat(path, &st) < 0) {
        return (struct stamp){0};
    }
    return (struct stamp){.mtime = st.st_mtim, .size = st.st_size, .ino = st.st_ino};
}

static bool stamps_differ(const struct stamp *a, const struct stamp *b)
{
    return a->mtime.tv_sec != b->mtime.tv_sec || a->mtime.tv_nsec != b->mtime.tv_nsec ||
           a->size != b->size || a->ino != b->ino;
}

static bool is_stale_locked(const struct sb_grpc_identity *identity)
{
    if (identity->is_unread) {
        return true;
    }
    for (int i = 0; i < N_PEM; i++) {
        struct stamp now = take_stamp(identity->paths[i]);
        if (stamps_differ(&now, &identity->stamps[i])) {
            return true;
        }
    }
    return false;
}

bool sb_grpc_creds_is_stale(struct sb_grpc_identity *identity)
{
    (void)pthread_mutex_lock(&identity->lock);
    bool is_stale = is_stale_locked(identity);
    (void)pthread_mutex_unlock(&identity->lock);
    return is_stale;
}

static int read_pem(const char *path, const char *marker, char **ret_text, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_GRPC_MAX_PEM_BYTES);
    if (sb_fd_read_file(AT_FDCWD, path, SB_GRPC_MAX_PEM_BYTES, &buf, err) < 0) {
        return sb_err_wrap(err, "TLS file %s", path);
    }
    if (strstr(sb_buf_cstr(&buf), marker) == NULL) {
        return sb_err_set(err, SB_INVALID, "TLS file %s: no line \"%s\"", path, marker);
    }
    char *text = sb_buf_steal(&buf);
    if (text == NULL) {
        return sb_err_oom(err);
    }
    *ret_text = text;
    return 0;
}

/** From the file, or what is kept of it when only that may be read. */
static int
read_one(const struct sb_grpc_identity *identity, int i, char **ret_text, struct sb_err *err)
{
    if (read_pem(identity->paths[i], pem_markers[i], ret_text, err) == 0) {
        return 0;
    }
    if (err->sys != EACCES || identity->kept[i] == NULL) {
        return -1;
    }
    *ret_text = strdup(identity->kept[i]);
    return *ret_text == NULL ? sb_err_oom(err) : 0;
}

/** Core would only fail each handshake, with words that name no file. */
static int
check_pair(const struct sb_grpc_identity *identity, const struct pem_set *set, struct sb_err *err)
{
    if (set->text[PEM_CERT] == NULL || set->text[PEM_KEY] == NULL) {
        return 0;
    }
    const char *cert = identity->paths[PEM_CERT];
    const char *key = identity->paths[PEM_KEY];
    switch (sb_grpc_pair_check(set->text[PEM_CERT], set->text[PEM_KEY])) {
    case SB_GRPC_PAIR_FITS:
        return 0;
    case SB_GRPC_PAIR_NO_CERT:
        return sb_err_set(err, SB_INVALID, "TLS file %s holds no certificate that can be read",
                          cert);
    case SB_GRPC_PAIR_NO_KEY:
        return sb_err_set(
            err, SB_INVALID,
            "TLS file %s holds no key that can be read (one with a passphrase cannot: "
            "openssl pkey -in %s -out plain.key)",
            key, key);
    case SB_GRPC_PAIR_DIFFERS:
        break;
    }
    return sb_err_set(err, SB_INVALID,
                      "TLS files %s and %s are no pair: the key is another certificate's; give the "
                      "key that this certificate was made with",
                      cert, key);
}

/** Stamps are taken before reading: a file replaced meanwhile looks changed next time. */
static int
read_set_locked(struct sb_grpc_identity *identity, struct pem_set *ret_set, struct sb_err *err)
{
    struct pem_set set = {0};
    identity->is_unread = false;
    for (int i = 0; i < N_PEM; i++) {
        identity->stamps[i] = take_stamp(identity->paths[i]);
    }
    for (int i = 0; i < N_PEM; i++) {
        if (identity->paths[i] != NULL && read_one(identity, i, &set.text[i], err) < 0) {
            pem_set_done(&set);
            return -1;
        }
    }
    if (check_pair(identity, &set, err) < 0) {
        pem_set_done(&set);
        return -1;
    }
    *ret_set = set;
    return 0;
}

static int read_set(struct sb_grpc_identity *identity, struct pem_set *ret_set, struct sb_err *err)
{
    (void)pthread_mutex_lock(&identity->lock);
    int result = read_set_locked(identity, ret_set, err);
    (void)pthread_mutex_unlock(&identity->lock);
    return result;
}

static void forget(struct sb_grpc_identity *identity)
{
    (void)pthread_mutex_lock(&identity->lock);
    identity->is_unread = true;
    (void)pthread_mutex_unlock(&identity->lock);
}

/** Core asks before each handshake, and keeps what it had when it gets nothing better. */
static grpc_ssl_certificate_config_reload_status
fetch_config(void *ctx, grpc_ssl_server_certificate_config **ret_config)
{
    struct sb_grpc_identity *identity = ctx;
    SB_CLEANUP(pem_set_done) struct pem_set set = {0};
    struct sb_err err;
    (void)pthread_mutex_lock(&identity->lock);
    bool is_stale = is_stale_locked(identity);
    int result = is_stale ? read_set_locked(identity, &set, &err) : 0;
    (void)pthread_mutex_unlock(&identity->lock);
    if (!is_stale) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    if (result < 0) {
        SB_LOG_WARN("certificate not reloaded", "why=%s", err.text);
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    }
    grpc_ssl_pem_key_cert_pair pair = {
        .private_key = set.text[PEM_KEY],
        .cert_chain = set.text[PEM_CERT],
    };
    /* Core insists on roots even where it will not ask for a certificate. */
    const char *roots = set.text[PEM_CA] != NULL ? set.text[PEM_CA] : set.text[PEM_CERT];
    *ret_config = grpc_ssl_server_certificate_config_create(roots, &pair, 1);
    SB_LOG_INFO("certificate read", "file=%s", identity->paths[PEM_CERT]);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

int sb_grpc_creds_server(struct sb_grpc_identity *identity,
                         grpc_server_credentials **ret_creds,
                         struct sb_err *err)
{
    if (identity->paths[PEM_CERT] == NULL) {
        return sb_err_set(err, SB_INVALID, "a TLS server needs a certificate and its key");
    }
    /* Core reads the first set itself, when the port is added; this says what is wrong with it. */
    SB_CLEANUP(pem_set_done) struct pem_set set = {0};
    if (read_set(identity, &set, err) < 0) {
        return -1;
    }
    forget(identity);
    grpc_ssl_server_credentials_options *options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            identity->paths[PEM_CA] != NULL
                ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
            fetch_config, identity);
    grpc_server_credentials *creds = grpc_ssl_server_credentials_create_with_options(options);
    if (creds == NULL) {
        return sb_err_set(err, SB_INTERNAL, "TLS server credentials refused");
    }
    *ret_creds = creds;
    return 0;
}

int sb_grpc_creds_channel(struct sb_grpc_identity *identity,
                          grpc_channel_credentials **ret_creds,
                          struct sb_err *err)
{
    SB_CLEANUP(pem_set_done) struct pem_set set = {0};
    if (read_set(identity, &set, err) < 0) {
        return -1;
    }
    grpc_ssl_pem_key_cert_pair pair = {
        .private_key = set.text[PEM_KEY],
        .cert_chain = set.text[PEM_CERT],
    };
    grpc_channel_credentials *creds = grpc_ssl_credentials_create_ex(
        set.text[PEM_CA], set.text[PEM_CERT] != NULL ? &pair : NULL, NULL, NULL);
    if (creds == NULL) {
        return sb_err_set(err, SB_INVALID, "TLS channel credentials refused");
    }
    *ret_creds = creds;
    return 0;
}
