#include "cli/program.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/near.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/args.h"
#include "cli/connect.h"
#include "cli/help.h"
#include "cli/lima.h"
#include "cli/option.h"
#include "cli/remote.h"
#include "cli/verb.h"
#include "proto/client/setting.h"

const struct sb_verb *sb_program_next(const struct sb_program *program, const struct sb_verb *verb)
{
    if (verb != NULL && verb[1].name != NULL) {
        return verb + 1;
    }
    const struct sb_verb *const *table = program->verbs;
    for (bool is_past = verb == NULL; !is_past; table++) {
        const struct sb_verb *v = *table;
        while (v->name != NULL && v != verb) {
            v++;
        }
        is_past = v == verb;
    }
    return *table;
}

/* Words that @name takes when words begin with it; 0: they do not. */
static size_t words_taken(const char *name, char *const *words)
{
    struct sb_str first = sb_str_from(name);
    struct sb_str second;
    if (!sb_str_split(first, ' ', &first, &second)) {
        return sb_str_eq(first, sb_str_from(words[0])) ? 1 : 0;
    }
    return sb_str_eq(first, sb_str_from(words[0])) && words[1] != NULL &&
                   sb_str_eq(second, sb_str_from(words[1]))
               ? 2
               : 0;
}

/* Second words of "profile", "worker". False: no verb begins with that word. */
static bool
second_words(const struct sb_program *program, const char *first, char *text, size_t cap)
{
    size_t len = 0;
    text[0] = '\0';
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str head;
        struct sb_str tail;
        if (sb_str_split(sb_str_from(v->name), ' ', &head, &tail) &&
            sb_str_eq(head, sb_str_from(first)) && len < cap) {
            len += (size_t)snprintf(text + len, cap - len, "%s%.*s", len == 0 ? "" : ", ",
                                    SB_STR_ARG(tail));
        }
    }
    return len > 0;
}

static int refuse(const struct sb_program *program, char *const *words, struct sb_err *err)
{
    char seconds[128];
    if (second_words(program, words[0], seconds, sizeof seconds)) {
        if (words[1] == NULL) {
            return sb_err_set(err, SB_INVALID, "%s what? There are: %s", words[0], seconds);
        }
        return sb_err_set(err, SB_INVALID, "%s has no verb \"%s\"; there are: %s", words[0],
                          words[1], seconds);
    }
    const char *near = NULL;
    size_t best = SIZE_MAX;
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        struct sb_str name = sb_str_from(v->name);
        struct sb_str tail;
        (void)sb_str_split(name, ' ', &name, &tail);
        if (!v->is_hidden && sb_near_improves(sb_str_from(words[0]), name, &best)) {
            near = v->name;
        }
    }
    if (near == NULL) {
        return sb_err_set(err, SB_INVALID, "there is no verb \"%s\"", words[0]);
    }
    return sb_err_set(err, SB_INVALID, "there is no verb \"%s\"; did you mean \"%s\"?", words[0],
                      near);
}

int sb_program_find(const struct sb_program *program,
                    char *const *words,
                    const struct sb_verb **ret_verb,
                    size_t *ret_used,
                    struct sb_err *err)
{
    for (const struct sb_verb *v = NULL; (v = sb_program_next(program, v)) != NULL;) {
        size_t taken = words_taken(v->name, words);
        if (taken > 0) {
            *ret_verb = v;
            *ret_used = taken;
            return 0;
        }
    }
    return refuse(program, words, err);
}

void sb_verb_hint(struct sb_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(cli->hint, sizeof cli->hint, fmt, ap);
    va_end(ap);
}

int sb_verb_misused(struct sb_cli *cli, int rc)
{
    cli->is_misused = cli->is_misused || rc < 0;
    return rc;
}

static const struct sb_option_group *const everywhere[] = {&sb_option_everywhere, NULL};

static int
show_help(const struct sb_program *program, const struct sb_verb *verb, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (verb == NULL) {
        sb_help_overview(&out, program);
    } else {
        sb_help_verb(&out, program, verb);
    }
    return sb_out_flush(&out, err);
}

static int parse_verb(struct sb_cli *cli, const struct sb_verb *verb, struct sb_err *err)
{
    const struct sb_option_group *groups[SB_VERB_GROUPS_MAX + 2];
    size_t n = 0;
    for (; n < SB_VERB_GROUPS_MAX && verb->groups[n] != NULL; n++) {
        groups[n] = verb->groups[n];
    }
    groups[n] = &sb_option_everywhere;
    groups[n + 1] = NULL;
    if (sb_args_parse(&cli->args, groups, verb->style, cli->args.operands, err) < 0) {
        return -1;
    }
    size_t got = cli->args.n_operands;
    if (cli->args.help) {
        return 0;
    }
    if (got < verb->min_operands) {
        return sb_err_set(err, SB_INVALID, "%s needs %s", verb->name, verb->wants);
    }
    if (got > verb->max_operands) {
        const char *extra = cli->args.operands[verb->max_operands];
        return sb_err_set(err, SB_INVALID, "%s takes no \"%s\"", verb->name, extra);
    }
    return 0;
}

