/* aisbx-supervisor: one command that keeps a worker and a gateway running (supervisor.h). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/argv.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/supervisor/options.h"
#include "service/supervisor/status.h"
#include "service/supervisor/supervisor.h"

enum { EXIT_USAGE = 2 };

static int run(const struct sb_supervisor_options *options)
{
    static struct sb_supervisor supervisor;
    struct sb_err err;
    if (options->wants_health) {
        char dir[sizeof supervisor.dir];
        if (sb_supervisor_dir(options, dir, sizeof dir, &err) < 0) {
            (void)fprintf(stderr, "aisbx-supervisor: %s\n", err.text);
            return EXIT_USAGE;
        }
        return sb_status_ask(dir, options->wants_json, stdout);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (sb_supervisor_run(&supervisor, options, &err) < 0) {
        SB_LOG_ERROR("cannot start", "why=%s", err.text);
        return err.code == SB_INVALID ? EXIT_USAGE : EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct sb_supervisor_options options;
    struct sb_err err;
    int status = EXIT_SUCCESS;
    sb_fd_standard();
    sb_log_start("aisbx-supervisor");
    if (sb_supervisor_options_parse(argc, argv, &options, &err) < 0) {
        (void)fprintf(stderr, "aisbx-supervisor: %s\n", err.text);
        sb_supervisor_options_done(&options);
        return EXIT_USAGE;
    }
    if (options.log_format == SB_LOG_FORMAT_JSON) {
        sb_log_init(SB_LOG_FORMAT_JSON,
                    sb_log_enabled(SB_LOG_LEVEL_DEBUG) ? SB_LOG_LEVEL_DEBUG : SB_LOG_LEVEL_INFO,
                    "aisbx-supervisor");
    }
    if (options.wants_help) {
        sb_supervisor_options_help(stdout);
    } else if (options.wants_man) {
        sb_supervisor_options_man(stdout);
    } else if (options.wants_version) {
        (void)puts("aisbx-supervisor " SB_VERSION);
    } else {
        status = run(&options);
        sb_supervisor_options_done(&options);
        return status;
    }
    status = sb_argv_printed("aisbx-supervisor");
    sb_supervisor_options_done(&options);
    return status;
}
