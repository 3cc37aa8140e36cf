"""process.v1 by a client generated from proto/process/v1: programs.py ADDRESS ADDRESS-WITHOUT-SANDBOXD KEY-OF-ANOTHER-TENANT."""

import pathlib
import queue
import sys
import threading
import unittest

import grpc

from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import sandbox_service_pb2_grpc as api_rpc
from google.protobuf import empty_pb2
from process.v1 import process_pb2 as pb
from process.v1 import process_pb2_grpc as rpc

ADDRESS, PLAIN, OTHER = sys.argv[1:]
Code = grpc.StatusCode

# packages/sandboxd/spec/process/v1/process.proto of kubernetes-sigs/agent-sandbox, commit 2fd412d5: message, field, number, type.
WIRE = """
PTY cols 1 uint32; PTY rows 2 uint32
ProcessConfig command 1 string*; ProcessConfig env_vars 2 map; ProcessConfig cwd 3 string
StartRequest config 1 ProcessConfig; StartRequest pty 2 PTY
InitEvent process_id 1 int32; ExitEvent exit_code 1 int32
StartResponse init 1 InitEvent; StartResponse stdout 2 bytes; StartResponse stderr 3 bytes; StartResponse exit 4 ExitEvent
ExecuteRequest config 1 ProcessConfig
ExecuteResponse exit_code 1 int32; ExecuteResponse stdout 2 bytes; ExecuteResponse stderr 3 bytes
WriteStdinRequest process_id 1 int32; WriteStdinRequest input 2 bytes; WriteStdinRequest eof 3 Empty
SendSignalRequest process_id 1 int32; SendSignalRequest signal 2 Signal
ResizeTTYRequest process_id 1 int32; ResizeTTYRequest cols 2 uint32; ResizeTTYRequest rows 3 uint32
"""
CALLS = {"Start": "StartRequest StartResponse stream", "Execute": "ExecuteRequest ExecuteResponse",
         "WriteStdin": "WriteStdinRequest WriteStdinResponse", "SendSignal": "SendSignalRequest SendSignalResponse",
         "ResizeTTY": "ResizeTTYRequest ResizeTTYResponse"}


def config(*command, **more):
    return pb.ProcessConfig(command=command, **more)


def sh(script, **more):
    return config("sh", "-c", script, **more)


def kind(field):
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return "map"
    scalar = {field.TYPE_UINT32: "uint32", field.TYPE_INT32: "int32", field.TYPE_STRING: "string", field.TYPE_BYTES: "bytes"}
    name = scalar.get(field.type) or (field.message_type or field.enum_type).name
    return name + ("*" if field.label == field.LABEL_REPEATED else "")


