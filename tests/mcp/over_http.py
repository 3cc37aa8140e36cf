"""What clients get over HTTP in the cases that the SDKs never send, one a function. over_http.py PORT PID"""
import base64
import http.client
import json
import os
import resource
import sys
import time

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
REVISION = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": REVISION, "io.modelcontextprotocol/clientCapabilities": {}}


def ask(method="POST", body=None, headers=None, path="/mcp"):
    """Status, headers, body as JSON or text."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    try:
        return response.status, response.headers, json.loads(data)
    except ValueError:
        return response.status, response.headers, data.decode()


def modern(method="tools/call", params=None, number=1, headers=None, meta=None, **more):
    params = {"_meta": META if meta is None else meta, **({"name": "echo", "arguments": {"text": "x"}} if params is None else params)}
    head = {"MCP-Protocol-Version": REVISION, "Mcp-Method": method, "Mcp-Name": params.get("name", params.get("uri"))}
    head = {k: v for k, v in {**head, **(headers or {})}.items() if v is not None}
    return ask(body={"jsonrpc": "2.0", "id": number, "method": method, "params": params}, headers=head, **more)


def begin(revision="2025-11-25"):
    status, headers, body = ask(body={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
    assert status == 200 and body["result"]["protocolVersion"] == revision, body
    return headers["Mcp-Session-Id"]


def legacy(session, body, **headers):
    return ask(body=body, headers={**({"Mcp-Session-Id": session} if session else {}), **headers})


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def bodies_that_are_no_messages():
    for body, code in ((b"", -32700), (b"{", -32700), (b"\xff", -32700), (b'{"a":1,"a":1}', -32700), (b"[" * 100, -32700), (b"1", -32600),
                       ({"jsonrpc": "2.0"}, -32600), ({"id": 1, "method": "ping"}, -32600),
                       ({**PING, "id": None}, -32600), ({**PING, "id": 1.5}, -32600), ({**PING, "id": 2**53 + 2}, -32600),
                       ({**PING, "params": [1]}, -32600), ([], -32600)):
        status, _, answer = ask(body=body)
        assert (status, answer["error"]["code"]) == (400, code), (body, status, answer)
    assert ask(body=b"x" * ((4 << 20) + 1))[0] == 413


def media_types_and_methods():
    for kind in ("text/plain", "application/jsonx", ""):
        assert ask(body=PING, headers={"Content-Type": kind})[0] == 415, kind
    assert modern(headers={"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200
    for method in ("PUT", "OPTIONS", "PATCH"):
        status, headers, _ = ask(method, PING)
        assert status == 405 and "POST" in headers["Allow"], method
    for method in ("GET", "DELETE"):
        assert ask(method, headers={"MCP-Protocol-Version": REVISION})[0] == 405


def foreign_origins_and_hosts():
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        assert modern(headers=headers)[0] == 403, headers
    for headers in ({"Origin": "http://localhost:3000"}, {"Host": "localhost:1"}):
        assert modern(headers=headers)[0] == 200, headers


def headers_must_say_what_the_body_says():
    for headers in ({"MCP-Protocol-Version": None}, {"Mcp-Method": None}, {"Mcp-Name": None}, {"Mcp-Method": "tools/List"},
                    {"Mcp-Name": "Echo"}, {"Mcp-Name": "=?base64?ZWNob?="}, {"Mcp-Name": "=?base64?ZWNobz==?="},
                    {"MCP-Protocol-Version": "2027-01-01"}):
        status, _, answer = modern(headers=headers)
        assert (status, answer["error"]["code"]) == (400, -32020), (headers, answer)
        assert answer["id"] == 1
    encoded = "=?base64?" + base64.b64encode(b"echo").decode() + "?="
    assert modern(headers={"Mcp-Name": encoded})[0] == 200
    assert modern(headers={"Mcp-Name": "  echo  "})[0] == 200
    tool = {"name": "test_x_mcp_header", "arguments": {"region": "R\u00e9union"}}
    assert modern(params=tool)[2]["error"]["code"] == -32020
    encoded = "=?base64?" + base64.b64encode("R\u00e9union".encode()).decode() + "?="
    assert modern(params=tool, headers={"Mcp-Param-Region": encoded})[2]["result"]["content"]


def meta_must_be_whole():
    for meta in ({}, {k: v for k, v in META.items() if "Version" in k}, {k: v for k, v in META.items() if "client" in k},
                 {**META, "io.modelcontextprotocol/clientCapabilities": []}):
        status, _, answer = modern(meta=meta)
        assert (status, answer["error"]["code"]) == (400, -32602), (meta, answer)
    future = {**META, "io.modelcontextprotocol/protocolVersion": "2027-01-01"}
    status, _, answer = modern(meta=future, headers={"MCP-Protocol-Version": "2027-01-01"})
    assert (status, answer["error"]["code"]) == (400, -32022)
    assert answer["error"]["data"] == {"supported": [REVISION], "requested": "2027-01-01"}


def methods_and_tools_that_are_not_there():
    status, _, answer = modern("no/such", {})
    assert (status, answer["error"]["code"]) == (404, -32601)
    for method in ("ping", "logging/setLevel", "resources/subscribe", "tasks/get"):
        assert modern(method, {})[0] == 404, method
    status, _, answer = modern(params={"name": "nope"})
    assert (status, answer["error"]["code"]) == (200, -32602)
    assert modern(params={"name": "echo", "arguments": 1})[2]["error"]["code"] == -32602
    assert modern(params={"name": "echo", "arguments": {}})[2]["result"]["isError"] is True


def what_needs_no_answer():
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert ask(body=note, headers={"MCP-Protocol-Version": REVISION})[0] == 202
    response = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert ask(body=response, headers={"MCP-Protocol-Version": REVISION})[0] == 400
    session = begin()
    assert legacy(session, note)[0] == 202
    assert legacy(session, response)[0] == 202


def sessions_live_and_die():
    session = begin()
    assert legacy(session, PING)[2] == {"jsonrpc": "2.0", "id": 1, "result": {}}
    status, _, answer = legacy(None, PING)
    assert (status, answer["error"]["code"]) == (400, -32000)
    status, _, answer = legacy("mcp_" + "a" * 26, PING)
    assert (status, answer["error"]["code"]) == (404, -32001)
    assert legacy(session, PING, **{"Authorization": "Bearer somebody-else"})[0] == 404
    assert legacy(session, PING, **{"MCP-Protocol-Version": "2020-01-01"})[0] == 400
    headers = {"Mcp-Session-Id": session}
    assert ask("DELETE", headers=headers)[0] == 200
    assert ask("DELETE", headers=headers)[0] == 404
    assert ask("GET", headers=headers)[0] == 404
    assert ask("GET")[0] == 400
    assert legacy(session, PING)[0] == 404
    # A refused handshake leaves nothing.
    status, headers, answer = ask(body={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}})
    assert answer["error"]["code"] == -32602 and "Mcp-Session-Id" not in headers


def batches_are_of_one_revision_alone():
    batch = [PING, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {**PING, "id": "b"}]
    status, _, answer = legacy(begin("2025-03-26"), batch)
    assert status == 200 and [a["id"] for a in answer] == [1, "b"], answer
    assert legacy(begin("2025-03-26"), [batch[1]])[0] == 202
    for revision in ("2024-11-05", "2025-06-18", "2025-11-25"):
        assert legacy(begin(revision), batch)[0] == 400
    assert ask(body=batch, headers={"MCP-Protocol-Version": REVISION})[0] == 400
    assert legacy(begin("2025-03-26"), [{**PING, "params": {"_meta": META}}])[0] == 400


def open_stream(headers, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    connection.request("POST" if body else "GET", "/mcp", body and json.dumps(body),
                       {"Accept": "text/event-stream, application/json", "Content-Type": "application/json", **headers})
    return connection, connection.getresponse()


def next_event(response):
    while True:
        line = response.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            return json.loads(line[6:])


def a_session_has_one_stream_that_ends_with_it():
    session = begin()
    headers = {"Mcp-Session-Id": session}
    connection, response = open_stream(headers)
    assert response.status == 200 and response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert open_stream(headers)[1].status == 409
    assert ask("GET", headers={**headers, "Accept": "application/json"})[0] == 406
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "test_trigger_tool_change"}}
    assert legacy(session, call)[0] == 200
    assert next_event(response)["method"] == "notifications/tools/list_changed"
    ask("DELETE", headers=headers)
    assert response.read().strip() == b""
    connection.close()


def closing_a_stream_cancels():
    before = rss()
    for _ in range(20):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "sleep", "arguments": {"ms": 600000}, "_meta": {**META, "progressToken": 1}}}
        connection, response = open_stream({"MCP-Protocol-Version": REVISION, "Mcp-Method": "tools/call", "Mcp-Name": "sleep"}, body)
        assert next_event(response)["method"] == "notifications/progress"
        response.close()
        connection.close()
    deadline = time.monotonic() + 10
    while open("server.log", encoding="utf-8").read().count("fixture: cancelled") < 20:
        assert time.monotonic() < deadline, "not cancelled"
        time.sleep(0.02)
    assert rss() < before + 4096


def cancelled_by_a_notification():
    session = begin()
    body = {"jsonrpc": "2.0", "id": "long", "method": "tools/call",
            "params": {"name": "sleep", "arguments": {"ms": 600000}, "_meta": {"progressToken": 1}}}
    connection, response = open_stream({"Mcp-Session-Id": session}, body)
    next_event(response)
    assert legacy(session, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "long"}})[0] == 202
    assert response.read().strip() == b""
    connection.close()


def many_sessions_stay_within_the_bound():
    first = begin()
    for _ in range(1100):
        begin()
    assert legacy(first, PING)[0] == 404
    assert rss() < 40000, rss()


def those_who_listen_hold_no_calls_up():
    body = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"_meta": META, "notifications": {}}}
    head = {"MCP-Protocol-Version": REVISION, "Mcp-Method": "subscriptions/listen", "Authorization": "Bearer nobody"}
    held = [open_stream(head, body) for _ in range(1026)]
    assert [response.status for _, response in held].count(200) == 1024
    assert modern()[0] == 200
    for connection, response in held:
        response.close()
        connection.close()


def what_no_key_can_be_is_none():
    for headers in ({"Authorization": b"Bearer \xff\xfe"}, {"Authorization": b"Bearer \xc3\xa4"}, {"Authorization": "Bearer a\tb"},
                    {"X-API-Key": "k" * 1025}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"},
                    {"Authorization": "Bearer a", "X-API-Key": "b"}):
        status, head, answer = modern(headers=headers)
        assert status == 401 and head["WWW-Authenticate"] == "Bearer" and answer["error"]["code"] == -31001, (headers, status, answer)


def rss():
    """KiB; 0 with sanitizers, which keep what is freed."""
    if "ASAN_OPTIONS" in os.environ:
        return 0
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))


CASES = [f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__"
         and name not in ("ask", "modern", "begin", "legacy", "open_stream", "next_event", "rss")]
for case in CASES:
    case()
    print("ok", case.__name__)
