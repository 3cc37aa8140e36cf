#include <stdlib.h>
#include <string.h>

#include "proto/protoc-gen-aisbx-c/generate.h"
#include "proto/protoc-gen-aisbx-c/names.h"
#include "proto/protoc-gen-aisbx-c/template.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest Request;
typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__DescriptorProto Message;

enum { NOT_EMBEDDED = -1 };

struct symbol {
    char *name; /* owned */
    int file;
};

struct symbols {
    struct symbol *rows;
    size_t n;
    size_t cap;
};

/* ---- symbols ---- */

/** Returns the full name, which @symbols owns. */
static const char *
add_symbol(struct symbols *symbols, const char *scope, const char *name, int file)
{
    if (symbols->n == symbols->cap) {
        size_t cap = symbols->cap == 0 ? 64 : symbols->cap * 2;
        struct symbol *rows = gen_alloc(cap, sizeof *rows);
        if (symbols->n > 0) {
            memcpy(rows, symbols->rows, symbols->n * sizeof *rows);
        }
        free(symbols->rows);
        symbols->rows = rows;
        symbols->cap = cap;
    }
    char *full = gen_name_join(scope, name);
    symbols->rows[symbols->n++] = (struct symbol){full, file};
    return full;
}

/* As deep as types nest in a file. NOLINTBEGIN(misc-no-recursion) */
static void
add_message(struct symbols *symbols, const char *scope, const Message *message, int file)
{
    const char *full = add_symbol(symbols, scope, message->name, file);
    for (size_t i = 0; i < message->n_enum_type; i++) {
        (void)add_symbol(symbols, full, message->enum_type[i]->name, file);
    }
    for (size_t i = 0; i < message->n_nested_type; i++) {
        add_message(symbols, full, message->nested_type[i], file);
    }
}
/* NOLINTEND(misc-no-recursion) */

static void add_file(struct symbols *symbols, const File *file, int index)
{
    for (size_t i = 0; i < file->n_message_type; i++) {
        add_message(symbols, file->package, file->message_type[i], index);
    }
    for (size_t i = 0; i < file->n_enum_type; i++) {
        (void)add_symbol(symbols, file->package, file->enum_type[i]->name, index);
    }
    for (size_t i = 0; i < file->n_service; i++) {
        const Google__Protobuf__ServiceDescriptorProto *service = file->service[i];
        const char *full = add_symbol(symbols, file->package, service->name, index);
        for (size_t k = 0; k < service->n_method; k++) {
            (void)add_symbol(symbols, full, service->method[k]->name, index);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static void put_symbols(struct sb_buf *out, struct symbols *symbols)
{
    if (symbols->n > 0) {
        qsort(symbols->rows, symbols->n, sizeof *symbols->rows, by_name);
    }
    gen_put(out, "\nstatic const struct sb_rpc_symbol symbols[] = {\n");
    for (size_t i = 0; i < symbols->n; i++) {
        gen_printf(out, "    {\"%s\", %d},\n", symbols->rows[i].name, symbols->rows[i].file);
        free(symbols->rows[i].name);
    }
    gen_put(out, "    {0},\n};\n");
    free(symbols->rows);
}

/* ---- files ---- */

static size_t find_file(const Request *request, const char *name)
{
    size_t i = 0;
    while (i < request->n_proto_file && strcmp(request->proto_file[i]->name, name) != 0) {
        i++;
    }
    return i;
}

/** Index of each file of the request among the embedded ones; the request is in dependency order.
 */
static int *number_files(const Request *request, const File *file)
{
    size_t n = request->n_proto_file;
    int *index = gen_alloc(n, sizeof *index);
    for (size_t i = 0; i < n; i++) {
        index[i] = request->proto_file[i] == file ? 0 : NOT_EMBEDDED;
    }
    for (size_t i = n; i-- > 0;) {
        const File *at = request->proto_file[i];
        for (size_t k = 0; index[i] != NOT_EMBEDDED && k < at->n_dependency; k++) {
            size_t dep = find_file(request, at->dependency[k]);
            if (dep < n) {
                index[dep] = 0;
            }
        }
    }
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        if (index[i] != NOT_EMBEDDED) {
            index[i] = count++;
        }
    }
    return index;
}

static void put_file(struct sb_buf *out, const Request *request, const int *index, size_t at)
{
    File copy = *request->proto_file[at];
    copy.source_code_info = NULL; /* comments */
    size_t len = google__protobuf__file_descriptor_proto__get_packed_size(&copy);
    uint8_t *bytes = gen_alloc(len, 1);
    (void)google__protobuf__file_descriptor_proto__pack(&copy, bytes);
    gen_printf(out, "\n/* %s */\nstatic const uint8_t file_%d[] = {", copy.name, index[at]);
    for (size_t i = 0; i < len; i++) {
        gen_printf(out, "%s%u,", i % 24 == 0 ? "\n    " : "", bytes[i]);
    }
    free(bytes);
    gen_printf(out, "\n};\nstatic const uint16_t deps_%d[] = {", index[at]);
    for (size_t i = 0; i < copy.n_dependency; i++) {
        gen_printf(out, "%d, ", index[find_file(request, copy.dependency[i])]);
    }
    gen_put(out, "0};\n");
}

static int put_files(struct sb_buf *out, const Request *request, const int *index)
{
    int count = 0;
    for (size_t i = 0; i < request->n_proto_file; i++) {
        if (index[i] != NOT_EMBEDDED) {
            put_file(out, request, index, i);
        }
    }
    gen_put(out, "\nstatic const struct sb_rpc_file files[] = {\n");
    for (size_t i = 0; i < request->n_proto_file; i++) {
        if (index[i] != NOT_EMBEDDED) {
            gen_printf(out, "    {\"%s\", file_%d, sizeof file_%d, deps_%d, %zu},\n",
                       request->proto_file[i]->name, index[i], index[i], index[i],
                       request->proto_file[i]->n_dependency);
            count++;
        }
    }
    gen_put(out, "};\n");
    return count;
}

void gen_descriptors(struct sb_buf *out, const Request *request, const File *file)
{
    char *stem = gen_name_stem(file->name);
    char *ident = gen_name_ident(stem);
    gen_printf(out,
               "/* Generated from %s by protoc-gen-aisbx-c. Do not edit. */\n"
               "#include \"%s.rpc.h\"\n",
               file->name, stem);
    int *index = number_files(request, file);
    int n_files = put_files(out, request, index);
    struct symbols symbols = {0};
    for (size_t i = 0; i < request->n_proto_file; i++) {
        if (index[i] != NOT_EMBEDDED) {
            add_file(&symbols, request->proto_file[i], index[i]);
        }
    }
    size_t n_symbols = symbols.n;
    put_symbols(out, &symbols);
    gen_put(out, "\nstatic const char *const services[] = {\n");
    for (size_t i = 0; i < file->n_service; i++) {
        char *full = gen_name_join(file->package, file->service[i]->name);
        gen_printf(out, "    \"%s\",\n", full);
        free(full);
    }
    gen_printf(out,
               "    NULL,\n};\n\n"
               "const struct sb_rpc_descriptors %s__descriptors = {\n"
               "    files, %d, symbols, %zu, services, %zu};\n",
               ident, n_files, n_symbols, file->n_service);
    free(index);
    free(ident);
    free(stem);
}
