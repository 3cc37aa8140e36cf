#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/near.h"
#include "base/num.h"
#include "cli/option.h"

enum { CHOICES_SIZE = 256 };

/* One pass over argv. */
struct parser {
    struct sb_args *args;
    const struct sb_option_group *const *groups;
    char **argv;
    size_t at; /* next word */
};

static const struct sb_option *find_long(const struct parser *p, struct sb_str name)
{
    for (size_t g = 0; p->groups[g] != NULL; g++) {
        for (size_t i = 0; i < p->groups[g]->n; i++) {
            const struct sb_option *row = &p->groups[g]->rows[i];
            if (sb_str_eq(name, sb_str_from(row->name))) {
                return row;
            }
        }
    }
    return NULL;
}

static const struct sb_option *find_letter(const struct parser *p, char letter)
{
    for (size_t g = 0; p->groups[g] != NULL; g++) {
        for (size_t i = 0; i < p->groups[g]->n; i++) {
            if (p->groups[g]->rows[i].letter == letter && letter != '\0') {
                return &p->groups[g]->rows[i];
            }
        }
    }
    return NULL;
}

static int refuse_unknown(const struct parser *p, struct sb_str name, struct sb_err *err)
{
    const char *near = NULL;
    size_t best = SIZE_MAX;
    for (size_t g = 0; p->groups[g] != NULL; g++) {
        for (size_t i = 0; i < p->groups[g]->n; i++) {
            const char *candidate = p->groups[g]->rows[i].name;
            if (sb_near_improves(name, sb_str_from(candidate), &best)) {
                near = candidate;
            }
        }
    }
    if (near == NULL) {
        return sb_err_set(err, SB_INVALID, "there is no option --%.*s", SB_STR_ARG(name));
    }
    return sb_err_set(err, SB_INVALID, "there is no option --%.*s; did you mean --%s?",
                      SB_STR_ARG(name), near);
}

int sb_args_push(struct sb_texts *texts, const char *text, struct sb_err *err)
{
    const char **items = reallocarray(texts->items, texts->n + 1, sizeof *items);
    if (items == NULL) {
        return sb_err_oom(err);
    }
    items[texts->n] = text;
    texts->items = items;
    texts->n++;
    return 0;
}

