"""Each operation of the OpenAPI document, called; the answers fit the document and mean what they should."""

import http.client
import io
import json
import os
import signal
import sys
import tarfile

from client import Contract, ask

PORT = int(sys.argv[1])
contract = Contract(PORT)
call = contract.call
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}


def sh(script, **more):
    return {"exec": {"command": {"args": ["sh", "-c", script]}, **more}}


def lives_of_sandboxes():
    made = call("createSandbox", 201, body={"labels": {"test": "rest"}, "ttl_ms": 600000})
    sandbox = made.json()["sandbox_id"]
    assert made.headers["Location"] == f"/api/v1/sandboxes/{sandbox}"
    assert call("getSandbox", 200, [sandbox]).json()["state"] == "running"
    changed = call("updateSandbox", 200, [sandbox], body={"labels": {"test": "rest", "a": "b"}}).json()
    assert changed["labels"] == {"test": "rest", "a": "b"} and changed["expire_time"] == made.json()["expire_time"]
    assert "expire_time" not in call("updateSandbox", 200, [sandbox], body={"ttl_ms": 0}).json(), "0 is a value, too"
    call("updateSandbox", 422, [sandbox], body={"profile": "strict"})
    assert call("updateNetwork", 200, [sandbox], body={"mode": "none"}).json()["network"]["mode"] == "none"
    call("updateNetwork", 422, [sandbox], body={"mode": "limited", "allow": ["a.test"]})  # it was made without
    other = call("createSandbox", 201, body={"labels": {"test": "rest"}}).json()["sandbox_id"]
    first = call("listSandboxes", 200, query="?labels=test=rest&page_size=1&states=running,paused").json()
    assert [s["sandbox_id"] for s in first["sandboxes"]] == [other], "newest first"
    second = call("listSandboxes", 200, query=f"?labels=test=rest&page_size=1&states=running,paused&page_token={first['next_page_token']}").json()
    assert [s["sandbox_id"] for s in second["sandboxes"]] == [sandbox] and not second["next_page_token"]
    assert call("listSandboxes", 200, query="?labels=test=other").json()["sandboxes"] == []
    gone = call("destroySandbox", 200, [sandbox]).json()
    assert gone["state"] == "destroyed" and gone["destroy_reason"] == "requested"
    assert call("destroySandbox", 200, [sandbox]).json()["state"] == "destroyed"
    assert call("getSandbox", 200, [sandbox]).json()["state"] == "destroyed"
    call("getSandbox", 404, ["sb_" + "a" * 26])
    call("getSandbox", 422, ["nothing"])
    call("destroySandbox", 200, [other])


def repeats_act_once():
    key = {"Idempotency-Key": f"rest-{os.getpid()}"}
    one = call("createSandbox", 201, body={"labels": {"i": "1"}}, headers=key).json()["sandbox_id"]
    assert call("createSandbox", 201, body={"labels": {"i": "1"}}, headers=key).json()["sandbox_id"] == one
    call("createSandbox", 409, body={"labels": {"i": "2"}}, headers=key)
    call("destroySandbox", 200, [one])


def runs_programs():
    ran = call("run", 200, body={"target": {"new_sandbox": {}}, "stdin": "in ä\n", **sh("cat; echo no >&2; exit 3")}).json()
    assert ran["stdout"] == "in ä\n" and ran["stderr"] == "no\n", ran
    assert ran["exec"]["verdict"]["kind"] == "exited" and ran["exec"]["verdict"]["exit_code"] == 3
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    events = call("startExec", 200, [sandbox], body=sh("printf 'a\\303'; sleep 0.2; printf '\\244b'; echo e >&2")).events()
    assert [events[0][0], events[-1][0]] == ["started", "ended"]
    out = "".join(data["data"] for name, data, _ in events if name == "output" and data["stream"] == "stdout")
    assert out == "aäb", f"a character is never cut: {out!r}"
    assert events[-1][2] == "4.2" and events[-1][1]["exec"]["verdict"]["exit_code"] == 0
    exec_id = events[0][1]["exec"]["exec_id"]
    again = call("attachExec", 200, [exec_id], headers={"Last-Event-ID": "3.0"}).events()
    rest = {data["stream"]: data for name, data, _ in again if name == "output"}
    assert rest["stdout"]["offset"] == 3 and rest["stdout"]["data"] == "b" and rest["stderr"]["data"] == "e\n"
    events = call("startExec", 200, [sandbox], body=sh("printf 'a\\377'; printf 'b\\303' >&2")).events()
    said = {stream: "".join(data["data"] for name, data, _ in events if name == "output" and data["stream"] == stream)
            for stream in ("stdout", "stderr")}
    assert said == {"stdout": "a\ufffd", "stderr": "b\ufffd"}, f"what ends within a character is output as well: {said}"
    assert events[-1][0] == "ended" and events[-1][2] == "2.2", events[-1]
    call("attachExec", 400, [exec_id], headers={"Last-Event-ID": "x"})
    call("attachExec", 404, ["ex_" + "a" * 26])
    talks_to_one(sandbox)
    assert len(call("listExecsOfSandbox", 200, [sandbox]).json()["execs"]) == 3
    page = call("listExecs", 200, query="?page_size=1").json()
    assert len(page["execs"]) == 1 and page["next_page_token"]
    call("destroySandbox", 200, [sandbox])


