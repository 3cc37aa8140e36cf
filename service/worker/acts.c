#include "service/worker/acts.h"

#include <string.h>

#define SANDBOX(prefix)                                                                            \
    prefix "profile " prefix "driver " prefix "network.mode " prefix "network.allow " prefix       \
           "network.deny " prefix "mounts.source " prefix "packages " prefix "labels.key " prefix  \
           "learn_syscalls"
#define EXEC(prefix)                                                                               \
    prefix "command.args " prefix "script.language " prefix "script.args " prefix "cwd " prefix    \
           "env.key " prefix "wall_ms " prefix "background " prefix "user"
#define TARGET(prefix) SANDBOX(prefix "new_sandbox.")

static const struct sb_act_more interact_more[] = {
    {"stdin", "exec.input", true},
    {"signal", "exec.signal", false},
    {NULL, NULL, false},
};

#define SANDBOXES(name) "/aisbx.v1.SandboxService/" name
#define KEYS(name)      "/aisbx.v1.KeyService/" name
#define FILES(name)     "/aisbx.v1.FileService/" name
#define CONTEXTS(name)  "/aisbx.v1.ContextService/" name
#define PORTS(name)     "/aisbx.v1.PortService/" name
#define WORKER(name)    "/aisbx.v1.WorkerService/" name
#define PROCESS(name)   "/process.v1.ProcessService/" name

