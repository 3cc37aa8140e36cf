"""/v1/files as Kubernetes agent-sandbox's SDKs ask for it: files.py PORT GRPC-ADDRESS PORT-WITHOUT-SANDBOXD.

The same sandbox is looked at by process.v1."""

import hashlib
import http.client
import json
import socket
import sys
import unittest
import urllib.parse

import grpc

from process.v1 import process_pb2 as pb
from process.v1 import process_pb2_grpc as rpc

PORT, GRPC, PLAIN = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
BYTES = {"Content-Type": "application/octet-stream"}
ODD = "tab\tnew\nline"


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.headers
        return json.loads(self.body)


def ask(method, target, body=None, headers=None, port=PORT):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, target, body, headers or {})
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def files(path, query=""):
    """As the SDK of Python makes it: every slash is encoded."""
    return "/v1/files/" + urllib.parse.quote(path, safe="") + query


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = grpc.insecure_channel(GRPC)
        cls.stub = rpc.ProcessServiceStub(cls.channel)

    def setUp(self):
        self.assertEqual(ask("DELETE", "/v1/files/?recursive=true").status, 204)

    def sh(self, script):
        done = self.stub.Execute(pb.ExecuteRequest(config=pb.ProcessConfig(command=["sh", "-c", script])), timeout=60)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return done.stdout

    def refused(self, status, code, method, target, body=None, headers=None, port=PORT):
        answer = ask(method, target, body, headers, port)
        self.assertEqual(answer.status, status, answer.body)
        if method != "HEAD":
            said = answer.json()
            self.assertEqual((said["code"], set(said)), (code, {"code", "message"}), said)
            return said["message"]
        return answer.body

    # ---- writing and reading ----

    def test_written_files_are_there_for_programs_and_back(self):
        data = bytes(range(256)) * 1000
        self.assertEqual(ask("PUT", files("src/deep/main.py"), data, BYTES).status, 204)
        self.assertEqual(self.sh("pwd; stat -c %a,%s src/deep/main.py; ls -A src/deep"), b"/workspace\n644,256000\nmain.py\n")
        got = ask("GET", files("src/deep/main.py"))
        self.assertEqual((got.status, got.body, got.headers["Content-Type"]), (200, data, "application/octet-stream"))
        self.assertEqual(ask("GET", "/v1/files/src/deep/main.py").body, data, "slashes as they are, as the SDK of Go sends them")
        self.assertEqual(ask("GET", files("/workspace/src/deep/main.py")).body, data)
        self.assertEqual(ask("GET", files("/src/deep/main.py")).body, data)

    def test_a_write_replaces_and_sets_the_mode(self):
        self.assertEqual(ask("PUT", files("run", "?mode=0755"), b"#!/bin/sh\necho one\n", BYTES).status, 204)
        self.assertEqual(self.sh("./run; stat -c %a run"), b"one\n755\n")
        self.assertEqual(ask("PUT", files("run", "?mode=0700"), b"#!/bin/sh\necho two\n").status, 204, "no Content-Type is fine")
        self.assertEqual(self.sh("./run; stat -c %a run"), b"two\n700\n")
        for mode in ("755", "0800", "07555", "0x1", "-755"):
            self.assertIn("mode", self.refused(400, "INVALID_ARGUMENT", "PUT", files("run", f"?mode={mode}"), b"x", BYTES))
        self.assertEqual(ask("PUT", files("empty"), b"", BYTES).status, 204)
        self.assertEqual(ask("GET", files("empty")).body, b"")

    def test_forms_are_taken_by_their_part(self):
        form = (b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nno\r\n'
                b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\nContent-Type: text/plain\r\n\r\nin\r\nthe form\r\n--x--\r\n')
        self.assertEqual(ask("PUT", files("form"), form, {"Content-Type": "multipart/form-data; boundary=x"}).status, 204)
        self.assertEqual(ask("GET", files("form")).body, b"in\r\nthe form")
        for kind, body in (("multipart/form-data", form), ("multipart/form-data; boundary=y", form), ("multipart/form-data; boundary=x", form[:-8]),
                           ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=other\r\n\r\nno\r\n--x--\r\n")):
            self.assertIn("multipart", self.refused(400, "INVALID_ARGUMENT", "PUT", files("form"), body, {"Content-Type": kind}))
        self.assertEqual(ask("GET", files("form")).body, b"in\r\nthe form", "as it was")

    def test_large_bodies_go_in_as_they_come(self):
        data = bytes(range(251)) * 70000
        form = (b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n' + b"\r\n--" * 5000 +
                b'\r\n--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + data + b"\r\n--x--\r\nthe rest")
        self.assertEqual(ask("PUT", files("raw"), data, BYTES).status, 204)
        self.assertEqual(ask("PUT", files("chunked"), iter([data[:99], data[99:]]), BYTES).status, 204)
        self.assertEqual(ask("PUT", files("form"), form, {"Content-Type": "multipart/form-data; boundary=x"}).status, 204)
        sums = self.sh("sha256sum raw chunked form").decode().split()
        self.assertEqual(set(sums[::2]), {hashlib.sha256(data).hexdigest()})
        self.assertIn("multipart", self.refused(400, "INVALID_ARGUMENT", "PUT", files("raw"), form[:-20],
                                                {"Content-Type": "multipart/form-data; boundary=x"}))
        self.assertEqual(self.sh("ls -A; sha256sum raw").split()[:4], [b"chunked", b"form", b"raw", sums[0].encode()], "as it was")

    def test_what_cannot_be_written_is_refused_before_it_is_sent(self):
        self.sh("mkdir d")
        for path, port, status in (("d", PORT, 400), ("../../usr/x", PORT, 403)):
            with socket.create_connection(("127.0.0.1", port), 60) as sock:
                sock.sendall(f"PUT {files(path)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n".encode())
                self.assertEqual(sock.recv(12)[9:], str(status).encode(), path)

    def test_ranges(self):
        ask("PUT", files("digits"), b"0123456789", BYTES)
        for asked, told, body in (("bytes=2-4", "bytes 2-4/10", b"234"), ("bytes=7-", "bytes 7-9/10", b"789"), ("bytes=-3", "bytes 7-9/10", b"789"),
                                  ("bytes=8-99", "bytes 8-9/10", b"89"), ("bytes=-99", "bytes 0-9/10", b"0123456789")):
            got = ask("GET", files("digits"), headers={"Range": asked})
            self.assertEqual((got.status, got.headers["Content-Range"], got.body), (206, told, body))
        for asked in ("bytes=10-", "bytes=-0"):
            self.assertEqual(ask("GET", files("digits"), headers={"Range": asked}).status, 416)
        for asked in ("bytes=4-2", "items=1-2", "bytes=a-b", "bytes=1-2,4-5"):
            self.assertEqual(ask("GET", files("digits"), headers={"Range": asked}).body, b"0123456789", asked)

    def test_head_says_whether_it_is_there(self):
        ask("PUT", files("a/b"), b"12345", BYTES)
        there = ask("HEAD", files("a/b"))
        self.assertEqual((there.status, there.headers["Content-Length"], there.body), (200, "5", b""))
        self.assertEqual(ask("HEAD", files("a")).status, 200)
        self.assertEqual(ask("HEAD", files("a/c")).status, 404)

    # ---- directories ----

    def test_lists_by_name_with_types_sizes_and_modes(self):
        ask("PUT", files("d/two", "?mode=0600"), b"22", BYTES)
        ask("PUT", files("d/one"), b"1", BYTES)
        self.sh("mkdir -m 750 d/sub; ln -s one d/link; ln -s sub d/linked; ln -s nowhere d/broken; mkfifo -m 640 d/pipe; touch -d @86400 d/one")
        got = ask("GET", files("d")).json()
        self.assertEqual(got["path"], "/d")
        rows = {e["name"]: (e["type"], e["size"], e["mode"]) for e in got["entries"] if e["type"] == "file"}
        self.assertEqual(rows, {"two": ("file", 2, "0600"), "one": ("file", 1, "0644"), "link": ("file", 1, "0644"), "pipe": ("file", 0, "0640")})
        self.assertEqual({e["name"]: e["mode"] for e in got["entries"] if e["type"] == "directory"}, {"sub": "0750", "linked": "0750"})
        self.assertEqual([e["name"] for e in got["entries"]], ["link", "linked", "one", "pipe", "sub", "two"])
        self.assertEqual([e["modified_at"] for e in got["entries"] if e["name"] in ("one", "link")], ["1970-01-02T00:00:00Z"] * 2)
        for root in ("/v1/files/", "/v1/files/.", files("."), files("/workspace"), files("")):
            self.assertEqual([e["name"] for e in ask("GET", root).json()["entries"]], ["d"], root)
        self.assertEqual(ask("GET", "/v1/files/").json()["path"], "/")
        self.assertEqual(ask("GET", files("d/sub")).json()["entries"], [])

    def test_lists_more_than_a_page(self):
        self.sh("mkdir many; cd many; seq -f %05g 2345 | xargs touch")
        names = [e["name"] for e in ask("GET", files("many")).json()["entries"]]
        self.assertEqual(names, ["%05d" % i for i in range(1, 2346)])

    def test_removes(self):
        ask("PUT", files("d/e/f"), b"x", BYTES)
        ask("PUT", files("g"), b"x", BYTES)
        self.assertIn("recursive", self.refused(409, "CONFLICT", "DELETE", files("d")) + " recursive")
        self.assertEqual(ask("DELETE", files("g")).status, 204)
        self.refused(404, "NOT_FOUND", "DELETE", files("g"))
        self.refused(404, "NOT_FOUND", "DELETE", files("g", "?recursive=true"))
        self.refused(400, "INVALID_ARGUMENT", "DELETE", files("d", "?recursive=maybe"))
        self.assertEqual(ask("DELETE", files("d", "?recursive=true")).status, 204)
        self.refused(409, "CONFLICT", "DELETE", "/v1/files/")
        self.sh("seq 1500 | xargs touch; mkdir -p d/e; ln -s / root; touch d/e/f")
        self.assertEqual(ask("DELETE", files("/workspace", "?recursive=1")).status, 204)
        self.assertEqual(self.sh("ls -A; ls /bin/sh"), b"/bin/sh\n", "links were not followed")

    # ---- what is refused ----

    def test_nothing_leads_out(self):
        for path in ("../etc/passwd", "a/../../etc/passwd", "..", "./../x"):
            for method, body in (("GET", None), ("HEAD", None), ("PUT", b"x"), ("DELETE", None)):
                self.refused(403, "PERMISSION_DENIED", method, files(path), body, BYTES if body else None)
        self.refused(403, "PERMISSION_DENIED", "GET", "/v1/files/../../../etc/passwd")
        self.refused(404, "NOT_FOUND", "GET", files("/etc/passwd"))
        self.refused(404, "NOT_FOUND", "GET", files("/../../etc/passwd"))

    def test_what_is_not_there_or_not_a_file(self):
        self.refused(404, "NOT_FOUND", "GET", files("no/such"))
        ask("PUT", files("d/f"), b"x", BYTES)
        self.assertIn("directory", self.refused(400, "INVALID_ARGUMENT", "PUT", files("d"), b"x", BYTES))
        self.refused(400, "INVALID_ARGUMENT", "PUT", "/v1/files/", b"x", BYTES)
        self.sh("mkfifo pipe; chmod 0 d/f; mkdir shut; touch shut/f; chmod 0 shut")
        self.assertIn(ask("GET", files("pipe")).status, (400, 409), "nobody waits for a writer")
        self.assertIn(ask("GET", files("d/f")).status, (403,))
        self.assertIn(ask("GET", files("shut/f")).status, (403,))
        self.sh("chmod 700 shut")

    def test_odd_names(self):
        ask("PUT", files("sp ace/ü%/?#&+.txt"), b"odd", BYTES)
        self.assertEqual(ask("GET", files("sp ace/ü%/?#&+.txt")).body, b"odd")
        self.assertEqual(self.sh("cat 'sp ace/ü%/?#&+.txt'"), b"odd")
        for target in (files(ODD), files("nul\0"), "/v1/files/%ff", "/v1/files/%2", files("x" * 5000)):
            self.assertEqual(ask("GET", target).status, 400, target)

    def test_other_methods_and_paths(self):
        answer = ask("POST", files("a"), b"x", BYTES)
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, PUT, DELETE"))
        for path in ("/v1", "/v1/file", "/v1/files"):
            self.assertEqual(ask("GET", path).status, 404, path)

    def test_health_and_metadata(self):
        health = ask("GET", "/v1/health").json()
        self.assertEqual((health["status"], type(health["uptime_seconds"])), ("ok", int))
        env = ask("GET", "/v1/metadata").json()["env"]
        self.assertEqual(env, {"SANDBOX_ID": "id \" 1", "SANDBOX_EMPTY": ""}, "nothing else, and nothing that may be a credential")

    def test_a_gateway_without_has_none_of_it(self):
        for path in ("/v1/files/x", "/v1/health", "/v1/metadata"):
            self.assertEqual(ask("GET", path, port=PLAIN).status, 404)
        self.assertEqual(ask("GET", files("a/b"), port=PLAIN).status, 400, "an encoded slash is refused everywhere else")
        self.assertEqual(ask("GET", "/api/v1/sandboxes%2fx").status, 400)


unittest.main(argv=["files.py", "-v"])
