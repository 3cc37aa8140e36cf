/* What comes of a profile and a request for it. */
#include <stdlib.h>
#include <string.h>

#include "policy_fixture.h"
#include "service/worker/policy/api_profile.h"
#include "service/worker/policy/seccomp_json.h"

static void add_mount(struct sb_request *request, const char *target, bool is_writable)
{
    char source[] = "/home/u";
    char *copy = strdup(target);
    struct sb_err err = {0};
    struct sb_mount mount = {
        .source = source, .target = copy, .is_writable = is_writable, .is_requested = true};
    assert_int_equal(sb_mounts_set(&request->mounts, &mount, &err), 0);
    free(copy);
}

static void a_request_that_says_nothing_gets_the_profile(void **state)
{
    (void)state;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make_plain("p");
    assert_string_equal(policy->profile, "p");
    assert_int_equal(policy->limits.mem_bytes, 64 << 20);
    assert_int_equal(policy->network.mode, SB_NETWORK_LIMITED);
    assert_int_equal(policy->network.allow.n, 2);
    assert_int_equal(policy->mounts.n, 1);
    assert_false(policy->mounts.items[0].is_requested);
    assert_string_equal(policy->hostname, "sandbox");
    assert_string_equal(sb_policy_cwd(policy), "/workspace");
    assert_int_equal(strlen(policy->hash), 64);
}

static void a_limit_can_be_lowered_but_not_raised(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    request->limits.mem_bytes = 32 << 20;
    request->limits.pids = 50;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_int_equal(policy->limits.mem_bytes, 32 << 20);
    assert_int_equal(policy->limits.pids, 50);
    request->limits.pids = 51;
    assert_policy_refused(
        request, SB_INVALID,
        "sandbox.limits.pids: 51 is more than the 50 that profile \"p\" gives "
        "(c.yaml:4); to have it: limits: {pids: 51}, in it or in a profile that extends "
        "it");
    request->limits.pids = 0;
    request->limits.mem_bytes = 65 << 20;
    assert_policy_refused(
        request, SB_INVALID,
        "sandbox.limits.memory_bytes: 65MiB is more than the 64MiB that profile \"p\" gives "
        "(c.yaml:3); to have it: limits: {memory: 65MiB}, in it or in a profile that extends it");
}

static void a_limit_that_the_profile_does_not_have_can_be_set(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    request->limits.io_write_bytes = 1 << 20;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_int_equal(policy->limits.io_write_bytes, 1 << 20);
    assert_int_equal(policy->limits.io_read_bytes, 0);
}

static void a_mount_of_the_request_is_added(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    add_mount(request, "/workspace", true);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_int_equal(policy->mounts.n, 2);
    assert_true(policy->mounts.items[1].is_requested);
    assert_false(sb_policy_workspace_read_only(policy));
}