/* argv itself stays as it is: another program may yet get it. */
static int
push_commas(struct sb_args *args, struct sb_texts *texts, const char *value, struct sb_err *err)
{
    char *copy = sb_str_dup(sb_str_from(value));
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    if (sb_args_push(&args->copies, copy, err) < 0) {
        free(copy);
        return -1;
    }
    char *rest = copy;
    for (char *piece; (piece = strsep(&rest, ",")) != NULL;) {
        if (*piece == '\0') {
            /* Of a script whose variable is not set: nothing must not come to mean everything. */
            return sb_err_set(err, SB_INVALID, "an entry of \"%s\" is empty", value);
        }
        if (sb_args_push(texts, piece, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_choice(const struct sb_option *row, const char *value, struct sb_err *err)
{
    if (row->choices == NULL) {
        return 0;
    }
    size_t n = 0;
    for (; row->choices[n] != NULL; n++) {
        if (strcmp(row->choices[n], value) == 0) {
            return 0;
        }
    }
    char names[CHOICES_SIZE] = "";
    for (size_t i = 0, len = 0; i < n && len < sizeof names; i++) {
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i == 0 ? "" : ", ",
                                row->choices[i]);
    }
    const char *near = sb_near_find(sb_str_from(value), row->choices, n);
    return sb_err_set(err, SB_INVALID, "\"%s\" is none of %s%s%s%s", value, names,
                      near == NULL ? "" : "; did you mean ", near == NULL ? "" : near,
                      near == NULL ? "" : "?");
}

static int store(struct parser *p, const struct sb_option *row, char *value, struct sb_err *err)
{
    static int (*const numbers[])(struct sb_str, uint64_t, uint64_t, uint64_t *,
                                  struct sb_err *) = {
        [SB_OPTION_COUNT] = sb_num_u64,
        [SB_OPTION_BYTES] = sb_num_bytes,
        [SB_OPTION_MILLIS] = sb_num_millis,
        [SB_OPTION_CPU] = sb_num_cpu,
    };
    void *target = (char *)p->args + row->offset;
    switch (row->kind) {
    case SB_OPTION_FLAG:
        *(bool *)target = true;
        return 0;
    case SB_OPTION_TEXT:
    case SB_OPTION_ANY:
        *(const char **)target = value;
        return check_choice(row, value, err);
    case SB_OPTION_TEXTS:
        return sb_args_push(target, value, err);
    case SB_OPTION_COMMAS:
        return push_commas(p->args, target, value, err);
    case SB_OPTION_COUNT:
    case SB_OPTION_BYTES:
    case SB_OPTION_MILLIS:
    case SB_OPTION_CPU:
        return numbers[row->kind](sb_str_from(value), row->min, row->max, target, err);
    }
    return 0;
}

/* @stuck  value in the same word, or NULL: then the next word is it. */
static int apply(struct parser *p, const struct sb_option *row, char *stuck, struct sb_err *err)
{
    if (row->kind == SB_OPTION_FLAG) {
        if (stuck != NULL) {
            return sb_err_set(err, SB_INVALID, "option --%s takes no value", row->name);
        }
        return store(p, row, NULL, err);
    }
    char *value = stuck != NULL ? stuck : p->argv[p->at];
    if (value == NULL) {
        return sb_err_set(err, SB_INVALID, "option --%s needs a value: %s", row->name, row->value);
    }
    p->at += stuck == NULL;
    if (row->kind == SB_OPTION_TEXT && value[0] == '\0') {
        /* Of a script whose variable is not set: nothing must not come to mean the default. */
        return sb_err_set(err, SB_INVALID,
                          "option --%s: the value is empty; leave the option out for its default",
                          row->name);
    }
    if (store(p, row, value, err) < 0) {
        return sb_err_wrap(err, "option --%s", row->name);
    }
    return 0;
}

static int parse_long(struct parser *p, char *word, struct sb_err *err)
{
    struct sb_str name = sb_str_from(word + 2);
    struct sb_str value;
    char *stuck = NULL;
    if (sb_str_split(name, '=', &name, &value)) {
        stuck = word + 2 + name.len + 1;
    }
    const struct sb_option *row = find_long(p, name);
    return row == NULL ? refuse_unknown(p, name, err) : apply(p, row, stuck, err);
}

static int parse_letters(struct parser *p, char *word, struct sb_err *err)
{
    for (char *c = word + 1; *c != '\0'; c++) {
        const struct sb_option *row = find_letter(p, *c);
        if (row == NULL) {
            return sb_err_set(err, SB_INVALID, "there is no option -%c", *c);
        }
        if (row->kind != SB_OPTION_FLAG) {
            return apply(p, row, c[1] == '\0' ? NULL : c + 1, err);
        }
        if (apply(p, row, NULL, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool ends_options(enum sb_args_style style, size_t n_operands)
{
    return (style == SB_ARGS_COMMAND && n_operands >= 1) ||
           (style == SB_ARGS_IN_COMMAND && n_operands >= 2);
}

int sb_args_parse(struct sb_args *args,
                  const struct sb_option_group *const *groups,
                  enum sb_args_style style,
                  char **argv,
                  struct sb_err *err)
{
    struct parser p = {.args = args, .groups = groups, .argv = argv};
    bool only_operands = false;
    args->operands = argv;
    args->n_operands = 0;
    while (argv[p.at] != NULL) {
        char *word = argv[p.at++];
        if (only_operands || word[0] != '-' || word[1] == '\0') {
            argv[args->n_operands++] = word;
            only_operands = only_operands || ends_options(style, args->n_operands);
        } else if (strcmp(word, "--") == 0) {
            only_operands = true;
        } else if ((word[1] == '-' ? parse_long : parse_letters)(&p, word, err) < 0) {
            return -1;
        }
    }
    argv[args->n_operands] = NULL;
    return 0;
}

void sb_args_done(struct sb_args *args)
{
    for (size_t i = 0; i < args->copies.n; i++) {
        sb_freep(&args->copies.items[i]);
    }
    struct sb_texts *all[] = {&args->syscalls,    &args->hosts,      &args->paths,
                              &args->copies,      &args->mounts,     &args->labels,
                              &args->require,     &args->env,        &args->env_files,
                              &args->allow_hosts, &args->deny_hosts, &args->without_secrets,
                              &args->heads,       &args->states,     &args->packages};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]->items);
        *all[i] = (struct sb_texts){0};
    }
}
