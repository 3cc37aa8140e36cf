"""How the errors of a worker reach HTTP: a worker that fails in every way there is, over gRPC."""

import concurrent.futures
import http.client
import json
import os
import subprocess
import sys

try:
    import grpc
except ImportError:
    print("skipped: python3-grpcio is not installed")
    sys.exit(77)

from client import ask

STATUSES = {
    "INVALID_ARGUMENT": 422, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409, "ABORTED": 409, "OUT_OF_RANGE": 416, "RESOURCE_EXHAUSTED": 429, "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504, "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500,
}
seen = []


class Worker(grpc.GenericRpcHandler):
    """GetSandbox fails with the code that its id names; WatchSandboxes after one event."""

    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        seen.append((method, dict(details.invocation_metadata)))
        if method == "WatchSandboxes":
            return grpc.unary_stream_rpc_method_handler(self.watch)
        return grpc.unary_unary_rpc_method_handler(self.get)

    def get(self, request, context):
        code = request[2:].decode()
        if code == "RESOURCE_EXHAUSTED":
            context.set_trailing_metadata((("retry-after-ms", "1500"), ("ratelimit-limit", "10"),
                                           ("ratelimit-remaining", "0"), ("ratelimit-reset-ms", "2001")))
        context.abort(grpc.StatusCode[code], f"because of {code}\nand \"more\"")

    def watch(self, request, context):
        yield b"\x08\x02"  # kind: created
        context.abort(grpc.StatusCode.UNAVAILABLE, "the worker ends")


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[Worker()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


class Gateway:
    def __init__(self, address, *options):
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [f"{os.environ['AISBX_BIN']}/aisbx-mcp", "--transport", "http", "--port", "0", "--ready-fd", str(write), *options],
            env={**os.environ, "AISBX_ADDRESS": address}, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as ready:
            self.port = int(ready.readline().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(20) == 0


server, port = serve()
with Gateway(f"127.0.0.1:{port}") as gateway:
    key = {"Authorization": "Bearer aisbx_a_b", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    for code, status in STATUSES.items():
        got = ask(gateway.port, "GET", f"/api/v1/sandboxes/{code}", headers=key)
        assert got.status == status and got.headers["Content-Type"] == "application/problem+json", (code, got.status, got.body)
        assert got.json()["code"] == code and code in got.json()["detail"] and "\n" not in got.json()["detail"], got.json()
        assert (got.headers["Retry-After"] is not None) == (status in (429, 503)), code
        if status in (401, 429, 500, 503, 504):
            print(f"  {status} {json.dumps(got.json())}")
        if status == 429:
            limits = [got.headers[name] for name in ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")]
            assert limits == ["2", "10", "0", "3"], limits
        if status == 401:
            assert got.headers["WWW-Authenticate"].startswith("Bearer")
    method, told = seen[0]
    assert told["x-api-key"] == "aisbx_a_b" and told["x-aisbx-via"] == "http" and told["x-aisbx-protocol"] == "rest", told
    assert told["x-aisbx-peer"].startswith("127.0.0.1:") and told["traceparent"] == key["traceparent"], told
    # A stream that has begun says it as its last event.
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", "/api/v1/events", headers=key)
    text = connection.getresponse().read().decode()
    assert "event: created\n" in text and text.rstrip().split("\n")[-2] == "event: error", text
    error = json.loads(text.rstrip().split("data: ")[-1])
    assert error["status"] == 503 and error["code"] == "UNAVAILABLE", error
    server.stop(None).wait()
    got = ask(gateway.port, "GET", "/api/v1/worker", headers=key)
    assert got.status == 503 and got.headers["Retry-After"] and got.json()["code"] == "UNAVAILABLE", got.body
    got = ask(gateway.port, "GET", "/health/ready")
    assert got.status == 503 and got.json()["status"] == "unavailable", got.body
    assert got.json()["detail"] == "the worker cannot be reached", f"where it should be is nobody's business: {got.body}"
    assert ask(gateway.port, "GET", "/health/live").status == 200
print("every code of gRPC, and a worker that is gone")
