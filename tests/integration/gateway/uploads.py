"""Bodies that are streamed into a sandbox: whole, refused, cut off and held back. uploads.py PORT GUARDED-PORT."""

import hashlib
import http.client
import io
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tarfile
import time

from client import WAIT, Contract, ask

PORT, GUARDED = int(sys.argv[1]), int(sys.argv[2])
IDS = {name: int(os.environ[f"AISBX_{name}_PID"]) for name in ("GATEWAY", "WORKER")}
contract = Contract(PORT)
call = contract.call
MIB = 1 << 20
SIZE = 64 * MIB
SEED = random.Random(7).randbytes(MIB)
IS_SANITIZED = b"__asan_init" in open(f"/proc/{IDS['GATEWAY']}/exe", "rb").read()


def pieces(total=SIZE):
    """Bytes that are the same in no two places."""
    for i in range(total // MIB):
        yield SEED[i:] + SEED[:i]


def sha256(blocks):
    total = hashlib.sha256()
    for block in blocks:
        total.update(block)
    return total.hexdigest()


def sh(sandbox, script):
    ran = call("run", 200, body={"target": {"sandbox_id": sandbox}, "exec": {"command": {"args": ["sh", "-c", script]}}}).json()
    assert ran["exec"]["verdict"]["kind"] == "exited", ran
    return ran["stdout"]


def place(sandbox, path, query=""):
    return f"/api/v1/sandboxes/{sandbox}/files/content?file={path}{query}"


def put(target, body, kind="application/octet-stream", headers=None):
    """By Content-Length where there is one among the headers, else in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=WAIT)
    chunked = "Content-Length" not in (headers or {})
    connection.request("PUT", target, body, {"Content-Type": kind, **(headers or {})}, encode_chunked=chunked)
    response = connection.getresponse()
    found = response.status, response.headers, response.read()
    connection.close()
    return found


def begin(target, length, port=PORT, headers=""):
    """A request of which the body is yet to be sent."""
    sock = socket.create_connection(("127.0.0.1", port), WAIT)
    sock.sendall(f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
                 f"Content-Length: {length}\r\n{headers}\r\n".encode())
    return sock


def answer(sock):
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response.status, response.headers, response.read()


def memory_kib(name):
    with open(f"/proc/{IDS[name]}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def until(condition, what):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def comes_through_whole(sandbox):
    wanted = sha256(pieces())
    put(place(sandbox, "/workspace/first"), pieces(8 * MIB), headers={"Content-Length": str(8 * MIB)})
    before = {name: memory_kib(name) for name in IDS}
    for name, headers in (("sized", {"Content-Length": str(SIZE)}), ("chunked", {})):
        status, headers, body = put(place(sandbox, f"/workspace/{name}"), pieces(), headers=headers)
        assert status == 200 and json.loads(body)["size_bytes"] == SIZE, (status, body)
        assert headers["Connection"] is None, "it goes on"
        assert sh(sandbox, f"sha256sum <{name}").split()[0] == wanted, name
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as made:
        member = tarfile.TarInfo("within/big")
        member.size = SIZE
        made.addfile(member, io.BytesIO(b"".join(pieces())))
    archive = archive.getvalue() + bytes(MIB // 2)  # blocks of zeros behind the end, as tar pads
    status, _, body = put(f"/api/v1/sandboxes/{sandbox}/archive?directory=/workspace", iter([archive]), "application/x-tar")
    assert status == 200 and json.loads(body)["refused_entries"] == 0, (status, body)
    assert sh(sandbox, "sha256sum <within/big; rm -r within sized chunked first").split()[0] == wanted
    for name, kib in before.items():
        grown = memory_kib(name) - kib
        assert IS_SANITIZED or grown < 8192, f"the {name.lower()} takes {grown} KiB more for bodies of 64 MiB"


def has_room_for_the_next_request(sandbox):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=WAIT)
    for i in range(3):
        connection.request("PUT", place(sandbox, "/workspace/again"), f"{i}", {"Content-Type": "application/octet-stream"})
        assert connection.getresponse().read() and connection.sock is not None
        connection.request("GET", place(sandbox, "/workspace/again"))
        assert connection.getresponse().read() == f"{i}".encode()
    connection.close()
    sh(sandbox, "rm again")


def is_refused_before_a_byte_is_read(sandbox):
    sh(sandbox, "mkdir d; ln -s nowhere/there dangling; touch there")
    key = "X-API-Key: ak_nothing\r\n"
    bad = "sb_" + "a" * 26
    for name, target, port, status, more in (
            ("no key", place(sandbox, "/workspace/x"), GUARDED, 401, ""),
            ("a key that is none", place(sandbox, "/workspace/x"), PORT, 401, key),
            ("no such sandbox", place(bad, "/workspace/x"), PORT, 404, ""),
            ("no such directory", place(sandbox, "/workspace/no/x"), PORT, 404, ""),
            ("a directory", place(sandbox, "/workspace/d"), PORT, 409, ""),
            ("it is there", place(sandbox, "/workspace/there", "&no_replace=true"), PORT, 409, ""),
            ("a place that is not to be written", place(sandbox, "/usr/x"), PORT, 403, ""),
            ("a parameter that is none", place(sandbox, "/workspace/x", "&colour=red"), PORT, 400, ""),
            ("an archive into nothing", f"/api/v1/sandboxes/{sandbox}/archive?directory=/workspace/no", PORT, 404, "Content-Type")):
        for expects in ("", "Expect: 100-continue\r\n"):
            sock = begin(target, 10 * SIZE, port, expects + (more if more != "Content-Type" else ""))
            if more == "Content-Type":
                sock.close()
                sock = socket.create_connection(("127.0.0.1", port), WAIT)
                sock.sendall(f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-tar\r\n{expects}"
                             "Transfer-Encoding: chunked\r\n\r\n".encode())
            first = sock.recv(12, socket.MSG_PEEK)
            assert first[9:] == str(status).encode(), f"{name}: {first} instead of {status}"
            got, headers, body = answer(sock)
            assert headers["Connection"] == "close" and json.loads(body)["status"] == got, (name, body)
            assert sock.recv(1) == b"", name
            sock.close()
    sock = begin(place(sandbox, "/workspace/asked"), 3, headers="Expect: 100-continue\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"abc")
    assert answer(sock)[0] == 200 and sh(sandbox, "cat asked; rm asked there dangling; rmdir d") == "abc"
    sock.close()


def is_told_while_it_sends(sandbox):
    """No space is left after a while: the answer comes at once, and can be read although there was more to send."""
    sock = begin(place(sandbox, "/workspace/large"), 1 << 40)
    sock.setblocking(False)
    block, sent = bytes(MIB), 0
    while not select.select([sock], [], [], 0)[0]:
        try:
            sent += sock.send(block)
        except BlockingIOError:
            select.select([sock], [sock], [], WAIT)
        except (BrokenPipeError, ConnectionResetError):
            break
        assert sent < 64 << 30
    sock.settimeout(WAIT)
    status, headers, body = answer(sock)
    assert status == 429 and headers["Connection"] == "close", (status, body)
    sock.close()
    assert sh(sandbox, "ls -A") == "", "nothing is left of it"


def leaves_nothing_of_a_killed_client(sandbox):
    """Of one that goes on sending, of one that waits, and of one whose body is none."""
    put(place(sandbox, "/workspace/kept"), b"as it was", headers={"Content-Length": "9"})
    client = ("import socket, sys\ns = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
              "s.sendall(sys.argv[2].encode() + bytes(8 << 20))\nprint('sent', flush=True)\n"
              "while sys.argv[3] == 'sends': s.sendall(bytes(4096))\nsys.stdin.read()")
    for how in ("sends", "waits"):
        head = f"PUT {place(sandbox, '/workspace/kept')} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {1 << 40}\r\n\r\n"
        with subprocess.Popen([sys.executable, "-c", client, str(PORT), head, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"sent\n"
            until(lambda: len(sh(sandbox, "ls -A").split()) == 2, "a file beside the one that is there")
            process.send_signal(signal.SIGKILL)
        until(lambda: sh(sandbox, "ls -A") == "kept\n", f"something is left of who {how}")
        assert sh(sandbox, "cat kept") == "as it was"
    sock = socket.create_connection(("127.0.0.1", PORT), WAIT)
    sock.sendall(f"PUT {place(sandbox, '/workspace/kept')} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n".encode())
    assert answer(sock)[0] == 400
    sock.close()
    until(lambda: sh(sandbox, "ls -A") == "kept\n", "something is left of who sent no chunk")
    assert sh(sandbox, "cat kept; rm kept") == "as it was"


def waits_while_the_sandbox_does(sandbox):
    paused = ask(PORT, "POST", f"/api/v1/sandboxes/{sandbox}/pause")
    if paused.status != 200:
        print(f"  nothing can be paused here: {paused.body.decode()}")
        return
    call("resumeSandbox", 200, [sandbox])
    sock = begin(place(sandbox, "/workspace/held"), SIZE, headers="Expect: 100-continue\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    call("pauseSandbox", 200, [sandbox])
    before = {name: memory_kib(name) for name in IDS}
    body, sent = b"".join(pieces()), 0
    sock.settimeout(1.0)
    try:
        while sent < SIZE:
            sent += sock.send(body[sent:sent + MIB])
    except TimeoutError:
        pass
    for name, kib in before.items():
        assert IS_SANITIZED or memory_kib(name) - kib < 4096, f"the {name.lower()} keeps what waits"
    assert sent < SIZE, "what nobody takes must stay with the sender"
    call("resumeSandbox", 200, [sandbox])
    sock.settimeout(WAIT)
    sock.sendall(body[sent:])
    assert answer(sock)[0] == 200 and sh(sandbox, "sha256sum <held; rm held").split()[0] == sha256(pieces())
    sock.close()


TESTS = (comes_through_whole, has_room_for_the_next_request, is_refused_before_a_byte_is_read, is_told_while_it_sends,
         leaves_nothing_of_a_killed_client, waits_while_the_sandbox_does)
made = call("createSandbox", 201, body={"profile": "python-dev"}).json()["sandbox_id"]
for test in TESTS:
    start = time.monotonic()
    test(made)
    print(f"ok {test.__name__} {time.monotonic() - start:.2f}s", flush=True)
call("destroySandbox", 200, [made])
