"""Many clients at once: a thousand idle event streams and 64 busy connections. No event and no answer is lost; prints
latency and memory. "many.py PORT PORT [STREAMS] [SECONDS]"."""

import asyncio
import json
import os
import resource
import sys
import time

PORT = int(sys.argv[1])
STREAMS = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 3
BUSY = 64
HOST = b"Host: 127.0.0.1\r\n"
latencies, errors = [], []


def memory_kib():
    with open(f"/proc/{os.environ['AISBX_GATEWAY_PID']}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


async def ask(reader, writer, request):
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    return int(head[9:12]), await reader.readexactly(length)


async def post(path, body, method=b"POST"):
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    data = json.dumps(body).encode() if body is not None else b""
    kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(data) if data else b""
    status, answer = await ask(reader, writer, method + b" " + path + b" HTTP/1.1\r\n" + HOST + kind + b"\r\n" + data)
    writer.close()
    assert status in (200, 201), (status, answer)
    return json.loads(answer)


async def watch(ready, marker):
    """Waits for the event that carries the marker."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\n" + HOST + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    ready.release()
    while True:
        line = await reader.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: ") and marker in line:
            writer.close()
            return


async def work(until):
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    while time.monotonic() < until:
        start = time.monotonic()
        status, _ = await ask(reader, writer, b"GET /api/v1/worker/load HTTP/1.1\r\n" + HOST + b"\r\n")
        latencies.append(time.monotonic() - start)
        if status != 200:
            errors.append(status)
    writer.close()


async def main():
    before = memory_kib()
    ready = asyncio.Semaphore(0)
    marker = f"many-{os.getpid()}".encode()
    watchers = [asyncio.create_task(watch(ready, marker)) for _ in range(STREAMS)]
    for _ in range(STREAMS):
        await asyncio.wait_for(ready.acquire(), 30)
    idle = memory_kib()
    await asyncio.gather(*(work(time.monotonic() + SECONDS) for _ in range(BUSY)))
    busy = memory_kib()
    sandbox = await post(b"/api/v1/sandboxes", {"labels": {"marker": marker.decode()}})
    await asyncio.wait_for(asyncio.gather(*watchers), 60)
    await post(b"/api/v1/sandboxes/" + sandbox["sandbox_id"].encode(), None, b"DELETE")
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * q)] * 1000 for q in (0.5, 0.99))
    print(f"{STREAMS} idle streams: {idle - before} KiB, {(idle - before) / STREAMS:.1f} KiB each; with {BUSY} busy "
          f"connections {busy - before} KiB, {len(latencies) / SECONDS:.0f} requests a second, p50 {p50:.1f} ms, "
          f"p99 {p99:.1f} ms; errors {len(errors)}, events lost 0")
    assert not errors, errors[:10]
    assert busy - before < STREAMS * 64 + 8192, "memory"


limit = STREAMS + BUSY + 200
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if hard != resource.RLIM_INFINITY and hard < limit:
    print(f"skipped: {limit} open files are needed, {hard} are allowed")
    sys.exit(77)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
asyncio.run(main())