/* With --json the error is an object on stdout as well, for the program that reads it there. */
static void say_failure(const struct sb_cli *cli, const struct sb_err *err)
{
    sb_say_error(err, cli->hint);
    if (!cli->args.json) {
        return;
    }
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_err ignored;
    sb_out_init(&out, STDOUT_FILENO);
    struct sb_json json = {.out = &out};
    sb_json_open(&json, NULL, '{');
    sb_json_open(&json, "error", '{');
    sb_json_cstr(&json, "code", sb_code_name(err->code));
    sb_json_cstr(&json, "message", err->text);
    sb_json_cstr(&json, "hint", cli->hint);
    sb_json_close(&json, '}');
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    (void)sb_out_flush(&out, &ignored);
}

static int
do_verb(struct sb_cli *cli, const struct sb_verb *verb, int *ret_status, struct sb_err *err)
{
    if (cli->args.help) {
        *ret_status = 0;
        return show_help(cli->program, verb, err);
    }
    if (sb_lima_choose(cli, verb->is_local, err) < 0) {
        return -1;
    }
    if (!verb->is_offline && sb_connect_is_remote(cli) &&
        sb_remote_become_able(cli->argv, err) < 0) {
        return -1;
    }
    return verb->run(cli, ret_status, err);
}

static int run_verb(struct sb_cli *cli, const struct sb_verb *verb)
{
    struct sb_err err = {0};
    int status = 0;
    if (parse_verb(cli, verb, &err) < 0) {
        sb_verb_hint(cli, "%s %s --help", cli->program->name, verb->name);
        say_failure(cli, &err);
        return verb->runs_program ? SB_STATUS_SANDBOX : SB_STATUS_USAGE;
    }
    if (do_verb(cli, verb, &status, &err) == 0) {
        return status;
    }
    say_failure(cli, &err);
    int failed = verb->failed != 0 ? verb->failed : SB_STATUS_FAILED;
    failed = cli->is_misused && err.code == SB_INVALID ? SB_STATUS_USAGE : failed;
    return verb->runs_program ? SB_STATUS_SANDBOX : failed;
}

/* "profile --help": a word that several verbs begin with. False: it was not that. */
static bool help_group(const struct sb_cli *cli, char *const *words, int *ret_status)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_err err = {0};
    bool wants = words[1] == NULL ? cli->args.help
                                  : strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0;
    sb_out_init(&out, STDOUT_FILENO);
    if (!wants || !sb_help_group(&out, cli->program, words[0])) {
        return false;
    }
    *ret_status = 0;
    if (sb_out_flush(&out, &err) < 0) {
        say_failure(cli, &err);
        *ret_status = SB_STATUS_FAILED;
    }
    return true;
}

/* @words  without the program's name; parsing moves them. */
static int dispatch(struct sb_cli *cli, char **words)
{
    char version[] = "version";
    char *version_words[] = {version, NULL};
    struct sb_err err = {0};
    const struct sb_verb *verb = NULL;
    size_t used = 0;
    int parsed = sb_args_parse(&cli->args, everywhere, SB_ARGS_COMMAND, words, &err);
    words = parsed == 0 && cli->args.version ? version_words : cli->args.operands;
    if (parsed == 0 && words[0] == NULL && (cli->args.help || cli->argv[1] == NULL)) {
        if (show_help(cli->program, NULL, &err) == 0) {
            return cli->args.help ? 0 : SB_STATUS_USAGE;
        }
        say_failure(cli, &err);
        return SB_STATUS_FAILED;
    }
    if (parsed == 0 && words[0] == NULL) {
        parsed = sb_err_set(&err, SB_INVALID, "which verb? E.g. %s", cli->program->examples[0]);
    }
    int status = 0;
    if (parsed == 0 && help_group(cli, words, &status)) {
        return status;
    }
    if (parsed < 0 || sb_program_find(cli->program, words, &verb, &used, &err) < 0) {
        sb_verb_hint(cli, "%s --help", cli->program->name);
        say_failure(cli, &err);
        return SB_STATUS_USAGE;
    }
    assert(verb != NULL);
    cli->args.operands = words + used;
    return run_verb(cli, verb);
}

int sb_program_main(const struct sb_program *program, int argc, char **argv)
{
    struct sb_cli cli = {.program = program, .argv = argv};
    sb_fd_standard();
    bool debugs = sb_setting_get(SB_SETTING_DEBUG) != NULL;
    sb_log_init(SB_LOG_FORMAT_LOGFMT, debugs ? SB_LOG_LEVEL_DEBUG : SB_LOG_LEVEL_WARN,
                program->name);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away shows as EPIPE */
    SB_CLEANUP(sb_freep) char **words = calloc((size_t)argc + 1, sizeof *words);
    if (words == NULL) {
        return SB_STATUS_SANDBOX;
    }
    for (int i = 1; i < argc; i++) {
        words[i - 1] = argv[i];
    }
    int status = dispatch(&cli, words);
    sb_args_done(&cli.args);
    return status;
}
