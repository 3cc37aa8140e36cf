"""stress.py [--seconds N] [--quick] [--json] [CLASS...]: stress-ng in a sandbox, one class after the other.

Three properties of each class: the host answers no slower than twice as slow as when idle, all that the sandbox had is
gone afterwards, and the verdict names the limit that was met. What the host feels is measured in short windows, idle
and under stress by turns, since the machine may have other work that comes and goes."""

import argparse
import glob
import json
import os
import select
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from leftovers import family, namespaces, numeric, read, settled, started, ticks  # noqa: E402

ROUND_S = 5  # of stress, after as much without
QUICK_S = 2
SETTLE_S = 0.7  # until the stressors run
CPUS = 1.0  # of profile.yaml
FACTOR = 2.0  # what the host may answer slower
SHARES = ("cpu.idle", "cpu.weight", "cpu.shares")
SLACK_US = 60  # below that nothing is felt, and a clock says little

# Options of stress-ng, and the limits of which the verdict must name at least one ("" where the kernel tells nobody).
# What init sees once a second may be missed in a short run, and forks that end at once need a processor's time to become
# many; the ceilings show both for certain.
CLASSES = {
    "fork": (["--fork", "4", "--fork-max", "64"], {"pids"}),
    "vm": (["--vm", "2", "--vm-bytes", "400m"], {"memory"}),
    "shm": (["--shm", "2", "--shm-bytes", "200m"], {"memory", "disk"}),
    "pipe": (["--pipe", "4", "--pipe-size", "1m"], {"cpu"}),
    "sock": (["--sock", "4", "--udp", "2"], {"cpu"}),
    "hdd": (["--hdd", "2", "--hdd-bytes", "200m"], {"disk"}),
    "timer": (["--timer", "4", "--timer-freq", "100000"], {"cpu", "signals"}),
    "inotify": (["--inotify", "4"], {"cpu", ""}),
    "fd": (["--open", "4", "--dup", "4"], {"open_files", "cpu"}),
}
CLASSES["all"] = ([word for args, _ in CLASSES.values() for word in args], {"pids", "memory", "disk"})

# Of these the kernel keeps no count: init looks.
SEEN = {"disk", "open_files"}

# What the profile and the sandbox's namespaces give; see ceilings.py. Of inotify nobody tells but the error itself.
CEILINGS = {
    "processes": ("EAGAIN", lambda n: 32 <= n < 64, "pids of 64", "pids"),
    "timers": ("EAGAIN", lambda n: 3900 <= n <= 4096, "RLIMIT_SIGPENDING of 4096", "signals"),
    "inotify": ("EMFILE", lambda n: n <= 16, "user.max_inotify_instances of 16, of the user namespace", ""),
    "disk": ("ENOSPC", lambda n: n == 1024, "tmpfs of 64 MiB, in pieces of 64 KiB (disk)", "disk"),
    "descriptors": ("EMFILE", lambda n: 240 <= n <= 256, "RLIMIT_NOFILE of 256 (open_files)", "open_files"),
}


