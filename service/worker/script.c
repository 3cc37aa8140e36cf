#include "service/worker/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "service/shared/fileproto.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profile.h"

enum { MAX_PREFIX = 4, MAX_RUN = 3, MAX_ARGS = 4096 };

/* The source is $1 of these, as text or as a file; $d is a folder of the exec's own. */
#define TEXT(file, make)                                                                           \
    {                                                                                              \
        "sh", "-c",                                                                                \
            "d=$(mktemp -d /tmp/run.XXXXXX) && printf '%s' \"$1\" >\"$d/" file                     \
            "\" && shift && " make " && " GO_ON                                                    \
    }
#define FILE_(make)                                                                                \
    {                                                                                              \
        "sh", "-c", "d=${1%/*} && shift && " make " && " GO_ON                                     \
    }
#define GO_ON "exec \"$d/main\" \"$@\""

#define C_MAKE    "cc -O2 -o \"$d/main\" \"$d/main.c\" -lm"
#define CPP_MAKE  "c++ -O2 -std=c++17 -o \"$d/main\" \"$d/main.cpp\""
#define GO_MAKE   "(cd \"$d\" && go build -o main main.go)"
#define RUST_MAKE "rustc -O -o \"$d/main\" \"$d/main.rs\""
/* The launcher of sources, as only the compiler knows which class is the one to run. */
#define JAVA_TEXT                                                                                  \
    "d=$(mktemp -d /tmp/run.XXXXXX) && printf '%s' \"$1\" >\"$d/Main.java\" && shift && "          \
    "exec java \"$d/Main.java\" \"$@\""

/* As with -c and -e: the folder of modules is the current one. What was read is not needed again.
 */
#define PYTHON_FILE                                                                                \
    "def r():\n import sys,os\n f=sys.argv.pop(1)\n"                                               \
    " with open(f,encoding='utf-8') as h:s=h.read()\n"                                             \
    " os.unlink(f);os.rmdir(os.path.dirname(f))\n"                                                 \
    " return compile(s,'<string>','exec')\nr=r()\nexec(r)"
#define NODE_FILE                                                                                  \
    "const[f]=process.argv.splice(1,1);const s=require('fs').readFileSync(f,'utf8');"              \
    "require('fs').rmSync(require('path').dirname(f),{recursive:true});"                           \
    "require('vm').runInThisContext(s,{filename:'[eval]'})"
#define BASH_FILE "exec 9<\"$1\" && rm -r \"${1%/*}\" && shift && . /dev/fd/9"

/* What a language cannot do with less of. */
enum { JVM_PIDS = 128, GO_PIDS = 128 };

static const struct row {
    const char *program;          /* that must be installed */
    const char *text[MAX_PREFIX]; /* before a source that is an argument */
    const char *after;            /* between source and arguments; NULL: nothing */
    const char *file[MAX_PREFIX]; /* before a source that is a file */
    const char *compile;          /* split: in the directory; NULL: it is run as it is */
    const char *run[MAX_RUN];     /* split: "%" is the directory */
    uint64_t min_pids;
    uint64_t min_disk;
    bool is_compiled; /* needs headers and room */
} rows[SB_LANGUAGES] = {
    [SB_LANGUAGE_PYTHON] = {.program = "python3",
                            .text = {"python3", "-c"},
                            .file = {"python3", "-c", PYTHON_FILE},
                            .run = {"python3", "%/main.py"}},
    [SB_LANGUAGE_NODE] = {.program = "node",
                          .text = {"node", "-e"},
                          .after = "--",
                          .file = {"node", "-e", NODE_FILE, "--"},
                          .run = {"node", "%/main.js"}},
    [SB_LANGUAGE_BASH] = {.program = "bash",
                          .text = {"bash", "-c"},
                          .after = "bash",
                          .file = {"bash", "-c", BASH_FILE, "bash"},
                          .run = {"bash", "%/main.sh"}},
    [SB_LANGUAGE_C] = {.program = "cc",
                       .text = TEXT("main.c", C_MAKE),
                       .file = FILE_(C_MAKE),
                       .compile = "cc -O2 -o main main.c -lm",
                       .run = {"%/main"},
                       .is_compiled = true},
    [SB_LANGUAGE_CPP] = {.program = "c++",
                         .text = TEXT("main.cpp", CPP_MAKE),
                         .file = FILE_(CPP_MAKE),
                         .compile = "c++ -O2 -std=c++17 -o main main.cpp",
                         .run = {"%/main"},
                         .is_compiled = true},
    [SB_LANGUAGE_GO] = {.program = "go",
                        .text = TEXT("main.go", GO_MAKE),
                        .file = FILE_(GO_MAKE),
                        .compile = "go build -o main main.go",
                        .run = {"%/main"},
                        .min_pids = GO_PIDS,
                        .min_disk = 256U << 20,
                        .is_compiled = true},
    [SB_LANGUAGE_RUST] = {.program = "rustc",
                          .text = TEXT("main.rs", RUST_MAKE),
                          .file = FILE_(RUST_MAKE),
                          .compile = "rustc -O -o main main.rs",
                          .run = {"%/main"},
                          .is_compiled = true},
    [SB_LANGUAGE_JAVA] = {.program = "java",
                          .text = {"sh", "-c", JAVA_TEXT},
                          .file = {"sh", "-c", "exec java \"$@\""},
                          .compile = "javac Main.java",
                          .run = {"java", "-cp", "%"},
                          .min_pids = JVM_PIDS,
                          .is_compiled = true},
};

