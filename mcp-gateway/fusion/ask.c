#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base64.h"
#include "base/json_scan.h"
#include "mcp-gateway/fusion/job.h"
#include "mcp-gateway/http/server.h"
#include "proto/client/setting.h"
#include "proto/json/language.h"

enum {
    DEFAULT_TIMEOUT_MS = 10000,
    MAX_TIMEOUT_S = 86400,
    MAX_OUTPUT = 1 << 20, /* bytes of each stream, as there */
    MAX_MB = 1 << 20,
};

/* What its clients call them. */
static const struct {
    const char *name;
    enum sb_language language;
} languages[] = {
    {"python", SB_LANGUAGE_PYTHON}, {"nodejs", SB_LANGUAGE_NODE}, {"js", SB_LANGUAGE_NODE},
    {"bash", SB_LANGUAGE_BASH},     {"c", SB_LANGUAGE_C},         {"cpp", SB_LANGUAGE_CPP},
    {"go", SB_LANGUAGE_GO},         {"rust", SB_LANGUAGE_RUST},   {"java", SB_LANGUAGE_JAVA},
};

static char *lend(const char *text)
{
    char *plain = NULL;
    memcpy(&plain, &text, sizeof plain);
    return plain;
}

static int refuse(const char *field, const char **ret_field, struct sb_err *err, const char *what)
{
    *ret_field = field;
    return sb_err_set(err, SB_INVALID, "%s", what);
}

/* ---- members ---- */

static const cJSON *member(const struct sb_fusion_job *job, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(job->json, name);
    return value == NULL || cJSON_IsNull(value) ? NULL : value;
}

static int read_timeout(const struct sb_fusion_job *job,
                        const char *name,
                        uint64_t *ret_ms,
                        const char **ret_field,
                        struct sb_err *err)
{
    const cJSON *value = member(job, name);
    *ret_ms = DEFAULT_TIMEOUT_MS;
    if (value == NULL) {
        return 0;
    }
    if (!cJSON_IsNumber(value) || !(value->valuedouble > 0) || value->valuedouble > MAX_TIMEOUT_S) {
        return refuse(name, ret_field, err, "must be seconds, more than 0 and at most a day");
    }
    *ret_ms = (uint64_t)ceil(value->valuedouble * 1000);
    return 0;
}

static int read_memory(struct sb_fusion_job *job, const char **ret_field, struct sb_err *err)
{
    const cJSON *value = member(job, "memory_limit_MB");
    if (value == NULL || (cJSON_IsNumber(value) && value->valuedouble <= 0)) {
        return 0; /* what the profile gives */
    }
    if (!cJSON_IsNumber(value) || value->valuedouble > MAX_MB ||
        value->valuedouble != floor(value->valuedouble)) {
        return refuse("memory_limit_MB", ret_field, err, "must be a whole number of megabytes");
    }
    aisbx__v1__limits__init(&job->limits);
    job->limits.memory_bytes = (uint64_t)value->valuedouble << 20;
    job->sandbox.limits = &job->limits;
    return 0;
}

static int read_language(struct sb_fusion_job *job, const char **ret_field, struct sb_err *err)
{
    const cJSON *value = member(job, "language");
    if (!cJSON_IsString(value)) {
        return refuse("language", ret_field, err, "is missing, or no text");
    }
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        if (strcmp(languages[i].name, value->valuestring) == 0) {
            const char *preset = sb_setting_get(SB_SETTING_DEFAULT_PROFILE);
            enum sb_language language = languages[i].language;
            job->script.language = lend(sb_language_name(language));
            job->sandbox.profile = lend(preset != NULL ? preset : sb_language_profile(language));
            return 0;
        }
    }
    *ret_field = "language";
    return sb_err_set(
        err, SB_UNIMPLEMENTED,
        "language %.40s is not here; there are: python, cpp, c, nodejs, js, go, java, "
        "rust, bash",
        value->valuestring);
}

static int read_code(struct sb_fusion_job *job, const char **ret_field, struct sb_err *err)
{
    const cJSON *code = member(job, "code");
    const cJSON *input = member(job, "stdin");
    if (!cJSON_IsString(code)) {
        return refuse("code", ret_field, err, "is missing, or no text");
    }
    if (input != NULL && !cJSON_IsString(input)) {
        return refuse("stdin", ret_field, err, "must be text");
    }
    job->script.source = code->valuestring[0] == '\0' ? lend("\n") : code->valuestring;
    if (input != NULL) {
        job->with.stdin = (ProtobufCBinaryData){strlen(input->valuestring),
                                                (uint8_t *)(void *)input->valuestring};
    }
    return 0;
}

