#include "mcp-gateway/tools/tools.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/err.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/exec.h"
#include "mcp-gateway/tools/file.h"
#include "mcp-gateway/tools/job.h"
#include "mcp-gateway/tools/resource.h"
#include "mcp-gateway/tools/run.h"
#include "mcp-gateway/tools/sandbox.h"
#include "mcp-gateway/tools/schema.h"
#include "mcp-gateway/tools/snapshot.h"

enum { LAST_MS = 3000, TURN_MS = 50, LIST_TTL_MS = 3600000 };

#define READS "{\"readOnlyHint\":true,\"openWorldHint\":false}"
#define RUNS                                                                                       \
    "{\"readOnlyHint\":false,\"destructiveHint\":false,\"idempotentHint\":false,"                  \
    "\"openWorldHint\":true}"
#define MAKES                                                                                      \
    "{\"readOnlyHint\":false,\"destructiveHint\":false,\"idempotentHint\":false,"                  \
    "\"openWorldHint\":false}"
#define PUTS                                                                                       \
    "{\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":true,\"openWorldHint\":"  \
    "false}"
#define CHANGES                                                                                    \
    "{\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":false,\"openWorldHint\":" \
    "false}"
#define DESTROYS                                                                                   \
    "{\"readOnlyHint\":false,\"destructiveHint\":true,\"idempotentHint\":true,\"openWorldHint\":"  \
    "false}"

static const char instructions[] =
    "Run untrusted code in Linux sandboxes of this service. For one program use run_code or shell "
    "without sandbox_id: the sandbox is made and destroyed with the call. For work over several "
    "calls make one with sandbox_create and pass its sandbox_id; files live in /workspace until it "
    "expires. A program that fails is a normal result whose first line says how it ended.";

