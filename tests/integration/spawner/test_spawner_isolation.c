/* What a job can see and reach. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/integration/spawner/fixture.h"

/* Line of /proc/<pid>/status on the host, without its key. */
static void host_status(pid_t pid, const char *key, char *text, size_t size)
{
    char path[64];
    char line[256];
    text[0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            (void)snprintf(text, size, "%s", line + strlen(key));
        }
    }
    (void)fclose(file);
}

static void is_nobody_else_inside_and_the_reported_id_outside(void **state)
{
    (void)state;
    char uid[256];
    char ids[64];
    unsigned id = fixture_job_id(&the_box);
    (void)snprintf(ids, sizeof ids, "%u\n%u\nsandbox", id, id);
    assert_string_equal(fixture_out(&the_box, "id -u; id -g; id -un"), ids);
    host_status(the_box.pid, "Uid:", uid, sizeof uid);
    char *at = uid;
    unsigned long init[4]; /* real, effective, saved, of files: the job's, and perhaps init's own */
    for (int i = 0; i < 4; i++) {
        init[i] = strtoul(at, &at, 10);
        assert_int_not_equal(init[i], 0);
    }
    assert_int_equal(init[1], the_box.host_uid);
    assert_int_equal(init[3], the_box.host_uid);
    assert_int_equal(init[2], init[0]);
    assert_true(init[0] != the_box.host_uid || geteuid() != 0 ||
                rig_driver() == SPAWN__V1__DRIVER__DRIVER_BWRAP);
    assert_int_not_equal(the_box.host_uid, 0);
    assert_true(!the_box.is_distinct || the_box.host_uid != geteuid());
}

static void gives_no_id_to_two_sandboxes(void **state)
{
    (void)state;
    if (!the_box.is_distinct) {
        skip();
    }
    struct rig_box other = fixture_box();
    assert_true(other.is_distinct);
    assert_int_not_equal(the_box.host_uid, other.host_uid);
    fixture_end(&other);
}

static void has_no_supplementary_groups_where_they_can_be_dropped(void **state)
{
    (void)state;
    char id[16];
    if (!fixture_rig()->is_root) {
        skip(); /* an ordinary user's remain without newgidmap */
    }
    (void)snprintf(id, sizeof id, "%u", fixture_job_id(&the_box));
    assert_string_equal(fixture_out(&the_box, "id -G"), id);
}

static void has_no_capability_and_can_get_none(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status | tr -d '\\t'"),
        "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\n"
        "CapBnd:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n"
        "Seccomp_filters:1");
}

static void cannot_write_to_system_directories(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "for d in / /usr /usr/bin /etc /dev /run /var /proc /bin /dev/pts; do "
                    "touch $d/x 2>/dev/null && echo $d; done; true"),
        "");
}

static void has_a_read_only_root(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box, "awk '$5 == \"/\" {print $6}' /proc/self/mountinfo | "
                                              "cut -d, -f1"),
                        "ro");
}

static void mounts_nothing_writable_with_setuid_or_devices(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box,
                                    "awk '$6 ~ /^rw/ && ($6 !~ /nosuid/ || $6 !~ /nodev/) "
                                    "&& $5 != \"/dev/pts\" {print $5}' /proc/self/mountinfo"),
                        "");
}

static void bounds_bytes_of_each_writable_place(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box, "for d in /tmp /workspace /dev/shm; do head -c 20M /dev/zero > $d/x "
                              "2>/dev/null; stat -c %s $d/x; rm $d/x; done"),
        "16777216\n16777216\n16777216");
}

static void bounds_inodes_of_each_writable_place(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "for d in /tmp /workspace /dev/shm; do cd $d; seq 2000 | xargs touch "
                    "2>/dev/null; n=$(ls | wc -l); rm -f *; [ $n -gt 900 ] && [ $n -lt 1000 "
                    "] && echo bounded; done"),
        "bounded\nbounded\nbounded");
}

