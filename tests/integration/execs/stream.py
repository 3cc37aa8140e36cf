#!/usr/bin/python3
"""A program writes 200 MiB. It is followed by gRPC, `aisbx attach`, REST events and REST ranges one after the other, each
killed with SIGKILL in the middle, and the next goes on at the byte where that one broke off. What they have put down
together has the hash of what was written, and the worker has not grown.

stream.py WORKER-ADDRESS WORKER-PID GATEWAY-PORT AISBX PROFILE DIR      (or, as a client: CLIENT EXEC OFFSET FILE ...)"""

import base64
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time

MIB = 1 << 20
PARTS, PART = 4, 50  # MiB
SEED = 20
WAIT = 300

PROGRAM = f"""
import base64, random, sys
random = random.Random({SEED})
for part in range({PARTS}):
    for _ in range({PART}):
        sys.stdout.buffer.write(base64.b64encode(random.randbytes({MIB * 3 // 4})))
    sys.stdout.flush()
    if part < {PARTS - 1}: input()
"""


def expected():
    digest, source = hashlib.sha256(), random.Random(SEED)
    for _ in range(PARTS * PART):
        digest.update(base64.b64encode(source.randbytes(MIB * 3 // 4)))
    return digest.hexdigest()


# ---- clients, each a process of its own; all append to FILE what they get ----


def by_grpc(address, exec_id, offset, fd):
    import aisbx
    from aisbx.v1 import sandbox_service_pb2 as api

    for message in aisbx.connect(address).sandboxes.AttachExec(api.AttachExecRequest(exec_id=exec_id, stdout_offset=offset)):
        if message.event.WhichOneof("event") == "output":
            os.write(fd, message.event.output.data)


def by_events(port, exec_id, offset, fd):
    """text/event-stream behind Last-Event-ID."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    connection.request("GET", f"/api/v1/execs/{exec_id}/events", headers={"Last-Event-ID": f"{offset}.0"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    name = b""
    for line in answer:
        if line.startswith(b"event: "):
            name = line[7:].strip()
        elif line.startswith(b"data: ") and name == b"output":
            os.write(fd, json.loads(line[6:])["data"].encode())


def by_ranges(port, exec_id, offset, fd):
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    while True:
        connection.request("GET", f"/api/v1/execs/{exec_id}/output?offset={offset}&max_bytes={MIB}&wait_ms=20000")
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status in (200, 206) and int(answer.headers["Aisbx-Offset"]) == offset, (answer.status, data[:200])
        os.write(fd, data)
        offset += len(data)
        if not data and answer.headers["Aisbx-End-Of-Stream"] == "true":
            return


CLIENTS = {"grpc": by_grpc, "events": by_events, "ranges": by_ranges}


def client_main(kind, where, exec_id, offset, file):
    CLIENTS[kind](where, exec_id, int(offset), os.open(file, os.O_WRONLY | os.O_APPEND))


# ---- the test ----


def memory(pid):
    rows = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return {name: int(rows[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")}


def test_main(address, pid, port, program, profile, directory):
    import aisbx
    from aisbx.v1 import exec_pb2 as ex
    from aisbx.v1 import sandbox_pb2 as sb
    from aisbx.v1 import sandbox_service_pb2 as api
    from aisbx.v1 import verdict_pb2 as vd

    service = aisbx.connect(address).sandboxes
    sandbox = service.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile=profile))).sandbox.sandbox_id
    spec = ex.ExecSpec(command=ex.Command(args=["python3", "-c", PROGRAM]), background=True, open_stdin=True)
    start = service.StartExec(api.StartExecRequest(target=ex.ExecTarget(sandbox_id=sandbox), exec=spec))
    exec_id = next(start).event.started.exec.exec_id
    start.cancel()

    def go_on_by_grpc():
        service.SendExecInput(api.SendExecInputRequest(exec_id=exec_id, data=b"\n"))

    def go_on_by_rest():
        connection = http.client.HTTPConnection("127.0.0.1", int(port))
        connection.request("POST", f"/api/v1/execs/{exec_id}/input", body=b"\n", headers={"Content-Type": "application/octet-stream"})
        assert connection.getresponse().status == 204

    def go_on_by_attach():
        """A client that types one line and is killed: input needs no end."""
        typist = subprocess.Popen([program, "--address", address, "attach", "-i", "--from", str(PARTS * PART * MIB), exec_id],
                                  stdin=subprocess.PIPE)
        typist.stdin.write(b"\n")
        typist.stdin.flush()
        return typist

    def launch(kind, offset):
        if kind == "attach":
            return subprocess.Popen([program, "--address", address, "attach", "--no-stdin", "--from", str(offset), exec_id],
                                    stdout=open(file, "ab"))
        where = address if kind == "grpc" else port
        return subprocess.Popen([sys.executable, __file__, "client", kind, where, exec_id, str(offset), file])

    file = f"{directory}/stream"
    open(file, "wb").close()
    before = memory(pid)
    print(f"worker before: {before} MiB")
    kinds = ("grpc", "attach", "events", "ranges")
    typists = []
    for i, kind in enumerate(kinds):
        offset = os.path.getsize(file)
        reader = launch(kind, offset)
        if i == len(kinds) - 1:
            assert reader.wait(WAIT) == 0, f"{kind}: {reader.returncode}"
            print(f"{kind}: from {offset} to the end, {os.path.getsize(file)}; worker {memory(pid)} MiB")
            continue
        deadline = time.monotonic() + WAIT
        while os.path.getsize(file) < (i * PART + PART // 2) * MIB:
            assert reader.poll() is None, f"{kind} ended early"
            assert time.monotonic() < deadline, f"{kind} came to {os.path.getsize(file)}"
            time.sleep(0.005)
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        print(f"{kind}: from {offset}, killed at {os.path.getsize(file)}; worker {memory(pid)} MiB")
        running = service.GetExec(api.GetExecRequest(exec_id=exec_id)).exec
        assert not running.HasField("verdict"), "it runs on without anybody"
        (go_on_by_grpc, go_on_by_rest, lambda: typists.append(go_on_by_attach()))[i]()
    for typist in typists:
        typist.kill()
        typist.wait()

    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(MIB):
            digest.update(block)
    print(f"sha256 wanted {expected()}\nsha256 got    {digest.hexdigest()}")
    assert digest.hexdigest() == expected()
    ended = service.GetExec(api.GetExecRequest(exec_id=exec_id)).exec
    assert ended.verdict.kind == vd.VERDICT_KIND_EXITED and ended.verdict.exit_code == 0, ended
    assert ended.stdout_bytes == PARTS * PART * MIB
    after = memory(pid)
    print(f"worker after: {after} MiB")
    assert after["VmHWM"] - before["VmHWM"] < 40, "the worker grew with the stream"


if sys.argv[1] == "client":
    client_main(*sys.argv[2:])
else:
    test_main(*sys.argv[1:])
