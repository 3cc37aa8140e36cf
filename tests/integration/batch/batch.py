#!/usr/bin/python3
"""Programs by their source, files with a call, and RunBatch: batch.py ADDRESS."""

import os
import shutil
import subprocess
import sys
import time
import unittest

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import verdict_pb2 as vd

ADDRESS = sys.argv[1]
DRIVER = os.environ.get("AISBX_TEST_DRIVER", "native")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Code = grpc.StatusCode

# language: what must be there, a program that prints its arguments and its input, in upper case
ECHO = {
    "python": ("python3", "import sys\nprint(*sys.argv[1:], sys.stdin.read().upper())"),
    "node": ("node", "const i=require('fs').readFileSync(0,'utf8');"
                     "console.log(...process.argv.slice(process.argv[1]&&process.argv[1].endsWith('main.js')?2:1),i.toUpperCase())"),
    "bash": ("bash", 'read -r i; echo "$@" "${i^^}"'),
    "c": ("cc", '#include <stdio.h>\n#include <ctype.h>\nint main(int n,char**a){for(int i=1;i<n;i++)printf("%s ",a[i]);'
                'int c;while((c=getchar())!=EOF)putchar(toupper(c));puts("");}'),
    "cpp": ("c++", '#include <iostream>\n#include <string>\nint main(int n,char**a){for(int i=1;i<n;i++)std::cout<<a[i]<<" ";'
                   'std::string s;std::cin>>s;for(char&c:s)c=toupper(c);std::cout<<s<<std::endl;}'),
    "go": ("go", 'package main\nimport ("fmt";"os";"strings")\nfunc main(){var s string;fmt.Scan(&s);'
                 'fmt.Println(strings.Join(os.Args[1:]," "),strings.ToUpper(s))}'),
    "rust": ("rustc", 'use std::io::Read;fn main(){let mut s=String::new();std::io::stdin().read_to_string(&mut s).unwrap();'
                      'let a:Vec<String>=std::env::args().skip(1).collect();println!("{} {}",a.join(" "),s.to_uppercase());}'),
    "java": ("javac", 'public class Main{public static void main(String[] a)throws Exception{'
                      'String s=new String(System.in.readAllBytes());System.out.println(String.join(" ",a)+" "+s.toUpperCase());}}'),
}
# A compiler of each language works for an ordinary user as for root: tests/languages has it run one.
if os.geteuid() != 0:
    ECHO = {language: ECHO[language] for language in ("python", "node", "bash", "c", "java")}
COMMENT = {"python": "#", "bash": "#"}
PROFILE = {"node": "node-dev", "go": "go-dev", "rust": "rust-dev", "java": "java-dev"}


def has(language):
    return shutil.which(ECHO[language][0], path=PATH) is not None


def script(language, source, *args):
    return ex.ExecSpec(script=ex.Script(language=language, source=source, args=args))


def spec_of(language="python", **more):
    profile = more.pop("profile", PROFILE.get(language, "python-dev"))
    network = sb.Network(mode=sb.NETWORK_MODE_NONE) if profile.endswith("-dev") else None
    return sb.SandboxSpec(profile=profile, network=network, driver=DRIVER, **more)


