#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "certs.h"
#include "fixture.h"

static struct sb_rpc_tls identity_of(const char *name, const char *ca)
{
    static char files[8][128];
    static unsigned next;
    char *cert = files[next++ % 8];
    char *key = files[next++ % 8];
    char *root = files[next++ % 8];
    struct sb_rpc_tls tls = {0};
    if (name != NULL) {
        (void)snprintf(cert, 128, "%s/%s.pem", fixture_scratch(), name);
        (void)snprintf(key, 128, "%s/%s.key", fixture_scratch(), name);
        tls.cert_file = cert;
        tls.key_file = key;
    }
    if (ca != NULL) {
        (void)snprintf(root, 128, "%s/%s.pem", fixture_scratch(), ca);
        tls.ca_file = root;
    }
    return tls;
}

static struct fixture *start_server(const char *name, const char *client_ca)
{
    struct sb_rpc_tls tls = identity_of(name, client_ca);
    const struct fixture_options options = {.address = "ipv4:127.0.0.1:0", .tls = &tls};
    return fixture_start(&options);
}

/** One call over a channel of its own. @ret_identity  as the server saw it; may be NULL. */
static enum sb_code call_once(const char *target,
                              const struct sb_rpc_tls *tls,
                              const char *tls_name,
                              struct sb_err *err)
{
    const struct sb_rpc_channel_options options = {.tls = tls, .tls_name = tls_name};
    struct sb_rpc_channel *channel = fixture_channel(target, &options);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    enum sb_code code = fixture_say(channel, &req, NULL, err);
    sb_rpc_channel_free(channel);
    return code;
}

static void assert_identity(const char *client, const char *identity)
{
    struct fixture *fixture = start_server("server", "ca");
    struct sb_rpc_tls tls = identity_of(client, "ca");
    const struct sb_rpc_channel_options options = {.tls = &tls};
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), &options);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    Probe__V1__SayReply *reply = NULL;
    struct sb_err err = {0};
    assert_int_equal(fixture_say(channel, &req, &reply, &err), SB_OK);
    assert_string_equal(reply->transport, "tls");
    assert_string_equal(reply->identity, identity);
    assert_int_equal(strncmp(reply->address, "ipv4:127.0.0.1:", 15), 0);
    assert_int_equal(reply->uid, -1);
    probe__v1__say_reply__free_unpacked(reply, NULL);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void a_client_is_known_by_its_uri_first(void **state)
{
    (void)state;
    assert_identity("uri", "spiffe://example/gateway");
}

static void a_client_without_uri_is_known_by_its_dns_name(void **state)
{
    (void)state;
    assert_identity("dns", "gateway.example");
}

static void a_client_without_alternative_names_is_known_by_its_common_name(void **state)
{
    (void)state;
    assert_identity("plain", "plain");
}

static void plain_tls_tells_nobodys_identity(void **state)
{
    (void)state;
    struct fixture *fixture = start_server("server", NULL);
    struct sb_rpc_tls tls = identity_of(NULL, "ca");
    const struct sb_rpc_channel_options options = {.tls = &tls};
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), &options);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    Probe__V1__SayReply *reply = NULL;
    assert_int_equal(fixture_say(channel, &req, &reply, NULL), SB_OK);
    assert_string_equal(reply->transport, "tls");
    assert_string_equal(reply->identity, "");
    probe__v1__say_reply__free_unpacked(reply, NULL);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void refuses_clients_without_certificate(void **state)
{
    (void)state;
    struct fixture *fixture = start_server("server", "ca");
    struct sb_rpc_tls tls = identity_of(NULL, "ca");
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_UNAVAILABLE);
    assert_int_equal(fixture_stats(fixture).started, 0);
    fixture_stop(fixture);
}

static void refuses_clients_of_another_authority(void **state)
{
    (void)state;
    struct fixture *fixture = start_server("server", "ca");
    struct sb_rpc_tls tls = identity_of("rogue-client", "ca");
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_UNAVAILABLE);
    assert_int_equal(fixture_stats(fixture).started, 0);
    fixture_stop(fixture);
}

