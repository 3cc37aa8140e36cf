/** Theory of operation. The two versions of the protocol have the same messages under other package
 *  names, so one set of handlers with v1's messages serves both paths. One request is answered
 * before the next is read, and none is read while the answers are not taken. */
#include "proto/rpc/grpc/reflect.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "grpc/health/v1/health.rpc.h"
#include "grpc/reflection/v1/reflection.rpc.h"
#include "grpc/reflection/v1alpha/reflection.rpc.h"
#include "proto/rpc/grpc/bytes.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
#define REQUEST(name)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

enum { MAX_SETS = 32 };

struct sb_grpc_reflect {
    const struct sb_rpc_descriptors *sets[MAX_SETS];
    size_t n_sets;
};

/** A file of a set. */
struct found {
    const struct sb_rpc_descriptors *set;
    size_t file;
};

static bool find_file(const struct sb_grpc_reflect *reflect, const char *name, struct found *ret)
{
    for (size_t i = 0; i < reflect->n_sets; i++) {
        const struct sb_rpc_descriptors *set = reflect->sets[i];
        for (size_t k = 0; k < set->n_files; k++) {
            if (strcmp(set->files[k].name, name) == 0) {
                *ret = (struct found){set, k};
                return true;
            }
        }
    }
    return false;
}

static int compare_symbol(const void *name, const void *symbol)
{
    return strcmp(name, ((const struct sb_rpc_symbol *)symbol)->name);
}

static bool find_symbol(const struct sb_grpc_reflect *reflect, const char *name, struct found *ret)
{
    for (size_t i = 0; i < reflect->n_sets; i++) {
        const struct sb_rpc_descriptors *set = reflect->sets[i];
        const struct sb_rpc_symbol *symbol =
            bsearch(name, set->symbols, set->n_symbols, sizeof *set->symbols, compare_symbol);
        if (symbol != NULL) {
            *ret = (struct found){set, symbol->file};
            return true;
        }
    }
    return false;
}

static void send_response(struct sb_rpc_call *call, const Request *request, Response *response)
{
    response->valid_host = request->host;
    response->original_request = sb_grpc_bytes_unconst(request);
    if (sb_rpc_call_send(call, &response->base)) {
        sb_rpc_call_read(call);
    } /* else on_drained reads */
}

static void send_not_found(struct sb_rpc_call *call, const Request *request)
{
    static char text[] = "not found";
    Grpc__Reflection__V1__ErrorResponse error;
    grpc__reflection__v1__error_response__init(&error);
    error.error_code = SB_NOT_FOUND;
    error.error_message = text;
    Response response;
    grpc__reflection__v1__server_reflection_response__init(&response);
    response.message_response_case = RESPONSE(ERROR_RESPONSE);
    response.error_response = &error;
    send_response(call, request, &response);
}

static void fail_oom(struct sb_rpc_call *call)
{
    struct sb_err err;
    (void)sb_err_oom(&err);
    sb_rpc_call_fail(call, &err);
}

/** The file, then what it imports, directly or not. Files stand in dependency order, so that one
 * walk backwards sees each importer before what it imports. @is_wanted  all false, one per file. */
static size_t collect_files(const struct found *found, bool *is_wanted, ProtobufCBinaryData *list)
{
    size_t n = 0;
    is_wanted[found->file] = true;
    for (size_t i = found->file + 1; i-- > 0;) {
        const struct sb_rpc_file *file = &found->set->files[i];
        if (!is_wanted[i]) {
            continue;
        }
        list[n++] =
            (ProtobufCBinaryData){.len = file->len, .data = sb_grpc_bytes_unconst(file->data)};
        for (size_t k = 0; k < file->n_deps; k++) {
            is_wanted[file->deps[k]] = true;
        }
    }
    return n;
}

static void send_files(struct sb_rpc_call *call, const Request *request, const struct found *found)
{
    bool *is_wanted = calloc(found->set->n_files, sizeof *is_wanted);
    ProtobufCBinaryData *list = calloc(found->set->n_files, sizeof *list);
    if (is_wanted == NULL || list == NULL) {
        fail_oom(call);
    } else {
        Grpc__Reflection__V1__FileDescriptorResponse files =
            GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
        files.n_file_descriptor_proto = collect_files(found, is_wanted, list);
        files.file_descriptor_proto = list;
        Response response;
        grpc__reflection__v1__server_reflection_response__init(&response);
        response.message_response_case = RESPONSE(FILE_DESCRIPTOR_RESPONSE);
        response.file_descriptor_response = &files;
        send_response(call, request, &response);
    }
    free(list);
    free(is_wanted);
}

