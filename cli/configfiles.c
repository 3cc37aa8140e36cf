#include "cli/configfiles.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "proto/client/sibling.h"

extern char **environ;

static int spawn(const char *worker, const char *path, int out, pid_t *ret_pid, struct sb_err *err)
{
    /* posix_spawn(3) takes char *, but nobody writes through it. */
    char *borrowed = NULL;
    memcpy(&borrowed, &path, sizeof borrowed);
    char *const argv[] = {(char[]){"aisbx-worker"}, (char[]){"--check"}, borrowed, NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int failed = posix_spawn(ret_pid, worker, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed == 0 ? 0 : sb_err_sys(err, failed, "start %s", worker);
}

/* Lines of "LINE:COLUMN: message". */
static void split(struct sb_configfiles *ret)
{
    char *rest = ret->text;
    char *line = NULL;
    while (ret->n < SB_CONFIGFILES_MAX && (line = strsep(&rest, "\n")) != NULL) {
        char *at = line;
        unsigned long row = strtoul(at, &at, 10);
        unsigned long column = *at == ':' ? strtoul(at + 1, &at, 10) : 0;
        if (strncmp(at, ": ", 2) != 0) {
            continue;
        }
        Aisbx__V1__ConfigProblem *problem = &ret->problems[ret->n];
        *problem = (Aisbx__V1__ConfigProblem)AISBX__V1__CONFIG_PROBLEM__INIT;
        problem->line = (uint32_t)row;
        problem->column = (uint32_t)column;
        problem->message = at + 2;
        ret->list[ret->n++] = problem;
    }
}

static void drain(int fd)
{
    char rest[4096];
    ssize_t n = 0;
    do {
        n = read(fd, rest, sizeof rest);
    } while (n > 0 || (n < 0 && errno == EINTR));
}

int sb_configfiles_check(const char *path, struct sb_configfiles *ret, struct sb_err *err)
{
    char worker[PATH_MAX];
    int ends[2];
    pid_t pid = 0;
    int status = 0;
    size_t len = 0;
    ret->n = 0;
    if (!sb_sibling_find("aisbx-worker", worker)) {
        return sb_err_set(err, SB_NOT_FOUND, "there is no aisbx-worker beside aisbx");
    }
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int ours = ends[0];
    SB_CLEANUP(sb_closep) int theirs = ends[1];
    if (spawn(worker, path, theirs, &pid, err) < 0) {
        return -1;
    }
    sb_closep(&theirs);
    theirs = -1;
    int rc = sb_fd_read_full(ours, ret->text, sizeof ret->text - 1, &len, err);
    drain(ours); /* the worker must not end by a closed pipe */
    sb_closep(&ours);
    ours = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (rc < 0) {
        return -1;
    }
    ret->text[len] = '\0';
    split(ret);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && ret->n == 0)) {
        return sb_err_set(err, SB_INTERNAL, "%s --check gave no answer", worker);
    }
    return 0;
}
