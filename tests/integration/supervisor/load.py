#!/usr/bin/env python3
"""kill -9 of gateway, worker and spawner under load: load.py BIN SCRATCH [IDLE] [BUSY] [SECONDS]. Half of the idle
connections follow a sandbox that does nothing (SSE), half are MCP sessions. While nothing is killed no call fails or is lost; what is killed
comes back, the sandboxes of a killed worker end, and the audit chain verifies. Prints latency and memory."""

import asyncio
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from rig import BIN, Supervisor, children, spawner_of, with_marker

IDLE = int(sys.argv[3]) if len(sys.argv) > 3 else 200
BUSY = int(sys.argv[4]) if len(sys.argv) > 4 else 16
SECONDS = float(sys.argv[5]) if len(sys.argv) > 5 else 2
WAIT = 90
MARK = f"load-{os.getpid()}"
JSON = b"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
         "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "load", "version": "1"}}}


class Load:
    def __init__(self, port):
        self.port, self.is_over = port, False
        self.good, self.wrong, self.cut = 0, [], 0
        self.n_ran = 0  # programs whose output came
        self.last_good = [0.0] * BUSY
        self.idle_open = 0
        self.quiet = ""  # a sandbox
        self.latencies = []

    async def ask(self, stream, method, path, body=None):
        reader, writer = stream
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n".encode() if data else f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
        writer.write(head + (JSON if data else b"") + b"\r\n" + data)
        answer = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:] if b": " in line)
        body = await reader.readexactly(int(fields[b"content-length"])) if b"content-length" in fields else b""
        return int(answer[9:12]), body

    async def call(self, number, stream):
        """One call in eight makes a sandbox and runs a program in it. Returns the status, and what is not as it should be."""
        if number % 8:
            return (await self.ask(stream, "GET", "/api/v1/worker/load"))[0], None
        status, body = await self.ask(stream, "POST", "/api/v1/run", {"target": {"new_sandbox": {"profile": "strict"}}, "exec": {"command": {"args": ["echo", str(number)]}}})
        said = json.loads(body) if status == 200 else None
        is_right = said is None or said["stdout"] == f"{number}\n" or said["exec"]["verdict"]["kind"] == "worker_lost"
        return status, None if is_right else said

    async def busy(self, me):
        stream, number = None, me
        while not self.is_over:
            try:
                stream = stream or await asyncio.open_connection("127.0.0.1", self.port)
                start = time.monotonic()
                status, wrong = await asyncio.wait_for(self.call(number, stream), WAIT)
                if status == 200 and wrong is None:
                    self.good += 1
                    self.last_good[me] = time.monotonic()
                    self.n_ran += number % 8 == 0
                    if number % 8:
                        self.latencies.append(time.monotonic() - start)
                elif status == 503:
                    self.cut += 1
                    await asyncio.sleep(0.05)
                else:
                    self.wrong.append((number, status, wrong))
            except (OSError, asyncio.IncompleteReadError):
                self.cut += 1
                stream = None
                await asyncio.sleep(0.05)
            except asyncio.TimeoutError:
                self.wrong.append((number, "lost"))
                stream = None
            number += BUSY + 1
        if stream:
            stream[1].close()

    async def idle(self, me):
        while not self.is_over:
            try:
                while not self.quiet:
                    await asyncio.sleep(0.05)
                stream = await asyncio.open_connection("127.0.0.1", self.port)
                if me % 2:
                    stream[1].write(f"GET /api/v1/events?sandbox_id={self.quiet} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                    status = int((await stream[0].readuntil(b"\r\n\r\n"))[9:12])
                else:
                    status = (await self.ask(stream, "POST", "/mcp", HELLO))[0]
                if status != 200:
                    stream[1].close()
                    await asyncio.sleep(0.1)
                    continue
                self.idle_open += 1
                try:
                    said = b"nothing"
                    while said and b"event: error" not in said:  # which tells of a lost worker
                        said = await stream[0].read(65536)
                finally:
                    self.idle_open -= 1
                    stream[1].close()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.1)


