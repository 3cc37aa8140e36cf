"""Everybody comes at once: creates that are all asked for before the first is answered, and what it leaves behind."""

import threading
import time

import grpc

from common import Table, stats, text_of
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
import density

CLIENTS = 16
SLICES = 3  # of each rate


def burst(bench):
    def rates():
        acts = [("grpc", "run", "strict", "-", "/bin/true")]
        return [bench.load(acts, CLIENTS, bench.options.seconds)[0] for _ in range(SLICES)]
    creates = bench.options.burst
    before = rates()
    took, boxes, errors, lock = [], [], [], threading.Lock()
    request = api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict"))
    calls = []

    def ask():
        began = time.monotonic()
        call = bench.client.sandboxes.CreateSandbox.future(request, timeout=120)

        def ended(call):
            with lock:
                try:
                    boxes.append(call.result().sandbox.sandbox_id)
                    took.append(time.monotonic() - began)
                except grpc.RpcError as error:
                    errors.append(text_of(error))
        call.add_done_callback(ended)
        calls.append(call)
    for _ in range(creates):
        ask()
    for call in calls:
        call.exception()  # waits
    until = time.monotonic() + 10  # callbacks come a little later
    while len(took) + len(errors) < creates and time.monotonic() < until:
        time.sleep(0.05)
    density.destroy(bench.client, boxes)
    at_once = rates()
    time.sleep(bench.options.after)
    after = rates()
    table = Table("burst", f"{creates} creates at once")
    table.add("create", "CreateSandbox by gRPC", stats(took, 1e3), note=f"{len(errors)} failed", errors=len(errors))
    bench.table(table)
    if errors:
        bench.note(f"burst: {errors[0]}")
    bench.figure("burst_failed", len(errors))
    table = Table("burst_rate", f"sandboxes a second, {CLIENTS} clients", unit="/s", ratios=("before",), more_is_better=True)
    for key, title, rate in (("before", "before the burst", before), ("at_once", "at once after it", at_once),
                             ("after", f"{bench.options.after:g} s later", after)):
        table.add(key, title, stats(rate))
    bench.table(table)
    bench.figure("burst_after", table.rows["after"]["x"]["before"])
