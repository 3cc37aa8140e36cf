"""What a program that starts us over its pipes relies on, one case a function. stdio.py FIXTURE"""
import json
import os
import select
import signal
import subprocess
import sys
import time

FIXTURE = sys.argv[1]
MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


class Server:
    """One server; ended by the with statement."""

    def __init__(self, revision="2025-11-25"):
        self.process = subprocess.Popen([FIXTURE, "--transport", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.held = b""
        if revision:
            self.send(id="init", method="initialize",
                      params={"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
            self.handshake = self.receive()["result"]
            self.send(method="notifications/initialized")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def raw(self, data):
        os.write(self.process.stdin.fileno(), data) if len(data) < 60000 else self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, **message):
        self.raw(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def call(self, number, tool, arguments, **more):
        self.send(id=number, method="tools/call", params={"name": tool, "arguments": arguments, **more})

    def line(self, seconds=20):
        end = time.monotonic() + seconds
        while b"\n" not in self.held:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                return None
            self.held += data
        line, self.held = self.held.split(b"\n", 1)
        return line

    def receive(self, seconds=20):
        line = self.line(seconds)
        return None if line is None else json.loads(line)


def text_of(answer):
    return answer["result"]["content"][0]["text"]


def speaks_every_revision():
    for revision in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"):
        with Server(revision) as server:
            assert server.handshake["protocolVersion"] == revision
            server.call(1, "echo", {"text": revision})
            assert text_of(server.receive()) == revision
    with Server("2026-07-28") as server:
        assert server.handshake["protocolVersion"] == "2025-11-25"
    with Server(None) as server:
        server.call(1, "echo", {"text": "x"}, _meta=MODERN)
        answer = server.receive()["result"]
        assert answer["resultType"] == "complete" and answer["_meta"]["io.modelcontextprotocol/serverInfo"]["name"]
        server.send(id=2, method="server/discover", params={})
        assert server.receive()["error"]["code"] == -32601


def echoes_ids_as_they_are_written():
    with Server() as server:
        for number in (b"9007199254740991", b"-7", b'"a\\u00e9\\"b"', b"1.0", b"0"):
            server.raw(b'{"jsonrpc":"2.0","id":' + number + b',"method":"ping"}\r\n\r\n')
            assert b'"id":' + number + b"," in server.line()
        for number in (b"9007199254740993", b"1.5", b"null", b"true", b"[1]"):
            server.raw(b'{"jsonrpc":"2.0","id":' + number + b',"method":"ping"}\n')
            assert server.receive()["id"] is None
        server.send(id="last", method="ping")
        assert server.receive()["id"] == "last"


def answers_what_is_no_message_and_goes_on():
    rows = ((-32700, None, (b"hello", b"{", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 5000, b'"\\u0000"', b"\x00", b'{"jsonrpc":"2.0","id":1,')),
            (-32600, None, (b"[]", b"1", b"null", b'"x"', b'{"jsonrpc":"2.0"}', b"{}", b"[1]", b'{"jsonrpc":"2.0","method":7}',
                            b'{"jsonrpc":"2.0","id":null,"method":"ping"}', b'{"jsonrpc":"2.0","id":{},"method":"ping"}')),
            (-32600, 5, (b'{"id":5,"method":"ping"}', b'{"jsonrpc":"1.0","id":5,"method":"ping"}', b'{"jsonrpc":"2.0","id":5,"method":7}',
                         b'{"jsonrpc":"2.0","id":5}', b'{"jsonrpc":"2.0","id":5,"method":"ping","params":[1]}')))
    with Server() as server:
        for code, number, lines in rows:
            for line in lines:
                server.raw(line + b"\n")
                answer = server.receive()
                assert (answer["error"]["code"], answer["id"]) == (code, number), (line, answer)
        # Who answers these could be answered for ever.
        for line in (b'{"jsonrpc":"2.0","method":"nope","params":[1]}', b'{"jsonrpc":"2.0","method":"nope"}', b'{"method":"nope"}',
                     b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}', b'{"jsonrpc":"2.0","id":5,"result":{},"error":{}}',
                     b'{"jsonrpc":"2.0","id":5,"result":{}}', b'{"jsonrpc":"2.0","method":"nope","params":{"_meta":'
                     b'{"io.modelcontextprotocol/protocolVersion":7}}}'):
            server.raw(line + b"\n")
        server.send(id=1, method="ping")
        assert server.receive() == {"jsonrpc": "2.0", "id": 1, "result": {}}


def answers_to_garbage_are_bounded():
    with Server() as server:
        for _ in range(20):
            server.raw(b"x\n" * 20000)
        server.send(id="end", method="ping")
        size = 0
        while b'"id":null' in (line := server.line(60)):
            size += len(line)
        assert b'"id":"end"' in line and 0 < size < 16 << 20, (line, size)


def refuses_a_line_beyond_the_bound_and_reads_on():
    with Server() as server:
        text = json.dumps({"jsonrpc": "2.0", "id": 77, "method": "tools/call",
                           "params": {"name": "echo", "arguments": {"text": "x" * (5 << 20)}}})
        server.raw(text.encode() + b"\n")
        assert server.receive()["id"] == 77
        server.raw(b"x" * (5 << 20) + b"\n")
        answer = server.receive()
        assert answer["id"] is None and answer["error"]["code"] == -32600
        server.send(id=1, method="ping")
        assert server.receive()["id"] == 1


def keeps_its_lines_below_what_clients_take():
    with Server() as server:
        server.call(1, "blob", {"bytes": 50 << 20})
        line = server.line(60)
        assert len(line) < 10 << 20 and json.loads(line)["error"]["code"] == -32603, line[:200]
        server.call(2, "blob", {"bytes": 8 << 20})
        assert len(text_of(server.receive(60))) == 8 << 20


def batches_are_of_one_revision_alone():
    batch = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"},
                        {"jsonrpc": "2.0", "method": "notifications/initialized"},
                        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "sleep", "arguments": {"ms": 30}}},
                        {"jsonrpc": "2.0", "id": [], "method": "ping"}]).encode() + b"\n"
    with Server("2025-03-26") as server:
        server.raw(batch)
        answers = server.receive()
        assert sorted(str(a["id"]) for a in answers) == ["1", "2", "None"], answers
    with Server("2025-06-18") as server:
        server.raw(batch)
        answer = server.receive()
        assert answer["id"] is None and answer["error"]["code"] == -32600


