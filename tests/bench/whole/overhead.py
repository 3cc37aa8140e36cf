"""What a program that runs feels: the same static program inside and outside, by turns, both on a tmpfs."""

import os
import shutil
import statistics
import subprocess
import tempfile

from common import MOUNT, Table, Trouble, command, stats
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

PATH = "/usr/local/bin:/usr/bin:/bin"
LOOPS = ("getppid", "stat", "compile")


PROMISED = ("stat", "compile")


def parse(text):
    """{loop: (seconds it took, seconds that its best part took of a processor)}"""
    return {name: (int(ns) / 1e9, int(best) / 1e9) for name, ns, best in (line.split("\t") for line in text.splitlines())}


def overhead(bench):
    is_small = bench.options.rounds < 10
    compiles = 0 if shutil.which("gcc", path=PATH) is None else 1
    loops = LOOPS if compiles else LOOPS[:2]
    if not compiles:
        bench.note("gcc is not installed, no compile loop")
    args = ["10" if is_small else "50", str(compiles)]
    spec = sb.SandboxSpec(profile="python-dev", network=sb.Network(mode=sb.NETWORK_MODE_NONE),
                          mounts=[sb.Mount(source=bench.inside, target=MOUNT, mode=sb.MOUNT_MODE_RO)])
    box = bench.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id
    request = api.RunRequest(target=ex.ExecTarget(sandbox_id=box), exec=command(f"{MOUNT}/loops", *args, cwd="/tmp"))
    space = tempfile.mkdtemp(prefix="aisbx-bench.", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else bench.dir)

    def inside():
        reply = bench.client.sandboxes.Run(request)
        if reply.exec.verdict.exit_code != 0:
            raise Trouble(f"loops: {reply.exec.verdict.message} {reply.stderr.decode(errors='replace')}")
        return parse(reply.stdout.decode())

    def outside():
        done = subprocess.run([os.path.join(bench.inside, "loops"), *args], cwd=space, capture_output=True, text=True, check=True,
                              env={"PATH": PATH, "HOME": "/tmp", "TMPDIR": space, "LANG": "C.UTF-8"})
        return parse(done.stdout)
    seen = {inside: [], outside: []}
    try:
        for act in (inside, outside):
            act()
        for i in range(bench.options.rounds):  # short turns: who else is there stays for longer
            for act in ((inside, outside), (outside, inside))[i % 2]:
                seen[act].append(act())
    finally:
        shutil.rmtree(space, ignore_errors=True)
        bench.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
    worst = None
    for loop in loops:
        table = Table(f"overhead_{loop}", f"{loop} loop", ratios=("plain",))
        for key, title, act in (("plain", "no sandbox", outside), ("ours", "in a sandbox", inside)):
            table.add(key, title, stats([one[loop][0] for one in seen[act]], 1e3))
        # Other work on the machine only ever takes away: of each turn the best part counts, of the turns the middle one.
        middle = {act: statistics.median(one[loop][1] for one in seen[act]) for act in seen}
        percent = (middle[inside] / middle[outside] - 1) * 100
        table.rows["ours"]["note"] = f"{percent:+.1f} % of a processor's time"
        if loop in PROMISED:
            worst = percent if worst is None else max(worst, percent)
        bench.table(table)
    bench.figure("overhead", worst)
