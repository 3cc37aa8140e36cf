#include <stdlib.h>
#include <string.h>

#include "service/worker/policy/policy.h"

/* Walks two sorted lists at once; of equal names the second list's wins. Secrets come behind: the
 * policy's list has none of their names. */
struct merge {
    const struct sb_pairs *a;
    const struct sb_pairs *b;
    size_t i;
    size_t j;
};

static const struct sb_pair *next(struct merge *m)
{
    const struct sb_pair *a = m->i < m->a->n ? &m->a->items[m->i] : NULL;
    const struct sb_pair *b = m->b != NULL && m->j < m->b->n ? &m->b->items[m->j] : NULL;
    int order = a == NULL ? 1 : b == NULL ? -1 : strcmp(a->name, b->name);
    if (a == NULL && b == NULL) {
        return NULL;
    }
    m->i += order <= 0;
    m->j += order >= 0;
    return order < 0 ? a : b;
}

static char *put(char *at, const char *name, const char *value)
{
    at = stpcpy(at, name);
    *at++ = '=';
    return stpcpy(at, value) + 1;
}

/* An exec may set the variable otherwise. */
static bool is_wanted(const struct sb_profile_secret *secret, const struct sb_pairs *more)
{
    return more == NULL || sb_pairs_get(more, sb_str_from(secret->name)) == NULL;
}

static bool
is_set(const struct sb_policy *policy, const struct sb_pairs *more, const struct sb_pair *pair)
{
    struct sb_str name = sb_str_from(pair->name);
    return sb_pairs_get(&policy->env, name) != NULL ||
           (more != NULL && sb_pairs_get(more, name) != NULL);
}

char **sb_policy_environ(const struct sb_policy *policy,
                         const struct sb_pairs *more,
                         const struct sb_pairs *last,
                         size_t *ret_n)
{
    size_t n = 0;
    size_t bytes = 0;
    struct merge m = {.a = &policy->env, .b = more};
    for (const struct sb_pair *p = next(&m); p != NULL; p = next(&m)) {
        bytes += strlen(p->name) + strlen(p->value) + 2;
        n++;
    }
    for (size_t i = 0; i < policy->secrets.n; i++) {
        const struct sb_profile_secret *secret = &policy->secrets.items[i];
        if (is_wanted(secret, more)) {
            bytes += strlen(secret->name) + strlen(secret->placeholder) + 2;
            n++;
        }
    }
    for (size_t i = 0; last != NULL && i < last->n; i++) {
        if (!is_set(policy, more, &last->items[i])) {
            bytes += strlen(last->items[i].name) + strlen(last->items[i].value) + 2;
            n++;
        }
    }
    char **block = (char **)malloc((n + 1) * sizeof *block + bytes);
    if (block == NULL) {
        return NULL;
    }
    char *at = (char *)(block + n + 1);
    size_t i = 0;
    m.i = 0;
    m.j = 0;
    for (const struct sb_pair *p = next(&m); p != NULL; p = next(&m)) {
        block[i++] = at;
        at = put(at, p->name, p->value);
    }
    for (size_t k = 0; k < policy->secrets.n; k++) {
        const struct sb_profile_secret *secret = &policy->secrets.items[k];
        if (is_wanted(secret, more)) {
            block[i++] = at;
            at = put(at, secret->name, secret->placeholder);
        }
    }
    for (size_t k = 0; last != NULL && k < last->n; k++) {
        if (!is_set(policy, more, &last->items[k])) {
            block[i++] = at;
            at = put(at, last->items[k].name, last->items[k].value);
        }
    }
    block[i] = NULL;
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return block;
}
