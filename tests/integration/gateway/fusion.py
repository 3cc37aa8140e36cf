#!/usr/bin/python3
"""POST /run_code and GET /v1/ping, as clients of SandboxFusion (verl's among them) ask: a table of requests, and what they
have to come to. fusion.py OPEN-PORT CLOSED-PORT"""

import base64
import concurrent.futures
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time

OPEN, CLOSED = int(sys.argv[1]), int(sys.argv[2])
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
failed = []


def ask(method, path, body=None, port=OPEN, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=170)
    text = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, text, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data), answer


def check(name, condition, got=None):
    if not condition:
        failed.append(name)
        print(f"FAIL {name}: {got!r}"[:1500])


def b64(data):
    return base64.b64encode(data).decode()


CPP = ('#include <iostream>\nint main(){{int a,b;std::cin>>a>>b;{body}}}')
JAVA = "import java.util.*; public class Main {{ public static void main(String[] x) {{ Scanner s = new Scanner(System.in); {body} }} }}"

# name, needs, request, what is to be in the answer (None: null); run_result and compile_result by member
TABLE = [
    ("python prints", "python3", {"language": "python", "code": "print('hello')"},
     {"status": "Success", "message": "", "compile_result": None, "run": {"status": "Finished", "return_code": 0, "stdout": "hello\n", "stderr": ""}}),
    ("python reads", "python3", {"language": "python", "code": "print(int(input()) + int(input()))", "stdin": "3\n4\n"},
     {"status": "Success", "run": {"stdout": "7\n"}}),
    ("python without input reads the end", "python3", {"language": "python", "code": "import sys; print(repr(sys.stdin.read()))", "stdin": None},
     {"status": "Success", "run": {"stdout": "''\n"}}),
    ("python raises", "python3", {"language": "python", "code": "raise ValueError('no')"},
     {"status": "Failed", "run": {"status": "Finished", "return_code": 1}, "stderr has": "ValueError: no"}),
    ("python does not parse", "python3", {"language": "python", "code": "def f(:"}, {"status": "Failed", "compile_result": None,
     "run": {"status": "Finished", "return_code": 1}, "stderr has": "SyntaxError"}),
    ("python exits", "python3", {"language": "python", "code": "import sys; sys.exit(7)"}, {"status": "Failed", "run": {"return_code": 7}}),
    ("python is late", "python3", {"language": "python", "code": "print('begun', flush=True)\nwhile True: pass", "run_timeout": 1},
     {"status": "Failed", "run": {"status": "TimeLimitExceeded", "return_code": None, "stdout": "begun\n"}}),
    ("python sleeps too long", "python3", {"language": "python", "code": "import time; time.sleep(100)", "run_timeout": 0.5},
     {"status": "Failed", "run": {"status": "TimeLimitExceeded"}}),
    ("python is killed", "python3", {"language": "python", "code": "import os; os.kill(os.getpid(), 9)"},
     {"status": "Failed", "run": {"status": "Finished", "return_code": -9}}),
    ("python takes too much memory", "python3", {"language": "python", "code": "x = bytearray(1 << 30); print(len(x))", "memory_limit_MB": 64},
     {"status": "Failed", "run": {"status": "Finished"}}),
    ("python has its files", "python3", {"language": "python", "code": "import a.b\nopen('out.bin', 'wb').write(a.b.x[::-1])",
     "files": {"a/b.py": b64(b"x = bytes(range(256))"), "none": None}, "fetch_files": ["out.bin", "not-there"]},
     {"status": "Success", "files": {"out.bin": b64(bytes(range(255, -1, -1)))}}),
    ("python has no network", "python3", {"language": "python", "code": "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 1)\n"
     "except OSError as e: print('none')"}, {"status": "Success", "run": {"stdout": "none\n"}}),
    ("bytes that are no text", "python3", {"language": "python", "code": "import os; os.write(1, b'a\\xffb')"}, {"status": "Success", "run": {"stdout": "a\ufffdb"}}),
    ("no code", "python3", {"language": "python", "code": ""}, {"status": "Success", "run": {"stdout": ""}}),
    ("more is ignored", "python3", {"language": "python", "code": "print(1)", "args": ["-v"], "unknown": {"x": 1}}, {"status": "Success"}),
    ("cpp adds", "c++", {"language": "cpp", "code": CPP.format(body="std::cout<<a+b;"), "stdin": "3 4"},
     {"status": "Success", "compile": {"status": "Finished", "return_code": 0}, "run": {"stdout": "7", "return_code": 0}}),
    ("cpp does not compile", "c++", {"language": "cpp", "code": "int main(){return x;}"},
     {"status": "Failed", "compile": {"status": "Finished", "return_code": 1}, "run_result": None}),
    ("cpp compiles too long", "c++", {"language": "cpp", "code": "#include <bits/stdc++.h>\nint main(){}", "compile_timeout": 0.001},
     {"status": "Failed", "compile": {"status": "TimeLimitExceeded", "return_code": None}, "run_result": None}),
    ("cpp crashes", "c++", {"language": "cpp", "code": "int main(){volatile int*p=0;*p=1;}"}, {"status": "Failed",
     "compile": {"return_code": 0}, "run": {"status": "Finished", "return_code": -11}}),
    ("cpp is late", "c++", {"language": "cpp", "code": "int main(){for(volatile int i=0;;)i=i;}", "run_timeout": 1},
     {"status": "Failed", "run": {"status": "TimeLimitExceeded"}}),
    ("nodejs prints", "node", {"language": "nodejs", "code": "console.log(require('fs').readFileSync(0, 'utf8').length)", "stdin": "four"},
     {"status": "Success", "compile_result": None, "run": {"stdout": "4\n"}}),
    ("nodejs throws", "node", {"language": "nodejs", "code": "throw new Error('no')"}, {"status": "Failed", "run": {"return_code": 1}, "stderr has": "Error: no"}),
    ("bash runs", "bash", {"language": "bash", "code": "read a; echo $((a * 2)); exit 3", "stdin": "21\n"},
     {"status": "Failed", "run": {"stdout": "42\n", "return_code": 3}}),
    ("go prints", "go", {"language": "go", "code": "package main\nimport \"fmt\"\nfunc main() { var a int; fmt.Scan(&a); fmt.Println(a * 2) }", "stdin": "4",
     "compile_timeout": 120}, {"status": "Success", "compile": {"return_code": 0}, "run": {"stdout": "8\n"}}),
    ("java adds", "javac", {"language": "java", "code": JAVA.format(body="System.out.println(s.nextInt() + s.nextInt());"), "stdin": "3 4",
     "compile_timeout": 60, "run_timeout": 60}, {"status": "Success", "compile": {"return_code": 0}, "run": {"stdout": "7\n"}}),
    ("java throws", "javac", {"language": "java", "code": JAVA.format(body="throw new RuntimeException(\"no\");"), "compile_timeout": 60, "run_timeout": 60},
     {"status": "Failed", "run": {"return_code": 1}, "stderr has": "RuntimeException: no"}),
    ("rust adds", "rustc", {"language": "rust", "code": "fn main(){let mut s=String::new();std::io::stdin().read_line(&mut s).unwrap();println!(\"{}\",s.trim().len());}",
     "stdin": "four", "compile_timeout": 60}, {"status": "Success", "run": {"stdout": "4\n"}}),
    ("a language that is not here", "python3", {"language": "lean", "code": "x"}, {"status": "SandboxError", "compile_result": None, "run_result": None}),
    ("more memory than the profile gives", "python3", {"language": "python", "code": "1", "memory_limit_MB": 1 << 19}, {"status": "SandboxError"}),
    ("a path that leads out", "python3", {"language": "python", "code": "1", "files": {"../x": b64(b"x")}}, {"status": "SandboxError"}),
]
MEMBERS = {"status", "message", "compile_result", "run_result", "executor_pod_name", "files"}

