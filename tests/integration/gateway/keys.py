"""Keys over REST: roles, tenants, revocation; what each may and may not."""

import http.client
import json
import sys

from client import Contract, ask

OPEN, KEYED = int(sys.argv[1]), int(sys.argv[2])
SANDBOXES = "/api/v1/sandboxes"
admin = Contract(OPEN)


def key(role, tenant, **more):
    made = admin.call("createKey", 201, body={"role": role, "tenant": tenant, **more}).json()
    assert made["text"].startswith(f"aisbx_{made['key']['key_id']}_"), made
    return made["key"]["key_id"], {"Authorization": f"Bearer {made['text']}"}


def refused(got, status, code):
    assert got.status == status and got.json()["code"] == code, (got.status, got.body)
    print(f"  {status} {json.dumps(got.json())}")


one_id, one = key("user", "one", title="rest test")
_, two = key("user", "two")
auditor_id, auditor = key("auditor", "one")
_, boss = key("admin", "local")
short_id, short = key("user", "one", ttl_ms=1)

assert ask(KEYED, "GET", SANDBOXES, headers=one).json()["sandboxes"] == []
made = ask(KEYED, "POST", SANDBOXES, {}, one)
assert made.status == 201, made.body
sandbox = f"{SANDBOXES}/{made.json()['sandbox_id']}"
assert ask(KEYED, "GET", sandbox, headers={"X-API-Key": one["Authorization"][7:]}).status == 200
refused(ask(KEYED, "GET", sandbox, headers=two), 404, "NOT_FOUND")
refused(ask(KEYED, "DELETE", sandbox, headers=two), 404, "NOT_FOUND")
assert ask(KEYED, "GET", SANDBOXES, headers=two).json()["sandboxes"] == []
assert ask(KEYED, "GET", sandbox, headers=auditor).status == 200
refused(ask(KEYED, "POST", SANDBOXES, {}, auditor), 403, "PERMISSION_DENIED")
refused(ask(KEYED, "POST", "/api/v1/keys", {"role": "admin"}, one), 403, "PERMISSION_DENIED")
refused(ask(KEYED, "GET", "/metrics", headers=one), 403, "PERMISSION_DENIED")
assert ask(KEYED, "GET", "/metrics", headers=auditor).status == 200
assert ask(KEYED, "GET", sandbox, headers=boss).status == 200
refused(ask(KEYED, "GET", sandbox), 401, "UNAUTHENTICATED")
refused(ask(KEYED, "GET", sandbox, headers={"X-API-Key": "aisbx_nothing"}), 401, "UNAUTHENTICATED")
refused(ask(KEYED, "GET", sandbox, headers={"X-API-Key": one["Authorization"][7:-1] + "!"}), 401, "UNAUTHENTICATED")
refused(ask(KEYED, "GET", sandbox, headers=short), 401, "UNAUTHENTICATED")
for nonsense in ("aisbx_\xe4", "a\tb", "k" * 9000):  # what metadata cannot have, and what is too long for it
    refused(ask(KEYED, "GET", sandbox, headers={"X-API-Key": nonsense}), 401, "UNAUTHENTICATED")

# Who was refused, and over what, is written down alike for each protocol.
MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
ask(KEYED, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                            "params": {"name": "sandbox_create", "arguments": {}, "_meta": MODERN}},
    {**auditor, "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
     "Mcp-Name": "sandbox_create"})
records = admin.call("listAuditRecords", 200, query="?page_size=1000&action=auth").json()["records"]
told = [(r["actor"], r["tenant"], r["detail"]) for r in records if r["outcome"] == "denied"]
told = [(actor, tenant, json.loads(detail) if isinstance(detail, str) else detail) for actor, tenant, detail in told]
assert all(detail["by"] in ("rest", "mcp") and detail["from"].startswith("127.0.0.1:") for _, _, detail in told), told
for protocol in ("rest", "mcp"):
    assert any(actor == f"key:{auditor_id}" and tenant == "one" and detail["by"] == protocol and detail["call"] == "CreateSandbox"
               for actor, tenant, detail in told), (protocol, told)
assert any(actor == "nobody" and tenant == "" and detail["code"] == "UNAUTHENTICATED" for actor, tenant, detail in told), told

