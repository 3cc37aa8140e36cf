"""soak.py ADDRESS WORKER_PID SCRATCH COUNT: exits 0 when nothing is left and the worker did not grow."""

import os
import sys
import time

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

ADDRESS, WORKER, SCRATCH, COUNT = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
# What the worker remembers of ended sandboxes and execs (aisbx-worker --help): first filled, then counted on.
REMEMBERED_SANDBOXES, REMEMBERED_EXECS = 1024, 2048
SCRIPT = "sleep 1000 & echo $$"  # leaves a process behind


def numeric(path):
    return [int(name) for name in os.listdir(path) if name.isdigit()]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def family():
    """The worker and all below it."""
    parents = {}
    for pid in numeric("/proc"):
        try:
            parents[pid] = int(read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found, grown = {WORKER}, True
    while grown:
        grown = [pid for pid, parent in parents.items() if parent in found and pid not in found]
        found.update(grown)
    return sorted(found)


def namespaces(pids):
    """Namespaces that these processes are in."""
    seen = set()
    for pid in pids:
        try:
            for name in os.listdir(f"/proc/{pid}/ns"):
                seen.add(os.readlink(f"/proc/{pid}/ns/{name}"))
        except OSError:
            pass
    return seen


def folders(top):
    return sum(len(names) for _, names, _ in os.walk(top, onerror=lambda _: None))


def groups(pids):
    """Control groups below the base that a spawner among these processes owns; other workers' do not count."""
    bases = {f"aisbx-{pid}" for pid in pids}
    return sum(
        folders(os.path.join(at, name))
        for at, names, _ in os.walk("/sys/fs/cgroup", onerror=lambda _: None)
        for name in names
        if name in bases
    )


def rss_kb(pid):
    return int(next(line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS")).split()[1])


def snapshot():
    pids = family()
    return {
        "processes": len(pids),
        "fds": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        "mounts": len(read("/proc/self/mountinfo").splitlines())
        + sum(len(read(f"/proc/{pid}/mountinfo").splitlines()) for pid in pids),
        "namespaces": len(namespaces(pids)),
        "cgroups": groups(pids),
        "directories": folders(SCRATCH) + folders("/run/aisbx"),
    }


def settled():
    """A snapshot once two in a row agree: the kernel frees namespaces a little later."""
    last = None
    for _ in range(50):
        now = snapshot()
        if now == last:
            return now
        last = now
        time.sleep(0.1)
    return last


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
        before, rss_before = settled(), {pid: rss_kb(pid) for pid in family()}
        began = time.monotonic()
        for number in range(COUNT):
            cycle(number)
            if (number + 1) % max(COUNT // 10, 1) == 0:
                print(f"{number + 1:6} sandboxes, worker {rss_kb(WORKER)} kB", flush=True)
        took = time.monotonic() - began
        after, rss_after = settled(), {pid: rss_kb(pid) for pid in family()}

    print(f"{COUNT} sandboxes in {took:.1f} s, {COUNT / took:.0f} a second")
    for name, value in before.items():
        print(f"{name:12} {value:6} -> {after[name]:6}  {'ok' if after[name] <= value else 'LEAKED'}")
    grown = sum(rss_after.values()) - sum(rss_before.values())
    # What is remembered differs a little in size, and an allocator keeps some of what it had.
    allowed = 1024
    print(f"{'rss kB':12} {sum(rss_before.values()):6} -> {sum(rss_after.values()):6}  {'ok' if grown <= allowed else 'GREW'}")
    return any(after[name] > value for name, value in before.items()) or grown > allowed


sys.exit(main())
