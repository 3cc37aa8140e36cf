#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/near.h"
#include "service/shared/floor.h"
#include "service/worker/policy/explain.h"
#include "service/worker/policy/profile.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/seccomp_json.h"

/* What of a call the floor refuses, for calls that it does not refuse altogether. */
static const struct {
    const char *call;
    const char *what;
} floor_parts[] = {
    {"clone", "EPERM for new namespaces"},
    {"socket", "EAFNOSUPPORT for families but UNIX, INET, INET6 and NETLINK with ROUTE"},
    {"socketpair", "EAFNOSUPPORT for families but UNIX, INET, INET6 and NETLINK with ROUTE"},
    {"personality", "EPERM for all but PER_LINUX, PER_LINUX32, UNAME26 and the query"},
    {"ioctl", "EPERM for TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD, FIOSETOWN and SIOCSPGRP"},
    {"fcntl", "EPERM for F_SETOWN, F_SETOWN_EX, F_SETLEASE and F_SETDELEG"},
    {"prctl", "EPERM for PR_SCHED_CORE and PR_SET_MEMORY_MERGE"},
    {"madvise", "EINVAL for MADV_MERGEABLE"},
    {"setsockopt", "ENOENT for TCP_ULP"},
    {"setpriority", "EPERM where it names PID 1, which is init, or a user"},
    {"mmap", "ENOMEM for huge pages"},
    {"memfd_create", "ENOMEM for huge pages"},
    {"chmod", "EPERM for modes with setuid or setgid"},
    {"fchmod", "EPERM for modes with setuid or setgid"},
    {"fchmodat", "EPERM for modes with setuid or setgid"},
    {"fchmodat2", "EPERM for modes with setuid or setgid"},
    {"creat", "EPERM for modes with setuid or setgid"},
    {"open", "EPERM for new files with setuid or setgid"},
    {"openat", "EPERM for new files with setuid or setgid"},
    {"mknod", "EPERM for devices, setuid and setgid"},
    {"mknodat", "EPERM for devices, setuid and setgid"},
};

static const char *part_of_floor(const char *name)
{
    for (size_t i = 0; i < sizeof floor_parts / sizeof *floor_parts; i++) {
        if (strcmp(floor_parts[i].call, name) == 0) {
            return floor_parts[i].what;
        }
    }
    for (size_t i = 0; i < sb_floor_n_rules; i++) {
        if (strcmp(sb_floor_rules[i].name, name) == 0) {
            return "EPERM where it names PID 1, which is init"; /* limits and priorities */
        }
    }
    return NULL;
}

/* The errno for every call of that name; 0: the floor does not refuse it altogether. */
static int refused_by_floor(const char *name)
{
    for (size_t i = 0; i < sb_floor_n_rules; i++) {
        if (sb_floor_rules[i].n_args == 0 && strcmp(sb_floor_rules[i].name, name) == 0) {
            return sb_floor_rules[i].error;
        }
    }
    return 0;
}

/* ---- what the list of the profile says ---- */

struct said {
    const Spawn__V1__FilterRule *refuses;    /* without conditions */
    const Spawn__V1__FilterRule *refuses_if; /* the first with conditions */
    bool allows;
    bool allows_if;
};

