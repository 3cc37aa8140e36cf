/* What a sandbox has written is kept, and others start from it. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "service/spawner/layers/layer.h"
#include "tests/integration/spawner/fixture.h"

enum { MAX_BYTES = 64 << 20 };

struct taken {
    uint64_t id;
    uint64_t copied_bytes;
    uint32_t depth;
};

/* Returns false when it failed; then *ret_code says how. */
static bool
try_take(const struct rig_box *box, uint64_t max_bytes, struct taken *ret_taken, uint32_t *ret_code)
{
    struct sb_err err;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    Spawn__V1__TakeLayer body = SPAWN__V1__TAKE_LAYER__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    body.slot = box->slot;
    body.max_bytes = max_bytes;
    request.body_case = SPAWN__V1__REQUEST__BODY_TAKE_LAYER;
    request.take_layer = &body;
    if (rig_call(fixture_rig(), &request, NULL, 0, &frame, &err) < 0) {
        *ret_code = err.code;
        print_message("refused: %s\n", err.text);
        return false;
    }
    const Spawn__V1__Reply *reply = (const void *)frame.msg;
    assert_int_equal(reply->body_case, SPAWN__V1__REPLY__BODY_LAYER_TAKEN);
    *ret_taken = (struct taken){reply->layer_taken->layer_id, reply->layer_taken->copied_bytes,
                                reply->layer_taken->depth};
    return true;
}

static struct taken take(const struct rig_box *box)
{
    struct taken taken = {0};
    uint32_t code = 0;
    assert_true(try_take(box, MAX_BYTES, &taken, &code));
    return taken;
}

static void drop(uint64_t id)
{
    struct sb_err err;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    Spawn__V1__DropLayer body = SPAWN__V1__DROP_LAYER__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    body.layer_id = id;
    request.body_case = SPAWN__V1__REQUEST__BODY_DROP_LAYER;
    request.drop_layer = &body;
    assert_int_equal(rig_call(fixture_rig(), &request, NULL, 0, &frame, &err), 0);
    assert_int_equal(((const Spawn__V1__Reply *)(const void *)frame.msg)->body_case,
                     SPAWN__V1__REPLY__BODY_LAYER_DROPPED);
}

static struct rig_box box_from(uint64_t layer_id)
{
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.layer_id = layer_id;
    return fixture_box_of(&plan);
}

static void do_sh(const struct rig_box *box, const char *script)
{
    assert_int_equal(fixture_status(box, script), 0);
}

/* What a command line prints on the host. */
static unsigned long count_on_host(const char *command)
{
    char text[64] = "";
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    (void)pclose(pipe);
    return strtoul(text, NULL, 10);
}

/* File systems that the keeper holds, of those whose own options begin so. */
static unsigned long count_kept_as(const char *options)
{
    char command[256];
    (void)snprintf(command, sizeof command,
                   "for p in $(cat /proc/%d/task/*/children); do "
                   "awk '$5 ~ \"^/[0-9]+$\" && $NF ~ \"^%s\"' /proc/$p/mountinfo; "
                   "done 2>/dev/null | wc -l",
                   fixture_rig()->pid, options);
    return count_on_host(command);
}

static unsigned long count_kept(void)
{
    return count_kept_as("r");
}

/* The spawner learns of an end a moment after the process is dead. */
static void await_kept(unsigned long expected)
{
    unsigned long now = count_kept();
    for (int i = 0; i < RIG_WAIT_MS / 20 && now != expected; i++) {
        (void)usleep(20000);
        now = count_kept();
    }
    assert_int_equal(now, expected);
}

#define TREE                                                                                       \
    "cd /workspace && mkdir -p a/b && echo one > a/one && ln a/one a/b/again && "                  \
    "ln -s ../a/one a/link && ln -s /etc/passwd a/out && mkfifo a/pipe && chmod 640 a/one && "     \
    "truncate -s 8M a/sparse && printf x | dd of=a/sparse bs=1 seek=5000000 conv=notrunc "         \
    "2>/dev/null && touch -d '2001-02-03 04:05:06' a/b && chmod 750 a/b && "                       \
    "mkdir 'a/new\nline' && touch \"a/$(printf '\\377\\001')\" && echo in-tmp > /tmp/t"

