#!/usr/bin/python3
"""Programs run by an interpreter that waited for them do as those that start one do: warm.py ADDRESS."""

import shutil
import sys
import time
import unittest

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import worker_service_pb2 as ws

ADDRESS = sys.argv[1]
PYTHON = {
    "names": "import sys; print(__name__, sys.argv, repr(sys.path[0]), sorted(globals()), sys.flags, sys.orig_argv)",
    # Those that the profile has imported before are no others than these, and not the program's.
    "modules": "import sys, collections, datetime, functools, itertools, json, math, random, re; print(sorted(sys.modules))",
    "names of modules": "for name in ('json', 're', 'sys'):\n    try:\n        print(eval(name))\n    except NameError as e:\n        print(e)",
    "a module that is imported twice": "import re, json, sys; print(json.loads('[1]'), sys.modules['json'] is json, re.__spec__.origin)",
    "chances": "import random; random.seed(3); print(random.random(), random.getstate()[0])",
    "paths": "import sys; print(sys.path, len(sys.meta_path), len(sys.path_hooks), sys.warnoptions, sys.stdout.encoding)",
    "environment": "import os; print(sorted(os.environ.items()), os.getcwd(), os.getuid(), os.getgroups())",
    "descriptors": "import os; print(sorted(os.listdir('/proc/self/fd')), os.isatty(0), os.fstat(0).st_rdev)",
    "signals": "import signal; print([signal.getsignal(s) for s in signal.valid_signals() if s not in (9, 19)])",
    "limits": "import resource as r; print([r.getrlimit(getattr(r, n)) for n in dir(r) if n.startswith('RLIMIT_')])",
    "input": "import sys; print(sys.stdin.read())",
    "no input": "input()",
    "output": "import sys; sys.stdout.write('a' * 100000); sys.stderr.write('b' * 100000)",
    "an error": "def f(n):\n    return f(n - 1) if n else 1 / 0\nf(3)",
    "a chain of errors": "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e",
    "an error of syntax": "print('never')\nif True print(1)",
    "an error in a hook": "import sys\nsys.excepthook = lambda t, v, tb: print('hook', t.__name__, tb.tb_frame.f_code.co_name, tb.tb_next)\n1/0",
    "an error in a thread": "import threading; t = threading.Thread(target=lambda: 1 / 0, name='T'); t.start(); t.join()",
    "exit with a number": "import sys; sys.exit(3)",
    "exit with words": "import sys; sys.exit('words')",
    "exit without either": "raise SystemExit",
    "exit at once": "import os; os._exit(4)",
    "an interrupt": "raise KeyboardInterrupt",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "abort": "import os; os.abort()",
    "at exit": "import atexit; atexit.register(print, 'bye'); print('hi')",
    "a thread that goes on": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.1), print('later'))).start()\nprint('now')",
    "a file left open": "f = open('/dev/stdout', 'w'); f.write('kept')",
    "names of its own": "_run = posix = source = main = 1; print(_run, posix, source, main)",
    "definitions": "import pickle\nclass P:\n    def __init__(self): self.x = 1\nprint(pickle.loads(pickle.dumps(P())).x, P.__module__)",
    "letters": "print('é\u00e9 \U0001f600', 'ß'.upper())",
    "annotations": "x: int = 1\nprint(__annotations__)",
    "children": "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'print(2)'], capture_output=True).stdout)",
    "no end of line": "print(1)\nif True:\n    print(2)",
}
NODE = {
    "names": "console.log(process.argv, process.execArgv, __filename, __dirname, typeof require, typeof module, typeof exports, this === globalThis)",
    "globals": "console.log(Object.getOwnPropertyNames(globalThis).sort().join())",
    "declarations": "const fs = require('fs'); let part = 1; var parts = 2; console.log(typeof fs.readFileSync, part, parts, globalThis.parts)",
    "environment": "console.log(JSON.stringify(Object.entries(process.env).sort()), process.cwd(), process.getuid())",
    "input": "let s = ''; process.stdin.on('data', d => s += d).on('end', () => console.log('got', s))",
    "later": "setTimeout(() => console.log('later'), 20); console.log('now')",
    "promises": "Promise.resolve(1).then(console.log); import('fs').then(m => console.log(typeof m.readFileSync))",
    "exit": "process.exit(3)",
    "exit later": "process.exitCode = 4; process.on('exit', c => console.log('bye', c))",
    "a signal": "process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1000)",
    "output": "process.stdout.write('a'.repeat(100000)); process.stderr.write('b'.repeat(100000))",
    "modules": "const c = require('child_process'), f = require('fs/promises'); console.log(Object.keys(require.cache), typeof c.spawn, typeof f.open)",
    "names of modules": "console.log(typeof names, typeof parts, typeof child_process)",
    "a warning": "process.emitWarning('told'); console.log(1)",
    "children": "console.log(require('child_process').execFileSync(process.execPath, ['-e', 'console.log(2)']).toString())",
}
NODE_AGAIN = {  # nothing but node makes this of it, or nothing
    "a module": "import fs from 'fs'; console.log(typeof fs.readFileSync, await 1, process.argv.slice(1)); process.exitCode = 5",
    "input of a module": "import fs from 'fs'; console.log(fs.readFileSync(0, 'utf8'))",
    "a module that ends by a signal": "import fs from 'fs'; process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1000)",
    "an error of syntax in full": "let a = ;",
}
NODE_FAILS = {  # the stack has lines of node's own, which are others
    "an error": "function f() { throw new TypeError('x') }\nf()",
    "an error of syntax": "let a = ;",
    "a promise nobody catches": "Promise.reject(new Error('x'))",
}


