#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/trace/settings.h"

static const struct sb_trace_options nothing;

static int forget_variables(void **state)
{
    (void)state;
    extern char **environ;
    char *names[64];
    size_t n = 0;
    for (char **at = environ; *at != NULL && n < 64; at++) {
        if (strncmp(*at, "OTEL_", 5) == 0) {
            names[n++] = strndup(*at, strcspn(*at, "="));
        }
    }
    while (n > 0) {
        unsetenv(names[--n]);
        free(names[n]);
    }
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, "test");
    return 0;
}

static void it_is_off_by_default(void **state)
{
    (void)state;
    struct sb_err err;
    SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
    assert_int_equal(sb_trace_settings_read(&nothing, "us", &settings, &err), 0);
    assert_null(settings.address);
}

static void endpoints_are_addresses_of_grpc(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *address; /* NULL: refused */
        bool uses_tls;
    } rows[] = {
        {"http://localhost:4317", "dns:///localhost:4317", false},
        {"http://localhost", "dns:///localhost:4317", false},
        {"https://collector.example:443/", "dns:///collector.example:443", true},
        {"http://10.0.0.1:1", "dns:///10.0.0.1:1", false},
        {"http://[::1]:4318", "ipv6:[::1]:4318", false},
        {"http://[::1]", "ipv6:[::1]:4317", false},
        {"unix:/run/otel.sock", "grpc+unix:/run/otel.sock", false},
        {"localhost:4317", NULL, false},
        {"http://", NULL, false},
        {"http://:4317", NULL, false},
        {"http://a:0", NULL, false},
        {"http://a:65536", NULL, false},
        {"http://a:", NULL, false},
        {"http://a b", NULL, false},
        {"http://me:SECRET@a:1", NULL, false},
        {"http://a,b:1", NULL, false},
        {"http://[::1", NULL, false},
        {"http://[::1]x:1", NULL, false},
        {"http://a/v1/traces", NULL, false},
        {"unix:relative", NULL, false},
        {"ftp://a:1", NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        const struct sb_trace_options options = {.endpoint = rows[i].url};
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
        int rc = sb_trace_settings_read(&options, "us", &settings, &err);
        if (rows[i].address == NULL) {
            assert_int_equal(rc, -1);
            assert_int_equal(err.code, SB_INVALID);
            assert_non_null(strstr(err.text, "--otlp-endpoint"));
            assert_null(strstr(err.text, "SECRET"));
        } else {
            assert_int_equal(rc, 0);
            assert_string_equal(settings.address, rows[i].address);
            assert_int_equal(settings.uses_tls, rows[i].uses_tls);
        }
        /* As a variable it is no reason not to start. */
        assert_int_equal(setenv("OTEL_EXPORTER_OTLP_ENDPOINT", rows[i].url, 1), 0);
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings told;
        assert_int_equal(sb_trace_settings_read(&nothing, "us", &told, &err), 0);
        assert_true((told.address == NULL) == (rows[i].address == NULL));
    }
}

static void variables_turn_it_off(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"OTEL_SDK_DISABLED", "true"},
                                          {"OTEL_TRACES_EXPORTER", "none"},
                                          {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
        (void)setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a", 1);
        (void)setenv(rows[i][0], rows[i][1], 1);
        assert_int_equal(sb_trace_settings_read(&nothing, "us", &settings, &err), 0);
        assert_null(settings.address);
        /* An option is an order. */
        const struct sb_trace_options options = {.endpoint = "http://b"};
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings ordered;
        assert_int_equal(sb_trace_settings_read(&options, "us", &ordered, &err), 0);
        assert_string_equal(ordered.address, "dns:///b:4317");
        (void)unsetenv(rows[i][0]);
    }
}

static void samplers_are_a_bound_and_whom_they_follow(void **state)
{
    (void)state;
    static const struct {
        const char *sampler;
        const char *ratio;
        uint64_t bound;
        bool follows;
    } rows[] = {
        {NULL, NULL, UINT64_MAX, true},
        {"always_on", NULL, UINT64_MAX, false},
        {"always_off", NULL, 0, false},
        {"parentbased_always_off", NULL, 0, true},
        {"traceidratio", "0.5", 1ULL << 63, false},
        {"parentbased_traceidratio", "0.25", 1ULL << 62, true},
        {"traceidratio", "1", UINT64_MAX, false},
        {"traceidratio", "0", 0, false},
        {NULL, "0.5", 1ULL << 63, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        const struct sb_trace_options options = {"http://a", rows[i].sampler, rows[i].ratio};
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
        assert_int_equal(sb_trace_settings_read(&options, "us", &settings, &err), 0);
        assert_true(settings.bound == rows[i].bound);
        assert_int_equal(settings.follows_parent, rows[i].follows);
    }
    static const char *const bad[] = {"", "x", "-1", "1.1", "0.1.1", "1e-1", "nan", "0,5", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sb_err err;
        const struct sb_trace_options options = {.endpoint = "http://a", .ratio = bad[i]};
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
        assert_int_equal(sb_trace_settings_read(&options, "us", &settings, &err), -1);
        (void)setenv("OTEL_TRACES_SAMPLER_ARG", bad[i], 1);
        const struct sb_trace_options told = {.endpoint = "http://a"};
        SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings advised;
        assert_int_equal(sb_trace_settings_read(&told, "us", &advised, &err), 0);
        assert_true(advised.bound == UINT64_MAX);
    }
}

static void lists_are_pairs(void **state)
{
    (void)state;
    struct sb_err err;
    const struct sb_trace_options options = {.endpoint = "http://a"};
    SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings settings;
    (void)setenv("OTEL_EXPORTER_OTLP_HEADERS",
                 "X-Key = a%20b ,,nothing,=1,bad=%01,a b=1,:path=/,x%C3%A9=1,c=%zz", 1);
    (void)setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs,k=v", 1);
    assert_int_equal(sb_trace_settings_read(&options, "us", &settings, &err), 0);
    assert_int_equal(settings.n_headers, 2);
    assert_string_equal(settings.headers[0].key, "x-key");
    assert_string_equal(settings.headers[0].value, "a b");
    assert_string_equal(settings.headers[1].value, "%zz");
    assert_string_equal(settings.service, "theirs");
    assert_int_equal(settings.n_attributes, 1);
    assert_string_equal(settings.attributes[0].key, "k");
    (void)setenv("OTEL_SERVICE_NAME", "ours", 1);
    SB_CLEANUP(sb_trace_settings_done) struct sb_trace_settings named;
    assert_int_equal(sb_trace_settings_read(&options, "us", &named, &err), 0);
    assert_string_equal(named.service, "ours");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_off_by_default, forget_variables),
        cmocka_unit_test_setup(endpoints_are_addresses_of_grpc, forget_variables),
        cmocka_unit_test_setup(variables_turn_it_off, forget_variables),
        cmocka_unit_test_setup(samplers_are_a_bound_and_whom_they_follow, forget_variables),
        cmocka_unit_test_setup(lists_are_pairs, forget_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
