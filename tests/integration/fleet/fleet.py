"""One gateway is as good as another before three workers, whatever happens to these. "fleet.py BIN SCRATCH"."""

import json
import re
import signal
import threading

import rig

started = []


def start(made):
    started.append(made)
    return made


def decoded(run):
    return run.json().get("stdout", "")


LOOPBACK = "auth: {loopback: user}\n"


MANY = 120  # profiles of one worker: more than it is asked for at once


class Fleet:
    def __init__(self):
        more = {2: "profiles: {only-there: {extends: strict}, same-name: {extends: strict}}\n", 1: "profiles: {same-name: {extends: minimal}}\n",
                0: "profiles: {" + ", ".join(f"many-{i:03}: {{extends: strict}}" for i in range(MANY)) + "}\n"}
        self.workers = [start(rig.Worker(f"worker{i}", options=["--drain-grace", "10m"], says=LOOPBACK + more.get(i, ""))) for i in range(3)]
        self.names = ",".join(worker.address() for worker in self.workers)
        self.gateways = [start(rig.Gateway(f"gateway{i}", self.names)) for i in range(2)]

    def owner(self, some_id):
        return next(worker for worker in self.workers if worker.has(some_id))


def an_id_begins_as_its_workers(fleet, boxes):
    for box in boxes:
        assert sum(worker.has(box) for worker in fleet.workers) == 1, box


def spread(fleet, n):
    """At least n sandboxes, and at least two on each worker: best of two leaves none out for long."""
    boxes = []
    while len(boxes) < n or any(sum(worker.has(box) for box in boxes) < 2 for worker in fleet.workers):
        assert len(boxes) < 200, "some worker is never chosen"
        boxes.append(fleet.gateways[len(boxes) % 2].create(labels={"n": str(len(boxes))}))
    return boxes


def both_gateways_reach_every_sandbox(fleet, boxes):
    for box in boxes:
        for number, gateway in enumerate(fleet.gateways):
            assert gateway.get(f"/sandboxes/{box}").json()["sandbox_id"] == box
            path = f"/sandboxes/{box}/files/content?file=/tmp/f{number}"
            gateway.ask("PUT", path, box.encode() * 1000, {"Content-Type": "application/octet-stream"}, 200)
        for number in range(2):
            path = f"/sandboxes/{box}/files/content?file=/tmp/f{number}"
            assert fleet.gateways[1 - number].get(path).body == box.encode() * 1000
        run = fleet.gateways[0].run("/bin/echo", box, sandbox=box)
        assert decoded(run) == box + "\n" and run.json()["exec"]["exec_id"].startswith("ex_" + box[3:9])


def pages(gateway, path, size, item):
    found, token = [], ""
    while True:
        page = gateway.get(f"{path}{'&' if '?' in path else '?'}page_size={size}&page_token={token}").json()
        assert len(page.get(item, [])) <= size
        found += page.get(item, [])
        token = page.get("next_page_token", "")
        if not token:
            return found


def lists_come_whole_and_newest_first(fleet, boxes):
    for size in (1, 2, 3, 1000):
        listed = pages(fleet.gateways[size % 2], "/sandboxes", size, "sandboxes")
        assert sorted(box["sandbox_id"] for box in listed) == sorted(boxes), size
        times = [box["create_time"] for box in listed]
        assert times == sorted(times, reverse=True), times
    records = pages(fleet.gateways[0], "/security/audit?action=sandbox.create", 5, "records")
    assert {record["sandbox_id"] for record in records if record.get("sandbox_id")} >= set(boxes)
    execs = pages(fleet.gateways[0], "/execs", 2, "execs")
    assert len({one["exec_id"] for one in execs}) == len(execs) >= len(boxes)


def a_page_goes_on_where_the_last_item_is_gone(fleet):
    made = [fleet.gateways[0].create(profile="strict", labels={"page": "1"}) for _ in range(6)]
    first = fleet.gateways[0].get("/sandboxes?page_size=3").json()
    fleet.gateways[1].ask("DELETE", f"/sandboxes/{first['sandboxes'][-1]['sandbox_id']}", status=200)
    rest = pages_from(fleet.gateways[1], first["next_page_token"])
    shown = [box["sandbox_id"] for box in first["sandboxes"]]
    assert not set(shown) & set(rest) and set(made) <= set(shown) | set(rest), (shown, rest)
    for box in set(made) - {shown[-1]}:
        fleet.gateways[0].ask("DELETE", f"/sandboxes/{box}", status=200)


def pages_from(gateway, token):
    found = []
    while token:
        page = gateway.get(f"/sandboxes?page_size=3&page_token={token}").json()
        found += [box["sandbox_id"] for box in page.get("sandboxes", [])]
        token = page.get("next_page_token", "")
    return found


