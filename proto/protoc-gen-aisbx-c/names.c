#include "proto/protoc-gen-aisbx-c/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proto/protoc-gen-aisbx-c/template.h"

/* As functions: the macros of ctype.h are code of their own wherever they stand. */
static char lower_of(char c)
{
    return (char)tolower((unsigned char)c);
}

static char upper_of(char c)
{
    return (char)toupper((unsigned char)c);
}

static const char *without_root(const char *full)
{
    return *full == '.' ? full + 1 : full;
}

char *gen_name_lower(const char *full)
{
    struct sb_buf buf = SB_BUF_INIT(GEN_MAX_BYTES);
    bool at_start = true;
    bool was_upper = false;
    for (const char *at = without_root(full); *at != '\0'; at++) {
        if (*at == '.') {
            gen_put(&buf, "__");
            at_start = true;
            was_upper = false;
            continue;
        }
        bool is_upper = isupper((unsigned char)*at) != 0;
        if (is_upper && !was_upper && !at_start) {
            gen_put(&buf, "_");
        }
        gen_put_char(&buf, lower_of(*at));
        at_start = false;
        was_upper = is_upper;
    }
    return gen_steal(&buf);
}

char *gen_name_camel(const char *full)
{
    struct sb_buf buf = SB_BUF_INIT(GEN_MAX_BYTES);
    bool is_next_upper = true;
    for (const char *at = without_root(full); *at != '\0'; at++) {
        if (*at == '.' || *at == '_') {
            gen_put(&buf, *at == '.' ? "__" : "");
            is_next_upper = true;
            continue;
        }
        gen_put_char(&buf, is_next_upper ? upper_of(*at) : *at);
        is_next_upper = false;
    }
    return gen_steal(&buf);
}

char *gen_name_upper(const char *lower)
{
    char *upper = gen_strdup(lower);
    for (char *at = upper; *at != '\0'; at++) {
        *at = upper_of(*at);
    }
    return upper;
}

char *gen_name_member(const char *method)
{
    /* Only words a method can become: "Register", "Continue", "Return". */
    static const char *const keywords[] = {
        "auto",    "break",  "case",     "char",   "const",    "continue", "default",
        "do",      "double", "else",     "enum",   "extern",   "float",    "for",
        "goto",    "if",     "inline",   "int",    "long",     "register", "restrict",
        "return",  "short",  "signed",   "sizeof", "static",   "struct",   "switch",
        "typedef", "union",  "unsigned", "void",   "volatile", "while",
    };
    char *lower = gen_name_lower(method);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strcmp(lower, keywords[i]) == 0) {
            struct sb_buf buf = SB_BUF_INIT(GEN_MAX_BYTES);
            gen_put(&buf, lower);
            gen_put(&buf, "_");
            free(lower);
            return gen_steal(&buf);
        }
    }
    return lower;
}

char *gen_name_stem(const char *file)
{
    static const char suffix[] = ".proto";
    char *stem = gen_strdup(file);
    size_t len = strlen(stem);
    if (len >= sizeof suffix - 1 && strcmp(stem + len - (sizeof suffix - 1), suffix) == 0) {
        stem[len - (sizeof suffix - 1)] = '\0';
    }
    return stem;
}

char *gen_name_ident(const char *stem)
{
    char *ident = gen_strdup(stem);
    for (char *at = ident; *at != '\0'; at++) {
        if (isalnum((unsigned char)*at) == 0) {
            *at = '_';
        }
    }
    return ident;
}

char *gen_name_join(const char *scope, const char *name)
{
    struct sb_buf buf = SB_BUF_INIT(GEN_MAX_BYTES);
    if (scope != NULL && *scope != '\0') {
        gen_put(&buf, scope);
        gen_put(&buf, ".");
    }
    gen_put(&buf, name);
    return gen_steal(&buf);
}

struct gen_method_names gen_method_names(const Google__Protobuf__FileDescriptorProto *file,
                                         const Google__Protobuf__ServiceDescriptorProto *service,
                                         const Google__Protobuf__MethodDescriptorProto *method)
{
    struct gen_method_names names = {.service = gen_name_join(file->package, service->name)};
    names.prefix = gen_name_lower(names.service);
    names.upper = gen_name_upper(names.prefix);
    if (method == NULL) {
        return names;
    }
    names.method = gen_strdup(method->name);
    names.member = gen_name_member(method->name);
    names.member_upper = gen_name_upper(names.member);
    names.in = gen_name_camel(method->input_type);
    names.out = gen_name_camel(method->output_type);
    names.in_lower = gen_name_lower(method->input_type);
    names.out_lower = gen_name_lower(method->output_type);
    names.is_client_stream = method->has_client_streaming && method->client_streaming;
    names.is_server_stream = method->has_server_streaming && method->server_streaming;
    return names;
}

void gen_method_names_done(struct gen_method_names *names)
{
    char *const all[] = {names->service,   names->prefix,      names->upper, names->method,
                         names->member,    names->in,          names->out,   names->in_lower,
                         names->out_lower, names->member_upper};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]);
    }
    *names = (struct gen_method_names){0};
}
