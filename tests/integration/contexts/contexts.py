#!/usr/bin/python3
"""Interpreters that keep their state, by ContextService: contexts.py ADDRESS."""

import os
import queue
import subprocess
import sys
import threading
import time
import unittest

import grpc

import aisbx
from aisbx.v1 import context_service_pb2 as cx
from aisbx.v1 import context_service_pb2_grpc as rpc
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import verdict_pb2 as vd

ADDRESS = sys.argv[1]
DRIVER = os.environ.get("AISBX_TEST_DRIVER", "native")
LANGUAGES = ("python", "node", "bash")
LOOPS = {"python": "while True: pass", "node": "while (true) {}", "bash": "while :; do :; done"}
SLEEPS = {
    "python": "import time; time.sleep(600)",
    "node": "",  # see begun
    "bash": "sleep 600",
}
ONE = {"python": "x = 41", "node": "let x = 41", "bash": "x=41"}
TWO = {"python": "print(x + 1)", "node": "console.log(x + 1)", "bash": "echo $((x + 1))"}
SAY = {"python": "print('up')", "node": "console.log('up');", "bash": "echo up"}
Code = grpc.StatusCode


class Piece:
    """All that one ExecuteCode said."""

    def __init__(self, events):
        stdout, stderr = [], []
        self.order, self.results, self.errors, self.violations = [], [], [], []
        self.ended = None
        for event in events:
            assert self.ended is None, "an event after the end"
            kind = event.WhichOneof("event")
            self.order.append(kind)
            if kind == "output":
                (stdout if event.output.stream == ex.OUTPUT_STREAM_STDOUT else stderr).append(event.output.data)
            elif kind == "result":
                self.results.append(event.result)
            elif kind == "error":
                self.errors.append(event.error)
            elif kind == "violation":
                self.violations.append(event.violation)
            else:
                self.ended = event.ended
        self.stdout, self.stderr = b"".join(stdout), b"".join(stderr)
        self.verdict = self.ended.verdict
        self.exit = (self.verdict.kind, self.verdict.exit_code)

    def form(self, mime):
        return next((r.data for r in self.results if r.mime_type == mime), None)