#define LOOK                                                                                       \
    "cd /workspace && find . /tmp -printf '%p %y %m %l %U %G\\n' | sort && "                       \
    "find . -not -type d -printf '%p %s %n\\n' | sort && "                                         \
    "stat -c %Y a/b a/one && cat a/one a/b/again /tmp/t && md5sum a/sparse && du -k a/sparse"

static void gives_another_sandbox_all_that_was_written(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    do_sh(&box, TREE);
    SB_CLEANUP(sb_freep) char *before = strdup(fixture_out(&box, LOOK));
    struct taken taken = take(&box);
    assert_int_equal(taken.depth, 1);
    fixture_end(&box); /* what was taken of it stays */
    struct rig_box fork = box_from(taken.id);
    assert_string_equal(fixture_out(&fork, LOOK), before);
    do_sh(&fork, "cd /workspace && echo two >> a/one && rm a/link && rmdir a/new* && mkdir -p c/d");
    fixture_end(&fork);
    drop(taken.id);
}

static void keeps_sandboxes_apart(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    do_sh(&box, "echo one > f; mkdir d; echo x > d/x; echo y > d/y");
    struct taken taken = take(&box);
    struct rig_box left = box_from(taken.id);
    struct rig_box right = box_from(taken.id);
    do_sh(&left, "echo left > f; rm -r d; mkdir d; echo new > d/new");
    do_sh(&right, "rm f; echo z > d/z");
    do_sh(&box, "echo changed > f; rm d/x");
    assert_string_equal(fixture_out(&left, "cat f; ls d"), "left\nnew");
    assert_string_equal(fixture_out(&right, "ls; ls d"), "d\nx\ny\nz");
    assert_string_equal(fixture_out(&box, "cat f; ls d"), "changed\ny");
    struct rig_box third = box_from(taken.id);
    assert_string_equal(fixture_out(&third, "cat f; ls d"), "one\nx\ny");
    if (left.is_distinct) {
        assert_int_not_equal(left.host_uid, right.host_uid);
        assert_int_not_equal(left.host_uid, box.host_uid);
    }
    fixture_end(&third);
    fixture_end(&left);
    fixture_end(&right);
    fixture_end(&box);
    drop(taken.id);
}

static void takes_of_a_sandbox_that_started_from_one_only_what_changed(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    do_sh(&box, "head -c 4000000 /dev/urandom > big; mkdir d e; echo x > d/x; echo 1 > e/1");
    struct taken first = take(&box);
    assert_true(first.copied_bytes >= 4000000);
    struct rig_box fork = box_from(first.id);
    do_sh(&fork, "echo small > small; rm d/x; rm -r e; mkdir e; echo 2 > e/2");
    struct taken second = take(&fork);
    if (rig_copies()) { /* it stands on nothing */
        assert_int_equal(second.depth, 1);
        assert_true(second.copied_bytes >= 4000000);
    } else {
        assert_int_equal(second.depth, 2);
        assert_in_range(second.copied_bytes, 1, 4096);
    }
    drop(first.id); /* what stands on it holds it */
    fixture_end(&fork);
    fixture_end(&box);
    struct rig_box last = box_from(second.id);
    assert_string_equal(fixture_out(&last, "ls; ls d e; wc -c < big"),
                        "big\nd\ne\nsmall\nd:\n\ne:\n2\n4000000");
    fixture_end(&last);
    drop(second.id);
}

