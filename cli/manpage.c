#include "cli/manpage.h"

#include <string.h>

#include "base/out.h"
#include "cli/option.h"
#include "cli/program.h"
#include "cli/verb.h"
#include "proto/client/setting.h"

/* Text for roff: no hyphenated minus signs, no control lines. */
static void put_text(struct sb_out *out, const char *text)
{
    if (*text == '.' || *text == '\'') {
        sb_out_put(out, "\\&");
    }
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '-':
            sb_out_put(out, "\\-");
            break;
        case '\\':
            sb_out_put(out, "\\e");
            break;
        case '\n':
            sb_out_put(out, text[1] == '\n' ? "\n.PP\n" : "\n");
            text += text[1] == '\n';
            break;
        default:
            sb_out_write(out, text, 1);
        }
    }
}

static void put_line(struct sb_out *out, const char *before, const char *text, const char *after)
{
    sb_out_put(out, before);
    put_text(out, text);
    sb_out_put(out, after);
}

static void put_option(struct sb_out *out, const struct sb_option *row)
{
    sb_out_put(out, ".TP\n");
    if (row->letter != '\0') {
        sb_out_printf(out, "\\fB\\-%c\\fR, ", row->letter);
    }
    put_line(out, "\\fB\\-\\-", row->name, "\\fR");
    if (row->value != NULL) {
        put_line(out, " \\fI", row->value, "\\fR");
    }
    put_line(out, "\n", row->help, ".\n");
}

static void put_group(struct sb_out *out, const struct sb_option_group *group)
{
    for (size_t i = 0; i < group->n; i++) {
        put_option(out, &group->rows[i]);
    }
}

static void
put_verb(struct sb_out *out, const struct sb_program *program, const struct sb_verb *verb)
{
    put_line(out, ".SS ", program->name, " ");
    put_line(out, "", verb->name, " ");
    put_line(out, "", verb->usage, "\n");
    put_line(out, "", verb->summary, ".\n");
    if (verb->about != NULL) {
        put_line(out, ".PP\n", verb->about, "\n");
    }
    for (size_t i = 0; i < SB_VERB_GROUPS_MAX && verb->groups[i] != NULL; i++) {
        put_group(out, verb->groups[i]);
    }
    for (const char *const *e = verb->examples; e != NULL && *e != NULL; e += 2) {
        put_line(out, ".PP\n", e[0], ":\n.PP\n.in +4n\n.EX\n");
        put_line(out, "", e[1], "\n.EE\n.in\n");
    }
}

void sb_manpage_write(struct sb_out *out, const struct sb_program *program)
{
    sb_out_put(out, ".SH COMMANDS\n");
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        if (!v->is_hidden) {
            put_verb(out, program, v);
        }
    }
    sb_out_put(out, ".SH OPTIONS\nAll verbs take these, before or after the verb.\n");
    put_group(out, &sb_option_everywhere);
    sb_out_put(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < SB_SETTING_COUNT; i++) {
        put_line(out, ".TP\n.B ", sb_setting_table[i].name, "\n");
        put_line(out, "", sb_setting_table[i].help, ".\n");
    }
    sb_out_put(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; program->statuses[i][0] != NULL; i++) {
        put_line(out, ".TP\n.B ", program->statuses[i][0], "\n");
        put_line(out, "", program->statuses[i][1], ".\n");
    }
}