/* In the order clients list them; fixed, so that prompts can be cached. */
static const struct sb_mcp_tool tools_table[] = {
    {"run_code", "Run code",
     "Runs code given as source text in a sandbox and returns how it ended, its output and images "
     "(png, jpg: figures, and files it wrote into /workspace; in a sandbox that lasts those over "
     "100 KiB "
     "as links to resources). Without sandbox_id a sandbox is "
     "made "
     "for this call and destroyed after it; nothing is left. With sandbox_id python, node and bash "
     "keep their state: variables, imports, functions and the directory are there for the next "
     "call, the value of the last expression is shown, top-level await works, and an error comes "
     "with its traceback; args, stdin or cwd make it a program of its own. For a command line use "
     "shell; for "
     "programs "
     "that run on (servers, over a minute) use shell with background. Limits: code 1 MiB, files "
     "and "
     "stdin 1 MiB, about 8000 characters of output (the rest by exec_output), the profile's time, "
     "memory and network. Example: {\"language\":\"python\",\"code\":\"print(6*7)\"}",
     sb_tool_schema_run_code, sb_tool_schema_run_result, RUNS, sb_tool_run_code},
    {"shell", "Run a shell command",
     "Runs a bash command line in a sandbox. Each call is a new shell: directory and variables do "
     "not "
     "carry over, files in /workspace do (with sandbox_id). With background it returns at once "
     "with an "
     "exec_id for exec_output and exec_input. Not for source code of a language: run_code needs no "
     "quoting. Example: {\"sandbox_id\":\"sb_...\",\"command\":\"pytest -q | tail -20\"}",
     sb_tool_schema_shell, sb_tool_schema_run_result, RUNS, sb_tool_shell},
    {"sandbox_create", "Make a sandbox",
     "Makes a sandbox that lasts over several calls and returns its sandbox_id. It is destroyed "
     "with "
     "its files after ttl_s seconds (default 3600, one hour); every result says expires_in_s. Not "
     "needed for a single program: run_code and shell make their own. The resource "
     "aisbx://profiles "
     "lists the profiles. Example: {\"profile\":\"python-dev\",\"ttl_s\":1800}",
     sb_tool_schema_sandbox_create, sb_tool_schema_sandbox, MAKES, sb_tool_sandbox_create},
    {"sandbox_list", "List sandboxes",
     "Lists your sandboxes that are alive, newest first, with the seconds each has left and the "
     "programs that run there. Use it when a sandbox_id or exec_id is lost or refused. Example: {}",
     sb_tool_schema_sandbox_list, sb_tool_schema_sandboxes, READS, sb_tool_sandbox_list},
    {"sandbox_destroy", "Destroy a sandbox",
     "Kills everything in a sandbox and removes it with its files. Do it when the work is done; "
     "what "
     "is to be kept must be read before. Example: {\"sandbox_id\":\"sb_...\"}",
     sb_tool_schema_sandbox_destroy, sb_tool_schema_sandbox, DESTROYS, sb_tool_sandbox_destroy},
    {"sandbox_snapshot", "Keep the files of a sandbox",
     "Keeps what is in /workspace and /tmp of a sandbox, to come back to it with sandbox_rollback. "
     "Programs go on and are not part of it. Do it before a step that may spoil the files. "
     "Example: {\"sandbox_id\":\"sb_...\",\"title\":\"tests pass\"}",
     sb_tool_schema_sandbox_snapshot, sb_tool_schema_snapshot, MAKES, sb_tool_sandbox_snapshot},
    {"sandbox_fork", "Make copies of a sandbox",
     "Makes count new sandboxes (at most 256) that begin with the files of this one as they are "
     "now, to try several ways from one state. They are independent of it and of each other, and "
     "nothing runs in them yet. Destroy them when the work is done. Example: "
     "{\"sandbox_id\":\"sb_...\",\"count\":4}",
     sb_tool_schema_sandbox_fork, sb_tool_schema_forks, MAKES, sb_tool_sandbox_fork},
    {"sandbox_rollback", "Take a sandbox back to a snapshot",
     "Puts /workspace and /tmp of a sandbox back to what they were at sandbox_snapshot, and kills "
     "what runs there. What was written since is lost. Example: "
     "{\"sandbox_id\":\"sb_...\",\"snapshot_id\":\"sn_...\"}",
     sb_tool_schema_sandbox_rollback, sb_tool_schema_sandbox, DESTROYS, sb_tool_sandbox_rollback},
    {"file_read", "Read a file",
     "Reads a text file of a sandbox, or a range of one (16 KiB unless max_bytes says otherwise, "
     "at "
     "most 256 KiB); an image is shown as one (up to 3 MiB). To find a part of a large file use "
     "file_search. Example: {\"sandbox_id\":\"sb_...\",\"path\":\"result.txt\"}",
     sb_tool_schema_file_read, sb_tool_schema_range, READS, sb_tool_file_read},
    {"file_write", "Write a file",
     "Writes a whole file into a sandbox, with missing folders, in place of one that is there; or "
     "adds "
     "to its end with append. At most 2 MiB. To change a part of a file use file_edit. "
     "Example: "
     "{\"sandbox_id\":\"sb_...\",\"path\":\"app.py\",\"content\":\"print(1)\\n\"}",
     sb_tool_schema_file_write, sb_tool_schema_file, PUTS, sb_tool_file_write},
    {"file_edit", "Change a part of a file",
     "Replaces text in a file of a sandbox: find must stand there exactly as given, once unless "
     "count "
     "says otherwise; else nothing is changed and the result says how often it is there. Readers "
     "see "
     "the file before or after, never half. Text has at most 1 MiB. For patterns use shell with "
     "sed. "
     "Example: "
     "{\"sandbox_id\":\"sb_...\",\"path\":\"app.py\",\"find\":\"x = 1\",\"replacement\":\"x = 2\"}",
     sb_tool_schema_file_edit, sb_tool_schema_edit, CHANGES, sb_tool_file_edit},
    {"file_list", "List files",
     "Lists files of a sandbox below a folder (default /workspace), with sizes; deeper with depth, "
     "fewer with glob. For a search in their text use file_search. Example: "
     "{\"sandbox_id\":\"sb_...\",\"glob\":\"*.py\",\"depth\":3}",
     sb_tool_schema_file_list, sb_tool_schema_files, READS, sb_tool_file_list},
    {"file_search", "Search in files",
     "Finds lines that match a regular expression in files of a sandbox, with path and line "
     "number. "
     "At most limit lines (100) and 16 KiB; long lines are cut; binary files and links are left "
     "out. "
     "For names of files use file_list. Example: "
     "{\"sandbox_id\":\"sb_...\",\"pattern\":\"def +main\",\"glob\":\"**/*.py\"}",
     sb_tool_schema_file_search, sb_tool_schema_matches, READS, sb_tool_file_search},
    {"exec_output", "Read a program's output",
     "Reads what a program wrote, from a byte offset (negative: from the end), and says whether it "
     "still runs. For programs in the background, and for what an earlier result left out. wait_s "
     "waits up to 60 seconds for new output instead of asking again and again. Example: "
     "{\"exec_id\":\"ex_...\",\"offset\":0,\"wait_s\":10}",
     sb_tool_schema_exec_output, sb_tool_schema_output, READS, sb_tool_exec_output},
    {"exec_input", "Write to a program, or stop it",
     "Sends text to the standard input of a program in the background (with eof: no more follows), "
     "or "
     "a signal: INT and TERM ask it to stop, KILL ends it with all its processes. Example: "
     "{\"exec_id\":\"ex_...\",\"signal\":\"TERM\"}",
     sb_tool_schema_exec_input, sb_tool_schema_done, MAKES, sb_tool_exec_input},
};

