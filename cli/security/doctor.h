#pragma once
#include "aisbx/v1/worker_service.pb-c.h"

struct sb_cli;
struct sb_err;
struct sb_findings;

/** Exit statuses beside those of every verb. */
enum {
    SB_DOCTOR_DEGRADED = 3, /* something warns */
    SB_DOCTOR_UNABLE = 4,   /* something fails */
};

/** Adds one finding for each control that the worker probed. */
void sb_doctor_controls(const Aisbx__V1__GetInfoResponse *info, struct sb_findings *findings);

/** Exit status for what was found. */
int sb_doctor_status(const struct sb_findings *findings);

/** The verb. */
int sb_doctor_run(struct sb_cli *cli, int *ret_status, struct sb_err *err);
