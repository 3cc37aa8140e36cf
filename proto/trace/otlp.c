#include "proto/trace/otlp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"
#include "proto/trace/internal.h"

#define COLLECTOR(name) Opentelemetry__Proto__Collector__Trace__V1__##name
#define TRACE(name)     Opentelemetry__Proto__Trace__V1__##name
#define COMMON(name)    Opentelemetry__Proto__Common__V1__##name

#define SERVICE "opentelemetry.proto.collector.trace.v1.TraceService"

/* Ours: name, version, instance, host and pid. */
enum { OWN_ATTRIBUTES = 5, HAS_IS_REMOTE = 0x100, IS_REMOTE = 0x200 };

const struct sb_rpc_method sb_otlp_export = {
    .service = SERVICE,
    .name = "Export",
    .path = "/" SERVICE "/Export",
    .in = &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor,
    .out = &opentelemetry__proto__collector__trace__v1__export_trace_service_response__descriptor,
};

struct pair {
    COMMON(KeyValue) message;
    COMMON(AnyValue) value;
};

struct span {
    TRACE(Span) message;
    TRACE(Status) status;
    struct pair pairs[SB_SPAN_MAX_ATTRIBUTES];
    COMMON(KeyValue) * attributes[SB_SPAN_MAX_ATTRIBUTES];
    TRACE(Span__Event) event_messages[SB_SPAN_MAX_EVENTS];
    TRACE(Span__Event) * events[SB_SPAN_MAX_EVENTS];
};

struct sb_otlp {
    const struct sb_tracer *tracer;
    COLLECTOR(ExportTraceServiceRequest) request;
    TRACE(ResourceSpans) resource_spans;
    TRACE(ResourceSpans) * all_resources[1];
    TRACE(ScopeSpans) scope_spans;
    TRACE(ScopeSpans) * all_scopes[1];
    COMMON(InstrumentationScope) scope;
    Opentelemetry__Proto__Resource__V1__Resource resource;
    struct pair pairs[OWN_ATTRIBUTES + SB_TRACE_MAX_ATTRIBUTES];
    COMMON(KeyValue) * attributes[OWN_ATTRIBUTES + SB_TRACE_MAX_ATTRIBUTES];
    char host[HOST_NAME_MAX + 1];
    struct span spans[SB_TRACE_BATCH];
    TRACE(Span) * all_spans[SB_TRACE_BATCH];
};

/* Messages are only read, but their members are not const. */
static char *lend(const char *text)
{
    union {
        const char *from;
        char *to;
    } both = {.from = text};
    return both.to;
}

static ProtobufCBinaryData lend_bytes(const uint8_t *bytes, size_t n)
{
    union {
        const uint8_t *from;
        uint8_t *to;
    } both = {.from = bytes};
    return (ProtobufCBinaryData){.len = n, .data = both.to};
}

static COMMON(KeyValue) *
    put_pair(struct pair *pair, const char *key, const char *text, int64_t number)
{
    opentelemetry__proto__common__v1__key_value__init(&pair->message);
    opentelemetry__proto__common__v1__any_value__init(&pair->value);
    pair->message.key = lend(key);
    pair->message.value = &pair->value;
    if (text != NULL) {
        pair->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        pair->value.string_value = lend(text);
    } else {
        pair->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
        pair->value.int_value = number;
    }
    return &pair->message;
}

/* A key stands there once: the first that says it. */
static void add_resource(struct sb_otlp *otlp, const char *key, const char *text, int64_t number)
{
    size_t at = otlp->resource.n_attributes;
    for (size_t i = 0; i < at; i++) {
        if (strcmp(otlp->attributes[i]->key, key) == 0) {
            return;
        }
    }
    otlp->attributes[at] = put_pair(&otlp->pairs[at], key, text, number);
    otlp->resource.n_attributes++;
}

/* What the variables say comes before what we know. */
static void describe(struct sb_otlp *otlp)
{
    const struct sb_trace_settings *settings = &otlp->tracer->settings;
    otlp->resource.attributes = otlp->attributes;
    add_resource(otlp, "service.name", settings->service, 0);
    for (size_t i = 0; i < settings->n_attributes; i++) {
        add_resource(otlp, settings->attributes[i].key, settings->attributes[i].value, 0);
    }
    add_resource(otlp, "service.version", SB_VERSION, 0);
    add_resource(otlp, "process.pid", NULL, getpid());
    if (otlp->tracer->instance != NULL) {
        add_resource(otlp, "service.instance.id", otlp->tracer->instance, 0);
    }
    if (gethostname(otlp->host, sizeof otlp->host - 1) == 0 && otlp->host[0] != '\0') {
        add_resource(otlp, "host.name", otlp->host, 0);
    }
}

