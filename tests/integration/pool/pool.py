#!/usr/bin/python3
"""Sandboxes that were made before they are asked for: pool.py ADDRESS."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import verdict_pb2 as vd
from aisbx.v1 import worker_service_pb2 as ws

ADDRESS = sys.argv[1]
PROGRAM = os.path.join(os.environ["AISBX_TEST_BIN"], "aisbx")


class Pool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)
        cls.api = cls.client.sandboxes

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def samples(self, family, label=""):
        """Of each label's value, or of "" alone."""
        got = self.client.worker.GetMetrics(ws.GetMetricsRequest())
        found = [f for f in got.families if f.name == family]
        self.assertEqual(len(found), 1, family)
        return {s.labels.get(label, ""): s.value for s in found[0].samples}

    def hits(self):
        got = self.samples("aisbx_pool_requests_total", "outcome")
        return got.get("hit", 0) + got.get("wait", 0)

    def wait_until_parked(self):
        """Nothing is asked meanwhile, so whatever is to be parked is, at some time."""
        for _ in range(1000):
            if self.samples("aisbx_pool_sandboxes")[""] > 0:
                return
            time.sleep(0.01)
        self.fail("nothing is parked")

    def run_sh(self, script, **spec):
        spec.setdefault("profile", "python-dev")
        spec.setdefault("network", sb.Network(mode=sb.NETWORK_MODE_NONE))
        return self.api.Run(api.RunRequest(
            target=ex.ExecTarget(new_sandbox=sb.SandboxSpec(**spec)),
            exec=ex.ExecSpec(command=ex.Command(args=["sh", "-c", script]))), timeout=60)

    def until_hit(self, act):
        """What comes of it with a sandbox that was there before."""
        for i in range(50):  # one of another plan may be what is parked
            before = self.hits()
            got = act()
            if self.hits() > before:
                return got
            time.sleep(0.02 * i)
            self.wait_until_parked()
        self.fail("it never came from the pool")

    def from_pool(self, script, **spec):
        return self.until_hit(lambda: self.run_sh(script, **spec))

    def test_programs_find_nothing_of_the_one_before(self):
        script = ("ls -A /tmp /workspace /dev/shm; echo /proc/[0-9]*; cat /etc/hostname;"
                  "touch /tmp/x /workspace/x /dev/shm/x; (sleep 1000 &)")
        fresh = self.run_sh(script).stdout
        self.wait_until_parked()
        for _ in range(3):
            self.assertEqual(self.from_pool(script).stdout, fresh)

    def test_each_has_its_own_name_and_labels(self):
        seen = set()
        for i in range(3):
            made = self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=sb.SandboxSpec(
                profile="python-dev", labels={"n": str(i)}, ttl_ms=50000 + i))).sandbox
            self.wait_until_parked()
            got = self.api.GetSandbox(api.GetSandboxRequest(sandbox_id=made.sandbox_id)).sandbox
            self.assertEqual(dict(got.labels), {"n": str(i)})
            self.assertEqual(got.state, sb.SANDBOX_STATE_RUNNING)
            seen.add(made.sandbox_id)
            self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=made.sandbox_id))
        self.assertEqual(len(seen), 3)

    def test_limits_hold_in_it(self):
        eater = "python3 -c 'x = bytearray(200 << 20)'"
        roomy = self.run_sh(eater)
        self.assertEqual(roomy.exec.verdict.exit_code, 0, roomy.stderr)
        self.wait_until_parked()
        tight = sb.Limits(memory_bytes=64 << 20)
        for _ in range(2):
            got = self.from_pool(eater, limits=tight)
            self.assertNotEqual((got.exec.verdict.kind, got.exec.verdict.exit_code), (vd.VERDICT_KIND_EXITED, 0))
            self.wait_until_parked()
        self.assertEqual(self.from_pool(eater).exec.verdict.exit_code, 0)

    def test_refused_calls_are_told_of_it(self):
        script = "unshare -U true"
        told = lambda got: [(v.kind, v.detail.partition("(")[0]) for v in got.exec.verdict.violations]
        want = told(self.run_sh(script))
        self.assertEqual(len(want), 1)
        self.wait_until_parked()
        self.assertEqual(told(self.from_pool(script)), want)

    def test_a_burst_is_served(self):
        calls = [self.api.Run.future(api.RunRequest(
            target=ex.ExecTarget(new_sandbox=sb.SandboxSpec(profile="strict")),
            exec=ex.ExecSpec(command=ex.Command(args=["echo", str(i)])))) for i in range(150)]
        self.assertEqual([c.result(timeout=60).stdout for c in calls], [f"{i}\n".encode() for i in range(150)])

    # ---- directories ----
    def cat(self, folder, *more):
        done = subprocess.run([PROGRAM, "--address", ADDRESS, "run", "-w", folder, *more, "--", "cat", "f"],
                              capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"

    def folder(self, text):
        made = tempfile.mkdtemp(dir=os.path.dirname(ADDRESS.removeprefix("unix:")))
        self.addCleanup(shutil.rmtree, made, True)
        self.write(made, text)
        return made

    def write(self, folder, text):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "f"), "w", encoding="utf-8") as file:
            file.write(text)

    def primed(self, text):
        """A folder with a sandbox parked that has it."""
        made = self.folder(text)
        self.prime(made, text)
        return made

    def prime(self, path, text):
        self.assertEqual(self.until_hit(lambda: self.cat(path)), text)
        time.sleep(0.1)  # the next one is there by now, or the test sees less; it never fails for that

    def changed(self):
        return self.samples("aisbx_pool_requests_total", "outcome").get("changed", 0)

    def test_a_directory_is_the_one_of_now(self):
        made = self.primed("old")
        self.write(made, "written")
        self.assertEqual(self.until_hit(lambda: self.cat(made)), "written")
        before = self.changed()
        for i in range(50):  # until what is parked is this directory's
            os.rename(made, f"{made}.{i}")
            self.addCleanup(shutil.rmtree, f"{made}.{i}", True)
            self.write(made, str(i))
            self.assertEqual(self.cat(made), str(i))
            if self.changed() > before:
                return
            time.sleep(0.02 * i)
        self.fail("it was never compared")

    def test_a_link_may_lead_elsewhere_by_now(self):
        one, two = self.folder("one"), self.folder("two")
        link = one + ".link"
        os.symlink(one, link)
        self.addCleanup(os.unlink, link)
        self.prime(link, "one")
        os.unlink(link)
        os.symlink(two, link)
        self.assertEqual(self.cat(link), "two")

    def test_a_directory_that_is_gone_is_refused(self):
        made = self.primed("old")
        shutil.rmtree(made)
        self.assertRegex(self.cat(made), f"(?s){made}.*No such file")

    def test_a_directory_may_be_closed_meanwhile(self):
        if os.geteuid() == 0:
            self.skipTest("root may open everything")
        made = self.primed("old")
        os.chmod(made, 0)
        self.addCleanup(os.chmod, made, 0o700)
        self.assertIn("ermission denied", self.cat(made))

    def test_what_is_mounted_below_a_directory_is_of_now(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        made = self.folder("old")
        below = os.path.join(made, "below")
        os.mkdir(below)
        self.prime(made, "old")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", below], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", below], stderr=subprocess.DEVNULL, check=False)
        self.write(below, "mounted")
        look = lambda: subprocess.run([PROGRAM, "--address", ADDRESS, "run", "-w", made, "--", "sh", "-c", "cat below/f; :"],
                                      capture_output=True, text=True, timeout=60).stdout
        self.assertEqual(look(), "mounted")
        self.prime(made, "old")
        subprocess.run(["umount", below], check=True)
        self.assertEqual(look(), "")

    def test_read_only_is_another_plan(self):
        made = self.primed("old")
        done = subprocess.run([PROGRAM, "--address", ADDRESS, "run", "-w", made + ":ro", "--", "sh", "-c", "echo x >f"],
                              capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.cat(made), "old")

    def test_another_user_has_sandboxes_of_its_own(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        made = self.primed("old")
        os.chmod(made, 0o700)
        os.chmod(ADDRESS.removeprefix("unix:"), 0o666)
        done = subprocess.run(["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups",
                               PROGRAM, "--address", ADDRESS, "run", "-w", made, "--", "cat", "f"],
                              capture_output=True, text=True, timeout=60)
        os.chmod(ADDRESS.removeprefix("unix:"), 0o600)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("old", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