def answers_as_they_come_and_tells_progress():
    with Server() as server:
        server.call(1, "test_tool_with_progress", {}, _meta={"progressToken": "p\u00e9"})
        server.call(2, "echo", {"text": "meanwhile"})
        messages = [server.receive() for _ in range(5)]
        assert [m["params"]["progress"] for m in messages if m.get("method")] == [0, 50, 100]
        assert all(m["params"]["progressToken"] == "p\u00e9" for m in messages if m.get("method"))
        assert [m["id"] for m in messages if "id" in m] == [2, 1]


def a_client_that_does_not_read_can_still_cancel():
    with Server() as server:
        server.call("long", "sleep", {"ms": 600000})
        for number in range(40):
            server.call(number, "blob", {"bytes": 1 << 20})
        server.send(method="notifications/cancelled", params={"requestId": "long"})
        server.send(id="end", method="ping")
        seen = {}
        while "end" not in seen:
            message = server.receive(60)
            assert message is not None
            if "id" in message:
                seen[message["id"]] = message
        refused = [n for n in range(40) if "error" in seen[n]]
        assert "long" not in seen
        assert refused, "the queue has no bound"
        assert all(seen[n]["error"]["code"] == -31002 for n in refused)


def bounds_calls_under_way():
    with Server() as server:
        for number in range(140):
            server.call(number, "sleep", {"ms": 600000})
        server.send(id="end", method="ping")
        codes = [server.receive()["error"]["code"] for _ in range(13)]
        assert codes == [-31002] * 13, codes


def close_input(server):
    server.process.stdin.close()
    server.process.stdin = open(os.devnull, "wb")


def answers_what_is_under_way_when_its_input_ends():
    with Server() as server:
        server.call(1, "sleep", {"ms": 700})
        server.call(2, "sleep", {"ms": 300}, _meta={"progressToken": "p"})
        server.raw(b'{"jsonrpc":"2.0","id":3,"method":"ping"}')  # the last line has no end
        close_input(server)
        messages = [server.receive() for _ in range(4)]
        assert [m.get("id") for m in messages] == [None, 3, 2, 1], messages
        assert server.line() is None and server.process.wait(10) == 0
    with Server("2025-03-26") as server:
        server.raw(json.dumps([{"jsonrpc": "2.0", "id": n, "method": "tools/call",
                                "params": {"name": "sleep", "arguments": {"ms": 100 * n}}} for n in (1, 2)]).encode() + b"\n")
        close_input(server)
        assert [a["id"] for a in server.receive()] == [1, 2]
        assert server.line() is None and server.process.wait(10) == 0


def an_answer_larger_than_the_pipe_is_whole_when_its_input_ended():
    with Server() as server:
        server.call(1, "blob", {"bytes": 4 << 20})
        close_input(server)
        assert len(text_of(server.receive())) == 4 << 20
        assert server.process.wait(10) == 0


def what_the_client_alone_could_help_on_does_not_hold_it_open():
    with Server(None) as server:
        server.send(id="init", method="initialize", params={"protocolVersion": "2025-11-25", "clientInfo": {"name": "t", "version": "1"},
                                                            "capabilities": {"sampling": {}, "elicitation": {}}})
        server.receive()
        server.call(1, "test_sampling", {"prompt": "x"})
        server.call(2, "test_elicitation", {"message": "x"})
        assert {server.receive()["method"] for _ in range(2)} == {"sampling/createMessage", "elicitation/create"}
        server.send(id=3, method="ping")
        assert server.receive()["id"] == 3
        close_input(server)
        answers = [server.receive() for _ in range(2)]
        assert all("ended its side" in text_of(a) for a in answers), answers
        assert server.line() is None and server.process.wait(10) == 0


