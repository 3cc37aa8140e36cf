#include "mcp-gateway/tools/schema.h"

#define EMBED(name)                                                                                \
    __asm__(".pushsection .rodata.sb_tool_schema,\"a\"\n"                                          \
            ".global sb_tool_schema_" #name "\n"                                                   \
            "sb_tool_schema_" #name ":\n"                                                          \
            ".incbin \"" SB_SCHEMA_DIR "/" #name ".json\"\n"                                       \
            ".byte 0\n"                                                                            \
            ".popsection\n")

EMBED(run_code);
EMBED(run_result);
EMBED(shell);
EMBED(sandbox_create);
EMBED(sandbox);
EMBED(sandbox_list);
EMBED(sandboxes);
EMBED(sandbox_destroy);
EMBED(sandbox_snapshot);
EMBED(snapshot);
EMBED(sandbox_fork);
EMBED(forks);
EMBED(sandbox_rollback);
EMBED(file_read);
EMBED(range);
EMBED(file_write);
EMBED(file);
EMBED(file_edit);
EMBED(edit);
EMBED(file_list);
EMBED(files);
EMBED(file_search);
EMBED(matches);
EMBED(exec_output);
EMBED(output);
EMBED(exec_input);
EMBED(done);
