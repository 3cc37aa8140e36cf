#include "service/worker/policy/api_explain.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "service/worker/policy/api_profile.h"
#include "service/worker/policy/explain.h"

enum { SYSCALLS_MAX = 1024, OTHERS_MAX = 64, SETTINGS_MAX = 512 };

static bool set_text(char **member, const char *text)
{
    if (text[0] == '\0') {
        return true;
    }
    size_t size = strlen(text) * 3 + 1; /* what is not UTF-8 becomes U+FFFD */
    char *copy = (char *)malloc(size);
    if (copy != NULL) {
        (void)sb_utf8_sanitize(copy, size, sb_str_from(text), SB_UTF8_ONE_LINE);
        *member = copy;
    }
    return copy != NULL;
}

/* ---- settings ---- */

static int add_setting(const struct sb_setting_told *told, void *user, struct sb_err *err)
{
    Aisbx__V1__ExplainProfileResponse *msg = (Aisbx__V1__ExplainProfileResponse *)user;
    if (msg->n_settings == SETTINGS_MAX) {
        return 0;
    }
    Aisbx__V1__ProfileSetting *made = (Aisbx__V1__ProfileSetting *)malloc(sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    aisbx__v1__profile_setting__init(made);
    msg->settings[msg->n_settings++] = made;
    return set_text(&made->name, told->name) && set_text(&made->value, told->value) &&
                   set_text(&made->profile, told->profile) &&
                   set_text(&made->origin, told->origin) && set_text(&made->meaning, told->meaning)
               ? 0
               : sb_err_oom(err);
}

static int add_settings(const struct sb_profile *profile,
                        Aisbx__V1__ExplainProfileResponse *msg,
                        struct sb_err *err)
{
    msg->settings =
        (Aisbx__V1__ProfileSetting **)calloc(SETTINGS_MAX, sizeof(Aisbx__V1__ProfileSetting *));
    msg->bases = (char **)calloc(profile->bases.n + 1, sizeof(char *));
    if (msg->settings == NULL || msg->bases == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < profile->bases.n; i++) {
        msg->bases[i] = strdup(profile->bases.items[i]);
        if (msg->bases[i] == NULL) {
            return sb_err_oom(err);
        }
        msg->n_bases++;
    }
    return sb_explain_settings(profile, add_setting, msg, err);
}

/* ---- answers ---- */

/* One kind of question. */
struct asking {
    const struct sb_profiles *profiles;
    const struct sb_profile *profile;
    const char *field;
    size_t max;
    int (*answer)(const struct asking *asking,
                  const char *subject,
                  struct sb_answer *ret_answer,
                  struct sb_err *err);
};

static int answer_syscall(const struct asking *asking,
                          const char *subject,
                          struct sb_answer *ret_answer,
                          struct sb_err *err)
{
    return sb_explain_syscall(asking->profiles, asking->profile, subject, ret_answer, err);
}

static int answer_host(const struct asking *asking,
                       const char *subject,
                       struct sb_answer *ret_answer,
                       struct sb_err *err)
{
    return sb_explain_host(asking->profile, subject, ret_answer, err);
}

static int answer_path(const struct asking *asking,
                       const char *subject,
                       struct sb_answer *ret_answer,
                       struct sb_err *err)
{
    return sb_explain_path(asking->profile, subject, ret_answer, err);
}

static bool
fill_answer(Aisbx__V1__ProfileAnswer *to, const char *subject, const struct sb_answer *answer)
{
    return set_text(&to->subject, subject) && set_text(&to->answer, answer->word) &&
           set_text(&to->decided_by, answer->decided_by) && set_text(&to->detail, answer->detail) &&
           set_text(&to->allow_with, answer->allow_with);
}

static Aisbx__V1__ProfileAnswer *make_answer(const char *subject, const struct sb_answer *answer)
{
    Aisbx__V1__ProfileAnswer *made = (Aisbx__V1__ProfileAnswer *)malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    aisbx__v1__profile_answer__init(made);
    if (!fill_answer(made, subject, answer)) {
        aisbx__v1__profile_answer__free_unpacked(made, NULL);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_unpacked has freed it
        return NULL;
    }
    return made;
}

static int answer_all(const struct asking *asking,
                      char *const *subjects,
                      size_t n,
                      Aisbx__V1__ProfileAnswer ***ret_answers,
                      size_t *ret_n,
                      struct sb_err *err)
{
    if (n > asking->max) {
        return sb_err_set(err, SB_INVALID, "%s: more than %zu", asking->field, asking->max);
    }
    *ret_answers = (Aisbx__V1__ProfileAnswer **)calloc(n + 1, sizeof(Aisbx__V1__ProfileAnswer *));
    if (*ret_answers == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_answer answer;
        if (asking->answer(asking, subjects[i], &answer, err) < 0) {
            return sb_err_wrap(err, "%s[%zu]", asking->field, i);
        }
        (*ret_answers)[i] = make_answer(subjects[i], &answer);
        if ((*ret_answers)[i] == NULL) {
            return sb_err_oom(err);
        }
        (*ret_n)++;
    }
    return 0;
}

int sb_api_explain(const struct sb_profiles *profiles,
                   const Aisbx__V1__ExplainProfileRequest *request,
                   Aisbx__V1__ExplainProfileResponse *msg,
                   struct sb_err *err)
{
    const struct sb_profile *profile = NULL;
    if (sb_profiles_look(profiles, sb_str_from(request->profile), &profile, err) < 0) {
        return -1;
    }
    const struct asking syscalls = {profiles, profile, "syscalls", SYSCALLS_MAX, answer_syscall};
    const struct asking hosts = {profiles, profile, "hosts", OTHERS_MAX, answer_host};
    const struct asking paths = {profiles, profile, "paths", OTHERS_MAX, answer_path};
    msg->profile = sb_api_profile_make(profiles, profile);
    if (msg->profile == NULL) {
        return sb_err_oom(err);
    }
    if (add_settings(profile, msg, err) < 0 ||
        answer_all(&syscalls, request->syscalls, request->n_syscalls, &msg->syscalls,
                   &msg->n_syscalls, err) < 0 ||
        answer_all(&hosts, request->hosts, request->n_hosts, &msg->hosts, &msg->n_hosts, err) < 0) {
        return -1;
    }
    return answer_all(&paths, request->paths, request->n_paths, &msg->paths, &msg->n_paths, err);
}