/** @rows and @pointers  NULL: only counts. */
static size_t collect_services(const struct sb_grpc_reflect *reflect,
                               Grpc__Reflection__V1__ServiceResponse *rows,
                               Grpc__Reflection__V1__ServiceResponse **pointers)
{
    size_t n = 0;
    for (size_t i = 0; i < reflect->n_sets; i++) {
        for (size_t k = 0; k < reflect->sets[i]->n_services; k++, n++) {
            if (rows != NULL) {
                grpc__reflection__v1__service_response__init(&rows[n]);
                rows[n].name = sb_grpc_bytes_unconst(reflect->sets[i]->services[k]);
                pointers[n] = &rows[n];
            }
        }
    }
    return n;
}

static void send_services(const struct sb_grpc_reflect *reflect,
                          struct sb_rpc_call *call,
                          const Request *request)
{
    size_t n = collect_services(reflect, NULL, NULL);
    Grpc__Reflection__V1__ServiceResponse *rows = calloc(n + 1, sizeof *rows);
    Grpc__Reflection__V1__ServiceResponse **pointers = calloc(n + 1, sizeof(void *));
    if (rows == NULL || pointers == NULL) {
        fail_oom(call);
    } else {
        Grpc__Reflection__V1__ListServiceResponse list =
            GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
        list.n_service = collect_services(reflect, rows, pointers);
        list.service = pointers;
        Response response;
        grpc__reflection__v1__server_reflection_response__init(&response);
        response.message_response_case = RESPONSE(LIST_SERVICES_RESPONSE);
        response.list_services_response = &list;
        send_response(call, request, &response);
    }
    free(pointers);
    free(rows);
}

static void on_start(struct sb_rpc_call *call, const ProtobufCMessage *req, void *svc)
{
    (void)req;
    (void)svc;
    sb_rpc_call_read(call);
}

static void on_message(struct sb_rpc_call *call, const ProtobufCMessage *msg, void *svc)
{
    const struct sb_grpc_reflect *reflect = svc;
    const Request *request = (const Request *)(const void *)msg;
    struct found found;
    if (request->message_request_case == REQUEST(LIST_SERVICES)) {
        send_services(reflect, call, request);
    } else if ((request->message_request_case == REQUEST(FILE_BY_FILENAME) &&
                find_file(reflect, request->file_by_filename, &found)) ||
               (request->message_request_case == REQUEST(FILE_CONTAINING_SYMBOL) &&
                find_symbol(reflect, request->file_containing_symbol, &found))) {
        send_files(call, request, &found);
    } else { /* proto3 files have no extensions */
        send_not_found(call, request);
    }
}

static void on_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_reply(call, NULL);
}

static void on_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_read(call);
}

static const struct sb_rpc_handler handler = {
    .start = on_start,
    .message = on_message,
    .half_close = on_half_close,
    .drained = on_drained,
};

static int add_methods(struct sb_rpc_server *server, void *svc, struct sb_err *err)
{
    static const struct sb_rpc_method alpha = {
        .service = "grpc.reflection.v1alpha.ServerReflection",
        .name = "ServerReflectionInfo",
        .path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        .in = &grpc__reflection__v1__server_reflection_request__descriptor,
        .out = &grpc__reflection__v1__server_reflection_response__descriptor,
        .flags = SB_RPC_CLIENT_STREAM | SB_RPC_SERVER_STREAM,
    };
    return sb_rpc_server_add(server, &grpc__reflection__v1__server_reflection__methods[0], &handler,
                             svc, err) < 0 ||
                   sb_rpc_server_add(server, &alpha, &handler, svc, err) < 0
               ? -1
               : 0;
}

int sb_grpc_reflect_new(struct sb_rpc_server *server,
                        struct sb_grpc_reflect **ret_reflect,
                        struct sb_err *err)
{
    struct sb_grpc_reflect *reflect = calloc(1, sizeof *reflect);
    if (reflect == NULL) {
        return sb_err_oom(err);
    }
    if (add_methods(server, reflect, err) < 0) {
        free(reflect);
        return -1;
    }
    sb_grpc_reflect_add(reflect, &grpc_health_v1_health__descriptors);
    sb_grpc_reflect_add(reflect, &grpc_reflection_v1_reflection__descriptors);
    sb_grpc_reflect_add(reflect, &grpc_reflection_v1alpha_reflection__descriptors);
    *ret_reflect = reflect;
    return 0;
}

void sb_grpc_reflect_free(struct sb_grpc_reflect *reflect)
{
    free(reflect);
}

void sb_grpc_reflect_add(struct sb_grpc_reflect *reflect,
                         const struct sb_rpc_descriptors *descriptors)
{
    for (size_t i = 0; i < reflect->n_sets; i++) {
        if (reflect->sets[i] == descriptors) {
            return;
        }
    }
    if (reflect->n_sets == MAX_SETS) {
        SB_LOG_ERROR("reflection is full");
        return;
    }
    reflect->sets[reflect->n_sets++] = descriptors;
}
