"""The gateway next to servers on the official SDKs of MCP, by tests/bench/mcp_compare, which tells more by itself."""

import json
import os
import subprocess

from common import Table, Trouble

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
TITLES = {"aisbx": "aisbx-mcp's layer", "SDK 2": "TypeScript SDK 2", "SDK 1": "TypeScript SDK 1"}


def mcp(bench):
    if not os.path.isdir(os.path.join(ROOT, "tests/mcp/node_modules")):
        bench.note("MCP next to the TypeScript SDK is left out: npm packages are not there (./dev bench mcp fetches them)")
        return
    path = os.path.join(bench.dir, "mcp.json")
    rounds = "3" if bench.options.rounds >= 10 else "1"
    done = subprocess.run([os.path.join(ROOT, "tests/bench/mcp_compare"), "--quick", "--no-gate", "--rounds", rounds, "--seconds",
                           str(bench.options.seconds), "--json", path], capture_output=True, text=True,
                          env={**os.environ, "AISBX_BUILD": bench.build}, check=False)
    if done.returncode != 0:
        raise Trouble(f"mcp_compare: {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}")
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    for transport in ("http", "stdio"):
        rows = [row for row in report if row["transport"] == transport]
        rate = Table(f"mcp_{transport}", f"calls of an MCP tool by {transport}, 16 under way", unit="/s", ratios=("SDK 2",),
                     more_is_better=True)
        slow = Table(f"mcp_{transport}_each", "how long each took", unit="us", ratios=("SDK 2",))
        for row in rows:
            one = {"n": row["rounds"], **{q: row["rps"] for q in ("min", "p50", "p95", "p99", "max")}}
            rate.add(row["name"], TITLES[row["name"]], one, note=f"{row['rss_kib'] / 1024:.0f} MiB, {row['errors']} errors")
            each = {q: row["p50_us"] for q in ("min", "p50")} | {q: row["p99_us"] for q in ("p95", "p99", "max")}
            slow.add(row["name"], TITLES[row["name"]], {"n": row["rounds"], **each})
        bench.table(rate)
        bench.table(slow)
        bench.figure(f"mcp_{transport}", rate.rows["aisbx"]["x"]["SDK 2"])
        if transport == "http":
            bench.figure("mcp_p50", slow.rows["aisbx"]["x"]["SDK 2"])
