"""What one, two and four workers do, each with the same small share of a processor. "scale.py BIN SCRATCH SECONDS"."""

import os
import statistics
import sys
import threading
import time

from net import Net
from parts import Client, Gateway, Worker, certificates

BIN, SCRATCH, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
SECONDS = 10 if SECONDS > 600 else SECONDS  # run's default is a number of runs
SHARE = float(os.environ.get("AISBX_SHARE", "0.1"))  # of one processor, for a worker and all that runs in it
THREADS = 16
PERIOD_US = 20000
V1, V2 = "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"


def make_group(name):
    """A control group with that share; its limits hold for sandboxes, too."""
    if os.path.exists(f"{V1}/cpu.cfs_quota_us") or os.path.exists(f"{V1}/cpu.shares"):
        path = f"{V1}/{name}"
        os.mkdir(path)
        settings = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(int(PERIOD_US * SHARE))}
    else:
        with open(f"{V2}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write("+cpu")
        path = f"{V2}/{name}"
        os.mkdir(path)
        settings = {"cpu.max": f"{int(PERIOD_US * SHARE)} {PERIOD_US}"}
    for setting, value in settings.items():
        with open(f"{path}/{setting}", "w", encoding="ascii") as file:
            file.write(value)
    return path


def remove_group(path):
    """With what is left below it."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            pass


def run_body():
    return {"target": {"new_sandbox": {}}, "exec": {"command": {"args": ["/bin/true"]}}}


def throughput(net, gateway):
    """Runs a second that ended well."""
    counts, until = [0] * THREADS, time.monotonic() + SECONDS

    def work(n):
        client = Client(net)
        while time.monotonic() < until:
            status, answer = client.ask(gateway, "POST", "/run", run_body())
            counts[n] += status == 200 and answer["exec"]["verdict"]["kind"] == "exited" and time.monotonic() < until

    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def latencies(net, gateways, box):
    """Medians of one question to each, by turns, in microseconds."""
    client, times = Client(net), {gateway.name: [] for gateway in gateways}
    for number in range(600):
        gateway = gateways[number % len(gateways)]
        begin = time.monotonic()
        status, answer = client.ask(gateway, "GET", f"/sandboxes/{box}")
        times[gateway.name].append(time.monotonic() - begin)
        assert status == 200, answer
        time.sleep(0.005)  # within the worker's share
    return [statistics.median(times[gateway.name]) * 1e6 for gateway in gateways]


def main(net, parts, groups):
    certificates(SCRATCH)
    workers = []
    for number in range(1, 5):
        groups.append(make_group(f"cluster-{os.getpid()}-{number}"))
        workers.append(Worker(net, BIN, f"w{number}", 10 + number, groups[-1], ["--pool", "0B"]))
        parts.append(workers[-1])
        net.name(workers[-1].name, None)
    net.name("w1", workers[0].address)
    many = Gateway(net, BIN, "g1", 21)
    one = Gateway(net, BIN, "g2", 22, None)
    parts += [many, one]
    client, rates = Client(net), {}
    for n in (1, 2, 4):
        for worker in workers[:n]:
            net.name(worker.name, worker.address)
        while int(client.ask(many, "GET", "/worker/load")[1].get("slots", 0)) < n * 1024:
            time.sleep(0.1)
        rates[n] = throughput(net, many)
        print(f"{n} workers with {SHARE:.0%} of a processor each: {rates[n]:.1f} runs/s, {rates[n] / (rates[1] * n):.2f} of linear", flush=True)
    box = client.ask(one, "POST", "/sandboxes", {})[1]["sandbox_id"]
    before, behind = latencies(net, [one, many], box)
    print(f"GetSandbox: {before:.0f} us by a gateway of one worker, {behind:.0f} us by one of four: {behind - before:+.0f} us")
    return min(rates[n] / (rates[1] * n) for n in (2, 4))


net_made, parts_made, groups_made = Net(SCRATCH), [], []
try:
    WORST = main(net_made, parts_made, groups_made)
except BaseException:
    for part in parts_made:
        print(f"---- {part.name}\n{part.said()[-2000:]}", file=sys.stderr)
    raise
finally:
    for part in parts_made:
        if part.lives():
            part.kill()
    net_made.close()
    time.sleep(0.5)
    for made in groups_made:
        remove_group(made)
if WORST < 0.85:
    print(f"less than 0.85 of linear: {WORST:.2f}")
    sys.exit(1)
