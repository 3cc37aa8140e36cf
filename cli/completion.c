#include "cli/completion.h"

#include <string.h>

#include "base/out.h"
#include "cli/option.h"
#include "cli/program.h"
#include "cli/verb.h"

/* Offered without asking a worker: completion must not start one. */
#define BUILT_IN  "python-dev node-dev go-dev rust-dev java-dev strict minimal"
#define NAMES     "aisbx profile list --quiet 2>/dev/null || echo " BUILT_IN
#define PROFILES  "$(" NAMES ")"
#define SANDBOXES "$(aisbx list --quiet 2>/dev/null)"
#define EXECS     "$(aisbx ps --quiet 2>/dev/null)"
#define SNAPSHOTS "$(aisbx snapshots --quiet 2>/dev/null)"

const char *const sb_completion_shells[] = {"bash", "zsh", "fish", NULL};

/* Calls put for each option of a verb, the ones that hold everywhere last. */
static void each_option(struct sb_out *out,
                        const struct sb_program *program,
                        const struct sb_verb *verb,
                        void (*put)(struct sb_out *,
                                    const struct sb_program *,
                                    const struct sb_verb *,
                                    const struct sb_option *))
{
    for (size_t g = 0; g < SB_VERB_GROUPS_MAX && verb->groups[g] != NULL; g++) {
        for (size_t i = 0; i < verb->groups[g]->n; i++) {
            put(out, program, verb, &verb->groups[g]->rows[i]);
        }
    }
    for (size_t i = 0; i < sb_option_everywhere.n; i++) {
        put(out, program, verb, &sb_option_everywhere.rows[i]);
    }
}

/* First words of verbs; each once. */
static bool is_first_of_its_word(const struct sb_program *program,
                                 const struct sb_verb *verb,
                                 struct sb_str *ret_word)
{
    struct sb_str rest;
    *ret_word = sb_str_from(verb->name);
    (void)sb_str_split(*ret_word, ' ', ret_word, &rest);
    const struct sb_verb *last = NULL;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != verb;) {
        last = v;
    }
    if (last == NULL) {
        return true;
    }
    struct sb_str before = sb_str_from(last->name);
    (void)sb_str_split(before, ' ', &before, &rest);
    return !sb_str_eq(before, *ret_word);
}

static void put_first_words(struct sb_out *out, const struct sb_program *program)
{
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str word;
        if (!v->is_hidden && is_first_of_its_word(program, v, &word)) {
            sb_out_printf(out, "%.*s ", SB_STR_ARG(word));
        }
    }
}

static void
put_second_words(struct sb_out *out, const struct sb_program *program, struct sb_str first)
{
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str head;
        struct sb_str tail;
        if (sb_str_split(sb_str_from(v->name), ' ', &head, &tail) && sb_str_eq(head, first)) {
            sb_out_printf(out, "%.*s ", SB_STR_ARG(tail));
        }
    }
}

/* First words of verbs of two words, each once; returns how many. */
static size_t
put_pair_words(struct sb_out *out, const struct sb_program *program, const char *between)
{
    size_t n = 0;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str word;
        if (is_first_of_its_word(program, v, &word) && strchr(v->name, ' ') != NULL) {
            sb_out_printf(out, "%s%.*s", n++ == 0 ? "" : between, SB_STR_ARG(word));
        }
    }
    return n;
}

static bool has_pairs(const struct sb_program *program)
{
    bool has = false;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        has = has || strchr(v->name, ' ') != NULL;
    }
    return has;
}

static void put_choices(struct sb_out *out, const struct sb_option *row)
{
    for (size_t i = 0; row->choices[i] != NULL; i++) {
        sb_out_printf(out, "%s%s", i == 0 ? "" : " ", row->choices[i]);
    }
}

/* ---- bash ---- */

static void bash_name(struct sb_out *out,
                      const struct sb_program *program,
                      const struct sb_verb *verb,
                      const struct sb_option *row)
{
    (void)program;
    (void)verb;
    sb_out_printf(out, "--%s ", row->name);
}