assert ask("GET", "/v1/ping")[:2] == (200, "pong")
assert ask("GET", "/v1/ping", port=CLOSED)[:2] == (200, "pong")


def replay(row):
    name, needs, request, wanted = row
    if shutil.which(needs, path=PATH) is None:
        status, got, _ = ask("POST", "/run_code", request)
        check(name, status == 200 and got["status"] == "SandboxError" and needs in got["message"], got)
        return
    status, got, _ = ask("POST", "/run_code", request)
    check(name, status == 200 and set(got) == MEMBERS, (status, got))
    for key, value in wanted.items():
        if key in ("run", "compile"):
            part = got[key + "_result"] or {}
            check(f"{name}: members", set(part) == {"status", "execution_time", "return_code", "stdout", "stderr"}, got)
            check(f"{name}: time", part.get("execution_time", -1) >= 0, got)
            check(f"{name}: {key}", {k: part.get(k, "absent") for k in value} == value, got)
        elif key == "stderr has":
            check(f"{name}: stderr", value in got["run_result"]["stderr"], got)
        else:
            check(f"{name}: {key}", got[key] == value, got)


for one in TABLE:
    replay(one)

# ---- what is no request ----
for name, body, field in (
        ("not JSON", b"{", None), ("no object", [1], None), ("no code", {"language": "python"}, "code"), ("no language", {"code": "1"}, "language"),
        ("code", {"code": 1, "language": "python"}, "code"), ("stdin", {"code": "1", "language": "python", "stdin": 1}, "stdin"),
        ("time", {"code": "1", "language": "python", "run_timeout": -1}, "run_timeout"), ("time 2", {"code": "1", "language": "python", "compile_timeout": "1"}, "compile_timeout"),
        ("memory", {"code": "1", "language": "python", "memory_limit_MB": 1.5}, "memory_limit_MB"), ("files", {"code": "1", "language": "python", "files": {"a": "%"}}, "files"),
        ("files 2", {"code": "1", "language": "python", "files": []}, "files"), ("fetch", {"code": "1", "language": "python", "fetch_files": [1]}, "fetch_files")):
    status, got, _ = ask("POST", "/run_code", body)
    check(f"422 for {name}", status == 422 and isinstance(got["detail"], list) and (field is None or got["detail"][0]["loc"] == ["body", field]), (status, got))
