#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/api_profile.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"
#include "service/worker/policy/seccomp_json.h"

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

static struct sb_profiles *profiles;

static int load(void **state)
{
    (void)state;
    struct sb_problems problems = {0};
    struct sb_err err = {0};
    return sb_profiles_check(sb_str_from(config), "c.yaml", &problems, &profiles, &err);
}

static int unload(void **state)
{
    (void)state;
    sb_profiles_free(profiles);
    return 0;
}

/* A request for a profile, with nothing else. */
static struct sb_request *new_request(const char *profile)
{
    struct sb_request *request = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_request_make(NULL, "sandbox", &request, &err), 0);
    request->profile = strdup(profile);
    assert_non_null(request->profile);
    return request;
}

static struct sb_policy *make(const struct sb_request *request)
{
    struct sb_policy *policy = NULL;
    struct sb_err err = {0};
    if (sb_policy_make(profiles, request, &policy, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return policy;
}

static struct sb_policy *make_plain(const char *profile)
{
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request(profile);
    return make(request);
}

static void assert_refused(const struct sb_request *request, enum sb_code code, const char *message)
{
    struct sb_policy *policy = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_policy_make(profiles, request, &policy, &err), -1);
    assert_string_equal(err.text, message);
    assert_int_equal(err.code, code);
}

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
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make_plain("p");
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
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    request->limits.mem_bytes = 32 << 20;
    request->limits.pids = 50;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_int_equal(policy->limits.mem_bytes, 32 << 20);
    assert_int_equal(policy->limits.pids, 50);
    request->limits.pids = 51;
    assert_refused(request, SB_INVALID,
                   "sandbox.limits.pids: 51 is more than the 50 that profile \"p\" gives "
                   "(c.yaml:4); to have it: limits: {pids: 51}, in it or in a profile that extends "
                   "it");
    request->limits.pids = 0;
    request->limits.mem_bytes = 65 << 20;
    assert_refused(
        request, SB_INVALID,
        "sandbox.limits.memory_bytes: 65MiB is more than the 64MiB that profile \"p\" gives "
        "(c.yaml:3); to have it: limits: {memory: 65MiB}, in it or in a profile that extends it");
}

static void a_limit_that_the_profile_does_not_have_can_be_set(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    request->limits.io_write_bytes = 1 << 20;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_int_equal(policy->limits.io_write_bytes, 1 << 20);
    assert_int_equal(policy->limits.io_read_bytes, 0);
}

static void network_can_be_switched_off_but_not_on(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *off = new_request("p");
    off->network.mode = SB_NETWORK_NONE;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(off);
    assert_int_equal(policy->network.mode, SB_NETWORK_NONE);
    assert_int_equal(policy->network.allow.n, 0);
    assert_int_equal(policy->notices.n, 0);
    SB_CLEANUP(sb_request_freep) struct sb_request *on = new_request("n");
    on->network.mode = SB_NETWORK_LIMITED;
    assert_refused(
        on, SB_INVALID,
        "sandbox.network: profile \"n\" has no network (c.yaml:12); to have it: "
        "network: {enabled: true, allow: [\"HOST\"]}, in it or in a profile that extends it");
}

static void network_rules_can_only_narrow(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    assert_int_equal(sb_strings_add(&request->network.allow, SB_STR("x.example.org:443"), &err), 0);
    assert_int_equal(sb_strings_add(&request->network.deny, SB_STR("c.org"), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_int_equal(policy->network.allow.n, 1);
    assert_string_equal(policy->network.allow.items[0], "x.example.org:443");
    assert_int_equal(policy->network.deny.n, 2);
    assert_int_equal(sb_strings_add(&request->network.allow, SB_STR("x.example.org"), &err), 0);
    assert_refused(request, SB_INVALID,
                   "sandbox.network.allow[1]: profile \"p\" does not allow \"x.example.org\", "
                   "which without a port means all ports (c.yaml:5); to have it: network: {allow: "
                   "[\"x.example.org\"]} beside the rules that are there");
}

static void a_request_keeps_the_bounds_of_the_network(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    assert_int_equal(sb_strings_add(&request->network.allow, SB_STR("x.example.org:443"), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_int_equal(policy->network.max_bytes, 2 << 20);
    assert_int_equal(policy->network.max_connections, 0);
    assert_string_equal(policy->network_said.items[1], "c.yaml:6");
}

static void tools_of_a_limited_network_find_the_proxy(void **state)
{
    (void)state;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make_plain("python-dev");
    assert_int_equal(policy->notices.n, 0);
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = sb_pairs_get(&policy->env, sb_str_from(names[i]));
        assert_non_null(value);
        assert_string_equal(value, "http://127.0.0.1:3128");
    }
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("NO_PROXY")), "localhost,127.0.0.1,::1");
    assert_null(sb_pairs_get(&policy->env, SB_STR("GOPROXY")));
}

static void a_proxy_that_the_caller_names_wins(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("python-dev");
    assert_int_equal(
        sb_pairs_set(&request->env, SB_STR("HTTP_PROXY"), SB_STR("http://own:1"), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("HTTP_PROXY")), "http://own:1");
}

static void tools_know_of_a_network_that_was_taken_away(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *off = new_request("go-dev");
    off->network.mode = SB_NETWORK_NONE;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(off);
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("GOPROXY")), "off");
    assert_null(sb_pairs_get(&policy->env, SB_STR("HTTP_PROXY")));
    SB_CLEANUP(sb_policy_freep) struct sb_policy *strict = make_plain("strict");
    assert_null(sb_pairs_get(&strict->env, SB_STR("GOPROXY")));
}

