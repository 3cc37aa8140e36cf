"""Servers in sandboxes through the gateway: ports.py OPEN GUARDED, two gateways before one worker."""

import base64
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from client import ask

OPEN, GUARDED = map(int, sys.argv[1:3])
HERE = os.path.dirname(os.path.abspath(__file__))
API = "/api/v1/sandboxes"
with open(f"{os.environ['AISBX_BIN']}/aisbx-mcp", "rb") as program:
    IS_SANITIZED = b"__asan_init" in program.read()  # it keeps what was freed
MUCH = (40 if IS_SANITIZED else 200) << 20
PIECE = bytes(range(256)) * 256
WAIT = 120
PORT = 8080


def until(condition, what):
    end = time.monotonic() + WAIT
    while not (got := condition()):
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.02)
    return got


def must(method, path, body=None, status=(200, 201, 204), port=OPEN, headers=None):
    got = ask(port, method, path, body, headers)
    assert got.status in status, f"{method} {path}: {got.status} {got.body[:500]}"
    return got.json() if got.body else None


def start(box, port):
    """The server of these tests, inside."""
    with open(f"{HERE}/ports_server.py", "rb") as source:
        must("PUT", f"{API}/{box}/files/content?file=/tmp/server.py", source.read(),
             headers={"Content-Type": "application/octet-stream"})
    must("POST", f"{API}/{box}/execs", {"exec": {"command": {"args": ["python3", "/tmp/server.py", str(port)]}, "background": True}})
    must("POST", f"{API}/{box}/ports", {"port": port})
    until(lambda: ask(OPEN, "GET", f"{API}/{box}/ports/{port}/up").status == 200, "the server")


def make():
    return must("POST", API, {"profile": "python-dev"})["sandbox_id"]


def inside(name, box=None):
    """What the server noted, or None."""
    got = ask(OPEN, "GET", f"{API}/{box or BOX}/files/content?file=/tmp/{name}")
    return got.body.decode() if got.status == 200 else None


def forget(name):
    ask(OPEN, "DELETE", f"{API}/{BOX}/files?file=/tmp/{name}")


def at(path, box=None, port=PORT):
    return f"{API}/{box or BOX}/ports/{port}{path}"


def see(path, method="GET", body=None, headers=None, port=OPEN):
    return ask(port, method, at(path), body, headers)