static void stacks_only_so_many(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    do_sh(&box, "echo 0 > n");
    struct taken taken = take(&box);
    fixture_end(&box);
    for (unsigned i = 1; i < SB_LAYERS_MAX + 2; i++) {
        uint64_t below = taken.id;
        char script[64];
        box = box_from(below);
        (void)snprintf(script, sizeof script, "echo %u > n; touch f%u", i, i);
        do_sh(&box, script);
        taken = take(&box);
        unsigned depth = i < SB_LAYERS_MAX ? i + 1 : i - SB_LAYERS_MAX + 1;
        assert_int_equal(taken.depth, rig_copies() ? 1 : depth);
        fixture_end(&box);
        drop(below);
    }
    box = box_from(taken.id);
    assert_string_equal(fixture_out(&box, "cat n; ls | wc -l"), "17\n18");
    fixture_end(&box);
    drop(taken.id);
}

/* A descriptor, a mapping, a working directory and a second name, held across the snapshot by a
 * program that goes on writing. */
#define WRITER                                                                                     \
    "python3 -c '\n"                                                                               \
    "import mmap, os, time\n"                                                                      \
    "os.mkdir(\"/workspace/d\"); os.chdir(\"/workspace/d\")\n"                                     \
    "f = open(\"held\", \"w+b\"); f.write(b\"A\" * 4096); f.flush(); os.link(\"held\", "           \
    "\"name\")\n"                                                                                  \
    "m = mmap.mmap(f.fileno(), 4096)\n"                                                            \
    "open(\"/tmp/ready\", \"w\").close()\n"                                                        \
    "while not os.path.exists(\"/tmp/go\"): time.sleep(0.01)\n"                                    \
    "m[0:4] = b\"BBBB\"; f.seek(100); f.write(b\"CCCC\"); f.flush(); os.ftruncate(f.fileno(), "    \
    "5000)\n"                                                                                      \
    "open(\"made\", \"w\").close(); os.unlink(\"name\")\n"                                         \
    "open(\"/tmp/done\", \"w\").close()\n"                                                         \
    "time.sleep(100)'"

static void cannot_be_changed_by_who_held_on(void **state)
{
    (void)state;
    if (access("/usr/bin/python3", X_OK) < 0) {
        skip();
    }
    struct rig_box box = fixture_box();
    int writer = fixture_start_sh(&box, 0, WRITER);
    do_sh(&box, "until [ -e /tmp/ready ]; do sleep 0.01; done");
    struct taken taken = take(&box);
    struct rig_box early = box_from(taken.id);
    do_sh(&box, "touch /tmp/go; until [ -e /tmp/done ]; do sleep 0.01; done");
    assert_string_equal(fixture_out(&box, "head -c 4 d/held; ls d"), "BBBBheld\nmade");
    struct rig_box late = box_from(taken.id);
    const char *look = "tr -d A < d/held | wc -c; wc -c < d/held; ls d; ls /tmp";
    const char *expected = "0\n4096\nheld\nname\nready";
    assert_string_equal(fixture_out(&early, look), expected);
    assert_string_equal(fixture_out(&late, look), expected);
    (void)close(writer);
    fixture_end(&early);
    fixture_end(&late);
    fixture_end(&box);
    drop(taken.id);
}

static void gives_new_sandboxes_bounds_of_their_own(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    do_sh(&box, "head -c 10000000 /dev/zero > ten");
    struct taken taken = take(&box);
    struct rig_box fork = box_from(taken.id);
    assert_int_not_equal(fixture_status(&fork, "head -c 20000000 /dev/zero > more"), 0);
    /* A copy counts. */
    do_sh(&fork, rig_copies() ? "rm more; head -c 5000000 /dev/zero > more"
                              : "rm more; head -c 10000000 /dev/zero > more");
    assert_int_not_equal(fixture_status(&fork, "for i in $(seq 1100); do : > i$i || exit 1; done"),
                         0);
    assert_string_equal(fixture_out(&fork,
                                    "awk '$5 == \"/tmp\" || $5 == \"/workspace\" { print $5, $6 }' "
                                    "/proc/self/mountinfo"),
                        "/tmp rw,nosuid,nodev,relatime\n/workspace rw,nosuid,nodev,relatime");
    assert_string_equal(fixture_out(&fork, "ls -A /run; awk '$5 ~ \"^/run\"' /proc/self/mountinfo"),
                        "");
    fixture_end(&fork);
    fixture_end(&box);
    drop(taken.id);
}

