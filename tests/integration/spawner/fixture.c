#include "tests/integration/spawner/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static struct rig rig;

struct rig *fixture_rig(void)
{
    return &rig;
}

int fixture_start(void **state)
{
    (void)state;
    struct sb_err err;
    if (rig_start(&rig, &err) == 0) {
        return 0;
    }
    int status = rig_stop(&rig);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && err.code == SB_UNAVAILABLE) {
        (void)printf("the spawner cannot work here (see its message above)\n");
        exit(77);
    }
    fail_msg("%s", err.text);
    return -1;
}

int fixture_stop(void **state)
{
    (void)state;
    int status = rig_stop(&rig);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct rig_box fixture_box_of(Spawn__V1__Plan *plan)
{
    struct rig_box box;
    struct sb_err err;
    int other = -1;
    int peer = rig_peer(&other);
    if (rig_spawn(&rig, plan, peer, &box, &err) < 0) {
        fail_msg("%s", err.text);
    }
    (void)close(peer);
    (void)close(other);
    return box;
}

struct rig_box fixture_box(void)
{
    Spawn__V1__Plan plan = rig_plan(&rig);
    return fixture_box_of(&plan);
}

void fixture_end(struct rig_box *box)
{
    struct sb_err err;
    if (rig_kill(&rig, box->slot, &err) < 0 && err.code != SB_NOT_FOUND) {
        fail_msg("%s", err.text);
    }
    fixture_await_death(box);
    rig_box_done(box);
}

struct rig_box the_box;

int fixture_make_the_box(void **state)
{
    (void)state;
    the_box = fixture_box();
    return 0;
}

int fixture_end_the_box(void **state)
{
    (void)state;
    fixture_end(&the_box);
    return 0;
}

struct rig_result fixture_sh(const struct rig_box *box, const char *script)
{
    struct rig_result result;
    struct sb_err err;
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct rig_run run = {.argv = argv};
    if (rig_exec(box, &run, &result, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return result;
}

int fixture_status(const struct rig_box *box, const char *script)
{
    struct rig_result result = fixture_sh(box, script);
    assert_true(result.has_exited);
    int status = result.exited.wait_status;
    rig_result_done(&result);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *fixture_out(const struct rig_box *box, const char *script)
{
    static char text[65536];
    struct rig_result result = fixture_sh(box, script);
    if (!result.has_exited || result.exited.wait_status != 0) {
        fail_msg("%s: status %d: %s%s", script, result.exited.wait_status, sb_buf_cstr(&result.out),
                 sb_buf_cstr(&result.err));
    }
    (void)snprintf(text, sizeof text, "%s", sb_buf_cstr(&result.out));
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '\n') {
        text[len - 1] = '\0';
    }
    rig_result_done(&result);
    return text;
}

unsigned fixture_job_id(const struct rig_box *box)
{
    return rig_driver() == SPAWN__V1__DRIVER__DRIVER_CHROOT ? box->host_uid : 1000;
}

int fixture_start_sh(const struct rig_box *box, uint32_t flags, const char *script)
{
    struct sb_err err;
    struct sb_init_started started;
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct rig_run run = {.argv = argv, .flags = flags};
    SB_CLEANUP(sb_closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int stdio[] = {null_fd, null_fd, null_fd};
    int sock = rig_exec_send(box, &run, stdio, &err);
    assert_true(sock >= 0);
    fixture_await(sock, SB_INIT_STARTED, &started, sizeof started);
    return sock;
}

void fixture_await(int sock, uint32_t type, void *ret_packet, size_t size)
{
    char packet[256];
    uint32_t got = 0;
    do {
        ssize_t len = rig_exec_recv(sock, packet, sizeof packet);
        if (len <= 0) {
            fail_msg("no packet %u: %s", type, len == 0 ? "end of file" : "nothing came");
        }
        memcpy(&got, packet, sizeof got);
        assert_true(got != type || (size_t)len == size);
    } while (got != type);
    memcpy(ret_packet, packet, size);
}

void fixture_kill_exec(int sock)
{
    struct sb_init_kill request = {SB_INIT_KILL};
    assert_int_equal(send(sock, &request, sizeof request, MSG_NOSIGNAL), sizeof request);
}

bool fixture_is_alive(pid_t pid)
{
    return kill(pid, 0) == 0 || errno == EPERM;
}

void fixture_await_death(const struct rig_box *box)
{
    struct pollfd wait = {.fd = box->pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, RIG_WAIT_MS), 1);
}
