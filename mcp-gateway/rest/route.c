#include "mcp-gateway/rest/route.h"

#include <stdbool.h>
#include <string.h>

#include "aisbx/v1/context_service.rpc.h"
#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/key_service.rpc.h"
#include "aisbx/v1/port_service.rpc.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "proto/json/pbread.h"

#define SANDBOX(name)                                                                              \
    &aisbx__v1__sandbox_service__methods[AISBX__V1__SANDBOX_SERVICE__METHOD_##name]
#define WORKER(name) &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_##name]
#define FILES(name)  &aisbx__v1__file_service__methods[AISBX__V1__FILE_SERVICE__METHOD_##name]

#define CONTEXTS(name)                                                                             \
    &aisbx__v1__context_service__methods[AISBX__V1__CONTEXT_SERVICE__METHOD_##name]
#define PORTS(name) &aisbx__v1__port_service__methods[AISBX__V1__PORT_SERVICE__METHOD_##name]
#define KEYS(name)  &aisbx__v1__key_service__methods[AISBX__V1__KEY_SERVICE__METHOD_##name]

#define GET    SB_HTTP_GET
#define POST   SB_HTTP_POST
#define PUT    SB_HTTP_PUT
#define PATCH  SB_HTTP_PATCH
#define DELETE SB_HTTP_DELETE

/* clang-format off */
const struct sb_route sb_routes[] = {
    {.id = "listSandboxes", .tag = "sandboxes", .summary = "Sandboxes, newest first",
     .method = GET, .pattern = "/sandboxes", .rpc = SANDBOX(LIST_SANDBOXES), .status = 200},
    {.id = "createSandbox", .tag = "sandboxes", .summary = "Makes a sandbox and waits until it can run programs",
     .method = POST, .pattern = "/sandboxes", .rpc = SANDBOX(CREATE_SANDBOX), .body = SB_ROUTE_FIELD,
     .body_field = "sandbox", .reply_field = "sandbox", .status = 201, .location = "/sandboxes/", .id_field = "sandbox_id"},
    {.id = "getSandbox", .tag = "sandboxes", .summary = "One sandbox, alive or remembered",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}", .rpc = SANDBOX(GET_SANDBOX), .reply_field = "sandbox", .status = 200},
    {.id = "updateSandbox", .tag = "sandboxes", .summary = "Changes TTL, idle limit or labels: what the body names",
     .method = PATCH, .pattern = "/sandboxes/{sandbox_id}", .rpc = SANDBOX(UPDATE_SANDBOX), .body = SB_ROUTE_MASKED,
     .body_field = "sandbox", .reply_field = "sandbox", .status = 200},
    {.id = "destroySandbox", .tag = "sandboxes", .summary = "Kills everything in it and removes it",
     .method = DELETE, .pattern = "/sandboxes/{sandbox_id}", .rpc = SANDBOX(DESTROY_SANDBOX), .reply_field = "sandbox", .status = 200},
    {.id = "updateNetwork", .tag = "sandboxes", .summary = "Changes the network rules within the profile",
     .method = PUT, .pattern = "/sandboxes/{sandbox_id}/network", .rpc = SANDBOX(UPDATE_NETWORK), .body = SB_ROUTE_FIELD,
     .body_field = "network", .reply_field = "sandbox", .status = 200},
    {.id = "pauseSandbox", .tag = "sandboxes", .summary = "Freezes every process",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/pause", .rpc = SANDBOX(PAUSE_SANDBOX), .reply_field = "sandbox", .status = 200},
    {.id = "resumeSandbox", .tag = "sandboxes", .summary = "Thaws",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/resume", .rpc = SANDBOX(RESUME_SANDBOX), .reply_field = "sandbox", .status = 200},
    {.id = "watchSandboxes", .tag = "sandboxes", .summary = "Events of sandboxes as they happen",
     .method = GET, .pattern = "/events", .rpc = SANDBOX(WATCH_SANDBOXES), .kind = SB_ROUTE_EVENTS, .status = 200},

    {.id = "snapshotSandbox", .tag = "snapshots", .summary = "Keeps the writable state of a sandbox",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/snapshots", .rpc = SANDBOX(SNAPSHOT_SANDBOX), .body = SB_ROUTE_MESSAGE,
     .reply_field = "snapshot", .status = 201},
    {.id = "listSnapshots", .tag = "snapshots", .summary = "Snapshots, newest first",
     .method = GET, .pattern = "/snapshots", .rpc = SANDBOX(LIST_SNAPSHOTS), .status = 200},
    {.id = "deleteSnapshot", .tag = "snapshots", .summary = "Forgets a snapshot",
     .method = DELETE, .pattern = "/snapshots/{snapshot_id}", .rpc = SANDBOX(DELETE_SNAPSHOT), .status = 204},
    {.id = "forkSandbox", .tag = "snapshots", .summary = "Makes sandboxes from the writable state of this one",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/fork", .rpc = SANDBOX(FORK_SANDBOX), .body = SB_ROUTE_MESSAGE, .status = 201},
    {.id = "rollbackSandbox", .tag = "snapshots", .summary = "Takes a sandbox back to a snapshot of it",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/rollback", .rpc = SANDBOX(ROLLBACK_SANDBOX), .body = SB_ROUTE_MESSAGE,
     .reply_field = "sandbox", .status = 200},

    {.id = "run", .tag = "execs", .summary = "Runs a program to its end and returns its output",
     .method = POST, .pattern = "/run", .rpc = SANDBOX(RUN), .body = SB_ROUTE_MESSAGE, .status = 200},
    {.id = "runBatch", .tag = "execs", .summary = "Compiles a program once and runs it for many inputs; an event a result",
     .method = POST, .pattern = "/run/batch", .rpc = SANDBOX(RUN_BATCH), .kind = SB_ROUTE_EVENTS, .body = SB_ROUTE_MESSAGE, .status = 200},
    {.id = "startExec", .tag = "execs", .summary = "Starts a program and streams what happens to it; with background, returns it",
     .method = POST, .pattern = "/sandboxes/{target.sandbox_id}/execs", .rpc = SANDBOX(START_EXEC), .kind = SB_ROUTE_EXEC,
     .body = SB_ROUTE_MESSAGE, .status = 200},
    {.id = "listExecs", .tag = "execs", .summary = "Execs, newest first",
     .method = GET, .pattern = "/execs", .rpc = SANDBOX(LIST_EXECS), .status = 200},
    {.id = "listExecsOfSandbox", .tag = "execs", .summary = "Execs of a sandbox, newest first",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/execs", .rpc = SANDBOX(LIST_EXECS), .status = 200},
    {.id = "getExec", .tag = "execs", .summary = "One exec",
     .method = GET, .pattern = "/execs/{exec_id}", .rpc = SANDBOX(GET_EXEC), .reply_field = "exec", .status = 200},
    {.id = "attachExec", .tag = "execs", .summary = "Follows an exec; goes on behind Last-Event-ID",
     .method = GET, .pattern = "/execs/{exec_id}/events", .rpc = SANDBOX(ATTACH_EXEC), .kind = SB_ROUTE_EXEC, .status = 200},
    {.id = "readExecOutput", .tag = "execs", .summary = "A range of kept output, as bytes",
     .method = GET, .pattern = "/execs/{exec_id}/output", .rpc = SANDBOX(READ_EXEC_OUTPUT), .kind = SB_ROUTE_OUTPUT, .status = 200},
    {.id = "sendExecInput", .tag = "execs", .summary = "Writes bytes to standard input",
     .method = POST, .pattern = "/execs/{exec_id}/input", .rpc = SANDBOX(SEND_EXEC_INPUT), .body = SB_ROUTE_BYTES,
     .body_field = "data", .status = 204},
    {.id = "signalExec", .tag = "execs", .summary = "Sends a signal",
     .method = POST, .pattern = "/execs/{exec_id}/signal", .rpc = SANDBOX(SIGNAL_EXEC), .body = SB_ROUTE_MESSAGE, .status = 204},
    {.id = "cancelExec", .tag = "execs", .summary = "Kills an exec with its whole tree",
     .method = DELETE, .pattern = "/execs/{exec_id}", .rpc = SANDBOX(CANCEL_EXEC), .reply_field = "exec", .status = 200},
    {.id = "resizeExec", .tag = "execs", .summary = "Changes the size of an exec's terminal",
     .method = PUT, .pattern = "/execs/{exec_id}/terminal", .rpc = SANDBOX(RESIZE_EXEC), .body = SB_ROUTE_FIELD,
     .body_field = "terminal", .status = 204},

    {.id = "listFiles", .tag = "files", .summary = "Files of a directory or a tree",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files", .rpc = FILES(LIST_FILES), .status = 200},
    {.id = "removeFile", .tag = "files", .summary = "Removes a file, or a tree",
     .method = DELETE, .pattern = "/sandboxes/{sandbox_id}/files", .rpc = FILES(REMOVE_FILE), .status = 200},
    {.id = "statFile", .tag = "files", .summary = "What is known of a file",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files/info", .rpc = FILES(STAT_FILE), .reply_field = "file", .status = 200},
    {.id = "readFile", .tag = "files", .summary = "A file's bytes, or a range of them",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files/content", .rpc = FILES(READ_FILE), .kind = SB_ROUTE_READ, .status = 200},
    {.id = "writeFile", .tag = "files", .summary = "Makes or replaces a file, atomically",
     .method = PUT, .pattern = "/sandboxes/{sandbox_id}/files/content", .rpc = FILES(WRITE_FILE), .kind = SB_ROUTE_WRITE,
     .body = SB_ROUTE_BYTES, .body_field = "data", .reply_field = "file", .status = 200},
    {.id = "makeDirectory", .tag = "files", .summary = "Makes a directory",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/directories", .rpc = FILES(MAKE_DIRECTORY), .body = SB_ROUTE_MESSAGE,
     .reply_field = "file", .status = 201},
    {.id = "moveFile", .tag = "files", .summary = "Renames within the sandbox",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/files/move", .rpc = FILES(MOVE_FILE), .body = SB_ROUTE_MESSAGE,
     .reply_field = "file", .status = 200},
    {.id = "changeMode", .tag = "files", .summary = "Changes permission bits",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/files/mode", .rpc = FILES(CHANGE_MODE), .body = SB_ROUTE_MESSAGE,
     .reply_field = "file", .status = 200},
    {.id = "searchFiles", .tag = "files", .summary = "Lines that match a pattern, as they are found",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files/search", .rpc = FILES(SEARCH_FILES), .kind = SB_ROUTE_EVENTS, .status = 200},
    {.id = "replaceInFile", .tag = "files", .summary = "Replaces text in one file",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/files/replace", .rpc = FILES(REPLACE_IN_FILE), .body = SB_ROUTE_MESSAGE,
     .status = 200},
    {.id = "watchFiles", .tag = "files", .summary = "Changes below a directory as they happen",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files/events", .rpc = FILES(WATCH_FILES), .kind = SB_ROUTE_EVENTS, .status = 200},
    {.id = "exportTar", .tag = "files", .summary = "A tree as a tar archive, uncompressed",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/archive", .rpc = FILES(EXPORT_TAR), .kind = SB_ROUTE_EXPORT, .status = 200},
    {.id = "importTar", .tag = "files", .summary = "A tar archive into a directory; says what was refused of it",
     .method = PUT, .pattern = "/sandboxes/{sandbox_id}/archive", .rpc = FILES(IMPORT_TAR), .kind = SB_ROUTE_IMPORT,
     .body = SB_ROUTE_TAR, .body_field = "data", .status = 200},
    {.id = "diffFiles", .tag = "files", .summary = "What was made, changed and removed since a snapshot, or since the beginning",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files/changes", .rpc = FILES(DIFF_FILES), .kind = SB_ROUTE_EVENTS, .status = 200},
    {.id = "exportChanges", .tag = "files", .summary = "The same as a tar archive; what was removed is an empty file .wh.NAME",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/files/changes/archive", .rpc = FILES(DIFF_FILES), .kind = SB_ROUTE_EXPORT, .status = 200,
     .preset = "content", .preset_value = AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_TAR},

    {.id = "createContext", .tag = "contexts", .summary = "Starts an interpreter that keeps its state",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/contexts", .rpc = CONTEXTS(CREATE_CONTEXT), .body = SB_ROUTE_MESSAGE,
     .reply_field = "context", .status = 201},
    {.id = "listContexts", .tag = "contexts", .summary = "Interpreters of a sandbox, newest first",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/contexts", .rpc = CONTEXTS(LIST_CONTEXTS), .status = 200},
    {.id = "executeCode", .tag = "contexts", .summary = "Runs a piece of code and streams what it says; a broken connection interrupts it",
     .method = POST, .pattern = "/contexts/{context_id}/execute", .rpc = CONTEXTS(EXECUTE_CODE), .kind = SB_ROUTE_CODE,
     .body = SB_ROUTE_MESSAGE, .status = 200},
    {.id = "interruptContext", .tag = "contexts", .summary = "Stops the code that runs; variables stay",
     .method = POST, .pattern = "/contexts/{context_id}/interrupt", .rpc = CONTEXTS(INTERRUPT_CONTEXT), .status = 204},
    {.id = "restartContext", .tag = "contexts", .summary = "Starts the interpreter anew",
     .method = POST, .pattern = "/contexts/{context_id}/restart", .rpc = CONTEXTS(RESTART_CONTEXT), .reply_field = "context", .status = 200},
    {.id = "deleteContext", .tag = "contexts", .summary = "Ends the interpreter",
     .method = DELETE, .pattern = "/contexts/{context_id}", .rpc = CONTEXTS(DELETE_CONTEXT), .status = 204},

    {.id = "exposePort", .tag = "ports", .summary = "Lets callers reach a TCP port inside",
     .method = POST, .pattern = "/sandboxes/{sandbox_id}/ports", .rpc = PORTS(EXPOSE_PORT), .body = SB_ROUTE_MESSAGE,
     .reply_field = "port", .status = 201},
    {.id = "listPorts", .tag = "ports", .summary = "Exposed ports, by number",
     .method = GET, .pattern = "/sandboxes/{sandbox_id}/ports", .rpc = PORTS(LIST_PORTS), .status = 200},
    {.id = "unexposePort", .tag = "ports", .summary = "Ends it; open connections are closed",
     .method = DELETE, .pattern = "/sandboxes/{sandbox_id}/ports/{port}", .rpc = PORTS(UNEXPOSE_PORT), .status = 204},

    {.id = "listPackages", .tag = "packages", .summary = "Installed packages that are kept, newest first",
     .method = GET, .pattern = "/packages", .rpc = WORKER(LIST_PACKAGES), .status = 200},
    {.id = "deleteAllPackages", .tag = "packages", .summary = "Forgets all of them, with all=true",
     .method = DELETE, .pattern = "/packages", .rpc = WORKER(DELETE_PACKAGES), .status = 200},
    {.id = "deletePackages", .tag = "packages", .summary = "Forgets those of one install",
     .method = DELETE, .pattern = "/packages/{package_id}", .rpc = WORKER(DELETE_PACKAGES), .status = 200},

    {.id = "listProfiles", .tag = "profiles", .summary = "Profiles, by name",
     .method = GET, .pattern = "/profiles", .rpc = WORKER(LIST_PROFILES), .status = 200},
    {.id = "getProfile", .tag = "profiles", .summary = "One profile with everything it inherits",
     .method = GET, .pattern = "/profiles/{profile}", .rpc = WORKER(GET_PROFILE), .reply_field = "profile", .status = 200},
    {.id = "explainProfile", .tag = "profiles", .summary = "Where each setting comes from, and what it says to calls, hosts and paths",
     .method = GET, .pattern = "/profiles/{profile}/explain", .rpc = WORKER(EXPLAIN_PROFILE), .status = 200},
    {.id = "validateConfig", .tag = "profiles", .summary = "Checks a configuration text without using it",
     .method = POST, .pattern = "/profiles/validate", .rpc = WORKER(VALIDATE_CONFIG), .body = SB_ROUTE_MESSAGE, .status = 200},

    {.id = "getWorker", .tag = "worker", .summary = "Version, capabilities and the controls this host really gives",
     .method = GET, .pattern = "/worker", .rpc = WORKER(GET_INFO), .status = 200},
    {.id = "getLoad", .tag = "worker", .summary = "Load as it is now",
     .method = GET, .pattern = "/worker/load", .rpc = WORKER(WATCH_LOAD), .kind = SB_ROUTE_FIRST, .status = 200},
    {.id = "watchLoad", .tag = "worker", .summary = "Load as it changes",
     .method = GET, .pattern = "/worker/load/events", .rpc = WORKER(WATCH_LOAD), .kind = SB_ROUTE_EVENTS, .status = 200},
    {.id = "setDraining", .tag = "worker", .summary = "Takes no new sandboxes, or takes them again",
     .method = PUT, .pattern = "/worker/draining", .rpc = WORKER(SET_DRAINING), .body = SB_ROUTE_MESSAGE, .status = 200},
    {.id = "createKey", .tag = "security", .summary = "Makes an API key; its text is told this once",
     .method = POST, .pattern = "/keys", .rpc = KEYS(CREATE_KEY), .body = SB_ROUTE_MESSAGE, .status = 201},
    {.id = "listKeys", .tag = "security", .summary = "Keys without their text, newest first",
     .method = GET, .pattern = "/keys", .rpc = KEYS(LIST_KEYS), .status = 200},
    {.id = "revokeKey", .tag = "security", .summary = "Ends a key",
     .method = DELETE, .pattern = "/keys/{key_id}", .rpc = KEYS(REVOKE_KEY), .reply_field = "key", .status = 200},
    {.id = "listAuditRecords", .tag = "security", .summary = "Audit records, newest first",
     .method = GET, .pattern = "/security/audit", .rpc = WORKER(LIST_AUDIT_RECORDS), .status = 200},
};
/* clang-format on */
const size_t sb_routes_count = sizeof sb_routes / sizeof *sb_routes;

/* Compares segment by segment; notes what stands for a name in braces. */
static bool matches(const char *pattern, struct sb_str path, struct sb_str *values)
{
    struct sb_str want = sb_str_skip(sb_str_from(pattern), 1);
    struct sb_str have = sb_str_skip(path, 1);
    struct sb_str name;
    struct sb_str segment;
    size_t n = 0;
    while (sb_str_next(&want, '/', &name)) {
        if (!sb_str_next(&have, '/', &segment)) {
            return false;
        }
        if (name.ptr[0] == '{') {
            values[n++] = segment;
        } else if (!sb_str_eq(name, segment)) {
            return false;
        }
    }
    return have.ptr == NULL;
}

void sb_route_find(enum sb_http_method method, struct sb_str path, struct sb_route_match *ret_match)
{
    memset(ret_match, 0, sizeof *ret_match);
    if (!sb_str_starts_with(path, SB_STR(SB_ROUTE_PREFIX "/"))) {
        return;
    }
    path = sb_str_skip(path, sizeof SB_ROUTE_PREFIX - 1);
    for (size_t i = 0; i < sb_routes_count; i++) {
        struct sb_str values[SB_ROUTE_MAX_VARS] = {{NULL, 0}};
        const struct sb_route *route = &sb_routes[i];
        if (!matches(route->pattern, path, values)) {
            continue;
        }
        unsigned as_method = route->method == GET ? GET | SB_HTTP_HEAD : route->method;
        ret_match->allowed |= as_method | SB_HTTP_OPTIONS;
        if ((as_method & method) != 0 && ret_match->route == NULL) {
            ret_match->route = route;
            memcpy(ret_match->values, values, sizeof values);
        }
    }
}

bool sb_route_var(const struct sb_route *route, size_t i, struct sb_str *ret_name)
{
    struct sb_str rest = sb_str_from(route->pattern);
    struct sb_str before;
    do {
        if (!sb_str_split(rest, '{', &before, &rest) || !sb_str_split(rest, '}', &before, &rest)) {
            return false;
        }
    } while (i-- > 0);
    *ret_name = before;
    return true;
}

bool sb_route_streams(const struct sb_route *route)
{
    return route->kind == SB_ROUTE_WRITE || route->kind == SB_ROUTE_IMPORT;
}

bool sb_route_has_param(const struct sb_route *route, struct sb_str name)
{
    struct sb_str var;
    for (size_t i = 0; sb_route_var(route, i, &var); i++) {
        if (sb_str_eq(var, name)) {
            return false;
        }
    }
    if (route->body == SB_ROUTE_MESSAGE || sb_str_eq(name, SB_STR("request_id")) ||
        (route->preset != NULL && sb_str_eq(name, sb_str_from(route->preset))) ||
        (route->body_field != NULL && sb_str_eq(name, sb_str_from(route->body_field)))) {
        return false;
    }
    const ProtobufCMessageDescriptor *type = route->rpc->in;
    if (route->kind == SB_ROUTE_WRITE) { /* its header is what the parameters fill */
        type = &aisbx__v1__write_file_header__descriptor;
    } else if (route->kind == SB_ROUTE_IMPORT) {
        type = &aisbx__v1__import_tar_header__descriptor;
    }
    return sb_pbread_has_param(type, name);
}
