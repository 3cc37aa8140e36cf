#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "base/out.h"
#include "base/str.h"
#include "cli/option.h"
#include "cli/program.h"
#include "cli/verb.h"
#include "proto/client/setting.h"

enum { WIDTH = 88, LABEL_MAX = 64 };

/* Writes text in lines of at most WIDTH characters, each after the first indented; "\n" breaks. */
static void put_wrapped(struct sb_out *out, const char *text, size_t indent, size_t column)
{
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > WIDTH) {
            sb_out_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            sb_out_put(out, " ");
            column++;
        }
        sb_out_write(out, text, word);
        column += word;
        text += word;
        for (; *text == '\n'; text++) {
            sb_out_printf(out, "\n%*s", text[1] == '\n' ? 0 : (int)indent, "");
            column = indent;
        }
        text += *text == ' ';
    }
    sb_out_put(out, "\n");
}

static void put_row(struct sb_out *out, const char *label, size_t label_width, const char *text)
{
    size_t indent = 2 + label_width + 2;
    if (strlen(label) > label_width) {
        sb_out_printf(out, "  %s\n%*s", label, (int)indent, "");
    } else {
        sb_out_printf(out, "  %-*s  ", (int)label_width, label);
    }
    put_wrapped(out, text, indent, indent);
}

static const char *label_of(char out[LABEL_MAX], const struct sb_option *row)
{
    char letter[] = {'-', row->letter, ',', ' ', '\0'};
    (void)snprintf(out, LABEL_MAX, "%s--%s%s%s", row->letter == '\0' ? "    " : letter, row->name,
                   row->value == NULL ? "" : " ", row->value == NULL ? "" : row->value);
    return out;
}

static void put_group(struct sb_out *out, const struct sb_option_group *group)
{
    char label[LABEL_MAX];
    sb_out_printf(out, "\n%s:\n", group->title);
    for (size_t i = 0; i < group->n; i++) {
        put_row(out, label_of(label, &group->rows[i]), 24, group->rows[i].help);
    }
}

void sb_help_overview(struct sb_out *out, const struct sb_program *program)
{
    sb_out_printf(out, "%s: %s\n\nUsage: %s [OPTIONS] VERB ...\n\nVerbs:\n", program->name,
                  program->summary, program->name);
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        if (!v->is_hidden) {
            put_row(out, v->name, 24, v->summary);
        }
    }
    put_group(out, &sb_option_everywhere);
    sb_out_put(out, "\nEnvironment:\n");
    for (size_t i = 0; i < SB_SETTING_COUNT; i++) {
        put_row(out, sb_setting_table[i].name, 24, sb_setting_table[i].help);
    }
    sb_out_put(out, "\nExit status:\n");
    for (size_t i = 0; program->statuses[i][0] != NULL; i++) {
        put_row(out, program->statuses[i][0], 24, program->statuses[i][1]);
    }
    sb_out_put(out, "\nExamples:\n");
    for (const char *const *e = program->examples; *e != NULL; e++) {
        sb_out_printf(out, "  %s\n", *e);
    }
}

bool sb_help_group(struct sb_out *out, const struct sb_program *program, const char *first)
{
    bool is_group = false;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str head;
        struct sb_str tail;
        if (v->is_hidden || !sb_str_split(sb_str_from(v->name), ' ', &head, &tail) ||
            !sb_str_eq(head, sb_str_from(first))) {
            continue;
        }
        if (!is_group) {
            sb_out_printf(out, "Usage: %s %s VERB ...\n\nVerbs:\n", program->name, first);
        }
        is_group = true;
        put_row(out, v->name, 24, v->summary);
    }
    if (is_group) {
        sb_out_printf(out, "\n%s %s VERB --help has options and examples.\n", program->name, first);
    }
    return is_group;
}

void sb_help_verb(struct sb_out *out, const struct sb_program *program, const struct sb_verb *verb)
{
    sb_out_printf(out, "%s %s: %s\n\nUsage: %s %s%s%s\n", program->name, verb->name, verb->summary,
                  program->name, verb->name, *verb->usage == '\0' ? "" : " ", verb->usage);
    if (verb->about != NULL) {
        sb_out_put(out, "\n");
        put_wrapped(out, verb->about, 0, 0);
    }
    for (size_t i = 0; i < SB_VERB_GROUPS_MAX && verb->groups[i] != NULL; i++) {
        put_group(out, verb->groups[i]);
    }
    put_group(out, &sb_option_everywhere);
    if (verb->examples != NULL) {
        sb_out_put(out, "\nExamples:\n");
        for (const char *const *e = verb->examples; *e != NULL; e += 2) {
            sb_out_printf(out, "  # %s\n  %s\n", e[0], e[1]);
        }
    }
}
