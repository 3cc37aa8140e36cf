"""certificates.py PORT DIR: two clients with certificates from DIR, each a tenant by itself."""

import hashlib
import http.client
import json
import os
import ssl
import sys
import time

PORT, DIR = int(sys.argv[1]), sys.argv[2]
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def raw(who, method, path, body=None, headers=None):
    context = ssl.create_default_context(cafile=f"{DIR}/ca.pem")
    context.load_cert_chain(f"{DIR}/{who}.pem", f"{DIR}/{who}.key")
    connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=60, context=context)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(who, method, path, body=None, headers=None):
    status, got = raw(who, method, path, None if body is None else json.dumps(body),
                      {"Content-Type": "application/json", **(headers or {})})
    return status, json.loads(got or b"null")


def tool(who, name, **arguments):
    params = {"name": name, "arguments": arguments, "_meta": META}
    headers = {"Accept": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
               "Mcp-Name": name}
    status, got = ask(who, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers)
    assert status == 200 and "result" in got, (status, got)
    return got["result"]["structuredContent"]


def serves_ports(sandbox):
    """Through TLS, both ways, and for the tenant alone."""
    here = os.path.dirname(os.path.abspath(__file__))
    place = f"/api/v1/sandboxes/{sandbox}/ports/8080"
    with open(f"{here}/ports_server.py", "rb") as source:
        got = raw("one", "PUT", f"/api/v1/sandboxes/{sandbox}/files/content?file=/tmp/s.py", source.read(),
                  {"Content-Type": "application/octet-stream"})
    assert got[0] == 200, got
    command = {"exec": {"command": {"args": ["python3", "/tmp/s.py", "8080"]}, "background": True}}
    assert ask("one", "POST", f"/api/v1/sandboxes/{sandbox}/execs", command)[0] in (200, 201)
    assert ask("one", "POST", f"/api/v1/sandboxes/{sandbox}/ports", {"port": 8080})[0] == 201
    end = time.monotonic() + 60
    while (got := raw("one", "GET", place + "/"))[0] != 200:
        assert time.monotonic() < end, got
        time.sleep(0.05)
    fields = dict(json.loads(got[1])["fields"])
    assert fields["X-Forwarded-Proto"] == "https" and "one" not in json.dumps(fields), fields
    much = bytes(range(256)) * 200000
    assert raw("one", "GET", f"{place}/give?n={len(much)}")[1] == much
    told = json.loads(raw("one", "PUT", place + "/take", much)[1])
    assert (told["bytes"], told["sha256"]) == (len(much), hashlib.sha256(much).hexdigest())
    assert raw("two", "GET", place + "/")[0] == 404


def ids(listed):
    return [sandbox["sandbox_id"] for sandbox in listed["sandboxes"]]


status, made = ask("one", "POST", "/api/v1/sandboxes", {})
assert status == 201, made
by_rest = made["sandbox_id"]
by_mcp = tool("one", "sandbox_create")["sandbox_id"]
assert sorted(ids(ask("one", "GET", "/api/v1/sandboxes")[1])) == sorted([by_rest, by_mcp]), "both are of the same tenant"
assert sorted(ids(tool("one", "sandbox_list"))) == sorted([by_rest, by_mcp])
assert ids(tool("two", "sandbox_list")) == [], "another tenant's"
with_python = ask("one", "POST", "/api/v1/sandboxes", {"profile": "python-dev"})[1]["sandbox_id"]
serves_ports(with_python)
assert ask("one", "DELETE", f"/api/v1/sandboxes/{with_python}")[0] == 200
for sandbox in (by_rest, by_mcp):
    assert ask("two", "GET", f"/api/v1/sandboxes/{sandbox}")[0] == 404
    assert ask("one", "DELETE", f"/api/v1/sandboxes/{sandbox}")[0] == 200
