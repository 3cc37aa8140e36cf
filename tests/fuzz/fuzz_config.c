#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/config.h"
#include "service/worker/policy/profiles.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read with its inheritance can be written as YAML and read back. */
static void check_round_trip(struct sb_str text)
{
    struct sb_err err = {0};
    struct sb_problems problems = {0};
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    if (sb_profiles_check(text, "f", &problems, &profiles, &err) < 0) {
        return;
    }
    for (size_t i = 0; i < sb_profiles_count(profiles); i++) {
        const struct sb_profile *profile = sb_profiles_at(profiles, i);
        SB_CLEANUP(sb_profiles_freep) struct sb_profiles *again = NULL;
        SB_CLEANUP(sb_buf_done) struct sb_buf yaml = SB_BUF_INIT(1 << 20);
        if (sb_profiles_is_configured(profile) &&
            (sb_profile_yaml(profile, &yaml, &err) < 0 ||
             sb_profiles_check(sb_buf_str(&yaml), "f", &problems, &again, &err) < 0)) {
            abort();
        }
    }
}

/* A refused text has at least one problem. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sb_config_source source = {.file_name = "f", .base_dir = "/"};
    struct sb_err err = {0};
    struct sb_problems problems = {0};
    struct sb_config config = {0};
    struct sb_str text = sb_str_of(data, size);
    if (sb_config_parse(text, &source, &problems, &config, &err) < 0) {
        if (err.code == SB_INVALID && problems.n == 0) {
            abort();
        }
        return 0;
    }
    /* The built-in profiles are read with it, which takes longer than all of the above. */
    bool is_worth_it = config.n_profiles > 0;
    sb_config_done(&config);
    if (is_worth_it) {
        check_round_trip(text);
    }
    return 0;
}
