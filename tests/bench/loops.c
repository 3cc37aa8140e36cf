/** What programs do all day, timed from inside: loops [THOUSANDS [COMPILES]]
 *
 *  A line for each: its name, how long it took, and how long its best part took of a processor, in
 *  nanoseconds. getppid is the bare cost of a system call, stat looks up a path, compile has the C
 *  compiler, where there is one, translate a small file in the working directory. Static, so that
 * it is the same program inside and outside.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { PARTS = 20 }; /* short ones: the best meets nobody else on its processor */

static unsigned long thousands = 200;
static unsigned long compiles = 5;

static void do_getppid(void)
{
    for (unsigned long i = 0; i < thousands * 1000 / PARTS; i++) {
        (void)syscall(SYS_getppid); /* libc might remember */
    }
}

static void do_stat(void)
{
    struct stat at;
    for (unsigned long i = 0; i < thousands * 1000 / 4 / PARTS; i++) {
        if (stat("/usr/lib/os-release", &at) != 0) {
            exit(3);
        }
    }
}

static void do_compile(void)
{
    char *args[] = {(char[]){"gcc"}, (char[]){"-O1"},     (char[]){"-c"},
                    (char[]){"-o"},  (char[]){"small.o"}, (char[]){"-x"},
                    (char[]){"c"},   (char[]){"small.c"}, NULL};
    pid_t pid = -1;
    int status = 0;
    if (posix_spawnp(&pid, args[0], NULL, NULL, args, environ) != 0 ||
        waitpid(pid, &status, 0) < 0 || status != 0) {
        exit(4);
    }
}

static int write_source(void)
{
    FILE *file = fopen("small.c", "we");
    if (file == NULL) {
        return -1;
    }
    (void)fputs("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n", file);
    for (int i = 0; i < 40; i++) {
        (void)fprintf(file, "int f%d(const char *a) { return (int)strlen(a) * %d + atoi(a); }\n", i,
                      i);
    }
    return fclose(file);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

/* Of a processor, with the programs that were waited for. */
static uint64_t used_ns(void)
{
    struct rusage mine;
    struct rusage theirs;
    (void)getrusage(RUSAGE_SELF, &mine);
    (void)getrusage(RUSAGE_CHILDREN, &theirs);
    return ns_of(&mine.ru_utime) + ns_of(&mine.ru_stime) + ns_of(&theirs.ru_utime) +
           ns_of(&theirs.ru_stime);
}

int main(int argc, char **argv)
{
    thousands = argc > 1 ? strtoul(argv[1], NULL, 10) : thousands;
    compiles = argc > 2 ? strtoul(argv[2], NULL, 10) : compiles;
    const struct {
        const char *name;
        void (*run_part)(void);
        unsigned long parts;
    } loops[] = {{"getppid", do_getppid, PARTS},
                 {"stat", do_stat, PARTS},
                 {"compile", do_compile, compiles}};
    if (write_source() < 0) {
        return 2;
    }
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        uint64_t began = now_ns();
        uint64_t best = loops[i].parts == 0 ? 0 : UINT64_MAX;
        for (unsigned long part = 0; part < loops[i].parts; part++) {
            uint64_t used = used_ns();
            loops[i].run_part();
            used = used_ns() - used;
            best = used < best ? used : best;
        }
        (void)printf("%s\t%" PRIu64 "\t%" PRIu64 "\n", loops[i].name, now_ns() - began, best);
    }
    return 0;
}