def pauses(sandbox):
    """An ordinary user's worker may have no group that freezes, and says so then."""
    path = contract.operations["pauseSandbox"][0].replace("{sandbox_id}", sandbox)
    if os.geteuid() != 0 and ask(PORT, "POST", f"/api/v1{path}").status == 409:
        assert "freeze" in call("pauseSandbox", 409, [sandbox]).json()["detail"]
        assert call("resumeSandbox", 200, [sandbox]).json()["state"] == "running"
        return
    assert call("pauseSandbox", 200, [sandbox]).json()["state"] == "paused"
    assert [s["sandbox_id"] for s in call("listSandboxes", 200, query="?states=paused").json()["sandboxes"]] == [sandbox]
    assert call("resumeSandbox", 200, [sandbox]).json()["state"] == "running"


def runs_sources_and_batches():
    spec = {"profile": "python-dev", "network": {"mode": "none"}}
    script = {"language": "python", "source": "n = int(input()); print(n * 2); open('out', 'w').write(str(n))"}
    got = call("run", 200, body={"target": {"new_sandbox": spec}, "exec": {"script": script}, "stdin": "4", "fetch": ["out"],
                                 "files": [{"path": "a", "data": "x"}]}).json()
    assert got["stdout"] == "8\n" and got["files"][0]["path"] == "out" and got["files"][0]["data"] == "4", got
    events = call("runBatch", 200, body={"sandbox": spec, "run": {"script": script}, "cases": [
        {"case_id": "a", "stdin": "1", "expected_stdout": "2\n"}, {"case_id": "b", "stdin": "1", "expected_stdout": "3\n"}]}).events()
    assert sorted((data["case_id"], data["passed"]) for _, data, _ in events) == [("a", True), ("b", False)], events
    call("runBatch", 422, body={"run": {"script": script}})
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    pauses(sandbox)
    call("pauseSandbox", 404, ["sb_" + "a" * 26])
    call("destroySandbox", 200, [sandbox])


def talks_to_one(sandbox):
    started = call("startExec", 201, [sandbox], body=sh("cat", background=True, open_stdin=True))
    exec_id = started.json()["exec_id"]
    assert started.headers["Location"] == f"/api/v1/execs/{exec_id}" and started.json()["background"]
    call("sendExecInput", 204, [exec_id], body=b"0123456789\0\xff", headers=BYTES)
    output = call("readExecOutput", 200, [exec_id], "?wait_ms=20000")
    assert output.body == b"0123456789\0\xff" and output.headers["Aisbx-Total-Bytes"] == "12"
    part = call("readExecOutput", 206, [exec_id], headers={"Range": "bytes=2-4"})
    assert part.body == b"234" and part.headers["Content-Range"] == "bytes 2-4/12"
    assert call("readExecOutput", 416, [exec_id], headers={"Range": "bytes=99-"}).headers["Content-Range"] == "bytes */12"
    assert call("readExecOutput", 200, [exec_id], "?offset=-2").body == b"\0\xff"
    call("signalExec", 204, [exec_id], body={"signal": int(signal.SIGCONT)})
    call("signalExec", 422, [exec_id], body={"signal": 99})
    assert "verdict" not in call("getExec", 200, [exec_id]).json()
    assert call("cancelExec", 200, [exec_id]).json()["verdict"]["kind"] == "cancelled"


def shows_events():
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", f"/api/v1/events?sandbox_id={sandbox}&include_existing=true")
    stream = connection.getresponse()
    assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
    assert next_event(stream)[0] == "existing"
    call("updateSandbox", 200, [sandbox], body={"labels": {"x": "y"}})
    name, data = next_event(stream)
    assert name == "changed" and data["sandbox"]["labels"] == {"x": "y"}
    call("destroySandbox", 200, [sandbox])
    while next_event(stream)[0] != "destroyed":
        pass
    connection.close()
    contract.called.add("watchSandboxes")
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", "/api/v1/worker/load/events?interval_ms=100")
    assert next_event(connection.getresponse())[1]["slots"] > 0
    connection.close()
    contract.called.add("watchLoad")


