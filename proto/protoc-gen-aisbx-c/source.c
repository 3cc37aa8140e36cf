/** Theory of operation. The generic handlers and callbacks take `const ProtobufCMessage *`, the
 * typed ones a concrete message. Calling one through a pointer of the other's type would be
 * undefined, so each typed function gets a static trampoline that finds the typed table by
 * sb_rpc_call_impl or sb_rpc_stream_impl. */
#include <stdlib.h>

#include "proto/protoc-gen-aisbx-c/generate.h"
#include "proto/protoc-gen-aisbx-c/names.h"
#include "proto/protoc-gen-aisbx-c/template.h"

typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__ServiceDescriptorProto Service;

static void put_method_row(struct sb_buf *out, const struct gen_method_names *names)
{
    const char *flags = names->is_client_stream
                            ? names->is_server_stream
                                  ? "SB_RPC_CLIENT_STREAM | SB_RPC_SERVER_STREAM"
                                  : "SB_RPC_CLIENT_STREAM"
                        : names->is_server_stream ? "SB_RPC_SERVER_STREAM"
                                                  : "0";
    gen_fill(out, names,
             "    {\"$service$\",\n     \"$method$\",\n     \"/$service$/$method$\",\n"
             "     &$in_lower$__descriptor,\n     &$out_lower$__descriptor,\n     ");
    gen_printf(out, "%s},\n", flags);
}

static void put_server_trampolines(struct sb_buf *out, const struct gen_method_names *names)
{
    gen_fill(out, names,
             "\nstatic void $prefix$__$member$__on_start(struct sb_rpc_call *call,\n"
             "    const ProtobufCMessage *req,\n    void *svc)\n{\n"
             "    const struct $prefix$__server *impl = sb_rpc_call_impl(call);\n");
    gen_fill(out, names,
             names->is_client_stream
                 ? "    (void)req;\n    impl->$member$.start(call, svc);\n}\n"
                 : "    impl->$member$.start(call, (const $in$ *)(const void *)req, svc);\n}\n");
    if (names->is_client_stream) {
        gen_fill(out, names,
                 "\nstatic void $prefix$__$member$__on_message(struct sb_rpc_call *call,\n"
                 "    const ProtobufCMessage *msg,\n    void *svc)\n{\n"
                 "    const struct $prefix$__server *impl = sb_rpc_call_impl(call);\n"
                 "    impl->$member$.message(call, (const $in$ *)(const void *)msg, svc);\n}\n");
    }
}

static void put_handler(struct sb_buf *out, const struct gen_method_names *names)
{
    gen_fill(out, names,
             "        {\n            .impl = impl,\n"
             "            .start = impl->$member$.start == NULL ? NULL : "
             "$prefix$__$member$__on_start,\n");
    if (names->is_client_stream) {
        gen_fill(out, names,
                 "            .message = impl->$member$.message == NULL ? NULL : "
                 "$prefix$__$member$__on_message,\n"
                 "            .half_close = impl->$member$.half_close,\n");
    }
    if (names->is_client_stream || names->is_server_stream) {
        gen_fill(out, names, "            .drained = impl->$member$.drained,\n");
    }
    gen_fill(out, names, "            .done = impl->$member$.done,\n        },\n");
}