static void bash_value(struct sb_out *out,
                       const struct sb_program *program,
                       const struct sb_verb *verb,
                       const struct sb_option *row)
{
    (void)program;
    if (row->value == NULL) {
        return;
    }
    sb_out_printf(out, "        '%s:--%s'", verb->name, row->name);
    if (row->letter != '\0') {
        sb_out_printf(out, "|'%s:-%c'", verb->name, row->letter);
    }
    sb_out_put(out, ") ");
    switch (row->offer) {
    case SB_OFFER_FILE:
        sb_out_put(out, "COMPREPLY=($(compgen -f -- \"$cur\"))");
        break;
    case SB_OFFER_DIRECTORY:
        sb_out_put(out, "COMPREPLY=($(compgen -d -- \"$cur\"))");
        break;
    case SB_OFFER_PROFILE:
        sb_out_put(out, "COMPREPLY=($(compgen -W '" PROFILES "' -- \"$cur\"))");
        break;
    case SB_OFFER_CHOICES:
        sb_out_put(out, "COMPREPLY=($(compgen -W '");
        put_choices(out, row);
        sb_out_put(out, "' -- \"$cur\"))");
        break;
    case SB_OFFER_NOTHING:
        break;
    }
    sb_out_put(out, row->offer == SB_OFFER_NOTHING ? "return ;;\n" : "; return ;;\n");
}

static const char *bash_operand(enum sb_verb_offer offer)
{
    static const char *const words[] = {
        [SB_VERB_OFFERS_NOTHING] = "",
        [SB_VERB_OFFERS_COMMANDS] = "$(compgen -c -f -- \"$cur\")",
        [SB_VERB_OFFERS_SANDBOXES] = SANDBOXES,
        [SB_VERB_OFFERS_EXECS] = EXECS,
        [SB_VERB_OFFERS_EITHER] = EXECS " " SANDBOXES,
        [SB_VERB_OFFERS_SNAPSHOTS] = SANDBOXES " " SNAPSHOTS,
        [SB_VERB_OFFERS_FILES] = "$(compgen -f -- \"$cur\")",
        [SB_VERB_OFFERS_PLACES] = "$(_aisbx_places)",
        [SB_VERB_OFFERS_PROFILES] = PROFILES,
        [SB_VERB_OFFERS_SHELLS] = "bash zsh fish",
        [SB_VERB_OFFERS_MCP_HOSTS] = "claude claude-code cursor vscode",
        [SB_VERB_OFFERS_VERBS] = "$first",
    };
    return words[offer];
}

static bool has_places(const struct sb_program *program)
{
    bool has_one = false;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        has_one = has_one || v->offer == SB_VERB_OFFERS_PLACES;
    }
    return has_one;
}

/* Of SANDBOX:PATH the shell makes three words: $box is the first one, $cur the last. */
static const char bash_places[] =
    "_aisbx_places() {\n"
    "    if [[ -z $box ]]; then\n"
    "        compgen -f -- \"$cur\"\n"
    "        aisbx list --quiet 2>/dev/null | sed 's/$/:/'\n"
    "    elif [[ $cur == /* ]]; then\n"
    "        aisbx ls --quiet \"$box:${cur%\"${cur##*/}\"}\" 2>/dev/null\n"
    "    else\n"
    "        aisbx ls --quiet \"$box:${cur%\"${cur##*/}\"}\" 2>/dev/null | sed 's,^/workspace/,,'\n"
    "    fi\n"
    "}\n";

static void put_bash(struct sb_out *out, const struct sb_program *program)
{
    sb_out_printf(out, "# bash completion of %s; generated\n%s_%s() {\n    local first='",
                  program->name, has_places(program) ? bash_places : "", program->name);
    put_first_words(out, program);
    sb_out_put(out,
               "'\n"
               "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
               "    local verb= box= word i\n"
               "    [[ $prev == : && $COMP_CWORD -gt 2 ]] && box=${COMP_WORDS[COMP_CWORD - 2]}\n"
               "    [[ $cur == : ]] && box=$prev cur=\n"
               "    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
               "    [[ $cur == = ]] && cur=\n"
               "    COMPREPLY=()\n"
               "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
               "        word=${COMP_WORDS[i]}\n"
               "        if [[ -z $verb && ($word == --address || $word == -A) ]]; then\n"
               "            [[ ${COMP_WORDS[i + 1]} == = ]] && i=$((i + 1))\n"
               "            i=$((i + 1))\n"
               "            while [[ ${COMP_WORDS[i + 1]} == : ]]; do i=$((i + 2)); done\n"
               "            continue\n"
               "        fi\n"
               "        [[ $word == -* ]] && continue\n"
               "        case $verb in\n"
               "        '') verb=$word ;;\n");
    if (has_pairs(program)) {
        sb_out_put(out, "        ");
        put_pair_words(out, program, " | ");
        sb_out_put(out, ") verb=\"$verb $word\" ;;\n");
    }
    sb_out_put(out, "        esac\n"
                    "    done\n"
                    "    case $verb:$prev in\n");
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        if (!v->is_hidden) {
            each_option(out, program, v, bash_value);
        }
    }
    sb_out_put(out, "    esac\n    local names= operands=\n    case $verb in\n");
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str word;
        if (v->is_hidden) {
            continue;
        }
        if (is_first_of_its_word(program, v, &word) && strchr(v->name, ' ') != NULL) {
            sb_out_printf(out, "    '%.*s') operands='", SB_STR_ARG(word));
            put_second_words(out, program, word);
            sb_out_put(out, "' ;;\n");
        }
        sb_out_printf(out, "    '%s') names='", v->name);
        each_option(out, program, v, bash_name);
        sb_out_printf(out, "' operands=\"%s\" ;;\n", bash_operand(v->offer));
    }
    sb_out_printf(out,
                  "    '') names='--help --version --json --verbose --address' operands=$first ;;\n"
                  "    esac\n"
                  "    [[ $cur == -* ]] && operands=$names\n"
                  "    COMPREPLY=($(compgen -W \"$operands\" -- \"$cur\"))\n"
                  "    [[ -n $box || ${COMPREPLY[*]} == *: ]] && compopt -o nospace 2>/dev/null\n"
                  "    return 0\n"
                  "}\n"
                  "complete -o default -F _%s %s\n",
                  program->name, program->name);
}