struct sb_otlp *sb_otlp_new(const struct sb_tracer *tracer)
{
    struct sb_otlp *otlp = calloc(1, sizeof *otlp);
    if (otlp == NULL) {
        return NULL;
    }
    otlp->tracer = tracer;
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__init(&otlp->request);
    opentelemetry__proto__trace__v1__resource_spans__init(&otlp->resource_spans);
    opentelemetry__proto__trace__v1__scope_spans__init(&otlp->scope_spans);
    opentelemetry__proto__common__v1__instrumentation_scope__init(&otlp->scope);
    opentelemetry__proto__resource__v1__resource__init(&otlp->resource);
    describe(otlp);
    otlp->scope.name = lend("aisbx");
    otlp->scope.version = lend(SB_VERSION);
    otlp->all_resources[0] = &otlp->resource_spans;
    otlp->request.resource_spans = otlp->all_resources;
    otlp->request.n_resource_spans = 1;
    otlp->resource_spans.resource = &otlp->resource;
    otlp->all_scopes[0] = &otlp->scope_spans;
    otlp->resource_spans.scope_spans = otlp->all_scopes;
    otlp->resource_spans.n_scope_spans = 1;
    otlp->scope_spans.scope = &otlp->scope;
    otlp->scope_spans.spans = otlp->all_spans;
    return otlp;
}

void sb_otlp_free(struct sb_otlp *otlp)
{
    free(otlp);
}

static void put_details(const struct sb_span_record *record, struct span *span)
{
    TRACE(Span) *message = &span->message;
    message->attributes = span->attributes;
    message->n_attributes = record->n_attributes;
    for (size_t i = 0; i < record->n_attributes; i++) {
        const struct sb_span_attribute *from = &record->attributes[i];
        span->attributes[i] = put_pair(&span->pairs[i], from->key, from->text, from->number);
    }
    message->events = span->events;
    message->n_events = record->n_events;
    for (size_t i = 0; i < record->n_events; i++) {
        TRACE(Span__Event) *event = &span->event_messages[i];
        opentelemetry__proto__trace__v1__span__event__init(event);
        event->name = lend(record->events[i].name);
        event->time_unix_nano = record->events[i].at_ns;
        span->events[i] = event;
    }
    if (record->has_failed) {
        opentelemetry__proto__trace__v1__status__init(&span->status);
        span->status.code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
        span->status.message = lend(record->why == NULL ? "" : record->why);
        message->status = &span->status;
    }
}

static TRACE(Span) * put_span(const struct sb_span_record *record, struct span *span)
{
    static const uint8_t none[SB_TRACE_SPAN_BYTES];
    TRACE(Span) *message = &span->message;
    opentelemetry__proto__trace__v1__span__init(message);
    message->trace_id = lend_bytes(record->trace.trace_id, SB_TRACE_ID_BYTES);
    message->span_id = lend_bytes(record->trace.span_id, SB_TRACE_SPAN_BYTES);
    if (memcmp(record->parent_id, none, sizeof none) != 0) {
        message->parent_span_id = lend_bytes(record->parent_id, SB_TRACE_SPAN_BYTES);
    }
    message->flags =
        record->trace.flags | HAS_IS_REMOTE | (record->is_remote ? (unsigned)IS_REMOTE : 0);
    message->name = lend(record->name);
    message->kind = (TRACE(Span__SpanKind))record->kind;
    message->start_time_unix_nano = record->start_ns;
    message->end_time_unix_nano = record->end_ns;
    put_details(record, span);
    return message;
}

const ProtobufCMessage *sb_otlp_fill(struct sb_otlp *otlp, uint64_t first, size_t n)
{
    const struct sb_tracer *tracer = otlp->tracer;
    for (size_t i = 0; i < n; i++) {
        otlp->all_spans[i] =
            put_span(&tracer->ring[(first + i) % tracer->settings.queue], &otlp->spans[i]);
    }
    otlp->scope_spans.n_spans = n;
    return &otlp->request.base;
}

uint64_t sb_otlp_rejected(const ProtobufCMessage *reply)
{
    const COLLECTOR(ExportTraceServiceResponse) *response = (const void *)reply;
    return response->partial_success == NULL || response->partial_success->rejected_spans < 0
               ? 0
               : (uint64_t)response->partial_success->rejected_spans;
}