status, got, answer = ask("GET", "/run_code")
check("405", status == 405 and answer.getheader("Allow") == "POST", (status, got))
status, got, _ = ask("POST", "/run_code", {"code": "1", "language": "python"}, port=CLOSED)
check("401 without a key", status == 401, (status, got))
status, got, _ = ask("POST", "/run_code", {"code": "1", "language": "python"}, port=CLOSED, Authorization="Bearer nonsense")
check("401 with a bad key", status == 401, (status, got))

# ---- many at once: each gets its own, in the end ----
with concurrent.futures.ThreadPoolExecutor(48) as pool:
    def double(i):
        return ask("POST", "/run_code", {"language": "bash", "code": "read a; echo $((a * 2))", "stdin": f"{i}\n", "run_timeout": 60})[1]["run_result"]["stdout"]
    check("48 at once", list(pool.map(double, range(48))) == [f"{2 * i}\n" for i in range(48)])

# ---- who goes away takes its program along ----
gone = socket.create_connection(("127.0.0.1", OPEN))
body = json.dumps({"language": "bash", "code": "exec sleep 4337", "run_timeout": 600}).encode()
gone.sendall(b"POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def runs():
    return subprocess.run(["pgrep", "-f", "-x", "sleep 4337"], stdout=subprocess.DEVNULL).returncode == 0


def wait_for(name, condition):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    check(name, False)


wait_for("the program runs", runs)
gone.close()
wait_for("the program went with its client", lambda: not runs())
wait_for("no sandbox is left", lambda: ask("GET", "/api/v1/sandboxes")[1]["sandboxes"] == [])

# ---- no room: 504, which is what its clients try again after ----
def key(tenant):
    status, made, _ = ask("POST", "/api/v1/keys", {"role": "user", "tenant": tenant})
    assert status == 201, made
    return {"Authorization": f"Bearer {made['text']}"}


# ---- nobody waits for another's programs ----
busy, other = key("busy"), key("other")
held = []
for i in range(2 * max(2, len(os.sched_getaffinity(0))) + 2):
    held.append(http.client.HTTPConnection("127.0.0.1", CLOSED))
    held[-1].request("POST", "/run_code", json.dumps({"language": "bash", "code": "exec sleep 4338", "run_timeout": 600}),
                     {"Content-Type": "application/json", **busy})
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    asked = pool.submit(ask, "POST", "/run_code", {"code": "echo 1", "language": "bash"}, port=CLOSED, **other)
    try:
        check("another caller runs at once", asked.result(60)[1].get("status") == "Success")
    except concurrent.futures.TimeoutError:
        check("another caller runs at once", False)
    for connection in held:
        connection.close()
wait_for("their programs went with them", lambda: ask("GET", "/api/v1/sandboxes")[1]["sandboxes"] == [])

small, limited = key("small"), key("limited")
one = {"code": "echo 1", "language": "bash"}
cpp = {"code": "int main(){}", "language": "cpp"} if shutil.which("c++", path=PATH) else one
check("a tenant with room for one sandbox compiles and runs", ask("POST", "/run_code", cpp, port=CLOSED, **small)[1].get("status") == "Success")
status, made, _ = ask("POST", "/api/v1/sandboxes", {}, port=CLOSED, **small)
assert status == 201, made
status, got, answer = ask("POST", "/run_code", one, port=CLOSED, **small)
check("504 when a quota is used up", status == 504 and "max_sandboxes" in got["detail"] and answer.getheader("Retry-After"), (status, got))
assert ask("DELETE", "/api/v1/sandboxes/" + made["sandbox_id"], port=CLOSED, **small)[0] == 200
check("and then there is room", ask("POST", "/run_code", one, port=CLOSED, **small)[1].get("status") == "Success")
statuses = {ask("POST", "/run_code", one, port=CLOSED, **limited)[0] for _ in range(8)}
check("504 when there are too many requests a second", statuses == {200, 504}, statuses)

sys.exit(1 if failed else print(f"{len(TABLE)} requests came to what they should"))
