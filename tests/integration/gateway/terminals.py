"""Terminals, signals to a whole tree, limits and users of execs by REST."""

import sys

from client import Contract

PORT = int(sys.argv[1])
call = Contract(PORT).call
BYTES = {"Content-Type": "application/octet-stream"}


def exec_(*args, **more):
    return {"exec": {"command": {"args": list(args)}, "background": True, **more}}


class Reader:
    """Reads an exec's output range by range, and waits for what is to come."""

    def __init__(self, exec_id):
        self.exec_id, self.seen, self.at = exec_id, b"", 0

    def wait_for(self, text):
        while text not in self.seen[self.at:]:
            got = call("readExecOutput", 200, [self.exec_id], f"?offset={len(self.seen)}&wait_ms=20000")
            assert got.body, f"no {text} in {self.seen}"
            self.seen += got.body
        self.at = self.seen.index(text, self.at) + len(text)

    def type(self, data):
        call("sendExecInput", 204, [self.exec_id], body=data, headers=BYTES)


sandbox = call("createSandbox", 201, body={"profile": "python-dev"}).json()["sandbox_id"]

# A terminal: its size, a change of it, Ctrl-C, the end of input.
shell = call("startExec", 201, [sandbox], body=exec_("bash", "--norc", "-i", terminal={"rows": 30, "columns": 90, "term": "dumb"})).json()
assert shell["terminal"] == {"rows": 30, "columns": 90, "term": "dumb"} and shell["open_stdin"], shell
reader = Reader(shell["exec_id"])
reader.type(b"PS1='$ '; stty size\n")
reader.wait_for(b"\n30 90\r\n")
call("resizeExec", 204, [shell["exec_id"]], body={"rows": 50, "columns": 132})
reader.type(b"stty size\n")
reader.wait_for(b"\n50 132\r\n")
call("resizeExec", 422, [shell["exec_id"]], body={"rows": 1001})
reader.type(b"sh -c 'echo up; exec sleep 1000'\n")
reader.wait_for(b"\nup\r\n")
reader.type(b"\x03")
reader.type(b"echo alive=$((6*7))\n")
reader.wait_for(b"alive=42")
reader.type(b"exit 6\n")
events = call("attachExec", 200, [shell["exec_id"]], headers={"Last-Event-ID": "5.0"}).events()
assert events[-1][1]["exec"]["verdict"]["exit_code"] == 6
call("resizeExec", 409, [shell["exec_id"]], body={"rows": 9, "columns": 9})

# A signal to all.
tree = call("startExec", 201, [sandbox], body=exec_(
    "sh", "-c", "trap 'echo outer' USR1; sh -c 'trap \"echo inner\" USR1; echo set; while :; do sleep 0.1; done' & "
    "while :; do sleep 0.1; done")).json()
reader = Reader(tree["exec_id"])
reader.wait_for(b"set\n")
call("signalExec", 204, [tree["exec_id"]], body={"signal": 10, "tree": True})
for word in (b"inner", b"outer"):
    reader.at = 0
    reader.wait_for(word)
call("resizeExec", 409, [tree["exec_id"]], body={"rows": 9, "columns": 9})
call("sendExecInput", 409, [tree["exec_id"]], body=b"x", headers=BYTES)
assert call("cancelExec", 200, [tree["exec_id"]]).json()["verdict"]["kind"] == "cancelled"

# Limits and users.
ran = call("run", 200, body={"target": {"sandbox_id": sandbox}, "exec": {
    "command": {"args": ["bash", "-c", "ulimit -n; ulimit -t"]}, "user": "sandbox",
    "limits": {"process_open_files": 64, "process_cpu_ms": 2000}}}).json()
assert ran["stdout"] == "64\n2\n" and ran["exec"]["limits"]["process_open_files"] == 64, ran
for wrong in ({"user": "root"}, {"limits": {"output_bytes": 1 << 40}}, {"terminal": {"term": "a b"}}):
    problem = call("run", 422, body={"target": {"sandbox_id": sandbox}, "exec": {"command": {"args": ["true"]}, **wrong}}).json()
    assert next(iter(wrong)) in problem["detail"], problem
call("destroySandbox", 200, [sandbox])