def next_event(stream):
    lines = {}
    while True:
        line = stream.readline().decode().rstrip("\n")
        if not line and lines:
            return lines["event"], json.loads(lines["data"])
        if line and not line.startswith(":"):
            key, value = line.split(": ", 1)
            lines[key] = value


def cancels_for_who_leaves():
    """The program ends when its client does."""
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("POST", f"/api/v1/sandboxes/{sandbox}/execs", json.dumps(sh("sleep 1000")), JSON)
    name, data = next_event(connection.getresponse())
    assert name == "started"
    connection.close()
    ended = call("attachExec", 200, [data["exec"]["exec_id"]]).events()[-1]
    assert ended[0] == "ended" and ended[1]["exec"]["verdict"]["kind"] == "cancelled", ended
    call("destroySandbox", 200, [sandbox])


def tells_of_profiles_and_the_worker():
    names = [p["name"] for p in call("listProfiles", 200).json()["profiles"]]
    assert "strict" in names
    assert call("getProfile", 200, ["strict"]).json()["name"] == "strict"
    call("getProfile", 404, ["nothing"])
    told = call("explainProfile", 200, ["strict"], "?syscalls=ptrace,read&hosts=a.test:80&paths=/etc").json()
    assert [a["subject"] for a in told["syscalls"]] == ["ptrace", "read"] and len(told["paths"]) == 1
    assert call("validateConfig", 200, body={"yaml": "profiles: 1"}).json()["problems"]
    assert call("getWorker", 200).json()["pid"] == int(os.environ["AISBX_WORKER_PID"])
    kept = call("listPackages", 200).json()
    assert kept["packages"] == [] and int(kept["total_bytes"]) == 0 and int(kept["max_bytes"]) > 0, kept
    call("deletePackages", 404, ["pk_" + "a" * 26])
    call("deleteAllPackages", 422)
    assert call("deleteAllPackages", 200, query="?all=true").json()["deleted"] == 0
    call("createSandbox", 422, body={"packages": ["pip:../x"]})
    assert call("getLoad", 200).json()["slots"] > 0
    call("setDraining", 200, body={"draining": True})
    assert ask(PORT, "GET", "/health/ready").status == 503
    assert ask(PORT, "GET", "/health/live").status == 200
    call("createSandbox", 503, body={})
    call("setDraining", 200, body={"draining": False})
    assert ask(PORT, "GET", "/health").json()["status"] == "ok"


def keeps_and_forks():
    sandbox = call("createSandbox", 201, body={"profile": "python-dev"}).json()["sandbox_id"]
    where = "?file=/workspace/f"
    call("writeFile", 200, [sandbox], where, b"one", BYTES)
    key = {"Idempotency-Key": f"keeps-{os.getpid()}"}
    kept = call("snapshotSandbox", 201, [sandbox], body={"title": "t"}, headers=key).json()
    assert kept["paths"] == ["/tmp", "/workspace"] and kept["method"] == "copy", kept
    assert call("snapshotSandbox", 201, [sandbox], body={"title": "t"}, headers=key).json() == kept
    assert call("listSnapshots", 200).json()["snapshots"] == [kept]
    call("writeFile", 200, [sandbox], where, b"two", BYTES)
    made = [call("forkSandbox", 201, [sandbox], body={"count": 3}, headers=key).json()["sandboxes"] for _ in range(2)]
    ids = [s["sandbox_id"] for s in made[0]]
    assert len(set(ids)) == 3 and ids == [s["sandbox_id"] for s in made[1]], made
    assert [call("readFile", 200, [i], where).body for i in ids] == [b"two"] * 3
    call("forkSandbox", 409, [sandbox], body={"count": 4}, headers=key)
    call("forkSandbox", 422, [sandbox], body={"count": 257})
    changes = call("diffFiles", 200, [sandbox], f"?snapshot_id={kept['snapshot_id']}").events()
    assert [(e[1]["kind"], e[1]["file"]["path"]) for e in changes if "file" in e[1]] == [("changed", "/workspace/f")], changes
    archive = call("exportChanges", 200, [sandbox], f"?snapshot_id={kept['snapshot_id']}")
    with tarfile.open(fileobj=io.BytesIO(archive.body)) as tar:
        assert [m.name for m in tar] == ["workspace/f"] and tar.extractfile("workspace/f").read() == b"two", archive.body
    call("exportChanges", 400, [sandbox], "?content=files")
    call("exportChanges", 409, [sandbox], "?since_host=true")
    call("rollbackSandbox", 200, [sandbox], body={"snapshot_id": kept["snapshot_id"]})
    assert call("readFile", 200, [sandbox], where).body == b"one"
    call("rollbackSandbox", 409, [ids[0]], body={"snapshot_id": kept["snapshot_id"]})
    body = {"sandbox": {"profile": "python-dev"}, "snapshot_id": kept["snapshot_id"]}
    call("deleteSnapshot", 204, [kept["snapshot_id"]])
    call("deleteSnapshot", 404, [kept["snapshot_id"]])
    call("rollbackSandbox", 404, [sandbox], body={"snapshot_id": kept["snapshot_id"]})
    for one in [sandbox, *ids]:
        call("destroySandbox", 200, [one])


