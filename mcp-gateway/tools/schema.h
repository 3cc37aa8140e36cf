#pragma once
/** The JSON Schemas of mcp-gateway/tools/schema/, as C strings. */
extern const char sb_tool_schema_run_code[];
extern const char sb_tool_schema_run_result[];
extern const char sb_tool_schema_shell[];
extern const char sb_tool_schema_sandbox_create[];
extern const char sb_tool_schema_sandbox[];
extern const char sb_tool_schema_sandbox_list[];
extern const char sb_tool_schema_sandboxes[];
extern const char sb_tool_schema_sandbox_destroy[];
extern const char sb_tool_schema_sandbox_snapshot[];
extern const char sb_tool_schema_snapshot[];
extern const char sb_tool_schema_sandbox_fork[];
extern const char sb_tool_schema_forks[];
extern const char sb_tool_schema_sandbox_rollback[];
extern const char sb_tool_schema_file_read[];
extern const char sb_tool_schema_range[];
extern const char sb_tool_schema_file_write[];
extern const char sb_tool_schema_file[];
extern const char sb_tool_schema_file_list[];
extern const char sb_tool_schema_files[];
extern const char sb_tool_schema_exec_output[];
extern const char sb_tool_schema_output[];
extern const char sb_tool_schema_exec_input[];
extern const char sb_tool_schema_done[];