/* A file without content is not put there, as there. */
static int read_file(struct sb_job_files *files, size_t *n, const cJSON *file, struct sb_err *err)
{
    if (cJSON_IsNull(file)) {
        return 0;
    }
    if (!cJSON_IsString(file)) {
        return sb_err_set(err, SB_INVALID, "must be texts of base64, by path");
    }
    if (*n == SB_JOB_MAX_FILES) {
        return sb_err_set(err, SB_INVALID, "are more than %d", SB_JOB_MAX_FILES);
    }
    Aisbx__V1__InlineFile *item = &files->items[*n];
    aisbx__v1__inline_file__init(item);
    item->path = file->string;
    files->offsets[*n] = files->data.len;
    if (sb_base64_decode(sb_str_from(file->valuestring), &files->data) < 0) {
        return sb_err_set(err, SB_INVALID, "%.100s is no base64 (with padding)", file->string);
    }
    item->data.len = files->data.len - files->offsets[*n];
    files->list[(*n)++] = item;
    return 0;
}

static int read_files(struct sb_fusion_job *job, const char **ret_field, struct sb_err *err)
{
    const cJSON *value = member(job, "files");
    const cJSON *file = NULL;
    size_t n = 0;
    if (value != NULL && !cJSON_IsObject(value)) {
        return refuse("files", ret_field, err, "must be an object of texts, by path");
    }
    cJSON_ArrayForEach(file, value)
    {
        if (read_file(&job->files, &n, file, err) < 0) {
            *ret_field = "files";
            return -1;
        }
    }
    uint8_t *data = (uint8_t *)(void *)job->files.data.mem; /* now that it does not move any more */
    for (size_t i = 0; data != NULL && i < n; i++) {
        job->files.items[i].data.data = data + job->files.offsets[i];
    }
    job->message.files = job->files.list;
    job->message.n_files = n;
    return 0;
}

static int read_fetch(struct sb_fusion_job *job, const char **ret_field, struct sb_err *err)
{
    const cJSON *value = member(job, "fetch_files");
    const cJSON *path = NULL;
    size_t n = 0;
    if (value != NULL && !cJSON_IsArray(value)) {
        return refuse("fetch_files", ret_field, err, "must be a list of paths");
    }
    cJSON_ArrayForEach(path, value)
    {
        if (!cJSON_IsString(path) || n == SB_JOB_MAX_FILES) {
            return refuse("fetch_files", ret_field, err, "must be a list of at most 64 paths");
        }
        job->fetch[n++] = path->valuestring;
    }
    job->message.fetch = job->fetch;
    job->message.n_fetch = n;
    return 0;
}

/* ---- the message ---- */

static void begin(struct sb_fusion_job *job)
{
    aisbx__v1__run_batch_request__init(&job->message);
    aisbx__v1__sandbox_spec__init(&job->sandbox);
    aisbx__v1__network__init(&job->network);
    aisbx__v1__exec_spec__init(&job->compile);
    aisbx__v1__exec_spec__init(&job->run);
    aisbx__v1__script__init(&job->script);
    aisbx__v1__batch_case__init(&job->with);
    job->network.mode = AISBX__V1__NETWORK_MODE__NETWORK_MODE_NONE;
    job->sandbox.network = &job->network;
    job->run.program_case = AISBX__V1__EXEC_SPEC__PROGRAM_SCRIPT;
    job->run.script = &job->script;
    job->cases[0] = &job->with;
    job->with.case_id = lend("run");
    job->message.sandbox = &job->sandbox;
    job->message.compile = &job->compile;
    job->message.run = &job->run;
    job->message.cases = job->cases;
    job->message.n_cases = 1;
    job->message.max_output_bytes = MAX_OUTPUT;
    sb_buf_init(&job->files.data, SB_HTTP_MAX_BODY_BYTES);
}

int sb_fusion_ask(struct sb_fusion_job *job,
                  struct sb_str body,
                  const char **ret_field,
                  struct sb_err *err)
{
    static const struct sb_json_scan_limits limits = {
        .bytes = SB_HTTP_MAX_BODY_BYTES, .depth = 16, .values = 10000};
    begin(job);
    *ret_field = "";
    if (sb_json_scan(body, &limits, err) < 0) {
        return -1;
    }
    job->json = cJSON_ParseWithLength(body.ptr, body.len);
    if (job->json == NULL) {
        return sb_err_oom(err);
    }
    if (!cJSON_IsObject(job->json)) {
        return refuse("", ret_field, err, "the body must be an object");
    }
    return read_code(job, ret_field, err) < 0 || read_language(job, ret_field, err) < 0 ||
                   read_timeout(job, "compile_timeout", &job->compile.wall_ms, ret_field, err) <
                       0 ||
                   read_timeout(job, "run_timeout", &job->run.wall_ms, ret_field, err) < 0 ||
                   read_memory(job, ret_field, err) < 0 || read_files(job, ret_field, err) < 0 ||
                   read_fetch(job, ret_field, err) < 0
               ? -1
               : 0;
}
