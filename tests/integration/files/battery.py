#!/usr/bin/python3
"""Hostile files and archives, by gRPC and by REST: battery.py ADDRESS PORT. A row is what comes, and the refusal or the
bound that must meet it. Nothing may appear outside of the directory, whatever comes."""

import http.client
import json
import os
import sys
import unittest
import urllib.parse

import grpc

from archive import head, tar
from box import PIECE, Box, Code, fs, main, path

PORT = int(sys.argv.pop(2))
GIB = 1 << 30
OCTETS = {"Content-Type": "application/octet-stream"}
TAR = {"Content-Type": "application/x-tar"}


def damaged(at, new):
    data = bytearray(tar([("f", b"x", {}), ("g", b"y", {})]))
    data[at:at + len(new)] = new
    return bytes(data)


# Of one entry each: what is refused and why. Everything else of the archive is made.
REFUSED = {
    "an absolute path": ([("/etc/evil", b"x", {})], "/etc/evil: its path is absolute"),
    "an absolute directory": ([("/tmp/evil-dir", "dir", {})], "absolute"),
    "a path that leads up": ([("../evil", b"x", {})], "../evil: its path leads up"),
    "a path that leads up in the middle": ([("d", "dir", {}), ("d/../../evil", b"x", {})], "leads up"),
    "a path that leads up by dots at its end": ([("d/..", "dir", {})], "leads up"),
    "a directory that leads up": ([("../evil-dir", "dir", {})], "leads up"),
    "a write through an absolute link": ([("l", "symlink", {"linkname": "/tmp"}), ("l/evil", b"x", {})],
                                         "l/evil: its path leads through a symbolic link"),
    "a write through a link that leads up": ([("l", "symlink", {"linkname": "../.."}), ("l/tmp/evil", b"x", {})], "symbolic link"),
    "a write through two links": ([("a", "symlink", {"linkname": ".."}), ("b", "symlink", {"linkname": "a/.."}),
                                   ("b/evil", b"x", {})], "symbolic link"),
    "a directory through a link": ([("l", "symlink", {"linkname": "/tmp"}), ("l/evil-dir", "dir", {})], "symbolic link"),
    "a directory in place of a link": ([("l", "symlink", {"linkname": "/tmp"}), ("l", "dir", {})], "symbolic link"),
    "a link through a link": ([("l", "symlink", {"linkname": "/tmp"}), ("l/evil", "symlink", {"linkname": "x"})], "symbolic link"),
    "a write through a link that was there": ([("was/evil", b"x", {})], "symbolic link"),
    "a hard link to a file outside": ([("h", "link", {"linkname": "/etc/passwd"})], "hard link"),
    "a hard link that leads up": ([("h", "link", {"linkname": "../outside"})], "hard link"),
    "a hard link through a link": ([("l", "symlink", {"linkname": "/tmp"}), ("h", "link", {"linkname": "l/outside"})], "symbolic link"),
    "a hard link to a symbolic link": ([("l", "symlink", {"linkname": "/etc/passwd"}), ("h", "link", {"linkname": "l"})], "hard link"),
    "a hard link to nothing": ([("h", "link", {"linkname": "none"})], "hard link"),
    "a FIFO": ([("p", "fifo", {})], "p: is a FIFO"),
    "a device of characters": ([("null", "char", {"devmajor": 1, "devminor": 3})], "null: is a device"),
    "a device of blocks": ([("sda", "block", {"devmajor": 8, "devminor": 0})], "device"),
    "what nobody knows": ([("q", "odd", {})], "no kind of file"),
    "a file in a file": ([("f", b"x", {}), ("f/g", b"y", {})], "no directory"),
    "a file in place of a directory": ([("d", "dir", {}), ("d/x", b"x", {}), ("d", b"y", {})], "directory"),
    "a name of 300 bytes": ([("n" * 300, b"x", {})], "too long"),
    "a path of 5000 bytes": ([("d/" * 2500 + "f", b"x", {})], "4095"),
    "a path of 70 levels": ([("d/" * 70 + "f", b"x", {})], "64 levels"),
    "a name with a NUL": ([("a\0b", b"x", {"pax_headers": {"path": "a\0b"}})], "NUL"),
    "no name at all": ([("", b"x", {})], "no name"),
}

