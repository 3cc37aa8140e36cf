#include "cli/status.h"

#include <inttypes.h>
#include <signal.h>

#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/verb.h"
#include "proto/json/pbjson.h"

/* How a verdict becomes a status. */
enum rule {
    FIXED,  /* always .status */
    CODE,   /* the exit code */
    SIGNAL, /* 128 + the signal, or .status without one */
    EITHER, /* the signal when there is one, else the exit code */
};

#define KIND(name) AISBX__V1__VERDICT_KIND__VERDICT_KIND_##name
static const struct {
    enum rule rule;
    int status;
} rules[] = {
    [KIND(UNSPECIFIED)] = {FIXED, SB_STATUS_SANDBOX},
    [KIND(EXITED)] = {CODE, 0},
    [KIND(SIGNALED)] = {SIGNAL, 128 + SIGKILL},
    [KIND(TIMED_OUT)] = {FIXED, SB_STATUS_TIMEOUT},
    [KIND(OOM_KILLED)] = {FIXED, 128 + SIGKILL},
    [KIND(PIDS_EXHAUSTED)] = {EITHER, 0},
    [KIND(DISK_FULL)] = {EITHER, 0},
    [KIND(OUTPUT_TRUNCATED)] = {EITHER, 0},
    [KIND(POLICY_KILLED)] = {SIGNAL, 128 + SIGSYS},
    [KIND(CANCELLED)] = {FIXED, 128 + SIGKILL},
    [KIND(WORKER_LOST)] = {FIXED, SB_STATUS_SANDBOX},
    [KIND(START_FAILED)] = {CODE, 0},
};

int sb_status_of(const Aisbx__V1__Verdict *verdict)
{
    if (verdict == NULL || (unsigned)verdict->kind >= sizeof rules / sizeof rules[0]) {
        return SB_STATUS_SANDBOX;
    }
    int code = verdict->exit_code & 255;
    int signal = verdict->signal;
    switch (rules[verdict->kind].rule) {
    case FIXED:
        return rules[verdict->kind].status;
    case CODE:
        break;
    case SIGNAL:
        return signal > 0 ? 128 + signal : rules[verdict->kind].status;
    case EITHER:
        return signal > 0 ? 128 + signal : code;
    }
    bool has_no_code = verdict->kind == KIND(START_FAILED) && code == 0;
    return has_no_code ? SB_STATUS_SANDBOX : code;
}

void sb_status_say(const Aisbx__V1__Verdict *verdict)
{
    /* SIGPIPE: the reader left, as in `... | head`; shells keep silent as well. */
    if (verdict->kind == KIND(EXITED) ||
        (verdict->kind == KIND(SIGNALED) && verdict->signal == SIGPIPE)) {
        return;
    }
    char scratch[64];
    const char *kind =
        sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, (int)verdict->kind, scratch);
    sb_say_note("%s", *verdict->message == '\0' ? kind : verdict->message);
    if (*verdict->next_step != '\0') {
        sb_say_hint(verdict->next_step);
    }
}

static void put_seconds(struct sb_out *out, uint64_t micros)
{
    sb_out_printf(out, "%" PRIu64 ".%03us", micros / 1000000, (unsigned)(micros / 1000 % 1000));
}

void sb_status_put(struct sb_out *out, const Aisbx__V1__Verdict *verdict)
{
    char scratch[64];
    sb_out_put(out,
               sb_pbjson_enum(&aisbx__v1__verdict_kind__descriptor, (int)verdict->kind, scratch));
    if (verdict->kind == KIND(EXITED) || verdict->kind == KIND(START_FAILED)) {
        sb_out_printf(out, " %d", verdict->exit_code);
    } else if (verdict->signal > 0) {
        sb_out_printf(out, " signal %d", verdict->signal);
    }
    const Aisbx__V1__Usage *usage = verdict->usage;
    if (usage == NULL) {
        return;
    }
    char bytes[SB_NUM_TEXT_SIZE];
    sb_out_put(out, ", wall ");
    put_seconds(out, usage->wall_ms * 1000);
    sb_out_put(out, ", cpu ");
    put_seconds(out, usage->cpu_user_us);
    sb_out_put(out, " user ");
    put_seconds(out, usage->cpu_system_us);
    sb_out_printf(out, " system, memory peak %s (%s)",
                  sb_num_format_bytes_short(bytes, usage->memory_peak_bytes),
                  usage->memory_peak_source);
    if (verdict->killed_processes > 0) {
        sb_out_printf(out, ", %" PRIu32 " processes killed", verdict->killed_processes);
    }
}
