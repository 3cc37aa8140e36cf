#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/context_service.rpc.h"
#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/key_service.rpc.h"
#include "aisbx/v1/port_service.rpc.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "mcp-gateway/fleet/merge_internal.h"
#include "mcp-gateway/fleet/way.h"

#define SERVICE(name)                                                                              \
    {                                                                                              \
        name##__methods, &name##__descriptor                                                       \
    }

static const struct {
    const struct sb_rpc_method *methods;
    const ProtobufCServiceDescriptor *descriptor;
} services[] = {
    SERVICE(aisbx__v1__sandbox_service), SERVICE(aisbx__v1__file_service),
    SERVICE(aisbx__v1__context_service), SERVICE(aisbx__v1__port_service),
    SERVICE(aisbx__v1__worker_service),  SERVICE(aisbx__v1__key_service),
};

/* The last field of a path is a text of the request, whatever oneof it stands in. */
static bool is_text_of(const ProtobufCMessageDescriptor *type, const char *path)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str name;
    char text[64];
    const ProtobufCFieldDescriptor *field = NULL;
    while (type != NULL && sb_str_next(&rest, '.', &name)) {
        (void)snprintf(text, sizeof text, "%.*s", SB_STR_ARG(name));
        field = protobuf_c_message_descriptor_get_field_by_name(type, text);
        type = field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
    }
    return rest.ptr == NULL && field != NULL && field->type == PROTOBUF_C_TYPE_STRING;
}

static bool has_field(const struct sb_rpc_method *method, const char *name)
{
    return protobuf_c_message_descriptor_get_field_by_name(method->in, name) != NULL;
}

/* ---- */

static void every_method_has_a_row_that_fits_it(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t s = 0; s < sizeof services / sizeof *services; s++) {
        for (size_t i = 0; i < services[s].descriptor->n_methods; i++, n++) {
            const struct sb_rpc_method *method = &services[s].methods[i];
            const struct sb_way *way = sb_way_find(method->path);
            if (way == NULL) {
                fail_msg("%s has no row in fleet/way.c", method->path);
            }
            if (way->ids != NULL && !is_text_of(method->in, way->ids)) {
                fail_msg("%s has no field %s", method->path, way->ids);
            }
            assert_int_equal(way->otherwise == SB_WAY_NONE, way->why != NULL);
            assert_int_equal(way->otherwise == SB_WAY_MERGE, sb_merge_find(method->path) != NULL);
        }
    }
    assert_int_equal(n, sb_ways_count);
}

/* What is about one thing must not go to whoever is there. */
static void what_names_one_thing_goes_by_that(void **state)
{
    (void)state;
    static const char *const names[] = {"sandbox_id", "exec_id", "snapshot_id", "context_id"};
    for (size_t s = 0; s < sizeof services / sizeof *services; s++) {
        for (size_t i = 0; i < services[s].descriptor->n_methods; i++) {
            const struct sb_rpc_method *method = &services[s].methods[i];
            bool names_one = false;
            for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
                names_one = names_one || has_field(method, names[k]);
            }
            bool is_record = strcmp(method->name, "ListAuditRecords") == 0;
            if (names_one && !is_record && sb_way_find(method->path)->ids == NULL) {
                fail_msg("%s names something and is not routed by it", method->path);
            }
        }
    }
}

static void an_id_is_found_where_the_table_says(void **state)
{
    (void)state;
    char id[] = "sb_abcdefgaaaaaaaaaaaaaaaaaaa";
    char bad[] = "sb_../../etc/passwd";
    struct sb_str tag;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    Aisbx__V1__RunRequest run = AISBX__V1__RUN_REQUEST__INIT;
    const struct sb_way *way = sb_way_find("/aisbx.v1.SandboxService/Run");
    assert_int_equal(sb_way_id(way, &run.base, &tag).len, 0);
    run.target = &target;
    assert_int_equal(sb_way_id(way, &run.base, &tag).len, 0);
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID;
    target.sandbox_id = id;
    assert_true(sb_str_eq(sb_way_id(way, &run.base, &tag), sb_str_from(id)));
    assert_true(sb_str_eq(tag, SB_STR("abcdef")));
    target.sandbox_id = bad; /* refused by whoever gets it */
    assert_int_equal(sb_way_id(way, &run.base, &tag).len, 0);
    assert_int_equal(tag.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_row_that_fits_it),
        cmocka_unit_test(what_names_one_thing_goes_by_that),
        cmocka_unit_test(an_id_is_found_where_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