def memory():
    """The most the gateway ever had, in KiB."""
    with open(f"/proc/{os.environ['AISBX_GATEWAY_PID']}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def talk(text, port=OPEN):
    """A connection on which that was sent."""
    s = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
    s.sendall(text if isinstance(text, bytes) else text.encode())
    return s


def rest_of(s):
    got = b""
    try:
        while data := s.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    s.close()
    return got


def digest(n):
    seen = hashlib.sha256()
    while n:
        seen.update(PIECE[:n])
        n -= min(n, len(PIECE))
    return seen.hexdigest()


# ---- requests and answers ----

def passes_requests_on_without_what_is_not_the_servers():
    sent = {
        "Authorization": "Bearer secret-1", "X-API-Key": "secret-1", "Cookie": "jupyter=secret-2; aisbx-sid=mine; aisbx-t=x",
        "X-Aisbx-Identity": "secret-3", "Proxy-Authorization": "secret-4", "Connection": "close, X-Hop", "X-Hop": "secret-5",
        "Referer": "http://gw/secret-6", "X-Forwarded-For": "secret-7", "Forwarded": "secret-8", "X-Real-IP": "secret-9",
        "TE": "trailers", "Keep-Alive": "x", "X-Own": "passed", "Accept-Encoding": "gzip", "User-Agent": "test/1",
    }
    del sent["Authorization"], sent["X-API-Key"]  # who brings a key has to bring a good one: below
    got = see("/a%2Fb//c/../d?x=1&x=2&y=%20", "PROPFIND", b"<x/>", sent)
    assert got.status == 200, got.body
    told = got.json()
    fields = {name.lower(): value for name, value in told["fields"]}
    assert told["method"] == "PROPFIND" and told["target"] == "/a%2Fb//c/../d?x=1&x=2&y=%20" and told["bytes"] == 4, told
    assert "secret" not in json.dumps(told), told
    assert fields["cookie"] == "sid=mine; t=x" and fields["x-own"] == "passed" and fields["user-agent"] == "test/1"
    assert fields["host"] == f"localhost:{PORT}" and fields["connection"] == "close" and fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http" and fields["x-forwarded-host"] == f"127.0.0.1:{OPEN}"
    assert fields["x-forwarded-prefix"] == at("") and fields["x-request-id"] == got.headers["X-Request-Id"]
    for gone in ("keep-alive", "te", "x-hop", "referer", "forwarded", "authorization", "x-api-key"):
        assert gone not in fields, gone


def passes_answers_on_without_what_is_not_the_sandboxs():
    got = see("/")
    cookies = got.headers.get_all("Set-Cookie")
    assert cookies == [f"aisbx-sid=1; HttpOnly; Path={at('/app')}", f"aisbx-b=2; Path={at('/')}"], cookies
    policy = got.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ") and "allow-same-origin" not in policy, policy
    said = ("Strict-Transport-Security: max-age=9", "Clear-Site-Data: *", "Access-Control-Allow-Origin: *", "WWW-Authenticate: Basic",
            "Alt-Svc: h3", "Service-Worker-Allowed: /", "X-Aisbx-Thing: 1", "Connection: X-Hop", "X-Hop: 1", "NEL: {}")
    got = raw("HTTP/1.0 418 Tea pot\r\n" + "".join(f"{line}\r\n" for line in said) + "ETag: x\r\n\r\nbody")
    assert got.status == 418 and got.body == b"body" and got.headers["ETag"] == "x"
    for line in said:
        assert line.split(":")[0] not in got.headers, line
    assert got.headers["Transfer-Encoding"] == "chunked", "no length was told"
    got = raw("HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self'\r\nContent-Length: 0\r\n\r\n")
    assert len(got.headers.get_all("Content-Security-Policy")) == 2, "both hold"


def rewrites_where_it_leads():
    for said, means in (
            ("/x?y", at("/x?y")), (f"http://localhost:{PORT}/x", at("/x")), (f"http://127.0.0.1:{PORT}", at("/")),
            (f"//localhost:{PORT}/x", at("/x")), (f"https://[::1]:{PORT}/?q", at("/?q")), ("x/y", "x/y"), ("?q", "?q"),
            ("http://localhost:9/x", "http://localhost:9/x"), (f"http://localhost:{PORT}0/x", f"http://localhost:{PORT}0/x"),
            ("https://example.org/x", "https://example.org/x"), ("//evil.example/x", "//evil.example/x")):
        got = raw(f"HTTP/1.1 302 Found\r\nLocation: {said}\r\nContent-Length: 0\r\n\r\n")
        assert (got.status, got.headers["Location"]) == (302, means), (said, got.headers["Location"])


def raw(text, more="", port=OPEN):
    data = text if isinstance(text, bytes) else text.encode()
    return see("/raw/" + base64.urlsafe_b64encode(data).decode() + more, port=port)


def knows_answers_without_a_body():
    head = see("/give?n=1000", "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "1000")
    for status in (204, 304):
        got = raw(f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\nETag: e\r\n\r\nwrong")
        assert (got.status, got.body, got.headers["ETag"]) == (status, b"", "e")
    got = see("/interim?n=3")
    assert got.status == 200 and got.body == b"ok"


# Each of these two readers could understand differently, or never end.
HOSTILE = {
    "no HTTP": "SSH-2.0-OpenSSH\r\n\r\n",
    "HTTP/2": "HTTP/2 200 OK\r\n\r\n",
    "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "the same length twice": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
    "a signed length": "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    "length and coding": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding twice": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding with a tab": "HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a folded line": "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "no name": "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "a NUL": "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a carriage return alone": "HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 0\r\n\r\n",
    "no status": "HTTP/1.1 OK\r\n\r\n",
    "status 99": "HTTP/1.1 099 X\r\n\r\n",
    "status 600": "HTTP/1.1 600 X\r\n\r\n",
    "four digits": "HTTP/1.1 2000 X\r\n\r\n",
    "an upgrade nobody asked for": "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    "a body in an interim answer": "HTTP/1.1 103 X\r\nContent-Length: 9\r\n\r\nsmuggled\n",
    "nothing": "",
    "half a head": "HTTP/1.1 200 OK\r\nContent-Le",
}
# The head is good, so the answer has begun: it must not look whole.
CUT = {
    "a short body": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "no last chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "a size that is none": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n",
    "a size of many digits": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
    "a chunk that is longer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "a chunk ended by a line feed": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
    "an endless line of a chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;" + "x" * 300 + "\r\nabc\r\n0\r\n\r\n",
}


def refuses_answers_that_two_readers_could_read_differently():
    for name, text in HOSTILE.items():
        got = raw(text)
        assert got.status == 502 and got.headers["Content-Type"] == "application/problem+json", f"{name}: {got.status} {got.body}"
        assert f"port {PORT}" in got.json()["detail"], got.json()
    for path in ("/head?n=500", "/head?n=129", "/interim?n=17"):
        got = see(path)
        assert got.status == 502, f"{path}: {got.status}"
    assert see("/head?n=80").status == 200
    statuses = set()
    for n in range(15800, 16500, 10):
        got = see(f"/pad?n={n}")
        statuses.add(got.status)
        assert ("Content-Security-Policy" in got.headers) == ("X-Pad" in got.headers) == (got.status == 200), (n, got.status)
    assert statuses == {200, 502}, "what does not fit beside what the gateway says is not given at all"
    for name, text in CUT.items():
        try:
            got = raw(text)
        except (http.client.IncompleteRead, ConnectionResetError):
            continue
        raise AssertionError(f"{name}: looked whole: {got.status} {got.body[:80]}")
    got = raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert got.body == b"ok", "what follows a body is nobody's answer"


# ---- bodies ----

def streams_bodies_in_constant_memory():
    before = memory()
    for path in ("/give", "/chunks"):
        connection = http.client.HTTPConnection("127.0.0.1", OPEN, timeout=WAIT)
        connection.request("GET", at(f"{path}?n={MUCH}"))
        response = connection.getresponse()
        seen, size = hashlib.sha256(), 0
        while data := response.read(1 << 16):
            seen.update(data)
            size += len(data)
        assert (size, seen.hexdigest()) == (MUCH, digest(MUCH)), f"{path}: {size}"
        connection.close()
    pieces = lambda: (PIECE for _ in range(MUCH // len(PIECE)))
    for headers, chunked in (({"Content-Length": str(MUCH)}, False), ({"Transfer-Encoding": "chunked"}, True)):
        connection = http.client.HTTPConnection("127.0.0.1", OPEN, timeout=WAIT)
        connection.request("PUT", at("/take"), pieces(), headers, encode_chunked=chunked)
        told = json.loads(connection.getresponse().read())
        assert (told["bytes"], told["sha256"]) == (MUCH, digest(MUCH)), told
        connection.close()
    grown = memory() - before
    print(f"  {MUCH >> 20} MiB down and up, each by length and in chunks: the gateway grew by {grown} KiB", flush=True)
    assert IS_SANITIZED or grown < 16 << 10, grown


def holds_back_who_sends_to_who_does_not_read():
    before = memory()
    slow = talk(f"GET {at(f'/give?n={MUCH}')} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stuck = talk(f"PUT {at('/stuck')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MUCH}\r\n\r\n")
    sender = threading.Thread(target=lambda: push(stuck, MUCH // 4))
    sender.start()
    for _ in range(50):
        assert see("/quick").status == 200
    grown = memory() - before
    assert IS_SANITIZED or grown < 16 << 10, grown
    size = 0
    while data := slow.recv(1 << 20):
        size += len(data)
        if size > MUCH:
            break
    assert size > MUCH
    stuck.shutdown(socket.SHUT_RDWR)
    sender.join()
    slow.close()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stuck.close()
    until(lambda: connections() == 0, "the end of who is not read")


def connections():
    return next(p for p in must("GET", f"{API}/{BOX}/ports")["ports"] if p["port"] == PORT)["connections"]


def push(s, n):
    try:
        while n > 0:
            s.sendall(PIECE)
            n -= len(PIECE)
    except OSError:
        pass


def asks_to_continue_only_what_is_read():
    s = talk(f"PUT {at('/take')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    s.sendall(b"hello")
    assert b'"bytes": 5' in until_body(s)
    s = talk(f"PUT {at('/x', port=9)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert rest_of(s).startswith(b"HTTP/1.1 404"), "nothing is exposed there: no body is wanted"


def until_body(s):
    got = b""
    while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < int(re.search(rb"Content-Length: (\d+)", got)[1]):
        data = s.recv(65536)
        assert data, got
        got += data
    s.close()
    return got


def refuses_bodies_that_are_none():
    for body in (b"x\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n"):
        got = rest_of(talk(f"POST {at('/take')} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body))
        assert b"200" not in got[:20], got
    s = talk(f"POST {at('/take')} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: dropped\r\n\r\n")
    assert b'"bytes": 3' in until_body(s)


def answers_before_the_body_is_whole():
    s = talk(f"POST {at('/refuse')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MUCH}\r\n\r\n")
    push(s, 1 << 20)
    got = rest_of(s)
    assert got.startswith(b"HTTP/1.1 200") and b"Connection: close" in got, got


def shows_events_as_they_happen():
    forget("second")
    s = talk(f"GET {at('/events')} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = b""
    while b"data: first\n\n" not in got:
        got += s.recv(65536)
    assert b"second" not in got
    must("PUT", f"{API}/{BOX}/files/content?file=/tmp/second", b"", headers={"Content-Type": "application/octet-stream"})
    while b"0\r\n\r\n" not in got:
        got += s.recv(65536)
    assert b"data: second\n\n" in got
    s.close()


def keeps_a_clients_connection():
    connection = http.client.HTTPConnection("127.0.0.1", OPEN, timeout=WAIT)
    for i in range(20):
        connection.request("POST", at(f"/{i}"), b"x" * i)
        assert connection.getresponse().read() and connection.sock is not None
    connection.request("GET", "/api/v1/worker")
    assert connection.getresponse().status == 200
    connection.close()
    two = f"GET {at('/one')} HTTP/1.1\r\nHost: localhost\r\n\r\nGET {at('/two')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    got = rest_of(talk(two))
    assert got.index(b'"/one"') < got.index(b'"/two"')


def serves_a_hundred_at_once():
    failed = []

    def one(i):
        got = see(f"/take?{i}", "PUT", b"%d" % i * 10000)
        if got.status != 200 or got.json()["bytes"] != len(b"%d" % i) * 10000:
            failed.append((i, got.status))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def tells_the_server_of_who_leaves():
    forget("give")
    s = talk(f"GET {at(f'/give?n={MUCH}')} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    s.recv(1000)
    s.close()
    assert until(lambda: inside("give"), "the reset") in ("ConnectionResetError", "BrokenPipeError")


# ---- WebSocket ----

def frame(opcode, data, mask=b"\1\2\3\4"):
    size = len(data)
    head = bytes([0x80 | opcode])
    head += bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0xFE, size) if size < 65536 else struct.pack("!BQ", 0xFF, size)
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data))


def read_frame(f):
    first = f.read(2)
    if len(first) < 2:
        return None
    size = first[1]
    size = struct.unpack("!H", f.read(2))[0] if size == 126 else struct.unpack("!Q", f.read(8))[0] if size == 127 else size
    return first[0] & 0xF, f.read(size)


def websocket(path="/ws", more="", port=OPEN):
    s = talk(f"GET {at(path)} HTTP/1.1\r\nHost: localhost:1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
             f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: test\r\n{more}\r\n", port)
    f = s.makefile("rb")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = f.readline()
        assert line, head
        head += line
    return s, f, head.decode()


def carries_websockets():
    forget("ws")
    s, f, head = websocket(more="Cookie: aisbx-a=1; other=secret\r\nOrigin: http://localhost:1\r\n")
    assert head.startswith("HTTP/1.1 101 ") and "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
    assert "Sec-WebSocket-Protocol: test" in head
    fields = {name.lower(): value for name, value in json.loads(read_frame(f)[1])}
    assert fields["cookie"] == "a=1" and fields["upgrade"] == "websocket" and fields["connection"] == "Upgrade", fields
    assert fields["origin"] == f"http://localhost:{PORT}", "to the server the page is its own"
    s.sendall(frame(1, b"hello"))
    assert read_frame(f) == (1, b"hello")
    s.sendall(frame(9, b"ping"))
    assert read_frame(f) == (10, b"ping")
    s.sendall(frame(2, PIECE * 5))
    assert read_frame(f) == (2, PIECE * 5)
    s.sendall(frame(8, struct.pack("!H", 4000)))
    assert read_frame(f) == (8, struct.pack("!H", 4000))
    assert f.read() == b""
    assert until(lambda: inside("ws"), "the close") == "close 4000"
    s.close()


def ends_websockets_from_either_side():
    got = rest_of(talk(f"CONNECT {at('/x')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    assert got.startswith(b"HTTP/1.1 501"), "nothing else is a tunnel"
    s, f, _ = websocket("/ws?bye")
    read_frame(f)
    assert read_frame(f) == (8, struct.pack("!H", 4001) + b"bye") and f.read() == b""
    s.close()
    forget("ws")
    s, f, _ = websocket()
    read_frame(f)
    s.shutdown(socket.SHUT_WR)
    assert f.read() == b"", "one half closed, then the other"
    assert until(lambda: inside("ws"), "the end") == "eof"
    s.close()
    got = rest_of(talk(f"GET {at('/x')} HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\nHTTP2-Settings: x\r\n\r\n"))
    assert got.startswith(b"HTTP/1.1 200") and b"pgrade" not in got, "nothing but WebSocket"


# ---- who may ----

def key(tenant, **more):
    return must("POST", "/api/v1/keys", {"role": "user", "tenant": tenant, **more})


def text_of(made):
    return next(value for value in made.values() if isinstance(value, str) and value.startswith("aisbx_"))


def asks_who_it_is():
    got = see("/", port=GUARDED)
    assert got.status == 401 and "Bearer" in got.headers["WWW-Authenticate"], got.status
    mine, theirs = text_of(key("local")), text_of(key("others"))
    for header in ({"Authorization": f"Bearer {mine}"}, {"X-API-Key": mine}):
        got = see("/", headers=header, port=GUARDED)
        assert got.status == 200 and mine not in got.body.decode(), got.body
    assert see("/", headers={"X-API-Key": theirs}, port=GUARDED).status == 404
    assert see("/", headers={"X-API-Key": mine[:-1] + ("A" if mine[-1] != "A" else "B")}, port=GUARDED).status == 401
    s, f, head = websocket(more=f"X-API-Key: {mine}\r\n", port=GUARDED)
    assert head.startswith("HTTP/1.1 101") and mine not in read_frame(f)[1].decode()
    s.sendall(frame(1, b"still"))
    assert read_frame(f) == (1, b"still")
    must("DELETE", f"/api/v1/keys/{mine.split('_')[1]}")
    try:
        assert f.read() == b"", "a revoked key ends what it opened"
    except ConnectionResetError:
        pass
    s.close()


def share(ttl_ms=600000, port=PORT):
    return must("POST", f"{API}/{BOX}/ports", {"port": port, "share_ttl_ms": ttl_ms})["share_path"]


def opens_by_a_link_what_it_is_for_and_nothing_else():
    link = share()
    assert re.fullmatch(re.escape(at("/")) + r"~aisbx_[a-z2-7]{26}_[\w-]{43}/", link), link
    token = link.split("~")[1].rstrip("/")
    got = ask(GUARDED, "GET", link + "x?y=1", headers={"Origin": "null"})
    assert got.status == 200 and got.json()["target"] == "/x?y=1", got.body
    assert got.headers["Access-Control-Allow-Origin"] == "*" and got.headers["Referrer-Policy"] == "no-referrer"
    assert dict(got.json()["fields"])["Origin"] == f"http://localhost:{PORT}", "so that servers that compare let it in"
    assert got.headers.get_all("Set-Cookie")[0].endswith(f"Path={link.rstrip('/')}/app")
    got = ask(GUARDED, "OPTIONS", link, headers={"Origin": "null", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"})
    assert (got.status, got.headers["Access-Control-Allow-Methods"], got.headers["Access-Control-Allow-Headers"]) == (204, "PUT", "x-a")
    s, f, head = websocket("/" + link.split(at("/"))[1] + "ws", "Origin: null\r\n", GUARDED)
    assert head.startswith("HTTP/1.1 101"), head
    s.close()
    must("POST", f"{API}/{BOX}/ports", {"port": 8082})
    assert ask(GUARDED, "GET", link.replace(f"/{PORT}/", "/8082/")).status == 403
    assert ask(GUARDED, "GET", link.replace(BOX, "sb_" + "a" * 26)).status == 403
    for method, path in (("GET", API), ("GET", f"{API}/{BOX}"), ("GET", f"{API}/{BOX}/ports"), ("DELETE", f"{API}/{BOX}"),
                         ("GET", "/api/v1/keys"), ("GET", "/metrics")):
        assert ask(GUARDED, method, path, headers={"X-API-Key": token}).status == 403, path
    assert ask(GUARDED, "GET", link[:-2] + ("A" if link[-2] != "A" else "E") + "/").status == 401
    assert token not in json.dumps(must("GET", f"{API}/{BOX}/ports")), "told once"
    assert all(token not in json.dumps(k) for k in must("GET", "/api/v1/keys")["keys"])
    must("POST", f"{API}/{BOX}/ports", {"port": PORT, "share_ttl_ms": 1}, status=(422,))
    short = share(1000)
    until(lambda: ask(GUARDED, "GET", short).status == 401, "the end of the link")
    links = [share(port=8082) for _ in range(9)]
    assert [ask(GUARDED, "GET", one).status for one in (links[0], links[1], links[8])] == [401, 502, 502], "the last 8"
    must("DELETE", f"{API}/{BOX}/ports/8082")
    must("POST", f"{API}/{BOX}/ports", {"port": 8082})
    assert ask(GUARDED, "GET", links[8]).status == 401, "gone with what it was for"
    must("DELETE", f"{API}/{BOX}/ports/8082")


def reaches_what_is_exposed_alone():
    assert ask(OPEN, "GET", at("/", port=8081)).status == 404
    must("POST", f"{API}/{BOX}/ports", {"port": 8081})
    got = ask(OPEN, "GET", at("/", port=8081))
    assert got.status == 502 and "nothing listens on port 8081" in got.json()["detail"], got.body
    must("DELETE", f"{API}/{BOX}/ports/8081")
    assert ask(OPEN, "GET", at("/", port=8081)).status == 404
    assert ask(OPEN, "GET", at("/", box="sb_" + "a" * 26)).status == 404
    for path in (f"{API}/{BOX}/ports/08080/", f"{API}/{BOX}/ports/99999/", f"{API}/{BOX}/ports/x/", f"{API}/%73b_x/ports/1/"):
        assert ask(OPEN, "GET", path).status in (400, 404), path


def keeps_strange_pages_out():
    for origin in ("https://evil.example", "null"):
        assert see("/", headers={"Origin": origin}).status == 403, origin
    assert see("/", headers={"Host": "evil.example"}).status == 403
    assert see("/", headers={"Origin": f"http://127.0.0.1:{OPEN}"}).status == 200


def tells_of_the_end_of_the_sandbox():
    box = make()
    start(box, PORT)
    s = talk(f"GET {at(f'/give?n={MUCH}', box)} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    size = len(s.recv(65536))
    must("DELETE", f"{API}/{box}")
    size += len(rest_of(s))
    assert size < MUCH, "a cut must not look like an end"
    assert ask(OPEN, "GET", at("/", box)).status == 409


def leaves_nothing_when_it_is_killed():
    mine = text_of(key("local"))
    held = []
    for _ in range(10):
        s = talk(f"GET {at(f'/give?n={MUCH}')} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {mine}\r\n\r\n", GUARDED)
        s.recv(1000)
        held.append(s)
    assert connections() >= 10
    os.kill(int(os.environ["AISBX_GUARDED_PID"]), signal.SIGKILL)
    until(lambda: connections() == 0, "the end of its connections")
    for s in held:
        s.close()


def serves_real_clients():
    url = f"http://127.0.0.1:{OPEN}{at('/take')}"
    data = f"{os.environ.get('TMPDIR', '/tmp')}/aisbx-ports-{os.getpid()}"
    with open(data, "wb") as f:
        f.write(PIECE * 160)
    try:
        ran = subprocess.run(["curl", "-sS", "--fail", "-T", data, url], capture_output=True, text=True, timeout=WAIT)
        assert ran.returncode == 0 and json.loads(ran.stdout)["bytes"] == len(PIECE) * 160, ran
        ran = subprocess.run(["curl", "-sS", "--fail", "-H", "Transfer-Encoding: chunked", "-T", data, url], capture_output=True, text=True, timeout=WAIT)
        assert ran.returncode == 0 and json.loads(ran.stdout)["bytes"] == len(PIECE) * 160, ran
    finally:
        os.unlink(data)
    script = """
      const [url] = process.argv.slice(1);
      const blocks = new ReadableStream({start(c) { for (let i = 0; i < 50; i++) c.enqueue(new Uint8Array(65536)); c.close(); }});
      const up = await (await fetch(url + '/take', {method: 'PUT', body: blocks, duplex: 'half'})).json();
      const down = await (await fetch(url + '/chunks?n=5000000')).arrayBuffer();
      console.log(up.bytes, down.byteLength);
    """
    ran = subprocess.run(["node", "--input-type=module", "-e", script, url.removesuffix("/take")], capture_output=True, text=True, timeout=WAIT)
    assert ran.stdout == f"{50 * 65536} 5000000\n", ran


TESTS = (passes_requests_on_without_what_is_not_the_servers, passes_answers_on_without_what_is_not_the_sandboxs,
         rewrites_where_it_leads, knows_answers_without_a_body, refuses_answers_that_two_readers_could_read_differently,
         streams_bodies_in_constant_memory, holds_back_who_sends_to_who_does_not_read, asks_to_continue_only_what_is_read,
         refuses_bodies_that_are_none, answers_before_the_body_is_whole, shows_events_as_they_happen, keeps_a_clients_connection,
         serves_a_hundred_at_once, tells_the_server_of_who_leaves, carries_websockets, ends_websockets_from_either_side,
         asks_who_it_is, opens_by_a_link_what_it_is_for_and_nothing_else, reaches_what_is_exposed_alone, keeps_strange_pages_out, tells_of_the_end_of_the_sandbox,
         serves_real_clients, leaves_nothing_when_it_is_killed)

BOX = make()
start(BOX, PORT)
for test in TESTS if __name__ == "__main__" else ():
    test()
    print(f"ok {test.__name__}", flush=True)
if __name__ == "__main__":
    must("DELETE", f"{API}/{BOX}")
