#!/usr/bin/env python3
"""aisbx-supervisor: what dies comes back, what hangs is ended, nothing runs on, no call is lost."""

import json
import os
import signal
import threading

from rig import SCRATCH, Supervisor, children, lives, spawner_of, until, with_marker

MARK = f"mark-{os.getpid()}"


def brings_back_what_is_killed():
    with Supervisor() as sup:
        sup.wait_well()
        for i, victim in enumerate(("gateway", "worker", "spawner", "gateway")):
            marker = f"{MARK}-{victim}-{i}"
            sup.start_marked(marker)
            worker = sup.pid("worker")
            pid = spawner_of(worker) if victim == "spawner" else sup.pid(victim)
            part = "gateway" if victim == "gateway" else "worker"
            old = sup.pid(part)
            os.kill(pid, signal.SIGKILL)
            sup.wait_back(part, old)
            if part == "worker":
                until(f"{marker} is gone", lambda m=marker: not with_marker(m))
                assert not lives(worker), "the worker before"
            else:
                assert with_marker(marker), "sandboxes are the worker's: they outlive a gateway"
            assert sup.run("echo back")[0] == 200
        parts = sup.parts()
        assert (parts["worker"]["restarts"], parts["gateway"]["restarts"]) == (2, 2), parts
        assert "Killed" in parts["gateway"]["last_end"]
        assert sup.ask()[1].startswith("well\n")
        # Whoever waits for our end sees all of it ended, and no process of ours is a zombie's.
        assert sup.stop() == 0
        assert not with_marker(MARK)
        assert sup.health() == (1, sup.health()[1]) and sup.health()[1]["status"] == "down"


