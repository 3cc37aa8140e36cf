"""What the gateway refuses, and how it says so: each status with its body; malformed JSON, JSON-RPC and gRPC."""

import http.client
import json
import os
import socket
import sys

import malformed_http
import malformed_json
import malformed_rpc
import schema
from client import ask

with open(f"{os.environ['AISBX_BIN']}/aisbx-mcp", "rb") as program:
    IS_SANITIZED = b"__asan_init" in program.read()  # it keeps what was freed
OPEN, KEYED = int(sys.argv[1]), int(sys.argv[2])
PROBLEM = ask(OPEN, "GET", "/api/v1/openapi.json").json()


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def problem(got, status, says=""):
    assert got.status == status, f"{got.status} instead of {status}: {got.body[:400]}"
    assert got.headers["Content-Type"] == "application/problem+json", got.headers["Content-Type"]
    body = got.json()
    schema.check(PROBLEM, {"$ref": "#/components/schemas/Problem"}, body)
    assert body["status"] == status and body["detail"] and body["instance"] == got.headers["X-Request-Id"]
    assert says in body["detail"] or says == body.get("pointer"), f"{says!r} is not in {body}"
    return body


def shows_each_status_with_its_body():
    sandboxes = "/api/v1/sandboxes"
    shown = {}

    def show(status, says, *request, port=OPEN, headers=None, body=None):
        got = ask(port, *request, body, headers)
        shown[status] = problem(got, status, says)
        return got

    got = show(401, "key", "GET", sandboxes, port=KEYED)
    assert got.headers["WWW-Authenticate"].startswith("Bearer")
    show(401, "Bearer", "GET", sandboxes, port=KEYED, headers={"Authorization": "Basic YTpi"})
    show(401, "empty", "GET", sandboxes, port=KEYED, headers={"X-API-Key": ""})
    show(401, "two keys", "GET", sandboxes, headers={"X-API-Key": "a", "Authorization": "Bearer b"})
    show(401, "key", "GET", "/metrics", port=KEYED)
    show(403, "origin", "GET", sandboxes, headers={"Origin": "https://evil.example"})
    show(403, "Host", "GET", sandboxes, headers={"Host": "evil.example"})
    show(404, "path", "GET", "/api/v1/nothing")
    show(404, "sb_", "GET", f"{sandboxes}/sb_{'a' * 26}")
    got = show(405, "method", "PUT", sandboxes, body={})
    assert "POST" in got.headers["Allow"]
    key = {"Idempotency-Key": f"refuses-{os.getpid()}"}
    made = ask(OPEN, "POST", sandboxes, {"labels": {"a": "b"}}, key)
    assert made.status == 201, made.body
    show(409, "", "POST", sandboxes, headers=key, body={"labels": {"a": "c"}})
    assert ask(OPEN, "DELETE", f"{sandboxes}/{made.json()['sandbox_id']}").status == 200
    show(413, "4194304", "POST", sandboxes, headers={"Content-Type": "application/json"}, body=b" " * 4194305)
    show(415, "application/json", "POST", sandboxes, headers={"Content-Type": "text/plain"}, body=b"{}")
    show(422, "/limits/memory", "POST", sandboxes, body={"limits": {"memory": 1}})
    show(422, "memory", "POST", sandboxes, body={"limits": {"memory_bytes": 1}})
    # Whatever is left of those that no worker does yet.
    for path in ("files/search?directory=/tmp&pattern=x", "files/events?directory=/tmp"):
        if ask(OPEN, "GET", f"{sandboxes}/sb_{'a' * 26}/{path}").status == 501:
            show(501, "not built", "GET", f"{sandboxes}/sb_{'a' * 26}/{path}")
    assert ask(OPEN, "PUT", "/api/v1/worker/draining", {"draining": True}).status == 200
    got = show(503, "", "POST", sandboxes, body={})
    assert int(got.headers["Retry-After"]) >= 1
    got = ask(OPEN, "GET", "/health/ready")
    assert got.status == 503 and got.json()["status"] == "draining"
    assert ask(OPEN, "PUT", "/api/v1/worker/draining", {"draining": False}).status == 200
    for status, body in sorted(shown.items()):
        print(f"  {status} {json.dumps(body)}")


def raw(data):
    with socket.create_connection(("127.0.0.1", OPEN), 20) as sock:
        sock.sendall(data)
        response = http.client.HTTPResponse(sock)
        response.begin()
        return response.status


def refuses_malformed_requests():
    """Twice, so that what they leave in memory shows."""
    gateway, worker = int(os.environ["AISBX_GATEWAY_PID"]), int(os.environ["AISBX_WORKER_PID"])
    tables = (refuse_http, refuse_json, refuse_jsonrpc, refuse_grpc)
    counts = {table.__name__: table() for table in tables}
    before = memory_kib(gateway), memory_kib(worker)
    for _ in range(2):
        for table in tables:
            table()
    grown = memory_kib(gateway) - before[0], memory_kib(worker) - before[1]
    assert IS_SANITIZED or max(grown) < 2048, f"gateway and worker hold {grown} KiB more after the same again, twice"
    assert ask(OPEN, "GET", "/health").status == 200
    total = sum(counts.values())
    assert total >= 200, counts
    print(f"  {total} malformed requests: {counts}; KiB more after two more rounds: {grown}")


def refuse_http():
    cases = malformed_http.cases()
    for name, data, status in cases:
        if status != 413:  # its test server takes less than ours
            assert raw(data) == status, name
    return len(cases)


def refuse_json():
    cases = malformed_json.cases()
    for name, method, path, kind, body, status, says in cases:
        got = ask(OPEN, method, path, body, {} if kind is None else {"Content-Type": kind})
        try:
            problem(got, got.status if isinstance(status, tuple) and got.status in status else status, says)
        except AssertionError as wrong:
            raise AssertionError(f"{name}: {wrong}") from None
    return len(cases)


def refuse_jsonrpc():
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    for name, body in malformed_rpc.JSONRPC.items():
        got = ask(OPEN, "POST", "/mcp", body, headers)
        assert 400 <= got.status < 500 or "error" in got.json(), f"{name}: {got.status} {got.body[:300]}"
        assert got.json().get("error", got.json()).get("message") or got.json().get("detail"), f"{name}: {got.body[:300]}"
    return len(malformed_rpc.JSONRPC)


def refuse_grpc():
    try:
        import grpc
    except ImportError:
        print("  python3-grpcio is not installed: without gRPC")
        return 0
    good = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    with grpc.insecure_channel(os.environ["AISBX_ADDRESS"]) as channel:
        for name, (path, data) in malformed_rpc.GRPC.items():
            call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
            try:
                call(data, timeout=20)
                raise AssertionError(f"{name}: taken")
            except grpc.RpcError as error:
                assert error.code() in good and error.details(), f"{name}: {error.code()} {error.details()}"
    return len(malformed_rpc.GRPC)


for test in (shows_each_status_with_its_body, refuses_malformed_requests):
    test()
    print(f"ok {test.__name__}", flush=True)