static void a_read_only_profile_takes_read_only_mounts(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *ro = policy_request("strict");
    add_mount(ro, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(ro);
    assert_true(sb_policy_workspace_read_only(policy));
    SB_CLEANUP(sb_request_freep) struct sb_request *rw = policy_request("n");
    add_mount(rw, "/workspace", true);
    assert_policy_refused(
        rw, SB_INVALID,
        "sandbox.mounts[0].mode: profile \"n\" is read-only (c.yaml:12); a mount "
        "can only be "
        "\"ro\"; to have it: filesystem: restricted, in it or in a profile that extends it");
    SB_CLEANUP(sb_request_freep) struct sb_request *least = policy_request("m");
    add_mount(least, "/opt/x", true);
    assert_policy_refused(
        least, SB_INVALID,
        "sandbox.mounts[0].mode: profile \"m\" is minimal (c.yaml:13); a mount "
        "can only be "
        "\"ro\"; to have it: filesystem: restricted, in it or in a profile that extends it");
}

static void a_workspace_can_be_copy_on_write(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    add_mount(request, "/workspace", false);
    request->mounts.items[0].is_overlay = true;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_false(sb_policy_workspace_read_only(policy));
    assert_false(sb_policy_shares_workspace(policy));
    assert_null(sb_policy_unbounded(policy));
    SB_CLEANUP(sb_request_freep) struct sb_request *bound = policy_request("p");
    add_mount(bound, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *other = policy_make(bound);
    assert_true(sb_policy_shares_workspace(other));
    assert_string_not_equal(policy->hash, other->hash);
    SB_CLEANUP(sb_request_freep) struct sb_request *read_only = policy_request("n");
    add_mount(read_only, "/workspace", false);
    read_only->mounts.items[0].is_overlay = true;
    assert_policy_refused(
        read_only, SB_INVALID,
        "sandbox.mounts[0].mode: profile \"n\" is read-only (c.yaml:12); a mount "
        "can only be "
        "\"ro\"; to have it: filesystem: restricted, in it or in a profile that extends it");
}

static void a_workspace_without_a_mode_is_as_the_profile_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        size_t n_mounts;
        bool is_writable;
    } rows[] = {{"go-dev", 1, true}, {"strict", 1, false}, {"minimal", 0, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request(rows[i].profile);
        add_mount(request, "/workspace", false);
        request->mounts.items[0].is_as_profile = true;
        SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
        assert_int_equal(policy->mounts.n, rows[i].n_mounts);
        assert_int_equal(!sb_policy_workspace_read_only(policy), rows[i].is_writable);
    }
}

static void mounts_cannot_lie_in_each_other(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    add_mount(request, "/data/more", false);
    assert_policy_refused(request, SB_INVALID,
                          "sandbox.mounts[0].target: \"/data/more\" overlaps with the mount at "
                          "\"/data\"");
}

static void the_workspace_of_the_profile_wins_and_the_caller_is_told(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("w");
    add_mount(request, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    assert_int_equal(policy->mounts.n, 1);
    assert_string_equal(policy->mounts.items[0].source, "/own");
    assert_string_equal(policy->notices.items[0],
                        "/workspace is /own, as profile \"w\" says; /home/u is not used");
}

static void minimal_starts_in_the_root_unless_there_is_a_workspace(void **state)
{
    (void)state;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *without = policy_make_plain("minimal");
    assert_string_equal(sb_policy_cwd(without), "/");
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("minimal");
    add_mount(request, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *with = policy_make(request);
    assert_string_equal(sb_policy_cwd(with), "/workspace");
}

static void an_unknown_profile_is_not_found(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("strikt");
    assert_policy_refused(
        request, SB_NOT_FOUND,
        "sandbox.profile: there is no profile \"strikt\"; did you mean \"strict\"?");
}

static void a_request_can_name_a_driver_and_it_is_noted_when_it_is_weaker(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("strict");
    request->driver = SB_DRIVER_CHROOT;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *weaker = policy_make(request);
    assert_int_equal(weaker->driver, SB_DRIVER_CHROOT);
    assert_true(weaker->has_weaker_driver);
    SB_CLEANUP(sb_request_freep) struct sb_request *other = policy_request("c");
    SB_CLEANUP(sb_policy_freep) struct sb_policy *as_profile = policy_make(other);
    assert_int_equal(as_profile->driver, SB_DRIVER_CHROOT);
    assert_false(as_profile->has_weaker_driver);
    other->driver = SB_DRIVER_BWRAP;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *stronger = policy_make(other);
    assert_int_equal(stronger->driver, SB_DRIVER_BWRAP);
    assert_false(stronger->has_weaker_driver);
    SB_CLEANUP(sb_request_freep) struct sb_request *far = policy_request("b");
    far->driver = SB_DRIVER_NATIVE;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *here = policy_make(far);
    assert_true(here->has_weaker_driver); /* than a machine of its own */
    assert_string_not_equal(stronger->hash, as_profile->hash);
}

static void the_driver_of_clients_is_unimplemented_in_a_worker(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("b");
    assert_policy_refused(request, SB_UNIMPLEMENTED,
                          "driver lima: a worker is inside of that virtual machine, not before it; "
                          "aisbx run --driver lima starts it");
}

static const char *env_of(char **env, const char *start)
{
    for (; *env != NULL; env++) {
        if (strncmp(*env, start, strlen(start)) == 0) {
            return *env;
        }
    }
    return NULL;
}

static void the_environment_is_profile_then_request_then_exec(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
    SB_CLEANUP(sb_pairs_done) struct sb_pairs more = {0};
    assert_int_equal(sb_pairs_set(&request->env, SB_STR("B"), SB_STR("request"), &err), 0);
    assert_int_equal(sb_pairs_set(&request->env, SB_STR("C"), SB_STR("request"), &err), 0);
    assert_int_equal(sb_pairs_set(&more, SB_STR("C"), SB_STR("exec"), &err), 0);
    assert_int_equal(sb_pairs_set(&more, SB_STR("D"), SB_STR(""), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
    size_t n = 0;
    SB_CLEANUP(sb_freep) char **env = sb_policy_environ(policy, &more, NULL, &n);
    assert_non_null(env);
    assert_int_equal(n, policy->env.n + 1); /* D */
    assert_null(env[n]);
    assert_string_equal(env_of(env, "A="), "A=profile");
    assert_string_equal(env_of(env, "B="), "B=request");
    assert_string_equal(env_of(env, "C="), "C=exec");
    assert_string_equal(env_of(env, "D="), "D=");
    assert_string_equal(env_of(env, "HOME="), "HOME=/tmp");
    assert_null(env_of(env, "TERM="));
}

static void term_is_added_for_a_terminal_unless_somebody_set_it(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make_plain("p");
    SB_CLEANUP(sb_pairs_done) struct sb_pairs last = {0};
    assert_int_equal(sb_pairs_set(&last, SB_STR("TERM"), SB_STR("xterm"), &err), 0);
    SB_CLEANUP(sb_freep) char **added = sb_policy_environ(policy, NULL, &last, NULL);
    assert_string_equal(env_of(added, "TERM="), "TERM=xterm");
    SB_CLEANUP(sb_pairs_done) struct sb_pairs more = {0};
    assert_int_equal(sb_pairs_set(&more, SB_STR("TERM"), SB_STR("dumb"), &err), 0);
    size_t n = 0;
    SB_CLEANUP(sb_freep) char **own = sb_policy_environ(policy, &more, &last, &n);
    assert_int_equal(n, policy->env.n + 1);
    assert_string_equal(env_of(own, "TERM="), "TERM=dumb");
}

/* What changes one thing that binds the program. */
static void lower_memory(struct sb_request *request)
{
    request->limits.mem_bytes = 32 << 20;
}
static void no_network(struct sb_request *request)
{
    request->network.mode = SB_NETWORK_NONE;
}
static void mount_workspace(struct sb_request *request)
{
    add_mount(request, "/workspace", false);
}
static void require_seccomp(struct sb_request *request)
{
    request->require = 1U << AISBX__V1__CONTROL__CONTROL_SECCOMP;
}
static void set_variable(struct sb_request *request)
{
    struct sb_err err = {0};
    assert_int_equal(sb_pairs_set(&request->env, SB_STR("A"), SB_STR("x"), &err), 0);
}

static void the_hash_changes_with_everything_that_binds_and_nothing_else(void **state)
{
    (void)state;
    static void (*const changes[])(struct sb_request *) = {
        lower_memory, no_network, mount_workspace, require_seccomp, set_variable};
    struct sb_err err = {0};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *plain = policy_make_plain("p");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("p");
        changes[i](request);
        SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(request);
        assert_string_not_equal(policy->hash, plain->hash);
    }
    SB_CLEANUP(sb_request_freep) struct sb_request *same = policy_request("p");
    same->ttl_ms = 7;
    assert_int_equal(sb_pairs_set(&same->labels, SB_STR("a"), SB_STR("b"), &err), 0);
    same->limits.pids = 50;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = policy_make(same);
    assert_string_equal(policy->hash, plain->hash);

    const struct sb_profile *profile = NULL;
    char hash[SB_POLICY_HASH_SIZE];
    assert_int_equal(sb_profiles_get(policy_profiles, SB_STR("p"), &profile, &err), 0);
    assert_int_equal(sb_policy_profile_hash(policy_profiles, profile, hash, &err), 0);
    assert_string_equal(hash, plain->hash);
}

static void a_policy_outlives_its_profiles(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *own = NULL;
    assert_int_equal(sb_profiles_new(&own, &err), 0);
    SB_CLEANUP(sb_request_freep) struct sb_request *request = policy_request("strict");
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    assert_int_equal(sb_policy_make(own, request, &policy, &err), 0);
    sb_profiles_free(SB_STEAL_PTR(own));
    assert_string_equal(policy->profile, "strict");
    assert_string_equal(policy->filter->message->name, "shell");
}

static void a_profile_becomes_a_message(void **state)
{
    (void)state;
    struct sb_err err = {0};
    const struct sb_profile *profile = NULL;
    assert_int_equal(sb_profiles_get(policy_profiles, SB_STR("p"), &profile, &err), 0);
    Aisbx__V1__Profile *message = sb_api_profile_make(policy_profiles, profile);
    assert_non_null(message);
    assert_string_equal(message->name, "p");
    assert_string_equal(message->description, "");
    assert_string_equal(message->driver, "native");
    assert_int_equal(message->limits->memory_bytes, 64 << 20);
    assert_int_equal(message->limits->output_bytes, 16 << 20);
    assert_int_equal(message->network->mode, AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED);
    assert_int_equal(message->network->n_allow, 2);
    assert_int_equal(message->filesystem, AISBX__V1__FILESYSTEM_MODE__FILESYSTEM_MODE_RESTRICTED);
    assert_int_equal(message->n_mounts, 1);
    assert_int_equal(message->mounts[0]->mode, AISBX__V1__MOUNT_MODE__MOUNT_MODE_RO);
    assert_int_equal(message->n_env, 6);
    assert_string_equal(message->seccomp, "base");
    assert_string_equal(message->origin, "c.yaml:2");
    assert_non_null(strstr(message->yaml, "memory: 64MiB"));
    assert_int_equal(strlen(message->policy_hash), 64);
    aisbx__v1__profile__free_unpacked(message, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_says_nothing_gets_the_profile),
        cmocka_unit_test(a_limit_can_be_lowered_but_not_raised),
        cmocka_unit_test(a_limit_that_the_profile_does_not_have_can_be_set),
        cmocka_unit_test(a_mount_of_the_request_is_added),
        cmocka_unit_test(a_read_only_profile_takes_read_only_mounts),
        cmocka_unit_test(a_workspace_can_be_copy_on_write),
        cmocka_unit_test(a_workspace_without_a_mode_is_as_the_profile_has_it),
        cmocka_unit_test(mounts_cannot_lie_in_each_other),
        cmocka_unit_test(the_workspace_of_the_profile_wins_and_the_caller_is_told),
        cmocka_unit_test(minimal_starts_in_the_root_unless_there_is_a_workspace),
        cmocka_unit_test(an_unknown_profile_is_not_found),
        cmocka_unit_test(a_request_can_name_a_driver_and_it_is_noted_when_it_is_weaker),
        cmocka_unit_test(the_driver_of_clients_is_unimplemented_in_a_worker),
        cmocka_unit_test(the_environment_is_profile_then_request_then_exec),
        cmocka_unit_test(term_is_added_for_a_terminal_unless_somebody_set_it),
        cmocka_unit_test(the_hash_changes_with_everything_that_binds_and_nothing_else),
        cmocka_unit_test(a_policy_outlives_its_profiles),
        cmocka_unit_test(a_profile_becomes_a_message),
    };
    return cmocka_run_group_tests(tests, policy_load, policy_unload);
}
