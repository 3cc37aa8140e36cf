"""Unary calls of gRPC: our layer and the C++ library, each with a server and a client of its own, by turns."""

import contextlib
import os
import resource
import subprocess

from common import Table, Trouble, stats

LIVE = (1, 16, 64)
PROMISED = 16  # calls under way
ROUNDS = 12  # of short slices, so that what else the machine does hits both alike
HERE = os.path.dirname(os.path.realpath(__file__))


def _peer(bench):
    """The program, or None and a note."""
    if given := os.environ.get("AISBX_RPC_PEER"):
        return given
    path = os.path.join(bench.build, "tests/bench/rpc_peer")
    done = subprocess.run([os.path.join(HERE, "../peer/build"), path], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        bench.note(f"gRPC next to C++ is left out: {done.stdout.strip()} (./dev bench --install-peers)")
        return None
    if done.returncode != 0:
        raise Trouble(f"rpc_peer.cc does not build: {done.stderr.strip()[-300:]}")
    return path


@contextlib.contextmanager
def _server(program, address):
    process = subprocess.Popen([program, "--serve", address], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        if not process.stdout.readline():
            raise Trouble(f"{program} does not serve")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as line:
        return sum(map(int, line.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def _load(bench, program, address, live, server):
    """(calls a second, p99 in us, us of processors for a call)."""
    def used():
        of = resource.getrusage(resource.RUSAGE_CHILDREN)
        return of.ru_utime + of.ru_stime + _cpu_s(server)
    before = used()
    done = subprocess.run([program, "--load", address, str(live), str(int(bench.options.seconds * 1000 / 4) or 1)],
                          capture_output=True, text=True, env=bench.env(), check=False)
    if done.returncode != 0 or len(figures := done.stdout.split()) != 5:
        raise Trouble(f"{os.path.basename(program)}: {done.stderr.strip()}")
    n, failed, ns, _, p99 = map(int, figures)
    if n == 0 or failed:
        raise Trouble(f"{os.path.basename(program)}: {n} calls, {failed} failed")
    return n / (ns / 1e9), p99, 1e6 * (used() - before) / n


def rpc(bench):
    peer = _peer(bench)
    if peer is None:
        return
    ours = os.path.join(bench.build, "tests/bench/bench_rpc")
    sockets = [f"unix:{bench.dir}/rpc-{name}.sock" for name in ("ours", "peer")]
    took = {(name, live): [] for name in ("ours", "cpp") for live in LIVE}
    with _server(ours, sockets[0]) as our_pid, _server(peer, sockets[1]) as peer_pid:
        for _ in range(ROUNDS if bench.options.rounds >= 10 else 1):
            for live in LIVE:
                took["ours", live].append(_load(bench, ours, f"grpc+{sockets[0]}", live, our_pid))
                took["cpp", live].append(_load(bench, peer, sockets[1], live, peer_pid))
    titles = {"ours": "our layer, client and server", "cpp": "C++ library, client and server"}
    for live in LIVE:
        table = Table(f"rpc_{live}", f"gRPC calls a second, {live} under way", unit="/s", ratios=("cpp",), more_is_better=True)
        cost = Table(f"rpc_cost_{live}", f"processors for a call, {live} under way", unit="us", ratios=("cpp",))
        for name, title in titles.items():
            figures = took[name, live]
            table.add(name, title, stats([rate for rate, _, _ in figures]),
                      note=f"p99 of a call {stats([p99 for _, p99, _ in figures])['p50']:.0f} us")
            cost.add(name, title, stats([us for _, _, us in figures]))
        bench.table(table)
        bench.table(cost)
        if live == PROMISED:
            bench.figure("rpc", table.rows["ours"]["x"]["cpp"])