/* A network as an update would ask for it. */
static struct sb_network asked_for(const char *allow)
{
    struct sb_err err = {0};
    struct sb_network network = {.mode = SB_NETWORK_LIMITED};
    if (allow != NULL) {
        assert_int_equal(sb_strings_add(&network.allow, sb_str_from(allow), &err), 0);
    }
    return network;
}

static void a_network_can_change_within_the_profile_both_ways(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make_plain("p");
    size_t most = policy->network.allow.n;
    char first[SB_POLICY_HASH_SIZE];
    memcpy(first, policy->hash, sizeof first);
    struct sb_network less = asked_for("x.example.org:443");
    assert_int_equal(sb_policy_set_network(policy, &less, &err), 0);
    assert_int_equal(policy->network.allow.n, 1);
    assert_string_not_equal(policy->hash, first);
    struct sb_network none = {.mode = SB_NETWORK_NONE};
    assert_int_equal(sb_policy_set_network(policy, &none, &err), 0);
    assert_int_equal(policy->network.mode, SB_NETWORK_NONE);
    struct sb_network all = asked_for(NULL);
    assert_int_equal(sb_policy_set_network(policy, &all, &err), 0);
    assert_int_equal(policy->network.allow.n, most);
    assert_string_equal(policy->hash, first);
    sb_strings_done(&less.allow);
}