class Batch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)
        cls.api = cls.client.sandboxes

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def refused(self, code, text, call):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call()
            if hasattr(reply, "__iter__"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertIn(text, caught.exception.details())

    def run_in(self, where, spec, **more):
        target = ex.ExecTarget(sandbox_id=where) if isinstance(where, str) else ex.ExecTarget(new_sandbox=where)
        return self.api.Run(api.RunRequest(target=target, exec=spec, **more), timeout=120)

    def make(self, **more):
        made = self.api.CreateSandbox(api.CreateSandboxRequest(sandbox=spec_of(**more))).sandbox.sandbox_id
        self.addCleanup(lambda: self.api.DestroySandbox(api.DestroySandboxRequest(sandbox_id=made)))
        return made

    def batch(self, **more):
        replies = list(self.api.RunBatch(api.RunBatchRequest(**more), timeout=200))
        return {r.case_id: r for r in replies}, [r.case_id for r in replies]

    def wait_for(self, n):
        """What was made for one call goes with it, a moment later."""
        for _ in range(400):
            left = self.api.ListSandboxes(api.ListSandboxesRequest()).sandboxes
            if len(left) == n:
                return
            time.sleep(0.05)
        self.fail(f"{len(left)} sandboxes are left, not {n}")

    # ---- scripts ----
    def test_every_language_runs_a_source(self):
        for language, (_, source) in ECHO.items():
            with self.subTest(language):
                if not has(language):
                    self.refused(Code.FAILED_PRECONDITION, f"no {ECHO[language][0]}",
                                 lambda: self.run_in(spec_of(language), script(language, source)))
                    continue
                got = self.run_in(spec_of(language), script(language, source, "a", "b c"), stdin=b"loud\n")
                self.assertEqual(got.stdout.decode().split(), ["a", "b", "c", "LOUD"], got.stderr)

    def test_a_long_source_behaves_as_a_short_one(self):
        box = self.make()
        for language in ("python", "node", "bash", "c"):
            with self.subTest(language):
                if not has(language):
                    continue
                filler = COMMENT.get(language, "//") + " " + "x" * 200_000 + "\n"
                source = filler + ECHO[language][1]
                got = self.run_in(box, script(language, source, "a", "b c"), stdin=b"loud\n")
                self.assertEqual(got.stdout.decode().split(), ["a", "b", "c", "LOUD"], got.stderr)
        got = self.run_in(box, script("python", "#" + "x" * 100_000 + "\nimport os, sys\n"
                                      "print(__name__, sys.argv, sys.path[0] == '', os.getcwd())"))
        self.assertEqual(got.stdout, b"__main__ ['-c'] True /workspace\n", got.stderr)
        got = self.run_in(box, ex.ExecSpec(command=ex.Command(args=["sh", "-c", "ls -d /tmp/run.ex_*/main.py /tmp/run.ex_*/main.sh"])))
        self.assertEqual(got.stdout, b"")  # what was read is taken away

    def test_sources_that_cannot_be(self):
        box = self.make(profile="minimal")
        self.refused(Code.INVALID_ARGUMENT, "did you mean python", lambda: self.run_in(box, script("pyhton", "1")))
        self.refused(Code.INVALID_ARGUMENT, "there are: python, node", lambda: self.run_in(box, script("cobol", "1")))
        self.refused(Code.INVALID_ARGUMENT, "script.source", lambda: self.run_in(box, script("python", "")))
        self.refused(Code.INVALID_ARGUMENT, "script.source", lambda: self.run_in(box, script("python", "#" * (1 << 20) + "#")))
        self.refused(Code.FAILED_PRECONDITION, 'profile "python-dev" has', lambda: self.run_in(box, script("c", ECHO["c"][1])))
        self.refused(Code.FAILED_PRECONDITION, 'profile "java-dev" gives', lambda: self.run_in(
            spec_of(profile="strict"), script("java", ECHO["java"][1])))
        self.wait_for(1)

    def test_start_exec_takes_scripts(self):
        box = self.make()
        request = api.StartExecRequest(target=ex.ExecTarget(sandbox_id=box), exec=script("python", "#" * 50_000 + "\nprint(6*7)"))
        out = b"".join(r.event.output.data for r in self.api.StartExec(request, timeout=60))
        self.assertEqual(out, b"42\n")

    # ---- files of a call ----
    def test_files_go_in_and_come_out(self):
        files = [ex.InlineFile(path="a/b.py", data=b"x = 'there'"), ex.InlineFile(path="tool", data=b"#!/bin/sh\necho ran", mode=0o755)]
        code = ("import subprocess, sys; sys.path.insert(0, 'a'); import b; print(b.x, subprocess.check_output('./tool').decode());"
                "open('out.bin', 'wb').write(bytes(range(256))); open('big', 'wb').write(b'0' * (1 << 20) + b'1'); import os; os.mkdir('dir')")
        got = self.run_in(spec_of(), script("python", code), files=files, fetch=["out.bin", "a/b.py", "none", "big", "dir"])
        self.assertEqual(got.stdout, b"there ran\n\n", got.stderr)
        self.assertEqual({f.path: f.data for f in got.files}, {"out.bin": bytes(range(256)), "a/b.py": b"x = 'there'"})
        self.assertEqual(len(got.file_errors), 2, got.file_errors)
        self.assertIn("1 MiB", got.file_errors[0])
        self.assertIn("/workspace/dir", got.file_errors[1])
        self.wait_for(0)

    def test_files_of_a_sandbox_that_stays(self):
        box = self.make()
        got = self.run_in(box, ex.ExecSpec(command=ex.Command(args=["cp", "in", "out"])), files=[ex.InlineFile(path="in", data=b"1")],
                          fetch=["out"])
        self.assertEqual([(f.path, f.data) for f in got.files], [("out", b"1")])

    def test_files_that_cannot_be(self):
        true = ex.ExecSpec(command=ex.Command(args=["true"]))
        for bad in ("../x", "/etc/x", "a//b", "a/./b", "", ".."):
            with self.subTest(bad):
                self.refused(Code.INVALID_ARGUMENT, "files", lambda: self.run_in(spec_of(), true, files=[ex.InlineFile(path=bad)]))
                self.refused(Code.INVALID_ARGUMENT, "fetch", lambda: self.run_in(spec_of(), true, fetch=[bad]))
        self.refused(Code.INVALID_ARGUMENT, "1048576", lambda: self.run_in(
            spec_of(), true, files=[ex.InlineFile(path="x", data=b"0" * (1 << 20)), ex.InlineFile(path="y", data=b"0")]))
        self.refused(Code.INVALID_ARGUMENT, "mode", lambda: self.run_in(spec_of(), true, files=[ex.InlineFile(path="x", mode=0o4755)]))
        self.refused(Code.INVALID_ARGUMENT, "request_id", lambda: self.run_in(spec_of(), true, fetch=["x"], request_id="r"))
        with self.assertRaises(grpc.RpcError) as caught:  # its workspace cannot be written
            self.run_in(spec_of(profile="strict"), true, files=[ex.InlineFile(path="x", data=b"1")])
        self.assertIn("files: /workspace/x", caught.exception.details())
        self.wait_for(0)

    # ---- batches ----
    def test_each_language_is_compiled_once_and_run_for_each_case(self):
        for language, (_, source) in ECHO.items():
            if not has(language):
                continue
            with self.subTest(language):
                got, order = self.batch(sandbox=spec_of(language), run=script(language, source, "x"), parallelism=2, cases=[
                    api.BatchCase(case_id=str(i), stdin=f"in{i}\n".encode(), args=[f"y{i}"]) for i in range(3)])
                self.assertEqual(order[0] == "", language not in ("python", "node", "bash"))
                for i in range(3):
                    self.assertEqual(got[str(i)].result.stdout.decode().split(), ["x", f"y{i}", f"IN{i}"], got[str(i)])
                    self.assertTrue(got[str(i)].passed)

    def test_expected_output_decides(self):
        got, _ = self.batch(sandbox=spec_of(), run=script("python", "print(int(input()) * 2)"), cases=[
            api.BatchCase(case_id="good", stdin=b"2", expected_stdout=b"4\n"),
            api.BatchCase(case_id="bad", stdin=b"2", expected_stdout=b"4"),
            api.BatchCase(case_id="raises", stdin=b"x", expected_stdout=b"4\n"),
            api.BatchCase(case_id="any", stdin=b"3")])
        self.assertEqual({k: v.passed for k, v in got.items()}, {"good": True, "bad": False, "raises": False, "any": True})
        self.assertEqual(got["raises"].result.exec.verdict.kind, vd.VERDICT_KIND_EXITED)

    def test_cases_know_nothing_of_each_other(self):
        code = ("import os; print(sorted(os.listdir('.')), sorted(os.listdir('/tmp')));"
                "open('left', 'w').write('x'); open('data', 'w').write('changed'); open('/tmp/left', 'w')")
        got, _ = self.batch(sandbox=spec_of(), run=script("python", code), files=[ex.InlineFile(path="data", data=b"1")],
                            parallelism=1, cases=[api.BatchCase(case_id=str(i)) for i in range(3)])
        self.assertEqual({r.result.stdout for r in got.values()}, {b"['data', 'main.py'] []\n"})
        self.assertEqual(len({r.result.sandbox.sandbox_id for r in got.values()}), 3)

    def test_commands_compile_and_run(self):
        compile_ = ex.ExecSpec(command=ex.Command(args=["sh", "-c", "cat src >built; chmod 755 built; echo note; date +%N >stamp"]))
        run = ex.ExecSpec(command=ex.Command(args=["sh", "-c", './built "$@"; cat stamp', "sh"]))
        got, order = self.batch(sandbox=spec_of(), compile=compile_, run=run, files=[ex.InlineFile(path="src", data=b"#!/bin/sh\necho $1\n")],
                                cases=[api.BatchCase(case_id=c, args=[c]) for c in "ab"])
        self.assertEqual(order[0], "")
        self.assertEqual(got[""].result.stdout, b"note\n")
        first, second = (got[c].result.stdout.splitlines() for c in "ab")
        self.assertEqual((first[0], second[0]), (b"a", b"b"))
        self.assertEqual(first[1], second[1])  # compiled once

    def test_a_program_that_does_not_compile_runs_nothing(self):
        if not has("c"):
            self.skipTest("no cc")
        got, order = self.batch(sandbox=spec_of(), run=script("c", "int main(){return x;}"), cases=[api.BatchCase(case_id="1")])
        self.assertEqual(order, [""])
        self.assertFalse(got[""].passed)
        self.assertIn(b"undeclared", got[""].result.stderr)

    def test_limits_hold_for_each_case(self):
        code = "import sys\nw = input()\nif w == 'spin':\n  while True: pass\nprint(w)"
        run = script("python", code)
        run.wall_ms = 2000
        got, _ = self.batch(sandbox=spec_of(), run=run, parallelism=4, cases=[
            api.BatchCase(case_id=w, stdin=w.encode()) for w in ("spin", "one", "two")])
        self.assertEqual(got["spin"].result.exec.verdict.kind, vd.VERDICT_KIND_TIMED_OUT)
        self.assertTrue(got["one"].passed and got["two"].passed)

    def test_stops_at_the_first_failure(self):
        code = "import time\nw = input()\nif w == 'fail': raise SystemExit(3)\ntime.sleep(600)"
        got, _ = self.batch(sandbox=spec_of(), run=script("python", code), parallelism=2, stop_on_failure=True, cases=[
            api.BatchCase(case_id=c, stdin=c.encode()) for c in ("sleep", "fail", "never", "nor this")])
        self.assertEqual(set(got), {"sleep", "fail"})
        self.assertEqual(got["fail"].result.exec.verdict.exit_code, 3)
        self.assertEqual(got["sleep"].result.exec.verdict.kind, vd.VERDICT_KIND_CANCELLED)

    def test_files_come_back_of_each_case(self):
        got, _ = self.batch(sandbox=spec_of(), run=script("bash", 'read -r x; echo "$x" >out'), fetch=["out"], cases=[
            api.BatchCase(case_id=c, stdin=c.encode() + b"\n") for c in "abc"])
        self.assertEqual({c: got[c].result.files[0].data for c in "abc"}, {c: c.encode() + b"\n" for c in "abc"})
        self.wait_for(0)

    def test_a_cancelled_call_leaves_nothing(self):
        seconds = f"{os.getpid()}.{time.monotonic_ns()}"  # another run's processes are not ours
        call = self.api.RunBatch(api.RunBatchRequest(sandbox=spec_of(), parallelism=3, run=script(
            "bash", f'read -r x; [ "$x" = a ] || exec sleep {seconds}'), cases=[
                api.BatchCase(case_id=c, stdin=c.encode() + b"\n") for c in "abcd"]))
        self.assertEqual(next(call).case_id, "a")
        call.cancel()
        self.wait_for(0)
        self.assertNotEqual(subprocess.run(["pgrep", "-f", "-x", f"sleep {seconds}"], stdout=subprocess.DEVNULL).returncode, 0)

    def test_many_cases_end_one_by_one(self):
        got, order = self.batch(sandbox=spec_of(), run=script("bash", "cat"), cases=[
            api.BatchCase(case_id=str(i), stdin=bytes([65 + i % 26]) * 20_000, expected_stdout=bytes([65 + i % 26]) * 20_000)
            for i in range(60)])
        self.assertEqual(len(order), 60)
        self.assertTrue(all(r.passed for r in got.values()))
        self.wait_for(0)

    def test_batches_that_cannot_be(self):
        one = [api.BatchCase(case_id="1")]
        run = script("bash", "true")
        for text, more in (
                ("cases", {"run": run}), ("cases", {"run": run, "cases": one * 1001}), ("parallelism", {"run": run, "cases": one, "parallelism": 65}),
                ("run.command", {"cases": one}), ("case_id", {"run": run, "cases": [api.BatchCase(case_id="x" * 65)]}),
                ("request_id", {"run": run, "cases": one, "request_id": "x"}),
                ("run: ", {"run": ex.ExecSpec(command=run.command, script=run.script, background=True), "cases": one}),
                ("compiled by itself", {"run": script("c", "int main(){}"), "compile": run, "cases": one}),
                ("there are: python", {"run": script("perl", "1"), "cases": one}), ("fetch", {"run": run, "cases": one, "fetch": ["/x"]})):
            with self.subTest(text):
                self.refused(Code.INVALID_ARGUMENT, text, lambda: self.api.RunBatch(api.RunBatchRequest(sandbox=spec_of(), **more)))
        self.refused(Code.FAILED_PRECONDITION, "java-dev", lambda: self.api.RunBatch(api.RunBatchRequest(
            sandbox=spec_of(profile="strict"), run=script("java", "class Main{}"), cases=one)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