def ends_at_once_when_nothing_is_under_way():
    with Server() as server:
        server.send(id=1, method="ping")
        assert server.receive()["id"] == 1
        close_input(server)
        assert server.line() is None and server.process.wait(10) == 0


def a_signal_ends_what_is_under_way():
    for closes_first in (False, True):
        with Server() as server:
            server.call(1, "sleep", {"ms": 600000})
            server.send(id=2, method="ping")
            assert server.receive()["id"] == 2
            if closes_first:
                close_input(server)
            server.process.send_signal(signal.SIGTERM)
            assert server.line() is None and server.process.wait(10) == 0


def ends_when_nobody_waits_for_the_answers():
    with Server() as server:
        server.call(1, "sleep", {"ms": 600000})
        server.send(id=2, method="ping")
        assert server.receive()["id"] == 2
        close_input(server)
        server.process.stdout.close()
        server.process.stdout = open(os.devnull, "rb")
        assert server.process.wait(10) == 0


def ends_when_nobody_reads():
    with Server() as server:
        server.process.stdout.close()
        server.send(id=1, method="ping")
        assert server.process.wait(10) == 0
        server.process.stdout = open(os.devnull, "rb")
    with Server() as server:  # found out while a handler writes
        server.call(1, "test_tool_with_progress", {}, _meta={"progressToken": 1})
        server.receive()
        server.process.stdout.close()
        assert server.process.wait(10) == 0
        server.process.stdout = open(os.devnull, "rb")


def takes_the_descriptors_away():
    with Server() as server:
        links = {n: os.readlink(f"/proc/{server.process.pid}/fd/{n}") for n in (0, 1)}
        assert links[0] == "/dev/null" and not links[1].startswith("pipe:"), links
        for fd in os.listdir(f"/proc/{server.process.pid}/fd"):
            if int(fd) > 2:
                with open(f"/proc/{server.process.pid}/fdinfo/{fd}", encoding="ascii") as info:
                    flags = next(line.split()[1] for line in info if line.startswith("flags:"))
                assert int(flags, 8) & os.O_CLOEXEC, (fd, flags)


def tells_the_model_what_is_wrong_with_arguments():
    with Server() as server:
        for arguments, text in (({}, "needs"), ({"text": 1}, "string"), ({"text": "a", "tex": 1}, "did you mean")):
            server.call(1, "echo", arguments)
            answer = server.receive()["result"]
            assert answer["isError"] and text in answer["content"][0]["text"], answer
        server.call(1, "nope", {})
        assert server.receive()["error"]["code"] == -32602
        server.send(id=1, method="tools/call", params={"name": "echo", "arguments": [1]})
        assert server.receive()["error"]["code"] == -32602
        server.send(id=1, method="tools/list", params={"cursor": "t9999"})
        assert server.receive()["error"]["code"] == -32602


def listens_over_stdio_too():
    with Server(None) as server:
        server.send(id="sub", method="subscriptions/listen",
                    params={"_meta": MODERN, "notifications": {"toolsListChanged": True, "resourceSubscriptions": ["a:b"]}})
        first = server.receive()
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["a:b"]}
        server.call(1, "test_trigger_prompt_change", {}, _meta=MODERN)
        assert server.receive()["id"] == 1
        server.call(2, "test_trigger_tool_change", {}, _meta=MODERN)
        note = server.receive()
        assert note["method"] == "notifications/tools/list_changed"
        assert note["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "sub"
        assert server.receive()["id"] == 2
        close_input(server)
        assert server.receive()["id"] == "sub"
        assert server.line() is None and server.process.wait(10) == 0


def state_is_only_good_for_what_it_was_given_for():
    with Server(None) as server:
        meta = {**MODERN, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        accepted = {"confirm": {"action": "accept", "content": {"ok": True}}}
        server.call(1, "test_input_required_result_tampered_state", {}, _meta=meta)
        state = server.receive()["result"]["requestState"]
        for tool, changed, good in (("test_input_required_result_tampered_state", state, True),
                                    ("test_input_required_result_request_state", state, False),
                                    ("test_input_required_result_tampered_state", state[:-4] + "AAA=", False),
                                    ("test_input_required_result_tampered_state", state.upper(), False),
                                    ("test_input_required_result_tampered_state", "", False)):
            server.call(2, tool, {}, _meta=meta, requestState=changed, inputResponses=accepted)
            assert ("result" in server.receive()) == good, (tool, changed)


CASES = [f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__"
         and name[0].islower() and name not in ("text_of", "close_input")]
for case in CASES:
    case()
    print("ok", case.__name__)
