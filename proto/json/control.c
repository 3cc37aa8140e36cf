#include "proto/json/control.h"

#include "base/err.h"
#include "base/near.h"

#define NAME(text, id)  (text),
#define VALUE(text, id) AISBX__V1__CONTROL__CONTROL_##id,
static const char *const names[] = {SB_CONTROL_LIST(NAME)};
static const Aisbx__V1__Control values[] = {SB_CONTROL_LIST(VALUE)};

enum { N = sizeof names / sizeof names[0] };

int sb_control_from(struct sb_str name, Aisbx__V1__Control *ret_control, struct sb_err *err)
{
    for (size_t i = 0; i < N; i++) {
        if (sb_str_eq(name, sb_str_from(names[i]))) {
            *ret_control = values[i];
            return 0;
        }
    }
    const char *near = sb_near_find(name, names, N);
    return sb_err_set(err, SB_INVALID,
                      "no control is named \"%.*s\"%s%s%s; there are: " SB_CONTROL_NAMES,
                      SB_STR_ARG(name), near == NULL ? "" : " (did you mean ",
                      near == NULL ? "" : near, near == NULL ? "" : "?)");
}

const char *sb_control_name(Aisbx__V1__Control control)
{
    for (size_t i = 0; i < N; i++) {
        if (values[i] == control) {
            return names[i];
        }
    }
    return "?";
}
