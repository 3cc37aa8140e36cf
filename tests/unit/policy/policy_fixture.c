#include "policy_fixture.h"

#include <string.h>

/* Two profiles beyond the built-in ones: "p" is wide, "w" has a workspace of its own. */
static const char config[] =
    "profiles:\n"
    "  p:\n"
    "    memory: 64m\n"
    "    limits: {pids: 50}\n"
    "    network: {enabled: true, allow: [\"*.example.org:443\", a.org], deny: [b.org],\n"
    "              max_bytes: 2m}\n"
    "    mounts: [{source: /data, target: /data}]\n"
    "    environment: {A: profile, B: profile}\n"
    "  w: {mounts: [{source: /own, target: /workspace, mode: rw}]}\n"
    "  b: {driver: lima}\n"
    "  c: {driver: chroot}\n"
    "  n: {network: {enabled: false}, filesystem: read-only}\n"
    "  m: {filesystem: minimal}\n";

struct sb_profiles *policy_profiles;

int policy_load(void **state)
{
    (void)state;
    struct sb_problems problems = {0};
    struct sb_err err = {0};
    return sb_profiles_check(sb_str_from(config), "c.yaml", &problems, &policy_profiles, &err);
}

int policy_unload(void **state)
{
    (void)state;
    sb_profiles_free(policy_profiles);
    return 0;
}

/* A request for a profile, with nothing else. */
struct sb_request *policy_request(const char *profile)
{
    struct sb_request *request = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_request_make(NULL, "sandbox", &request, &err), 0);
    request->profile = strdup(profile);
    assert_non_null(request->profile);
    return request;
}

struct sb_policy *policy_make(const struct sb_request *request)
{
    struct sb_policy *policy = NULL;
    struct sb_err err = {0};
    if (sb_policy_make(policy_profiles, request, &policy, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return policy;
}

struct sb_policy *policy_make_plain(const char *profile)
{
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request(profile);
    return policy_make(request);
}

void assert_policy_refused(const struct sb_request *request, enum sb_code code, const char *message)
{
    struct sb_policy *policy = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_policy_make(policy_profiles, request, &policy, &err), -1);
    assert_string_equal(err.text, message);
    assert_int_equal(err.code, code);
}
