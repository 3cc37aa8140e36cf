#pragma once
/** The product's tools and resources: what a language model does with sandboxes.
 *
 *  Theory of operation. A call of a tool is a job: calls of the worker one after the other, then
 *  the answer. That a program failed is a result like any other, with the verdict and what proves
 *  it; that there was no sandbox for it is an error (isError), with the next step. */
struct event_base;
struct sb_backend;
struct sb_err;
struct sb_mcp_definition;
struct sb_tools;

/** Starts and connects nothing. @base, @backend  borrowed. Errors: SB_EXHAUSTED. */
int sb_tools_new(struct event_base *base,
                 struct sb_backend *backend,
                 struct sb_tools **ret_tools,
                 struct sb_err *err);
/** Fills in tools, resources and instructions; they live as long as @tools. */
void sb_tools_define(struct sb_tools *tools, struct sb_mcp_definition *definition);
/** After the server of MCP is gone, before the backend: runs the loop until what calls left behind
 *  (programs to be killed, sandboxes to be destroyed) is cleaned up, 3 seconds at most. */
void sb_tools_free(struct sb_tools *tools);
