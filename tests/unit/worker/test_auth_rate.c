/* How often callers may call, and fail. */
#include "auth_fixture.h"

static void a_tenant_over_its_rate_is_told_when_to_come_back(void **state)
{
    (void)state;
    static char a[] = "a";
    char text[SB_KEY_TEXT_SIZE];
    tenants[0] = (struct sb_auth_tenant){.name = a, .limits = {.rate = 1, .burst = 3}};
    config.n_tenants = 1;
    (void)auth_add_key(SB_ROLE_USER, "a", text);
    struct sb_auth_call call = auth_call_of(&auth_tls, LIST);
    call.key = text;
    for (uint64_t left = 3; left > 0; left--) {
        assert_int_equal(auth_admit(&call), 0);
        assert_int_equal(rate.limit, 3);
        assert_int_equal(rate.remaining, left - 1);
    }
    assert_auth_refused(&call, SB_EXHAUSTED, "tenant a has used all of its 1 requests a second");
    assert_in_range(rate.retry_ms, 1, 1000);
    assert_in_range(rate.reset_ms, 2000, 3000);
    (void)auth_add_key(SB_ROLE_USER, "b", text);
    assert_int_equal(auth_admit(&call), 0);
    assert_int_equal(rate.limit, 0);
}

static void one_key_cannot_use_up_the_rate_of_its_tenant(void **state)
{
    (void)state;
    static char all[] = "*";
    char first[SB_KEY_TEXT_SIZE];
    char second[SB_KEY_TEXT_SIZE];
    tenants[0] = (struct sb_auth_tenant){
        .name = all, .limits = {.rate = 1, .burst = 9, .key_rate = 1, .key_burst = 2}};
    config.n_tenants = 1;
    (void)auth_add_key(SB_ROLE_USER, "a", first);
    (void)auth_add_key(SB_ROLE_USER, "a", second);
    struct sb_auth_call call = auth_call_of(&auth_tls, LIST);
    call.key = first;
    assert_int_equal(auth_admit(&call), 0);
    assert_int_equal(auth_admit(&call), 0);
    assert_auth_refused(&call, SB_EXHAUSTED, "key ");
    call.key = second;
    assert_int_equal(auth_admit(&call), 0);
}

static void a_bucket_fills_again_with_time(void **state)
{
    (void)state;
    struct sb_bucket bucket = {0};
    const uint64_t second_ns = 1000000000;
    uint64_t now_ns = 5 * second_ns;
    for (int i = 0; i < 10; i++) {
        assert_true(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    }
    assert_false(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    assert_int_equal(rate.retry_ms, 500);
    assert_int_equal(rate.reset_ms, 5000);
    now_ns += second_ns / 2 - 1;
    assert_false(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    now_ns += 1;
    assert_true(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    assert_false(sb_bucket_take(&bucket, 2, 10, now_ns, &rate));
    assert_false(sb_bucket_take(&bucket, 2, 1, now_ns, &rate)); /* lowered: the rest is forgiven */
    assert_true(sb_bucket_take(&bucket, 2, 1, now_ns + second_ns / 2, &rate));
}

static void failures_of_one_peer_are_limited_and_good_keys_are_not(void **state)
{
    (void)state;
    char text[SB_KEY_TEXT_SIZE];
    (void)auth_add_key(SB_ROLE_USER, "a", text);
    struct sb_rpc_peer peer = auth_tls;
    struct sb_auth_call call = auth_call_of(&peer, RUN);
    call.key = "aisbx_no";
    for (int i = 0; i < SB_THROTTLE_BURST; i++) {
        peer.address = i % 2 == 0 ? "ipv4:192.0.2.7:1" : "ipv4:192.0.2.7:2";
        assert_auth_refused(&call, SB_UNAUTHENTICATED, "form");
        assert_int_equal(rate.retry_ms, 0);
    }
    assert_auth_refused(&call, SB_EXHAUSTED, "too many failed attempts");
    assert_in_range(rate.retry_ms, 1, 1000);
    assert_int_equal(auth.counts[SB_AUTH_WRONG_KEY], SB_THROTTLE_BURST + 1);
    assert_int_equal(auth.counts[SB_AUTH_THROTTLED], 1);
    peer.address = "ipv4:192.0.2.8:1";
    assert_auth_refused(&call, SB_UNAUTHENTICATED, "form");
    peer.address = "ipv4:192.0.2.7:3";
    call.key = text;
    assert_int_equal(auth_admit(&call), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tenant_over_its_rate_is_told_when_to_come_back),
        TEST(one_key_cannot_use_up_the_rate_of_its_tenant),
        TEST(a_bucket_fills_again_with_time),
        TEST(failures_of_one_peer_are_limited_and_good_keys_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
