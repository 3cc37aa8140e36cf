#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    SB_AUDIT_PATH_SIZE = 1024,    /* bytes, with the NUL; longer ones are cut */
    SB_AUDIT_BLOCKERS_SIZE = 128, /* bytes, with the NUL; likewise */
};

/** Types of records, as the kernel numbers them. */
enum sb_audit_type {
    SB_AUDIT_ACCESS = 1423, /* a wall of Landlock denied something */
    SB_AUDIT_DOMAIN = 1424, /* which process put that wall up; follows what it denies first */
};

/** What a record says. */
struct sb_audit_record {
    enum sb_audit_type type;
    uint64_t domain; /* the wall; never used twice */
    /* Of DOMAIN: who put it up, by the first namespaces' numbers. */
    int64_t pid;
    uint32_t uid;
    /* Of ACCESS. */
    char blockers[SB_AUDIT_BLOCKERS_SIZE]; /* "fs.make_reg": the rights that were missing */
    char path[SB_AUDIT_PATH_SIZE];         /* as the program's root has it, as UTF-8 that is safe to
                                            * show; of what is made or removed, the directory */
};

/** Reads "audit(1761900000.123:45): domain=1a2b blockers=fs.read_file path="/x" dev=...". Members
 *  that are not known are passed over; one that is must stand once.
 *  @type  as the message says; others are refused.
 *  @text  any bytes.
 *  False: it is no such record, or one that tells nothing of paths: the end of a wall, or a denial
 *  without one. */
bool sb_audit_record_read(unsigned type, struct sb_str text, struct sb_audit_record *ret_record);