listed = {k["key_id"]: k for k in admin.call("listKeys", 200, query="?tenant=one").json()["keys"]}
assert one_id in listed and short_id in listed and "text" not in listed[one_id] and listed[one_id]["role"] == "user"
assert ask(KEYED, "DELETE", sandbox, headers=one).status == 200
assert "revoke_time" in admin.call("revokeKey", 200, [one_id]).json()
refused(ask(KEYED, "GET", SANDBOXES, headers=one), 401, "UNAUTHENTICATED")
admin.call("createKey", 422, body={"role": "king", "tenant": "one"})
admin.call("createKey", 422, body={"role": "user", "tenant": "One"})
admin.call("revokeKey", 404, ["a" * 26])

# ---- limits of a tenant, by the configuration in "rest" ----
_, limited = key("user", "limited")
answers = [ask(KEYED, "GET", SANDBOXES, headers=limited) for _ in range(8)]
over = [a for a in answers if a.status != 200]
assert answers[0].status == 200 and over, [a.status for a in answers]
refused(over[0], 429, "RESOURCE_EXHAUSTED")
limits = {name: over[0].headers[name] for name in ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")}
assert all(value is not None and value.isdigit() for value in limits.values()) and int(limits["Retry-After"]) >= 1, limits
print(f"  {limits}")
_, small = key("user", "small")
first = ask(KEYED, "POST", SANDBOXES, {}, small)
assert first.status == 201, first.body
refused(ask(KEYED, "POST", SANDBOXES, {}, small), 429, "RESOURCE_EXHAUSTED")
assert ask(KEYED, "DELETE", f"{SANDBOXES}/{first.json()['sandbox_id']}", headers=small).status == 200

# ---- what was decided ----
mine = first.json()["sandbox_id"]
records = admin.call("listAuditRecords", 200, query=f"?sandbox_id={mine}").json()["records"]
assert records and all(r["sandbox_id"] == mine and r["tenant"] == "small" for r in records), records
created = admin.call("listAuditRecords", 200, query="?action=sandbox.create&page_size=1").json()
assert [r["action"] for r in created["records"]] == ["sandbox.create"] and created["next_page_token"], created
older = admin.call("listAuditRecords", 200,
                   query=f"?action=sandbox.create&page_size=1&page_token={created['next_page_token']}").json()["records"][0]
assert older["sequence"] < created["records"][0]["sequence"], "newest first"
assert admin.call("listAuditRecords", 200, query="?start_time=2999-01-01T00:00:00Z").json()["records"] == []
own = ask(KEYED, "GET", "/api/v1/security/audit?page_size=1000", headers=two).json()["records"]
assert own and all(r["tenant"] == "two" for r in own), own

# ---- sessions of MCP: whoever has no key ends none of those who have ----
EVENTS = {"Accept": "application/json, text/event-stream"}


def rpc(method, headers, params=None, session=None):
    more = {} if session is None else {"Mcp-Session-Id": session}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return ask(KEYED, "POST", "/mcp", body, {**EVENTS, **headers, **more})


def initialize(headers):
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "keys", "version": "1"}}
    got = rpc("initialize", headers, client)
    assert got.status == 200, got.body
    return got.headers["Mcp-Session-Id"]


mine = initialize(two)
assert rpc("ping", one, session=mine).status == 404, "sessions are of the key that began them"
assert "sandboxes" in rpc("tools/call", two, {"name": "sandbox_list", "arguments": {}}, mine).json()["result"]["structuredContent"]
for wrong, said in ((one, "was revoked"), ({"X-API-Key": "aisbx_nothing"}, "not the form")):
    error = rpc("tools/call", wrong, {"name": "sandbox_list", "arguments": {}}, initialize(wrong)).json()["error"]
    assert error["code"] == -31001 and said in error["message"], error
for n in range(1100):
    initialize({"X-API-Key": f"nobody's {n}"})
assert rpc("ping", two, session=mine).status == 200, "a session was ended by those who have no key"
for wrong in ({"X-API-Key": ""}, {"Authorization": "Basic eDp5"}, {**two, "X-API-Key": "another"}):
    assert rpc("initialize", wrong, {}).status == 401, wrong

# ---- who may not ask any more is not told any more ----
watcher_id, watcher = key("user", "two")
connection = http.client.HTTPConnection("127.0.0.1", KEYED, timeout=20)
connection.request("GET", "/api/v1/events", headers=watcher)
stream = connection.getresponse()
assert stream.status == 200
admin.call("revokeKey", 200, [watcher_id])
told = stream.read().decode()
assert "event: error" in told and "UNAUTHENTICATED" in told, told
connection.close()
