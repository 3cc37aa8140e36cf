"""Complete sandboxes a second: made, true run in them, and gone."""

from common import Table, stats
import peers

CLIENTS = (1, 16, 64)
LOOPS = 2  # of processes: what two processors can do


def throughput(bench):
    here = peers.installed(bench)
    ours = ("grpc", "run", "strict", "-", "/bin/true")
    rows = [("true", "no sandbox, 2 loops", [("true", "process", "/bin/true")], LOOPS, ()),
            ("bwrap", "bubblewrap, 2 loops", [("bwrap", "process", *peers.bwrap("/bin/true"))], LOOPS, ())]
    rows += [(f"grpc_{n}", f"gRPC Run, {n} client{'s' * (n > 1)}", [ours], n, ()) for n in CLIENTS]
    if "crun" in here:
        crun = here["crun"]
        rows.append(("crun", "crun, 2 loops", [("crun", "process", *crun.args(i)) for i in range(LOOPS)], LOOPS, crun.around))
    rates = {key: [] for key, *_ in rows}
    each = {key: [] for key, *_ in rows}
    for _ in range(3 if bench.options.rounds >= 10 else 1):
        for key, _, acts, clients, around in rows:
            rate, _, took = bench.load(acts, clients, bench.options.seconds, around)
            rates[key].append(rate)
            each[key] += took
    table = Table("throughput", "sandboxes a second", unit="/s", ratios=("bwrap",), more_is_better=True)
    slow = Table("throughput_each", "how long each took meanwhile", ratios=("bwrap",))
    for key, title, *_ in rows:
        table.add(key, title, stats(rates[key]))
        slow.add(key, title, stats(each[key], 1e3))
    bench.table(table)
    bench.table(slow)
    for peer in ("bwrap", "crun"):
        if peer in rates:
            ours, true = (table.rows[key]["p50"] / table.rows[peer]["p50"] for key in ("grpc_16", "true"))
            bench.figure(f"rate_{peer}", ours, bound=true)
