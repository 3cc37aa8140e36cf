/* Apart from the tests, as worker and spawner each have a struct sb_filter. */
#include "tests/unit/spawner/bpf/shipped.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/seccomp_json.h"

size_t shipped_read(struct shipped filters[SHIPPED_MAX])
{
    static struct sb_profiles *profiles;
    struct sb_filter *filter = NULL;
    struct sb_err err;
    size_t n = 0;
    if (profiles == NULL && sb_profiles_new(&profiles, &err) < 0) {
        abort();
    }
    for (; n < sb_profiles_count(profiles) && n < SHIPPED_MAX; n++) {
        const struct sb_profile *profile = sb_profiles_at(profiles, n);
        if (sb_profiles_filter(profiles, profile, &filter, &err) < 0) {
            (void)fprintf(stderr, "%s\n", err.text);
            abort();
        }
        filters[n] = (struct shipped){profile->name, filter->message};
    }
    return n;
}