async def until(what, condition, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = await asyncio.to_thread(condition)
        if got:
            return got
        await asyncio.sleep(0.05)
    raise AssertionError(f"never: {what}")


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def quantile(values, q):
    return sorted(values)[int(len(values) * q)] * 1000


async def calm(sup, load, what):
    """All clients are served, and for some time no call fails."""
    def has_quiet():
        status, text = sup.http("GET", f"/sandboxes/{load.quiet}") if load.quiet else (404, b"")
        return status == 200 and json.loads(text)["state"] == "running"
    if not await asyncio.to_thread(has_quiet):
        status, text = await asyncio.to_thread(sup.http, "POST", "/sandboxes", {"profile": "strict"})
        assert status == 201, text
        load.quiet = json.loads(text)["sandbox_id"]
    now = time.monotonic()
    await until("all clients are served", lambda: min(load.last_good) > now and load.idle_open == IDLE)
    load.cut, load.latencies, good, before = 0, [], load.good, time.monotonic()
    await asyncio.sleep(SECONDS)
    took = time.monotonic() - before
    parts = await asyncio.to_thread(sup.parts)
    print(f"{what}: {IDLE} idle, {BUSY} busy, {(load.good - good) / took:.0f} calls a second, p50 {quantile(load.latencies, 0.5):.1f} ms, p99 {quantile(load.latencies, 0.99):.1f} ms, "
          f"gateway {memory_kib(parts['gateway']['pid'])} KiB, worker {memory_kib(parts['worker']['pid'])} KiB, failed {len(load.wrong) + load.cut}", flush=True)
    assert load.cut == 0 and not load.wrong and load.idle_open == IDLE, (load.cut, load.wrong[:5], load.idle_open)


async def kill(sup, load, victim):
    marker = f"{MARK}-{victim}"
    await asyncio.to_thread(sup.start_marked, marker)
    parts = await asyncio.to_thread(sup.parts)
    part = "gateway" if victim == "gateway" else "worker"
    old = parts[part]["pid"]
    os.kill(spawner_of(old) if victim == "spawner" else old, signal.SIGKILL)
    began = time.monotonic()
    await asyncio.to_thread(sup.wait_back, part, old)
    print(f"{victim} killed: back after {time.monotonic() - began:.2f} s, {load.cut} calls cut", flush=True)
    if part == "worker":
        await until("its sandboxes end", lambda: not with_marker(marker))


def adopt():
    """What loses its parent below us becomes our child, so that nothing can be left unseen."""
    assert ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER


def left():
    """Children of ours that run: at the end there is none but what should have died with its spawner."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return children(os.getpid())
        except ChildProcessError:
            return []


def audit_verifies(sup, n_ran):
    """The chain, across what was killed: as it was written, and as long as what was done."""
    done = subprocess.run([f"{BIN}/aisbx-security", "audit", "verify", "--json", f"{sup.dir}.state/aisbx.db"], capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    assert said["good"] and said["records"] > 2 * n_ran, (said, n_ran)  # an intent and an outcome each
    return f"{said['records']} records, of {n_ran} programs at least, head {said['head']}"


async def main():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with Supervisor("--port", str(port), "--drain-grace", "5s") as sup:
        sup.wait_well()
        load = Load(port)
        tasks = [asyncio.create_task(load.idle(i)) for i in range(IDLE)] + [asyncio.create_task(load.busy(i)) for i in range(BUSY)]
        try:
            await calm(sup, load, "before")
            for victim in ("gateway", "worker", "spawner"):
                await kill(sup, load, victim)
                await calm(sup, load, f"after {victim}")
            print("audit:", await asyncio.to_thread(audit_verifies, sup, load.n_ran))
        finally:
            load.is_over = True  # wait_for may swallow the only cancellation
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.to_thread(sup.stop) == 0
        assert not with_marker(MARK), "something runs on"
    try:
        await until("nothing is left of spawners", lambda: not left(), 20)
    except AssertionError as error:
        rest = {pid: open(f"/proc/{pid}/comm", encoding="utf-8").read().strip() for pid in left()}
        for pid in rest:
            os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"left: {rest}") from error


limit = IDLE + BUSY + 200
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if hard != resource.RLIM_INFINITY and hard < limit:
    print(f"skipped: {limit} open files are needed, {hard} are allowed")
    sys.exit(77)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
adopt()
asyncio.run(main())
