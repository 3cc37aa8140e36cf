#!/usr/bin/python3
"""Modules that an interpreter has imported before its program comes: preload.py ADDRESS."""

import os
import sys
import time
import unittest

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import file_service_pb2 as fs
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import worker_service_pb2 as ws

ADDRESS = sys.argv[1]


class Preload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def metric(self, name, outcome):
        families = self.client.worker.GetMetrics(ws.GetMetricsRequest()).families
        return sum(s.value for f in families if f.name == name for s in f.samples if s.labels["outcome"] == outcome)

    def hits(self):
        return self.metric("aisbx_pool_requests_total", "hit")

    def run_one(self, profile, source, env=None):
        got = self.client.sandboxes.Run(api.RunRequest(
            target=ex.ExecTarget(new_sandbox=sb.SandboxSpec(profile=profile, env=env or {})),
            exec=ex.ExecSpec(script=ex.Script(language="python", source=source))), timeout=60)
        self.assertEqual(got.exec.verdict.exit_code, 0, got.stderr)
        return got.stdout.decode().splitlines()

    def waited(self, profile, source, env=None):
        """What it printed when its interpreter had waited."""
        for i in range(60):
            before = self.hits()
            said = self.run_one(profile, source, env)
            if self.hits() > before:
                return said
            time.sleep(0.1 * min(i, 5))
        self.fail("no interpreter ever waited")

    def test_they_are_there_and_not_the_programs(self):
        source = "import sys; print('json' in sys.modules, 'xml.dom' in sys.modules, 'json' in globals(), 'xml' in globals())"
        self.assertEqual(self.waited("good", source), ["True True False False"])
        self.assertEqual(self.waited("none", source), ["False False False False"])

    def test_who_fails_or_prints_is_left_out(self):
        before = self.metric("aisbx_pool_interpreters_total", "module_skipped")
        source = ("import sys; print([m for m in ('this', 'json', 'nosuch', 'unittest', 'unittest.__main__') if m in sys.modules])\n"
                  "import this")
        said = self.waited("bad", source)
        self.assertEqual(said[0], "['json']")
        self.assertIn("The Zen of Python, by Tim Peters", said)  # it prints where the program imports it
        self.assertGreaterEqual(self.metric("aisbx_pool_interpreters_total", "module_skipped"), before + 4)

    def first_in_new(self, path, source):
        box = self.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(
            first_language="python", sandbox=sb.SandboxSpec(profile="good"))).sandbox.sandbox_id
        self.addCleanup(self.client.sandboxes.DestroySandbox, api.DestroySandboxRequest(sandbox_id=box))
        if path:
            header = fs.WriteFileHeader(sandbox_id=box, file=fs.FilePath(path=os.path.join("/workspace", path)), make_parents=True)
            self.client.files.WriteFile(iter([fs.WriteFileRequest(header=header), fs.WriteFileRequest(data=b"mine = 1\n")]))
        got = self.client.sandboxes.Run(api.RunRequest(target=ex.ExecTarget(sandbox_id=box), exec=ex.ExecSpec(
            script=ex.Script(language="python", source=source, args=["a"]))), timeout=60)
        return got.stdout.decode() + got.stderr.decode()

    def test_the_programs_own_modules_come_first(self):
        source = "import json, sys; print(json.__file__, sys.argv, sys.orig_argv[0])"
        for path in ("json.py", "json/__init__.py"):
            for _ in range(4):  # of which most find one that waits
                self.assertEqual(self.first_in_new(path, source), f"/workspace/{path} ['-c', 'a'] python3\n")
                time.sleep(0.3)
        self.assertIn("/usr/lib/python3", self.first_in_new("jsonx.py", source))

    def test_modules_of_the_user_are_found(self):
        where = "/tmp/.local/lib/python%d.%d/site-packages"
        version = self.first_in_new(None, "import sys; print(*sys.version_info[:2])").split()
        for _ in range(4):
            self.assertEqual(self.first_in_new(where % tuple(map(int, version)) + "/mine.py", "import mine; print(mine.mine)"), "1\n")
            time.sleep(0.3)

    def test_one_that_hangs_stops_nothing(self):
        for i in range(8):
            failed = self.metric("aisbx_pool_interpreters_total", "failed")
            late = self.metric("aisbx_pool_interpreters_total", "late")
            for name in "AB":  # a shelf for each: all that is made at one time hangs
                self.assertEqual(self.run_one("hangs", "print(1)", {f"{name}{i}": "1"}), ["1"])
            while self.metric("aisbx_pool_interpreters_total", "late") < late + 2:
                time.sleep(0.1)
            self.waited("none", "print()", {f"X{i}": "1"})
            if self.metric("aisbx_pool_interpreters_total", "failed") == failed:
                self.assertEqual(self.run_one("hangs", "print(2)", {f"A{i}": "1"}), ["2"])  # nobody waits for it
                return
        self.fail("nothing was made while they hung")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
