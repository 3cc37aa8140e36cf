"""gateway.py MCP SOCKET PORT: packages by MCP over pipes and by REST, where "upper" is kept already and "tiny<=0.1" is not."""

import atexit
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

mcp, socket, port = sys.argv[1:]


def by_mcp():
    server = subprocess.Popen([mcp, "--worker", socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    atexit.register(server.kill)

    def ask(number, method, params):
        server.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
        server.stdin.flush()
        notes = []
        while True:
            message = json.loads(server.stdout.readline())
            if message.get("id") == number and "method" not in message:
                return message["result"], notes
            notes.append(message)

    def tool(number, name, **arguments):
        params = {"name": name, "arguments": arguments, "_meta": {"progressToken": f"t{number}"}}
        result, notes = ask(number, "tools/call", params)
        return result, [n["params"].get("message", "") for n in notes if n.get("method") == "notifications/progress"]

    ask(1, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
    server.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    code = "import tiny; print(tiny.answer)"
    result, told = tool(2, "run_code", language="python", code=code, profile="py", packages=["tiny<=0.1"])
    text = result["content"][0]["text"]
    assert "41" in text and "packages of pip: tiny==0.1 (" in text, text
    assert any("installing pip:tiny<=0.1" in t for t in told), told
    assert result["structuredContent"]["packages"] == ["tiny==0.1"], result
    result, _ = tool(3, "run_code", language="python", code=code, profile="py", packages=["tiny<=0.1"])
    assert "as installed before" in result["content"][0]["text"], result
    result, _ = tool(4, "run_code", language="python", code=code, profile="py", packages=["nothing"])
    assert result["isError"] and "No matching distribution" in result["content"][0]["text"], result
    result, _ = tool(5, "run_code", language="python", code=code, profile="py", packages=["./tiny"])
    assert result["isError"] and "not a package of pip by its name" in result["content"][0]["text"], result
    result, _ = tool(6, "shell", command="python3 -c 'import upper; print(upper.answer)'", profile="py", packages=["upper"])
    assert "43" in result["content"][0]["text"], result
    made, _ = tool(7, "sandbox_create", profile="py", packages=["upper"])
    sandbox = made["structuredContent"]["sandbox_id"]
    assert "upper==1.0" in made["structuredContent"]["packages"], made
    result, _ = tool(8, "run_code", language="python", code="import upper; print(upper.answer)", sandbox_id=sandbox)
    assert "43" in result["content"][0]["text"], result
    result, _ = tool(9, "run_code", language="python", code=code, sandbox_id=sandbox, packages=["tiny"])
    assert result["isError"] and "sandbox_create" in result["content"][0]["text"], result
    tool(10, "sandbox_destroy", sandbox_id=sandbox)
    server.stdin.close()
    assert server.wait(20) == 0


def by_rest():
    server = subprocess.Popen([mcp, "--transport", "http", "--port", port, "--loopback-without-key", "--worker", socket],
                              stderr=subprocess.DEVNULL)

    atexit.register(server.kill)

    def call(method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode() if body else None,
                                         {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live")
            break
        except OSError:
            time.sleep(0.05)
    status, made = call("POST", "/api/v1/sandboxes", {"profile": "py", "packages": ["upper"]})
    assert status == 201 and made["packages"][0]["cached"] is True, made
    status, kept = call("GET", "/api/v1/packages")
    (mine,) = [k for k in kept["packages"] if k["packages"]["requested"] == ["upper"] and k["sandboxes"] == 1]
    assert status == 200 and mine["tenant"], kept
    status, gone = call("DELETE", f"/api/v1/packages/{mine['package_id']}")
    assert status == 200 and gone["deleted"] == 1 and gone["in_use"] == 1, gone
    status, ran = call("POST", "/api/v1/run", {"target": {"sandbox_id": made["sandbox_id"]}, "exec": {
        "command": {"args": ["python3", "-c", "import upper; print(upper.answer)"]}}})
    assert ran["stdout"] == "43\n", ran
    assert call("DELETE", f"/api/v1/sandboxes/{made['sandbox_id']}")[0] == 200
    status, refused = call("POST", "/api/v1/sandboxes", {"profile": "strict", "packages": ["pip:upper"]})
    assert status in (400, 409, 412, 422) and "pypi.org:443" in refused["detail"], refused
    server.terminate()
    server.wait(20)


by_mcp()
by_rest()
