#!/usr/bin/python3
"""Files of a sandbox by FileService: files.py ADDRESS."""

import hashlib
import os
import queue
import tempfile
import time

import grpc

from box import DRIVER, PIECE, Box, Code, api, ex, fs, main, path, sb


class Files(Box):
    # ---- what it is for ----
    def test_times_outside_of_what_a_timestamp_can_say(self):
        self.sh(f"cd {self.dir}; touch -d @300000000000 late; touch -d @9000000000000000 later; touch -d @-99999999999 early")
        said = {name: self.stat(f"{self.dir}/{name}").modify_time for name in ("late", "later", "early")}
        for name, time_ in said.items():
            time_.ToJsonString()  # raises for what is none
            self.assertEqual(time_.seconds, -62135596800 if name == "early" else 253402300799, name)

    def test_what_is_written_is_read_by_programs_and_back(self):
        data = os.urandom(300_000)
        info = self.write(f"{self.dir}/a", data)
        self.assertEqual((info.path, info.size_bytes, info.mode, info.kind),
                         (f"{self.dir}/a", 300_000, 0o644, fs.FILE_KIND_REGULAR))
        self.assertEqual(self.sh(f"sha256sum <{self.dir}/a").split()[0].decode(), hashlib.sha256(data).hexdigest())
        self.assertEqual(self.read(f"{self.dir}/a"), data)
        self.assertEqual(self.read(f"{self.dir}/a", offset=299_990), data[-10:])
        self.assertEqual(self.read(f"{self.dir}/a", offset=7, max_bytes=70_000), data[7:70_007])
        self.assertEqual(self.read(f"{self.dir}/a", offset=400_000), b"")
        self.assertEqual(self.sh(f"ls -A {self.dir}"), b"a\n")
        self.assertEqual(self.sh(f"id -u; stat -c %u {self.dir}/a").split()[0],
                         str(info.uid).encode())

    def test_an_empty_file(self):
        self.assertEqual(self.write(f"{self.dir}/e", b"").size_bytes, 0)
        self.assertEqual(self.read(f"{self.dir}/e"), b"")

    def test_headers_of_a_write(self):
        name = f"{self.dir}/x/y/z"
        self.refused(Code.NOT_FOUND, self.write, name, b"1")
        self.write(name, b"1", make_parents=True, mode=0o751)
        self.assertEqual(self.stat(name).mode, 0o751)
        self.write(name, b"22")
        self.assertEqual((self.stat(name).mode, self.read(name)), (0o751, b"22"))
        self.refused(Code.ALREADY_EXISTS, self.write, name, b"3", no_replace=True)
        self.write(name, b"33", append=True)
        self.assertEqual(self.read(name), b"2233")
        self.write(f"{self.dir}/new", b"3", no_replace=True)
        self.write(f"{self.dir}/log", b"4", append=True)
        self.assertEqual(self.read(f"{self.dir}/new") + self.read(f"{self.dir}/log"), b"34")
        self.refused(Code.FAILED_PRECONDITION, self.write, self.dir, b"3")

    def test_directories_moves_modes_and_removal(self):
        base = self.dir
        make = lambda name, **more: self.files.MakeDirectory(fs.MakeDirectoryRequest(
            sandbox_id=self.box, directory=path(name), **more)).file
        self.assertEqual((make(f"{base}/d").mode, make(f"{base}/e", mode=0o700).mode), (0o755, 0o700))
        self.refused(Code.ALREADY_EXISTS, make, f"{base}/d")
        self.refused(Code.NOT_FOUND, make, f"{base}/p/q")
        make(f"{base}/p/q", parents=True)
        make(f"{base}/p/q", parents=True)
        self.write(f"{base}/p/q/f", b"f")
        move = lambda a, b, **more: self.files.MoveFile(fs.MoveFileRequest(
            sandbox_id=self.box, source=path(a), target=path(b), **more)).file
        self.assertEqual(move(f"{base}/p/q/f", f"{base}/g").path, f"{base}/g")
        self.write(f"{base}/h", b"h")
        self.refused(Code.ALREADY_EXISTS, move, f"{base}/g", f"{base}/h", no_replace=True)
        move(f"{base}/g", f"{base}/h")
        self.assertEqual(self.read(f"{base}/h"), b"f")
        chmod = lambda name, mode: self.files.ChangeMode(fs.ChangeModeRequest(
            sandbox_id=self.box, file=path(name), mode=mode)).file.mode
        self.assertEqual(chmod(f"{base}/h", 0o600), 0o600)
        self.refused(Code.INVALID_ARGUMENT, chmod, f"{base}/h", 0o4755)
        self.refused(Code.FAILED_PRECONDITION, self.remove, f"{base}/p")
        self.assertEqual(self.remove(f"{base}/p", recursive=True), 2)
        self.assertEqual(self.remove(f"{base}/h"), 1)
        self.refused(Code.NOT_FOUND, self.remove, f"{base}/h")
        self.refused(Code.INVALID_ARGUMENT, self.remove, "/", recursive=True)
        self.refused(Code.INVALID_ARGUMENT, self.remove, f"{base}/d/..", recursive=True)
        self.assertEqual(self.names(base), ["d", "e"])

    def test_removing_a_tree_leaves_what_its_links_point_to(self):
        self.sh(f"mkdir -p {self.dir}/t/a/b {self.dir}/keep; touch {self.dir}/keep/k {self.dir}/t/a/b/c; "
                f"ln -s {self.dir}/keep {self.dir}/t/a/link; seq 3000 | (cd {self.dir}/t && xargs touch)")
        self.assertEqual(self.remove(f"{self.dir}/t", recursive=True), 3000 + 5)
        self.assertEqual(self.names(self.dir, depth=2), ["keep", "keep/k"])

    # ---- lists ----
    def test_lists_by_path_with_depth_and_glob(self):
        self.sh(f"cd {self.dir}; mkdir -p a/b/c; touch a.py a/m.py a/b/n.py a/b/c/o.py a/x.txt .h; ln -s a l")
        self.assertEqual(self.names(self.dir), [".h", "a", "a.py", "l"])
        self.assertEqual(self.names(self.dir, depth=2), [".h", "a", "a.py", "a/b", "a/m.py", "a/x.txt", "l"])
        self.assertEqual(self.names(self.dir, depth=9, glob="*.py"), ["a.py", "a/b/c/o.py", "a/b/n.py", "a/m.py"])
        self.assertEqual(self.names(self.dir, depth=9, glob="a/*.py"), ["a/m.py"])
        self.assertEqual(self.names(self.dir, depth=9, glob="a/**/*.py"), ["a/b/c/o.py", "a/b/n.py", "a/m.py"])
        self.assertEqual(self.names(self.dir, depth=9, glob="[!a].py"), ["a/b/c/o.py", "a/b/n.py", "a/m.py"])
        self.assertEqual(self.list(self.dir)[3].link_target, "a")
        self.assertEqual(self.names(f"{self.dir}/l"), ["b", "m.py", "x.txt"])
        for size in (1, 2, 3):
            self.assertEqual(self.names(self.dir, depth=9, page_size=size), self.names(self.dir, depth=9))
        self.refused(Code.FAILED_PRECONDITION, self.list, f"{self.dir}/a.py")
        self.refused(Code.INVALID_ARGUMENT, self.list, self.dir, depth=65)
        for glob in ("[", "a[b", "[!]", "\\\\[a"):
            self.assertIn("not closed", self.refused(Code.INVALID_ARGUMENT, self.list, self.dir, glob=glob))
            wrong = fs.SearchFilesRequest(sandbox_id=self.box, directory=path(self.dir), pattern="x", glob=glob)
            self.assertIn("not closed", self.refused(Code.INVALID_ARGUMENT, lambda request: list(self.files.SearchFiles(request)), wrong))
        for glob in ("\\[", "[]]", "[!]a]", "\\"):
            self.list(self.dir, glob=glob)
        bad = fs.ListFilesRequest(sandbox_id=self.box, directory=path(self.dir), page_token="0" * 16 + "61")
        self.assertIn("page_token", self.refused(Code.INVALID_ARGUMENT, self.files.ListFiles, bad))

    def test_a_directory_of_100000_files(self):
        host = tempfile.TemporaryDirectory(prefix="aisbx-many-")
        os.chmod(host.name, 0o755)
        for i in range(100_000):
            os.close(os.open(f"{host.name}/{i:06}", os.O_CREAT | os.O_WRONLY, 0o644))
        spec = sb.SandboxSpec(profile="python-dev", driver=DRIVER, mounts=[sb.Mount(
            source=host.name, target="/workspace", mode=sb.MOUNT_MODE_RO)])
        box = self.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id
        more = {"sandbox_id": box, "directory": path("/workspace"), "page_size": 50000}
        first = self.files.ListFiles(fs.ListFilesRequest(**more), timeout=60)
        second = self.files.ListFiles(fs.ListFilesRequest(**more, page_token=first.next_page_token), timeout=60)
        few = self.files.ListFiles(fs.ListFilesRequest(**more, glob="09999?"), timeout=60)
        self.assertEqual([len(page.files) for page in (first, second, few)], [10000, 10000, 10])
        self.assertEqual(second.files[0].path, "/workspace/010000")
        self.assertEqual([info.path[-1] for info in few.files], list("0123456789"))
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        host.cleanup()

    def test_names_that_are_not_utf8(self):
        raw = self.dir.encode() + b"/caf\xe9"
        self.write(raw, b"latin")
        info = self.list(self.dir)[0]
        self.assertEqual((info.raw_path, info.path), (raw, f"{self.dir}/caf�"))
        self.assertEqual(self.read(raw), b"latin")
        self.refused(Code.NOT_FOUND, self.read, info.path)

    # ---- hostile ----
    def test_links_end_inside(self):
        secret = tempfile.NamedTemporaryFile(prefix="host-", dir="/tmp")
        secret.write(b"of the host")
        secret.flush()
        self.sh(f"cd {self.dir}; ln -s {secret.name} host; ln -s ../../../../../..{secret.name} up; "
                f"ln -s loop loop; ln -s /etc/shadow shadow; ln -s / root; ln -s {self.dir}/real there; echo x >real")
        for name in ("host", "up"):
            self.refused(Code.NOT_FOUND, self.read, f"{self.dir}/{name}")
        self.assertIn(self.refused_code(self.read, f"{self.dir}/shadow"), (Code.NOT_FOUND, Code.PERMISSION_DENIED))
        self.refused(Code.FAILED_PRECONDITION, self.read, f"{self.dir}/loop")
        self.refused(Code.NOT_FOUND, self.read, f"/../../..{secret.name}")
        self.assertEqual(self.read(f"{self.dir}/root{self.dir}/there"), b"x\n")
        self.write(f"{self.dir}/host", b"inside", make_parents=True)
        with open(secret.name, "rb") as file:
            self.assertEqual(file.read(), b"of the host")
        self.assertEqual(self.sh(f"cat {secret.name}; rm {secret.name}"), b"inside")
        self.write(f"{self.dir}/there", b"through")
        self.assertEqual(self.stat(f"{self.dir}/there").kind, fs.FILE_KIND_SYMLINK)
        self.assertEqual(self.stat(f"{self.dir}/there", follow=True).size_bytes, 7)
        self.assertEqual(self.read(f"{self.dir}/real"), b"through")

    def refused_code(self, call, *args):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args)
        return caught.exception.code()

    def test_links_of_proc_are_not_followed(self):
        self.sh(f"cd {self.dir}; ln -s /proc/self/mem mem; ln -s /proc/self/fd/3 fd; ln -s /proc/1/root/etc/passwd p")
        for name in (f"{self.dir}/mem", f"{self.dir}/fd", "/proc/self/root/etc/passwd", "/dev/stdin", "/dev/fd/0"):
            self.assertIn("/proc", self.refused(Code.PERMISSION_DENIED, self.read, name))
        self.assertIn(self.refused_code(self.read, f"{self.dir}/p"), (Code.PERMISSION_DENIED, Code.NOT_FOUND))
        self.refused(Code.PERMISSION_DENIED, self.write, f"{self.dir}/mem", b"x")
        self.refused(Code.PERMISSION_DENIED, self.write, "/proc/meminfo", b"x")
        self.assertIn(b"MemTotal", self.read("/proc/meminfo"))

    def test_what_is_no_regular_file_is_refused_at_once(self):
        self.sh(f"cd {self.dir}; mkfifo fifo; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'")
        for name in (f"{self.dir}/fifo", f"{self.dir}/s", "/dev/zero", "/dev/null"):
            self.assertIn("regular", self.refused(Code.FAILED_PRECONDITION, self.read, name))
            self.assertIn("regular", self.refused(Code.FAILED_PRECONDITION, self.write, name, b"x"))
            self.assertIn("regular", self.refused(Code.FAILED_PRECONDITION, self.write, name, b"x", append=True))
            self.assertEqual(self.stat(name).kind, fs.FILE_KIND_SPECIAL)
        self.refused(Code.FAILED_PRECONDITION, self.read, self.dir)

    def test_a_name_that_changes_all_the_time_never_leads_out(self):
        stream = self.background(
            f"cd {self.dir}; echo good >good; mkfifo fifo; while :; do ln -sf /proc/self/environ x; "
            f"rm -f x; ln good x; rm -f x; ln fifo x; rm -f x; done")
        seen = set()
        for _ in range(300):
            try:
                seen.add(self.read(f"{self.dir}/x"))
            except grpc.RpcError as error:
                seen.add(error.code())
        stream.cancel()
        self.assertIn(b"good\n", seen)
        self.assertLessEqual(seen, {b"good\n", Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION})

    def test_bad_paths(self):
        for name in ("", "relative", "/" + "x" * 4095, b"/a\0b"):
            self.refused(Code.INVALID_ARGUMENT, self.stat, name)
        self.refused(Code.INVALID_ARGUMENT, self.stat, "/" + "x" * 300)
        self.refused(Code.NOT_FOUND, self.stat, "/x", box="sb_" + "a" * 26)
        self.refused(Code.PERMISSION_DENIED, self.write, "/usr/bin/x", b"x")

    def test_a_file_that_grows_is_read_as_it_was(self):
        self.write(f"{self.dir}/grows", b"")
        stream = self.background(f"while echo more >>{self.dir}/grows; do :; done")
        while self.sh(f"test -s {self.dir}/grows && echo there || true") != b"there\n":
            time.sleep(0.01)
        replies = list(self.files.ReadFile(fs.ReadFileRequest(
            sandbox_id=self.box, file=path(f"{self.dir}/grows")), timeout=60))
        stream.cancel()
        self.assertEqual(sum(len(reply.data) for reply in replies), replies[0].file.size_bytes)
        self.sh(f"rm -f {self.dir}/grows")

    def test_a_file_that_shrinks_is_not_taken_for_whole(self):
        self.sh(f"truncate -s 100M {self.dir}/shrinks")
        stream = self.files.ReadFile(fs.ReadFileRequest(
            sandbox_id=self.box, file=path(f"{self.dir}/shrinks")), timeout=60)
        first = next(stream)
        self.assertEqual(first.file.size_bytes, 100 << 20)
        self.sh(f"truncate -s 10 {self.dir}/shrinks")
        self.assertIn("shorter", self.refused(Code.ABORTED, list, stream))

    def test_a_full_disk_names_the_limit(self):
        box = self.make(disk_bytes=8 << 20)
        text = self.refused(Code.RESOURCE_EXHAUSTED, self.write, "/tmp/big", b"x" * (9 << 20), box=box)
        self.assertIn("limits.disk", text)
        self.assertEqual(self.sh("ls -A /tmp; df --output=used /tmp | tail -1", box=box).split(), [b"0"])
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def test_a_gibibyte_into_a_sandbox_of_64_mebibytes(self):
        box = self.make(memory_bytes=64 << 20)

        def messages():
            yield fs.WriteFileRequest(header=fs.WriteFileHeader(sandbox_id=box, file=path("/tmp/big")))
            for _ in range((1 << 30) // PIECE):
                yield fs.WriteFileRequest(data=bytes(PIECE))

        code = self.refused_code(lambda: self.files.WriteFile(messages(), timeout=120))
        self.assertIn(code, (Code.RESOURCE_EXHAUSTED, Code.ABORTED))
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def test_who_goes_away_in_the_middle_of_a_write_leaves_nothing(self):
        self.write(f"{self.dir}/f", b"before")
        messages = queue.Queue()
        messages.put(fs.WriteFileRequest(header=fs.WriteFileHeader(sandbox_id=self.box, file=path(f"{self.dir}/f"))))
        messages.put(fs.WriteFileRequest(data=b"half"))
        call = self.files.WriteFile.future(iter(messages.get, None), timeout=60)
        self.wait_names(2)
        call.cancel()
        messages.put(None)
        self.wait_names(1)
        self.assertEqual(self.read(f"{self.dir}/f"), b"before")

    def wait_names(self, n):
        until = time.monotonic() + 20
        while len(self.names(self.dir)) != n:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)

    def test_readers_that_do_not_read_cost_nothing_and_are_counted(self):
        self.sh(f"truncate -s 20M {self.dir}/big")
        request = fs.ReadFileRequest(sandbox_id=self.box, file=path(f"{self.dir}/big"))
        calls = [self.files.ReadFile(request) for _ in range(32)]
        for call in calls:
            next(call)
        self.assertIn("32", self.refused(Code.RESOURCE_EXHAUSTED, self.read, f"{self.dir}/big"))
        for call in calls:
            call.cancel()
        until = time.monotonic() + 20
        while True:
            try:
                self.assertEqual(len(self.read(f"{self.dir}/big")), 20 << 20)
                break
            except grpc.RpcError as error:
                self.assertEqual(error.code(), Code.RESOURCE_EXHAUSTED)
                self.assertLess(time.monotonic(), until)

    def test_programs_do_not_see_or_end_helpers(self):
        listed = self.client.sandboxes.ListExecs(api.ListExecsRequest(sandbox_id=self.box)).execs
        self.stat("/tmp")
        again = self.client.sandboxes.ListExecs(api.ListExecsRequest(sandbox_id=self.box)).execs
        self.assertEqual(len(listed), len(again))

    def test_sandboxes_that_are_gone_or_for_one_program(self):
        box = self.make()
        self.stat("/tmp", box=box)
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        self.assertIn("destroyed", self.refused(Code.FAILED_PRECONDITION, self.stat, "/tmp", box=box))
        spec = ex.ExecSpec(command=ex.Command(args=["sleep", "60"]))
        target = ex.ExecTarget(new_sandbox=sb.SandboxSpec(profile="python-dev", driver=DRIVER))
        stream = self.client.sandboxes.StartExec(api.StartExecRequest(target=target, exec=spec))
        only = next(iter(stream)).event.started.sandbox.sandbox_id
        self.assertIn("one program", self.refused(Code.FAILED_PRECONDITION, self.stat, "/tmp", box=only))
        stream.cancel()

    def test_a_sandbox_that_ends_ends_its_operations(self):
        box = self.make()
        self.sh("truncate -s 20M /tmp/big", box=box)
        stream = self.files.ReadFile(fs.ReadFileRequest(sandbox_id=box, file=path("/tmp/big")), timeout=60)
        next(stream)
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        self.assertIn(self.refused_code(list, stream), (Code.FAILED_PRECONDITION, Code.ABORTED))

    def test_a_file_operation_keeps_a_sandbox_from_being_idle(self):
        spec = sb.SandboxSpec(profile="python-dev", driver=DRIVER, idle_ms=2000)
        box = self.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id
        until = time.monotonic() + 3
        while time.monotonic() < until:
            self.stat("/tmp", box=box)
            time.sleep(0.05)
        self.assertEqual(self.stat("/tmp", box=box).kind, fs.FILE_KIND_DIRECTORY)
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def test_a_slow_reader_keeps_a_sandbox_from_being_idle_when_programs_end(self):
        spec = sb.SandboxSpec(profile="python-dev", driver=DRIVER, idle_ms=500)
        box = self.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id
        self.sh("truncate -s 100M /tmp/big", box=box)
        stream = self.files.ReadFile(fs.ReadFileRequest(sandbox_id=box, file=path("/tmp/big")), timeout=60)
        next(stream)
        self.sh("true", box=box)
        time.sleep(1.5)
        self.assertEqual(sum(len(reply.data) for reply in stream), 100 << 20)
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def test_the_first_message_of_a_write(self):
        data = fs.WriteFileRequest(data=b"x")
        header = fs.WriteFileRequest(header=fs.WriteFileHeader(sandbox_id=self.box, file=path(f"{self.dir}/m")))
        self.refused(Code.INVALID_ARGUMENT, self.files.WriteFile, iter([]))
        self.refused(Code.INVALID_ARGUMENT, self.files.WriteFile, iter([data]))
        self.refused(Code.INVALID_ARGUMENT, self.files.WriteFile, iter([header, header]))
        big = fs.WriteFileRequest(data=bytes(PIECE + 1))
        self.refused(Code.INVALID_ARGUMENT, self.files.WriteFile, iter([header, big]))
        self.wait_names(0)


if __name__ == "__main__":
    main()