def answers_for_what_may_not_be_built():
    """What a worker does not do is 501, and what it does is as documented."""
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    for name, (path, method, operation) in contract.operations.items():
        if name in contract.called:
            continue
        path = path.replace("{sandbox_id}", sandbox).replace("{snapshot_id}", "sn_" + "a" * 26)
        queries = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query" and p["required"]]
        query = "&".join(f"{q}=/tmp/x" for q in queries) or "page_size=1" * ("page_size" in str(operation))
        content = operation.get("requestBody", {}).get("content", {})
        headers = {"Content-Type": next(iter(content))} if content else {}
        body = b"{}" if content else None
        got = ask(PORT, method.upper(), f"/api/v1{path}?{query}".rstrip("?"), body, headers)
        assert got.status in (200, 201, 204, 403, 404, 409, 422, 501), f"{name}: {got.status} {got.body[:300]}"
        contract.check(name, operation, got)
        contract.called.add(name)
        print(f"  {name}: {got.status}")
    call("destroySandbox", 200, [sandbox])


def keeps_files():
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    content = bytes(range(256)) * 1000
    where = "?file=/tmp/a%20b/c.bin"
    call("writeFile", 404, [sandbox], where, content, BYTES)
    made = call("writeFile", 200, [sandbox], where + "&make_parents=true&mode=384", content, BYTES).json()
    assert made["size_bytes"] == len(content) and made["mode"] == 0o600 and made["path"] == "/tmp/a b/c.bin"
    call("writeFile", 409, [sandbox], where + "&no_replace=true", b"x", BYTES)
    whole = call("readFile", 200, [sandbox], where)
    etag = whole.headers["ETag"]
    assert whole.body == content and whole.headers["Accept-Ranges"] == "bytes"
    assert call("readFile", 304, [sandbox], where, headers={"If-None-Match": etag}).body == b""
    part = call("readFile", 206, [sandbox], where, headers={"Range": "bytes=100-299", "If-Range": etag})
    assert part.body == content[100:300] and part.headers["Content-Range"] == f"bytes 100-299/{len(content)}"
    part = call("readFile", 206, [sandbox], where, headers={"Range": "bytes=255990-"})
    assert part.body == content[255990:] and part.headers["Content-Range"] == f"bytes 255990-255999/{len(content)}"
    past = call("readFile", 416, [sandbox], where, headers={"Range": "bytes=256000-"})
    assert past.headers["Content-Range"] == "bytes */256000"
    for others in ('"x"', 'W/' + etag):  # a part of what is no more: all of what is
        for part in ("bytes=1-2", "bytes=999999-"):
            whole = call("readFile", 200, [sandbox], where, headers={"Range": part, "If-Range": others})
            assert whole.body == content and whole.headers["ETag"] == etag and whole.headers["Content-Range"] is None
    for known in (f'"x", {etag}', f"W/{etag}", "*"):
        call("readFile", 304, [sandbox], where, headers={"If-None-Match": known})
    head = ask(PORT, "HEAD", f"/api/v1/sandboxes/{sandbox}/files/content{where}")
    assert head.status == 200 and head.headers["Content-Length"] == "256000" and head.headers["ETag"] == etag
    call("writeFile", 200, [sandbox], where + "&append=true", b"end", BYTES)
    assert call("statFile", 200, [sandbox], where).json()["size_bytes"] == 256003
    assert call("readFile", 200, [sandbox], where).headers["ETag"] != etag
    call("writeFile", 200, [sandbox], "?file=/tmp/empty", b"", BYTES)
    assert call("readFile", 200, [sandbox], "?file=/tmp/empty").body == b""
    call("readFile", 404, [sandbox], "?file=/tmp/nothing")
    call("makeDirectory", 201, [sandbox], body={"directory": {"path": "/tmp/d"}})
    call("moveFile", 200, [sandbox], body={"source": {"path": "/tmp/empty"}, "target": {"path": "/tmp/d/e"}})
    assert call("changeMode", 200, [sandbox], body={"file": {"path": "/tmp/d/e"}, "mode": 0o640}).json()["mode"] == 0o640
    names = [f["path"] for f in call("listFiles", 200, [sandbox], "?directory=/tmp&depth=2").json()["files"]]
    assert names == ["/tmp/a b", "/tmp/a b/c.bin", "/tmp/d", "/tmp/d/e"], names
    assert call("removeFile", 200, [sandbox], "?file=/tmp/d&recursive=true").json()["removed"] == 2
    call("statFile", 404, [sandbox], "?file=/tmp/d")
    call("destroySandbox", 200, [sandbox])