def an_operator_sees_every_worker(fleet):
    """By their unix sockets, where who started them is an admin."""
    gateway = start(rig.Gateway("gateway-unix", ",".join(f"unix:{rig.SCRATCH}/{worker.name}.sock" for worker in fleet.workers)))
    load = gateway.get("/worker/load").json()
    assert int(load["slots"]) == 3 * 1024, load
    text = gateway.metrics()
    for worker in fleet.workers:
        name = f"unix:{rig.SCRATCH}/{worker.name}.sock"
        assert f'aisbx_gateway_workers{{worker="{name}",state="serving"}} 1' in text, text
        assert re.search(rf'^aisbx_sandbox_slots{{worker="{re.escape(name)}"', text, re.M), text
    assert text.count("# TYPE aisbx_sandbox_slots ") == 1
    drained = fleet.workers[2]
    gateway.ask("PUT", "/worker/draining", {"draining": True, "worker_id": drained.id}, status=200)
    for number in range(30):
        made = fleet.gateways[number % 2].run("/bin/true").json()["exec"]["exec_id"]
        assert not drained.has(made), made
    gateway.ask("PUT", "/worker/draining", {"draining": False, "worker_id": drained.id}, status=200)
    rig.until("it gets something again", lambda: drained.has(fleet.gateways[0].run("/bin/true").json()["exec"]["exec_id"]))
    assert gateway.end() == 0


def profiles_of_all_are_listed_once(fleet):
    """By name; where workers differ the list says which."""
    whole = fleet.gateways[0].get("/profiles?page_size=1000").json()
    listed = {one["name"]: one.get("differs_on", []) for one in whole["profiles"]}
    assert list(listed) == sorted(listed) and len(listed) == len(whole["profiles"]) and not whole.get("missing_workers"), whole
    first, second, third = (worker.id for worker in fleet.workers)
    assert sorted(listed["only-there"]) == sorted([first, second]), listed
    assert first in listed["same-name"] and len(listed["same-name"]) == 2, listed
    many = [name for name in listed if name.startswith("many-")]
    assert len(many) == MANY and all(sorted(listed[name]) == sorted([second, third]) for name in many), many
    assert not any(differs for name, differs in listed.items() if name not in ("only-there", "same-name", *many)), listed
    for size in (1, 7, 1000):
        assert [one["name"] for one in pages(fleet.gateways[1], "/profiles", size, "profiles")] == list(listed)
    fleet.gateways[0].get("/profiles?page_token=nonsense", 422)


class Watch(threading.Thread):
    def __init__(self, gateway, path):
        super().__init__(daemon=True)
        self.connection, self.response = gateway.open("GET", path)
        assert self.response.status == 200
        self.text = ""
        self.start()

    def run(self):
        try:
            while line := self.response.readline():
                self.text += line.decode()
        except OSError:
            pass


def a_watch_hears_of_all(fleet):
    watch = Watch(fleet.gateways[1], "/events")
    boxes = []
    while not all(any(worker.has(box) for box in boxes) for worker in fleet.workers):
        boxes.append(fleet.gateways[0].create())
    for box in boxes:
        rig.until(f"the watch tells of {box}", lambda box=box: box in watch.text)
        fleet.gateways[0].ask("DELETE", f"/sandboxes/{box}", status=200)
    return watch


def what_has_one_request_id_is_done_once(fleet):
    ids = {}
    # Which worker is asked is left to the gateway: until each has done some.
    while len(ids) < 12 or not all(any(worker.has(made) for made in ids.values()) for worker in fleet.workers):
        assert len(ids) < 200, "some worker is never chosen"
        n = len(ids)
        key = {"Idempotency-Key": f"once-{n}"}
        first = fleet.gateways[n % 2].run("/bin/echo", str(n), headers=key).json()["exec"]["exec_id"]
        again = fleet.gateways[1 - n % 2].run("/bin/echo", str(n), headers=key).json()["exec"]["exec_id"]
        assert first == again, (n, first, again)
        ids[n] = first
    fleet.gateways[0].run("/bin/echo", "else", headers={"Idempotency-Key": "once-0"}, status=409)
    return ids