class Contexts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)
        cls.channel = grpc.insecure_channel(ADDRESS)
        cls.contexts = rpc.ContextServiceStub(cls.channel)
        cls.box = cls.make()

    @classmethod
    def tearDownClass(cls):
        cls.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=cls.box))
        cls.client.close()

    @classmethod
    def make(cls, profile="python-dev", **more):
        spec = sb.SandboxSpec(profile=profile, driver=DRIVER, **more)
        return cls.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id

    def destroy(self, box):
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def new(self, language, box=None, **more):
        request = cx.CreateContextRequest(sandbox_id=box or self.box, language=language, **more)
        context = self.contexts.CreateContext(request, timeout=60).context
        self.assertEqual(context.state, cx.CONTEXT_STATE_IDLE)
        if box is None:
            self.addCleanup(self.delete, context.context_id)
        return context.context_id

    def delete(self, context):
        try:
            self.contexts.DeleteContext(cx.DeleteContextRequest(context_id=context), timeout=60)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), Code.NOT_FOUND)

    def start(self, context, code, **more):
        request = cx.ExecuteCodeRequest(context_id=context, code=code, **more)
        return self.contexts.ExecuteCode(request, timeout=120)

    def run_code(self, context, code, **more):
        return Piece(self.start(context, code, **more))

    def ok(self, context, code, **more):
        piece = self.run_code(context, code, **more)
        self.assertEqual(piece.exit, (vd.VERDICT_KIND_EXITED, 0), (piece.stderr, piece.errors, piece.verdict))
        return piece

    def begun(self, context, language, rest):
        """Starts code and returns its stream once it has said something."""
        events = queue.Queue()
        code = SAY[language] + "\n" + rest
        if rest == SLEEPS["node"]:  # it has said so when it waits; node dies of a signal that comes in between
            code = "setTimeout(() => console.log('up'), 20); await new Promise(() => {})"
        stream = self.start(context, code)

        def read():
            try:
                for event in stream:
                    events.put(event)
            except grpc.RpcError:
                pass
            events.put(None)

        threading.Thread(target=read, daemon=True).start()
        first = events.get(timeout=60)
        self.assertEqual(first.output.data, b"up\n")
        return stream, events

    def rest_of(self, events):
        return Piece(iter(lambda: events.get(timeout=60), None))

    def state(self, context, box=None):
        reply = self.contexts.ListContexts(cx.ListContextsRequest(sandbox_id=box or self.box))
        return next((c for c in reply.contexts if c.context_id == context), None)

    def refused(self, code, call, *args, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call(*args, **more)
            if hasattr(reply, "__iter__"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    # ---- state ----

    def test_variables_live_from_one_piece_to_the_next(self):
        for language in LANGUAGES:
            with self.subTest(language):
                context = self.new(language)
                self.ok(context, ONE[language])
                piece = self.ok(context, TWO[language])
                self.assertEqual(piece.stdout, b"42\n")
                self.assertEqual(piece.ended.execution_count, 2)
                self.assertEqual(self.state(context).execution_count, 2)

    def test_an_error_leaves_the_state(self):
        errors = {"python": ("1 / 0", "ZeroDivisionError"), "node": ("null.x", "TypeError")}
        for language, (code, name) in errors.items():
            with self.subTest(language):
                context = self.new(language)
                self.ok(context, ONE[language])
                piece = self.run_code(context, "\n" + code)
                self.assertEqual(piece.exit, (vd.VERDICT_KIND_EXITED, 1))
                self.assertEqual(piece.errors[0].name, name)
                text = "\n".join(piece.errors[0].traceback)
                self.assertIn("piece", text)
                for own in ("runpy", "on_piece", "[eval]", "node:inspector", "node:context"):
                    self.assertNotIn(own, text)
                self.assertEqual(self.ok(context, TWO[language]).stdout, b"42\n")

    def test_contexts_do_not_see_each_other(self):
        first, second = self.new("python"), self.new("python")
        self.ok(first, "x = 1")
        self.assertEqual(self.run_code(second, "x").errors[0].name, "NameError")

    def test_environment_and_directory(self):
        for language, code in {
            "python": "import os; print(os.environ['A'], os.getcwd())",
            "node": "console.log(process.env.A, process.cwd())",
            "bash": "echo $A $PWD",
        }.items():
            context = self.new(language, cwd="/tmp", env={"A": "b c"})
            self.assertEqual(self.ok(context, code).stdout, b"b c /tmp\n", language)

    # ---- what comes back ----

    def test_values_in_their_forms(self):
        python = self.new("python")
        piece = self.ok(python, "class H:\n    def _repr_html_(self): return '<b>é</b>'\ndisplay(7)\nH()")
        self.assertEqual([(r.mime_type, r.is_main, r.value_number) for r in piece.results],
                         [("text/plain", False, 1), ("text/html", True, 2), ("text/plain", True, 2)])
        self.assertEqual(piece.form("text/html").decode(), "<b>é</b>")
        png = "class P:\n    def _repr_png_(self): return b'\\x89PNG\\r\\n\\x1a\\n\\0'\nP()"
        self.assertEqual(self.ok(python, png).form("image/png"), b"\x89PNG\r\n\x1a\n\0")
        self.assertEqual(self.ok(python, "1; ").results, [])
        self.assertEqual(self.ok(python, "None").results, [])
        self.assertIn(b"more than the 1048576", self.ok(python, "'x' * 2**21").form("text/plain"))
        node = self.new("node")
        piece = self.ok(node, "({a: [1, 'é']})")
        self.assertEqual(piece.form("application/json").decode(), '{"a":[1,"é"]}')
        self.assertEqual(piece.form("text/plain").decode(), "{ a: [ 1, 'é' ] }")

    def test_output_comes_before_what_follows_it(self):
        context = self.new("python")
        code = ("import os, subprocess, sys\n"
                "print('a', end=''); subprocess.run(['echo', 'b']); os.write(1, b'c\\n')\n"
                "print('d'); display(1); print('e')\n")
        piece = self.ok(context, code)
        self.assertEqual(piece.stdout, b"b\nc\nad\ne\n")
        self.assertEqual(piece.order[-1], "ended")
        self.assertIn("output", piece.order[:piece.order.index("result")])

    def test_much_output_is_whole(self):
        for language, code in {
            "python": "import sys\nfor i in range(100): sys.stdout.write('y' * 99999 + '\\n')",
            "node": "for (let i = 0; i < 100; i++) console.log('y'.repeat(99999))",
            "bash": "for ((i = 0; i < 100; i++)); do printf '%099999d\\n' 0; done",
        }.items():
            with self.subTest(language):
                piece = self.ok(self.new(language), code)
                self.assertEqual(len(piece.stdout), 10**7)

    def test_await_at_the_top(self):
        python = self.new("python")
        self.assertEqual(self.ok(python, "import asyncio\nawait asyncio.sleep(0, 'v')").form("text/plain"), b"'v'")
        node = self.new("node")
        self.ok(node, "const v = await new Promise(r => setTimeout(r, 1, 5)); const fs = await import('fs')")
        self.ok(node, "const v = 6; import path, {join as j} from 'path'; class A {}")
        self.assertEqual(self.ok(node, "class A {}\n[v, j('a', 'b'), typeof fs.readFileSync]").form("text/plain"),
                         b"[ 6, 'a/b', 'function' ]")

    def test_what_nobody_waits_for_is_told(self):
        node = self.new("node")
        piece = self.ok(node, "Promise.reject(new Error('lost')); setTimeout(() => { throw new Error('late') });"
                              "await new Promise(r => setTimeout(r, 20)); 'on'")
        self.assertIn(b"Error: lost", piece.stderr)
        self.assertIn(b"Error: late", piece.stderr)
        self.assertEqual(piece.form("text/plain"), b"'on'")

    def test_there_is_no_input(self):
        piece = self.run_code(self.new("python"), "input('name? ')")
        self.assertEqual(piece.errors[0].name, "EOFError")
        self.assertIn("no standard input", piece.errors[0].value)

    def test_bash_keeps_what_a_shell_keeps(self):
        context = self.new("bash")
        self.ok(context, "cd /usr; export E=1; f() { echo f$1; }; alias ll='echo aliased'; declare -A m=([k]='v w')")
        self.assertEqual(self.ok(context, "echo $PWD $E ${m[k]}; f 2; ll").stdout, b"/usr 1 v w\nf2\naliased\n")
        self.assertEqual(self.run_code(context, "(exit 3)").exit, (vd.VERDICT_KIND_EXITED, 3))
        self.assertEqual(self.ok(context, "echo $?").stdout, b"3\n")
        self.assertEqual(self.run_code(context, "exit 7; echo no").exit, (vd.VERDICT_KIND_EXITED, 7))
        self.assertEqual(self.ok(context, "echo $PWD $E ${m[k]}; f 2; ll").stdout, b"/usr 1 v w\nf2\naliased\n")
        piece = self.run_code(context, "set -e; false; echo no")
        self.assertEqual((piece.exit, piece.stdout), ((vd.VERDICT_KIND_EXITED, 1), b""))
        self.assertEqual(self.ok(context, "set +e; echo on").stdout, b"on\n")
        self.assertEqual(self.run_code(context, "if then").exit, (vd.VERDICT_KIND_EXITED, 2))
        self.ok(context, "exec 5>/tmp/five; echo five >&5")
        self.assertEqual(self.ok(context, "echo six >&5; cat /tmp/five").stdout, b"five\nsix\n")

    # ---- interrupts ----

    def test_an_interrupt_stops_the_piece_alone(self):
        for language in LANGUAGES:
            for rest in (LOOPS[language], SLEEPS[language]):
                with self.subTest(language, rest=rest):
                    context = self.new(language)
                    self.ok(context, ONE[language])
                    _, events = self.begun(context, language, rest)
                    self.assertEqual(self.state(context).state, cx.CONTEXT_STATE_BUSY)
                    self.contexts.InterruptContext(cx.InterruptContextRequest(context_id=context))
                    piece = self.rest_of(events)
                    self.assertEqual(piece.verdict.kind, vd.VERDICT_KIND_CANCELLED, piece.verdict)
                    self.assertEqual(self.ok(context, TWO[language]).stdout, b"42\n")

    def test_an_interrupt_of_nothing_is_nothing(self):
        for language in LANGUAGES:
            context = self.new(language)
            self.ok(context, ONE[language])
            for _ in range(5):
                self.contexts.InterruptContext(cx.InterruptContextRequest(context_id=context))
            self.assertEqual(self.ok(context, TWO[language]).stdout, b"42\n")

    def test_an_interrupt_hits_no_other_piece(self):
        for language in LANGUAGES:
            context = self.new(language)
            for i in range(20):
                with self.subTest(language, turn=i):
                    _, events = self.begun(context, language, SLEEPS[language])
                    late = [self.start(context, SAY[language]) for _ in range(2)]
                    self.contexts.InterruptContext(cx.InterruptContextRequest(context_id=context))
                    self.assertEqual(self.rest_of(events).verdict.kind, vd.VERDICT_KIND_CANCELLED)
                    for stream in late:
                        piece = Piece(stream)
                        self.assertEqual((piece.exit, piece.stdout), ((vd.VERDICT_KIND_EXITED, 0), b"up\n"))

    def test_functions_of_bash_are_left_by_an_interrupt(self):
        context = self.new("bash")
        _, events = self.begun(context, "bash", "f() { while :; do :; done; echo f; }; g() { f; echo g; }; g; echo no")
        self.contexts.InterruptContext(cx.InterruptContextRequest(context_id=context))
        piece = self.rest_of(events)
        self.assertEqual((piece.stdout, piece.verdict.kind), (b"", vd.VERDICT_KIND_CANCELLED))

    def test_the_wall_limit_interrupts(self):
        for language in LANGUAGES:
            with self.subTest(language):
                context = self.new(language)
                self.ok(context, ONE[language])
                piece = self.run_code(context, LOOPS[language], wall_ms=300)
                self.assertEqual(piece.verdict.kind, vd.VERDICT_KIND_TIMED_OUT)
                self.assertIn("lives on", piece.verdict.message)
                self.assertEqual(self.ok(context, TWO[language]).stdout, b"42\n")

    def test_the_wall_limit_kills_who_does_not_listen(self):
        context = self.new("python")
        self.ok(context, "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])")
        piece = self.run_code(context, LOOPS["python"], wall_ms=300)
        self.assertEqual(piece.verdict.kind, vd.VERDICT_KIND_TIMED_OUT)
        self.assertEqual(self.state(context).state, cx.CONTEXT_STATE_DEAD)
        self.refused(Code.FAILED_PRECONDITION, self.start, context, "1")

    def test_a_call_that_ends_interrupts_its_piece(self):
        for language in LANGUAGES:
            with self.subTest(language):
                context = self.new(language)
                self.ok(context, ONE[language])
                stream, _ = self.begun(context, language, LOOPS[language])
                stream.cancel()
                self.assertEqual(self.ok(context, TWO[language]).stdout, b"42\n")

    # ---- turns ----

    def test_pieces_wait_for_their_turn_and_no_more_than_fifteen(self):
        context = self.new("bash")
        _, events = self.begun(context, "bash", "until [[ -e /tmp/go ]]; do sleep 0.05; done")
        waiting = [self.start(context, f"echo {i}; echo {i} >>/tmp/order") for i in range(15)]
        deadline = time.monotonic() + 60
        while True:  # they arrive by connections of their own
            try:
                list(self.start(context, "echo one too many"))
                self.fail("a seventeenth was taken")
            except grpc.RpcError as error:
                if error.code() == Code.RESOURCE_EXHAUSTED:
                    break
                self.assertLess(time.monotonic(), deadline)
        other = self.new("bash")
        self.ok(other, "touch /tmp/go")
        self.rest_of(events)
        for i, stream in enumerate(waiting):
            self.assertEqual(Piece(stream).stdout, b"%d\n" % i)

    def test_contexts_run_side_by_side(self):
        first, second = self.new("python"), self.new("node")
        _, events = self.begun(first, "python", "import os, time\nwhile not os.path.exists('/tmp/side'): time.sleep(0.05)")
        self.ok(second, "require('fs').writeFileSync('/tmp/side', '')")
        self.assertEqual(self.rest_of(events).exit, (vd.VERDICT_KIND_EXITED, 0))

    # ---- ends ----

    def test_the_end_of_the_interpreter_is_told_and_restart_mends_it(self):
        ends = {
            "python": {"import sys; sys.exit(3)": (vd.VERDICT_KIND_EXITED, 3),
                       "import os; os._exit(4)": (vd.VERDICT_KIND_EXITED, 4),
                       "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": (vd.VERDICT_KIND_SIGNALED, 0),
                       "import ctypes; ctypes.string_at(0)": (vd.VERDICT_KIND_SIGNALED, 0)},
            "node": {"process.exit(3)": (vd.VERDICT_KIND_EXITED, 3)},
            "bash": {"kill -9 $$": (vd.VERDICT_KIND_SIGNALED, 0), "exec sh -c 'echo in; exit 9'": (vd.VERDICT_KIND_EXITED, 9)},
        }
        for language, codes in ends.items():
            context = self.new(language)
            for code, exit in codes.items():
                with self.subTest(language, code=code):
                    self.ok(context, ONE[language])
                    piece = self.run_code(context, SAY[language] + "\n" + code)
                    self.assertEqual((piece.verdict.kind, piece.verdict.exit_code), exit, piece.verdict)
                    self.assertIn(b"up\n", piece.stdout)
                    self.assertIn("restart", piece.verdict.next_step)
                    state = self.state(context)
                    self.assertEqual(state.state, cx.CONTEXT_STATE_DEAD)
                    self.assertNotEqual(state.reason, "")
                    text = self.refused(Code.FAILED_PRECONDITION, self.start, context, "1")
                    self.assertIn("restart", text)
                    reply = self.contexts.RestartContext(cx.RestartContextRequest(context_id=context), timeout=60)
                    self.assertEqual(reply.context.state, cx.CONTEXT_STATE_IDLE)
                    self.assertNotEqual(reply.context.exec_id, state.exec_id)

    def test_restart_forgets_and_ends_what_runs(self):
        for language in LANGUAGES:
            with self.subTest(language):
                context = self.new(language)
                self.ok(context, ONE[language])
                _, events = self.begun(context, language, LOOPS[language])
                self.contexts.RestartContext(cx.RestartContextRequest(context_id=context), timeout=60)
                self.assertEqual(self.rest_of(events).verdict.kind, vd.VERDICT_KIND_CANCELLED)
                self.assertNotIn(b"42", self.run_code(context, TWO[language]).stdout)

    def test_delete_ends_all_of_it(self):
        context = self.new("bash")
        self.ok(context, "sleep 4711 & disown")
        self.delete(context)
        self.assertIsNone(self.state(context))
        self.refused(Code.NOT_FOUND, self.start, context, "1")
        self.assertNotIn(b"4711", self.ok(self.new("bash"), "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout)

    def test_contexts_go_with_their_sandbox(self):
        box = self.make()
        context = self.new("python", box)
        _, events = self.begun(context, "python", "while True: pass")
        self.destroy(box)
        self.assertEqual(self.rest_of(events).verdict.kind, vd.VERDICT_KIND_CANCELLED)
        self.refused(Code.NOT_FOUND, self.start, context, "1")

    def test_only_code_that_runs_keeps_a_sandbox_from_being_idle(self):
        box = self.make(idle_ms=1500)
        context = self.new("python", box)
        self.ok(context, "import time; time.sleep(3)")
        deadline = time.monotonic() + 60
        while True:
            state = self.client.sandboxes.GetSandbox(api.GetSandboxRequest(sandbox_id=box)).sandbox
            if state.state == sb.SANDBOX_STATE_DESTROYED:
                break
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        self.assertEqual(state.destroy_reason, sb.DESTROY_REASON_IDLE)

    # ---- bounds, and hostile code ----

    def test_code_of_one_mebibyte_and_no_more(self):
        for language, mark in {"python": "#", "node": "//", "bash": "#"}.items():
            context = self.new(language)
            code = TWO[language].replace("x + 1", "1 + 1") + "\n" + mark
            self.assertEqual(self.ok(context, code + "y" * (2**20 - len(code))).stdout, b"2\n", language)
            self.refused(Code.INVALID_ARGUMENT, self.start, context, code + "y" * (2**20 - len(code) + 1))

    def test_garbage_on_the_channel_ends_the_interpreter_and_nothing_else(self):
        box = self.make()
        bystander = self.new("python", box)
        self.ok(bystander, "x = 41")
        for garbage in ("b'garbage, and no frame'", "b'R' + b'\\xff' * 4", "b'D' + bytes([5, 0, 0, 0]) + b'12345'",
                        "b'R' + (4).to_bytes(4, 'little') + bytes([0, 200]) + b'ab'",
                        "b'E' + (2).to_bytes(4, 'little') + b'\\xc3\\x28'",
                        "b'R' + (13).to_bytes(4, 'little') + b'\\0\\x0atext/plain\\xff'", "b'\\0' * (1 << 22)"):
            with self.subTest(garbage):
                context = self.new("python", box)
                code = f"import os, time\ndata = {garbage}\n" \
                       "while data: data = data[os.write(3, data):]\ntime.sleep(600)"
                piece = self.run_code(context, code)
                self.assertEqual(piece.verdict.kind, vd.VERDICT_KIND_CANCELLED, piece.verdict)
                self.assertIn("broke off", self.state(context, box).reason)
        self.assertEqual(self.ok(bystander, "print(x + 1)").stdout, b"42\n")
        self.destroy(box)

    def test_answers_without_end_hold_up_nobody_else(self):
        bystander = self.new("python")
        self.ok(bystander, "x = 41")
        box = self.make()
        for kind, is_heard in ((b"H", True), (b"H", False), (b"E", True), (b"E", False)):
            with self.subTest(kind=kind, is_heard=is_heard):
                flood = self.new("python", box)
                code = f"import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('up', flush=True)\ndata = ({kind} + bytes(4)) * 10000\n" \
                       "while True:\n  rest = memoryview(data)\n  while rest: rest = rest[os.write(3, rest):]"
                call = self.contexts.ExecuteCode(cx.ExecuteCodeRequest(context_id=flood, code=code), timeout=100)
                next(call)
                if not is_heard:
                    call.cancel()
                for _ in range(20):
                    self.assertEqual(self.contexts.ListContexts(cx.ListContextsRequest(sandbox_id=box), timeout=20).contexts[0].context_id, flood)
                self.assertEqual(self.ok(bystander, "print(x + 1)").stdout, b"42\n")
                if kind == b"H" or not is_heard:
                    deadline = time.monotonic() + 60
                    while self.state(flood, box).state != cx.CONTEXT_STATE_DEAD:
                        self.assertLess(time.monotonic(), deadline)
                        time.sleep(0.05)
                    self.assertIn("more than anybody asked for", self.state(flood, box).reason)
                call.cancel()
                self.contexts.DeleteContext(cx.DeleteContextRequest(context_id=flood), timeout=60)
        self.destroy(box)

    def test_a_forged_end_is_an_end_and_no_more(self):
        context = self.new("python")
        self.ok(context, "import os\nos.write(3, b'D' + bytes([4, 0, 0, 0, 0, 0, 0, 0]))\nprint('late')")
        self.ok(context, "x = 1")
        for _ in range(3):
            self.run_code(context, "print(x)")
        self.assertIn(self.state(context).state, (cx.CONTEXT_STATE_IDLE, cx.CONTEXT_STATE_BUSY))

    def test_children_and_threads_say_nothing_on_the_channel(self):
        context = self.new("python")
        piece = self.ok(context, "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('one' if pid else 'two')\n'v'")
        self.assertEqual(sorted(piece.stdout.split()), [b"one", b"two"])
        self.assertEqual(piece.form("text/plain"), b"'v'")
        self.assertEqual(len(piece.results), 1)
        piece = self.ok(context, "import threading\nt = threading.Thread(target=lambda: display(5)); t.start(); t.join()")
        self.assertEqual((piece.stdout, piece.results), (b"5\n", []))
        for language, code in {"python": "import subprocess; print(subprocess.run(['ls', '-l', '/proc/self/fd'],"
                                         "capture_output=True, text=True).stdout)",
                               "node": "console.log(require('child_process').execSync('ls -l /proc/self/fd') + '')",
                               "bash": "ls -l /proc/self/fd"}.items():
            own = {"node": 3}.get(language, 0)  # node's children have sockets as their streams
            self.assertEqual(self.ok(self.new(language), code).stdout.count(b"socket:"), own, language)

    def test_a_fork_bomb_is_bounded(self):
        box = self.make(limits=sb.Limits(pids=64))
        context = self.new("python", box)
        code = "import os\ntry:\n  while True:\n    if os.fork() == 0:\n      import time; time.sleep(600)\n" \
               "except OSError as e: print(type(e).__name__)"
        self.assertEqual(self.ok(context, code).stdout, b"BlockingIOError\n")
        self.contexts.RestartContext(cx.RestartContextRequest(context_id=context), timeout=60)
        self.assertEqual(self.ok(context, "print(1)").stdout, b"1\n")
        self.destroy(box)

    def test_no_more_than_sixteen_contexts(self):
        box = self.make(profile="strict", limits=sb.Limits(pids=64))
        for _ in range(16):
            self.new("bash", box)
        request = cx.CreateContextRequest(sandbox_id=box, language="bash")
        self.refused(Code.RESOURCE_EXHAUSTED, self.contexts.CreateContext, request)
        self.destroy(box)

    # ---- calls ----

    def test_a_repeated_call_makes_one(self):
        request = cx.CreateContextRequest(request_id=f"r{time.time_ns()}", sandbox_id=self.box, language="bash")
        first = self.contexts.CreateContext(request).context.context_id
        self.addCleanup(self.delete, first)
        self.assertEqual(self.contexts.CreateContext(request).context.context_id, first)
        request.language = "python"
        self.refused(Code.ALREADY_EXISTS, self.contexts.CreateContext, request)

    def test_lists_have_pages_newest_first(self):
        box = self.make()
        ids = [self.new("bash", box) for _ in range(3)]
        page = self.contexts.ListContexts(cx.ListContextsRequest(sandbox_id=box, page_size=2))
        self.assertEqual([c.context_id for c in page.contexts], ids[:0:-1])
        page = self.contexts.ListContexts(
            cx.ListContextsRequest(sandbox_id=box, page_size=2, page_token=page.next_page_token))
        self.assertEqual([c.context_id for c in page.contexts], ids[:1])
        self.assertEqual(page.next_page_token, "")
        self.destroy(box)

    def test_what_is_wrong_is_said(self):
        make = self.contexts.CreateContext
        self.assertIn("python, node, bash", self.refused(
            Code.INVALID_ARGUMENT, make, cx.CreateContextRequest(sandbox_id=self.box, language="cobol")))
        text = self.refused(Code.FAILED_PRECONDITION, make,
                            cx.CreateContextRequest(sandbox_id=self.box, language="python", env={"PATH": "/nowhere"}))
        self.assertIn("python3", text)
        self.refused(Code.FAILED_PRECONDITION, make,
                     cx.CreateContextRequest(sandbox_id=self.box, language="python", cwd="/nowhere"))
        self.refused(Code.NOT_FOUND, make, cx.CreateContextRequest(sandbox_id="sb_" + "a" * 26, language="python"))
        self.refused(Code.INVALID_ARGUMENT, self.start, "cx_no", "1")
        self.refused(Code.NOT_FOUND, self.start, "cx_" + "a" * 26, "1")
        self.refused(Code.INVALID_ARGUMENT, self.start, self.new("bash"), "1", wall_ms=10**10)
        self.assertEqual(self.state("cx_none"), None)

    def test_its_exec_is_one_of_the_sandbox(self):
        context = self.new("python")
        self.ok(context, "print('kept')")
        request = api.ReadExecOutputRequest(exec_id=self.state(context).exec_id, stream=ex.OUTPUT_STREAM_STDOUT)
        self.assertEqual(self.client.sandboxes.ReadExecOutput(request).data, b"kept\n")

    @unittest.skipIf(DRIVER != "native", "not every driver tells of refusals")
    def test_refusals_are_told(self):
        context = self.new("python")
        piece = self.run_code(context, "import ctypes; ctypes.CDLL(None, use_errno=True).mount(0, 0, 0, 0, 0)")
        self.assertNotEqual(piece.violations, [], piece.order)


class Figures(Contexts):
    """What the Debian package of matplotlib draws."""


for name in [n for n in dir(Contexts) if n.startswith("test_")]:
    setattr(Figures, name, None)


def test_figures_become_images(self):
    if subprocess.run(["/usr/bin/python3", "-c", "import matplotlib"], capture_output=True).returncode != 0:
        self.skipTest("python3-matplotlib is not installed")
    context = self.new("python")
    piece = self.ok(context, "import matplotlib.pyplot as plt\nplt.plot([1, 2, 4]);")
    self.assertEqual([r.mime_type for r in piece.results], ["image/png", "text/plain"])
    self.assertTrue(piece.form("image/png").startswith(b"\x89PNG\r\n"))
    self.assertEqual(self.ok(context, "1;").results, [])
    piece = self.ok(context, "fig, ax = plt.subplots(); ax.bar([1], [2])\nfig")
    self.assertEqual([(r.mime_type, r.is_main) for r in piece.results], [("image/png", True), ("text/plain", True)])


Figures.test_figures_become_images = test_figures_become_images

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
