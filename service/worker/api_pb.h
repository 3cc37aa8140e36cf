#pragma once
/** Messages of the public contract made from live things. Everything returned is a heap message for
 *  ..._free_unpacked (or for the message it becomes part of); NULL: out of memory. Loop thread. */
#include <stdbool.h>
#include <stdint.h>

#include "aisbx/v1/exec.pb-c.h"
#include "aisbx/v1/sandbox.pb-c.h"
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/verdict.pb-c.h"
#include "aisbx/v1/worker_service.pb-c.h"
#include "service/worker/policy/profile.h"

struct sb_control;
struct sb_denial;
struct sb_denials;
struct sb_exec;
struct sb_policy;
struct sb_probe;
struct sb_package_entry;
struct sb_sandbox;
struct sb_snapshot;
struct sb_verdict;

/** A zeroed message of that kind. */
void *sb_api_pb_new(const ProtobufCMessageDescriptor *desc);
/** Sets a string field of a heap message. False: out of memory. */
bool sb_api_pb_text(char **field, const char *text);
/** Sets a timestamp field of a heap message; 0 leaves it unset. False: out of memory. */
bool sb_api_pb_time(uint64_t real_ms, Google__Protobuf__Timestamp **field);

/** What an install has left; cached is the caller's. NULL: memory is out. */
Aisbx__V1__PackageSet *sb_api_pb_package_set(const struct sb_package_entry *entry);
/** @is_here  the reader is on this machine. */
Aisbx__V1__Sandbox *sb_api_pb_sandbox(const struct sb_sandbox *sandbox, bool is_here);
Aisbx__V1__Snapshot *sb_api_pb_snapshot(const struct sb_snapshot *snapshot);
Aisbx__V1__Exec *sb_api_pb_exec(const struct sb_exec *exec);

/** How it ended; for an exec that has. */
Aisbx__V1__Verdict *sb_api_pb_verdict(const struct sb_exec *exec);

/** Controls as probed under a driver; UNSET: of the host. False: out of memory (what was made is in
 *  the fields). */
bool sb_api_pb_controls(const struct sb_probe *probe,
                        enum sb_driver driver,
                        size_t *ret_n,
                        Aisbx__V1__ControlStatus ***ret_controls);

/** What drivers are here. False: out of memory (what was made is in the fields). */
bool sb_api_pb_drivers(const struct sb_probe *probe,
                       size_t *ret_n,
                       Aisbx__V1__DriverStatus ***ret_drivers);

/** One refusal, as it stands. */
Aisbx__V1__Violation *sb_api_pb_violation(const struct sb_policy *policy,
                                          const struct sb_denial *denial);
/** All that were counted, after the limits that @verdict (may be NULL) met. False: out of memory
 *  (what was made is in the fields). */
bool sb_api_pb_violations(const struct sb_policy *policy,
                          const struct sb_denials *denials,
                          const struct sb_verdict *verdict,
                          size_t *ret_n,
                          Aisbx__V1__Violation ***ret_violations);
