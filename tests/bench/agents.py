#!/usr/bin/python3
"""What agents do all day, next to what one would do without: by turns in the same run.

  agents.py [--rounds N] [--json FILE] [--only NAME,...] [--no-gate]

  execute   a piece of code in an interpreter that lives on, next to an interpreter started for each piece
  fork      8 sandboxes that begin with a workspace of 200 MB, next to 8 times cp -r
  batch     100 cases in one RunBatch, next to 100 calls of Run
  files     200 MB into a sandbox and out of it, next to cp on this disk
  attach    200 MB of output that is kept, read by AttachExec

Ratios carry from machine to machine, milliseconds and MB/s do not. Ends with 1 when a promise is not kept: see PROMISES."""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

import grpc

import aisbx
from aisbx.v1 import context_service_pb2 as cx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import file_service_pb2 as fs
from aisbx.v1 import file_service_pb2_grpc as fs_rpc
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

# What is compared with, divided by ours, of the medians: at least this much. Chosen with room below what a busy machine of two
# processors gave.
PROMISES = {
    "execute": (3, "a piece of code is done 3 times as fast as by an interpreter of its own"),
    "fork": (3, "8 forks of a 200 MB workspace take a third of what 8 copies take"),
    "batch": (1, "100 cases in one batch take no longer than 100 runs"),
    "files": (0.05, "a file goes in and out at a twentieth of the speed of cp, with a client in Python"),
}
MB = 1000 * 1000
SIZE = 200 * MB
PIECE = 64 << 10

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--json", metavar="FILE")
parser.add_argument("--only", default="execute,fork,batch,files,attach")
parser.add_argument("--no-gate", action="store_true")
parser.add_argument("address")
options = parser.parse_args()

LARGE = [("grpc.max_receive_message_length", 8 << 20)]
client = aisbx.connect(options.address, options=LARGE)
files = fs_rpc.FileServiceStub(grpc.insecure_channel(options.address, LARGE))
PROFILE = "bench"  # python-dev with room for 200 MB, see tests/bench/bench
figures = {}


def took(act, *args):
    before = time.perf_counter()
    act(*args)
    return time.perf_counter() - before


def by_turns(rounds, **acts):
    """{name: [seconds]} of acts, one after the other, round by round."""
    all_ = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            all_[name].append(took(act))
    return all_


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def say(name, seconds, note=""):
    figures[name] = {"n": len(seconds), "median_ms": statistics.median(seconds) * 1e3, "p99_ms": percentile(seconds, 0.99) * 1e3,
                     "worst_ms": max(seconds) * 1e3}
    print(f"{name:34} n {len(seconds):4}  median {figures[name]['median_ms']:9.2f} ms  p99 {figures[name]['p99_ms']:9.2f} ms  {note}", flush=True)


def rate(name, seconds, size=SIZE):
    say(name, seconds, f"{size / MB / statistics.median(seconds):7.0f} MB/s")
    figures[name]["mb_s"] = size / MB / statistics.median(seconds)


def ratio(name, other, ours):
    value = statistics.median(other) / statistics.median(ours)
    figures[name] = {"ratio": value}
    print(f"{name:34} x{value:.2f}", flush=True)
    return value


# ---- short ways ----

def make():
    spec = sb.SandboxSpec(profile=PROFILE)
    return client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id


def destroy(box):
    client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))


def command(*args):
    return ex.ExecSpec(command=ex.Command(args=args))


def run(box, *args):
    reply = client.sandboxes.Run(api.RunRequest(target=ex.ExecTarget(sandbox_id=box), exec=command(*args)))
    if reply.exec.verdict.exit_code != 0:
        sys.exit(f"{args}: {reply.exec.verdict.message} {reply.stderr}")
    return reply.stdout


# ---- what is measured ----

def execute():
    """A context, and python3 -c in the same sandbox."""
    box = make()
    made = client.contexts.CreateContext(cx.CreateContextRequest(sandbox_id=box, language="python"))
    request = cx.ExecuteCodeRequest(context_id=made.context.context_id, code="x = 6 * 7; print(x)")

    def piece():
        events = list(client.contexts.ExecuteCode(request))
        if events[-1].ended.verdict.exit_code != 0:
            sys.exit(f"a piece of code failed: {events}")

    def whole():
        run(box, "python3", "-c", "x = 6 * 7; print(x)")
    piece()
    whole()
    all_ = by_turns(options.rounds * 40, piece=piece, whole=whole)
    say("execute: context", all_["piece"])
    say("execute: an interpreter each", all_["whole"])
    destroy(box)
    return ratio("execute", all_["whole"], all_["piece"])


