#!/usr/bin/python3
"""The generated Python client against a real worker: interop.py ADDRESS [CA CERT KEY]."""

import os
import pathlib
import sys
import threading
import time
import unittest

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import verdict_pb2 as vd
from aisbx.v1 import worker_service_pb2 as wk

ADDRESS, *TLS = sys.argv[1:]


def connect():
    if not TLS:
        return aisbx.connect(ADDRESS)
    ca, cert, key = (pathlib.Path(path).read_bytes() for path in TLS)
    return aisbx.connect(
        ADDRESS,
        credentials=grpc.ssl_channel_credentials(ca, key, cert),
        options=[("grpc.ssl_target_name_override", "localhost")],
    )


def command(*args, **more):
    return ex.ExecSpec(command=ex.Command(args=args), **more)


def ephemeral(profile="python-dev"):
    return ex.ExecTarget(new_sandbox=sb.SandboxSpec(profile=profile))


def collect(events):
    """Returns (started, {stream: bytes}, ended) of an event stream, and checks the offsets on the way."""
    started = ended = None
    output = {ex.OUTPUT_STREAM_STDOUT: b"", ex.OUTPUT_STREAM_STDERR: b""}
    for message in events:
        event = message.event
        kind = event.WhichOneof("event")
        if kind == "started":
            started = event.started
        elif kind == "output":
            assert event.output.offset == len(output[event.output.stream])
            output[event.output.stream] += event.output.data
        elif kind == "ended":
            ended = event.ended
    return started, output, ended


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = connect()
        cls.api = cls.client.sandboxes

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def assert_code(self, code, call, *args, **kwargs):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call(*args, **kwargs)
            if hasattr(reply, "__iter__"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def test_worker_says_what_it_is(self):
        info = self.client.worker.GetInfo(wk.GetInfoRequest())
        quick = self.client.worker.GetInfo(wk.GetInfoRequest(without_controls=True))
        self.assertEqual((quick.worker_id, quick.version), (info.worker_id, info.version))
        self.assertTrue(info.controls and info.drivers and info.snapshots)
        self.assertFalse(quick.controls or quick.drivers or quick.snapshots or quick.snapshots_detail)
        self.assertTrue(info.worker_id.startswith("wk_"))
        self.assertIn(sb.CONTROL_SECCOMP, [status.control for status in info.controls])

    def test_run_returns_output_and_verdict(self):
        reply = self.api.Run(
            api.RunRequest(
                target=ephemeral(),
                exec=command("python3", "-c", "import sys; print(input()); sys.stderr.write('e'); sys.exit(3)"),
                stdin=b"hello\n",
            )
        )
        self.assertEqual((reply.stdout, reply.stderr), (b"hello\n", b"e"))
        self.assertEqual(reply.exec.verdict.kind, vd.VERDICT_KIND_EXITED)
        self.assertEqual(reply.exec.verdict.exit_code, 3)
        self.assertGreater(reply.exec.verdict.usage.memory_peak_bytes, 0)

    def test_start_exec_streams_both_outputs(self):
        script = "import sys\nfor i in range(2000): print('o', i)\nsys.stderr.write('x' * 70000)"
        started, output, ended = collect(
            self.api.StartExec(api.StartExecRequest(target=ephemeral(), exec=command("python3", "-c", script)))
        )
        self.assertTrue(started.exec.exec_id.startswith("ex_"))
        self.assertEqual(output[ex.OUTPUT_STREAM_STDOUT], b"".join(b"o %d\n" % i for i in range(2000)))
        self.assertEqual(len(output[ex.OUTPUT_STREAM_STDERR]), 70000)
        self.assertEqual(ended.exec.verdict.kind, vd.VERDICT_KIND_EXITED)

    def test_interact_echoes_input_as_it_comes(self):
        ready = threading.Event()
        seen = []

        def requests():
            yield api.InteractExecRequest(start=api.StartExecRequest(target=ephemeral(), exec=command("cat")))
            yield api.InteractExecRequest(stdin=b"one\n")
            ready.wait(30)
            yield api.InteractExecRequest(stdin=b"two\n")
            yield api.InteractExecRequest(stdin_eof=True)

        for message in self.api.InteractExec(requests()):
            seen.append(message.event)
            if message.event.WhichOneof("event") == "output":
                ready.set()
        output = b"".join(event.output.data for event in seen if event.WhichOneof("event") == "output")
        self.assertEqual(output, b"one\ntwo\n")
        self.assertEqual(seen[-1].ended.exec.verdict.exit_code, 0)

    def test_interact_delivers_a_signal(self):
        got = threading.Event()

        def requests():
            script = "trap 'echo got; exit 7' TERM; echo up; while :; do sleep 0.05; done"
            yield api.InteractExecRequest(
                start=api.StartExecRequest(target=ephemeral(), exec=command("bash", "-c", script))
            )
            got.wait(30)
            yield api.InteractExecRequest(signal=15)

        output, verdict = b"", None
        for message in self.api.InteractExec(requests()):
            kind = message.event.WhichOneof("event")
            if kind == "output":
                output += message.event.output.data
                got.set()
            elif kind == "ended":
                verdict = message.event.ended.exec.verdict
        self.assertEqual(output, b"up\ngot\n")
        self.assertEqual(verdict.exit_code, 7)

    def test_lifecycle_create_exec_list_logs_destroy(self):
        spec = sb.SandboxSpec(profile="python-dev", labels={"test": "interop-python"})
        sandbox = self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox
        self.assertEqual(sandbox.state, sb.SANDBOX_STATE_RUNNING)
        target = ex.ExecTarget(sandbox_id=sandbox.sandbox_id)
        _, output, ended = collect(
            self.api.StartExec(api.StartExecRequest(target=target, exec=command("sh", "-c", "echo kept > f; cat f")))
        )
        self.assertEqual(output[ex.OUTPUT_STREAM_STDOUT], b"kept\n")
        again = self.api.Run(api.RunRequest(target=target, exec=command("cat", "f")))
        self.assertEqual(again.stdout, b"kept\n")

        execs = self.api.ListExecs(api.ListExecsRequest(sandbox_id=sandbox.sandbox_id)).execs
        self.assertEqual(len(execs), 2)
        logs = self.api.ReadExecOutput(
            api.ReadExecOutputRequest(exec_id=ended.exec.exec_id, stream=ex.OUTPUT_STREAM_STDOUT)
        )
        self.assertEqual((logs.data, logs.end_of_stream), (b"kept\n", True))
        tail = self.api.ReadExecOutput(
            api.ReadExecOutputRequest(exec_id=ended.exec.exec_id, stream=ex.OUTPUT_STREAM_STDOUT, offset=-3)
        )
        self.assertEqual((tail.data, tail.offset), (b"pt\n", 2))
        _, attached, _ = collect(self.api.AttachExec(api.AttachExecRequest(exec_id=ended.exec.exec_id)))
        self.assertEqual(attached[ex.OUTPUT_STREAM_STDOUT], b"kept\n")

        listed = self.api.ListSandboxes(api.ListSandboxesRequest(labels={"test": "interop-python"})).sandboxes
        self.assertEqual([entry.sandbox_id for entry in listed], [sandbox.sandbox_id])
        gone = self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=sandbox.sandbox_id)).sandbox
        self.assertEqual(gone.state, sb.SANDBOX_STATE_DESTROYED)
        self.assertEqual(gone.destroy_reason, sb.DESTROY_REASON_REQUESTED)
        details = self.assert_code(
            grpc.StatusCode.FAILED_PRECONDITION, self.api.Run, api.RunRequest(target=target, exec=command("true"))
        )
        self.assertIn(sandbox.sandbox_id, details)

    def test_pages_cover_all_without_repeats(self):
        labels = {"test": "interop-pages"}
        made = [
            self.api.CreateSandbox(
                api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict", labels=labels))
            ).sandbox.sandbox_id
            for _ in range(5)
        ]
        seen, token = [], ""
        while True:
            page = self.api.ListSandboxes(api.ListSandboxesRequest(page_size=2, page_token=token, labels=labels))
            seen += [entry.sandbox_id for entry in page.sandboxes]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(sorted(seen), sorted(made))
        for sandbox_id in made:
            self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=sandbox_id))

    def test_create_is_idempotent(self):
        request = api.CreateSandboxRequest(
            request_id="interop-%s" % os.urandom(8).hex(), sandbox=sb.SandboxSpec(profile="strict")
        )
        first = self.api.CreateSandbox(request).sandbox
        self.assertEqual(self.api.CreateSandbox(request).sandbox.sandbox_id, first.sandbox_id)
        request.sandbox.profile = "minimal"
        self.assert_code(grpc.StatusCode.ALREADY_EXISTS, self.api.CreateSandbox, request)
        self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=first.sandbox_id))

    def test_wall_limit_is_a_verdict(self):
        reply = self.api.Run(api.RunRequest(target=ephemeral(), exec=command("sleep", "60", wall_ms=300)))
        self.assertEqual(reply.exec.verdict.kind, vd.VERDICT_KIND_TIMED_OUT)
        self.assertGreaterEqual(reply.exec.verdict.usage.wall_ms, 300)
        self.assertGreaterEqual(reply.exec.verdict.killed_processes, 1)

    def test_deadline_ends_the_call(self):
        self.assert_code(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            self.api.Run,
            api.RunRequest(target=ephemeral(), exec=command("sleep", "60")),
            timeout=1,
        )

    def test_cancelled_call_takes_its_sandbox_along(self):
        spec = sb.SandboxSpec(profile="python-dev", labels={"test": "interop-cancel-python"})
        call = self.api.StartExec(
            api.StartExecRequest(target=ex.ExecTarget(new_sandbox=spec), exec=command("sleep", "60"))
        )
        started = next(iter(call)).event.started
        call.cancel()
        self.wait_destroyed(started.sandbox.sandbox_id, sb.DESTROY_REASON_CANCELLED)

    def wait_destroyed(self, sandbox_id, reason):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            sandbox = self.api.GetSandbox(api.GetSandboxRequest(sandbox_id=sandbox_id)).sandbox
            if sandbox.state == sb.SANDBOX_STATE_DESTROYED:
                self.assertEqual(sandbox.destroy_reason, reason)
                return
            time.sleep(0.02)
        self.fail("still there")

    def test_cancel_exec_by_another_client(self):
        sandbox = self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict"))).sandbox
        call = self.api.StartExec(
            api.StartExecRequest(
                target=ex.ExecTarget(sandbox_id=sandbox.sandbox_id), exec=command("sleep", "60", background=True)
            )
        )
        events = iter(call)
        exec_id = next(events).event.started.exec.exec_id
        with connect() as other:
            verdict = other.sandboxes.CancelExec(api.CancelExecRequest(exec_id=exec_id)).exec.verdict
        self.assertEqual(verdict.kind, vd.VERDICT_KIND_CANCELLED)
        self.assertEqual(list(events)[-1].event.ended.exec.verdict.kind, vd.VERDICT_KIND_CANCELLED)
        self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=sandbox.sandbox_id))

    def test_input_by_a_call_of_its_own(self):
        sandbox = self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict"))).sandbox
        call = self.api.StartExec(
            api.StartExecRequest(
                target=ex.ExecTarget(sandbox_id=sandbox.sandbox_id), exec=command("cat", open_stdin=True)
            )
        )
        events = iter(call)
        exec_id = next(events).event.started.exec.exec_id
        self.api.SendExecInput(api.SendExecInputRequest(exec_id=exec_id, data=b"typed"))
        self.api.SendExecInput(api.SendExecInputRequest(exec_id=exec_id, eof=True))
        _, output, ended = collect(events)
        self.assertEqual(output[ex.OUTPUT_STREAM_STDOUT], b"typed")
        self.assertEqual(ended.exec.verdict.exit_code, 0)
        self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=sandbox.sandbox_id))

    def test_watch_tells_of_create_and_destroy(self):
        watch = self.api.WatchSandboxes(api.WatchSandboxesRequest(include_existing=True))
        watch.initial_metadata()
        sandbox = self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="strict"))).sandbox
        self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=sandbox.sandbox_id))
        for event in watch:
            if (
                event.kind == api.SANDBOX_EVENT_KIND_DESTROYED
                and event.sandbox.sandbox_id == sandbox.sandbox_id
            ):
                break
        watch.cancel()

    def test_program_that_is_not_there_is_named(self):
        reply = self.api.Run(api.RunRequest(target=ephemeral("strict"), exec=command("no-such-program")))
        self.assertEqual(reply.exec.verdict.kind, vd.VERDICT_KIND_START_FAILED)
        self.assertEqual(reply.exec.verdict.exit_code, 127)
        self.assertIn("no-such-program", reply.exec.verdict.message)

    def test_bad_requests_name_the_field(self):
        details = self.assert_code(
            grpc.StatusCode.INVALID_ARGUMENT,
            self.api.CreateSandbox,
            api.CreateSandboxRequest(sandbox=sb.SandboxSpec(limits=sb.Limits(memory_bytes=1))),
        )
        self.assertIn("memory_bytes", details)
        details = self.assert_code(
            grpc.StatusCode.NOT_FOUND,
            self.api.CreateSandbox,
            api.CreateSandboxRequest(sandbox=sb.SandboxSpec(profile="pyton-dev")),
        )
        self.assertIn("python-dev", details)
        self.assert_code(
            grpc.StatusCode.NOT_FOUND, self.api.GetSandbox, api.GetSandboxRequest(sandbox_id="sb_" + "a" * 26)
        )
        self.assert_code(grpc.StatusCode.INVALID_ARGUMENT, self.api.Run, api.RunRequest())

    def test_what_cannot_be_enforced_is_refused(self):
        # bubblewrap never has it
        spec = sb.SandboxSpec(profile="strict", driver="bwrap", require=[sb.CONTROL_LANDLOCK])
        with self.assertRaises(grpc.RpcError) as caught:
            self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=spec))
        # Over TCP nobody is known to be an admin, and only admins may take a weaker driver.
        wanted = {
            grpc.StatusCode.FAILED_PRECONDITION: "LANDLOCK|bubblewrap",
            grpc.StatusCode.PERMISSION_DENIED: "driver bwrap is weaker",
        }
        self.assertRegex(caught.exception.details(), wanted[caught.exception.code()])

    def test_a_profile_is_explained(self):
        reply = self.client.worker.ExplainProfile(
            wk.ExplainProfileRequest(
                profile="python-dev", syscalls=["ptrace", "read"], hosts=["pypi.org"], paths=["/etc/shadow"]
            )
        )
        self.assertEqual(list(reply.bases), ["dev", "base"])
        self.assertEqual([a.answer for a in reply.syscalls], ["refused", "allowed"])
        self.assertEqual([a.answer for a in (*reply.hosts, *reply.paths)], ["allowed", "hidden"])
        origins = {s.name: s.origin for s in reply.settings}
        self.assertRegex(origins["seccomp"], r"^built-in python-dev\.yaml:\d+$")

    def test_system_calls_are_learnt_on_request(self):
        spec = sb.SandboxSpec(profile="strict", learn_syscalls=True)
        request = api.RunRequest(target=ex.ExecTarget(new_sandbox=spec), exec=command("mkdir", "/tmp/a"))
        counts = {c.name: c.count for c in self.api.Run(request).exec.verdict.learnt}
        self.assertEqual(counts["mkdir"], 1)
        self.assertEqual(counts["execve"], 0)
        self.assertNotIn("socket", counts)
        request.target.new_sandbox.learn_syscalls = False
        self.assertEqual(len(self.api.Run(request).exec.verdict.learnt), 0)

    def test_what_is_not_there_says_so(self):
        bytes_of = {"request_serializer": bytes, "response_deserializer": bytes}
        channel = grpc.insecure_channel(ADDRESS) if not TLS else None
        if channel is None:
            self.skipTest("the same on every transport")
        with channel:
            self.assert_code(
                grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary("/aisbx.v1.SandboxService/NoSuchCall", **bytes_of), b""
            )

    def test_many_at_once(self):
        calls = [
            self.api.Run.future(api.RunRequest(target=ephemeral("strict"), exec=command("sh", "-c", "echo %d" % i)))
            for i in range(24)
        ]
        self.assertEqual([call.result().stdout for call in calls], [b"%d\n" % i for i in range(24)])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *os.environ.get("AISBX_TEST_ONLY", "").split()])
