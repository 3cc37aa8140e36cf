/** The authority of a sandbox: whom it may vouch for, and that others do not believe it. */
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/authority.h"
#include "service/worker/policy/certificates.h"
#include "service/worker/policy/profile_secrets.h"

static void add(struct sb_profile_secrets *secrets, const char *plain, const char *tls)
{
    struct sb_err err = {0};
    struct sb_profile_secret secret = {.name = strdup("X")};
    if (plain != NULL) {
        assert_int_equal(sb_strings_add(&secret.plain, sb_str_from(plain), &err), 0);
    }
    if (tls != NULL) {
        assert_int_equal(sb_strings_add(&secret.tls, sb_str_from(tls), &err), 0);
    }
    assert_int_equal(sb_profile_secrets_add(secrets, &secret, &err), 0);
}

static X509 *read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    (void)BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static void nobody_needs_one_without_tls(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profile_secrets_done) struct sb_profile_secrets secrets = {0};
    SB_CLEANUP(sb_authority_done) struct sb_authority made = {0};
    assert_int_equal(sb_authority_make(&secrets, 0, &made, &err), 0);
    add(&secrets, "a.org:80", NULL);
    assert_int_equal(sb_authority_make(&secrets, 0, &made, &err), 0);
    assert_null(made.cert);
    assert_null(made.key);
}

/* Is a certificate that the authority made for this name believed? */
static bool permits(const struct sb_authority *authority, const char *san)
{
    X509 *cert = read_cert(authority->cert);
    BIO *bio = BIO_new_mem_buf(authority->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    X509 *leaf = X509_new();
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    assert_non_null(extension);
    (void)X509_set_version(leaf, X509_VERSION_3);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(leaf), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(leaf), 60));
    assert_int_equal(X509_add_ext(leaf, extension, -1), 1);
    assert_int_equal(X509_set_issuer_name(leaf, X509_get_subject_name(cert)), 1);
    assert_int_equal(X509_set_pubkey(leaf, key), 1);
    assert_true(X509_sign(leaf, key, EVP_sha256()) > 0);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, cert), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
    int rc = X509_verify_cert(ctx);
    int why = X509_STORE_CTX_get_error(ctx);
    assert_true(rc == 1 || why == X509_V_ERR_PERMITTED_VIOLATION);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_EXTENSION_free(extension);
    X509_free(leaf);
    X509_free(cert);
    EVP_PKEY_free(key);
    (void)BIO_free(bio);
    return rc == 1;
}

static void it_vouches_for_the_hosts_within_tls_alone(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profile_secrets_done) struct sb_profile_secrets secrets = {0};
    SB_CLEANUP(sb_authority_done) struct sb_authority names = {0};
    SB_CLEANUP(sb_authority_done) struct sb_authority addresses = {0};
    add(&secrets, "plain.org:80", "a.org:443");
    add(&secrets, NULL, "*.b.org:443");
    assert_int_equal(sb_authority_make(&secrets, 1000, &names, &err), 0);
    X509 *cert = read_cert(names.cert);
    assert_int_equal(X509_check_ca(cert), 1);
    assert_int_equal(X509_get_pathlen(cert), 0);
    assert_int_equal(X509_cmp_current_time(X509_get0_notBefore(cert)), -1);
    assert_int_equal(X509_cmp_current_time(X509_get0_notAfter(cert)), 1);
    static const char *const permitted[] = {"DNS:a.org", "DNS:x.b.org"};
    static const char *const others[] = {"DNS:plain.org", "DNS:example.com", "DNS:org",
                                         "IP:127.0.0.1", "IP:::1"};
    for (size_t i = 0; i < sizeof permitted / sizeof *permitted; i++) {
        assert_true(permits(&names, permitted[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (permits(&names, others[i])) {
            fail_msg("%s", others[i]);
        }
    }
    X509_free(cert);
    sb_profile_secrets_done(&secrets);
    add(&secrets, NULL, "10.1.2.3:443");
    add(&secrets, NULL, "[2001:db8::1]:443");
    assert_int_equal(sb_authority_make(&secrets, 0, &addresses, &err), 0);
    assert_true(permits(&addresses, "IP:10.1.2.3"));
    assert_true(permits(&addresses, "IP:2001:db8::1"));
    assert_false(permits(&addresses, "IP:10.1.2.4"));
    assert_false(permits(&addresses, "IP:2001:db8::2"));
    assert_false(permits(&addresses, "DNS:a.org"));
    assert_string_not_equal(names.key, addresses.key);
    assert_non_null(strstr(names.key, "PRIVATE KEY"));
}

/* Who is asked waits at a terminal, or takes what there is at standard input. */
static void nobody_is_asked_for_a_passphrase(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profile_secrets_done) struct sb_profile_secrets secrets = {0};
    SB_CLEANUP(sb_authority_done) struct sb_authority made = {0};
    char text[4096];
    char left[8] = "";
    int fds[2];
    int kept = dup(STDIN_FILENO);
    const char *body = NULL;
    add(&secrets, NULL, "a.org:443");
    assert_int_equal(sb_authority_make(&secrets, 0, &made, &err), 0);
    assert_int_equal(sb_certificates_check(sb_str_from(made.cert), &err), 0);
    body = strchr(made.cert, '\n') + 1;
    (void)snprintf(text, sizeof text,
                   "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                   "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n%s",
                   body);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "theirs\n", 7), 7);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(sb_certificates_check(sb_str_from(text), &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_int_equal(read(fds[0], left, sizeof left), 7);
    assert_string_equal(left, "theirs\n");
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    close(fds[0]);
    close(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_asked_for_a_passphrase),
        cmocka_unit_test(nobody_needs_one_without_tls),
        cmocka_unit_test(it_vouches_for_the_hosts_within_tls_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