/* clang-format off */
static const struct sb_act acts[] = {
    {SANDBOXES("CreateSandbox"), "sandbox.create", "request_id snapshot_id home " SANDBOX("sandbox."), NULL, false},
    {SANDBOXES("GetSandbox"), NULL, NULL, NULL, false},
    {SANDBOXES("ListSandboxes"), NULL, NULL, NULL, false},
    {SANDBOXES("UpdateSandbox"), "sandbox.update", "update_mask.paths sandbox.ttl_ms sandbox.idle_ms", NULL, false},
    {SANDBOXES("UpdateNetwork"), "network.update", "network.mode network.allow network.deny", NULL, false},
    {SANDBOXES("DestroySandbox"), "sandbox.destroy", NULL, NULL, false},
    {SANDBOXES("PauseSandbox"), "sandbox.pause", NULL, NULL, false},
    {SANDBOXES("ResumeSandbox"), "sandbox.resume", NULL, NULL, false},
    {SANDBOXES("WatchSandboxes"), NULL, NULL, NULL, false},
    {SANDBOXES("SnapshotSandbox"), "snapshot.create", "request_id title", NULL, false},
    {SANDBOXES("ListSnapshots"), NULL, NULL, NULL, false},
    {SANDBOXES("DeleteSnapshot"), "snapshot.delete", "snapshot_id", NULL, false},
    {SANDBOXES("ForkSandbox"), "sandbox.fork", "request_id count", NULL, false},
    {SANDBOXES("RollbackSandbox"), "sandbox.rollback", "snapshot_id", NULL, false},
    {SANDBOXES("Run"), "exec.start", "request_id " TARGET("target.") " " EXEC("exec.") " stdin", NULL, false},
    {SANDBOXES("RunBatch"), "exec.start", "request_id " SANDBOX("sandbox.") " " EXEC("compile.") " " EXEC("run."), NULL, false},
    {SANDBOXES("StartExec"), "exec.start", "request_id " TARGET("target.") " " EXEC("exec."), NULL, false},
    {SANDBOXES("InteractExec"), "exec.start", "start.request_id " TARGET("start.target.") " " EXEC("start.exec."), interact_more, false},
    {SANDBOXES("AttachExec"), NULL, NULL, NULL, false},
    {SANDBOXES("GetExec"), NULL, NULL, NULL, false},
    {SANDBOXES("ListExecs"), NULL, NULL, NULL, false},
    {SANDBOXES("ReadExecOutput"), NULL, NULL, NULL, false},
    {SANDBOXES("SendExecInput"), "exec.input", "data eof", NULL, false},
    {SANDBOXES("SignalExec"), "exec.signal", "signal tree", NULL, false},
    {SANDBOXES("CancelExec"), "exec.cancel", NULL, NULL, false},
    {SANDBOXES("ResizeExec"), NULL, NULL, NULL, false},

    {FILES("StatFile"), NULL, NULL, NULL, false},
    {FILES("ListFiles"), NULL, NULL, NULL, false},
    {FILES("ReadFile"), "file.read", "file.path file.raw_path offset max_bytes", NULL, false},
    {FILES("WriteFile"), "file.write", "header.file.path header.file.raw_path header.mode data", NULL, false},
    {FILES("MakeDirectory"), "file.mkdir", "directory.path directory.raw_path mode", NULL, false},
    {FILES("MoveFile"), "file.move", "source.path source.raw_path target.path target.raw_path", NULL, false},
    {FILES("RemoveFile"), "file.remove", "file.path file.raw_path recursive", NULL, false},
    {FILES("ChangeMode"), "file.chmod", "file.path file.raw_path mode", NULL, false},
    {FILES("SearchFiles"), "file.search", "directory.path pattern glob", NULL, false},
    {FILES("ReplaceInFile"), "file.replace", "file.path file.raw_path find replacement", NULL, false},
    {FILES("WatchFiles"), NULL, NULL, NULL, false},
    {FILES("ExportTar"), "file.export", "directory.path directory.raw_path", NULL, false},
    {FILES("ImportTar"), "file.import", "header.directory.path header.directory.raw_path data", NULL, false},
    {FILES("DiffFiles"), "file.diff", "snapshot_id since_host content", NULL, false},
    {FILES("CommitFiles"), "file.commit", "files.path", NULL, false},

    {CONTEXTS("CreateContext"), "context.create", "request_id language cwd", NULL, false},
    {CONTEXTS("ListContexts"), NULL, NULL, NULL, false},
    {CONTEXTS("ExecuteCode"), "context.execute", "context_id code wall_ms", NULL, false},
    {CONTEXTS("InterruptContext"), "context.interrupt", "context_id", NULL, false},
    {CONTEXTS("RestartContext"), "context.restart", "context_id", NULL, false},
    {CONTEXTS("DeleteContext"), "context.delete", "context_id", NULL, false},

    {PORTS("ExposePort"), "port.expose", "port title share_ttl_ms", NULL, false},
    {PORTS("ListPorts"), NULL, NULL, NULL, false},
    {PORTS("UnexposePort"), "port.unexpose", "port", NULL, false},
    {PORTS("ForwardPort"), "port.forward", "open.port", NULL, false},

    {PROCESS("Start"), "exec.start", "config.command config.env_vars.key config.cwd", NULL, false},
    {PROCESS("Execute"), "exec.start", "config.command config.env_vars.key config.cwd", NULL, false},
    {PROCESS("WriteStdin"), "exec.input", "process_id input eof", NULL, false},
    {PROCESS("SendSignal"), "exec.signal", "process_id signal", NULL, false},
    {PROCESS("ResizeTTY"), NULL, NULL, NULL, false},

    {"/grpc.health.v1.Health/Check", NULL, NULL, NULL, true},
    {"/grpc.health.v1.Health/List", NULL, NULL, NULL, true},
    {"/grpc.health.v1.Health/Watch", NULL, NULL, NULL, true},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL, NULL, NULL, true},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", NULL, NULL, NULL, true},

    /* Not the key_id: it may be the whole text of a key. sb_event_key tells which it was. */
    {KEYS("CreateKey"), "key.create", "role tenant title ttl_ms", NULL, false},
    {KEYS("ListKeys"), NULL, NULL, NULL, false},
    {KEYS("RevokeKey"), "key.revoke", NULL, NULL, false},

    {WORKER("GetInfo"), NULL, NULL, NULL, false},
    {WORKER("WatchLoad"), NULL, NULL, NULL, false},
    {WORKER("ClaimRequest"), NULL, NULL, NULL, false},
    {WORKER("SetDraining"), "admin.drain", "draining", NULL, false},
    {WORKER("ListProfiles"), NULL, NULL, NULL, false},
    {WORKER("GetProfile"), NULL, NULL, NULL, false},
    {WORKER("ExplainProfile"), NULL, NULL, NULL, false},
    {WORKER("ValidateConfig"), NULL, NULL, NULL, false},
    {WORKER("ListPackages"), NULL, NULL, NULL, false},
    {WORKER("DeletePackages"), "packages.delete", "package_id all", NULL, false},
    {WORKER("GetMetrics"), NULL, NULL, NULL, false},
    {WORKER("ListAuditRecords"), NULL, NULL, NULL, false},
};
/* clang-format on */

const struct sb_act *sb_act_find(const char *path)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(acts[i].path, path) == 0) {
            return &acts[i];
        }
    }
    return NULL;
}

bool sb_act_looks_back(const struct sb_act *act)
{
    return strcmp(act->path, SANDBOXES("ListSandboxes")) == 0;
}

bool sb_act_ends_with_key(const struct sb_act *act)
{
    return act->action == NULL || strcmp(act->path, PORTS("ForwardPort")) == 0;
}