static void is_bounded(void **state)
{
    (void)state;
    struct taken taken;
    uint32_t code = 0;
    struct rig_box box = fixture_box();
    do_sh(&box, "head -c 4000000 /dev/zero > f");
    assert_false(try_take(&box, 1 << 20, &taken, &code));
    assert_int_equal(code, SB_EXHAUSTED);
    do_sh(&box, "rm f; p=; for i in $(seq 300); do mkdir x && cd x; done");
    assert_false(try_take(&box, MAX_BYTES, &taken, &code));
    assert_int_equal(code, SB_PRECONDITION);
    fixture_end(&box);
}

/* Returns the code of the refusal. */
static enum sb_code refusal_of(uint64_t layer_id, uint64_t disk_bytes, uint64_t inodes)
{
    struct sb_err err = {.code = SB_OK};
    struct rig_box box;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.layer_id = layer_id;
    plan.disk_bytes = disk_bytes;
    plan.inodes = inodes;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, -1, &box, &err), -1);
    print_message("refused: %s\n", err.text);
    return err.code;
}

static void copies_only_what_the_new_sandbox_may_have(void **state)
{
    (void)state;
    if (!rig_copies()) {
        skip();
    }
    unsigned long before = count_kept();
    struct rig_box box = fixture_box();
    do_sh(&box, "head -c 4000000 /dev/zero > f; i=0; while [ $i -lt 200 ]; do i=$((i+1)); : > $i; "
                "done; ln 1 one; ln 2 two");
    struct taken taken = take(&box);
    fixture_end(&box);
    assert_int_equal(refusal_of(taken.id, 1 << 20, 1000), SB_EXHAUSTED);
    assert_int_equal(refusal_of(taken.id, 16 << 20, 100), SB_EXHAUSTED);
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.layer_id = taken.id;
    plan.inodes = 210; /* with what the copy needed itself it would be more */
    struct rig_box small = fixture_box_of(&plan);
    assert_string_equal(fixture_out(&small,
                                    "i=0; while touch n$i 2>/dev/null; do i=$((i+1)); done; "
                                    "[ $i -lt 10 ] && echo few"),
                        "few");
    fixture_end(&small);
    drop(taken.id);
    await_kept(before);
}

static void counts_a_copy_as_memory_of_who_has_it(void **state)
{
    (void)state;
    enum { LARGE = 12000000 };
    struct sb_err err;
    if (!rig_copies()) {
        skip();
    }
    struct rig_box box = fixture_box();
    do_sh(&box, "head -c 12000000 /dev/zero > f");
    struct taken taken = take(&box);
    fixture_end(&box);
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.layer_id = taken.id;
    plan.memory_bytes = 64 << 20;
    Spawn__V1__Gone gone;
    struct rig_box fork = fixture_box_of(&plan);
    do_sh(&fork, "test -s f");
    assert_int_equal(rig_kill(fixture_rig(), fork.slot, &err), 0);
    assert_int_equal(rig_wait_gone(fixture_rig(), fork.slot, &gone, &err), 0);
    rig_box_done(&fork);
    bool is_counted = (gone.counters->controllers & 1) != 0;
    if (is_counted) {
        assert_true(gone.counters->memory_peak_bytes > LARGE);
        plan.memory_bytes = 8 << 20;
        assert_int_equal(rig_spawn(fixture_rig(), &plan, -1, &fork, &err), -1);
        assert_int_equal(err.code, SB_EXHAUSTED);
    }
    drop(taken.id);
    if (!is_counted) {
        skip();
    }
}

