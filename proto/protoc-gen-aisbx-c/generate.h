#pragma once

#include "base/buf.h"
#include "google/protobuf/compiler/plugin.pb-c.h"

/* Each appends one generated file to @out. They do not fail: see template.h. */

/** <stem>.rpc.h: method tables, typed server tables, typed clients. */
void gen_header(struct sb_buf *out, const Google__Protobuf__FileDescriptorProto *file);
/** <stem>.rpc.c */
void gen_source(struct sb_buf *out, const Google__Protobuf__FileDescriptorProto *file);
/** <stem>.desc.c: what server reflection shows of the file and its imports.
 *  @request  holds all files in dependency order. */
void gen_descriptors(struct sb_buf *out,
                     const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                     const Google__Protobuf__FileDescriptorProto *file);
