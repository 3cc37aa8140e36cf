"""Two gateways and four workers, and what may happen to them, under runs that never stop.

"cluster.py BIN SCRATCH RUNS": a worker is killed, one stops in good order, one is added, a gateway is killed. Prints what became
of every run, and fails unless each was done once, or was told to be lost with its worker."""

import collections
import json
import sqlite3
import sys
import threading
import time

from net import Net
from parts import Client, Gateway, Worker, certificates

BIN, SCRATCH, RUNS = sys.argv[1], sys.argv[2], int(sys.argv[3])
THREADS = 12
BOXES = 24  # that last


class Run:
    """One act that a client wants done. A new request_id only where it was told what became of the old one: that it is with a lost
    worker, or was cancelled with the gateway that asked for it."""

    def __init__(self, number):
        self.number, self.tries, self.ids, self.told_lost, self.cut = number, 0, [f"run-{number}"], 0, 0
        self.exec_id, self.phase = None, None

    def trace(self):
        return f"00-{self.number:032x}-{len(self.ids):016x}-01"


class Cluster:
    def __init__(self):
        self.net = Net(SCRATCH)
        self.parts, self.gateways, self.workers, self.all_workers = [], [], {}, []

    def start(self):
        certificates(SCRATCH)
        for number in range(1, 5):
            self.add_worker(number)
        for number in range(1, 3):
            self.gateways.append(Gateway(self.net, BIN, f"g{number}", 20 + number))

    def add_worker(self, number):
        worker = Worker(self.net, BIN, f"w{number}", 10 + number)
        self.workers[worker.name] = worker
        self.all_workers.append(worker)
        return worker

    def close(self):
        for part in self.gateways + self.all_workers:
            if part.lives():
                part.kill()
        self.net.close()


class Load:
    """Clients that take runs off a list, each from whichever gateway is there; never far ahead of what happens to the cluster."""

    def __init__(self, cluster):
        self.cluster, self.lock, self.next, self.done, self.failures = cluster, threading.Lock(), 1, [], []
        self.phase, self.reached, self.allowed = "four workers", threading.Condition(self.lock), RUNS // 10
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(THREADS)]

    def work(self, n):
        client = Client(self.cluster.net)
        try:
            while True:
                with self.lock:
                    while self.allowed < self.next <= RUNS and not self.failures:
                        self.reached.wait()
                    if self.next > RUNS or self.failures:
                        return
                    run, self.next = Run(self.next), self.next + 1
                self.carry_out(client, run, n)
                with self.lock:
                    self.done.append(run)
                    self.reached.notify_all()
        except Exception as error:  # pylint: disable=broad-except
            with self.lock:
                self.failures.append(repr(error))
                self.reached.notify_all()

    def carry_out(self, client, run, n):
        until = time.monotonic() + 300
        while run.exec_id is None:
            assert time.monotonic() < until, f"run {run.number} has no end"
            run.tries += 1
            gateway = self.cluster.gateways[(n + run.tries) % len(self.cluster.gateways)]
            body = {"target": {"new_sandbox": {}}, "exec": {"command": {"args": ["/bin/true"]}}}
            headers = {"traceparent": run.trace(), "Idempotency-Key": run.ids[-1]}
            try:
                status, answer = client.ask(gateway, "POST", "/run", body, headers)
            except OSError:
                continue  # the other gateway, with the same request_id
            if status == 200:
                verdict = answer["exec"]["verdict"]["kind"]
                if verdict == "cancelled":  # with the connection of the gateway that was killed; so it is told
                    run.cut += 1
                    run.ids.append(f"run-{run.number}-{len(run.ids)}")
                    continue
                assert verdict == "exited", answer["exec"]["verdict"]
                run.phase, run.exec_id = self.phase, answer["exec"]["exec_id"]
            elif status == 409 and "worker_lost" in answer["detail"]:
                run.told_lost += 1
                run.ids.append(f"run-{run.number}-{len(run.ids)}")
            elif status != 503 and status != 429:
                raise AssertionError(f"run {run.number}: {status} {answer}")
            else:
                time.sleep(0.1)

    def wait_for(self, share):
        with self.lock:
            self.allowed = RUNS * (share + 0.05)
            self.reached.notify_all()
            while len(self.done) < RUNS * share and not self.failures:
                assert self.reached.wait(600), "the runs do not go on"
        assert not self.failures, self.failures[:3]


# ---- what must hold ----

def boxes_that_last(cluster, client):
    """Sandboxes, of which each worker has some."""
    boxes = []
    while len(boxes) < BOXES or any(sum(w.has(b) for b in boxes) < 2 for w in cluster.workers.values()):
        status, answer = client.ask(cluster.gateways[len(boxes) % 2], "POST", "/sandboxes", {})
        assert status == 201, answer
        boxes.append(answer["sandbox_id"])
    return boxes


def look_at_boxes(cluster, client, boxes, lost):
    """Each of a lost worker's is told as lost by every gateway, each other one is there. Returns how many were lost."""
    n = 0
    for box in boxes:
        for gateway in cluster.gateways:
            status, answer = client.ask(gateway, "GET", f"/sandboxes/{box}")
            if any(worker.has(box) for worker in lost):
                assert status in (404, 503) and "worker_lost" in answer["detail"], (box, status, answer)
                n += 1
            else:
                assert status == 200, (box, status, answer)
    return n


