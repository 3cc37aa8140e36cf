#!/usr/bin/python3
"""What sandboxes cost, next to what one would use without, by turns in the same run.

  start       aisbx run of true with and without a worker, gRPC until the first byte of a static no-op; next to no sandbox,
              bubblewrap, and crun, runc, runsc, firejail and sandbox-runtime where they are installed
  script      print(1) and console.log(1) by source in a new sandbox, next to python3 -c and node -e
  throughput  complete sandboxes a second by 1, 16 and 64 clients, next to bubblewrap in 2 loops
  tails       from the request to the first byte: p50, p95, p99, max
  density     memory of parked, idle and running sandboxes, of worker and spawner
  overhead    what programs feel while they run: getppid, stat, a compiler
  rpc         unary calls of our gRPC layer a second, next to the C++ library's
  mcp         calls of a tool of MCP a second, next to the TypeScript SDK's servers; ./dev bench mcp tells more
  burst       500 creates at once, and the rate before, after and a minute later (with --long, or by name)

Ratios carry from machine to machine, milliseconds do not. At the end each promise with what was measured.

examples:
  ./dev bench                                   everything but the burst: about five minutes
  ./dev bench --long --json f.json --svg f.svg  the burst, too, 1000 live sandboxes, and all of it as a file and as a page
  ./dev bench --install-peers --only start,throughput
                                                crun, runc and firejail are fetched and measured, too
  ./dev bench --only density --density 1000     memory of 1000 sandboxes
  ./dev bench --only rpc --seconds 4            one part, for longer"""

import argparse
import os
import sys

import common
import plot
from burst import burst
from density import density
from mcp import mcp
from overhead import overhead
from rpc import rpc
from script import script
from start import start, tails
from throughput import throughput

PARTS = {"start": start, "script": script, "throughput": throughput, "tails": tails, "density": density, "overhead": overhead,
         "rpc": rpc, "mcp": mcp, "burst": burst}


def number(kind, least, most):
    def parse(text):
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{least}..{most}")
        return value
    return parse


def parse():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME,...", help="these parts")
    parser.add_argument("--long", action="store_true", help="the burst, too, and 1000 sandboxes at once")
    parser.add_argument("--rounds", type=number(int, 1, 10000), default=50, metavar="N", help="of each thing (50)")
    parser.add_argument("--seconds", type=number(float, 0.1, 600), default=2, metavar="S", help="of each load (2)")
    parser.add_argument("--density", type=number(int, 1, 1000), metavar="N", help="sandboxes at once (200)")
    parser.add_argument("--burst", type=number(int, 1, 1000), default=500, metavar="N", help="creates at once (500)")
    parser.add_argument("--after", type=number(float, 0, 3600), default=60, metavar="S", help="of rest after them (60)")
    parser.add_argument("--install-peers", action="store_true", help="./dev bench installs crun, runc, firejail and the C++ library "
                        "of gRPC first")
    parser.add_argument("--json", metavar="FILE", help="all figures")
    parser.add_argument("--svg", metavar="FILE", help="a page with bars")
    parser.add_argument("--strict", action="store_true", help="end with 1 when a promise is missed")
    parser.add_argument("dir", help=argparse.SUPPRESS)  # scratch, of tests/bench/bench
    options = parser.parse_args()
    options.density = options.density or (1000 if options.long else 200)
    default = [name for name in PARTS if name != "burst" or options.long]
    options.only = options.only.split(",") if options.only else default
    for name in options.only:
        if name not in PARTS:
            parser.error(f"no part {name}; there are: {', '.join(PARTS)}")
    return options


def main():
    options = parse()
    bench = common.Bench(options, options.dir)
    os.makedirs(bench.work)
    try:
        bench.start()
        machine = common.machine(bench)
    except common.TROUBLES as trouble:
        common.die(common.text_of(trouble))
    print(f"{common.describe(machine)}; {options.rounds} rounds by turns", flush=True)
    if machine["load"] > machine["processors"] / 2:
        bench.note(f"the machine is busy (load {machine['load']:.1f}): medians are to be taken with care, tails not at all")
    failed = []
    for name in options.only:
        try:
            PARTS[name](bench)
        except common.TROUBLES as trouble:
            failed.append(name)
            bench.note(f"{name} could not be measured: {common.text_of(trouble)}")
    judged = bench.judge()
    report = {"machine": machine, "rounds": options.rounds, "parts": options.only,
              "tables": {table.key: table.as_json() for table in bench.tables}, "promises": judged, "notes": bench.notes}
    if options.json:
        common.write_json(options.json, report)
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(plot.draw(report, common.describe(machine)))
    missed = any(one["verdict"] == "MISSED" for one in judged)
    return 1 if failed or missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