static bool has_name(const Spawn__V1__FilterRule *rule, const char *name)
{
    for (size_t i = 0; i < rule->n_names; i++) {
        if (strcmp(rule->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_allow(Spawn__V1__Action action)
{
    return action == SPAWN__V1__ACTION__ACTION_ALLOW || action == SPAWN__V1__ACTION__ACTION_LOG;
}

static struct said read_list(const Spawn__V1__LoadFilter *list, const char *name)
{
    struct said said = {0};
    for (size_t i = 0; i < list->n_rules; i++) {
        const Spawn__V1__FilterRule *rule = list->rules[i];
        if (!has_name(rule, name)) {
            continue;
        }
        bool is_always = rule->n_args == 0;
        if (is_allow(rule->action)) {
            said.allows = said.allows || is_always;
            said.allows_if = said.allows_if || !is_always;
        } else if (is_always) {
            said.refuses = said.refuses == NULL ? rule : said.refuses;
        } else {
            said.refuses_if = said.refuses_if == NULL ? rule : said.refuses_if;
        }
    }
    return said;
}

/* What a program gets for a refusal. */
static void put_action(char *out, size_t cap, Spawn__V1__Action action, uint32_t error)
{
    const char *name = strerrorname_np((int)error);
    const char *what = name == NULL ? "an errno" : name;
    if (action == SPAWN__V1__ACTION__ACTION_KILL_PROCESS) {
        what = "the process is killed";
    } else if (action == SPAWN__V1__ACTION__ACTION_KILL_THREAD) {
        what = "the thread is killed";
    } else if (action == SPAWN__V1__ACTION__ACTION_TRAP) {
        what = "SIGSYS";
    }
    (void)snprintf(out, cap, "%s", what);
}

/* The floor's part, and that of conditional rules, of a call that is allowed. */
static void put_exceptions(const char *name, const struct said *said, struct sb_answer *answer)
{
    enum sb_floor_need need = sb_floor_need(name);
    char by_rule[128] = "";
    const char *floor = part_of_floor(name);
    if (said->refuses_if != NULL) {
        char what[64];
        put_action(what, sizeof what, said->refuses_if->action, said->refuses_if->errno_value);
        (void)snprintf(by_rule, sizeof by_rule, "%s for arguments that a rule of the list names",
                       what);
    }
    (void)snprintf(answer->detail, sizeof answer->detail, "%s%s%s", floor == NULL ? "" : floor,
                   floor != NULL && by_rule[0] != '\0' ? "; " : "", by_rule);
    if (floor != NULL || by_rule[0] != '\0' ||
        (said->allows_if && !said->allows && need != SB_FLOOR_NEEDS_ALL) ||
        (need == SB_FLOOR_NEEDS_SOME && !said->allows)) {
        answer->word = "depends";
    }
}

/* A copy of the list is the smallest change: lists do not extend each other. */
static void offer_copy(const char *list, const char *name, bool replaces, struct sb_answer *answer)
{
    (void)snprintf(answer->allow_with, sizeof answer->allow_with,
                   "seccomp: a copy of %.200s with {\"names\": [\"%s\"], \"action\": "
                   "\"SCMP_ACT_ALLOW\"}%s",
                   list, name, replaces ? " in place of the rule that refuses it" : "");
}

static const char *why_unlisted(const char *name, bool allows_if)
{
    if (sb_floor_need(name) == SB_FLOOR_NEEDS_ALL) {
        return allows_if ? "conditions of its rules do not count: every sandbox needs the call"
                         : "it need not name the call: every sandbox needs it";
    }
    return allows_if
               ? "a rule of it names the call, for some arguments only"
               : "it need not name the call: every sandbox needs it, with some arguments only";
}

static void answer_by_list(const struct sb_profile *profile,
                           const Spawn__V1__LoadFilter *list,
                           const char *name,
                           struct sb_answer *answer)
{
    char where[256];
    const char *why = "a rule of it names the call";
    struct said said = read_list(list, name);
    (void)sb_explain_where(profile, NULL, SB_STR("seccomp"), where, sizeof where);
    if (said.refuses != NULL) {
        answer->word = "refused";
        put_action(answer->detail, sizeof answer->detail, said.refuses->action,
                   said.refuses->errno_value);
        offer_copy(list->name, name, true, answer);
    } else if (said.allows || said.allows_if || sb_floor_need(name) != SB_FLOOR_NOT_NEEDED) {
        answer->word = "allowed";
        if (!said.allows) {
            why = why_unlisted(name, said.allows_if);
        }
        put_exceptions(name, &said, answer);
    } else if (is_allow(list->default_action)) {
        answer->word = "allowed";
        why = "no rule of it names the call, and its default is to allow";
        put_exceptions(name, &said, answer);
    } else {
        answer->word = "refused";
        why = "no rule of it names the call, so its default counts";
        put_action(answer->detail, sizeof answer->detail, list->default_action,
                   list->default_errno);
        offer_copy(list->name, name, false, answer);
    }
    (void)snprintf(answer->decided_by, sizeof answer->decided_by, "seccomp list %.200s: %s; %s",
                   list->name, why, where);
}

int sb_explain_syscall(const struct sb_profiles *profiles,
                       const struct sb_profile *profile,
                       const char *name,
                       struct sb_answer *ret_answer,
                       struct sb_err *err)
{
    struct sb_filter *filter = NULL;
    *ret_answer = (struct sb_answer){.word = "unknown"};
    if (sb_profiles_filter(profiles, profile, &filter, err) < 0) {
        return -1;
    }
    if (sb_floor_resolve(name) < 0) {
        (void)snprintf(ret_answer->decided_by, sizeof ret_answer->decided_by,
                       "this machine knows no system call of that name");
        return 0;
    }
    int error = refused_by_floor(name);
    if (error == 0) {
        answer_by_list(profile, filter->message, name, ret_answer);
        return 0;
    }
    ret_answer->word = "refused";
    put_action(ret_answer->detail, sizeof ret_answer->detail, SPAWN__V1__ACTION__ACTION_ERRNO,
               (uint32_t)error);
    (void)snprintf(ret_answer->decided_by, sizeof ret_answer->decided_by,
                   "built-in floor: no profile can allow it");
    return 0;
}
