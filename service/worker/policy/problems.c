#include "service/worker/policy/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"

void sb_problems_add(
    struct sb_problems *problems, unsigned line, unsigned column, const char *fmt, ...)
{
    if (problems->n == SB_PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    struct sb_problem *problem = &problems->items[problems->n++];
    problem->line = line;
    problem->column = column;
    char raw[SB_PROBLEMS_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    (void)sb_utf8_sanitize(problem->text, sizeof problem->text, sb_str_from(raw), SB_UTF8_ONE_LINE);
}

static int by_place(const void *a, const void *b)
{
    const struct sb_problem *x = (const struct sb_problem *)a;
    const struct sb_problem *y = (const struct sb_problem *)b;
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    return (x->column > y->column) - (x->column < y->column);
}

void sb_problems_sort(struct sb_problems *problems)
{
    qsort(problems->items, problems->n, sizeof problems->items[0], by_place);
}

int sb_problems_err(const struct sb_problems *problems, const char *file, struct sb_err *err)
{
    const struct sb_problem *first = &problems->items[0];
    size_t more = problems->n - 1 + problems->dropped;
    char tail[48] = "";
    if (more > 0) {
        (void)snprintf(tail, sizeof tail, " (and %zu more problem%s)", more, more == 1 ? "" : "s");
    }
    return sb_err_set(err, SB_INVALID, "%s:%u:%u: %s%s", file, first->line, first->column,
                      first->text, tail);
}
