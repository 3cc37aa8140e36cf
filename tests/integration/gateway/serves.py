#!/usr/bin/env python3
"""HTTP/1.1 of the gateway, byte by byte: what it takes, refuses, bounds, and notices."""

import http.client
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import malformed_http

WAIT = 20.0
with open(sys.argv[1], "rb") as program:
    IS_SANITIZED = b"__asan_init" in program.read()  # it keeps what was freed
HEAD = b"Host: 127.0.0.1\r\n\r\n"


class Server:
    def __init__(self, **env):
        self.process = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **{k: str(v) for k, v in env.items()}})
        self.said = []
        line = self.process.stdout.readline().split()
        assert line[0] == "port", line
        self.port = int(line[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(WAIT) == 0, "the server must end in order"
        self.process.stdout.close()

    def expect(self, line):
        """Reads what it says until that line."""
        while True:
            got = self.process.stdout.readline()
            assert got, f"ended before it said {line}"
            self.said.append(got.strip())
            if got.strip() == line:
                return

    def connect(self):
        made = socket.create_connection(("127.0.0.1", self.port), WAIT)
        made.settimeout(WAIT)
        return made

    def ask(self, data):
        """One request on a connection of its own: status, headers, body, whether the connection ended."""
        with self.connect() as sock:
            sock.sendall(data)
            return answer(sock) + (is_at_end(sock),)

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Exactly:
    """The socket as a file that reads no byte too many: what follows is the next answer."""

    def __init__(self, sock):
        self.sock = sock

    def makefile(self, _mode):
        return self

    def readline(self, limit=65537):
        line = b""
        while not line.endswith(b"\n") and len(line) < limit:
            peeked = self.sock.recv(4096, socket.MSG_PEEK)
            if not peeked:
                break
            line += self.sock.recv(peeked.find(b"\n") + 1 or len(peeked))
        return line

    def read(self, size=-1):
        data = b""
        while size < 0 or len(data) < size:
            piece = self.sock.recv(65536 if size < 0 else min(size - len(data), 65536))
            if not piece:
                break
            data += piece
        return data

    def readinto(self, room):
        data = self.read(len(room))
        room[:len(data)] = data
        return len(data)

    def flush(self):
        pass

    def close(self):
        pass


def answer(sock, method="GET"):
    response = http.client.HTTPResponse(sock if isinstance(sock, ssl.SSLSocket) else Exactly(sock), method=method)
    response.begin()
    return response.status, response.headers, response.read()


def is_at_end(sock):
    sock.settimeout(0.05)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def refuses_what_is_malformed():
    cases = malformed_http.cases()
    assert len(cases) >= 150, len(cases)
    with Server() as server:
        before = 0
        for turn in range(4):
            for name, data, status in cases:
                got, headers, body, ended = server.ask(data)
                assert got == status, f"{name}: {got} instead of {status}: {body}"
                problem = json.loads(body)
                assert headers["Content-Type"] == "application/problem+json", name
                assert problem["status"] == status and problem["detail"] and problem["instance"], problem
                assert headers["Connection"] == "close" and ended, name
            if turn == 0:
                before = server.memory_kib()
        grown = server.memory_kib() - before
        assert IS_SANITIZED or grown < 512, f"{grown} KiB more after {3 * len(cases)} malformed requests"
        assert server.ask(b"GET /hello HTTP/1.1\r\n" + HEAD)[0] == 200
    print(f"{len(cases)} malformed requests")


def answers_what_is_well_formed():
    with Server() as server, server.connect() as sock:
        for request, status, expected in (
                (b"GET /hello HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 200, b"hello\n"),
                (b"\r\nGET http://127.0.0.1/hello HTTP/1.1\r\n" + HEAD, 200, b"hello\n"),
                (b"GET /h%65llo HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://localhost:3000\r\n\r\n", 200, b"hello\n"),
                (b"GET /hello HTTP/1.1\r\nHost: gw.example:8443\r\n\r\n", 200, b"hello\n"),
                (b"GET /query?a=1+2&b=%26&c&%C3%A4= HTTP/1.1\r\n" + HEAD, 200, "a=1 2\nb=&\nc=\nä=\n".encode()),
                (b"POST /echo HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 3\r\n" + HEAD + b"a\0b", 200, b"a\0b"),
                (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n" + HEAD + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n",
                 200, b"abc"),
                (b"GET /nothing HTTP/1.1\r\n" + HEAD, 404, None),
                (b"GET /empty HTTP/1.1\r\n" + HEAD, 204, b""),
                (b"GET /later HTTP/1.1\r\n" + HEAD, 200, b"later\n")):
            sock.sendall(request)
            got, headers, body = answer(sock)
            assert got == status and expected in (None, body), (request, got, body)
            assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Request-Id"] and headers["Date"]
        assert json.loads(server.ask(b"GET /nothing HTTP/1.1\r\n" + HEAD)[2])["code"] == "NOT_FOUND"


def reads_requests_however_they_arrive():
    request = b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD + b"3\r\nabc\r\n0\r\n\r\n"
    with Server() as server, server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            sock.sendall(bytes([byte]))
        assert answer(sock)[2] == b"abc"
        sock.sendall(request * 20 + b"GET /later HTTP/1.1\r\n" + HEAD + request)  # pipelined, in order
        for _ in range(20):
            assert answer(sock)[2] == b"abc"
        assert answer(sock)[2] == b"later\n"
        assert answer(sock)[2] == b"abc"


def keeps_and_ends_connections():
    with Server() as server:
        status, headers, _, ended = server.ask(b"GET /hello HTTP/1.1\r\nConnection: x, Close\r\n" + HEAD)
        assert status == 200 and headers["Connection"] == "close" and ended
        assert not server.ask(b"GET /hello HTTP/1.1\r\n" + HEAD)[3]
        assert server.ask(b"GET /hello HTTP/1.0\r\n" + HEAD)[3]
        status, headers, body, ended = server.ask(b"GET /stream?bytes=100 HTTP/1.0\r\n" + HEAD)
        assert headers["Transfer-Encoding"] is None and len(body) == 100 and ended
        with server.connect() as sock:
            sock.sendall(b"HEAD /hello HTTP/1.1\r\n" + HEAD + b"HEAD /stream?bytes=9 HTTP/1.1\r\n" + HEAD)
            status, headers, body = answer(sock, "HEAD")
            assert (status, headers["Content-Length"], body) == (200, "6", b"")
            assert answer(sock, "HEAD")[0] == 200
            sock.sendall(b"GET /hello HTTP/1.1\r\n" + HEAD)
            assert answer(sock)[2] == b"hello\n"


def tells_ids_and_lets_no_header_in():
    with Server() as server:
        assert server.ask(b"GET /hello HTTP/1.1\r\nX-Request-Id: a-1.b_2\r\n" + HEAD)[1]["X-Request-Id"] == "a-1.b_2"
        for bad in (b"a b", b"a" * 65, b"a\"b", b""):
            made = server.ask(b"GET /hello HTTP/1.1\r\nX-Request-Id: " + bad + b"\r\n" + HEAD)[1]["X-Request-Id"]
            assert made and made.encode() != bad
        _, headers, _, _ = server.ask(b"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n" + HEAD)
        assert headers["X-Length"] == "ab", "a value must not become a header of its own"
        _, headers, _, _ = server.ask(b"GET /hello HTTP/1.1\r\nOrigin: https://app.example\r\n" + HEAD)
        assert headers["Access-Control-Allow-Origin"] == "https://app.example" and headers["Vary"] == "Origin"
        _, headers, _, _ = server.ask(b"GET /hello HTTP/1.1\r\nOrigin: http://localhost:1\r\n" + HEAD)
        assert headers["Access-Control-Allow-Origin"] is None


def says_continue_before_a_body():
    with Server() as server, server.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" + HEAD)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert answer(sock)[2] == b"abc"
        sock.sendall(b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n" + HEAD)
        assert answer(sock)[0] == 413


def notices_who_goes_away():
    with Server() as server:
        for leave in ("close", "half", "reset", "close after more bytes", "close with a full pipe"):  # the last one is cut off for it
            sock = server.connect()
            sock.sendall(b"GET /wait HTTP/1.1\r\n" + HEAD)
            if leave == "half":
                sock.shutdown(socket.SHUT_WR)
            elif leave == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif leave == "close after more bytes":
                sock.sendall(b"GET /hello HTTP/1.1\r\n" + HEAD)
            elif leave == "close with a full pipe":
                sock.setblocking(False)
                try:
                    while True:
                        sock.send(b"x" * 65536)
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    pass
            if leave != "half":
                sock.close()
            server.expect("gone /wait")
            server.expect("ended 499")
            sock.close()
        with server.connect() as sock:
            sock.sendall(b"GET /stream?bytes=100000000 HTTP/1.1\r\n" + HEAD)
            server.expect("high")
        server.expect("gone /stream")
        assert server.ask(b"GET /hello HTTP/1.1\r\n" + HEAD)[0] == 200


def bounds_what_waits_for_a_slow_reader():
    with Server() as server, server.connect() as sock:
        sock.sendall(b"GET /stream?bytes=200000000 HTTP/1.1\r\n" + HEAD)
        server.expect("high")
        before = server.memory_kib()
        response = http.client.HTTPResponse(sock)
        response.begin()
        total = 0
        while piece := response.read(1 << 20):
            total += len(piece)
        assert total == 200000000
        assert IS_SANITIZED or server.memory_kib() - before < 4096, "a stream must not be kept"


def send_until_answered(sock, head, total):
    """Sends head and up to total bytes, but listens: the answer, and how much was sent before it."""
    block, sent = b"x" * 65536, 0
    sock.sendall(head)
    sock.setblocking(False)
    while sent < total and not select.select([sock], [], [], 0)[0]:
        try:
            sent += sock.send(block[:total - sent])
        except (BlockingIOError, ssl.SSLWantWriteError):
            select.select([sock], [sock], [], WAIT)
        except (BrokenPipeError, ConnectionResetError):
            break
    sock.settimeout(WAIT)
    return answer(sock) + (sent,)


def streams_bodies():
    huge = 300 << 20
    with Server() as server, server.connect() as sock:
        before = server.memory_kib()
        for coding, begin, end in ((b"Content-Length: %d\r\n" % (1000 * 65536), b"", b""),
                                   (b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % 65536, b"\r\n")):
            sock.sendall(b"PUT /swallow HTTP/1.1\r\n" + coding + HEAD)
            for _ in range(1000):
                sock.sendall(begin + b"x" * 65536 + end)
            sock.sendall(b"0\r\n\r\n" if begin else b"")
            status, headers, body = answer(sock)
            assert (status, body, headers["Connection"]) == (200, b"65536000\n", None), (status, headers, body)
        assert IS_SANITIZED or server.memory_kib() - before < 4096, "a body that is streamed must not be kept"
        small = b"PUT /swallow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
        empty = b"PUT /swallow HTTP/1.1\r\n" + HEAD
        sock.sendall((small + empty) * 20 + b"GET /hello HTTP/1.1\r\n" + HEAD)
        for _ in range(20):
            assert answer(sock)[2] == b"3\n" and answer(sock)[2] == b"0\n"
        assert answer(sock)[2] == b"hello\n"
        sock.sendall(b"PUT /swallow HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" + HEAD)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert answer(sock)[2] == b"3\n"
        sock.sendall(b"PUT /refuse HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" + HEAD)
        status, headers, _ = answer(sock)
        assert status == 403 and headers["Connection"] == "close" and is_at_end(sock)
        for path in (b"/refuse", b"/refuse-late", b"/refuse-later"):
            for coding in (b"Content-Length: %d\r\n" % huge, b"Transfer-Encoding: chunked\r\n"):
                head = b"PUT " + path + b" HTTP/1.1\r\n" + coding + HEAD + (b"fffffff\r\n" if b"chunked" in coding else b"")
                with server.connect() as other:
                    status, headers, _, sent = send_until_answered(other, head, (1 << 28) - 2)
                    assert status == 403 and headers["Connection"] == "close" and sent < 64 << 20, (path, status, sent)
        with server.connect() as deaf:  # more than sockets hold, and listens only behind it
            deaf.sendall(b"PUT /refuse-later HTTP/1.1\r\nContent-Length: 16000000\r\n" + HEAD + bytes(16000000))
            assert answer(deaf)[0] == 403


def gives_up_bodies_that_are_none():
    chunks = [(name, data) for name, data, status in malformed_http.cases() if name.startswith("chunks: ") and status == 400]
    assert len(chunks) > 10
    with Server() as server:
        for name, data in chunks:
            status, headers, body, ended = server.ask(data.replace(b"POST /echo", b"PUT /swallow"))
            assert (status, headers["Connection"], ended) == (400, "close", True), f"{name}: {status} {body}"
            server.expect("gone /swallow")
            server.expect("ended 400")
    with Server(T_TIMEOUT_MS=300) as server, server.connect() as sock, server.connect() as held:
        held.sendall(b"PUT /hold HTTP/1.1\r\nContent-Length: 9\r\n" + HEAD + b"ab")
        server.expect("held")
        sock.sendall(b"PUT /swallow HTTP/1.1\r\nContent-Length: 5\r\n" + HEAD + b"ab")
        assert answer(sock)[0] == 408 and sock.recv(1) == b""
        server.expect("gone /swallow")
        held.settimeout(1.0)
        try:
            held.recv(1)
            raise AssertionError("a body that we do not read is not late")
        except TimeoutError:
            pass


def holds_senders_back():
    with Server() as server:
        head = b"PUT /hold HTTP/1.1\r\nContent-Length: 1000000000\r\n" + HEAD + b"x"
        with server.connect() as sock:
            sock.sendall(head)
            server.expect("held")
        server.expect("gone /hold")
        with server.connect() as sock:
            before = server.memory_kib()
            sock.sendall(head)
            server.expect("held")
            sock.settimeout(0.5)
            sent = 0
            try:
                while True:
                    sent += sock.send(b"x" * 65536)
            except TimeoutError:
                pass
            assert sent < 64 << 20, "what nobody takes must stay with the sender"
            assert IS_SANITIZED or server.memory_kib() - before < 2048
            # What closes behind so many bytes cannot be seen before they are read.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.expect("gone /hold")
        server.expect("ended 499")


def ends_who_sends_by_drops():
    """Each byte is no reason to wait longer: a line that never ends is late like any other head."""
    with Server(T_TIMEOUT_MS=300) as server, server.connect() as sock:
        sock.settimeout(0.05)
        for _ in range(100):
            sock.sendall(b"G")
            try:
                assert sock.recv(12) == b"HTTP/1.1 408"
                return
            except TimeoutError:
                pass
        raise AssertionError("a head that comes byte by byte was waited for sixteen times as long as it may take")


def goes_on_for_a_slow_reader_between_ticks():
    """What another writes into a stream that is full must not lose the word that it drained."""
    with Server() as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.settimeout(WAIT)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(b"GET /ticks?bytes=8000000 HTTP/1.1\r\nConnection: close\r\n" + HEAD)
        response = http.client.HTTPResponse(sock)
        response.begin()
        total = idle = 0
        while total < 8000000:
            got = response.read1(1 << 16).count(b"x")
            total += got
            idle = 0 if got else idle + 1
            assert idle < 500, f"nothing but ticks after {total} bytes"
            time.sleep(0.001)


def ends_the_slow():
    with Server(T_TIMEOUT_MS=300, T_IDLE_MS=600) as server:
        head, body, idle, reader = (server.connect() for _ in range(4))
        head.sendall(b"GET /hello HTTP/1.1\r\nHost: ")
        body.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n" + HEAD + b"ab")
        idle.sendall(b"GET /hello HTTP/1.1\r\n" + HEAD)
        reader.sendall(b"GET /stream?bytes=100000000 HTTP/1.1\r\n" + HEAD)
        assert answer(head)[0] == 408 and head.recv(1) == b""
        assert answer(body)[0] == 408 and body.recv(1) == b""
        assert answer(idle)[0] == 200 and idle.recv(1) == b""
        server.expect("gone /stream")
        silent = server.connect()
        assert silent.recv(1) == b""
        waiting = server.connect()  # that it waits for us is no fault of the client's
        waiting.sendall(b"GET /wait HTTP/1.1\r\n" + HEAD)
        waiting.settimeout(1.0)
        try:
            waiting.recv(1)
            raise AssertionError("a pending request must not be cut")
        except TimeoutError:
            pass
        for sock in (head, body, idle, reader, silent, waiting):
            sock.close()


def bounds_connections_and_bodies():
    with Server(T_CONNECTIONS=6, T_BODIES=300000) as server:
        def served(sock):
            sock.sendall(b"GET /hello HTTP/1.1\r\n" + HEAD)
            assert answer(sock)[0] == 200
            return sock

        def turned_away(sock):
            with sock:
                status, headers, body = answer(sock)
                assert status == 503 and headers["Retry-After"] and json.loads(body)["status"] == 503

        def of(address):
            return socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=(address, 0))

        held = [served(server.connect()) for _ in range(3)]
        turned_away(server.connect())  # half of them are its own
        others = [served(of("127.0.0.2")) for _ in range(3)]
        turned_away(of("127.0.0.3"))  # all are taken
        for sock in others:
            sock.close()
        held[0].sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 250000\r\n" + HEAD + b"x" * 249999)
        held[1].sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n" + HEAD + b"x" * 100000)
        # Whichever is read last finds no room.
        first, second = held[0], held[1]
        status, headers, _ = answer(second)
        if status == 503:
            assert headers["Retry-After"]
            first.sendall(b"x")
            assert answer(first)[0] == 200
        else:
            first.sendall(b"x")
            assert answer(first)[0] in (200, 503)
        for sock in held:
            sock.close()


def drains():
    with Server() as server:
        later, waiting, idle = (server.connect() for _ in range(3))
        idle.sendall(b"GET /hello HTTP/1.1\r\n" + HEAD)
        assert answer(idle)[0] == 200
        waiting.sendall(b"GET /wait HTTP/1.1\r\n" + HEAD)
        later.sendall(b"GET /later HTTP/1.1\r\n" + HEAD + b"GET /later HTTP/1.1\r\n" + HEAD)
        assert answer(later)[0] == 200
        server.process.stdin.write("d")
        server.process.stdin.flush()
        status, headers, _ = answer(later)
        assert status == 200 and headers["Connection"] == "close"
        server.expect("gone /wait")
        assert idle.recv(1) == b""
        assert server.process.wait(WAIT) == 0
        for sock in (later, waiting, idle):
            sock.close()


def refuses_a_port_that_is_taken_and_bad_files():
    out = subprocess.run([sys.argv[1]], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                         env={**os.environ, "T_CERT": "/nonexistent"})
    assert out.returncode == 1 and "failed INVALID_ARGUMENT: TLS: certificate /nonexistent" in out.stdout, out


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


def speaks_tls_and_knows_clients():
    if shutil.which("openssl") is None:
        print("without openssl no TLS")
        return
    with tempfile.TemporaryDirectory() as folder:
        ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        openssl(folder, "req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
        for name, alternative in (("server", "IP:127.0.0.1"), ("client", "URI:spiffe://a/b"), ("plain", "email:a@b")):
            openssl(folder, "req", *ec, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}-cn")
            with open(f"{folder}/ext", "w", encoding="ascii") as ext:
                ext.write(f"subjectAltName={alternative}\n")
            openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", "2", "-extfile", "ext", "-out", f"{name}.pem")
        context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        with Server(T_CERT=f"{folder}/server.pem", T_KEY=f"{folder}/server.key") as server:
            with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as sock:
                sock.sendall(b"GET /who HTTP/1.1\r\n" + HEAD)
                assert answer(sock)[2].endswith(b" -\n")
                sock.sendall(b"GET /stream?bytes=3000000 HTTP/1.1\r\n" + HEAD)
                assert len(answer(sock)[2]) == 3000000
                sock.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 600000\r\n" + HEAD + b"y" * 600000)
                assert answer(sock)[2] == b"y" * 600000
                sock.sendall(b"GET /wait HTTP/1.1\r\n" + HEAD)
            server.expect("gone /wait")
            with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as sock:
                head = b"PUT /refuse HTTP/1.1\r\nContent-Length: 300000000\r\n" + HEAD
                status, headers, _, sent = send_until_answered(sock, head, 300000000)
                assert status == 403 and headers["Connection"] == "close" and sent < 64 << 20, (status, sent)
            with server.connect() as sock:  # plain text on a TLS port
                sock.sendall(b"GET /who HTTP/1.1\r\n" + HEAD)
                try:
                    assert b"HTTP" not in sock.recv(100)
                except ConnectionResetError:
                    pass
        with Server(T_CERT=f"{folder}/server.pem", T_KEY=f"{folder}/server.key", T_CA=f"{folder}/ca.pem") as server:
            for name, identity in (("client", "spiffe://a/b"), ("plain", "plain-cn")):
                context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
                context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
                with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as sock:
                    sock.sendall(b"GET /who HTTP/1.1\r\n" + HEAD)
                    assert answer(sock)[2].decode().endswith(f" {identity}\n")
            try:
                context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
                with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as sock:
                    sock.sendall(b"GET /who HTTP/1.1\r\n" + HEAD)
                    assert sock.recv(100) == b""
            except (ssl.SSLError, ConnectionResetError):
                pass


TESTS = (answers_what_is_well_formed, reads_requests_however_they_arrive, keeps_and_ends_connections,
         tells_ids_and_lets_no_header_in, says_continue_before_a_body, notices_who_goes_away,
         bounds_what_waits_for_a_slow_reader, goes_on_for_a_slow_reader_between_ticks,
         ends_the_slow, ends_who_sends_by_drops, bounds_connections_and_bodies, drains,
         refuses_a_port_that_is_taken_and_bad_files, speaks_tls_and_knows_clients, refuses_what_is_malformed,
         streams_bodies, gives_up_bodies_that_are_none, holds_senders_back)

if __name__ == "__main__":
    for test in TESTS:
        start = time.monotonic()
        test()
        print(f"ok {test.__name__} {time.monotonic() - start:.2f}s", flush=True)