static void refuses_plaintext_on_a_tls_port(void **state)
{
    (void)state;
    struct fixture *fixture = start_server("server", NULL);
    assert_int_equal(call_once(fixture_target(fixture), NULL, NULL, NULL), SB_UNAVAILABLE);
    fixture_stop(fixture);
}

static void a_client_refuses_a_server_of_another_authority(void **state)
{
    (void)state;
    struct fixture *fixture = start_server("server", NULL);
    struct sb_rpc_tls tls = identity_of(NULL, "rogue");
    struct sb_err err = {0};
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, &err), SB_UNAVAILABLE);
    assert_non_null(strstr(err.text, "certificate verify failed"));
    fixture_stop(fixture);
}

static void a_client_refuses_a_server_of_another_name(void **state)
{
    (void)state;
    struct fixture *fixture = start_server("server", NULL);
    struct sb_rpc_tls tls = identity_of(NULL, "ca");
    struct sb_err err = {0};
    assert_int_equal(call_once(fixture_target(fixture), &tls, "somebody.else", &err),
                     SB_UNAVAILABLE);
    assert_non_null(strstr(err.text, "somebody.else"));
    assert_int_equal(call_once(fixture_target(fixture), &tls, "worker.example", &err), SB_OK);
    fixture_stop(fixture);
}

static void a_replaced_certificate_is_used_without_restart(void **state)
{
    (void)state;
    certs_make(fixture_scratch(), "turning", "ca", "IP:127.0.0.1");
    struct fixture *fixture = start_server("turning", NULL);
    struct sb_rpc_tls old_ca = identity_of(NULL, "ca");
    struct sb_rpc_tls new_ca = identity_of(NULL, "rogue");
    assert_int_equal(call_once(fixture_target(fixture), &old_ca, NULL, NULL), SB_OK);
    assert_int_equal(call_once(fixture_target(fixture), &new_ca, NULL, NULL), SB_UNAVAILABLE);

    certs_replace(fixture_scratch(), "rogue-server", "turning");

    assert_int_equal(call_once(fixture_target(fixture), &new_ca, NULL, NULL), SB_OK);
    assert_int_equal(call_once(fixture_target(fixture), &old_ca, NULL, NULL), SB_UNAVAILABLE);
    fixture_stop(fixture);
}

static void write_file(const char *name, const char *contents)
{
    FILE *file = fopen(fixture_path(name), "w");
    assert_non_null(file);
    (void)fputs(contents, file);
    assert_int_equal(fclose(file), 0);
}

static void a_bad_new_certificate_leaves_the_old_one_in_use(void **state)
{
    (void)state;
    certs_make(fixture_scratch(), "kept", "ca", "IP:127.0.0.1");
    certs_make(fixture_scratch(), "other", "ca", "IP:127.0.0.1");
    struct fixture *fixture = start_server("kept", NULL);
    struct sb_rpc_tls tls = identity_of(NULL, "ca");
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_OK);

    write_file("kept.pem", "no certificate");
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_OK);

    write_file("kept.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_OK);

    /* A certificate whose key has not arrived yet. */
    assert_int_equal(rename(fixture_path("other.pem"), fixture_path("kept.pem")), 0);
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_OK);

    assert_int_equal(unlink(fixture_path("kept.pem")), 0);
    assert_int_equal(call_once(fixture_target(fixture), &tls, NULL, NULL), SB_OK);

    certs_replace(fixture_scratch(), "rogue-server", "kept");
    struct sb_rpc_tls new_ca = identity_of(NULL, "rogue");
    assert_int_equal(call_once(fixture_target(fixture), &new_ca, NULL, NULL), SB_OK);
    fixture_stop(fixture);
}