class Warm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def metric(self, name, outcome=None):
        families = self.client.worker.GetMetrics(ws.GetMetricsRequest()).families
        return sum(s.value for f in families if f.name == name for s in f.samples
                   if outcome is None or s.labels["outcome"] == outcome)

    def run_one(self, language, source, is_cold, stdin):
        # A limit of the exec's own has it start its interpreter.
        limits = ex.ExecLimits(file_bytes=1 << 20) if is_cold else None
        spec = sb.SandboxSpec(profile=f"{language}-dev", network=sb.Network(mode=sb.NETWORK_MODE_NONE),
                              env={"LANG": "C.UTF-8", "MINE": "1"}, limits=sb.Limits(file_bytes=1 << 20))
        return self.client.sandboxes.Run(api.RunRequest(
            target=ex.ExecTarget(new_sandbox=spec), stdin=stdin,
            exec=ex.ExecSpec(script=ex.Script(language=language, source=source, args=["a", "b c", ""]), limits=limits)), timeout=60)

    def from_pool(self, language, source, stdin):
        for _ in range(100):
            before = self.metric("aisbx_pool_requests_total", "hit")
            got = self.run_one(language, source, False, stdin)
            if self.metric("aisbx_pool_requests_total", "hit") > before:
                return got
            self.wait_for_one()
        self.fail("it never came from the pool")

    def wait_for_one(self):
        for _ in range(500):
            if self.metric("aisbx_pool_sandboxes") > 0:
                return
            time.sleep(0.02)
        self.fail("nothing waits")

    def seen(self, got):
        verdict = got.exec.verdict
        return {"stdout": got.stdout.decode(), "stderr": got.stderr.decode(), "kind": verdict.kind, "message": verdict.message,
                "exit": verdict.exit_code, "signal": verdict.signal}

    def compare(self, language, programs, parts):
        for name, source in programs.items():
            stdin = b"some\ninput" if name.startswith("input") else b""
            with self.subTest(name):
                cold = self.seen(self.run_one(language, source, True, stdin))
                warm = self.seen(self.from_pool(language, source, stdin))
                self.assertEqual({p: warm[p] for p in parts}, {p: cold[p] for p in parts})

    def test_python(self):
        self.compare("python", PYTHON, ("stdout", "stderr", "kind", "message", "exit", "signal"))

    def test_node(self):
        if shutil.which("node", path="/usr/local/bin:/usr/bin:/bin") is None:
            self.skipTest("no node")
        self.compare("node", NODE, ("stdout", "stderr", "kind", "message", "exit", "signal"))
        self.compare("node", NODE_AGAIN, ("stdout", "stderr", "kind", "message", "exit", "signal"))
        self.compare("node", NODE_FAILS, ("stdout", "kind", "message", "exit", "signal"))

    def test_it_is_told_apart_from_the_outside_only(self):
        """So that the rest of this file cannot compare cold with cold."""
        self.until_it_waited(lambda source: self.from_pool("python", source, b""))

    def until_it_waited(self, run):
        source = "import time; print(open('/proc/self/stat').read().rsplit(')', 1)[1].split()[19], time.clock_gettime(time.CLOCK_BOOTTIME))"
        for _ in range(100):
            started, now = map(float, run(source).stdout.split())
            if now - started / 100 > 0.2:  # it was there before it was asked for
                return
            time.sleep(0.3)
        self.fail("no interpreter ever waited")

    def create(self, language):
        made = self.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(
            first_language=language, sandbox=sb.SandboxSpec(profile="python-dev"))).sandbox.sandbox_id
        self.addCleanup(self.client.sandboxes.DestroySandbox, api.DestroySandboxRequest(sandbox_id=made))
        return made

    def run_in(self, box, **program):
        return self.client.sandboxes.Run(api.RunRequest(target=ex.ExecTarget(sandbox_id=box), exec=ex.ExecSpec(**program)), timeout=60)

    def test_it_waits_in_a_sandbox_that_stays(self):
        self.until_it_waited(lambda source: self.run_in(
            self.create("python"), script=ex.Script(language="python", source=source)))
        box = self.create("python")
        for i in range(3):  # the first one and others
            got = self.run_in(box, script=ex.Script(language="python", source="import sys; print(sys.argv)", args=[str(i)]))
            self.assertEqual(got.stdout.decode(), f"['-c', '{i}']\n")

    def test_another_first_program_ends_it(self):
        ps = ex.Command(args=["sh", "-c", "cat /proc/[0-9]*/comm"])
        for other in ({"command": ps}, {"command": ps, "cwd": "/tmp"}):
            box = self.create("python")
            for _ in range(100):
                if b"python3" not in self.run_in(box, **other).stdout:
                    break
                time.sleep(0.05)
            else:
                self.fail("it waits for ever")
            got = self.run_in(box, script=ex.Script(language="python", source="print(1)"))
            self.assertEqual(got.stdout, b"1\n")

    def test_of_another_environment_it_starts_its_own(self):
        for _ in range(3):
            box = self.create("python")
            got = self.run_in(box, script=ex.Script(language="python", source="import os; print(os.environ['X'], os.getcwd())"),
                              env={"X": "y"}, cwd="/tmp")
            self.assertEqual(got.stdout, b"y /tmp\n", got.stderr)

    def test_unknown_languages_are_refused(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.create("cobol")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("first_language", caught.exception.details())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
