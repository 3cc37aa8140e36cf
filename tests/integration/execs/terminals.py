#!/usr/bin/python3
"""Terminals, limits and users of execs, by gRPC: terminals.py ADDRESS DRIVER."""

import queue
import re
import sys
import time
import unittest

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import verdict_pb2 as vd

ADDRESS, DRIVER = sys.argv[1:3]
WAIT = 60


def command(*args, **more):
    return ex.ExecSpec(command=ex.Command(args=args), **more)


def new_sandbox():
    return ex.ExecTarget(new_sandbox=sb.SandboxSpec(profile="python-dev", driver=DRIVER))


class Typist:
    """One InteractExec: type() and wait_for(), as a person would."""

    def __init__(self, service, target, spec, request_id=""):
        self.requests = queue.Queue()
        self.requests.put(api.InteractExecRequest(
            start=api.StartExecRequest(target=target, exec=spec, request_id=request_id)))
        self.call = service.InteractExec(iter(self.requests.get, None), timeout=WAIT)
        self.seen = b""
        self.at = 0
        self.started = self.ended = None

    def step(self):
        event = next(self.call).event
        kind = event.WhichOneof("event")
        if kind == "started":
            self.started = event.started.exec
        elif kind == "output":
            assert event.output.stream == ex.OUTPUT_STREAM_STDOUT, "a terminal has one stream"
            self.seen += event.output.data
        elif kind == "ended":
            self.ended = event.ended.exec
        return self

    def wait_for(self, pattern):
        """Reads until pattern comes after what was waited for before."""
        while True:
            match = re.compile(pattern).search(self.seen, self.at)
            if match:
                self.at = match.end()
                return match
            if self.ended:
                raise AssertionError(f"ended before {pattern!r}: {self.seen!r}")
            self.step()

    def type(self, data):
        self.requests.put(api.InteractExecRequest(stdin=data))

    def send(self, **message):
        self.requests.put(api.InteractExecRequest(**message))

    def eof(self):
        self.requests.put(None)

    def finish(self):
        while not self.ended:
            self.step()
        return self.ended