/* ---- zsh ---- */

/* Text inside '...' and [...] of an _arguments specification. */
static void zsh_text(struct sb_out *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            sb_out_put(out, "'\\''");
        } else {
            if (strchr("[]:\\", *text) != NULL) {
                sb_out_put(out, "\\");
            }
            sb_out_write(out, text, 1);
        }
    }
}

static void zsh_value(struct sb_out *out, const struct sb_option *row)
{
    if (row->value == NULL) {
        return;
    }
    sb_out_put(out, ":");
    zsh_text(out, row->value);
    sb_out_put(out, ":");
    switch (row->offer) {
    case SB_OFFER_FILE:
        sb_out_put(out, "_files");
        break;
    case SB_OFFER_DIRECTORY:
        sb_out_put(out, "_directories");
        break;
    case SB_OFFER_PROFILE:
        sb_out_put(out, "(" PROFILES ")");
        break;
    case SB_OFFER_CHOICES:
        sb_out_put(out, "(");
        put_choices(out, row);
        sb_out_put(out, ")");
        break;
    case SB_OFFER_NOTHING:
        break;
    }
}

static void zsh_option(struct sb_out *out,
                       const struct sb_program *program,
                       const struct sb_verb *verb,
                       const struct sb_option *row)
{
    (void)program;
    (void)verb;
    bool repeats = row->kind == SB_OPTION_TEXTS || row->kind == SB_OPTION_COMMAS;
    const char *star = repeats ? "*" : "";
    sb_out_printf(out, " \\\n            '%s--%s[", star, row->name);
    zsh_text(out, row->help);
    sb_out_put(out, "]");
    zsh_value(out, row);
    sb_out_put(out, "'");
    if (row->letter != '\0') {
        sb_out_printf(out, " \\\n            '%s-%c[", star, row->letter);
        zsh_text(out, row->help);
        sb_out_put(out, "]");
        zsh_value(out, row);
        sb_out_put(out, "'");
    }
}

static const char *zsh_operand(enum sb_verb_offer offer)
{
    static const char *const actions[] = {
        [SB_VERB_OFFERS_NOTHING] = "",
        [SB_VERB_OFFERS_COMMANDS] = "'*:::command:_normal'",
        [SB_VERB_OFFERS_SANDBOXES] = "'*:sandbox:(" SANDBOXES ")'",
        [SB_VERB_OFFERS_EXECS] = "'*:exec:(" EXECS ")'",
        [SB_VERB_OFFERS_EITHER] = "'*:exec or sandbox:(" EXECS " " SANDBOXES ")'",
        [SB_VERB_OFFERS_SNAPSHOTS] = "'*:sandbox or snapshot:(" SANDBOXES " " SNAPSHOTS ")'",
        [SB_VERB_OFFERS_FILES] = "'*:file:_files'",
        [SB_VERB_OFFERS_PLACES] = "'*:place:_aisbx_places'",
        [SB_VERB_OFFERS_PROFILES] = "'*:profile:(" PROFILES ")'",
        [SB_VERB_OFFERS_SHELLS] = "'*:shell:(bash zsh fish)'",
        [SB_VERB_OFFERS_MCP_HOSTS] = "'*:program:(claude claude-code cursor vscode)'",
        [SB_VERB_OFFERS_VERBS] = "'*:verb:($first)'",
    };
    return actions[offer];
}

