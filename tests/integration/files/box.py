"""One sandbox and what tests do to its files: by the worker at sys.argv[1]. Each test has a directory of its own inside."""

import os
import sys
import unittest

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import file_service_pb2 as fs
from aisbx.v1 import file_service_pb2_grpc as rpc
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

ADDRESS = sys.argv[1]
DRIVER = os.environ.get("AISBX_TEST_DRIVER", "native")
PIECE = 64 << 10
Code = grpc.StatusCode


def path(text):
    return fs.FilePath(raw_path=text) if isinstance(text, bytes) else fs.FilePath(path=text)


class Box(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)
        cls.channel = grpc.insecure_channel(ADDRESS)
        cls.files = rpc.FileServiceStub(cls.channel)
        cls.box = cls.make()

    @classmethod
    def tearDownClass(cls):
        cls.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=cls.box))
        cls.client.close()

    @classmethod
    def make(cls, profile="python-dev", **limits):
        spec = sb.SandboxSpec(profile=profile, limits=sb.Limits(**limits), driver=DRIVER)
        return cls.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id

    def destroy(self, box):
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def setUp(self):
        self.dir = "/tmp/" + self._testMethodName
        self.sh(f"mkdir -p {self.dir}")

    def sh(self, script, box=None):
        spec = ex.ExecSpec(command=ex.Command(args=["sh", "-c", script]))
        request = api.RunRequest(target=ex.ExecTarget(sandbox_id=box or self.box), exec=spec)
        reply = self.client.sandboxes.Run(request, timeout=60)
        self.assertEqual(reply.exec.verdict.exit_code, 0, reply.stderr)
        return reply.stdout

    def background(self, script):
        spec = ex.ExecSpec(command=ex.Command(args=["sh", "-c", script]))
        stream = self.client.sandboxes.StartExec(
            api.StartExecRequest(target=ex.ExecTarget(sandbox_id=self.box), exec=spec))
        next(iter(stream))
        return stream

    def refused(self, code, call, *args, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            reply = call(*args, **more)
            if hasattr(reply, "__iter__"):
                list(reply)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    # ---- short ways ----
    def stat(self, name, follow=False, box=None):
        request = fs.StatFileRequest(sandbox_id=box or self.box, file=path(name), follow=follow)
        return self.files.StatFile(request, timeout=30).file

    def read(self, name, offset=0, max_bytes=0, box=None):
        replies = list(self.files.ReadFile(fs.ReadFileRequest(
            sandbox_id=box or self.box, file=path(name), offset=offset, max_bytes=max_bytes), timeout=60))
        self.assertTrue(replies[0].HasField("file"))
        return b"".join(reply.data for reply in replies)

    def write(self, name, data, box=None, **header):
        def messages():
            yield fs.WriteFileRequest(
                header=fs.WriteFileHeader(sandbox_id=box or self.box, file=path(name), **header))
            for at in range(0, len(data), PIECE):
                yield fs.WriteFileRequest(data=data[at:at + PIECE])
        return self.files.WriteFile(messages(), timeout=60).file

    def list(self, name, **more):
        found, token = [], ""
        while True:
            reply = self.files.ListFiles(fs.ListFilesRequest(
                sandbox_id=self.box, directory=path(name), page_token=token, **more), timeout=60)
            found += reply.files
            token = reply.next_page_token
            if not token:
                return found

    def names(self, name, **more):
        return [info.path[len(name) + 1:] for info in self.list(name, **more)]

    def remove(self, name, recursive=False):
        request = fs.RemoveFileRequest(sandbox_id=self.box, file=path(name), recursive=recursive)
        return self.files.RemoveFile(request, timeout=60).removed

    def export(self, name, box=None):
        request = fs.ExportTarRequest(sandbox_id=box or self.box, directory=path(name))
        return b"".join(reply.data for reply in self.files.ExportTar(request, timeout=120))

    def import_(self, name, data, box=None, **header):
        def messages():
            yield fs.ImportTarRequest(
                header=fs.ImportTarHeader(sandbox_id=box or self.box, directory=path(name), **header))
            for at in range(0, len(data), PIECE):
                yield fs.ImportTarRequest(data=data[at:at + PIECE])
        return self.files.ImportTar(messages(), timeout=120)


def main():
    unittest.main(module="__main__", argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