def fork(scratch):
    """A workspace of 200 MB in 400 files."""
    box = make()
    run(box, "python3", "-c", "import os\nfor i in range(400):\n    os.makedirs(f'd{i % 20}', exist_ok=True)\n"
                              "    open(f'd{i % 20}/{i}', 'wb').write(os.urandom(500_000))\n")
    source = os.path.join(scratch, "source")
    for i in range(400):
        os.makedirs(f"{source}/d{i % 20}", exist_ok=True)
        with open(f"{source}/d{i % 20}/{i}", "wb") as file:
            file.write(os.urandom(500_000))
    made = []

    def forks():
        made[:] = [s.sandbox_id for s in client.sandboxes.ForkSandbox(api.ForkSandboxRequest(sandbox_id=box, count=8)).sandboxes]

    def copies():
        for i in range(8):
            os.system(f"cp -r {source} {scratch}/copy{i}")
    all_ = {"forks": [], "copies": []}
    for _ in range(options.rounds):
        all_["forks"].append(took(forks))
        all_["copies"].append(took(copies))
        for i, fork_box in enumerate(made):
            destroy(fork_box)
            shutil.rmtree(f"{scratch}/copy{i}")
    say("fork: 8 of 200 MB", all_["forks"])
    say("fork: 8 times cp -r", all_["copies"])
    destroy(box)
    shutil.rmtree(source)
    return ratio("fork", all_["copies"], all_["forks"])


def batch():
    """cat, with 100 inputs: a sandbox for each in both."""
    spec = sb.SandboxSpec(profile="strict")
    cases = [api.BatchCase(case_id=str(i), stdin=b"%d\n" % i, expected_stdout=b"%d\n" % i) for i in range(100)]

    def one():
        passed = sum(reply.passed for reply in client.sandboxes.RunBatch(api.RunBatchRequest(sandbox=spec, run=command("cat"), cases=cases)))
        if passed != 100:
            sys.exit(f"{passed} of 100 cases passed")

    def many():
        for case in cases:
            reply = client.sandboxes.Run(api.RunRequest(target=ex.ExecTarget(new_sandbox=spec), exec=command("cat"), stdin=case.stdin))
            if reply.stdout != case.stdin:
                sys.exit("a run failed")
    one()
    all_ = by_turns(options.rounds, one=one, many=many)
    say("batch: 100 cases", all_["one"])
    say("batch: 100 runs", all_["many"])
    return ratio("batch", all_["many"], all_["one"])


def transfer(scratch):
    box = make()
    path = fs.FilePath(path="/workspace/large")
    source = os.path.join(scratch, "large")
    data = os.urandom(PIECE)
    with open(source, "wb") as file:
        for _ in range(SIZE // PIECE):
            file.write(data)
    size = SIZE // PIECE * PIECE

    def messages():
        yield fs.WriteFileRequest(header=fs.WriteFileHeader(sandbox_id=box, file=path))
        piece = fs.WriteFileRequest(data=data)
        for _ in range(SIZE // PIECE):
            yield piece

    def upload():
        files.WriteFile(messages())

    def download():
        got = sum(len(reply.data) for reply in files.ReadFile(fs.ReadFileRequest(sandbox_id=box, file=path)))
        if got != size:
            sys.exit(f"{got} of {size} bytes came")

    def copy():
        os.system(f"cp {source} {source}.copy")
    all_ = by_turns(options.rounds, upload=upload, download=download, copy=copy)
    for name in ("upload", "download", "copy"):
        rate(f"files: {name if name != 'copy' else 'cp'}", all_[name], size)
    destroy(box)
    return min(ratio("files: upload next to cp", all_["copy"], all_["upload"]),
               ratio("files: download next to cp", all_["copy"], all_["download"]))


def attach():
    box = make()
    program = command("head", "-c", str(SIZE), "/dev/zero")
    program.background = True
    started = next(iter(client.sandboxes.StartExec(api.StartExecRequest(target=ex.ExecTarget(sandbox_id=box), exec=program))))
    request = api.AttachExecRequest(exec_id=started.event.started.exec.exec_id)

    def read():
        got = sum(len(reply.event.output.data) for reply in client.sandboxes.AttachExec(request))
        if got != SIZE:
            sys.exit(f"{got} of {SIZE} bytes came")
    read()
    rate("attach", [took(read) for _ in range(options.rounds)])
    destroy(box)


def main():
    broken = []
    scratch = tempfile.mkdtemp(prefix="aisbx-bench.")
    measures = {"execute": execute, "fork": lambda: fork(scratch), "batch": batch, "files": lambda: transfer(scratch), "attach": attach}
    try:
        for name in options.only.split(","):
            got = measures[name]()
            if name in PROMISES and got < PROMISES[name][0]:
                broken.append(f"not kept: {PROMISES[name][1]} (x{got:.2f}, promised x{PROMISES[name][0]})")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    print("\n".join(broken) or "all promises kept")
    return 1 if broken and not options.no_gate else 0


sys.exit(main())
