#!/usr/bin/env python3
"""Sockets that a service manager made, by systemd-socket-activate: served, kept, and refused where nobody serves them."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess

from rig import BIN, SCRATCH, WAIT, children, lives, spawner_of, until

ACTIVATE = "/usr/bin/systemd-socket-activate"
count = 0


def scratch(name):
    global count
    count += 1
    return f"{SCRATCH}/a{count}-{name}"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def activated(listen, program, *options):
    """The program as systemd-socket-activate starts it at the first connection: it becomes that process."""
    log_path = scratch("log")
    words = [word for address in listen for word in ("-l", address)]
    with open(log_path, "wb") as log:
        process = subprocess.Popen([ACTIVATE, *words, f"{BIN}/{program}", *options], stderr=log, stdout=log)
    process.said = lambda: open(log_path, encoding="utf-8", errors="replace").read()
    try:
        until("it listens", lambda: process.said().count("Listening on") == len(listen) or process.poll() is not None)
        yield process
    except BaseException:
        print(process.said()[-4000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT)


def aisbx(address, *words, **more):
    done = subprocess.run([f"{BIN}/aisbx", "--address", address, *words], capture_output=True, text=True, timeout=WAIT, check=False, **more)
    assert done.returncode == 0, f"{words}: {done.returncode}, {done.stderr}"
    return done.stdout


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def inodes(pid):
    return {link[8:-1] for fd in os.listdir(f"/proc/{pid}/fd") if (link := os.readlink(f"/proc/{pid}/fd/{fd}")).startswith("socket:")}


def listening_inode(path):
    with open("/proc/net/unix", encoding="utf-8") as file:
        rows = [line.split() for line in file]
    return next(row[6] for row in rows if row[-1] == path and row[3] == "00010000")


def worker_of(supervisor):
    def find():
        for pid in filter(lives, children(supervisor)):
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() == "aisbx-worker":
                    return pid
        return None
    return until("a worker", find)


def a_supervisor_serves_what_it_was_given():
    run_dir, port = scratch("run"), free_port()
    os.mkdir(run_dir, 0o755)
    path = f"{run_dir}/worker.sock"
    with activated([path, f"127.0.0.1:{port}"], "aisbx-supervisor", "--runtime-dir", run_dir, "--state-dir", scratch("state"),
                   "--loopback-without-key", "--port", "1") as process:
        given = listening_inode(path)
        assert aisbx(f"unix:{path}", "run", "--profile", "strict", "--no-workspace", "--", "echo", "hello") == "hello\n"
        assert aisbx(f"grpc+unix:{path}", "run", "--profile", "strict", "--no-workspace", "--", "echo", "hello") == "hello\n"
        until("the gateway is ready", lambda: get(port, "/health/ready") == 200)
        workspace = scratch("workspace")
        os.mkdir(workspace)
        with open(f"{workspace}/file", "w", encoding="utf-8") as file:
            file.write("of the caller\n")
        # The spawner believes connections of that socket as it does those of one that the worker made.
        assert aisbx(f"unix:{path}", "run", "--profile", "python-dev", "--", "cat", "file", cwd=workspace) == "of the caller\n"

        assert listening_inode(path) == given, "it was bound anew"
        worker = worker_of(process.pid)
        assert given in inodes(process.pid)
        if os.getuid() == 0:  # nobody else may look
            assert given in inodes(worker)
            assert given not in inodes(spawner_of(worker)), "the spawner has it, too"
            with open(f"/proc/{spawner_of(worker)}/environ", "rb") as file:
                assert b"LISTEN_" not in file.read()

        for _ in range(2):  # who connects while there is no worker waits for the next one
            os.kill(worker, signal.SIGKILL)
            assert aisbx(f"unix:{path}", "run", "--profile", "strict", "--no-workspace", "--", "echo", "again") == "again\n"
            assert worker_of(process.pid) != worker
            worker = worker_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0, process.said()
        assert os.path.exists(path), "the service manager's socket is gone"
        until("no lock is left", lambda: not os.path.exists(f"{path}.lock"))


def a_worker_serves_it_beside_its_own():
    run_dir = scratch("worker")
    os.mkdir(run_dir, 0o755)
    given, own = f"{run_dir}/given.sock", f"{run_dir}/own.sock"
    with activated([given], "aisbx-worker", "--listen", f"unix:{own}", "--state-dir", scratch("state")) as process:
        for path in (given, own):
            assert aisbx(f"unix:{path}", "run", "--profile", "strict", "--no-workspace", "--", "echo", "hello") == "hello\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0, process.said()
        until("its own is removed", lambda: not os.path.exists(own))
        assert os.path.exists(given)


def a_gateway_takes_its_port_from_it():
    port = free_port()
    with activated([f"127.0.0.1:{port}"], "aisbx-mcp", "--transport", "http", "--worker", f"unix:{scratch('none')}.sock", "--port", "1"):
        assert get(port, "/health/live") == 200
        assert get(port, "/health/ready") == 503


def given(sockets, program, *options, pid="$$", names=None, many=None):
    """The program with these descriptors from 3 on, as a service manager would start it; what it says before it ends."""
    numbers = [item if isinstance(item, int) else item.fileno() for item in sockets]
    high = [os.dup2(number, 100 + i) if number >= 0 else -1 for i, number in enumerate(numbers)]
    moves = " ".join(f"{3 + i}>&{fd}" if fd >= 0 else f"{3 + i}>&-" for i, fd in enumerate(high))
    script = f'export LISTEN_PID={pid}; exec "$@" {moves}'
    env = {**os.environ, "LISTEN_FDS": str(len(numbers) if many is None else many), **({"LISTEN_FDNAMES": names} if names else {})}
    try:
        done = subprocess.run(["bash", "-c", script, "bash", f"{BIN}/{program}", *options], pass_fds=[fd for fd in high if fd >= 0], env=env,
                              capture_output=True, text=True, timeout=WAIT, check=False)
    finally:
        for fd in high:
            if fd >= 0:
                os.close(fd)
    return done.returncode, done.stderr + done.stdout


def listening(address, family=socket.AF_INET, kind=socket.SOCK_STREAM, listens=True):
    made = socket.socket(family, kind)
    made.bind(address)
    if listens:
        made.listen(1)
    return made


def what_nobody_serves_is_refused():
    tcp, wide = listening(("127.0.0.1", 0)), listening(("0.0.0.0", 0))
    path = listening(scratch("u.sock"), socket.AF_UNIX)
    abstract = listening("\0aisbx-test-%d" % os.getpid(), socket.AF_UNIX)
    datagram = listening(("127.0.0.1", 0), kind=socket.SOCK_DGRAM, listens=False)
    connected = socket.socketpair()[0]
    with open("/dev/null", "rb") as null:
        worker = ("aisbx-worker", "--state-dir", scratch("state"))
        gateway = ("aisbx-mcp", "--transport", "http")
        supervisor = ("aisbx-supervisor", "--runtime-dir", scratch("run"), "--state-dir", scratch("state"))
        rows = [
            ([datagram], worker, {}, r"descriptor 3 of LISTEN_FDS is no stream socket|LISTEN_FDS: descriptor 3 is no stream socket; use ListenStream="),
            ([path, connected], worker, {"names": "here:there"}, r"descriptor 4 \(there\) is no socket that listens; use Accept=no"),
            ([null], worker, {}, r"descriptor 3 is no stream socket"),
            ([path, -1], worker, {}, r"descriptor 4 is not open"),
            ([abstract], worker, {}, r"descriptor 3 has no path; use an absolute one"),
            ([tcp], worker, {}, r"gave us 127\.0\.0\.1 port \d+: here it may give unix sockets alone"),
            ([path, path], worker, {}, r"gave us \S+u\.sock twice"),
            ([path], worker, {"many": 99}, r"LISTEN_FDS: .*99"),
            ([path], ("aisbx-worker", "--embedded"), {}, r"--embedded is for aisbx"),
            ([path], gateway, {}, r"gave us 1 sockets, the first at \S+u\.sock: here it may give one, of TCP"),
            ([tcp, tcp], gateway, {}, r"gave us 2 sockets"),
            ([tcp], ("aisbx-mcp", "--transport", "stdio"), {}, r"with --transport http"),
            ([wide], (*gateway, "--loopback-without-key"), {}, r"--loopback-without-key would let everybody in at 0\.0\.0\.0"),
            ([path], supervisor, {"names": "gateway"}, r"is called gateway, which serves one TCP socket: change FileDescriptorName="),
            ([tcp], (*supervisor, "--without-gateway"), {}, r"for the gateway, which --without-gateway leaves out"),
            ([tcp, wide], supervisor, {}, r"too many sockets"),
        ]
        for sockets, (program, *options), how, says in rows:
            status, text = given(sockets, program, *options, **how)
            assert status in (1, 2), f"{program} {how}: {status}, {text}"
            assert re.search(says, text), f"{program} {options} {how}: not {says}: {text}"


def what_is_meant_for_another_is_left_alone():
    """As a program that somebody who was activated has started: nothing is taken, nothing is served."""
    path = listening(scratch("other.sock"), socket.AF_UNIX)
    status, text = given([path], "aisbx-worker", "--state-dir", scratch("state"), pid="1")
    assert status == 1 and "nothing to listen on" in text, text


if __name__ == "__main__":
    for test in (a_supervisor_serves_what_it_was_given, a_worker_serves_it_beside_its_own, a_gateway_takes_its_port_from_it,
                 what_nobody_serves_is_refused, what_is_meant_for_another_is_left_alone):
        test()
        print(f"ok {test.__name__}", flush=True)