class Process(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = grpc.insecure_channel(ADDRESS)
        cls.stub = rpc.ProcessServiceStub(cls.channel)
        cls.sandboxes = api_rpc.SandboxServiceStub(cls.channel)

    def execute(self, *command, metadata=None, **more):
        return self.stub.Execute(pb.ExecuteRequest(config=config(*command, **more)), timeout=60, metadata=metadata)

    def refused(self, code, call, *args, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call(*args, timeout=60, **more)
            if hasattr(reply, "__iter__"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def start(self, program, **more):
        """(process_id, stream) of a program that runs."""
        stream = self.stub.Start(pb.StartRequest(config=program), timeout=60, **more)
        first = next(stream)
        self.assertEqual(first.WhichOneof("event"), "init")
        self.assertGreater(first.init.process_id, 0)
        return first.init.process_id, stream

    def rest(self, stream):
        events = list(stream)
        self.assertEqual(events[-1].WhichOneof("event"), "exit")
        self.assertNotIn("exit", [event.WhichOneof("event") for event in events[:-1]])
        return (b"".join(event.stdout for event in events), b"".join(event.stderr for event in events),
                events[-1].exit.exit_code)

    def home(self):
        return self.sandboxes.GetSandbox(api.GetSandboxRequest(home=True)).sandbox

    # ---- the contract ----

    def test_the_wire_is_theirs(self):
        file = pb.DESCRIPTOR
        self.assertEqual(file.package, "process.v1")
        found = {(m.name, f.name, f.number, kind(f)) for m in file.message_types_by_name.values() for f in m.fields}
        wanted = {(m, f, int(n), t) for m, f, n, t in (row.split() for row in WIRE.replace(";", "\n").split("\n") if row.strip())}
        self.assertEqual(found, wanted)
        signals = {v.name: v.number for v in file.enum_types_by_name["Signal"].values}
        self.assertEqual(signals, {"SIGNAL_UNSPECIFIED": 0, "SIGNAL_SIGINT": 2, "SIGNAL_SIGKILL": 9, "SIGNAL_SIGTERM": 15})
        service = file.services_by_name["ProcessService"]
        calls = {m.name: " ".join([m.input_type.name, m.output_type.name] + ["stream"] * m.server_streaming) for m in service.methods}
        self.assertEqual(calls, CALLS)

    def test_execute_returns_both_streams_and_the_status(self):
        done = self.execute("/bin/sh", "-c", "echo out; echo err >&2; printf '\\000\\377'; exit 7")
        self.assertEqual((done.exit_code, done.stdout, done.stderr), (7, b"out\n\x00\xff", b"err\n"))

    def test_the_program_has_environment_directory_and_empty_input(self):
        self.execute("mkdir", "-p", "/workspace/sub/dir")
        script = "pwd; echo $FOO; cat; echo ${HOME:+home}"
        for cwd, shown in (("sub/dir", "/workspace/sub/dir"), ("/workspace/sub", "/workspace/sub"), ("/sub", "/workspace/sub"), ("", "/workspace")):
            done = self.execute("sh", "-c", script, env_vars={"FOO": "b r"}, cwd=cwd)
            self.assertEqual(done.stdout.decode().split("\n")[:3], [shown, "b r", "home"], cwd)

    def test_what_cannot_run_is_told(self):
        self.assertIn("config.command", self.refused(Code.INVALID_ARGUMENT, self.stub.Execute, pb.ExecuteRequest()))
        self.refused(Code.INVALID_ARGUMENT, self.stub.Start, pb.StartRequest(config=config()))
        self.refused(Code.INVALID_ARGUMENT, self.stub.Execute, pb.ExecuteRequest(config=config("true", env_vars={"a=b": "c"})))
        for call, request in ((self.stub.Execute, pb.ExecuteRequest), (self.stub.Start, pb.StartRequest)):
            self.assertIn("no-such-program", self.refused(Code.NOT_FOUND, call, request(config=config("no-such-program"))))
            self.refused(Code.NOT_FOUND, call, request(config=config("true", cwd="no/such/directory")))
            self.refused(Code.PERMISSION_DENIED, call, request(config=config("/etc/passwd")))
            self.refused(Code.PERMISSION_DENIED, call, request(config=config("true", cwd="../etc")))

    def test_what_did_not_end_by_itself_has_status_minus_one(self):
        reply, call = self.stub.Execute.with_call(pb.ExecuteRequest(config=sh("kill -9 $$")), timeout=60)
        self.assertEqual(reply.exit_code, -1)
        self.assertEqual(dict(call.trailing_metadata())["x-aisbx-verdict"], "SIGNALED")

    def test_more_output_than_a_message_holds_is_refused(self):
        self.assertEqual(len(self.execute("head", "-c", str(3 << 20), "/dev/zero").stdout), 3 << 20)
        self.assertIn("Start", self.refused(Code.RESOURCE_EXHAUSTED, self.stub.Execute,
                                            pb.ExecuteRequest(config=config("head", "-c", str((3 << 20) + 1), "/dev/zero"))))

    # ---- Start ----

    def test_start_streams_and_takes_input(self):
        process, stream = self.start(sh("echo ready >&2; while read -r line; do echo got $line; done; exit 3"))
        self.assertEqual(next(stream).stderr, b"ready\n")
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, input=b"one\n"), timeout=60)
        self.assertEqual(next(stream).stdout, b"got one\n")
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, input=b"two\n"), timeout=60)
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, eof=empty_pb2.Empty()), timeout=60)
        self.assertEqual(self.rest(stream), (b"got two\n", b"", 3))
        self.refused(Code.NOT_FOUND, self.stub.WriteStdin, pb.WriteStdinRequest(process_id=process, input=b"late"))

    def test_input_goes_as_fast_as_it_is_read(self):
        process, stream = self.start(sh("sleep 0.3; sha256sum"))
        piece = bytes(range(256)) * 2048
        for _ in range(16):
            self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, input=piece), timeout=60)
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, eof=empty_pb2.Empty()), timeout=60)
        import hashlib
        self.assertEqual(self.rest(stream)[0].split()[0].decode(), hashlib.sha256(piece * 16).hexdigest())

    def test_large_output_arrives_whole(self):
        _, stream = self.start(config("head", "-c", str(8 << 20), "/dev/zero"))
        out, _, status = self.rest(stream)
        self.assertEqual((len(out), status), (8 << 20, 0))

    def test_signals_reach_the_whole_tree(self):
        process, stream = self.start(sh("trap 'echo caught; exit 5' INT; sh -c 'trap \"exit 0\" INT; while :; do sleep 0.1; done' & echo up; wait"))
        self.assertEqual(next(stream).stdout, b"up\n")
        self.stub.SendSignal(pb.SendSignalRequest(process_id=process, signal=pb.SIGNAL_SIGINT), timeout=60)
        out, _, status = self.rest(stream)
        self.assertIn(b"caught", out)
        self.assertEqual(status, 5)
        for number, name in ((pb.SIGNAL_SIGKILL, "kill"), (pb.SIGNAL_SIGTERM, "term")):
            process, stream = self.start(sh("echo up; sleep 600"))
            next(stream)
            self.stub.SendSignal(pb.SendSignalRequest(process_id=process, signal=number), timeout=60)
            self.assertEqual(self.rest(stream)[2], -1, name)

    def test_a_terminal_has_its_size_and_is_resized(self):
        request = pb.StartRequest(config=sh("test -t 0 && test -t 2 && stty size; read -r x; stty size; echo $x >&2; cat"), pty=pb.PTY(cols=91, rows=17))
        stream = self.stub.Start(request, timeout=60)
        process = next(stream).init.process_id
        said = b""
        while b"17 91" not in said:
            said += next(stream).stdout
        self.refused(Code.INVALID_ARGUMENT, self.stub.ResizeTTY, pb.ResizeTTYRequest(process_id=process, cols=0, rows=9999))
        self.stub.ResizeTTY(pb.ResizeTTYRequest(process_id=process, cols=40, rows=10), timeout=60)
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, input=b"typed\n"), timeout=60)
        while b"10 40\r\ntyped\r\n" not in said:
            said += next(stream).stdout
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, eof=empty_pb2.Empty()), timeout=60)
        out, err, status = self.rest(stream)
        self.assertEqual((err, status), (b"", 0), "one stream, and cat saw the end")

    def test_only_those_signals(self):
        process, stream = self.start(config("cat"))
        for number in (0, 1, 64, -1):
            self.refused(Code.INVALID_ARGUMENT, self.stub.SendSignal, pb.SendSignalRequest(process_id=process, signal=number))
        self.refused(Code.INVALID_ARGUMENT, self.stub.WriteStdin, pb.WriteStdinRequest(process_id=process))
        self.refused(Code.FAILED_PRECONDITION, self.stub.ResizeTTY, pb.ResizeTTYRequest(process_id=process, cols=80, rows=24))
        stream.cancel()

    def test_unknown_processes_are_not_found(self):
        for number in (0, -1, 123456):
            self.refused(Code.NOT_FOUND, self.stub.WriteStdin, pb.WriteStdinRequest(process_id=number, input=b"x"))
            self.refused(Code.NOT_FOUND, self.stub.SendSignal, pb.SendSignalRequest(process_id=number, signal=pb.SIGNAL_SIGTERM))
            self.refused(Code.NOT_FOUND, self.stub.ResizeTTY, pb.ResizeTTYRequest(process_id=number, cols=80, rows=24))

    def test_leaving_the_stream_ends_the_whole_tree(self):
        _, stream = self.start(sh("setsid sleep 54321 & echo up; sleep 54322"))
        self.assertEqual(next(stream).stdout, b"up\n")
        self.execute("sh", "-c", "until [ $(pgrep -c -f '^sleep 5432') = 2 ]; do :; done")  # they are that from their execve on
        stream.cancel()
        self.execute("sh", "-c", "while pgrep -f '^sleep 5432' >/dev/null; do sleep 0.05; done")

    def test_a_deadline_ends_execute_and_its_tree(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.stub.Execute(pb.ExecuteRequest(config=sh("setsid sleep 64321 & sleep 64322")), timeout=1)
        self.assertEqual(caught.exception.code(), Code.DEADLINE_EXCEEDED)
        self.execute("sh", "-c", "while pgrep -f '^sleep 6432' >/dev/null; do sleep 0.05; done")

    def test_many_at_once_have_numbers_of_their_own(self):
        started = [self.start(sh(f"read x; echo {i} $x")) for i in range(24)]
        self.assertEqual(len({process for process, _ in started}), 24)
        for i, (process, _) in reversed(list(enumerate(started))):
            self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, input=b"<%d>\n" % i), timeout=60)
        for i, (_, stream) in enumerate(started):
            self.assertEqual(self.rest(stream), (b"%d <%d>\n" % (i, i), b"", 0))

    # ---- whose sandbox ----

    def test_all_calls_meet_in_one_sandbox_which_is_made_again(self):
        self.execute("sh", "-c", "echo here >/workspace/file")
        before = self.home()
        self.assertEqual(before.profile, "python-dev")
        self.assertEqual(self.execute("cat", "file").stdout, b"here\n")
        self.assertEqual(self.sandboxes.CreateSandbox(api.CreateSandboxRequest(home=True)).sandbox.sandbox_id, before.sandbox_id)
        self.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=before.sandbox_id))
        self.refused(Code.NOT_FOUND, self.sandboxes.GetSandbox, api.GetSandboxRequest(home=True))
        self.assertEqual(self.execute("ls").stdout, b"", "a new one")
        self.assertNotEqual(self.home().sandbox_id, before.sandbox_id)
        for wrong in (api.CreateSandboxRequest(home=True, request_id="x"), api.CreateSandboxRequest(home=True, snapshot_id="x"),
                      api.CreateSandboxRequest(home=True, sandbox=sb.SandboxSpec())):
            self.refused(Code.INVALID_ARGUMENT, self.sandboxes.CreateSandbox, wrong)

    def test_first_calls_at_once_make_one(self):
        self.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=self.home().sandbox_id))
        said = queue.Queue()
        threads = [threading.Thread(target=lambda: said.put(self.execute("hostname").exit_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([said.get() for _ in threads], [0] * 8)
        homes = [box for box in self.sandboxes.ListSandboxes(api.ListSandboxesRequest(profile="python-dev")).sandboxes]
        self.assertEqual(len(homes), 1)

    def test_another_sandbox_by_its_id(self):
        made = self.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict"))).sandbox.sandbox_id
        there = [("x-aisbx-sandbox", made)]
        self.assertEqual(self.execute("sh", "-c", "touch /tmp/mark; ls /tmp", metadata=there, cwd="/").stdout, b"mark\n")
        self.assertEqual(self.execute("sh", "-c", "ls /tmp").stdout, b"")
        self.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=made))
        self.refused(Code.FAILED_PRECONDITION, self.stub.Execute, pb.ExecuteRequest(config=config("true")), metadata=there)
        self.refused(Code.NOT_FOUND, self.stub.Execute, pb.ExecuteRequest(config=config("true")), metadata=[("x-aisbx-sandbox", "sb_" + "a" * 26)])
        self.refused(Code.INVALID_ARGUMENT, self.stub.Execute, pb.ExecuteRequest(config=config("true")), metadata=[("x-aisbx-sandbox", "x")])

    def test_tenants_do_not_see_each_other(self):
        mine = self.home().sandbox_id
        key = ("x-api-key", OTHER)
        self.execute("sh", "-c", "echo secret >/workspace/secret")
        process, stream = self.start(config("cat"))
        self.assertEqual(self.execute("ls", "/workspace", metadata=[key]).stdout, b"", "it has a sandbox of its own")
        theirs = self.sandboxes.GetSandbox(api.GetSandboxRequest(home=True), metadata=[key]).sandbox.sandbox_id
        self.assertNotEqual(theirs, mine)
        for call, request in ((self.stub.WriteStdin, pb.WriteStdinRequest(process_id=process, input=b"x")),
                              (self.stub.SendSignal, pb.SendSignalRequest(process_id=process, signal=pb.SIGNAL_SIGKILL)),
                              (self.stub.ResizeTTY, pb.ResizeTTYRequest(process_id=process, cols=1, rows=1))):
            theirs_text = self.refused(Code.NOT_FOUND, call, request, metadata=[key])
            self.assertIn("no process", theirs_text)
        for call, request in ((self.stub.Execute, pb.ExecuteRequest(config=config("true"))), (self.stub.Start, pb.StartRequest(config=config("true")))):
            self.refused(Code.NOT_FOUND, call, request, metadata=[key, ("x-aisbx-sandbox", mine)])
        self.stub.WriteStdin(pb.WriteStdinRequest(process_id=process, eof=empty_pb2.Empty()), timeout=60)
        self.assertEqual(self.rest(stream), (b"", b"", 0))

    def test_a_worker_without_says_so(self):
        with grpc.insecure_channel(PLAIN) as channel:
            stub = rpc.ProcessServiceStub(channel)
            self.assertIn("--sandboxd", self.refused(Code.FAILED_PRECONDITION, stub.Execute, pb.ExecuteRequest(config=config("true"))))
            sandboxes = api_rpc.SandboxServiceStub(channel)
            self.refused(Code.FAILED_PRECONDITION, sandboxes.CreateSandbox, api.CreateSandboxRequest(home=True))
            made = sandboxes.CreateSandbox(api.CreateSandboxRequest()).sandbox.sandbox_id
            self.assertEqual(stub.Execute(pb.ExecuteRequest(config=config("echo", "hi", cwd="")), metadata=[("x-aisbx-sandbox", made)]).stdout, b"hi\n")


unittest.main(argv=[str(pathlib.Path(__file__)), "-v"])
