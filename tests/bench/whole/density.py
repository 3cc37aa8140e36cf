"""Memory of sandboxes that wait, that are idle, and that run something, and of the worker.

What is promised is judged by the sum of the kernel's own counts (PARTS). What the machine has left is told next to it, and
is not judged: for one program it said from 263 to 600 kB, as caches of everybody else's come and go in it.
"""

import concurrent.futures as futures
import os
import re
import statistics
import time

from common import Table, Trouble, command, metric
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

PARTS = ("Slab", "KernelStack", "PageTables", "AnonPages", "Percpu")
PARKED_KIB = 512  # what the worker reckons for each, see --pool
AT_ONCE = 8
SLABS = 16  # kinds that are told


def memory():
    """kB of the machine, by the names of /proc/meminfo: medians of half a second, as others use memory, too."""
    seen = []
    for _ in range(5):
        with open("/proc/meminfo", encoding="ascii") as lines:
            seen.append({k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", lines.read(), re.M)})
        time.sleep(0.1)
    return {name: statistics.median(one[name] for one in seen) for name in ("MemAvailable", *PARTS)}


def slabs():
    """kB in use of each kind of object that the kernel keeps; {} unless root asks."""
    try:
        with open("/proc/slabinfo", encoding="ascii") as lines:
            rows = [line.split() for line in lines if " : tunables" in line and line[0] != "#"]
    except PermissionError:
        return {}
    return {row[0]: int(row[1]) * int(row[3]) / 1024 for row in rows}


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def spawners(pid):
    """The worker's spawner and its keeper of snapshots."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as line:
                head, tail = line.read().rsplit(")", 1)
        except OSError:
            continue  # it ended meanwhile
        if int(tail.split()[1]) in (pid, *found) and head.split("(", 1)[1].startswith("aisbx-spawner"):
            found.append(int(name))
    return found


def several(act, many):
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(act, many))


def strict():
    return sb.SandboxSpec(profile="strict")


def make(client, n):
    request = api.CreateSandboxRequest(sandbox=strict())
    return several(lambda _: client.sandboxes.CreateSandbox(request).sandbox.sandbox_id, range(n))


def destroy(client, boxes):
    several(lambda box: client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box)), boxes)


def sleep_in(client, box):
    stream = client.sandboxes.StartExec(api.StartExecRequest(
        target=ex.ExecTarget(sandbox_id=box), exec=command("sleep", "100000", background=True)))
    next(iter(stream))  # it runs
    stream.cancel()


def look():
    return memory(), slabs()


def settle(n):
    """What is gone is given back a little later; n: how many that may be."""
    last, until = 0, time.monotonic() + min(10, n / 20)
    while abs((now := memory()["MemAvailable"]) - last) > 512 and time.monotonic() < until:
        last = now


def park(client, n):
    """Asks for many at once, so that the worker expects more, and waits for n parked ones. Returns how many there are."""
    request = api.RunRequest(target=ex.ExecTarget(new_sandbox=strict()), exec=command("true"))
    with futures.ThreadPoolExecutor(16) as pool:  # each that finds none doubles what is kept
        list(pool.map(lambda _: client.sandboxes.Run(request), range(min(64, 4 * n))))
    now, until = 0, time.monotonic() + 30
    while now < n and time.monotonic() < until:
        time.sleep(0.2)
        now = metric(client, "aisbx_pool_sandboxes")
    return int(now)


class Reading:
    """before, after: of memory() and slabs()."""

    def __init__(self, before, after, n, pid):
        (before, slabs_before), (after, slabs_after) = before, after
        self.n = n
        self.slabs = {name: (kb - slabs_before.get(name, 0)) / n for name, kb in slabs_after.items()}
        self.kb = (before["MemAvailable"] - after["MemAvailable"]) / n
        self.parts = {part: (after[part] - before[part]) / n for part in PARTS}
        self.all_kb = sum(self.parts.values())
        self.worker_mb = rss_kb(pid) / 1024
        self.spawner_mb = sum(map(rss_kb, spawners(pid))) / 1024

    def most(self):
        """The kinds with the most of it."""
        return dict(sorted(((name, kb) for name, kb in self.slabs.items() if kb >= 1), key=lambda row: -row[1])[:SLABS])

    def add_to(self, table, key, title):
        one = {"n": self.n, **{q: self.all_kb for q in ("min", "p50", "p95", "p99", "max")}}
        table.add(key, title, one, available_kb=self.kb, parts_kb=self.parts, slabs_kb=self.most(), worker_mb=self.worker_mb, spawner_mb=self.spawner_mb)
        print(f"  {title:34}{self.kb:9.0f}{self.all_kb:9.0f}" + "".join(f"{self.parts[p]:12.0f}" for p in PARTS)
              + f"{self.worker_mb:9.1f}{self.spawner_mb:9.1f}{self.n:7}", flush=True)


def density(bench):
    n = bench.options.density
    table = Table("density", "memory of one sandbox", unit="kB")
    print(f"\n{'memory, kB each':36}{'avail.':>9}{'parts':>9}" + "".join(f"{p:>12}" for p in PARTS)
          + f"{'worker':>9}{'spawner':>9} MB{'n':>4}")
    with bench.worker("--pool", f"{min(1 << 20, max(n, 2) * PARKED_KIB)}KiB") as (client, pid):
        destroy(client, make(client, 1))
        settle(n)
        already, before = int(metric(client, "aisbx_pool_sandboxes")), look()
        now = park(client, n)
        settle(n)
        if now <= already:
            raise Trouble("no sandbox was parked")
        parked = Reading(before, look(), now - already, pid)
        parked.add_to(table, "parked", "parked")
    with bench.worker("--pool", "0B") as (client, pid):
        destroy(client, make(client, 1))
        settle(n)
        before = look()
        boxes = make(client, n)
        settle(n)
        Reading(before, look(), n, pid).add_to(table, "idle", "created, nothing runs")
        several(lambda box: sleep_in(client, box), boxes)
        settle(n)
        running = Reading(before, look(), n, pid)
        running.add_to(table, "running", "sleep runs in it")
        destroy(client, boxes)
    if parked.slabs:
        print("  of the slab of a parked one: " + ", ".join(f"{name} {kb:.0f}" for name, kb in parked.most().items()))
    table.finish()
    bench.tables.append(table)
    for name, reading in (("parked_kb", parked), ("running_kb", running)):
        bench.figure(name, reading.all_kb if reading.all_kb > 0 else None)
    if min(parked.all_kb, running.all_kb) <= 0:
        bench.note("others gave more memory back than sandboxes took: a quieter machine or a larger --density tells")
    bench.figure("worker_mb", running.worker_mb)