def everything_else_finds_its_way(fleet):
    """Ports, contexts, /run_code and MCP: whatever stands above the calls of a worker."""
    here, there = fleet.gateways
    box = here.create(profile="python-dev")
    serve = {"exec": {"command": {"args": ["python3", "-m", "http.server", "8000", "--directory", "/usr/share"]}, "background": True}}
    there.post(f"/sandboxes/{box}/execs", serve, None)
    here.post(f"/sandboxes/{box}/ports", {"port": 8000}, 201)
    rig.until("the port answers", lambda: there.ask("GET", f"/sandboxes/{box}/ports/8000/").status == 200)
    context = here.post(f"/sandboxes/{box}/contexts", {"language": "python"}, 201).json()["context_id"]
    said = there.post(f"/contexts/{context}/execute", {"code": "print(6 * 7)"}).text()
    assert "42" in said, said
    assert len(there.get(f"/sandboxes/{box}/contexts").json()["contexts"]) == 1
    fused = there.ask("POST", "/run_code", {"code": "print(6 * 7)", "language": "python"}, status=200, below="").json()
    assert fused["run_result"]["stdout"] == "42\n", fused
    said = call_tool(there, "run_code", {"language": "python", "code": "print(6 * 7)", "sandbox_id": box})
    assert "42" in json.dumps(said) and not said.get("isError"), said
    here.ask("DELETE", f"/sandboxes/{box}", status=200)


def call_tool(gateway, name, arguments):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    begin = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}
    accept = {"Accept": "application/json, text/event-stream"}
    session = gateway.ask("POST", "/mcp", begin, accept, 200, below="").headers["Mcp-Session-Id"]
    said = gateway.ask("POST", "/mcp", call, {**accept, "Mcp-Session-Id": session}, 200, below="").text()
    return json.loads(said[said.index("{"):].splitlines()[0])["result"]


def what_cannot_be_routed_is_told(fleet):
    got = fleet.gateways[0].ask("PUT", "/worker/draining", {"draining": True}, status=422)
    assert "worker_id" in got.text()
    got = fleet.gateways[0].get("/sandboxes/sb_" + "a" * 26, 404)
    assert "worker_lost" in got.text(), got.text()
    fleet.gateways[0].get("/sandboxes/nonsense", 422)
    got = fleet.gateways[0].post("/keys", {"role": "user", "tenant": "a"}, 422)
    assert "each worker keeps its own" in got.text() and "aisbx-security keys create" in got.text(), got.text()


def a_lost_worker_is_told_at_once(fleet, boxes, ids, watch):
    dead = fleet.workers[0]
    follow = Watch(fleet.gateways[0], "/execs/" + sleeping(fleet, dead, boxes) + "/events")
    dead.kill()
    rig.until("the stream ends", lambda: not follow.is_alive())
    assert "worker_lost" in follow.text, follow.text
    rig.until("the watch of all ends", lambda: not watch.is_alive())
    for box in boxes:
        for gateway in fleet.gateways:
            got = gateway.ask("GET", f"/sandboxes/{box}")
            if dead.has(box):
                assert got.status in (404, 503) and "worker_lost" in got.text(), got.text()
            else:
                assert got.status == 200, got.text()
    assert any(dead.has(made) for made in ids.values()) and not all(dead.has(made) for made in ids.values())
    for n, made in ids.items():
        for gateway in fleet.gateways:
            key = {"Idempotency-Key": f"once-{n}"}
            got = gateway.post("/run", {"target": {"new_sandbox": {}}, "exec": {"command": {"args": ["/bin/echo", str(n)]}}}, None, key)
            if dead.has(made):
                assert got.status in (409, 503) and "worker_lost" in got.text(), (got.status, got.text())
            else:
                assert got.json()["exec"]["exec_id"] == made
    listed = {box["sandbox_id"] for box in pages(fleet.gateways[0], "/sandboxes", 2, "sandboxes")}
    assert listed == {box for box in boxes if not dead.has(box)}
    for path in ("/sandboxes?page_size=1", "/execs", "/snapshots", "/security/audit", "/packages", "/profiles"):
        assert fleet.gateways[0].get(path).json()["missing_workers"] == [dead.id], path
    said = call_tool(fleet.gateways[1], "sandbox_list", {})
    assert said["structuredContent"]["missing_workers"] == [dead.id] and "1 workers that do not answer" in said["content"][0]["text"], said


def sleeping(fleet, worker, boxes):
    box = next(box for box in boxes if worker.has(box))
    body = {"exec": {"command": {"args": ["/bin/sleep", "600"]}, "background": True}}
    made = fleet.gateways[1].post(f"/sandboxes/{box}/execs", body, None).json()
    return made.get("exec", made)["exec_id"]


