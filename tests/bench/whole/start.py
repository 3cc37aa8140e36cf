"""What a start costs: a whole command, and a call until the first byte of output, next to others by turns; and its tails."""

from common import MOUNT, Table, stats
import peers

SLOW_ROUNDS = 10  # of those that take long
# Before each act: the worker makes a new sandbox in place of one that it gave away, and that is nobody else's time. What comes
# without a pause, and so pays for that, is in throughput.py.
PAUSE = ("pause", "spin", 10)


def spaced(*acts):
    return [line for act in acts for line in (PAUSE, act)]


def start(bench):
    here = peers.installed(bench)
    rounds = bench.options.rounds
    true = peers.bwrap_with_workspace(bench, "/bin/true")
    took = bench.turns(spaced(
        ("true", "process", "/bin/true"), ("client", "process", "aisbx", "--version"),
        ("cli", "process", "aisbx", "run", "--", "true"), ("bwrap", "process", *true),
        ("grpc", "run", "strict", "-", "/bin/true"), ("bwrap_noop", "talk", *peers.bwrap_noop(bench)),
        ("plain", "talk", bench.noop), ("noop", "stream", "strict", bench.inside, f"{MOUNT}/noop")), rounds)

    table = Table("start", "start of true, to its end", ratios=("bwrap", "true"))
    for key, title in (("true", "no sandbox"), ("bwrap", "bubblewrap"), ("cli", "aisbx run, worker up"), ("grpc", "gRPC Run")):
        table.add(key, title, stats(took[key][1], 1e3))
    both = [sum(two) for two in zip(took["client"][1], took["true"][1])]
    table.add("bound", "no sandbox: aisbx --version, then true", stats(both, 1e3))
    bench.table(table)
    bench.figure("cli_warm", table.rows["cli"]["x"]["bwrap"], bound=table.rows["bound"]["x"]["bwrap"])

    table = Table("first", "first byte of a static no-op", ratios=("bwrap", "plain"))
    for key, name, title in (("plain", "plain", "vfork and exec, no sandbox"), ("bwrap", "bwrap_noop", "bubblewrap"),
                             ("grpc", "noop", "gRPC StartExec in a new sandbox")):
        table.add(key, title, stats(took[name][0], 1e3))
    bench.table(table)
    bench.figure("noop_first", table.rows["grpc"]["x"]["plain"], bound=1)

    # A worker of its own: it is ended again and again.
    took = bench.turns([
        ("true", "process", "/bin/true"), ("bwrap", "process", *true), ("cold", "cold", "aisbx", "run", "--", "true")],
        rounds, which="user", calls=False)
    table = Table("cold", "start of true, and of the worker", ratios=("bwrap", "true"))
    for key, title in (("true", "no sandbox"), ("bwrap", "bubblewrap"), ("cold", "aisbx run, worker starts too")):
        table.add(key, title, stats(took[key][1], 1e3))
    bench.table(table)
    bench.figure("cli_cold", table.rows["cold"]["x"]["bwrap"])

    table = Table("peers", "start of true, others", ratios=("bwrap",))
    anchors = []
    for key, way in here.items():  # each by turns with bubblewrap, as not all can be measured by the same process
        took = bench.turns([("bwrap", "process", *true), (key, "process", *way.args())], min(rounds, SLOW_ROUNDS), calls=False,
                           around=way.around)
        anchors += took["bwrap"][1]
        table.add("bwrap", "bubblewrap", stats(anchors, 1e3))
        table.add(key, way.title, stats(took[key][1], 1e3))
    if here:
        bench.table(table)


def tails(bench):
    took, hits, of = bench.from_pool(bench.turns, spaced(
        ("plain", "talk", bench.noop), ("noop", "stream", "strict", bench.inside, f"{MOUNT}/noop")), bench.options.rounds * 10)
    table = Table("tails", "from the request to the first byte", ratios=("plain",))
    table.add("plain", "vfork and exec, no sandbox", stats(took["plain"][0], 1e3))
    table.add("grpc", "gRPC StartExec in a new sandbox", stats(took["noop"][0], 1e3), note=f"{hits} of {of} from the pool")
    bench.table(table)
    bench.figure("noop_tail", table.rows["grpc"]["p99"] / table.rows["grpc"]["p50"])
