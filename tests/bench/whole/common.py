"""What the parts of the benchmark share: measuring by turns, figures, tables, and what is promised."""

import contextlib
import json
import os
import subprocess
import sys
import time

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import worker_service_pb2 as ws

MOUNT = "/opt/bench"  # where acts bind a directory, see tests/bench/act.h


class Trouble(Exception):
    """Something could not be measured; the text is for the user."""


class Promise:
    def __init__(self, part, text, limit, unit="x", at_least=False):
        self.part, self.text, self.limit, self.unit, self.at_least = part, text, limit, unit, at_least

    def is_kept(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


# By the name of their figure.
PROMISES = {
    "cli_warm": Promise("start", "aisbx run of true, worker up, next to bubblewrap", 0.40),
    "cli_cold": Promise("start", "aisbx run of true, worker starts too, next to bubblewrap", 1.5),
    "noop_first": Promise("start", "first byte of a static no-op by gRPC, next to vfork and exec, p50", 1.5),
    "noop_tail": Promise("tails", "the same, p99 next to its own p50", 4),
    "python": Promise("script", "first byte of print(1) in a new sandbox, next to python3 -c", 0.1),
    "node": Promise("script", "first byte of console.log(1) in a new sandbox, next to node -e", 0.15),
    "rate_bwrap": Promise("throughput", "sandboxes a second, 16 clients, next to bubblewrap in 2 loops", 4, at_least=True),
    "rate_crun": Promise("throughput", "likewise, next to crun in 2 loops", 10, at_least=True),
    "parked_kb": Promise("density", "memory of a parked sandbox", 320, "kB"),
    "running_kb": Promise("density", "memory of a sandbox that runs sleep", 600, "kB"),
    "worker_mb": Promise("density", "memory of the worker with all of them (RSS)", 40, "MB"),
    "rpc": Promise("rpc", "unary calls of gRPC a second, 16 under way, next to the C++ library", 1.0, at_least=True),
    "mcp_http": Promise("mcp", "calls of an MCP tool a second over HTTP, next to TypeScript SDK 2", 10, at_least=True),
    "mcp_p50": Promise("mcp", "likewise, how long one takes, p50", 0.25),
    "mcp_stdio": Promise("mcp", "calls of an MCP tool a second over pipes, next to TypeScript SDK 2", 3, at_least=True),
    "burst_failed": Promise("burst", "of creates that come all at once, how many fail", 0, ""),
    "burst_after": Promise("burst", "sandboxes a second a minute after them, next to before", 0.9, at_least=True),
    "overhead": Promise("overhead", "what a running program feels, of a processor: the worse of stat and a compiler", 3, "%"),
}


def quantile(values, share):
    """values are sorted."""
    return values[min(len(values) - 1, int(share * (len(values) - 1) + 0.5))]


def stats(values, scale=1.0):
    values = sorted(v * scale for v in values)
    if not values:
        raise Trouble("no samples")
    return {"n": len(values), "min": values[0], "p50": quantile(values, 0.5), "p95": quantile(values, 0.95),
            "p99": quantile(values, 0.99), "max": values[-1]}


class Table:
    """Rows of one measurement. Ratios are of the medians, to the row of that key."""

    def __init__(self, key, title, unit="ms", ratios=(), more_is_better=False):
        self.key, self.title, self.unit, self.ratios, self.more_is_better = key, title, unit, ratios, more_is_better
        self.rows = {}

    def add(self, key, title, figures, **more):
        self.rows[key] = {"title": title, **figures, **more}

    def finish(self):
        for row in self.rows.values():
            row["x"] = {to: row["p50"] / self.rows[to]["p50"] for to in self.ratios
                        if to in self.rows and self.rows[to]["p50"] > 0}

    def print(self):
        heads = [f"x {to}" for to in self.ratios]
        print(f"\n{self.title:44}" + "".join(f"{h:>9}" for h in heads)
              + "".join(f"{h:>9}" for h in ("p50", "p95", "p99", "max")) + f" {self.unit:7}{'n':>6}")
        for row in self.rows.values():
            print(f"  {row['title']:42}" + "".join(f"{row['x'][to]:9.2f}" if to in row["x"] else f"{'':9}" for to in self.ratios)
                  + "".join(f"{row[h]:9.2f}" for h in ("p50", "p95", "p99", "max")) + f" {'':7}{row['n']:6}"
                  + (f"  {row['note']}" if row.get("note") else ""), flush=True)

    def as_json(self):
        return {"title": self.title, "unit": self.unit, "more_is_better": self.more_is_better, "rows": self.rows}


class Bench:
    """One run. dir: scratch, removed by who made it. bin, build: where programs are."""

    def __init__(self, options, place):
        self.options = options
        self.dir, self.bin, self.build = place, os.environ["AISBX_BIN"], os.path.dirname(os.environ["AISBX_BIN"])
        self.inside = os.path.join(self.build, "tests/bench/inside")
        self.noop = os.path.join(self.inside, "noop")
        self.work = os.path.join(self.dir, "work")
        self.socket = os.path.join(self.env()["AISBX_RUNTIME_DIR"], "worker.sock")
        self.tables, self.figures, self.bounds, self.notes = [], {}, {}, []
        self.peers = None  # see peers.installed

    def env(self, which="run"):
        """which: of the worker that the command line finds, and starts when there is none."""
        return {**os.environ, "AISBX_RUNTIME_DIR": os.path.join(self.dir, which),
                "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def start(self):
        """An embedded worker, as a user of the command line has it."""
        done = subprocess.run(["aisbx", "run", "--", "true"], cwd=self.work, env=self.env(), capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise Trouble(f"aisbx run: {done.stderr.strip()}")
        self.client = aisbx.connect(f"unix:{self.socket}")

    # ---- measuring ----

    def _tool(self, name, lines, args, env, around=()):
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        done = subprocess.run([*around, os.path.join(self.build, "tests/bench", name), *map(str, args)], input=text,
                              cwd=self.work, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(done.stderr.strip()[-500:] or f"{name} ended with {done.returncode}")
        return done

    def turns(self, acts, rounds, which="run", calls=True, around=()):
        """{name: ([seconds until the first byte], [seconds until the end])} of acts done by turns; see tests/bench/act.h.
        around: a command that runs what measures."""
        args = ["--rounds", rounds] + (["--address", f"grpc+unix:{self.socket}"] if calls else [])
        took = {}
        for line in self._tool("bench_turns", acts, args, self.env(which), around).stdout.splitlines():
            name, first, whole = line.split("\t")
            firsts, wholes = took.setdefault(name, ([], []))
            firsts.append(int(first) / 1e9)
            wholes.append(int(whole) / 1e9)
        return took

    def load(self, acts, clients, seconds, around=()):
        """(done a second, failed, [seconds each took]) of acts by several at a time, the first client the first, and so on."""
        args = ["--clients", clients, "--seconds", seconds, "--address", f"grpc+unix:{self.socket}"]
        done = self._tool("bench_load", acts, args, self.env(), around)
        head, *each = done.stdout.splitlines()
        n, failed, ns = map(int, head.split("\t"))
        if failed:
            self.note(f"{acts[0][0]}, {clients} clients: {failed} failed: {done.stderr.strip()}")
        if not each:
            raise Trouble(f"{acts[0][0]}, {clients} clients: none ended in {seconds} s; {done.stderr.strip()}")
        return n / (ns / 1e9), failed, [int(line) / 1e9 for line in each]

    @contextlib.contextmanager
    def worker(self, *args):
        """(client, pid) of a worker of its own."""
        name = f"w{time.monotonic_ns()}"
        ready, said = os.pipe()
        address = f"unix:{self.dir}/{name}.sock"
        with open(os.path.join(self.dir, "worker.log"), "ab") as log:
            process = subprocess.Popen(
                [os.path.join(self.bin, "aisbx-worker"), "--state-dir", f"{self.dir}/{name}.state", "--audit", "commit",
                 "--die-with-parent", "--ready-fd", str(said), "--listen", address, *args],
                pass_fds=(said,), stderr=log, stdin=subprocess.DEVNULL)
        os.close(said)
        try:
            with os.fdopen(ready) as line:
                if not (first := line.readline()).startswith("READY"):
                    raise Trouble(f"worker: {first.strip() or 'it did not start'}")
            with aisbx.connect(address) as client:
                yield client, process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def from_pool(self, act, *args):
        """(what act gives, how many requests found a sandbox that waited for them meanwhile, of how many)."""
        def now():
            return [metric(self.client, "aisbx_pool_requests_total", **labels) for labels in ({"outcome": "hit"}, {})]
        before = now()
        took = act(*args)
        return took, *(int(a - b) for a, b in zip(now(), before))

    # ---- telling ----

    def note(self, text):
        self.notes.append(text)
        print(f"  note: {text}", flush=True)

    def table(self, table):
        table.finish()
        table.print()
        self.tables.append(table)

    def figure(self, name, value, bound=None):
        """value: None: it was not to be had. bound: what the same figure is of the program without a sandbox."""
        self.figures[name], self.bounds[name] = value, bound

    def judge(self):
        """Prints each promise; returns them for the report."""
        judged = []
        print(f"\n{'promised':78}{'limit':>11}{'measured':>13}")
        for name, promise in PROMISES.items():
            value, bound = self.figures.get(name), self.bounds.get(name)
            verdict = "not measured" if value is None else "ok" if promise.is_kept(value) else "MISSED"
            limit = f"{'>=' if promise.at_least else '<='} {promise.limit:g} {promise.unit}"
            print(f"  {promise.text:76}{limit:>11}{'' if value is None else f'{value:.2f} {promise.unit}':>13}  {verdict}"
                  + ("" if bound is None else f"; without a sandbox {bound:.2f} {promise.unit}"))
            judged.append({"name": name, "text": promise.text, "limit": promise.limit, "at_least": promise.at_least,
                           "unit": promise.unit, "value": value, "bound": bound, "verdict": verdict})
        return judged


def metric(client, name, **labels):
    families = client.worker.GetMetrics(ws.GetMetricsRequest()).families
    return sum(s.value for f in families if f.name == name for s in f.samples
               if all(s.labels.get(k) == v for k, v in labels.items()))


def command(*args, **more):
    return ex.ExecSpec(command=ex.Command(args=args), **more)


def machine(bench):
    """What the figures are of."""
    def first(path, key):
        with open(path, encoding="utf-8", errors="replace") as lines:
            return next((line.split(sep, 1)[1].strip().strip('"') for line in lines for sep in (":", "=")
                         if line.startswith(key) and sep in line), "")
    info = bench.client.worker.GetInfo(ws.GetInfoRequest())
    return {"cpu": first("/proc/cpuinfo", "model name") or os.uname().machine, "processors": os.cpu_count(),
            "memory_gib": round(int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1), "kernel": os.uname().release,
            "system": first("/etc/os-release", "PRETTY_NAME"), "load": os.getloadavg()[0], "aisbx": info.version, "mode": info.mode,
            "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def describe(of):
    return (f"{of['cpu']}, {of['processors']} processors, {of['memory_gib']} GiB, Linux {of['kernel']}, {of['system']}; "
            f"aisbx {of['aisbx']} as {of['mode']}, {of['when']}")


def write_json(path, report):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


TROUBLES = (Trouble, grpc.RpcError, OSError, subprocess.SubprocessError)


def text_of(trouble):
    return f"{trouble.code().name}: {trouble.details()}" if isinstance(trouble, grpc.RpcError) else str(trouble)


def die(text):
    sys.exit(f"bench: {text}")