static void put_client(struct sb_buf *out, const struct gen_method_names *names)
{
    gen_fill(out, names,
             "\nstatic void $prefix$__$member$__on_reply(struct sb_rpc_stream *stream,\n"
             "    const ProtobufCMessage *msg,\n    void *user)\n{\n"
             "    const struct $prefix$__$member$__callbacks *typed = sb_rpc_stream_impl(stream);\n"
             "    typed->message(stream, (const $out$ *)(const void *)msg, user);\n}\n"
             "\nint $prefix$__$member$__start(struct sb_rpc_channel *channel,\n");
    gen_fill(out, names, names->is_client_stream ? "" : "    const $in$ *req,\n");
    gen_fill(out, names,
             "    const struct sb_rpc_stream_options *options,\n"
             "    const struct $prefix$__$member$__callbacks *callbacks,\n"
             "    void *user,\n"
             "    struct sb_rpc_stream **ret_stream,\n"
             "    struct sb_err *err)\n{\n"
             "    const struct sb_rpc_stream_callbacks generic = {\n"
             "        .impl = callbacks,\n"
             "        .message = callbacks->message == NULL ? NULL : "
             "$prefix$__$member$__on_reply,\n"
             "        .drained = callbacks->drained,\n"
             "        .done = callbacks->done,\n"
             "    };\n"
             "    return sb_rpc_stream_start(channel, "
             "&$prefix$__methods[$upper$__METHOD_$member_upper$],\n");
    gen_fill(out, names, names->is_client_stream ? "        NULL," : "        &req->base,");
    gen_fill(out, names, " options, &generic, user, ret_stream, err);\n}\n");
    if (names->is_client_stream || names->is_server_stream) {
        return;
    }
    gen_fill(out, names,
             "\nint $prefix$__$member$__call(struct sb_rpc_channel *channel,\n"
             "    const $in$ *req,\n"
             "    const struct sb_rpc_stream_options *options,\n"
             "    $out$ **ret_reply,\n"
             "    struct sb_err *err)\n{\n"
             "    ProtobufCMessage *reply = NULL;\n"
             "    if (sb_rpc_call_unary(channel, "
             "&$prefix$__methods[$upper$__METHOD_$member_upper$],\n"
             "            &req->base, options, &reply, err) < 0) {\n"
             "        return -1;\n    }\n"
             "    *ret_reply = ($out$ *)(void *)reply;\n"
             "    return 0;\n}\n");
}

static void put_service(struct sb_buf *out, const File *file, const Service *service)
{
    struct gen_method_names own = gen_method_names(file, service, NULL);
    struct gen_method_names *methods = gen_alloc(service->n_method, sizeof *methods);
    for (size_t i = 0; i < service->n_method; i++) {
        methods[i] = gen_method_names(file, service, service->method[i]);
    }

    gen_fill(out, &own,
             "\n/* ---- $service$ ---- */\n\n"
             "const struct sb_rpc_method $prefix$__methods[] = {\n");
    for (size_t i = 0; i < service->n_method; i++) {
        put_method_row(out, &methods[i]);
    }
    gen_put(out, service->n_method == 0 ? "    {0}\n};\n" : "};\n");
    for (size_t i = 0; i < service->n_method; i++) {
        put_server_trampolines(out, &methods[i]);
    }
    gen_fill(
        out, &own,
        "\nint $prefix$__serve(struct sb_rpc_server *server,\n"
        "    const struct $prefix$__server *impl,\n    void *svc,\n    struct sb_err *err)\n{\n"
        "    const struct sb_rpc_handler handlers[] = {\n");
    for (size_t i = 0; i < service->n_method; i++) {
        put_handler(out, &methods[i]);
    }
    gen_fill(out, &own,
             "        {0},\n    };\n"
             "    for (size_t i = 0; i < $upper$__N_METHODS; i++) {\n"
             "        if (sb_rpc_server_add(server, &$prefix$__methods[i], &handlers[i], svc, err) "
             "< 0) {\n            return -1;\n        }\n    }\n    return 0;\n}\n");
    for (size_t i = 0; i < service->n_method; i++) {
        put_client(out, &methods[i]);
        gen_method_names_done(&methods[i]);
    }
    free(methods);
    gen_method_names_done(&own);
}

void gen_source(struct sb_buf *out, const File *file)
{
    char *stem = gen_name_stem(file->name);
    gen_printf(out,
               "/* Generated from %s by protoc-gen-aisbx-c. Do not edit. */\n"
               "#include \"%s.rpc.h\"\n",
               file->name, stem);
    for (size_t i = 0; i < file->n_service; i++) {
        put_service(out, file, file->service[i]);
    }
    free(stem);
}