/* Numbers of files begin anew in each place. */
static void keeps_names_of_one_file_in_their_place(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    do_sh(&box, "for d in /tmp /workspace; do for i in 1 2 3 4 5 6 7 8; do echo $d > $d/$i; "
                "ln $d/$i $d/again$i; done; done");
    struct taken taken = take(&box);
    struct rig_box fork = box_from(taken.id);
    assert_string_equal(fixture_out(&fork, "cat /tmp/*[0-9] | sort | uniq -c | xargs; "
                                           "cat /workspace/*[0-9] | sort | uniq -c | xargs; "
                                           "stat -c %h /tmp/1 /workspace/1"),
                        "16 /tmp\n16 /workspace\n2\n2");
    fixture_end(&fork);
    fixture_end(&box);
    drop(taken.id);
}

static void lets_what_runs_go_on(void **state)
{
    (void)state;
    struct rig_box box = fixture_box();
    int counter = fixture_start_sh(
        &box, 0, "i=0; while :; do i=$((i+1)); echo $i > n.new; mv n.new n; sleep 0.005; done");
    for (int i = 0; i < 3; i++) {
        drop(take(&box).id);
    }
    do_sh(&box, "a=$(cat n); until [ \"$(cat n)\" != \"$a\" ]; do sleep 0.01; done");
    (void)close(counter);
    fixture_end(&box);
}

static void leaves_nothing_behind(void **state)
{
    (void)state;
    unsigned long before = count_kept();
    struct rig_box box = fixture_box();
    do_sh(&box, "echo x > f");
    struct taken taken = take(&box);
    struct rig_box forks[4];
    for (size_t i = 0; i < 4; i++) {
        forks[i] = box_from(taken.id);
    }
    unsigned long each = rig_copies() ? 0 : 2; /* what a copy is, the sandbox alone has */
    await_kept(before + 1 + each * 4);
    assert_int_equal(count_kept_as("ro"), 1); /* the layer: nobody can write to it, by any way */
    fixture_end(&box);
    drop(taken.id);
    for (size_t i = 0; i < 4; i++) {
        await_kept(before + 1 + each * (4 - i));
        fixture_end(&forks[i]);
    }
    await_kept(before);
}

static void refuses_what_is_not_there(void **state)
{
    (void)state;
    struct sb_err err;
    struct rig_box box;
    Spawn__V1__Plan plan = rig_plan(fixture_rig());
    plan.layer_id = 1U << 30;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, -1, &box, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    box = fixture_box();
    struct taken taken = take(&box);
    drop(taken.id);
    drop(taken.id);
    plan.layer_id = taken.id;
    assert_int_equal(rig_spawn(fixture_rig(), &plan, -1, &box, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
}

static void is_refused_by_other_drivers(void **state)
{
    (void)state;
    struct taken taken;
    uint32_t code = 0;
    struct rig_box box = fixture_box();
    assert_false(try_take(&box, MAX_BYTES, &taken, &code));
    assert_int_equal(code, SB_PRECONDITION);
    fixture_end(&box);
}

int main(void)
{
    const struct CMUnitTest native[] = {
        cmocka_unit_test(gives_another_sandbox_all_that_was_written),
        cmocka_unit_test(keeps_sandboxes_apart),
        cmocka_unit_test(takes_of_a_sandbox_that_started_from_one_only_what_changed),
        cmocka_unit_test(stacks_only_so_many),
        cmocka_unit_test(cannot_be_changed_by_who_held_on),
        cmocka_unit_test(gives_new_sandboxes_bounds_of_their_own),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(copies_only_what_the_new_sandbox_may_have),
        cmocka_unit_test(counts_a_copy_as_memory_of_who_has_it),
        cmocka_unit_test(keeps_names_of_one_file_in_their_place),
        cmocka_unit_test(lets_what_runs_go_on),
        cmocka_unit_test(leaves_nothing_behind),
        cmocka_unit_test(refuses_what_is_not_there),
    };
    const struct CMUnitTest others[] = {cmocka_unit_test(is_refused_by_other_drivers)};
    return rig_driver() == SPAWN__V1__DRIVER__DRIVER_NATIVE
               ? cmocka_run_group_tests_name("layers", native, fixture_start, fixture_stop)
               : cmocka_run_group_tests_name("layers", others, fixture_start, fixture_stop);
}
