#pragma once

#include <stdbool.h>

#include "google/protobuf/compiler/plugin.pb-c.h"

/* Every function returns heap text for the caller to free and never NULL: without memory the plugin
 * exits. */

/** "aisbx.v1.FooBar" -> "aisbx__v1__foo_bar", protobuf-c's rule for functions. */
char *gen_name_lower(const char *full);
/** "aisbx.v1.foo_bar" -> "Aisbx__V1__FooBar", protobuf-c's rule for types. */
char *gen_name_camel(const char *full);
/** "AISBX__V1__FOO_BAR" of the lower-case name. */
char *gen_name_upper(const char *lower);
/** "CreateSandbox" -> "create_sandbox"; a C keyword gets an underscore behind. */
char *gen_name_member(const char *method);
/** "aisbx/v1/x.proto" -> "aisbx/v1/x". */
char *gen_name_stem(const char *file);
/** "aisbx/v1/x" -> "aisbx_v1_x". */
char *gen_name_ident(const char *stem);
/** "scope.name", or the name alone when the scope is empty or NULL. */
char *gen_name_join(const char *scope, const char *name);

/** All names the templates of one method use. */
struct gen_method_names {
    char *service;      /* aisbx.v1.SandboxService */
    char *prefix;       /* aisbx__v1__sandbox_service */
    char *upper;        /* AISBX__V1__SANDBOX_SERVICE */
    char *method;       /* CreateSandbox */
    char *member;       /* create_sandbox */
    char *member_upper; /* CREATE_SANDBOX */
    char *in;           /* Aisbx__V1__CreateSandboxRequest */
    char *out;
    char *in_lower; /* aisbx__v1__create_sandbox_request */
    char *out_lower;
    bool is_client_stream;
    bool is_server_stream;
};

/** @method  NULL: only the names of the service. Free with gen_method_names_done. */
struct gen_method_names gen_method_names(const Google__Protobuf__FileDescriptorProto *file,
                                         const Google__Protobuf__ServiceDescriptorProto *service,
                                         const Google__Protobuf__MethodDescriptorProto *method);
void gen_method_names_done(struct gen_method_names *names);