class Sampler:
    """latency.py in a process of its own, outside."""

    def __init__(self, path):
        command = [sys.executable, os.path.join(HERE, "latency.py"), path]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, seconds, meanwhile=lambda: None):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        while not select.select([self.process.stdout], [], [], 0.5)[0]:
            meanwhile()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Worker:
    """A worker of our own, its sandboxes, and what they left."""

    def __init__(self, bin_dir, scratch, weight):
        self.bin, self.scratch = bin_dir, scratch
        self.address = f"unix:{scratch}/worker.sock"
        reader, writer = os.pipe()
        self.log = open(f"{scratch}/worker.log", "w", encoding="utf-8")
        command = [f"{bin_dir}/aisbx-worker", "--listen", self.address, "--config", f"{HERE}/profile.yaml"]
        command += ["--state-dir", f"{scratch}/state", "--ready-fd", str(writer), "--cpu-weight", weight]
        command += ["--pool", "0B"]  # what waits for its use would count as left
        self.process = subprocess.Popen(command, pass_fds=[writer], stderr=self.log)
        os.close(writer)
        with os.fdopen(reader) as file:
            ready = file.readline()
        if not ready.startswith("READY"):
            sys.exit(f"the worker does not start: {ready}{read(f'{scratch}/worker.log')[-500:]}")
        self.namespaces, self.uids = set(), set()
        self.runs = []  # namespaces of each, and when it had ended
        for _ in range(2):  # the first ones make what stays: groups, the proxy, buffers
            self.run(["true"])
        self.before = settled(self.process.pid, [scratch])
        self.own = namespaces([os.getpid(), *family(self.process.pid)])

    def start(self, command, options=()):
        argv = [f"{self.bin}/aisbx", "--address", self.address, "run", "--profile", "stress", "--no-workspace", "--json"]
        return subprocess.Popen([*argv, *options, "--", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        out, err = process.communicate()
        self.runs.append((self.namespaces, ticks()))
        self.namespaces = set()
        try:
            return json.loads(out)
        except ValueError:
            sys.exit(f"no result: {out[-300:]}{err[-300:]}")

    def run(self, command, options=()):
        return self.finish(self.start(command, options))

    def look(self):
        """Notes the namespaces and user ids that sandboxes have now."""
        pids = family(self.process.pid)
        self.namespaces |= namespaces(pids) - self.own
        for pid in pids:
            try:
                self.uids.add(os.stat(f"/proc/{pid}").st_uid)
            except OSError:
                pass
        self.uids -= {0, os.getuid(), os.stat(f"/proc/{self.process.pid}").st_uid}

    def survivors(self):
        """Processes that are still in a namespace of a sandbox, wherever they went. The kernel gives the number of a
        namespace that is gone to a new one: who started later is another's."""
        found = []
        for pid in numeric("/proc"):
            spaces, since = namespaces([pid]), started(pid)
            if any(spaces & seen and 0 < since < ended - 1 for seen, ended in self.runs):
                found.append(pid)
        return found

    def objects(self):
        """Shared memory, queues and files on the host that belong to a sandbox's user or to stress-ng."""
        found = []
        for kind in ("shm", "sem", "msg"):
            rows = [line.split() for line in read(f"/proc/sysvipc/{kind}").splitlines()]
            at = rows[0].index("uid")
            found += [f"{kind} {row[1]}" for row in rows[1:] if int(row[at]) in self.uids]
        for top in ("/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp"):
            try:
                entries = list(os.scandir(top))
            except OSError:
                continue
            for entry in entries:
                try:
                    uid = entry.stat(follow_symlinks=False).st_uid
                except OSError:
                    continue
                if uid in self.uids or "stress-ng" in entry.name:
                    found.append(entry.path)
        return found

    def left(self):
        """What is there now and was not before, in words; empty: nothing."""
        end = time.monotonic() + 5
        while True:
            now = settled(self.process.pid, [self.scratch])
            words = [f"{now[name] - was} {name}" for name, was in self.before.items() if now[name] > was]
            words += [f"process {pid}" for pid in self.survivors()] + self.objects()
            if not words or time.monotonic() > end:
                self.runs.clear()
                return words

    def wrong_weights(self, weight):
        """What the groups of all its sandboxes together say of their share, where it is not what was asked."""
        found = []
        for pid in family(self.process.pid):
            for base in glob.glob(f"/sys/fs/cgroup/**/aisbx-{pid}", recursive=True):
                found += [f"{name} {read(f'{base}/{name}').strip()}" for name in SHARES if os.path.exists(f"{base}/{name}")]
        if not found:
            return []  # no groups, which degraded says
        if weight == "idle" and any(text.startswith("cpu.idle") for text in found):
            return [] if "cpu.idle 1" in found else found
        number = 1 if weight == "idle" else int(weight)
        wanted = (f"cpu.weight {number}", f"cpu.shares {1024 if number == 100 else number * 1024 // 100 + 2}")
        return [] if any(text in wanted for text in found) else found

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def middle(windows, name, part):
    return round(statistics.median(quantile(window[name], part) for window in windows))


def compare(idle, loaded):
    """Of each measure p50, p95, p99 and max, idle and under stress: the median of the windows, since other work of the
    machine falls into some of them."""
    parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        name: {key: [middle(idle, name, part), middle(loaded, name, part)] for key, part in parts.items()}
        for name in ("timer", "spawn", "file")
    }


def slower(numbers):
    """What is slower than it may be, median of windows against median of windows: the worst idle one would forgive all
    that other work of the machine happens to do."""
    found = []
    for part in ("p50", "p95"):
        idle, loaded = numbers[part]
        if loaded > max(FACTOR * idle, idle + SLACK_US):
            found.append(f"{part} {idle} -> {loaded} us")
    return found


def named(result):
    return sorted(v["subject"] for v in result["verdict"]["violations"] if v["kind"] == "limit")


def counts_by_groups(verdict):
    return not any(text.startswith("cgroup:") for text in verdict["degraded"])


class Stress:
    def __init__(self, options, worker, sampler):
        self.options, self.worker, self.sampler = options, worker, sampler

    def one_run(self, args, seconds, loaded):
        command = ["stress-ng", *args, "--timeout", f"{seconds}s", "--temp-path", "/tmp"]
        process = self.worker.start(command)
        if loaded is None:
            while process.poll() is None and not select.select([process.stdout], [], [], 0.2)[0]:
                self.worker.look()
        else:
            time.sleep(SETTLE_S)
            loaded.append(self.sampler.measure(max(seconds - SETTLE_S - 0.5, 0.5), self.worker.look))
        return self.worker.finish(process)

    def run_class(self, name):
        args, limits = CLASSES[name]
        seconds = self.options.seconds
        rounds = 1 if self.options.quick else max(1, round(seconds / ROUND_S))
        idle, loaded = [], []
        met, wrong, kinds, most_cpu = set(), [], set(), 0.0
        for _ in range(rounds):
            if not self.options.quick:
                idle.append(self.sampler.measure(seconds / rounds))
            result = self.one_run(args, seconds / rounds, None if self.options.quick else loaded)
            verdict = result["verdict"]
            met.update(named(result))
            kinds.add(verdict["kind"])
            usage = verdict["usage"]
            most_cpu = max(most_cpu, (usage["cpu_user_us"] + usage["cpu_system_us"]) / 1000 / max(usage["wall_ms"], 1))
            has_groups = counts_by_groups(verdict)
            # Without groups each process has less memory than a stressor needs, which gives up then.
            is_short = has_groups and verdict["kind"] == "exited" and usage["wall_ms"] < 900 * seconds / rounds
            if "dispatching hogs" not in result["stderr"] or is_short:
                wrong.append(f"stress-ng did not run: {verdict['message']}; {result['stderr'][-300:]}")
        left = self.worker.left()
        if left:
            wrong.append("left behind: " + ", ".join(left[:10]))
        if not has_groups or (self.options.quick and limits & (SEEN | {"pids"})):
            limits = limits | {""}  # nobody counts, which the verdict says, or it was too short a time
        if "cpu" in limits and (self.options.quick or most_cpu < 0.9 * CPUS):
            limits = limits | {""}  # the machine gave it less than its quota, or not for as long as it takes to tell
        if not met & limits and "" not in limits:
            wrong.append(f"the verdict names {', '.join(sorted(met)) or 'no limit'}, not {' or '.join(sorted(limits))}")
        row = {"class": name, "seconds": seconds, "kinds": sorted(kinds), "cpus": round(most_cpu, 2), "limits": sorted(met), "left": left}
        if not self.options.quick:
            row["host_us"] = compare(idle, loaded)
            for key, numbers in row["host_us"].items():
                slow = slower(numbers)
                if slow:
                    wrong.append(f"the host's {key} is slower: {', '.join(slow)}")
        row["wrong"] = wrong
        return row

    def ceilings(self):
        """The limits that no stressor meets for long, and that the verdict names them all the same."""
        script = read(os.path.join(HERE, "ceilings.py"))
        result = self.worker.run(["/usr/bin/python3", "-c", script])
        try:
            found = json.loads(result["stdout"])
        except ValueError:
            return {"class": "ceilings", "wrong": [f"no numbers: {result['verdict']['message']}; {result['stderr'][-300:]}"]}
        met, wrong, text = named(result), [], {}
        untold = set()
        if os.stat("/proc/self/fd").st_size == 0:  # before Linux 6.2
            untold.add("open_files")
        if not counts_by_groups(result["verdict"]):
            untold.add("pids")
        for name, (error, fits, what, limit) in CEILINGS.items():
            count = found[name]["count"]
            text[name] = f"{count}, then {found[name]['error'] or 'no end'}: {what}"
            if found[name]["error"] != error or not fits(count):
                wrong.append(f"{name}: {text[name]} was expected")
            if limit and limit not in met and limit not in untold:
                wrong.append(f"{name}: the verdict does not name {limit}")
        text["pipes"] = f"{found['pipes']['bytes'] >> 20} MiB in {found['pipes']['count']}, then {found['pipes']['error'] or 'no end'}"
        weight = self.options.cpu_weight
        found_weights = self.worker.wrong_weights(weight)
        if found_weights:
            wrong.append(f"--cpu-weight {weight} is {', '.join(found_weights)} in the groups")
        left = self.worker.left()
        if left:
            wrong.append("left behind: " + ", ".join(left[:10]))
        return {"class": "ceilings", "limits": met, "found": text, "left": left, "wrong": wrong}


def show(row):
    print(
        f"{row['class']:9} limits named: {', '.join(row.get('limits', [])) or '-'}; left behind: {len(row.get('left', []))}"
        + (f"; used {row['cpus']} CPU" if "cpus" in row else "")
    )
    for key, numbers in row.get("host_us", {}).items():
        ratios = "  ".join(f"{part} {pair[0]:>6} -> {pair[1]:>6} ({pair[1] / max(pair[0], 1):.2f})" for part, pair in numbers.items())
        print(f"          {key:6} us  {ratios}")
    for key, text in row.get("found", {}).items():
        print(f"          {key:12} {text}")
    for text in row["wrong"]:
        print(f"          FAILED: {text}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--bin", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=60, help="of stress for each class (60)")
    parser.add_argument("--cpu-weight", help="of the worker: idle is for a machine that has to answer (idle; with --quick 10)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_S} s a class, and the host is not measured")
    parser.add_argument("--json", action="store_true", help="one JSON object a class")
    parser.add_argument("classes", nargs="*", metavar="CLASS", help="of " + ", ".join(CLASSES))
    options = parser.parse_args()
    unknown = [name for name in options.classes if name not in CLASSES]
    if unknown:
        parser.error(f"no such class: {', '.join(unknown)}; there are {', '.join(CLASSES)}")
    if options.quick:
        options.seconds = QUICK_S
    # What gets only what is left may get nothing while other tests run.
    options.cpu_weight = options.cpu_weight or ("10" if options.quick else "idle")
    worker = Worker(options.bin, options.scratch, options.cpu_weight)
    sampler = None if options.quick else Sampler(os.path.join(options.scratch, "sample"))
    stress = Stress(options, worker, sampler)
    failed = []
    try:
        for step in [*(lambda n=name: stress.run_class(n) for name in options.classes or CLASSES), stress.ceilings]:
            row = step()
            if row["wrong"]:
                failed.append(row["class"])
            if options.json:
                print(json.dumps(row), flush=True)
            else:
                show(row)
    finally:
        if sampler is not None:
            sampler.close()
        worker.close()
    print(f"failed: {', '.join(failed)}" if failed else "all properties hold", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