static void a_client_follows_its_own_certificate(void **state)
{
    (void)state;
    certs_make(fixture_scratch(), "mine", "ca", "URI:spiffe://example/old");
    certs_make(fixture_scratch(), "fresh", "ca", "URI:spiffe://example/new");
    struct fixture *fixture = start_server("server", "ca");
    struct sb_rpc_tls tls = identity_of("mine", "ca");
    const struct sb_rpc_channel_options options = {.tls = &tls};
    struct sb_rpc_channel *channel = fixture_channel(fixture_target(fixture), &options);
    Probe__V1__SayRequest req = PROBE__V1__SAY_REQUEST__INIT;
    Probe__V1__SayReply *reply = NULL;
    assert_int_equal(fixture_say(channel, &req, &reply, NULL), SB_OK);
    assert_string_equal(reply->identity, "spiffe://example/old");
    probe__v1__say_reply__free_unpacked(reply, NULL);
    certs_replace(fixture_scratch(), "fresh", "mine");
    bool is_new = false;
    for (int i = 0; i < 1000 && !is_new; i++) { /* looks at the files once a second */
        assert_int_equal(fixture_say(channel, &req, &reply, NULL), SB_OK);
        is_new = strcmp(reply->identity, "spiffe://example/new") == 0;
        probe__v1__say_reply__free_unpacked(reply, NULL);
        (void)usleep(10000);
    }
    assert_true(is_new);
    sb_rpc_channel_free(channel);
    fixture_stop(fixture);
}

static void listening_with_unusable_files_says_which(void **state)
{
    (void)state;
    write_file("empty.pem", "");
    write_file("empty.key", "");
    struct sb_rpc_tls tls = identity_of("empty", NULL);
    struct sb_rpc_channel *channel = NULL;
    struct sb_err err = {0};
    const struct sb_rpc_channel_options options = {.tls = &tls, .module_dir = getenv("AISBX_BIN")};
    assert_int_equal(sb_rpc_channel_open("ipv4:127.0.0.1:1", &options, &channel, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_non_null(strstr(err.text, "empty.pem"));
}

static int make_certificates(void **state)
{
    (void)state;
    if (!certs_can_be_made()) {
        return 0;
    }
    certs_make_ca(fixture_scratch(), "ca");
    certs_make_ca(fixture_scratch(), "rogue");
    certs_make(fixture_scratch(), "server", "ca", "DNS:worker.example,IP:127.0.0.1");
    certs_make(fixture_scratch(), "rogue-server", "rogue", "IP:127.0.0.1");
    certs_make(fixture_scratch(), "rogue-client", "rogue", "DNS:gateway.example");
    certs_make(fixture_scratch(), "uri", "ca", "DNS:gateway.example,URI:spiffe://example/gateway");
    certs_make(fixture_scratch(), "dns", "ca", "DNS:gateway.example");
    certs_make(fixture_scratch(), "plain", "ca", NULL);
    return 0;
}

static int remove_scratch(void **state)
{
    (void)state;
    fixture_scratch_remove();
    return 0;
}

int main(void)
{
    if (!certs_can_be_made()) {
        (void)fprintf(stderr, "openssl(1) is missing\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_known_by_its_uri_first),
        cmocka_unit_test(a_client_without_uri_is_known_by_its_dns_name),
        cmocka_unit_test(a_client_without_alternative_names_is_known_by_its_common_name),
        cmocka_unit_test(plain_tls_tells_nobodys_identity),
        cmocka_unit_test(refuses_clients_without_certificate),
        cmocka_unit_test(refuses_clients_of_another_authority),
        cmocka_unit_test(refuses_plaintext_on_a_tls_port),
        cmocka_unit_test(a_client_refuses_a_server_of_another_authority),
        cmocka_unit_test(a_client_refuses_a_server_of_another_name),
        cmocka_unit_test(a_replaced_certificate_is_used_without_restart),
        cmocka_unit_test(a_bad_new_certificate_leaves_the_old_one_in_use),
        cmocka_unit_test(a_client_follows_its_own_certificate),
        cmocka_unit_test(listening_with_unusable_files_says_which),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_scratch);
}
