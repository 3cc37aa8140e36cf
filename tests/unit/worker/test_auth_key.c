/* Callers with an API key. */
#include <stdio.h>
#include <string.h>

#include "auth_fixture.h"
#include "base/clock.h"
#include "service/worker/auth/key_file.h"

/* ---- keys ---- */

static void a_key_wins_over_who_the_peer_is(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    char header[SB_KEY_TEXT_SIZE + 16];
    const struct sb_key *key = auth_add_key(SB_ROLE_USER, "a", text);
    const struct sb_rpc_peer *const peers[] = {&auth_mine, &auth_other, &auth_plain, &auth_tls};
    for (size_t i = 0; i < 4; i++) {
        struct sb_auth_call call = auth_call_of(peers[i], RUN);
        call.key = text;
        assert_int_equal(auth_admit(&call), 0);
        assert_memory_equal(caller.actor, "key:", 4);
        assert_string_equal(caller.actor + 4, key->id);
        assert_string_equal(caller.tenant, "a");
        call.key = NULL;
        (void)snprintf(header, sizeof header, "%s %s", i == 0 ? "bearer" : "Bearer", text);
        call.authorization = header;
        assert_int_equal(auth_admit(&call), 0);
        assert_string_equal(caller.tenant, "a");
        call.method = SET_DRAINING;
        assert_auth_refused(&call, SB_DENIED, "role admin; key:");
    }
    assert_true(key->last_use_ms > 0);
}

static void a_wrong_key_is_refused_though_the_peer_would_be_served(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)auth_add_key(SB_ROLE_ADMIN, "a", text);
    struct sb_auth_call call = auth_call_of(&auth_mine, RUN);
    call.key = text;
    text[SB_KEY_TEXT_SIZE - 2] = text[SB_KEY_TEXT_SIZE - 2] == 'A' ? 'B' : 'A';
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
    assert_null(strstr(err.text, text + 40));
    text[6] = text[6] == 'a' ? 'b' : 'a';
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
    call.key = "aisbx_short";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "has not the form");
    call.key = "";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "has not the form");
}

static void two_different_keys_are_refused(void **state)
{
    (void)state;
    char one[SB_KEY_TEXT_SIZE];
    char two[SB_KEY_TEXT_SIZE];
    char header[SB_KEY_TEXT_SIZE + 16];
    (void)auth_add_key(SB_ROLE_USER, "a", one);
    (void)auth_add_key(SB_ROLE_USER, "b", two);
    (void)snprintf(header, sizeof header, "Bearer %s", two);
    struct sb_auth_call call = auth_call_of(&auth_tls, RUN);
    call.key = one;
    call.authorization = header;
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "two different keys");
}

static void expired_and_revoked_keys_are_told_apart(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    struct sb_key *key = auth_add_key(SB_ROLE_USER, "a", text);
    struct sb_auth_call call = auth_call_of(&auth_tls, RUN);
    call.key = text;
    key->expire_ms = sb_clock_real_ms() + 60000;
    assert_int_equal(auth_admit(&call), 0);
    key->expire_ms = sb_clock_real_ms();
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "has expired");
    key->revoke_ms = 1;
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "was revoked");
    text[SB_KEY_TEXT_SIZE - 2] = text[SB_KEY_TEXT_SIZE - 2] == 'A' ? 'B' : 'A';
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
}

/* ---- keys of a file ---- */

static void a_key_of_the_file_is_as_good_as_one_of_the_worker(void **state)
{
    (void)state;
    static char all[] = "*";
    char text[SB_KEY_TEXT_SIZE];
    char line[SB_KEY_LINE_SIZE];
    struct sb_keys filed;
    struct sb_key_line said = {.role = SB_ROLE_USER, .tenant = "a"};
    size_t n_wrong = 0;
    struct sb_err first;
    sb_keys_init(&filed);
    auth.filed = &filed;
    tenants[0] = (struct sb_auth_tenant){.name = all, .limits = {.key_rate = 1, .key_burst = 2}};
    config.n_tenants = 1;
    assert_int_equal(sb_key_text_make(said.id, text, &err), 0);
    sb_key_text_hash(sb_str_from(text), said.hash);
    (void)sb_key_line_format(&said, line);
    assert_int_equal(sb_key_file_parse(sb_str_from(line), "keys", &filed, &n_wrong, &first, &err),
                     0);
    assert_int_equal(n_wrong, 0);
    struct sb_auth_call call = auth_call_of(&auth_tls, LIST);
    call.key = text;
    assert_int_equal(auth_admit(&call), 0);
    assert_string_equal(caller.tenant, "a");
    assert_string_equal(caller.actor + 4, said.id);
    assert_int_equal(auth_admit(&call), 0);
    assert_auth_refused(&call, SB_EXHAUSTED, "key ");
    call.method = SET_DRAINING;
    assert_auth_refused(&call, SB_DENIED, "role admin");
    call.method = LIST;
    char *last = &text[SB_KEY_TEXT_SIZE - 2];
    *last = *last == 'A' ? 'B' : 'A';
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
    sb_keys_done(&filed);
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "knows no such API key");
}

/* ---- the text of a key ---- */

static void a_key_has_the_form_that_is_documented(void **state)
{
    (void)state;
    char id[SB_KEY_ID_SIZE];
    char found[SB_KEY_ID_SIZE];
    char text[SB_KEY_TEXT_SIZE];
    char again[SB_KEY_TEXT_SIZE];
    assert_int_equal(sb_key_text_make(id, text, &err), 0);
    assert_int_equal(strlen(text), 6 + 26 + 1 + 43);
    assert_memory_equal(text, "aisbx_", 6);
    assert_true(sb_key_text_parse(sb_str_from(text), found));
    assert_string_equal(found, id);
    assert_int_equal(sb_key_text_make(id, again, &err), 0);
    assert_string_not_equal(text + 33, again + 33);
    for (size_t i = 0; i < 33; i++) { /* but for those of the secret every character is checked */
        char c = text[i];
        text[i] = '!';
        assert_false(sb_key_text_parse(sb_str_from(text), found));
        text[i] = c;
    }
    text[50] = '/';
    assert_false(sb_key_text_parse(sb_str_from(text), found));
}

static void bearer_is_a_scheme_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(sb_key_text_bearer(SB_STR("Basic abc")).len, 0);
    assert_int_equal(sb_key_text_bearer(SB_STR("Bearer ")).len, 0);
    assert_int_equal(sb_key_text_bearer(SB_STR("Bearerabc")).len, 0);
    assert_int_equal(sb_key_text_bearer(SB_STR("")).len, 0);
    assert_true(sb_str_eq(sb_key_text_bearer(SB_STR("bEARER  abc ")), SB_STR("abc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_wins_over_who_the_peer_is),
        TEST(a_wrong_key_is_refused_though_the_peer_would_be_served),
        TEST(two_different_keys_are_refused),
        TEST(expired_and_revoked_keys_are_told_apart),
        TEST(a_key_of_the_file_is_as_good_as_one_of_the_worker),
        TEST(a_key_has_the_form_that_is_documented),
        TEST(bearer_is_a_scheme_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