static void has_no_network_but_its_own_loopback(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box, "python3 -c '\n"
                                              "import socket\n"
                                              "print([n for _, n in socket.if_nameindex()])\n"
                                              "s = socket.socket(); s.bind((\"127.0.0.1\", 0)); "
                                              "s.listen()\n"
                                              "socket.create_connection(s.getsockname())\n"
                                              "try: socket.socket().connect((\"192.0.2.1\", 80))\n"
                                              "except OSError as e: print(e.errno)'"),
                        "['lo']\n101");
}

static void has_its_own_host_name(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box, "uname -n; cat /etc/hostname; getent hosts box"),
                        "box\nbox\n127.0.1.1       box");
}

static void sees_only_its_own_processes(void **state)
{
    (void)state;
    assert_string_equal(fixture_out(&the_box, "cat /proc/1/comm; set -- /proc/[0-9]*; echo $#"),
                        "aisbx-init\n3");
}

static void cannot_look_into_init(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "for f in exe cwd root fd/3; do readlink /proc/1/$f; done 2>/dev/null; "
                    "cat /proc/1/mem /proc/1/environ /proc/1/auxv 2>/dev/null; true"),
        "");
}

static void cannot_read_what_the_kernel_keeps_for_the_host(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "for f in kcore kmsg keys timer_list kallsyms modules interrupts iomem "
                    "swaps; do cat /proc/$f 2>/dev/null; done; find /proc/irq /proc/bus "
                    "/proc/driver /sys -mindepth 1 2>/dev/null; true"),
        "");
}

static void covers_files_of_the_kernel_with_one_nobody_may_open(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "cd /proc; for f in kcore kmsg keys key-users timer_list kallsyms "
                    "sysrq-trigger vmallocinfo; do [ ! -e $f ] || stat -c %a:%s $f; done | "
                    "sort -u"),
        "0:0");
}

static void cannot_turn_a_kernel_knob(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "find /proc/sys /proc/sysrq-trigger /proc/irq /proc/fs -writable "
                    "2>/dev/null | head; (: > /proc/sysrq-trigger) 2>/dev/null && echo open; "
                    "true"),
        "");
}

static void takes_little_of_what_is_counted_by_user(void **state)
{
    (void)state;
    if (rig_driver() != SPAWN__V1__DRIVER__DRIVER_NATIVE) {
        skip(); /* what is there is the host's, or that of a namespace below the one with limits */
    }
    assert_string_equal(fixture_out(&the_box, "cd /proc/sys/user; cat max_user_namespaces "
                                              "max_net_namespaces max_inotify_instances"),
                        "0\n0\n16");
}

static void opens_few_inotify_instances(void **state)
{
    (void)state;
    if (rig_driver() == SPAWN__V1__DRIVER__DRIVER_CHROOT) {
        skip(); /* its id's share of the host's */
    }
    const char *said = fixture_out(&the_box, "python3 -c 'import ctypes\n"
                                             "libc = ctypes.CDLL(None)\n"
                                             "n = 0\n"
                                             "while libc.inotify_init() >= 0: n += 1\n"
                                             "print(n)'");
    assert_in_range(strtoul(said, NULL, 10), 1, 16);
}

static void finds_no_host_secret(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "ls -d /etc/shadow /etc/gshadow /root /home /etc/ssl/private /var/lib/* "
                    "/opt /srv /mnt /boot /etc/ssh /etc/pip.conf /etc/npmrc 2>/dev/null; "
                    "true"),
        "");
}

static void has_only_harmless_devices(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box, "ls /dev | tr '\\n' ' '; head -c 4 /dev/urandom | wc -c; echo x > "
                              "/dev/null; ls /dev/pts"),
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero 4\nptmx");
}

static void has_ptys_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box, "python3 -c 'import os, pty; print(os.ttyname(pty.openpty()[1]))'"),
        "/dev/pts/0");
}

static void cannot_make_setuid_files(void **state)
{
    (void)state;
    assert_string_equal(
        fixture_out(&the_box,
                    "cd /tmp; touch x; chmod u+s x 2>/dev/null; chmod 2755 x 2>/dev/null; "
                    "python3 -c 'import os\n"
                    "for mode in 0o4755, 0o2755:\n"
                    "  for make in (lambda: os.open(\"y\", os.O_CREAT, mode),\n"
                    "               lambda: os.mknod(\"z\", 0o100000 | mode),\n"
                    "               lambda: os.open(\".\", os.O_TMPFILE | os.O_RDWR, mode)):\n"
                    "    try: make(); print(\"made\")\n"
                    "    except PermissionError: pass'; find . -perm /6000"),
        "");
}

