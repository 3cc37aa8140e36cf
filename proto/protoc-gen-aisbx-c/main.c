/** protoc plugin: typed C servers and clients over proto/rpc/rpc.h for messages of protobuf-c.
 *  Reads a CodeGeneratorRequest on standard input, writes a CodeGeneratorResponse. For each file
 * with a service: <stem>.rpc.h, <stem>.rpc.c and <stem>.desc.c (apart, so that a client does not
 * link descriptors). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proto/protoc-gen-aisbx-c/generate.h"
#include "proto/protoc-gen-aisbx-c/names.h"
#include "proto/protoc-gen-aisbx-c/template.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest Request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse Response;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File OutFile;
typedef Google__Protobuf__FileDescriptorProto File;

enum { FILES_PER_INPUT = 3 };

static Request *read_request(void)
{
    struct sb_buf in = SB_BUF_INIT(GEN_MAX_BYTES);
    char chunk[1 << 16];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, stdin)) > 0;) {
        if (sb_buf_append(&in, chunk, n) < 0) {
            return NULL;
        }
    }
    Request *request = google__protobuf__compiler__code_generator_request__unpack(
        NULL, in.len, (const uint8_t *)sb_buf_cstr(&in));
    sb_buf_done(&in);
    return request;
}

/** Takes the text out of @content. */
static void
add_output(Response *response, const char *stem, const char *suffix, struct sb_buf *content)
{
    struct sb_buf name = SB_BUF_INIT(GEN_MAX_BYTES);
    gen_printf(&name, "%s%s", stem, suffix);
    OutFile *file = gen_alloc(1, sizeof *file);
    google__protobuf__compiler__code_generator_response__file__init(file);
    file->name = gen_steal(&name);
    file->content = gen_steal(content);
    response->file[response->n_file++] = file;
}

static void generate(Response *response, const Request *request, const File *file)
{
    if (file->n_service == 0) {
        return;
    }
    char *stem = gen_name_stem(file->name);
    struct sb_buf text = SB_BUF_INIT(GEN_MAX_BYTES);
    gen_header(&text, file);
    add_output(response, stem, ".rpc.h", &text);
    gen_source(&text, file);
    add_output(response, stem, ".rpc.c", &text);
    gen_descriptors(&text, request, file);
    add_output(response, stem, ".desc.c", &text);
    free(stem);
}

static bool is_wanted(const Request *request, const File *file)
{
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        if (strcmp(request->file_to_generate[i], file->name) == 0) {
            return true;
        }
    }
    return false;
}

static bool write_response(const Response *response)
{
    size_t len = google__protobuf__compiler__code_generator_response__get_packed_size(response);
    uint8_t *bytes = gen_alloc(len, 1);
    (void)google__protobuf__compiler__code_generator_response__pack(response, bytes);
    bool ok = fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0;
    free(bytes);
    return ok;
}

int main(void)
{
    Request *request = read_request();
    if (request == NULL) {
        (void)fputs("protoc-gen-aisbx-c: not a CodeGeneratorRequest\n", stderr);
        return EXIT_FAILURE;
    }
    Response response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    response.has_supported_features = 1;
    response.supported_features =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    OutFile **files = gen_alloc(request->n_file_to_generate * FILES_PER_INPUT, sizeof(OutFile *));
    response.file = files;
    for (size_t i = 0; i < request->n_proto_file; i++) {
        if (is_wanted(request, request->proto_file[i])) {
            generate(&response, request, request->proto_file[i]);
        }
    }
    bool ok = write_response(&response);
    for (size_t i = 0; i < response.n_file; i++) {
        free(files[i]->name);
        free(files[i]->content);
        free(files[i]);
    }
    free(files);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