def records_of(worker):
    """{(trace, try): [(outcome, exec_id, detail)]} of the starts in its audit, whatever became of it."""
    found = collections.defaultdict(list)
    with sqlite3.connect(f"{worker.state}/aisbx.db") as database:
        for outcome, exec_id, detail in database.execute("SELECT outcome, exec_id, detail FROM audit WHERE action = 'exec.start'"):
            detail = json.loads(detail)
            if "traceparent" in detail:
                _, trace, attempt, _ = detail["traceparent"].split("-")
                found[int(trace, 16), int(attempt, 16)].append((outcome, exec_id, detail))
    return found


def count_acts(cluster, runs):
    """From what the workers wrote down before they acted: (done twice, not done, done and told as lost)."""
    where = collections.defaultdict(set)
    for worker in cluster.all_workers:
        for key, records in records_of(worker).items():
            refused = sum(outcome in ("failed", "denied") for outcome, _, _ in records)
            begun = sum(outcome == "allowed" for outcome, _, _ in records)
            execs = {exec_id for outcome, exec_id, _ in records if outcome == "ended"}
            # Begun and not refused: it ran there, or its worker died meanwhile.
            if begun > refused:
                where[key] |= {(worker.name, exec_id) for exec_id in execs} or {(worker.name, "?")}
    doubled = [key for key, places in where.items() if len(places) > 1]
    by_name = {worker.name: worker for worker in cluster.all_workers}

    def was_done(run):
        """An answer may be out before its end is written down, when the worker is killed in between; its beginning never is."""
        return any(exec_id == run.exec_id or (exec_id == "?" and by_name[name].has(run.exec_id)) for name, exec_id in where[run.number, len(run.ids)])

    lost = [run.number for run in runs if not was_done(run)]
    told = sum(bool(where.get((run.number, attempt))) for run in runs for attempt in range(1, len(run.ids)))
    return doubled, lost, told


def shares(runs, workers, phase):
    """How many of a phase each worker had, and the farthest from even, in percent."""
    counts = {worker.name: sum(worker.has(run.exec_id) for run in runs if run.phase == phase) for worker in workers}
    even = sum(counts.values()) / len(counts)
    return counts, max(abs(count - even) for count in counts.values()) / even * 100


def repeat_some(cluster, client, runs):
    """The same request_id again gives the same exec, from the other gateway too, as long as its worker is there."""
    live = [worker for worker in cluster.all_workers if worker.lives()]
    chosen = [run for run in runs if any(worker.has(run.exec_id) for worker in live)][-50:]
    for run in chosen:
        body = {"target": {"new_sandbox": {}}, "exec": {"command": {"args": ["/bin/true"]}}}
        status, answer = client.ask(cluster.gateways[-1], "POST", "/run", body, {"Idempotency-Key": run.ids[-1]})
        assert status == 200 and answer["exec"]["exec_id"] == run.exec_id, (run.number, status, answer)
    return len(chosen)


def main(cluster):
    begin = time.monotonic()
    cluster.start()
    client = Client(cluster.net)
    boxes = boxes_that_last(cluster, client)
    four = list(cluster.workers.values())
    load = Load(cluster)
    for thread in load.threads:
        thread.start()
    load.wait_for(0.4)
    killed = cluster.workers["w1"]
    load.phase = "w1 is killed"
    killed.kill()
    load.wait_for(0.45)
    n_lost = look_at_boxes(cluster, client, boxes, [killed])
    cluster.net.name("w1", None)
    load.wait_for(0.5)
    load.phase = "w2 stops"
    leaving = cluster.workers["w2"]
    cluster.net.name("w2", None)
    assert leaving.end() == 0, "w2 did not end well"
    load.wait_for(0.6)
    load.phase = "w5 is added"
    cluster.add_worker(5)
    for gateway in cluster.gateways:
        while client.ask(gateway, "GET", "/worker/load")[1].get("slots") != 3 * 1024:
            time.sleep(0.1)
    load.wait_for(0.7)
    load.phase = "three workers"
    load.wait_for(0.95)
    load.phase = "g1 is killed"
    gone = cluster.gateways.pop(0)
    gone.kill()
    for thread in load.threads:
        thread.join()
    assert not load.failures, load.failures[:3]
    runs = load.done
    n_told = look_at_boxes(cluster, client, boxes, [killed, leaving])
    n_repeated = repeat_some(cluster, client, runs)
    doubled, lost, told = count_acts(cluster, runs)
    first, first_off = shares(runs, four, "four workers")
    last, last_off = shares(runs, [cluster.workers[name] for name in ("w3", "w4", "w5")], "three workers")
    print(f"{len(runs)} runs by {THREADS} clients in {time.monotonic() - begin:.0f} s; {sum(run.tries > 1 for run in runs)} of them took more than one try, "
          f"{sum(run.told_lost > 0 for run in runs)} were told to be lost with their worker, {sum(run.cut > 0 for run in runs)} to be cancelled with their gateway")
    print(f"doubled {len(doubled)}, lost {len(lost)}, begun, cut short and told so {told}; repeated with the same request_id {n_repeated}, done again 0")
    print(f"sandboxes of the killed worker told as worker_lost: {n_lost} of {n_lost} questions; of the killed and the stopped one at the end: {n_told}")
    print(f"placement of four workers {first}, off even by {first_off:.1f} %; of three {last}, by {last_off:.1f} %")
    assert len(runs) == RUNS and not doubled and not lost, (doubled[:5], lost[:5])
    assert n_lost > 0 and n_told > 0
    if RUNS >= 5000:  # fewer are a matter of luck
        assert first_off <= 20 and last_off <= 20, (first_off, last_off)


made = Cluster()
try:
    main(made)
except BaseException:
    for part in made.all_workers + made.gateways:
        print(f"---- {part.name}\n{part.said()[-3000:]}", file=sys.stderr)
    raise
finally:
    made.close()