void sb_script_done(struct sb_script *script)
{
    for (size_t i = 0; i < script->n_args; i++) {
        free(script->args[i]);
    }
    free(script->args);
    *script = (struct sb_script){NULL, 0};
}

/* ---- building a list of arguments ---- */

static int add(struct sb_script *script, struct sb_str text, struct sb_err *err)
{
    if (script->args == NULL) {
        script->args = calloc(MAX_PREFIX + 3 + MAX_ARGS + 1, sizeof *script->args);
    }
    char *copy = script->args == NULL ? NULL : sb_str_dup(text);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    script->args[script->n_args++] = copy;
    return 0;
}

static int
add_texts(struct sb_script *script, const char *const *texts, size_t max, struct sb_err *err)
{
    for (size_t i = 0; i < max && texts[i] != NULL; i++) {
        if (add(script, sb_str_from(texts[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_args(struct sb_script *script, char *const *args, size_t n_args, struct sb_err *err)
{
    for (size_t i = 0; i < n_args; i++) {
        if (add(script, sb_str_from(args[i]), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check(struct sb_str source, size_t n_args, struct sb_err *err)
{
    if (source.len == 0) {
        return sb_err_set(err, SB_INVALID, "script.source: is empty");
    }
    if (source.len > SB_SCRIPT_MAX_SOURCE) {
        return sb_err_set(err, SB_INVALID, "script.source: more than %d bytes",
                          SB_SCRIPT_MAX_SOURCE);
    }
    if (n_args > MAX_ARGS) {
        return sb_err_set(err, SB_INVALID, "script.args: more than %d", MAX_ARGS);
    }
    return 0;
}

/* ---- one exec ---- */

static int
add_file(struct sb_stage *stage, const char *path, struct sb_str source, struct sb_err *err)
{
    return sb_stage_add(stage, sb_str_from(path), 0, err) < 0 ||
                   sb_stage_append(stage, source.ptr, source.len, err) < 0
               ? -1
               : 0;
}

static int
make_of_file(const struct row *row, const char *path, struct sb_script *script, struct sb_err *err)
{
    bool has_name = row->is_compiled; /* $0 of the shell */
    return add_texts(script, row->file, MAX_PREFIX, err) < 0 ||
                   (has_name && add(script, SB_STR("sh"), err) < 0) ||
                   add(script, sb_str_from(path), err) < 0
               ? -1
               : 0;
}

static int make_of_text(const struct row *row,
                        struct sb_str source,
                        struct sb_script *script,
                        struct sb_err *err)
{
    if (add_texts(script, row->text, MAX_PREFIX, err) < 0 ||
        (row->is_compiled && add(script, SB_STR("sh"), err) < 0) || add(script, source, err) < 0) {
        return -1;
    }
    return row->after == NULL ? 0 : add(script, sb_str_from(row->after), err);
}

int sb_script_make(enum sb_language language,
                   struct sb_str source,
                   char *const *args,
                   size_t n_args,
                   const char *token,
                   struct sb_budget *budget,
                   struct sb_stage **stage,
                   struct sb_script *ret_script,
                   struct sb_err *err)
{
    const struct row *row = &rows[language];
    SB_CLEANUP(sb_script_done) struct sb_script script = {NULL, 0};
    char path[128];
    if (check(source, n_args, err) < 0) {
        return -1;
    }
    int rc = 0;
    if (source.len <= SB_SCRIPT_MAX_INLINE) {
        rc = make_of_text(row, source, &script, err);
    } else {
        (void)snprintf(path, sizeof path, "/tmp/run.%.40s/%s", token, sb_language_file(language));
        *stage = *stage == NULL ? sb_stage_new(budget, SB_SCRIPT_MAX_SOURCE) : *stage;
        rc = *stage == NULL ? sb_err_oom(err) : add_file(*stage, path, source, err);
        rc = rc < 0 ? rc : make_of_file(row, path, &script, err);
    }
    if (rc < 0 || add_args(&script, args, n_args, err) < 0) {
        return -1;
    }
    *ret_script = script;
    script = (struct sb_script){NULL, 0};
    return 0;
}

/* ---- apart ---- */

static int add_run(const struct row *row,
                   enum sb_language language,
                   const char *directory,
                   struct sb_script *script,
                   struct sb_err *err)
{
    char text[SB_FILE_MAX_PATH];
    for (size_t i = 0; i < MAX_RUN && row->run[i] != NULL; i++) {
        bool has_directory = row->run[i][0] == '%';
        (void)snprintf(text, sizeof text, "%s%s", has_directory ? directory : "",
                       row->run[i] + (has_directory ? 1 : 0));
        if (add(script, sb_str_from(text), err) < 0) {
            return -1;
        }
    }
    return language == SB_LANGUAGE_JAVA ? add(script, SB_STR("Main"), err) : 0;
}

static int add_compile(const struct row *row,
                       const char *directory,
                       struct sb_script *script,
                       struct sb_err *err)
{
    char text[SB_FILE_MAX_PATH + 128];
    if (row->compile == NULL) {
        return 0;
    }
    (void)snprintf(text, sizeof text, "cd \"$1\" && exec %s", row->compile);
    const char *const words[] = {"sh", "-c", text, "sh", directory};
    return add_texts(script, words, sizeof words / sizeof *words, err);
}

int sb_script_split(enum sb_language language,
                    struct sb_str source,
                    char *const *args,
                    size_t n_args,
                    const char *directory,
                    struct sb_stage *stage,
                    struct sb_script *ret_compile,
                    struct sb_script *ret_run,
                    struct sb_err *err)
{
    const struct row *row = &rows[language];
    SB_CLEANUP(sb_script_done) struct sb_script compile = {NULL, 0};
    SB_CLEANUP(sb_script_done) struct sb_script run = {NULL, 0};
    char path[SB_FILE_MAX_PATH];
    if (check(source, n_args, err) < 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/%s", directory, sb_language_file(language));
    if (add_file(stage, path, source, err) < 0 || add_compile(row, directory, &compile, err) < 0 ||
        add_run(row, language, directory, &run, err) < 0 || add_args(&run, args, n_args, err) < 0) {
        return -1;
    }
    *ret_compile = compile;
    *ret_run = run;
    compile = run = (struct sb_script){NULL, 0};
    return 0;
}

/* ---- can it be? ---- */

/* In PATH of the policy, on the host: system directories are the same inside. */
static bool is_installed(const struct sb_policy *policy, const char *program)
{
    const char *path = sb_pairs_get(&policy->env, SB_STR("PATH"));
    struct sb_str rest = sb_str_from(path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path);
    struct sb_str part;
    char text[SB_FILE_MAX_PATH];
    while (sb_str_next(&rest, ':', &part)) {
        int len = snprintf(text, sizeof text, "%.*s/%s", SB_STR_ARG(part), program);
        if (part.len > 0 && len > 0 && (size_t)len < sizeof text && access(text, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

int sb_script_check(enum sb_language language, const struct sb_policy *policy, struct sb_err *err)
{
    const struct row *row = &rows[language];
    const char *name = sb_language_name(language);
    const char *profile = sb_language_profile(language);
    const struct sb_limits *limits = &policy->limits;
    char bytes[SB_NUM_TEXT_SIZE];
    if (row->is_compiled && policy->filesystem == SB_FILESYSTEM_MINIMAL) {
        return sb_err_set(err, SB_PRECONDITION,
                          "script.language: profile \"%s\" has no headers and libraries to compile "
                          "%s with; profile \"%s\" has",
                          policy->profile, name, profile);
    }
    if (limits->pids != 0 && limits->pids < row->min_pids) {
        return sb_err_set(
            err, SB_PRECONDITION,
            "script.language: %s needs %llu processes and threads, and limits.pids of "
            "profile \"%s\" leaves %llu; profile \"%s\" gives enough",
            name, (unsigned long long)row->min_pids, policy->profile,
            (unsigned long long)limits->pids, profile);
    }
    if (limits->disk_bytes != 0 && limits->disk_bytes < row->min_disk) {
        return sb_err_set(err, SB_PRECONDITION,
                          "script.language: %s needs %s of room to compile, and limits.disk of "
                          "profile \"%s\" leaves less; profile \"%s\" gives enough",
                          name, sb_num_format_bytes(bytes, row->min_disk), policy->profile,
                          profile);
    }
    if (!is_installed(policy, row->program)) {
        return sb_err_set(err, SB_PRECONDITION,
                          "script.language: this machine has no %s for %s: install it there; "
                          "profile \"%s\" shows it to programs",
                          row->program, name, profile);
    }
    return 0;
}
