#include "mcp-gateway/fleet/way.h"

#include <string.h>

#include "base/id.h"
#include "mcp-gateway/fleet/pbpath.h"

#define SANDBOX(name) "/aisbx.v1.SandboxService/" name
#define FILES(name)   "/aisbx.v1.FileService/" name
#define CONTEXT(name) "/aisbx.v1.ContextService/" name
#define PORT(name)    "/aisbx.v1.PortService/" name
#define WORKER(name)  "/aisbx.v1.WorkerService/" name
#define KEY(name)     "/aisbx.v1.KeyService/" name

static const char for_gateways[] = "it asks that itself";
static const char one_worker[] = "say which worker by worker_id";
static const char same_keys[] =
    "each worker keeps its own keys, and a new one would open that worker alone. A key for all of "
    "them is a line of the file that they share (aisbx-security keys create --file FILE, "
    "aisbx-worker --keys FILE); ListKeys and RevokeKey go through here, to all";

/* clang-format off */
const struct sb_way sb_ways[] = {
    {SANDBOX("CreateSandbox"),   "snapshot_id",             SB_WAY_PLACE, NULL},
    {SANDBOX("GetSandbox"),      "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("ListSandboxes"),   NULL,                      SB_WAY_MERGE, NULL},
    {SANDBOX("UpdateSandbox"),   "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("UpdateNetwork"),   "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("DestroySandbox"),  "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("PauseSandbox"),    "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("ResumeSandbox"),   "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("WatchSandboxes"),  "sandbox_id",              SB_WAY_MERGE, NULL},
    {SANDBOX("SnapshotSandbox"), "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("ListSnapshots"),   "sandbox_id",              SB_WAY_MERGE, NULL},
    {SANDBOX("DeleteSnapshot"),  "snapshot_id",             SB_WAY_ANY,   NULL},
    {SANDBOX("ForkSandbox"),     "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("RollbackSandbox"), "sandbox_id",              SB_WAY_ANY,   NULL},
    {SANDBOX("Run"),             "target.sandbox_id",       SB_WAY_PLACE, NULL},
    {SANDBOX("RunBatch"),        NULL,                      SB_WAY_PLACE, NULL},
    {SANDBOX("StartExec"),       "target.sandbox_id",       SB_WAY_PLACE, NULL},
    {SANDBOX("InteractExec"),    "start.target.sandbox_id", SB_WAY_PLACE, NULL},
    {SANDBOX("AttachExec"),      "exec_id",                 SB_WAY_ANY,   NULL},
    {SANDBOX("GetExec"),         "exec_id",                 SB_WAY_ANY,   NULL},
    {SANDBOX("ListExecs"),       "sandbox_id",              SB_WAY_MERGE, NULL},
    {SANDBOX("ReadExecOutput"),  "exec_id",                 SB_WAY_ANY,   NULL},
    {SANDBOX("SendExecInput"),   "exec_id",                 SB_WAY_ANY,   NULL},
    {SANDBOX("SignalExec"),      "exec_id",                 SB_WAY_ANY,   NULL},
    {SANDBOX("CancelExec"),      "exec_id",                 SB_WAY_ANY,   NULL},
    {SANDBOX("ResizeExec"),      "exec_id",                 SB_WAY_ANY,   NULL},

    {FILES("StatFile"),          "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("ListFiles"),         "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("ReadFile"),          "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("WriteFile"),         "header.sandbox_id",       SB_WAY_ANY,   NULL},
    {FILES("MakeDirectory"),     "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("MoveFile"),          "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("RemoveFile"),        "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("ChangeMode"),        "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("SearchFiles"),       "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("ReplaceInFile"),     "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("WatchFiles"),        "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("ExportTar"),         "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("ImportTar"),         "header.sandbox_id",       SB_WAY_ANY,   NULL},
    {FILES("DiffFiles"),         "sandbox_id",              SB_WAY_ANY,   NULL},
    {FILES("CommitFiles"),       "sandbox_id",              SB_WAY_ANY,   NULL},

    {CONTEXT("CreateContext"),   "sandbox_id",              SB_WAY_ANY,   NULL},
    {CONTEXT("ListContexts"),    "sandbox_id",              SB_WAY_ANY,   NULL},
    {CONTEXT("ExecuteCode"),     "context_id",              SB_WAY_ANY,   NULL},
    {CONTEXT("InterruptContext"), "context_id",             SB_WAY_ANY,   NULL},
    {CONTEXT("RestartContext"),  "context_id",              SB_WAY_ANY,   NULL},
    {CONTEXT("DeleteContext"),   "context_id",              SB_WAY_ANY,   NULL},

    {PORT("ExposePort"),         "sandbox_id",              SB_WAY_ANY,   NULL},
    {PORT("ListPorts"),          "sandbox_id",              SB_WAY_ANY,   NULL},
    {PORT("UnexposePort"),       "sandbox_id",              SB_WAY_ANY,   NULL},
    {PORT("ForwardPort"),        "open.sandbox_id",         SB_WAY_ANY,   NULL},

    {WORKER("GetInfo"),          NULL,                      SB_WAY_ANY,   NULL},
    {WORKER("WatchLoad"),        NULL,                      SB_WAY_MERGE, NULL},
    {WORKER("ClaimRequest"),     NULL,                      SB_WAY_NONE,  for_gateways},
    {WORKER("SetDraining"),      "worker_id",               SB_WAY_NONE,  one_worker},
    {WORKER("ListProfiles"),     NULL,                      SB_WAY_MERGE, NULL},
    {WORKER("GetProfile"),       NULL,                      SB_WAY_ANY,   NULL},
    {WORKER("ExplainProfile"),   NULL,                      SB_WAY_ANY,   NULL},
    {WORKER("ValidateConfig"),   NULL,                      SB_WAY_ANY,   NULL},
    {WORKER("GetMetrics"),       NULL,                      SB_WAY_MERGE, NULL},
    {WORKER("ListPackages"),     NULL,                      SB_WAY_MERGE, NULL},
    {WORKER("DeletePackages"),   NULL,                      SB_WAY_MERGE, NULL},
    {WORKER("ListAuditRecords"), NULL,                      SB_WAY_MERGE, NULL}, /* what is recorded of a sandbox outlives it */

    {KEY("CreateKey"),           NULL,                      SB_WAY_NONE,  same_keys},
    {KEY("ListKeys"),            NULL,                      SB_WAY_MERGE, NULL},
    {KEY("RevokeKey"),           NULL,                      SB_WAY_MERGE, NULL},
};
/* clang-format on */
const size_t sb_ways_count = sizeof sb_ways / sizeof *sb_ways;

const struct sb_way *sb_way_find(const char *path)
{
    for (size_t i = 0; i < sb_ways_count; i++) {
        if (strcmp(sb_ways[i].path, path) == 0) {
            return &sb_ways[i];
        }
    }
    return NULL;
}

/* Any kind: which kind belongs where is the worker's to say. */
static struct sb_str tag_of(struct sb_str id)
{
    static const char *const prefixes[] = {"sb_", "ex_", "sn_", "cx_", "wk_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct sb_str tag = sb_id_tag(id, prefixes[i]);
        if (tag.len > 0) {
            return tag;
        }
    }
    return sb_str_of(id.ptr, 0);
}

struct sb_str
sb_way_id(const struct sb_way *way, const ProtobufCMessage *message, struct sb_str *ret_tag)
{
    const char *text = way->ids == NULL ? NULL : sb_pbpath_text(message, way->ids);
    struct sb_str id = sb_str_from(text == NULL ? "" : text);
    *ret_tag = tag_of(id);
    return ret_tag->len == 0 ? sb_str_of(id.ptr, 0) : id;
}