static void lacks_documents_and_headers_in_the_minimal_root(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.root = SPAWN__V1__ROOT__ROOT_MINIMAL;
    plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_UNSPECIFIED;
    struct rig_box minimal = fixture_box_of(&plan);
    assert_string_equal(fixture_out(&minimal, "pwd; ls -d /usr/share /usr/include /etc/services "
                                              "/workspace 2>/dev/null; ls -d /usr/bin /etc/passwd"),
                        "/\n/etc/passwd\n/usr/bin");
    fixture_end(&minimal);
}

static void applies_limits_of_the_plan_and_never_a_core_dump(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    Spawn__V1__Rlimit limit = SPAWN__V1__RLIMIT__INIT;
    Spawn__V1__Rlimit *limits[] = {&limit};
    limit.resource = RLIMIT_NOFILE;
    limit.value = 77;
    plan.rlimits = limits;
    plan.n_rlimits = 1;
    struct rig_box limited = fixture_box_of(&plan);
    assert_string_equal(fixture_out(&limited, "ulimit -Sn; ulimit -Hn; ulimit -Hc"), "77\n77\n0");
    fixture_end(&limited);
}

static void lowers_a_limit_that_is_above_its_own(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    Spawn__V1__Rlimit limit = SPAWN__V1__RLIMIT__INIT;
    Spawn__V1__Rlimit *limits[] = {&limit};
    struct rlimit mine;
    char expected[32];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &mine), 0);
    limit.resource = RLIMIT_NOFILE;
    limit.value = (uint64_t)mine.rlim_max + 1;
    plan.rlimits = limits;
    plan.n_rlimits = 1;
    struct rig_box limited = fixture_box_of(&plan);
    (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)mine.rlim_max);
    assert_string_equal(fixture_out(&limited, "ulimit -Hn"), expected);
    fixture_end(&limited);
}

static void keeps_a_read_only_workspace_read_only(void **state)
{
    (void)state;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.workspace_read_only = 1;
    struct rig_box fixed = fixture_box_of(&plan);
    assert_int_not_equal(fixture_status(&fixed, "touch /workspace/x"), 0);
    fixture_end(&fixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOX(is_nobody_else_inside_and_the_reported_id_outside),
        IN_BOX(gives_no_id_to_two_sandboxes),
        IN_BOX(has_no_supplementary_groups_where_they_can_be_dropped),
        IN_BOX(has_no_capability_and_can_get_none),
        IN_BOX(cannot_write_to_system_directories),
        IN_BOX(has_a_read_only_root),
        IN_BOX(mounts_nothing_writable_with_setuid_or_devices),
        IN_BOX(bounds_bytes_of_each_writable_place),
        IN_BOX(bounds_inodes_of_each_writable_place),
        IN_BOX(has_no_network_but_its_own_loopback),
        IN_BOX(has_its_own_host_name),
        IN_BOX(sees_only_its_own_processes),
        IN_BOX(cannot_look_into_init),
        IN_BOX(cannot_read_what_the_kernel_keeps_for_the_host),
        IN_BOX(covers_files_of_the_kernel_with_one_nobody_may_open),
        IN_BOX(cannot_turn_a_kernel_knob),
        IN_BOX(takes_little_of_what_is_counted_by_user),
        IN_BOX(opens_few_inotify_instances),
        IN_BOX(finds_no_host_secret),
        IN_BOX(has_only_harmless_devices),
        IN_BOX(has_ptys_of_its_own),
        IN_BOX(cannot_make_setuid_files),
        cmocka_unit_test(lacks_documents_and_headers_in_the_minimal_root),
        cmocka_unit_test(applies_limits_of_the_plan_and_never_a_core_dump),
        cmocka_unit_test(lowers_a_limit_that_is_above_its_own),
        cmocka_unit_test(keeps_a_read_only_workspace_read_only),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
