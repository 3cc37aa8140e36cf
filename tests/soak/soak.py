"""soak.py ADDRESS WORKER_PID SCRATCH COUNT: exits 0 when nothing is left and the worker did not grow."""

import os
import sys
import time

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from leftovers import family, rss_kb, settled  # noqa: E402

ADDRESS, WORKER, SCRATCH, COUNT = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
# What the worker remembers of ended sandboxes and execs (aisbx-worker --help): first filled, then counted on.
REMEMBERED_SANDBOXES, REMEMBERED_EXECS = 1024, 2048
PLACES = [SCRATCH, "/run/aisbx"]
SCRIPT = "sleep 1000 & echo $$"  # leaves a process behind


def main():
    with aisbx.connect(ADDRESS) as client:
        service = client.sandboxes

        def run(sandbox):
            target = ex.ExecTarget(sandbox_id=sandbox.sandbox_id)
            reply = service.Run(api.RunRequest(target=target, exec=ex.ExecSpec(command=ex.Command(args=["sh", "-c", SCRIPT]))))
            assert reply.exec.verdict.exit_code == 0, reply

        def cycle(number):
            sandbox = service.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict"))).sandbox
            if number % 10 == 0:
                run(sandbox)
            service.DestroySandbox(api.DestroySandboxRequest(sandbox_id=sandbox.sandbox_id))

        for _ in range(REMEMBERED_EXECS):
            cycle(0)
        for _ in range(REMEMBERED_SANDBOXES):
            cycle(1)
        before, rss_before = settled(WORKER, PLACES), {pid: rss_kb(pid) for pid in family(WORKER)}
        began = time.monotonic()
        for number in range(COUNT):
            cycle(number)
            if (number + 1) % max(COUNT // 10, 1) == 0:
                print(f"{number + 1:6} sandboxes, worker {rss_kb(WORKER)} kB", flush=True)
        took = time.monotonic() - began
        after, rss_after = settled(WORKER, PLACES), {pid: rss_kb(pid) for pid in family(WORKER)}

    print(f"{COUNT} sandboxes in {took:.1f} s, {COUNT / took:.0f} a second")
    for name, value in before.items():
        print(f"{name:12} {value:6} -> {after[name]:6}  {'ok' if after[name] <= value else 'LEAKED'}")
    grown = sum(rss_after.values()) - sum(rss_before.values())
    # What is remembered differs a little in size, and an allocator keeps some of what it had.
    allowed = 1024
    print(f"{'rss kB':12} {sum(rss_before.values()):6} -> {sum(rss_after.values()):6}  {'ok' if grown <= allowed else 'GREW'}")
    return any(after[name] > value for name, value in before.items()) or grown > allowed


sys.exit(main())