def exposes_ports():
    sandbox = call("createSandbox", 201, body={}).json()["sandbox_id"]
    port = call("exposePort", 201, [sandbox], body={"port": 8080, "title": "web"}).json()
    assert port["gateway_path"] == f"/api/v1/sandboxes/{sandbox}/ports/8080/" and port["title"] == "web", port
    assert [p["port"] for p in call("listPorts", 200, [sandbox]).json()["ports"]] == [8080]
    call("exposePort", 422, [sandbox], body={"port": 0})
    call("unexposePort", 204, [sandbox, "8080"])
    call("unexposePort", 404, [sandbox, "8080"])
    call("destroySandbox", 200, [sandbox])


def keeps_state():
    sandbox = call("createSandbox", 201, body={"profile": "python-dev"}).json()["sandbox_id"]
    context = call("createContext", 201, [sandbox], body={"language": "python"}).json()
    assert context["state"] == "idle" and context["language"] == "python", context
    context = context["context_id"]
    call("executeCode", 200, [context], body={"code": "x = 41"})
    code = "class P:\n    def _repr_png_(self): return bytes([137, 80])\ndisplay(P())\nprint('ä')\nx + 1"
    events = call("executeCode", 200, [context], body={"code": code}).events()
    said = "".join(data["data"] for name, data, _ in events if name == "output")
    results = {(data["mime_type"], data["is_main"]): data for name, data, _ in events if name == "result"}
    assert said == "ä\n" and results["text/plain", True]["text"] == "42", events
    assert results["image/png", False]["base64"] == "iVA=", results
    assert events[-1][0] == "ended" and events[-1][1]["verdict"]["exit_code"] == 0, events[-1]
    events = call("executeCode", 200, [context], body={"code": "1 / 0"}).events()
    assert events[0][0] == "exception" and events[0][1]["name"] == "ZeroDivisionError", events
    call("interruptContext", 204, [context])
    assert [c["execution_count"] for c in call("listContexts", 200, [sandbox]).json()["contexts"]] == [3]
    assert call("restartContext", 200, [context]).json()["state"] == "idle"
    assert call("executeCode", 200, [context], body={"code": "x"}).events()[0][1]["name"] == "NameError"
    call("deleteContext", 204, [context])
    call("executeCode", 404, [context], body={"code": "1"})
    call("createContext", 422, [sandbox], body={"language": "cobol"})
    call("destroySandbox", 200, [sandbox])


def knows_methods():
    got = ask(PORT, "OPTIONS", "/api/v1/sandboxes")
    assert got.status == 204 and got.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    got = ask(PORT, "PUT", "/api/v1/sandboxes", b"{}", JSON)
    assert got.status == 405 and got.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    full, head = (ask(PORT, method, "/api/v1/profiles") for method in ("GET", "HEAD"))
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == str(len(full.body))
    assert ask(PORT, "POST", "/health").status == 405
    assert ask(PORT, "GET", "/api/v1/nothing").status == 404
    assert ask(PORT, "GET", "/api/v2/sandboxes").status == 404


TESTS = (lives_of_sandboxes, repeats_act_once, runs_programs, runs_sources_and_batches, shows_events, cancels_for_who_leaves,
         tells_of_profiles_and_the_worker, keeps_files, keeps_state, exposes_ports, keeps_and_forks, knows_methods, answers_for_what_may_not_be_built)
for test in TESTS:
    test()
    print(f"ok {test.__name__}", flush=True)
missing = set(contract.operations) - contract.called
assert not missing, f"not called: {missing}"
print(f"{len(contract.operations)} operations")
