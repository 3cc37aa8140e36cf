#pragma once
/** FileService: handlers, and what they share. */
#include <stdbool.h>
#include <stdint.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/str.h"
#include "service/worker/fileop.h"

struct sb_err;
struct sb_rpc_call;
struct sb_sandbox;
struct sb_worker;

extern const struct aisbx__v1__file_service__server sb_api_file_service;

/** The caller's path, checked. @field  its name, for errors. Borrowed from the message.
 *  SB_INVALID: none, not absolute, too long, with a NUL. */
int sb_api_file_path(const Aisbx__V1__FilePath *path,
                     const char *field,
                     struct sb_str *ret_path,
                     struct sb_err *err);

/** SB_INVALID: the glob is too long, or a class of bytes in it is not closed. */
int sb_api_file_glob(const char *glob, struct sb_err *err);

/** What is known of a file, as a heap message; NULL: out of memory.
 *  @path  its whole path. */
Aisbx__V1__FileInfo *
sb_api_file_info(const struct sb_file_info *info, struct sb_str path, struct sb_str link);

/** A path as a heap message; NULL: out of memory. */
Aisbx__V1__FilePath *sb_api_file_path_new(struct sb_str path);
/** "/dir" and "a/b" as one path, "/dir" and "" as "/dir". @out  2 * SB_FILE_MAX_PATH bytes. */
struct sb_str sb_api_file_join(struct sb_str directory, struct sb_str below, char *out);

void sb_api_file_list(struct sb_rpc_call *call, const Aisbx__V1__ListFilesRequest *req, void *svc);
void sb_api_file_list_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_file_read(struct sb_rpc_call *call, const Aisbx__V1__ReadFileRequest *req, void *svc);
void sb_api_file_read_drained(struct sb_rpc_call *call, void *svc);
void sb_api_file_read_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_file_write(struct sb_rpc_call *call, void *svc);
void sb_api_file_write_message(struct sb_rpc_call *call,
                               const Aisbx__V1__WriteFileRequest *msg,
                               void *svc);
void sb_api_file_write_half_close(struct sb_rpc_call *call, void *svc);
void sb_api_file_write_done(struct sb_rpc_call *call, bool cancelled, void *svc);

/* In service/worker/files/. */
void sb_api_file_search(struct sb_rpc_call *call,
                        const Aisbx__V1__SearchFilesRequest *req,
                        void *svc);
void sb_api_file_search_drained(struct sb_rpc_call *call, void *svc);
void sb_api_file_search_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_file_replace(struct sb_rpc_call *call,
                         const Aisbx__V1__ReplaceInFileRequest *req,
                         void *svc);
void sb_api_file_replace_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_file_watch(struct sb_rpc_call *call,
                       const Aisbx__V1__WatchFilesRequest *req,
                       void *svc);
void sb_api_file_watch_drained(struct sb_rpc_call *call, void *svc);
void sb_api_file_watch_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_file_export(struct sb_rpc_call *call,
                        const Aisbx__V1__ExportTarRequest *req,
                        void *svc);
void sb_api_file_export_drained(struct sb_rpc_call *call, void *svc);
void sb_api_file_export_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_file_import(struct sb_rpc_call *call, void *svc);
void sb_api_file_import_message(struct sb_rpc_call *call,
                                const Aisbx__V1__ImportTarRequest *msg,
                                void *svc);
void sb_api_file_import_half_close(struct sb_rpc_call *call, void *svc);
void sb_api_file_import_done(struct sb_rpc_call *call, bool cancelled, void *svc);
