"""certificates.py PORT DIR: two clients with certificates from DIR, each a tenant by itself."""

import http.client
import json
import ssl
import sys

PORT, DIR = int(sys.argv[1]), sys.argv[2]
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def ask(who, method, path, body=None, headers=None):
    context = ssl.create_default_context(cafile=f"{DIR}/ca.pem")
    context.load_cert_chain(f"{DIR}/{who}.pem", f"{DIR}/{who}.key")
    connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=60, context=context)
    try:
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


def tool(who, name, **arguments):
    params = {"name": name, "arguments": arguments, "_meta": META}
    headers = {"Accept": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
               "Mcp-Name": name}
    status, got = ask(who, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers)
    assert status == 200 and "result" in got, (status, got)
    return got["result"]["structuredContent"]


def ids(listed):
    return [sandbox["sandbox_id"] for sandbox in listed["sandboxes"]]


status, made = ask("one", "POST", "/api/v1/sandboxes", {})
assert status == 201, made
by_rest = made["sandbox_id"]
by_mcp = tool("one", "sandbox_create")["sandbox_id"]
assert sorted(ids(ask("one", "GET", "/api/v1/sandboxes")[1])) == sorted([by_rest, by_mcp]), "both are of the same tenant"
assert sorted(ids(tool("one", "sandbox_list"))) == sorted([by_rest, by_mcp])
assert ids(tool("two", "sandbox_list")) == [], "another tenant's"
for sandbox in (by_rest, by_mcp):
    assert ask("two", "GET", f"/api/v1/sandboxes/{sandbox}")[0] == 404
    assert ask("one", "DELETE", f"/api/v1/sandboxes/{sandbox}")[0] == 200
