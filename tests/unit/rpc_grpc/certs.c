#include "certs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/rpc/grpc/bytes.h"

extern char **environ;

static int run(char *const argv[])
{
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    if (failed != 0 || waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *text(const char *literal)
{
    return sb_grpc_bytes_unconst(literal);
}

bool certs_can_be_made(void)
{
    char *const argv[] = {text("openssl"), text("version"), NULL};
    return run(argv) == 0;
}

/** Static storage, enough for the names of one command. */
static char *file_of(const char *dir, const char *name, const char *ext)
{
    static char files[8][192];
    static unsigned next;
    char *file = files[next++ % 8];
    (void)snprintf(file, sizeof files[0], "%s/%s.%s", dir, name, ext);
    return file;
}

void certs_make_ca(const char *dir, const char *name)
{
    char subject[64];
    (void)snprintf(subject, sizeof subject, "/CN=%s", name);
    char *const argv[] = {text("openssl"),
                          text("req"),
                          text("-x509"),
                          text("-newkey"),
                          text("ec"),
                          text("-pkeyopt"),
                          text("ec_paramgen_curve:P-256"),
                          text("-nodes"),
                          text("-days"),
                          text("2"),
                          text("-subj"),
                          subject,
                          text("-keyout"),
                          file_of(dir, name, "key"),
                          text("-out"),
                          file_of(dir, name, "pem"),
                          NULL};
    assert_int_equal(run(argv), 0);
}

void certs_make(const char *dir, const char *name, const char *ca, const char *san)
{
    char subject[64];
    (void)snprintf(subject, sizeof subject, "/CN=%s", name);
    char extension[256];
    (void)snprintf(extension, sizeof extension, "subjectAltName=%s", san != NULL ? san : "");
    char *argv[32] = {text("openssl"),
                      text("req"),
                      text("-x509"),
                      text("-newkey"),
                      text("ec"),
                      text("-pkeyopt"),
                      text("ec_paramgen_curve:P-256"),
                      text("-nodes"),
                      text("-days"),
                      text("2"),
                      text("-subj"),
                      subject,
                      text("-keyout"),
                      file_of(dir, name, "key"),
                      text("-out"),
                      file_of(dir, name, "pem"),
                      text("-CA"),
                      file_of(dir, ca, "pem"),
                      text("-CAkey"),
                      file_of(dir, ca, "key"),
                      text("-addext"),
                      text("basicConstraints=critical,CA:FALSE"),
                      NULL};
    if (san != NULL) {
        size_t n = 0;
        while (argv[n] != NULL) {
            n++;
        }
        argv[n++] = text("-addext");
        argv[n++] = extension;
        argv[n] = NULL;
    }
    assert_int_equal(run(argv), 0);
}

static void replace_one(const char *from, const char *to)
{
    char fresh[160];
    (void)snprintf(fresh, sizeof fresh, "%s.new", to);
    char *const argv[] = {text("cp"), text(from), fresh, NULL};
    assert_int_equal(run(argv), 0);
    assert_int_equal(rename(fresh, to), 0);
}

void certs_replace(const char *dir, const char *from, const char *to)
{
    replace_one(file_of(dir, from, "pem"), file_of(dir, to, "pem"));
    replace_one(file_of(dir, from, "key"), file_of(dir, to, "key"));
}