static void a_network_stays_when_more_is_asked_for_than_the_profile_gives(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make_plain("p");
    size_t most = policy->network.allow.n;
    struct sb_network more = asked_for("elsewhere.org");
    assert_int_equal(sb_policy_set_network(policy, &more, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(
        err.text, "network.allow[0]: profile \"p\" does not allow "
                  "\"elsewhere.org\", which without a port means all ports (c.yaml:5); to have it: "
                  "network: {allow: [\"elsewhere.org\"]} beside the rules that are there");
    assert_int_equal(policy->network.allow.n, most);
    sb_strings_done(&more.allow);
}

static void a_mount_of_the_request_is_added(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    add_mount(request, "/workspace", true);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_int_equal(policy->mounts.n, 2);
    assert_true(policy->mounts.items[1].is_requested);
    assert_false(sb_policy_workspace_read_only(policy));
}

static void a_read_only_profile_takes_read_only_mounts(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *ro = new_request("strict");
    add_mount(ro, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(ro);
    assert_true(sb_policy_workspace_read_only(policy));
    SB_CLEANUP(sb_request_freep) struct sb_request *rw = new_request("n");
    add_mount(rw, "/workspace", true);
    assert_refused(
        rw, SB_INVALID,
        "sandbox.mounts[0].mode: profile \"n\" is read-only (c.yaml:12); a mount "
        "can only be "
        "\"ro\"; to have it: filesystem: restricted, in it or in a profile that extends it");
    SB_CLEANUP(sb_request_freep) struct sb_request *least = new_request("m");
    add_mount(least, "/opt/x", true);
    assert_refused(
        least, SB_INVALID,
        "sandbox.mounts[0].mode: profile \"m\" is minimal (c.yaml:13); a mount "
        "can only be "
        "\"ro\"; to have it: filesystem: restricted, in it or in a profile that extends it");
}

static void a_workspace_can_be_copy_on_write(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    add_mount(request, "/workspace", false);
    request->mounts.items[0].is_overlay = true;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_false(sb_policy_workspace_read_only(policy));
    assert_false(sb_policy_shares_workspace(policy));
    assert_null(sb_policy_unbounded(policy));
    SB_CLEANUP(sb_request_freep) struct sb_request *bound = new_request("p");
    add_mount(bound, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *other = make(bound);
    assert_true(sb_policy_shares_workspace(other));
    assert_string_not_equal(policy->hash, other->hash);
    SB_CLEANUP(sb_request_freep) struct sb_request *read_only = new_request("n");
    add_mount(read_only, "/workspace", false);
    read_only->mounts.items[0].is_overlay = true;
    assert_refused(
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
        SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request(rows[i].profile);
        add_mount(request, "/workspace", false);
        request->mounts.items[0].is_as_profile = true;
        SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
        assert_int_equal(policy->mounts.n, rows[i].n_mounts);
        assert_int_equal(!sb_policy_workspace_read_only(policy), rows[i].is_writable);
    }
}

static void mounts_cannot_lie_in_each_other(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    add_mount(request, "/data/more", false);
    assert_refused(request, SB_INVALID,
                   "sandbox.mounts[0].target: \"/data/more\" overlaps with the mount at "
                   "\"/data\"");
}

static void the_workspace_of_the_profile_wins_and_the_caller_is_told(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("w");
    add_mount(request, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
    assert_int_equal(policy->mounts.n, 1);
    assert_string_equal(policy->mounts.items[0].source, "/own");
    assert_string_equal(policy->notices.items[0],
                        "/workspace is /own, as profile \"w\" says; /home/u is not used");
}

static void minimal_starts_in_the_root_unless_there_is_a_workspace(void **state)
{
    (void)state;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *without = make_plain("minimal");
    assert_string_equal(sb_policy_cwd(without), "/");
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("minimal");
    add_mount(request, "/workspace", false);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *with = make(request);
    assert_string_equal(sb_policy_cwd(with), "/workspace");
}

static void an_unknown_profile_is_not_found(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("strikt");
    assert_refused(request, SB_NOT_FOUND,
                   "sandbox.profile: there is no profile \"strikt\"; did you mean \"strict\"?");
}

static void a_request_can_name_a_driver_and_it_is_noted_when_it_is_weaker(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("strict");
    request->driver = SB_DRIVER_CHROOT;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *weaker = make(request);
    assert_int_equal(weaker->driver, SB_DRIVER_CHROOT);
    assert_true(weaker->has_weaker_driver);
    SB_CLEANUP(sb_request_freep) struct sb_request *other = new_request("c");
    SB_CLEANUP(sb_policy_freep) struct sb_policy *as_profile = make(other);
    assert_int_equal(as_profile->driver, SB_DRIVER_CHROOT);
    assert_false(as_profile->has_weaker_driver);
    other->driver = SB_DRIVER_BWRAP;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *stronger = make(other);
    assert_int_equal(stronger->driver, SB_DRIVER_BWRAP);
    assert_false(stronger->has_weaker_driver);
    SB_CLEANUP(sb_request_freep) struct sb_request *far = new_request("b");
    far->driver = SB_DRIVER_NATIVE;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *here = make(far);
    assert_true(here->has_weaker_driver); /* than a machine of its own */
    assert_string_not_equal(stronger->hash, as_profile->hash);
}

static void the_driver_of_clients_is_unimplemented_in_a_worker(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("b");
    assert_refused(request, SB_UNIMPLEMENTED,
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
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
    SB_CLEANUP(sb_pairs_done) struct sb_pairs more = {0};
    assert_int_equal(sb_pairs_set(&request->env, SB_STR("B"), SB_STR("request"), &err), 0);
    assert_int_equal(sb_pairs_set(&request->env, SB_STR("C"), SB_STR("request"), &err), 0);
    assert_int_equal(sb_pairs_set(&more, SB_STR("C"), SB_STR("exec"), &err), 0);
    assert_int_equal(sb_pairs_set(&more, SB_STR("D"), SB_STR(""), &err), 0);
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
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
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make_plain("p");
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
    SB_CLEANUP(sb_policy_freep) struct sb_policy *plain = make_plain("p");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("p");
        changes[i](request);
        SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(request);
        assert_string_not_equal(policy->hash, plain->hash);
    }
    SB_CLEANUP(sb_request_freep) struct sb_request *same = new_request("p");
    same->ttl_ms = 7;
    assert_int_equal(sb_pairs_set(&same->labels, SB_STR("a"), SB_STR("b"), &err), 0);
    same->limits.pids = 50;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = make(same);
    assert_string_equal(policy->hash, plain->hash);

    const struct sb_profile *profile = NULL;
    char hash[SB_POLICY_HASH_SIZE];
    assert_int_equal(sb_profiles_get(profiles, SB_STR("p"), &profile, &err), 0);
    assert_int_equal(sb_policy_profile_hash(profiles, profile, hash, &err), 0);
    assert_string_equal(hash, plain->hash);
}

static void a_policy_outlives_its_profiles(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *own = NULL;
    assert_int_equal(sb_profiles_new(&own, &err), 0);
    SB_CLEANUP(sb_request_freep) struct sb_request *request = new_request("strict");
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
    assert_int_equal(sb_profiles_get(profiles, SB_STR("p"), &profile, &err), 0);
    Aisbx__V1__Profile *message = sb_api_profile_make(profiles, profile);
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
        cmocka_unit_test(network_can_be_switched_off_but_not_on),
        cmocka_unit_test(network_rules_can_only_narrow),
        cmocka_unit_test(a_request_keeps_the_bounds_of_the_network),
        cmocka_unit_test(tools_of_a_limited_network_find_the_proxy),
        cmocka_unit_test(a_proxy_that_the_caller_names_wins),
        cmocka_unit_test(tools_know_of_a_network_that_was_taken_away),
        cmocka_unit_test(a_network_can_change_within_the_profile_both_ways),
        cmocka_unit_test(a_network_stays_when_more_is_asked_for_than_the_profile_gives),
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
    return cmocka_run_group_tests(tests, load, unload);
}