static const struct sb_mcp_resource resources[] = {
    {"aisbx://profiles", "profiles", "Profiles",
     "What sandboxes can be made with: name and description of each", "application/json"},
};

static const struct sb_mcp_resource templates[] = {
    {"aisbx://exec/{exec_id}/stdout{?offset,max_bytes}", "stdout", "Standard output of a program",
     "As far as it is kept; 64 KiB unless max_bytes says otherwise, at most 1 MiB; a negative "
     "offset "
     "counts from the end",
     NULL},
    {"aisbx://exec/{exec_id}/stderr{?offset,max_bytes}", "stderr", "Standard error of a program",
     "As stdout", NULL},
    {"aisbx://sandbox/{sandbox_id}/files/{+path}", "file", "A file of a sandbox",
     "The path is absolute inside, without its first slash; at most 4 MiB", NULL},
    {"aisbx://profiles/{name}", "profile", "A profile",
     "Everything it says, what it inherits included", "application/yaml"},
};

void sb_tools_define(struct sb_tools *tools, struct sb_mcp_definition *definition)
{
    definition->instructions = instructions;
    definition->tools = tools_table;
    definition->n_tools = sizeof tools_table / sizeof *tools_table;
    definition->resources = resources;
    definition->n_resources = sizeof resources / sizeof *resources;
    definition->templates = templates;
    definition->n_templates = sizeof templates / sizeof *templates;
    definition->read_resource = sb_resource_read;
    definition->list_ttl_ms = LIST_TTL_MS;
    definition->user = tools;
}

int sb_tools_new(struct event_base *base,
                 struct sb_backend *backend,
                 struct sb_tools **ret_tools,
                 struct sb_err *err)
{
    struct sb_tools *tools = calloc(1, sizeof *tools);
    if (tools == NULL) {
        return sb_err_oom(err);
    }
    tools->base = base;
    tools->backend = backend;
    sb_list_init(&tools->jobs);
    tools->key = sb_hash_key_random();
    *ret_tools = tools;
    return 0;
}

void sb_tools_free(struct sb_tools *tools)
{
    const struct timeval turn = {0, TURN_MS * 1000L};
    if (tools == NULL) {
        return;
    }
    uint64_t until = sb_clock_mono_ms() + LAST_MS;
    while (!sb_list_is_empty(&tools->jobs) && sb_clock_mono_ms() < until) {
        (void)event_base_loopexit(tools->base, &turn);
        (void)event_base_loop(tools->base, EVLOOP_ONCE);
    }
    free(tools);
}