/* Verbs of two words: the second is completed, or moved to the first. */
static void zsh_pairs(struct sb_out *out, const struct sb_program *program)
{
    sb_out_put(out, "    case $verb in\n    ");
    put_pair_words(out, program, " | ");
    sb_out_put(out, ")\n"
                    "        if ((CURRENT == 2)); then\n"
                    "            case $verb in\n");
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str word;
        if (is_first_of_its_word(program, v, &word) && strchr(v->name, ' ') != NULL) {
            sb_out_printf(out, "            %.*s) compadd -- ", SB_STR_ARG(word));
            put_second_words(out, program, word);
            sb_out_put(out, ";;\n");
        }
    }
    sb_out_put(out, "            esac\n"
                    "            return\n"
                    "        fi\n"
                    "        verb=\"$verb $words[2]\"\n"
                    "        shift words\n"
                    "        ((CURRENT--))\n"
                    "        ;;\n"
                    "    esac\n");
}

static const char zsh_places[] = "_aisbx_places() {\n"
                                 "    local -a found\n"
                                 "    if compset -P '*:'; then\n"
                                 "        found=(${(f)\"$(aisbx ls --quiet "
                                 "\"${IPREFIX}${PREFIX%${PREFIX##*/}}\" 2>/dev/null)\"})\n"
                                 "        [[ $PREFIX == /* ]] || found=(${found#/workspace/})\n"
                                 "        compadd -S '' -a found\n"
                                 "    else\n"
                                 "        found=(" SANDBOXES ")\n"
                                 "        compadd -S : -a found\n"
                                 "        _files\n"
                                 "    fi\n"
                                 "}\n";

static void put_zsh(struct sb_out *out, const struct sb_program *program)
{
    const char *name = program->name;
    sb_out_printf(out,
                  "#compdef %s\n# zsh completion of %s; generated\n%s_%s() {\n"
                  "    local first='",
                  name, name, has_places(program) ? zsh_places : "", name);
    put_first_words(out, program);
    sb_out_put(out, "'\n"
                    "    local verb=$words[2]\n"
                    "    if ((CURRENT == 2)); then\n"
                    "        compadd -- ${=first} --help --version --json --verbose --address\n"
                    "        return\n"
                    "    fi\n"
                    "    shift words\n"
                    "    ((CURRENT--))\n");
    if (has_pairs(program)) {
        zsh_pairs(out, program);
    }
    sb_out_put(out, "    case $verb in\n");
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        if (!v->is_hidden) {
            sb_out_printf(out, "    '%s')\n        _arguments", v->name);
            each_option(out, program, v, zsh_option);
            sb_out_printf(out, " %s\n        ;;\n", zsh_operand(v->offer));
        }
    }
    sb_out_printf(out,
                  "    esac\n}\n"
                  "if [[ $funcstack[1] == _%s ]]; then _%s \"$@\"; else compdef _%s %s; fi\n",
                  name, name, name, name);
}

/* ---- fish ---- */

static void fish_text(struct sb_out *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            sb_out_put(out, "\\");
        }
        sb_out_write(out, text, 1);
    }
}

static void fish_option(struct sb_out *out,
                        const struct sb_program *program,
                        const struct sb_verb *verb,
                        const struct sb_option *row)
{
    sb_out_printf(out, "complete -c %s -n \"__%s_verb_is '%s'\"", program->name, program->name,
                  verb->name);
    if (row->letter != '\0') {
        sb_out_printf(out, " -s %c", row->letter);
    }
    sb_out_printf(out, " -l %s -d '", row->name);
    fish_text(out, row->help);
    sb_out_put(out, "'");
    switch (row->offer) {
    case SB_OFFER_FILE:
        sb_out_put(out, " -r -F");
        break;
    case SB_OFFER_DIRECTORY:
        sb_out_put(out, " -x -a '(__fish_complete_directories)'");
        break;
    case SB_OFFER_PROFILE:
        sb_out_put(out, " -x -a '(" NAMES ")'");
        break;
    case SB_OFFER_CHOICES:
        sb_out_put(out, " -x -a '");
        put_choices(out, row);
        sb_out_put(out, "'");
        break;
    case SB_OFFER_NOTHING:
        sb_out_put(out, row->value == NULL ? "" : " -x");
        break;
    }
    sb_out_put(out, "\n");
}

