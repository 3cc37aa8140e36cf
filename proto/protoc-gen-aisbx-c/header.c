#include <stdlib.h>

#include "proto/protoc-gen-aisbx-c/generate.h"
#include "proto/protoc-gen-aisbx-c/names.h"
#include "proto/protoc-gen-aisbx-c/template.h"

typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__ServiceDescriptorProto Service;

static void put_server_member(struct sb_buf *out, const struct gen_method_names *names)
{
    gen_fill(out, names, "    struct {\n");
    if (names->is_client_stream) {
        gen_fill(out, names,
                 "        void (*start)(struct sb_rpc_call *call, void *svc);\n"
                 "        void (*message)(struct sb_rpc_call *call, const $in$ *msg, void *svc);\n"
                 "        void (*half_close)(struct sb_rpc_call *call, void *svc);\n");
    } else {
        gen_fill(out, names,
                 "        void (*start)(struct sb_rpc_call *call, const $in$ *req, void *svc);\n");
    }
    if (names->is_client_stream || names->is_server_stream) {
        gen_fill(out, names, "        void (*drained)(struct sb_rpc_call *call, void *svc);\n");
    }
    gen_fill(out, names,
             "        void (*done)(struct sb_rpc_call *call, bool cancelled, void *svc);\n"
             "    } $member$;\n");
}

static void put_server_helpers(struct sb_buf *out, const struct gen_method_names *names)
{
    gen_fill(out, names,
             names->is_server_stream
                 ? "static inline bool $prefix$__$member$__send(struct sb_rpc_call *call, const "
                   "$out$ *msg)\n"
                   "{\n    return sb_rpc_call_send(call, &msg->base);\n}\n"
                 : "static inline void $prefix$__$member$__reply(struct sb_rpc_call *call, const "
                   "$out$ *msg)\n"
                   "{\n    sb_rpc_call_reply(call, &msg->base);\n}\n");
}

static void put_client(struct sb_buf *out, const struct gen_method_names *names)
{
    gen_fill(out, names,
             "struct $prefix$__$member$__callbacks {\n"
             "    void (*message)(struct sb_rpc_stream *stream, const $out$ *msg, void *user);\n"
             "    void (*drained)(struct sb_rpc_stream *stream, void *user);\n"
             "    void (*done)(struct sb_rpc_stream *stream, const struct sb_err *err, void "
             "*user);\n"
             "};\n"
             "int $prefix$__$member$__start(struct sb_rpc_channel *channel,\n");
    if (!names->is_client_stream) {
        gen_fill(out, names, "    const $in$ *req,\n");
    }
    gen_fill(out, names,
             "    const struct sb_rpc_stream_options *options,\n"
             "    const struct $prefix$__$member$__callbacks *callbacks, /* static lifetime */\n"
             "    void *user,\n"
             "    struct sb_rpc_stream **ret_stream,\n"
             "    struct sb_err *err);\n");
    if (names->is_client_stream) {
        gen_fill(out, names,
                 "static inline bool $prefix$__$member$__write(struct sb_rpc_stream *stream, "
                 "const $in$ *msg)\n"
                 "{\n    return sb_rpc_stream_send(stream, &msg->base);\n}\n");
    } else if (!names->is_server_stream) {
        gen_fill(out, names,
                 "/** Blocking. *ret_reply: protobuf_c_message_free_unpacked. */\n"
                 "int $prefix$__$member$__call(struct sb_rpc_channel *channel,\n"
                 "    const $in$ *req,\n"
                 "    const struct sb_rpc_stream_options *options,\n"
                 "    $out$ **ret_reply,\n"
                 "    struct sb_err *err);\n");
    }
}

static void put_service(struct sb_buf *out, const File *file, const Service *service)
{
    struct gen_method_names own = gen_method_names(file, service, NULL);
    struct gen_method_names *methods = gen_alloc(service->n_method, sizeof *methods);
    for (size_t i = 0; i < service->n_method; i++) {
        methods[i] = gen_method_names(file, service, service->method[i]);
    }

    gen_fill(out, &own, "\n/* ---- $service$ ---- */\n\nenum {\n");
    for (size_t i = 0; i < service->n_method; i++) {
        gen_fill(out, &methods[i], "    $upper$__METHOD_$member_upper$");
        gen_printf(out, " = %zu,\n", i);
    }
    gen_fill(out, &own, "    $upper$__N_METHODS");
    gen_printf(out, " = %zu\n};\n", service->n_method);
    gen_fill(out, &own, "extern const struct sb_rpc_method $prefix$__methods[];\n\n");

    gen_fill(out, &own,
             "/** A NULL start answers UNIMPLEMENTED. */\n"
             "struct $prefix$__server {\n");
    for (size_t i = 0; i < service->n_method; i++) {
        put_server_member(out, &methods[i]);
    }
    gen_fill(out, &own,
             "};\n"
             "/** Registers every method. @impl  static lifetime. */\n"
             "int $prefix$__serve(struct sb_rpc_server *server,\n"
             "    const struct $prefix$__server *impl,\n"
             "    void *svc,\n"
             "    struct sb_err *err);\n");
    for (size_t i = 0; i < service->n_method; i++) {
        gen_fill(out, &methods[i], "\n/* $method$ */\n");
        put_server_helpers(out, &methods[i]);
        put_client(out, &methods[i]);
        gen_method_names_done(&methods[i]);
    }
    free(methods);
    gen_method_names_done(&own);
}

void gen_header(struct sb_buf *out, const File *file)
{
    char *stem = gen_name_stem(file->name);
    char *ident = gen_name_ident(stem);
    gen_printf(out,
               "/* Generated from %s by protoc-gen-aisbx-c. Do not edit. */\n"
               "#pragma once\n\n"
               "#include \"%s.pb-c.h\"\n"
               "#include \"proto/rpc/rpc.h\"\n\n"
               "/** For sb_rpc_server_describe; in %s.desc.c. */\n"
               "extern const struct sb_rpc_descriptors %s__descriptors;\n",
               file->name, stem, stem, ident);
    for (size_t i = 0; i < file->n_service; i++) {
        put_service(out, file, file->service[i]);
    }
    free(ident);
    free(stem);
}
