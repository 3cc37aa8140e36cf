/** Writes the table of system calls of the machine this is built for, as libseccomp has them, in
 *  order of their names: rows of calls.c. Runs at build time, so that no program that looks a name
 *  up has to load libseccomp. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <seccomp.h>

enum { MAX_NUMBER = 1023 };

#if defined(__aarch64__)
#define ARCH SCMP_ARCH_AARCH64
#else
#define ARCH SCMP_ARCH_X86_64
#endif

struct call {
    char *name;
    int number;
};

static int compare(const void *left, const void *right)
{
    const struct call *a = left;
    const struct call *b = right;
    return strcmp(a->name, b->name);
}

int main(void)
{
    static struct call calls[MAX_NUMBER + 1];
    size_t n = 0;
    for (int number = 0; number <= MAX_NUMBER; number++) {
        char *name = seccomp_syscall_resolve_num_arch(ARCH, number);
        if (name != NULL) {
            calls[n++] = (struct call){name, number};
        }
    }
    qsort(calls, n, sizeof *calls, compare);
    for (size_t i = 0; i < n; i++) {
        (void)printf("{\"%s\", %d},\n", calls[i].name, calls[i].number);
        free(calls[i].name);
    }
    return n == 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