# Of whole archives: the error.
BROKEN = {
    "nothing": (b"", Code.INVALID_ARGUMENT, "is none"),
    "a text": (b"hello " * 200, Code.INVALID_ARGUMENT, "is none"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(2000), Code.INVALID_ARGUMENT, "compressed"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(2000), Code.INVALID_ARGUMENT, "compressed"),
    "a damaged second header": (damaged(1024, b"?"), Code.INVALID_ARGUMENT, "checksum"),
    "half a file": (tar([("f", b"x" * 1000, {})])[:1024], Code.INVALID_ARGUMENT, "cut short"),
    "no end mark": (tar([("f", b"x", {})])[:1024], Code.INVALID_ARGUMENT, "cut short"),
    "a size of 8 EiB": (tar([("f", b"", {"pax_headers": {"size": str(1 << 63)}})]), Code.INVALID_ARGUMENT, "no number"),
    "an extended header of 1 MiB": (tar([("f", b"", {"pax_headers": {"comment": "c" * (1 << 20)}})]), Code.INVALID_ARGUMENT, "64 KiB"),
    "a tail without end": (tar([("f", b"x", {})]) + bytes(3 << 20), Code.INVALID_ARGUMENT, "after its end mark"),
}

# Of files that programs inside made: what reading them answers.
FILES = {
    "a symbolic link to the host's secret": ("ln -s /root/.ssh/id_rsa x", (Code.NOT_FOUND, Code.PERMISSION_DENIED), ""),
    "a symbolic link up and up": ("ln -s ../../../../../../proc/1/environ x", (Code.PERMISSION_DENIED, Code.NOT_FOUND), ""),
    "a symbolic link to itself": ("ln -s x x", (Code.FAILED_PRECONDITION,), "symbolic links"),
    "a link of /proc": ("ln -s /proc/self/mem x", (Code.PERMISSION_DENIED,), "link of /proc"),
    "a FIFO": ("mkfifo x", (Code.FAILED_PRECONDITION,), "not a regular file"),
    "a socket": ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"x\")'", (Code.FAILED_PRECONDITION,), "not a regular file"),
    "a device": ("ln -s /dev/zero x", (Code.FAILED_PRECONDITION,), "not a regular file"),
    "a terminal": ("ln -s /dev/tty x", (Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.PERMISSION_DENIED), ""),
    "a directory": ("mkdir x", (Code.FAILED_PRECONDITION,), "directory"),
    "what may not be read": ("echo x >x; chmod 0 x", (Code.PERMISSION_DENIED,), "Permission denied"),
}

# And of those that are read as they are.
READ = {
    "a hard link": ("echo one >y; ln y x", "x", b"one\n"),
    "a sparse file": ("truncate -s 3M x; printf end >>x", "x", bytes(3 << 20) + b"end"),
    "a name that is not UTF-8": ("echo raw >$(printf 'caf\\351')", b"caf\xe9", b"raw\n"),
    "a name with a newline": ("echo two >'a\nb'", b"a\nb", b"two\n"),
    "a name of two dots and more": ("echo dots >...", "...", b"dots\n"),
    "a name of a minus": ("echo minus >-rf", "-rf", b"minus\n"),
}

STATUS = {Code.INVALID_ARGUMENT: 422, Code.PERMISSION_DENIED: 403, Code.NOT_FOUND: 404, Code.FAILED_PRECONDITION: 409,
          Code.RESOURCE_EXHAUSTED: 429, Code.ABORTED: 409}