class Terminals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)
        cls.api = cls.client.sandboxes
        reply = cls.api.CreateSandbox(api.CreateSandboxRequest(
            sandbox=sb.SandboxSpec(profile="python-dev", driver=DRIVER)), timeout=WAIT)
        cls.sandbox = reply.sandbox.sandbox_id
        cls.here = ex.ExecTarget(sandbox_id=cls.sandbox)

    @classmethod
    def tearDownClass(cls):
        cls.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=cls.sandbox), timeout=WAIT)
        cls.client.close()

    def start(self, *args, target=None, rows=0, columns=0, term="", **more):
        terminal = ex.Terminal(rows=rows, columns=columns, term=term)
        return Typist(self.api, target or self.here, command(*args, terminal=terminal, **more))

    def refused(self, code, call, *args):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call(*args, timeout=WAIT)
            if hasattr(reply, "__iter__"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def run_once(self, spec, target=None):
        return self.api.Run(api.RunRequest(target=target or self.here, exec=spec), timeout=WAIT)

    # ---- terminals ----

    def test_program_has_a_terminal_of_the_sandboxs_own(self):
        for target in (self.here, new_sandbox()):
            shell = self.start(
                "sh", "-c", "tty; ls /dev/pts; echo T=$TERM; test -t 0 && test -t 1 && test -t 2 && stty size"
                "; ls -l /proc/self/fd | grep -c pts; exit 7", target=target, rows=33, columns=101)
            shell.wait_for(rb"/dev/pts/\d+\r\n")
            shell.wait_for(rb"ptmx")
            shell.wait_for(rb"T=xterm-256color\r\n")
            shell.wait_for(rb"33 101\r\n")
            self.assertEqual(shell.finish().verdict.exit_code, 7)
            self.assertEqual((shell.started.terminal.rows, shell.started.terminal.columns), (33, 101))
            self.assertTrue(shell.started.open_stdin)
            self.assertFalse(shell.ended.open_stdin)

    def test_defaults_and_a_name(self):
        shell = self.start("sh", "-c", "echo $TERM; stty size", term="dumb")
        shell.wait_for(rb"dumb\r\n24 80\r\n")
        shell.finish()

    def test_resize_is_seen_and_told(self):
        shell = self.start("python3", "-c", """
import os, select, signal
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"now %d %d." % tuple(os.get_terminal_size())))
os.write(1, b"ready")
# A signal just before a read would wait for its end.
while not select.select([0], [], [], 0.1)[0] or os.read(0, 100): pass
""")
        shell.wait_for(rb"ready")
        shell.send(resize=ex.Terminal(rows=50, columns=132))
        shell.wait_for(rb"now 132 50\.")
        exec_id = shell.started.exec_id
        self.api.ResizeExec(api.ResizeExecRequest(exec_id=exec_id, terminal=ex.Terminal(rows=1, columns=1000)), timeout=WAIT)
        shell.wait_for(rb"now 1000 1\.")
        got = self.api.GetExec(api.GetExecRequest(exec_id=exec_id), timeout=WAIT).exec
        self.assertEqual((got.terminal.rows, got.terminal.columns), (1, 1000))
        text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.api.ResizeExec,
                            api.ResizeExecRequest(exec_id=exec_id, terminal=ex.Terminal(rows=1001, columns=1)))
        self.assertIn("1..1000", text)
        shell.type(b"\x04")
        shell.finish()
        self.assertIn("has ended", self.refused(
            grpc.StatusCode.FAILED_PRECONDITION, self.api.ResizeExec,
            api.ResizeExecRequest(exec_id=exec_id, terminal=ex.Terminal(rows=9, columns=9))))

    def test_control_c_interrupts_the_foreground_alone(self):
        shell = self.start("bash", "--norc", "-i", term="dumb")
        shell.type(b"PS1='$ '; trap 'echo trapped' INT; echo up; cat; echo st=$?\n")
        shell.wait_for(rb"\nup\r\n")
        shell.type(b"x\n")
        shell.wait_for(rb"x\r\nx\r\n")
        shell.type(b"\x03")
        shell.wait_for(rb"\$ $")
        shell.type(b"echo alive=$((6*7))\n")
        shell.wait_for(rb"alive=42")
        shell.type(b"exit 3\n")
        self.assertEqual(shell.finish().verdict.exit_code, 3)

    def test_job_control(self):
        shell = self.start("bash", "--norc", "-i", term="dumb")
        shell.type(b"PS1='$ '; echo go\n")
        shell.wait_for(rb"\ngo")
        self.assertNotIn(b"no job control", shell.seen)
        self.assertNotIn(b"cannot set terminal", shell.seen)
        shell.type(b"sh -c 'echo in; exec sleep 1000'\n")
        shell.wait_for(rb"\nin\r\n")
        shell.type(b"\x1a")
        shell.wait_for(rb"Stopped")
        shell.type(b"jobs\nbg\n")
        shell.wait_for(rb"\[1\]\+ sh -c .* &")
        shell.type(b"kill %1; wait %1; echo st=$?\n")
        shell.wait_for(rb"st=143")
        shell.type(b"exit\n")
        shell.finish()

    def test_raw_programs_get_every_byte(self):
        shell = self.start("python3", "-c", """
import os, sys, tty
tty.setraw(0)
os.write(1, b"ready")
got = b""
while not got.endswith(b"\\xff"):
    got += os.read(0, 4096)
os.write(1, got.hex().encode() + b".")
""")
        shell.wait_for(rb"ready")
        data = bytes(range(256))
        shell.type(data)
        shell.wait_for(data.hex().encode() + rb"\.")
        self.assertEqual(shell.finish().verdict.exit_code, 0)

    def test_end_of_input(self):
        for typed, seen in ((b"", rb""), (b"line\n", rb"line\r\nline\r\n"), (b"half", rb"halfhalf")):
            shell = self.start("sh", "-c", "cat; echo over")
            if typed:
                shell.type(typed)
                shell.wait_for(typed.strip())
            shell.send(stdin_eof=True)
            shell.eof()
            shell.wait_for(rb"over")
            self.assertEqual(shell.finish().verdict.exit_code, 0)
            self.assertRegex(shell.seen.replace(b"^D\x08\x08", b""), seen + rb"over")

    def test_end_of_input_twice_is_once_for_the_next_reader(self):
        shell = self.start("sh", "-c", "echo up; cat; echo one; read x; echo two=$x")
        shell.wait_for(rb"up")
        shell.send(stdin_eof=True)
        shell.send(stdin_eof=True)
        shell.wait_for(rb"one")
        shell.type(b"still\n")
        shell.wait_for(rb"two=still")
        shell.finish()

    def test_another_character_for_the_end(self):
        shell = self.start("sh", "-c", "stty eof ^X; echo ready; cat; echo over")
        shell.wait_for(rb"ready")
        shell.send(stdin_eof=True)
        shell.wait_for(rb"over")
        shell.finish()

    def test_cancel_hangs_up_first(self):
        for target in (self.here, new_sandbox()):
            shell = self.start("sh", "-c", "trap 'echo bye >/tmp/hup; exit 5' HUP; sleep 1000 & echo ready; "
                               "while :; do wait; done", target=target)
            shell.wait_for(rb"ready")
            ended = self.api.CancelExec(api.CancelExecRequest(exec_id=shell.started.exec_id), timeout=WAIT).exec
            self.assertEqual(ended.verdict.kind, vd.VERDICT_KIND_CANCELLED)
            if target is self.here:
                said = self.run_once(command("sh", "-c", "cat /tmp/hup; rm /tmp/hup; pgrep -c sleep"))
                self.assertEqual(said.stdout.splitlines()[0], b"bye")

    def test_cancel_ends_what_ignores_it(self):
        shell = self.start("sh", "-c", "trap '' HUP; echo ready; while :; do sleep 1000; done")
        shell.wait_for(rb"ready")
        ended = self.api.CancelExec(api.CancelExecRequest(exec_id=shell.started.exec_id), timeout=WAIT).exec
        self.assertEqual(ended.verdict.kind, vd.VERDICT_KIND_CANCELLED)
        self.assertGreater(ended.verdict.killed_processes, 0)

    def test_caller_that_leaves_hangs_up(self):
        shell = self.start("sh", "-c", "trap 'echo gone >/tmp/left; exit' HUP; echo ready; while :; do sleep 0.1; done")
        shell.wait_for(rb"ready")
        shell.call.cancel()
        deadline = time.monotonic() + WAIT
        while self.run_once(command("cat", "/tmp/left")).stdout != b"gone\n":
            self.assertLess(time.monotonic(), deadline)

    def test_background_terminal_takes_input_of_others(self):
        spec = command("bash", "--norc", terminal=ex.Terminal(), background=True)
        first = self.api.StartExec(api.StartExecRequest(target=self.here, exec=spec), timeout=WAIT)
        exec_id = next(first).event.started.exec.exec_id
        first.cancel()
        self.api.SendExecInput(api.SendExecInputRequest(exec_id=exec_id, data=b"stty size; echo got=$((40+2))\n"), timeout=WAIT)
        seen = b""
        attach = self.api.AttachExec(api.AttachExecRequest(exec_id=exec_id), timeout=WAIT)
        while b"got=42" not in seen:
            event = next(attach).event
            seen += event.output.data if event.WhichOneof("event") == "output" else b""
        self.assertIn(b"24 80", seen)
        self.api.SendExecInput(api.SendExecInputRequest(exec_id=exec_id, data=b"exit 9\n"), timeout=WAIT)
        *_, last = attach
        self.assertEqual(last.event.ended.exec.verdict.exit_code, 9)

    def test_program_that_closes_its_terminal_for_a_moment(self):
        shell = self.start("python3", "-c", """
import os
name = os.ttyname(0)
for fd in (0, 1, 2): os.close(fd)
import time; time.sleep(0.3)
fd = os.open(name, os.O_RDWR)
os.write(fd, b"back again")
""")
        shell.wait_for(rb"back again")
        self.assertEqual(shell.finish().verdict.exit_code, 0)

    def test_what_is_left_behind_does_not_hold_up_the_end(self):
        shell = self.start("sh", "-c", "trap '' HUP; sleep 1000 & echo done")
        self.assertEqual(shell.finish().verdict.exit_code, 0)
        self.api.CancelExec(api.CancelExecRequest(exec_id=shell.started.exec_id), timeout=WAIT)

    def test_terminals_are_bounded_and_their_lack_is_told(self):
        hog = self.start("python3", "-c", """
import os
held = []
try:
    while True: held.append(os.openpty())
except OSError: print("held", len(held), flush=True)
input()
""")
        hog.wait_for(rb"held \d+")
        shell = self.start("true")
        verdict = shell.finish().verdict
        self.assertEqual(verdict.kind, vd.VERDICT_KIND_START_FAILED)
        self.assertIn("terminal", verdict.message)
        hog.type(b"\n")
        hog.finish()
        self.assertEqual(self.start("true").finish().verdict.exit_code, 0)

    def test_what_a_terminal_gives_no_right_to(self):
        """Typing into it, taking over or redirecting consoles, other line disciplines; nor is there a host's terminal."""
        shell = self.start("python3", "-c", """
import fcntl, glob, os
for name, request, argument in (("sti", 0x5412, b"x"), ("linux", 0x541C, b"\\2\\0"), ("cons", 0x541D, 0),
                                ("setd", 0x5423, (2).to_bytes(4, "little"))):
    try: print(name, "done", fcntl.ioctl(0, request, argument))
    except OSError as e: print(name, e.errno)
print(sorted(os.listdir("/dev/pts")), glob.glob("/dev/console*") + glob.glob("/dev/tty[0-9]*"), os.ttyname(0))
""")
        for name in (b"sti", b"linux", b"cons", b"setd"):
            shell.wait_for(name + rb" 1\r\n")
        names = shell.wait_for(rb"\[(.*)\] \[\] /dev/pts/(\d+)\r\n")
        self.assertIn(names[2], names[1])
        shell.finish()

    def test_much_output_and_much_input(self):
        shell = self.start("python3", "-c", """
import hashlib, os, sys, tty
tty.setraw(0)
os.write(1, b"ready")
left, sum = 3000000, hashlib.sha256()
while left > 0:
    data = os.read(0, 65536)
    sum.update(data)
    left -= len(data)
os.write(1, b"sum=" + sum.hexdigest().encode() + b".")
for i in range(20000): os.write(1, b"%07d " % i)
""")
        shell.wait_for(rb"ready")
        data = (b"\x00\x03\x04\x1a\r\n" + b"x" * 94) * 30000
        for i in range(0, len(data), 50000):
            shell.type(data[i:i + 50000])
        import hashlib
        shell.wait_for(b"sum=" + hashlib.sha256(data).hexdigest().encode() + rb"\.")
        shell.wait_for(b"".join(b"%07d " % i for i in range(20000)))
        shell.finish()

    def test_refusals(self):
        for spec, word in (
            (command("true", terminal=ex.Terminal(rows=1001)), "exec.terminal.rows"),
            (command("true", terminal=ex.Terminal(columns=70000)), "exec.terminal.columns"),
            (command("true", terminal=ex.Terminal(term="a/b")), "exec.terminal.term"),
            (command("true", terminal=ex.Terminal(), stdio=ex.STDIO_MODE_PASSED), "exec.terminal"),
        ):
            self.assertIn(word, self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.api.StartExec,
                                             api.StartExecRequest(target=self.here, exec=spec)))
        pipes = Typist(self.api, self.here, command("cat"))
        pipes.step()
        pipes.send(resize=ex.Terminal(rows=1, columns=1))
        with self.assertRaises(grpc.RpcError) as caught:
            pipes.finish()
        self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertIn("no terminal", caught.exception.details())

    # ---- signals ----

    def test_signals_reach_the_tree(self):
        spec = command("sh", "-c", "trap 'echo outer' USR1; sh -c 'trap \"echo inner\" USR1; echo set; while :; do sleep 0.1; "
                       "done' & while :; do sleep 0.1; done", background=True)
        events = self.api.StartExec(api.StartExecRequest(target=self.here, exec=spec), timeout=WAIT)
        exec_id = next(events).event.started.exec.exec_id
        def read_until(words):
            seen = set()
            while not words <= seen:
                event = next(events).event
                seen |= set(event.output.data.split()) if event.WhichOneof("event") == "output" else set()
        read_until({b"set"})
        self.api.SignalExec(api.SignalExecRequest(exec_id=exec_id, signal=10, tree=True), timeout=WAIT)
        read_until({b"inner", b"outer"})
        self.api.CancelExec(api.CancelExecRequest(exec_id=exec_id), timeout=WAIT)

    # ---- limits and users ----

    def test_output_limit_of_an_exec(self):
        said = self.run_once(command("head", "-c", "100000", "/dev/zero", limits=ex.ExecLimits(output_bytes=4096)))
        self.assertEqual(said.exec.verdict.kind, vd.VERDICT_KIND_OUTPUT_TRUNCATED)
        self.assertEqual(len(said.stdout) + len(said.stdout_tail), 4096)
        self.assertEqual(said.exec.limits.output_bytes, 4096)

    def test_limits_of_each_process(self):
        limits = ex.ExecLimits(process_cpu_ms=1500, process_address_bytes=1 << 30, process_open_files=50,
                               file_bytes=1 << 20)
        script = "ulimit -Ht; ulimit -Sv; ulimit -Hv; ulimit -Hn; ulimit -Hf; ulimit -n 51 || echo no"
        said = self.run_once(command("bash", "-c", script, limits=limits))
        self.assertEqual(said.stdout.split(), [b"3", b"1048576", b"1048576", b"50", b"1024", b"no"])
        free = self.run_once(command("bash", "-c", "ulimit -Hn"))
        self.assertNotEqual(free.stdout, b"50\n")

    def test_cpu_time_ends_a_process(self):
        said = self.run_once(command("sh", "-c", "while :; do :; done", limits=ex.ExecLimits(process_cpu_ms=1)))
        self.assertEqual((said.exec.verdict.kind, said.exec.verdict.signal), (vd.VERDICT_KIND_SIGNALED, 24))
        self.assertIn("process_cpu_ms", said.exec.verdict.next_step)
        self.assertIn("--cpu-time", said.exec.verdict.next_step)

    def test_file_size_ends_a_process(self):
        said = self.run_once(command("sh", "-c", "exec head -c 1000000 /dev/zero >/tmp/big",
                                     limits=ex.ExecLimits(file_bytes=65536)))
        self.assertEqual((said.exec.verdict.kind, said.exec.verdict.signal), (vd.VERDICT_KIND_SIGNALED, 25))

    def test_limits_can_only_lower(self):
        for limits in (ex.ExecLimits(output_bytes=1 << 50), ex.ExecLimits(process_open_files=1 << 30),
                       ex.ExecLimits(file_bytes=1 << 50), ex.ExecLimits(process_cpu_ms=1 << 40),
                       ex.ExecLimits(output_bytes=1), ex.ExecLimits(process_address_bytes=4096)):
            self.assertIn("exec.limits", self.refused(
                grpc.StatusCode.INVALID_ARGUMENT, self.api.Run,
                api.RunRequest(target=self.here, exec=command("true", limits=limits))))

    def test_user(self):
        inside = self.run_once(command("id", "-u")).stdout.strip().decode()
        for user in ("sandbox", inside):
            self.assertEqual(self.run_once(command("id", "-un", user=user)).stdout, b"sandbox\n")
        for user in ("root", "0", "nobody", "01000", "1000:1000"):
            text = self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.api.Run,
                                api.RunRequest(target=self.here, exec=command("true", user=user)))
            self.assertIn("exec.user", text)
            self.assertIn("sandbox", text)

    # ---- input that nobody takes ----

    def test_input_without_open_stdin_is_refused(self):
        events = self.api.StartExec(api.StartExecRequest(
            target=self.here, exec=command("sleep", "1000")), timeout=WAIT)
        exec_id = next(events).event.started.exec.exec_id
        self.assertIn("open_stdin", self.refused(grpc.StatusCode.FAILED_PRECONDITION, self.api.SendExecInput,
                                                 api.SendExecInputRequest(exec_id=exec_id, data=b"x")))
        events.cancel()

    # ---- once, though asked twice ----

    def test_a_lost_reply_and_the_same_request_again(self):
        for way in ("StartExec", "InteractExec"):
            spec = command("sh", "-c", f"echo x >>/tmp/{way}; echo said; read x; wc -l </tmp/{way}", open_stdin=True,
                           background=True)
            request_id = f"{way}-{time.monotonic_ns()}"
            def call():
                if way == "StartExec":
                    return self.api.StartExec(api.StartExecRequest(
                        request_id=request_id, target=self.here, exec=spec), timeout=WAIT)
                return Typist(self.api, self.here, spec, request_id).call
            first = call()
            one = next(first).event.started.exec.exec_id
            first.cancel()  # whoever asked never learns
            again = call()
            self.assertEqual(next(again).event.started.exec.exec_id, one)
            self.api.SendExecInput(api.SendExecInputRequest(exec_id=one, data=b"\n"), timeout=WAIT)
            output = b"".join(m.event.output.data for m in again if m.event.WhichOneof("event") == "output")
            self.assertEqual(output.split(), [b"said", b"1"])
            spec.command.args.append("other")
            with self.assertRaises(grpc.RpcError) as caught:
                next(call())
            self.assertEqual(caught.exception.code(), grpc.StatusCode.ALREADY_EXISTS)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
