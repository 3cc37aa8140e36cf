/** sbx-probes: tries to get out of the sandbox it runs in.
 *
 *   sbx-probes list               one line per probe: class, name, needs, what must hold
 *   sbx-probes run NAME [k=v]...  runs one, prints its verdict and exits 0 held, 1 leaked, 2 n/a
 *   sbx-probes victim TOKEN       the process that nothing in a sandbox may reach
 *   sbx-probes left               names what probes left running: "LEFT name" for each
 *   sbx-probes euid               prints the effective uid (a setuid canary is a copy of this file)
 *
 * tests/escape/run builds the world around it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"
#include "tests/escape/src/victim.h"

static const struct sb_probe_class *const classes[] = {
    &sb_probes_control,   &sb_probes_files,    &sb_probes_workspace,  &sb_probes_kernelfiles,
    &sb_probes_devices,   &sb_probes_identity, &sb_probes_setuid,     &sb_probes_init,
    &sb_probes_inherited, &sb_probes_mounts,   &sb_probes_namespaces, &sb_probes_syscalls,
    &sb_probes_sockets,   &sb_probes_ipc,      &sb_probes_terminal,   &sb_probes_network,
    &sb_probes_memory,    &sb_probes_counts,   &sb_probes_disk,       &sb_probes_leftovers,
    &sb_probes_layers,    &sb_probes_newer,
};

static const char *const verdicts[] = {
    [SB_HELD] = "HELD",
    [SB_LEAKED] = "LEAKED",
    [SB_NOT_APPLICABLE] = "N/A",
};

static int list(void)
{
    for (size_t i = 0; i < SB_COUNT(classes); i++) {
        for (size_t j = 0; j < classes[i]->count; j++) {
            const struct sb_probe *probe = &classes[i]->probes[j];
            printf("%s\t%s\t%s\t%s\n", classes[i]->name, probe->name, probe->needs, probe->holds);
        }
    }
    return 0;
}

static const struct sb_probe *find(const char *name)
{
    for (size_t i = 0; i < SB_COUNT(classes); i++) {
        for (size_t j = 0; j < classes[i]->count; j++) {
            if (strcmp(classes[i]->probes[j].name, name) == 0) {
                return &classes[i]->probes[j];
            }
        }
    }
    return NULL;
}

static int run_probe(const char *name, char **args, const char *self)
{
    const struct sb_probe *probe = find(name);
    if (probe == NULL) {
        (void)fprintf(stderr, "sbx-probes: no probe %s\n", name);
        return 64;
    }
    struct sb_run run = {.args = args, .self = self};
    enum sb_verdict verdict = probe->run(&run);
    // One write: a probe may have left children that share the pipe.
    dprintf(STDOUT_FILENO, "%s %s: %s\n", verdicts[verdict], name, run.detail);
    return (int)verdict;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        return list();
    }
    if (argc >= 3 && strcmp(argv[1], "run") == 0) {
        return run_probe(argv[2], argv + 3, argv[0]);
    }
    if (argc == 3 && strcmp(argv[1], "victim") == 0) {
        return sb_victim_main(argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "left") == 0) {
        sb_probe_list_left();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "euid") == 0) {
        return printf("euid=%d\n", (int)geteuid()) < 0;
    }
    (void)fputs("usage: sbx-probes list | run NAME [key=value]...\n", stderr);
    return 64;
}