def named_sockets(pid):
    """Descriptors of a process that are unix sockets with an abstract name."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        named = {line.split()[6] for line in file.readlines()[1:] if len(line.split()) > 7 and line.split()[7].startswith("@")}
    try:
        return [link for fd in os.listdir(f"/proc/{pid}/fd") if (link := os.readlink(f"/proc/{pid}/fd/{fd}")).removeprefix("socket:[").rstrip("]") in named]
    except OSError:
        return []  # it has ended


def lends_its_rights_to_nobody():
    """What runs as root and asks the worker: no worker, whatever became of it, binds directories as it."""
    with Supervisor() as sup:
        sup.wait_well()
        assert sup.run("echo hello")[0] == 200
        assert len(named_sockets(sup.pid("gateway"))) == 1
        worker, gateway = sup.pid("worker"), sup.pid("gateway")
        os.kill(worker, signal.SIGSTOP)  # so that who asks for its health waits, and can be looked at
        try:
            until("a probe asks", lambda: any(named_sockets(pid) for pid in children(sup.process.pid) if pid not in (worker, gateway)))
        finally:
            os.kill(worker, signal.SIGCONT)


def leaves_nothing_when_killed():
    with Supervisor() as sup:
        sup.wait_well()
        marker = f"{MARK}-orphan"
        sup.start_marked(marker)
        ours = [sup.pid("worker"), sup.pid("gateway"), spawner_of(sup.pid("worker"))]
        sup.process.kill()
        sup.process.wait()
        until("all of it ended", lambda: not any(lives(pid) for pid in ours))
        until("sandboxes ended", lambda: not with_marker(marker))


def starts_where_another_was_killed():
    """The same directory: stale sockets and locks are no hindrance; and two at once are refused."""
    with Supervisor() as sup:
        sup.wait_well()
        Supervisor.count -= 1
        with Supervisor() as second:
            assert second.process.wait(60) == 1
            assert "another supervisor uses" in second.said()
        sup.wait_well()
        sup.process.kill()
        sup.process.wait()
        Supervisor.count -= 1
        with Supervisor() as third:
            third.wait_well()
            assert third.stop() == 0


def drains_without_losing_a_call():
    with Supervisor() as sup:
        sup.wait_well()
        got = {}

        def call(i):
            got[i] = sup.run(f": {MARK}-drain-{i}; sleep 3; echo whole")

        threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        until("calls are under way", lambda: len({i for i in range(4) if with_marker(f"{MARK}-drain-{i}")}) == 4)
        assert sup.stop() == 0
        for thread in threads:
            thread.join()
        for i in range(4):
            assert got[i][0] == 200 and json.loads(got[i][1])["stdout"] == "whole\n", got[i]
        assert "level=error" not in sup.said()


def ends_in_bounded_time():
    with Supervisor("--drain-grace", "1s") as sup:
        sup.wait_well()
        thread = threading.Thread(target=lambda: swallow(lambda: sup.run(f": {MARK}-long; sleep 3600; :")))
        thread.start()
        until("a long call is under way", lambda: with_marker(f"{MARK}-long"))
        assert sup.stop() == 0
        thread.join()
        assert not with_marker(f"{MARK}-long")


def swallow(run):
    try:
        run()
    except OSError:
        pass


def reads_its_configuration_again():
    path = f"{SCRATCH}/config.yaml"

    def write(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def profile(name):
        return sup.http("GET", f"/profiles/{name}")[0]

    write("profiles:\n  first:\n    extends: strict\n")
    with Supervisor("--config", path) as sup:
        sup.wait_well()
        worker = sup.pid("worker")
        sandbox = sup.start_marked(f"{MARK}-reload")
        assert (profile("first"), profile("second")) == (200, 404)
        write("profiles:\n  second:\n    extends: strict\n    nonsense: 1\n")
        sup.process.send_signal(signal.SIGHUP)
        why = until("it is refused", lambda: sup.health()[1]["reload_refused"])
        assert why.startswith("4:5:") and "nonsense" in why, why
        assert "the last configuration was not taken: 4:5:" in sup.ask()[1]
        assert "the configuration stays as it was" in sup.said()
        assert (profile("first"), profile("second")) == (200, 404), "the old one stays in force"
        write("profiles:\n  second:\n    extends: strict\n")
        sup.process.send_signal(signal.SIGHUP)
        until("it is taken", lambda: profile("second") == 200)
        assert profile("first") == 404 and sup.health()[1]["reload_refused"] == ""
        assert sup.pid("worker") == worker and sup.http("GET", f"/sandboxes/{sandbox}")[0] == 200, "nothing was restarted"
        assert sup.stop() == 0


def says_what_does_not_start():
    with Supervisor("--worker-option=--listen=unix:/nonexistent/w.sock", "--log-format", "json") as sup:
        lines = lambda: [json.loads(line) for line in sup.said().splitlines()]
        waits = lambda: [line["in_ms"] for line in lines() if line["msg"] == "starting it again"]
        until("it is tried again and again", lambda: len(waits()) >= 4)
        assert waits()[:4] == [100, 200, 400, 800], waits()
        status, health = sup.health()
        assert status == 1 and health["status"] == "starting" and health["parts"]["worker"]["last_end"] == "exit status 1", health
        assert sup.stop() == 0


def ends_when_a_part_refuses_its_options():
    for part in ("worker", "gateway"):
        with Supervisor(f"--{part}-option=--no-such-option", "--log-format", "json") as sup:
            assert sup.process.wait(60) == 2, "wrong usage"
            lines = [json.loads(line) for line in sup.said().splitlines()]
            said = [line for line in lines if line["msg"] == "said" and line["part"] == part]
            assert said and "unknown option --no-such-option" in said[0]["line"], "what is no log line becomes one"
            assert f"the {part} refuses its options" in lines[-1]["why"], lines
            assert not [line for line in lines if line["msg"] == "starting it again"], lines


def logs_in_one_format():
    with Supervisor("--log-format", "json", env={"AISBX_DEBUG": "1"}) as sup:
        sup.wait_well()
        assert sup.run("echo x")[0] == 200
        assert sup.stop(signal.SIGINT) == 0
        programs = {json.loads(line)["program"] for line in sup.said().splitlines()}
        assert {"aisbx-supervisor", "aisbx-worker", "aisbx-mcp"} <= programs, programs


def reaps_what_others_leave():
    with Supervisor() as sup:
        sup.wait_well()
        old = sup.pid("worker")
        os.kill(old, signal.SIGKILL)  # its spawner becomes ours
        sup.wait_back("worker", old)
        until("no zombies", lambda: all(lives(pid) for pid in children(sup.process.pid)))
        assert sup.stop() == 0


for test in (brings_back_what_is_killed, lends_its_rights_to_nobody, leaves_nothing_when_killed, starts_where_another_was_killed, drains_without_losing_a_call,
             ends_in_bounded_time, reads_its_configuration_again, says_what_does_not_start, ends_when_a_part_refuses_its_options, logs_in_one_format, reaps_what_others_leave):
    test()
    print(f"ok {test.__name__}", flush=True)
