#!/usr/bin/python3
"""Ports of a sandbox by PortService and by aisbx: ports.py ADDRESS."""

import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import unittest

import grpc

import aisbx
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import port_service_pb2 as ps
from aisbx.v1 import port_service_pb2_grpc as rpc
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

ADDRESS = sys.argv[1]
AISBX = os.path.join(os.environ["AISBX_BIN"], "aisbx")
DRIVER = os.environ.get("AISBX_TEST_DRIVER", "native")
with open(os.path.join(os.environ["AISBX_BIN"], "aisbx-worker"), "rb") as program:
    IS_SANITIZED = b"__asan_init" in program.read()  # it keeps what was freed
PIECE = 64 << 10
MUCH = (40 if IS_SANITIZED else 200) << 20
WAIT = 120
Code = grpc.StatusCode

# Inside: does what the first line of a connection says.
SERVER = r"""
import hashlib, os, socket, struct, sys, threading
def serve(c):
    f = c.makefile("rb")
    word = f.readline().split()
    if word[0] == b"echo":
        while data := f.read1(65536): c.sendall(data)
    elif word[0] == b"give":
        left, piece = int(word[1]), bytes(range(256)) * 256
        while left: c.sendall(piece[:left]); left -= min(left, len(piece))
    elif word[0] == b"take":
        seen, n = hashlib.sha256(), 0
        while data := f.read1(65536): seen.update(data); n += len(data)
        c.sendall(b"%d %s" % (n, seen.hexdigest().encode()))
    elif word[0] == b"first":
        c.sendall(b"bye"); c.shutdown(socket.SHUT_WR)
        open("/tmp/first", "wb").write(f.read())
        open("/tmp/first.done", "wb").close()
    elif word[0] == b"reset":
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif word[0] == b"watch":
        try: c.sendall(b"?"); data = f.read(); end = b"end %d" % len(data)
        except ConnectionResetError: end = b"reset"
        open("/tmp/watch.new", "wb").write(end); os.rename("/tmp/watch.new", "/tmp/watch")
    elif word[0] == b"stuck":
        c.sendall(b"?"); threading.Event().wait()
    f.close(); c.close()
six, held = sys.argv[2:] == ["6"], []
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
if six: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::1" if six else "127.0.0.1", int(sys.argv[1]))); s.listen(512)
print("ready", flush=True)
while sys.argv[2:] == ["hold"]: held.append(s.accept())
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""


def pattern(n):
    piece = bytes(range(256)) * 256
    return (piece * (n // len(piece) + 1))[:n]


def worker_memory():
    """The most it ever had, in KiB."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(ADDRESS.removeprefix("unix:"))
        pid = int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


class Tunnel:
    """One call of ForwardPort."""

    def __init__(self, ports, box, port):
        self.requests = queue.Queue(4)
        self.requests.put(ps.ForwardPortRequest(open=ps.ForwardPortOpen(sandbox_id=box, port=port)))
        self.call = ports.ForwardPort(iter(self.requests.get, None), timeout=WAIT)

    def open(self):
        first = next(self.call)
        assert first.data == b"" and not first.end_of_stream, first
        return self

    def send(self, data):
        for at in range(0, len(data), PIECE):
            self.requests.put(ps.ForwardPortRequest(data=data[at:at + PIECE]))
        return self

    def finish(self):
        self.requests.put(None)
        return self

    def read(self):
        """All bytes up to the server's end."""
        got = bytearray()
        for message in self.call:
            got += message.data
            if message.end_of_stream:
                return bytes(got)
        raise AssertionError("the call ended before the server")

    def cancel(self):
        self.call.cancel()
        self.requests.put(None)