static const char *fish_operand(enum sb_verb_offer offer)
{
    static const char *const words[] = {
        [SB_VERB_OFFERS_NOTHING] = "",
        [SB_VERB_OFFERS_COMMANDS] = "(__fish_complete_subcommand)",
        [SB_VERB_OFFERS_SANDBOXES] = "(aisbx list --quiet 2>/dev/null)",
        [SB_VERB_OFFERS_EXECS] = "(aisbx ps --quiet 2>/dev/null)",
        [SB_VERB_OFFERS_EITHER] = "(aisbx ps --quiet 2>/dev/null; aisbx list --quiet 2>/dev/null)",
        [SB_VERB_OFFERS_SNAPSHOTS] =
            "(aisbx list --quiet 2>/dev/null; aisbx snapshots --quiet 2>/dev/null)",
        [SB_VERB_OFFERS_FILES] = "(__fish_complete_path)",
        [SB_VERB_OFFERS_PLACES] = "(__aisbx_places)",
        [SB_VERB_OFFERS_PROFILES] = "(" NAMES ")",
        [SB_VERB_OFFERS_SHELLS] = "bash zsh fish",
        [SB_VERB_OFFERS_MCP_HOSTS] = "claude claude-code cursor vscode",
        [SB_VERB_OFFERS_VERBS] = "",
    };
    return words[offer];
}

static void
put_fish_verb(struct sb_out *out, const struct sb_program *program, const struct sb_verb *verb)
{
    const char *name = program->name;
    struct sb_str word;
    struct sb_str second;
    bool is_first = is_first_of_its_word(program, verb, &word);
    bool is_pair = sb_str_split(sb_str_from(verb->name), ' ', &word, &second);
    if (is_first) {
        sb_out_printf(out, "complete -c %s -n \"__%s_verb_is ''\" -a %.*s -d '", name, name,
                      SB_STR_ARG(word));
        fish_text(out, is_pair ? "More verbs" : verb->summary);
        sb_out_put(out, "'\n");
    }
    if (is_pair) {
        sb_out_printf(out, "complete -c %s -n \"__%s_verb_is '%.*s'\" -a %.*s -d '", name, name,
                      SB_STR_ARG(word), SB_STR_ARG(second));
        fish_text(out, verb->summary);
        sb_out_put(out, "'\n");
    }
    if (*fish_operand(verb->offer) != '\0') {
        sb_out_printf(out, "complete -c %s -n \"__%s_verb_is '%s'\" -a '%s'\n", name, name,
                      verb->name, fish_operand(verb->offer));
    }
    each_option(out, program, verb, fish_option);
}

static const char fish_places[] =
    "function __aisbx_places\n"
    "    set -l word (commandline -ct)\n"
    "    if not string match -q '*:*' -- $word\n"
    "        __fish_complete_path $word\n"
    "        aisbx list --quiet 2>/dev/null | string replace -r '$' ':'\n"
    "        return\n"
    "    end\n"
    "    set -l box (string split -m 1 : -- $word)\n"
    "    for path in (aisbx ls --quiet $box[1]:(string replace -r '[^/]*$' '' -- $box[2]) "
    "2>/dev/null)\n"
    "        string match -q '/*' -- $box[2]; or set path (string replace -r '^/workspace/' '' -- "
    "$path)\n"
    "        echo $box[1]:$path\n"
    "    end\n"
    "end\n";

static void put_fish(struct sb_out *out, const struct sb_program *program)
{
    const char *name = program->name;
    sb_out_printf(out,
                  "# fish completion of %s; generated\n"
                  "%s"
                  "function __%s_verb_is\n"
                  "    set -l verb\n"
                  "    for word in (commandline -opc)[2..-1]\n"
                  "        string match -q -- '-*' $word; and continue\n"
                  "        if test (count $verb) -eq 0\n"
                  "            set verb $word\n"
                  "        else if contains -- \"$verb\" ",
                  name, has_places(program) ? fish_places : "", name);
    (void)put_pair_words(out, program, " ");
    sb_out_printf(out,
                  "\n"
                  "            set verb \"$verb $word\"\n"
                  "        end\n"
                  "    end\n"
                  "    test \"$verb\" = \"$argv\"\n"
                  "end\n"
                  "complete -c %s -f\n",
                  name);
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        if (!v->is_hidden) {
            put_fish_verb(out, program, v);
        }
    }
}

bool sb_completion_write(struct sb_out *out, const struct sb_program *program, struct sb_str shell)
{
    static void (*const writers[])(struct sb_out *, const struct sb_program *) = {put_bash, put_zsh,
                                                                                  put_fish};
    for (size_t i = 0; sb_completion_shells[i] != NULL; i++) {
        if (sb_str_eq(shell, sb_str_from(sb_completion_shells[i]))) {
            writers[i](out, program);
            return true;
        }
    }
    return false;
}