class Battery(Box):
    maxDiff = None

    def setUp(self):
        super().setUp()
        # What lies around the directory: it must be there, and nothing else.
        self.sh(f"mkdir {self.dir}/in; echo outside >{self.dir}/outside; ln -s /tmp {self.dir}/in/was")

    def rest(self, method, where, query, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
        self.addCleanup(connection.close)
        connection.request(method, f"/api/v1/sandboxes/{self.box}/{where}?{urllib.parse.urlencode(query)}", body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def unharmed(self, name):
        """Nothing came to be outside, and nothing there was changed."""
        self.assertEqual(self.sh(f"cd {self.dir}; ls -A; cat outside; ls -d /tmp/evil* /tmp/outside /etc/evil ../evil* 2>/dev/null || true"),
                         b"in\noutside\noutside\n", name)
        self.assertEqual(self.sh("head -c 4 /etc/passwd || true")[:4] in (b"root", b""), True)

    def fresh(self):
        self.sh(f"chmod -R u+rwX {self.dir}/in; rm -rf {self.dir}/in; mkdir {self.dir}/in; ln -s /tmp {self.dir}/in/was")

    def test_archives_with_hostile_entries(self):
        for name, (members, why) in REFUSED.items():
            data = tar([("first", b"1", {}), *members, ("last", b"2", {})])
            for way in ("grpc", "rest"):
                with self.subTest(name, way=way):
                    self.fresh()
                    if way == "grpc":
                        reply = self.import_(f"{self.dir}/in", data)
                        refused, count = list(reply.refused), reply.refused_entries
                    else:
                        status, body = self.rest("PUT", "archive", {"directory": f"{self.dir}/in"}, data, TAR)
                        self.assertEqual(status, 200, body)
                        refused, count = json.loads(body)["refused"], json.loads(body)["refused_entries"]
                    self.assertEqual((len(refused), count), (1, 1), refused)
                    self.assertIn(why, refused[0])
                    self.assertEqual(self.sh(f"cat {self.dir}/in/first {self.dir}/in/last"), b"12", "the rest was made")
                    self.unharmed(name)

    def test_archives_that_are_broken(self):
        for name, (data, code, text) in BROKEN.items():
            for way in ("grpc", "rest"):
                with self.subTest(name, way=way):
                    self.fresh()
                    if way == "grpc":
                        said = self.refused(code, self.import_, f"{self.dir}/in", data)
                    else:
                        status, body = self.rest("PUT", "archive", {"directory": f"{self.dir}/in"}, data, TAR)
                        self.assertEqual(status, STATUS[code], body)
                        said = json.loads(body)["detail"]
                    self.assertIn(text, said)
                    self.unharmed(name)
                    self.assertEqual(self.sh(f"ls -A {self.dir}/in | grep part- || true"), b"", "nothing half written stays")

    def test_more_refused_entries_than_are_told(self):
        reply = self.import_(f"{self.dir}/in", tar([(f"/f{i}", b"x", {}) for i in range(1000)]))
        self.assertEqual((reply.entries, len(reply.refused), reply.refused_entries), (0, 64, 1000))

    def zeros(self, box, size):
        yield fs.ImportTarRequest(header=fs.ImportTarHeader(sandbox_id=box, directory=path("/tmp")))
        yield fs.ImportTarRequest(data=head("zeros", size))
        for _ in range(size // PIECE):
            yield fs.ImportTarRequest(data=bytes(PIECE))

    def test_ten_gigabytes_of_zeros(self):
        box = self.make(disk_bytes=8 << 20)
        self.addCleanup(self.destroy, box)
        said = self.refused(Code.RESOURCE_EXHAUSTED, lambda: self.files.ImportTar(self.zeros(box, 10 * GIB), timeout=120))
        self.assertRegex(said, "zeros.*(limits.disk|limits.file_size)")
        self.assertEqual(self.sh("ls -A /tmp", box=box), b"")
        self.assertIn("max_bytes", self.refused(Code.RESOURCE_EXHAUSTED, self.import_, f"{self.dir}/in",
                                                tar([("f", b"x" * 100000, {})]), max_bytes=99999))
        self.assertEqual(self.sh(f"ls -A {self.dir}/in"), b"was\n")

    def test_a_hole_of_a_terabyte(self):
        records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole", "GNU.sparse.realsize": str(1 << 40)}
        data = tar([("GNUSparseFile.0/hole", b"1\n0\n3\n".ljust(512, b"\0") + b"abc", {"pax_headers": records})])
        try:
            self.import_(f"{self.dir}/in", data)
            self.assertEqual(self.sh(f"stat -c %s {self.dir}/in/hole; du -k {self.dir}/in/hole | cut -f1").split()[0], str(1 << 40).encode())
        except grpc.RpcError as error:
            self.assertEqual(error.code(), Code.RESOURCE_EXHAUSTED)
            self.assertIn("limits.file_size", error.details())

    def test_who_goes_away_in_the_middle_leaves_nothing_half(self):
        begin = tar([("first", b"1", {})])[:1024] + tar([("half", b"x" * 100000, {})])[:20000]
        done = self.files.ImportTar.future(iter([
            fs.ImportTarRequest(header=fs.ImportTarHeader(sandbox_id=self.box, directory=path(f"{self.dir}/in"))),
            fs.ImportTarRequest(data=begin)]), timeout=60)
        self.assertEqual(done.exception().code(), Code.INVALID_ARGUMENT)
        self.assertEqual(self.sh(f"ls -A {self.dir}/in"), b"first\nwas\n")

    def test_a_tree_that_turns_into_links_while_it_is_filled(self):
        stream = self.background(f"cd {self.dir}/in; while :; do rm -rf d; mkdir d; rm -rf d; ln -s /tmp d; rm -f d; done")
        data = tar([(f"d/evil{i}", b"x", {}) for i in range(200)])
        for _ in range(10):
            try:
                self.import_(f"{self.dir}/in", data)
            except grpc.RpcError as error:
                self.assertIn(error.code(), (Code.NOT_FOUND, Code.FAILED_PRECONDITION))
        stream.cancel()
        self.assertEqual(self.sh("ls -d /tmp/evil* 2>/dev/null || true"), b"")

    def test_files_that_are_refused(self):
        for name, (script, codes, text) in FILES.items():
            self.fresh()
            self.sh(f"cd {self.dir}/in; {script}")
            for way in ("grpc", "rest"):
                with self.subTest(name, way=way):
                    if way == "grpc":
                        with self.assertRaises(grpc.RpcError) as caught:
                            self.read(f"{self.dir}/in/x")
                        self.assertIn(caught.exception.code(), codes)
                        said = caught.exception.details()
                    else:
                        status, body = self.rest("GET", "files/content", {"file.path": f"{self.dir}/in/x"})
                        self.assertIn(status, [STATUS[code] for code in codes], body)
                        said = json.loads(body)["detail"]
                    self.assertIn(text, said)

    def test_files_that_are_read_as_they_are(self):
        for name, (script, file, content) in READ.items():
            self.fresh()
            self.sh(f"cd {self.dir}/in; {script}")
            with self.subTest(name):
                whole = f"{self.dir}/in/".encode() + (file if isinstance(file, bytes) else file.encode())
                self.assertEqual(self.read(whole), content)
                self.assertIn(whole, [info.raw_path or info.path.encode() for info in self.list(f"{self.dir}/in")])
                archive = self.export(f"{self.dir}/in")
                self.sh(f"mkdir {self.dir}/in/again")
                self.import_(f"{self.dir}/in/again", archive)
                again = f"{self.dir}/in/again/".encode() + whole.rsplit(b"/", 1)[1]
                self.assertEqual(self.read(again), content)
            if isinstance(file, str):
                with self.subTest(name, way="rest"):
                    status, body = self.rest("GET", "files/content", {"file.path": f"{self.dir}/in/{file}"})
                    self.assertEqual((status, body), (200, content))


if __name__ == "__main__":
    main()