class Ports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = aisbx.connect(ADDRESS)
        cls.channel = grpc.insecure_channel(ADDRESS)
        cls.ports = rpc.PortServiceStub(cls.channel)
        cls.streams = []
        cls.box = cls.make()
        cls.serve(cls.box, 7000)
        cls.expose(7000)

    @classmethod
    def tearDownClass(cls):
        cls.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=cls.box))
        cls.client.close()

    @classmethod
    def make(cls, profile="python-dev", **more):
        spec = sb.SandboxSpec(profile=profile, driver=DRIVER, **more)
        return cls.client.sandboxes.CreateSandbox(api.CreateSandboxRequest(sandbox=spec)).sandbox.sandbox_id

    @classmethod
    def serve(cls, box, port, *more):
        spec = ex.ExecSpec(command=ex.Command(args=["python3", "-c", SERVER, str(port), *more]))
        stream = cls.client.sandboxes.StartExec(
            api.StartExecRequest(target=ex.ExecTarget(sandbox_id=box), exec=spec))
        cls.streams.append(stream)
        seen = b""
        while b"ready" not in seen:
            seen += next(stream).event.output.data

    @classmethod
    def expose(cls, port, box=None, title=""):
        return cls.ports.ExposePort(ps.ExposePortRequest(sandbox_id=box or cls.box, port=port, title=title),
                                    timeout=WAIT).port

    def unexpose(self, port, box=None):
        self.ports.UnexposePort(ps.UnexposePortRequest(sandbox_id=box or self.box, port=port), timeout=WAIT)

    def list(self, box=None, **page):
        return self.ports.ListPorts(ps.ListPortsRequest(sandbox_id=box or self.box, **page), timeout=WAIT)

    def tunnel(self, port=7000, box=None):
        return Tunnel(self.ports, box or self.box, port)

    def refused(self, code, call, *args):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def sh(self, script, box=None):
        spec = ex.ExecSpec(command=ex.Command(args=["sh", "-c", script]))
        return self.client.sandboxes.Run(
            api.RunRequest(target=ex.ExecTarget(sandbox_id=box or self.box), exec=spec), timeout=WAIT).stdout

    def until(self, condition):
        end = time.monotonic() + WAIT
        while not condition():
            self.assertLess(time.monotonic(), end, "it never came")
            time.sleep(0.02)

    # ---- what is exposed ----
    def test_only_what_is_exposed_can_be_reached(self):
        self.serve(self.box, 7001)
        self.assertIn("is not exposed", self.refused(Code.NOT_FOUND, self.tunnel(7001).open))
        self.expose(7001)
        self.assertEqual(self.tunnel(7001).open().send(b"echo\nhello").finish().read(), b"hello")
        self.unexpose(7001)
        self.refused(Code.NOT_FOUND, self.tunnel(7001).open)
        self.refused(Code.NOT_FOUND, self.unexpose, 7001)

    def test_nothing_listens(self):
        self.expose(7999)
        why = self.refused(Code.UNAVAILABLE, self.tunnel(7999).open)
        self.assertIn("nothing listens on port 7999", why)
        self.assertIn("start a server", why)
        self.unexpose(7999)

    def test_a_server_on_ipv6_alone(self):
        self.serve(self.box, 7006, "6")
        self.expose(7006)
        self.assertEqual(self.tunnel(7006).open().send(b"echo\nsix").finish().read(), b"six")
        self.unexpose(7006)

    def test_lists_count_and_page(self):
        box = self.make()
        for port in (3000, 65535, 80):
            shown = self.expose(port, box, f"Öffne {port}")
            self.assertEqual(shown.gateway_path, f"/api/v1/sandboxes/{box}/ports/{port}/")
        first = self.list(box, page_size=2)
        rest = self.list(box, page_size=2, page_token=first.next_page_token)
        self.assertEqual([p.port for p in [*first.ports, *rest.ports]], [80, 3000, 65535])
        self.assertEqual(rest.next_page_token, "")
        self.assertEqual(self.expose(80, box, "again").title, "again")
        self.assertEqual(len(self.list(box).ports), 3)
        for bad in (0, 65536):
            self.refused(Code.INVALID_ARGUMENT, self.expose, bad, box)
        self.refused(Code.INVALID_ARGUMENT, self.expose, 1, box, "x" * 64)
        self.refused(Code.INVALID_ARGUMENT, self.expose, 1, box, "a\nb")
        for port in range(1000, 1029):
            self.expose(port, box)
        self.assertIn("32 ports", self.refused(Code.RESOURCE_EXHAUSTED, self.expose, 1, box))
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        self.refused(Code.FAILED_PRECONDITION, self.expose, 80, box)
        self.assertEqual(len(self.list(box).ports), 0)
        self.refused(Code.FAILED_PRECONDITION, self.tunnel(80, box).open)

    def test_connections_are_counted(self):
        self.serve(self.box, 7002)
        self.expose(7002)
        tunnels = [self.tunnel(7002).open() for _ in range(3)]
        shown = next(p for p in self.list().ports if p.port == 7002)
        self.assertEqual((shown.connections, shown.total_connections), (3, 3))
        for tunnel in tunnels:
            tunnel.send(b"echo\n").finish().read()
        self.until(lambda: next(p for p in self.list().ports if p.port == 7002).connections == 0)
        self.unexpose(7002)

    def test_the_way_out_is_no_server(self):
        if DRIVER != "native":
            self.skipTest("same for all drivers")
        box = self.make(network=sb.Network(mode=sb.NETWORK_MODE_LIMITED, allow=["pypi.org:443"]))
        self.assertIn("way to its network", self.refused(Code.INVALID_ARGUMENT, self.expose, 3128, box))
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    # ---- bytes ----
    def test_much_both_ways_in_constant_memory(self):
        before = worker_memory()
        up, down = self.tunnel().open(), self.tunnel().open()
        data = pattern(PIECE)
        whole = hashlib.sha256()

        def fill():
            up.send(b"take\n")
            for _ in range(MUCH // PIECE):
                up.send(data)
            up.finish()

        filler = threading.Thread(target=fill)
        filler.start()
        down.send(b"give %d\n" % MUCH).finish()
        n = 0
        for message in down.call:
            whole.update(message.data)
            n += len(message.data)
        expected = hashlib.sha256()
        for _ in range(MUCH // PIECE):
            expected.update(data)
        self.assertEqual((n, whole.hexdigest()), (MUCH, expected.hexdigest()))
        filler.join()
        self.assertEqual(up.read(), b"%d %s" % (MUCH, expected.hexdigest().encode()))
        grown = worker_memory() - before
        print(f"{MUCH >> 20} MiB each way: the worker grew by {grown} KiB", file=sys.stderr)
        self.assertTrue(IS_SANITIZED or grown < 24 << 10, grown)

    def test_who_does_not_read_holds_up_nobody_else(self):
        before = worker_memory()
        slow = self.tunnel().open().send(b"give %d\n" % MUCH)
        stuck = self.tunnel().open().send(b"stuck\n")
        sender = threading.Thread(target=stuck.send, args=(pattern(MUCH // 4),), daemon=True)
        sender.start()
        for _ in range(50):
            self.assertEqual(self.tunnel().open().send(b"echo\nquick").finish().read(), b"quick")
        grown = worker_memory() - before
        self.assertTrue(IS_SANITIZED or grown < 24 << 10, grown)
        self.assertEqual(len(slow.finish().read()), MUCH)
        stuck.call.cancel()
        while sender.is_alive():
            try:
                stuck.requests.get(timeout=0.05)
            except queue.Empty:
                pass

    def test_a_hundred_at_once(self):
        tunnels = [self.tunnel().open() for _ in range(100)]
        for i, tunnel in enumerate(tunnels):
            tunnel.send(b"echo\n" + b"%d" % i * 1000)
        for i, tunnel in enumerate(tunnels):
            self.assertEqual(tunnel.finish().read(), b"%d" % i * 1000)

    def test_there_is_an_end_to_connections(self):
        box = self.make()
        self.serve(box, 7100, "hold")
        self.expose(7100, box)
        tunnels = [self.tunnel(7100, box).open() for _ in range(256)]
        self.assertIn("256 connections", self.refused(Code.RESOURCE_EXHAUSTED, self.tunnel(7100, box).open))
        for tunnel in tunnels:
            tunnel.cancel()
        self.until(lambda: self.list(box).ports[0].connections == 0)
        self.tunnel(7100, box).open().cancel()
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    # ---- ends ----
    def test_the_server_may_end_first(self):
        tunnel = self.tunnel().open().send(b"first\n")
        self.assertEqual(tunnel.read(), b"bye")
        tunnel.send(b"still heard").finish()
        self.assertEqual(list(tunnel.call), [])
        self.assertEqual(tunnel.call.code(), Code.OK)
        self.until(lambda: self.sh("ls /tmp/first.done"))
        self.assertEqual(self.sh("cat /tmp/first"), b"still heard")

    def test_a_reset_is_no_end(self):
        tunnel = self.tunnel().open().send(b"reset\n")
        self.assertIn("reset", self.refused(Code.ABORTED, tunnel.read))
        tunnel.cancel()

    def test_a_cancelled_call_resets(self):
        self.sh("rm -f /tmp/watch")
        tunnel = self.tunnel().open().send(b"watch\n")
        self.assertEqual(next(tunnel.call).data, b"?")
        tunnel.cancel()
        self.until(lambda: self.sh("cat /tmp/watch 2>&1") == b"reset")

    def test_unexposing_ends_connections(self):
        self.serve(self.box, 7003)
        self.expose(7003)
        tunnel = self.tunnel(7003).open().send(b"give %d\n" % MUCH)
        next(tunnel.call)
        self.unexpose(7003)
        self.assertIn("unexposed", self.refused(Code.ABORTED, tunnel.read))
        tunnel.cancel()

    def test_the_end_of_the_sandbox_is_told(self):
        box = self.make()
        self.serve(box, 7004)
        self.expose(7004, box)
        tunnel = self.tunnel(7004, box).open().send(b"give %d\n" % MUCH)
        next(tunnel.call)
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        self.assertIn("has ended", self.refused(Code.ABORTED, tunnel.read))
        tunnel.cancel()

    def test_a_connection_is_activity(self):
        box = self.make(idle_ms=1500)
        spec = ex.ExecSpec(command=ex.Command(args=["sh", "-c", f"python3 -c '{SERVER}' 7005 >/tmp/said 2>&1 &"]))
        self.client.sandboxes.Run(api.RunRequest(target=ex.ExecTarget(sandbox_id=box), exec=spec), timeout=WAIT)
        self.expose(7005, box)

        def connected():
            try:
                self.held = self.tunnel(7005, box).open()
                return True
            except grpc.RpcError as error:
                self.assertEqual(error.code(), Code.UNAVAILABLE, error.details())
                return False

        self.until(connected)
        time.sleep(4)
        self.assertEqual(self.held.send(b"echo\nalive").finish().read(), b"alive")
        state = lambda: self.client.sandboxes.GetSandbox(api.GetSandboxRequest(sandbox_id=box)).sandbox
        self.until(lambda: state().state == sb.SANDBOX_STATE_DESTROYED)
        self.assertEqual(state().destroy_reason, sb.DESTROY_REASON_IDLE)

    def test_messages_out_of_order(self):
        def call(*messages):
            return list(self.ports.ForwardPort(iter(messages), timeout=WAIT))

        opening = ps.ForwardPortRequest(open=ps.ForwardPortOpen(sandbox_id=self.box, port=7000))
        self.refused(Code.INVALID_ARGUMENT, call)
        self.refused(Code.INVALID_ARGUMENT, call, ps.ForwardPortRequest(data=b"x"))
        self.refused(Code.INVALID_ARGUMENT, call, opening, opening)
        self.refused(Code.INVALID_ARGUMENT, call, opening, ps.ForwardPortRequest(data=bytes(PIECE + 1)))

    # ---- aisbx ----
    def aisbx(self, *args, status=0):
        ran = subprocess.run([AISBX, "--address", ADDRESS, *args], capture_output=True, text=True, timeout=WAIT)
        self.assertEqual(ran.returncode, status, ran.stderr)
        return ran.stdout if status == 0 else ran.stderr

    def test_verbs(self):
        box = self.make()
        self.assertEqual(self.aisbx("expose", box, "8080", "--title", "web"),
                         f"/api/v1/sandboxes/{box}/ports/8080/\n")
        shown = json.loads(self.aisbx("ports", "--json", box))
        self.assertEqual([(p["port"], p["title"]) for p in shown], [(8080, "web")])
        self.assertIn("8080", self.aisbx("ports", box))
        self.assertEqual(json.loads(self.aisbx("unexpose", "--json", box, "8080")), [8080])
        self.assertEqual(json.loads(self.aisbx("ports", "--json", box)), [])
        self.assertIn("not exposed", self.aisbx("unexpose", box, "8080", status=1))
        self.assertIn("1..65535", self.aisbx("expose", box, "99999", status=2))
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))

    def forward(self, address):
        box = self.make()
        self.serve(box, 7200)
        program = subprocess.Popen([AISBX, "--address", address, "port-forward", "--json", box, "0:7200"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        here = json.loads(program.stdout.readline())[0]
        self.assertEqual((here["address"], here["remote"]), ("127.0.0.1", 7200))

        def talk(first):
            s = socket.create_connection((here["address"], here["local"]), timeout=WAIT)
            s.sendall(first)
            return s

        many = [talk(b"echo\n" + b"%d" % i * 5000) for i in range(100)]
        for i, s in enumerate(many):
            s.shutdown(socket.SHUT_WR)
            got = b""
            while data := s.recv(PIECE):
                got += data
            self.assertEqual(got, b"%d" % i * 5000)
            s.close()
        seen, n = hashlib.sha256(), 0
        with talk(b"give %d\n" % (MUCH // 4)) as s:
            while data := s.recv(PIECE):
                seen.update(data)
                n += len(data)
        self.assertEqual((n, seen.digest()), (MUCH // 4, hashlib.sha256(pattern(MUCH // 4)).digest()))
        with talk(b"take\n") as s:
            s.sendall(pattern(MUCH // 4))
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(s.recv(PIECE), b"%d %s" % (n, seen.hexdigest().encode()))
        with self.assertRaises(ConnectionResetError), talk(b"reset\n") as s:
            s.recv(1)
        self.assertEqual([p.port for p in self.list(box).ports], [7200])
        program.send_signal(2)
        self.assertEqual(program.wait(WAIT), 0, program.stderr.read())
        self.assertEqual(len(self.list(box).ports), 0)
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        program.stdout.close()
        program.stderr.close()

    def test_port_forward_over_the_local_transport(self):
        self.forward(ADDRESS)

    def test_port_forward_over_grpc(self):
        self.forward("grpc+" + ADDRESS)

    def test_port_forward_ends_with_the_sandbox(self):
        box = self.make()
        program = subprocess.Popen([AISBX, "--address", ADDRESS, "port-forward", box, "0:80"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = program.stdout.readline()
        self.client.sandboxes.DestroySandbox(api.DestroySandboxRequest(sandbox_id=box))
        port = int(line.split()[0].rsplit(":", 1)[1])
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as s:
                s.recv(1)
        except ConnectionResetError:
            pass
        self.assertEqual(program.wait(WAIT), 1)
        self.assertIn(box, program.stderr.read())
        program.stdout.close()
        program.stderr.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