def one_that_comes_back_is_used_again(fleet, boxes):
    old = fleet.workers[0]
    new = fleet.workers[0] = start(rig.Worker("worker0", port=old.port))  # it finds what the old one kept
    rig.until("the new one gets something", lambda: new.has(fleet.gateways[0].run("/bin/true").json()["exec"]["exec_id"]))
    for lost in (box for box in boxes if old.has(box)):
        for gateway in fleet.gateways:
            rig.until("it is told as gone", lambda gateway=gateway, lost=lost: gateway.ask("GET", f"/sandboxes/{lost}").status == 404)
            got = gateway.get(f"/sandboxes/{lost}", 404).text()
            assert "worker_lost" in got and lost in got and "no longer there" in got, got
            assert "worker_lost" in gateway.run("/bin/true", sandbox=lost, status=404).text()
    assert not fleet.gateways[0].get("/sandboxes").json().get("missing_workers")


def no_call_is_lost_when_one_stops(fleet):
    """Runs go on while a worker ends in good order: those it has come to their end, the next ones go elsewhere."""
    leaving = fleet.workers[1]
    failures, stop, slow = [], threading.Event(), []

    def busy(gateway):
        while not stop.is_set():
            got = gateway.post("/run", {"target": {"new_sandbox": {}}, "exec": {"command": {"args": ["/bin/true"]}}}, None)
            if got.status != 200:
                failures.append(got.text())

    def long_one(gateway):
        run = gateway.run("/bin/sh", "-c", "sleep 2; echo whole")
        slow.append((run.json()["exec"]["exec_id"], decoded(run)))

    threads = [threading.Thread(target=busy, args=(gateway,)) for gateway in fleet.gateways]
    threads += [threading.Thread(target=long_one, args=(fleet.gateways[n % 2],)) for n in range(12)]
    for thread in threads:
        thread.start()
    rig.until("one is there", lambda: any(leaving.has(one["exec_id"]) for one in pages(fleet.gateways[0], "/execs?running_only=true", 1000, "execs")))
    leaving.signal(signal.SIGTERM)
    assert leaving.process.wait(rig.WAIT) == 0
    rig.until("the others have all", lambda: not any(thread.is_alive() for thread in threads[2:]))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    assert [text for _, text in slow] == ["whole\n"] * 12, slow
    fleet.workers[1] = start(rig.Worker("worker1b", port=leaving.port))


def a_gateway_that_stops_loses_no_call(fleet):
    """It says that it ends, takes no more, brings what it has to its end, and is gone."""
    gateway, got = start(rig.Gateway("gateway-leaving", fleet.names)), []
    call = threading.Thread(target=lambda: got.append(gateway.run("/bin/sh", "-c", "echo begun >&2; sleep 2; echo whole")))
    call.start()
    rig.until("it is there", lambda: any(one["args"][-1].endswith("echo whole") for one in pages(fleet.gateways[0], "/execs?running_only=true", 1000, "execs")))
    looking, response = gateway.open("GET", "/health", below="")
    assert response.status == 200 and response.read()
    gateway.signal(signal.SIGTERM)
    looked = []

    def is_refused():
        """Whoever looks meanwhile hears that it ends, or, when late, nothing."""
        try:
            looked.append(gateway.ask("GET", "/health", below="").status)
        except OSError:
            return True
        return False

    rig.until("no more are taken", is_refused)
    assert 503 in looked or len(looked) < 2, looked
    call.join()
    assert decoded(got[0]) == "whole\n" and gateway.process.wait(rig.WAIT) == 0
    looking.close()


def a_gateway_that_was_started_again_knows_as_much(fleet):
    box = fleet.gateways[0].create()
    fleet.gateways[0].kill()
    fleet.gateways[0] = start(rig.Gateway("gateway0b", fleet.names))
    fleet.gateways[0].get(f"/sandboxes/{box}")


def main():
    fleet = Fleet()
    boxes = spread(fleet, 9)
    an_id_begins_as_its_workers(fleet, boxes)
    both_gateways_reach_every_sandbox(fleet, boxes)
    lists_come_whole_and_newest_first(fleet, boxes)
    a_page_goes_on_where_the_last_item_is_gone(fleet)
    an_operator_sees_every_worker(fleet)
    ids = what_has_one_request_id_is_done_once(fleet)
    profiles_of_all_are_listed_once(fleet)
    everything_else_finds_its_way(fleet)
    what_cannot_be_routed_is_told(fleet)
    watch = a_watch_hears_of_all(fleet)
    a_lost_worker_is_told_at_once(fleet, boxes, ids, watch)
    one_that_comes_back_is_used_again(fleet, boxes)
    no_call_is_lost_when_one_stops(fleet)
    a_gateway_that_stops_loses_no_call(fleet)
    a_gateway_that_was_started_again_knows_as_much(fleet)


try:
    main()
    for made in reversed(started):
        if made.process.poll() is None:
            assert made.end() == 0, f"{made.name} did not end well"
finally:
    for made in started:
        if made.process.poll() is None:
            made.kill()
