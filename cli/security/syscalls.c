#include "cli/security/syscalls.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/out.h"

enum { WIDTH = 100, MAX_NAME = 40 };

#if defined(__x86_64__)
#define ARCH "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define ARCH "SCMP_ARCH_AARCH64"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH "SCMP_ARCH_RISCV64"
#else
#error "name this architecture for seccomp profiles"
#endif

static struct sb_syscall *find(const struct sb_syscalls *calls, const char *name)
{
    for (size_t i = 0; i < calls->n; i++) {
        if (strcmp(calls->items[i].name, name) == 0) {
            return &calls->items[i];
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sb_syscall *)a)->name, ((const struct sb_syscall *)b)->name);
}

int sb_syscalls_add(struct sb_syscalls *calls,
                    const Aisbx__V1__Verdict *verdict,
                    struct sb_err *err)
{
    size_t most = calls->n + verdict->n_learnt;
    struct sb_syscall *items = reallocarray(calls->items, most + 1, sizeof *items);
    if (items == NULL) {
        return sb_err_oom(err);
    }
    calls->items = items;
    for (size_t i = 0; i < verdict->n_learnt; i++) {
        const Aisbx__V1__LearntCall *call = verdict->learnt[i];
        struct sb_syscall *known = find(calls, call->name);
        if (known != NULL) {
            known->count += call->count;
            continue;
        }
        char *name = strdup(call->name);
        if (name == NULL) {
            return sb_err_oom(err);
        }
        calls->items[calls->n++] = (struct sb_syscall){.name = name, .count = call->count};
    }
    qsort(calls->items, calls->n, sizeof *calls->items, by_name);
    return 0;
}

void sb_syscalls_compare(struct sb_syscalls *calls, Aisbx__V1__ProfileAnswer *const *answers)
{
    size_t kept = 0;
    for (size_t i = 0; i < calls->n; i++) {
        struct sb_syscall *call = &calls->items[i];
        call->is_wider = strcmp(answers[i]->answer, "refused") == 0;
        if (call->is_wider && call->count == 0) {
            free(call->name);
        } else {
            calls->items[kept++] = *call;
        }
    }
    calls->n = kept;
}

size_t sb_syscalls_made(const struct sb_syscalls *calls)
{
    size_t made = 0;
    for (size_t i = 0; i < calls->n; i++) {
        made += calls->items[i].count > 0;
    }
    return made;
}

void sb_syscalls_done(struct sb_syscalls *calls)
{
    for (size_t i = 0; i < calls->n; i++) {
        free(calls->items[i].name);
    }
    free(calls->items);
    *calls = (struct sb_syscalls){0};
}

/* ---- what is written ---- */

static void put_quoted(struct sb_out *out, struct sb_str text)
{
    struct sb_json json = {.out = out};
    sb_json_str(&json, NULL, text);
}

/* "name" and more, in lines. Returns how many there were. */
static size_t put_names(const struct sb_syscalls *calls, bool made, struct sb_out *out)
{
    size_t n = 0;
    size_t column = 0;
    for (size_t i = 0; i < calls->n; i++) {
        size_t len = strlen(calls->items[i].name) + 4;
        if ((calls->items[i].count > 0) != made) {
            continue;
        }
        bool breaks = n == 0 || column + len > WIDTH;
        sb_out_put(out, n == 0 ? "" : ",");
        sb_out_put(out, breaks ? "\n        " : " ");
        column = (breaks ? 8 : column + 1) + len;
        put_quoted(out, sb_str_from(calls->items[i].name));
        n++;
    }
    return n;
}

static void put_rule(const struct sb_syscalls *calls,
                     bool made,
                     const char *comment,
                     const char *end,
                     struct sb_out *out)
{
    sb_out_printf(out, "    {\n      \"comment\": \"%s\",\n      \"names\": [", comment);
    (void)put_names(calls, made, out);
    sb_out_printf(out, "\n      ],\n      \"action\": \"SCMP_ACT_ALLOW\"\n    }%s\n", end);
}

void sb_syscalls_put_json(const struct sb_syscalls *calls,
                          const struct sb_syscalls_source *source,
                          struct sb_out *out)
{
    char text[256];
    bool has_others = sb_syscalls_made(calls) < calls->n;
    (void)snprintf(text, sizeof text,
                   "Learnt from %" PRIu64
                   " run%s of %.*s under profile %s, on Linux %.64s. What no "
                   "profile can lift is refused by the sandbox whatever stands here.",
                   source->runs, source->runs == 1 ? "" : "s",
                   SB_STR_ARG(sb_str_head(source->program, 64)), source->profile, source->kernel);
    sb_out_put(out, "{\n  \"comment\": ");
    put_quoted(out, sb_str_from(text));
    sb_out_put(out, ",\n  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"defaultErrnoRet\": 38,\n"
                    "  \"defaultErrno\": \"ENOSYS\",\n  \"architectures\": [\"" ARCH "\"],\n"
                    "  \"syscalls\": [\n");
    if (sb_syscalls_made(calls) > 0) {
        put_rule(calls, true, "Made by the program, or by the loader that started it.",
                 has_others ? "," : "", out);
    }
    if (has_others) {
        put_rule(calls, false,
                 "Needed by any sandbox to start and end a program; not seen of this one.", "",
                 out);
    }
    sb_out_put(out, "  ]\n}\n");
}

/* A name that profiles may have. */
static void put_profile_name(struct sb_str program, struct sb_out *out)
{
    sb_out_put(out, "learnt-");
    for (size_t i = 0; i < program.len && i < MAX_NAME; i++) {
        char c = program.ptr[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        sb_out_write(out, is_fine ? &c : "-", 1);
    }
}

void sb_syscalls_put_yaml(const struct sb_syscalls_source *source,
                          const char *path,
                          struct sb_out *out)
{
    char text[160];
    (void)snprintf(text, sizeof text, "%s with the system calls of %.*s alone", source->profile,
                   SB_STR_ARG(sb_str_head(source->program, 64)));
    sb_out_put(out, "profiles:\n  ");
    put_profile_name(source->program, out);
    sb_out_printf(out, ":\n    extends: %s\n    description: ", source->profile);
    put_quoted(out, sb_str_from(text));
    sb_out_put(out, "\n    seccomp: ");
    put_quoted(out, sb_str_from(path));
    sb_out_put(out, "\n");
}

void sb_syscalls_put_profile(struct sb_str yaml,
                             const char *name,
                             const char *seccomp,
                             struct sb_out *out)
{
    size_t number = 0;
    for (struct sb_str line; sb_str_next(&yaml, '\n', &line); number++) {
        if (number == 1) { /* "  NAME:" */
            sb_out_printf(out, "  %s:\n", name);
        } else if (seccomp != NULL && sb_str_starts_with(line, SB_STR("    seccomp:"))) {
            sb_out_put(out, "    seccomp: ");
            put_quoted(out, sb_str_from(seccomp));
            sb_out_put(out, "\n");
        } else if (line.len > 0) {
            sb_out_write(out, line.ptr, line.len);
            sb_out_put(out, "\n");
        }
    }
}
