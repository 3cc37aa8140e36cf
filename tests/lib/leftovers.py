"""What a worker and its sandboxes hold of the machine, counted; so that a test can tell what they leave behind."""

import os
import time


def numeric(path):
    return [int(name) for name in os.listdir(path) if name.isdigit()]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def lines(path):
    """How many lines a file has; 0 when it is gone."""
    try:
        return len(read(path).splitlines())
    except OSError:
        return 0


def family(worker):
    """A worker and all below it."""
    parents = {}
    for pid in numeric("/proc"):
        try:
            parents[pid] = int(read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found, grown = {worker}, True
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


def started(pid):
    """When a process was started, in ticks since boot; 0 when it is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[19])
    except OSError:
        return 0


def ticks():
    """Now, on the clock of started()."""
    return int(float(read("/proc/uptime").split()[0]) * os.sysconf("SC_CLK_TCK"))


def descriptors(pids):
    count = 0
    for pid in pids:
        try:
            count += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            pass
    return count


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


def snapshot(worker, scratch):
    """Counts by name. @scratch: directories that only this worker and its clients write to."""
    pids = family(worker)
    return {
        "processes": len(pids),
        "fds": descriptors(pids),
        "mounts": lines("/proc/self/mountinfo") + sum(lines(f"/proc/{pid}/mountinfo") for pid in pids),
        "namespaces": len(namespaces(pids)),
        "cgroups": groups(pids),
        "directories": sum(folders(top) for top in scratch),
    }


def settled(worker, scratch):
    """A snapshot once two in a row agree: the kernel frees namespaces a little later."""
    last = None
    for _ in range(50):
        now = snapshot(worker, scratch)
        if now == last:
            return now
        last = now
        time.sleep(0.1)
    return last
