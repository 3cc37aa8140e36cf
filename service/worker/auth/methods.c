#include "service/worker/auth/methods.h"

#include <stddef.h>
#include <string.h>

#define BIT(role)  (1U << (role))
#define ADMIN      BIT(SB_ROLE_ADMIN)
#define OPERATOR   (ADMIN | BIT(SB_ROLE_AUDITOR)) /* what is of the whole worker */
#define USER       (ADMIN | BIT(SB_ROLE_USER))
#define ANY        (USER | BIT(SB_ROLE_AUDITOR)) /* lists */
#define SANDBOX(m) "/aisbx.v1.SandboxService/" m
#define WORKER(m)  "/aisbx.v1.WorkerService/" m
#define FILES(m)   "/aisbx.v1.FileService/" m
#define CONTEXT(m) "/aisbx.v1.ContextService/" m
#define PORT(m)    "/aisbx.v1.PortService/" m
#define KEY(m)     "/aisbx.v1.KeyService/" m
#define PROCESS(m) "/process.v1.ProcessService/" m

/* Every method of the contract. What is not here nobody may call. An auditor sees that things are,
 * and what was decided; never what programs read, write or print. */
static const struct {
    const char *path;
    unsigned roles;
} methods[] = {
    {SANDBOX("CreateSandbox"), USER},
    {SANDBOX("GetSandbox"), ANY},
    {SANDBOX("ListSandboxes"), ANY},
    {SANDBOX("UpdateSandbox"), USER},
    {SANDBOX("UpdateNetwork"), USER},
    {SANDBOX("DestroySandbox"), USER},
    {SANDBOX("PauseSandbox"), USER},
    {SANDBOX("ResumeSandbox"), USER},
    {SANDBOX("WatchSandboxes"), ANY},
    {SANDBOX("SnapshotSandbox"), USER},
    {SANDBOX("ListSnapshots"), ANY},
    {SANDBOX("DeleteSnapshot"), USER},
    {SANDBOX("ForkSandbox"), USER},
    {SANDBOX("RollbackSandbox"), USER},
    {SANDBOX("Run"), USER},
    {SANDBOX("RunBatch"), USER},
    {SANDBOX("StartExec"), USER},
    {SANDBOX("InteractExec"), USER},
    {SANDBOX("AttachExec"), USER},
    {SANDBOX("GetExec"), ANY},
    {SANDBOX("ListExecs"), ANY},
    {SANDBOX("ReadExecOutput"), USER},
    {SANDBOX("SendExecInput"), USER},
    {SANDBOX("SignalExec"), USER},
    {SANDBOX("CancelExec"), USER},
    {SANDBOX("ResizeExec"), USER},
    {WORKER("GetInfo"), ANY},
    {WORKER("WatchLoad"), ANY},
    {WORKER("ClaimRequest"), USER},
    {WORKER("SetDraining"), ADMIN},
    {WORKER("ListProfiles"), ANY},
    {WORKER("GetProfile"), ANY},
    {WORKER("ExplainProfile"), ANY},
    {WORKER("ValidateConfig"), USER},
    {WORKER("ListPackages"), ANY},
    {WORKER("DeletePackages"), USER},
    {WORKER("GetMetrics"), OPERATOR},
    {WORKER("ListAuditRecords"), ANY}, /* of its own tenant */
    {FILES("StatFile"), USER},
    {FILES("ListFiles"), USER},
    {FILES("ReadFile"), USER},
    {FILES("WriteFile"), USER},
    {FILES("MakeDirectory"), USER},
    {FILES("MoveFile"), USER},
    {FILES("RemoveFile"), USER},
    {FILES("ChangeMode"), USER},
    {FILES("SearchFiles"), USER},
    {FILES("ReplaceInFile"), USER},
    {FILES("WatchFiles"), USER},
    {FILES("ExportTar"), USER},
    {FILES("ImportTar"), USER},
    {FILES("DiffFiles"), USER},
    {FILES("CommitFiles"), USER},
    {CONTEXT("CreateContext"), USER},
    {CONTEXT("ListContexts"), USER},
    {CONTEXT("ExecuteCode"), USER},
    {CONTEXT("InterruptContext"), USER},
    {CONTEXT("RestartContext"), USER},
    {CONTEXT("DeleteContext"), USER},
    {PORT("ExposePort"), USER},
    {PORT("ListPorts"), USER},
    {PORT("UnexposePort"), USER},
    {PORT("ForwardPort"), USER},
    {PROCESS("Start"), USER},
    {PROCESS("Execute"), USER},
    {PROCESS("WriteStdin"), USER},
    {PROCESS("SendSignal"), USER},
    {PROCESS("ResizeTTY"), USER},
    {KEY("CreateKey"), ADMIN},
    {KEY("ListKeys"), ADMIN},
    {KEY("RevokeKey"), ADMIN},
};

static unsigned roles_of(const char *path)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(methods[i].path, path) == 0) {
            return methods[i].roles;
        }
    }
    return 0;
}

bool sb_methods_allow(const char *path, enum sb_role role)
{
    return role != SB_ROLE_NONE && (roles_of(path) & BIT(role)) != 0;
}

const char *sb_methods_who(const char *path)
{
    switch (roles_of(path)) {
    case ADMIN:
        return "admin";
    case OPERATOR:
        return "admin or auditor";
    case USER:
        return "admin or user";
    case ANY:
        return "admin, user or auditor";
    default:
        return "nobody";
    }
}

bool sb_methods_is_of_links(const char *path)
{
    return strcmp(path, PORT("ForwardPort")) == 0;
}
