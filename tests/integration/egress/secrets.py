#!/usr/bin/env python3
"""Secrets by plain HTTP: the host that one is bound to gets the value, in header fields alone; nobody else does, and
what comes back has it not."""

import base64
import os
import re
import shutil
import socket
import subprocess
import sys

import rig
from rig import DENIED, Box, Names, Proxy, Server, ask, read_all

if not shutil.which("curl"):
    print("skipped: needs curl")
    sys.exit(77)
GOOD = "127.77.0.5"
VALUE = "s3cr3t-of-the-host-" + os.urandom(8).hex()
PLACEHOLDER = "aisbx-secret-" + "p" * (len(VALUE) - 13)
SHORT, SHORT_PLACEHOLDER = "short-one", "aisbx-secret-" + "q" * 22
OTHER, OTHER_PLACEHOLDER = "another-secret-" + "o" * 20, "aisbx-secret-" + "r" * 22
names = Names({name: [[GOOD]] for name in ("good.test", "bad.test", "a.wild.test")})
proxy = Proxy("--resolver", names.address)


class Web(Server):
    """Remembers requests; answers with .answer, or an echo of what came."""

    answer = None

    def answer_http(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(1 << 16) or b"\r\n\r\n"
        self.got.append(data)
        if self.answer is None:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Echo: %s\r\n\r\n"
                           % (len(data), re.sub(rb"[\r\n]+", b" ", data).strip()) + data)
        else:
            for piece in self.answer:
                client.sendall(piece)


web = Web(GOOD)
PORT = web.port
HOSTS = [f"good.test:{PORT}", f"*.wild.test:{PORT}"]
box = Box(proxy, "sb_secrets", ["good.test", "bad.test", "*.wild.test", GOOD],
          secrets=[("TOKEN", PLACEHOLDER, VALUE, HOSTS, []), ("SHORT", SHORT_PLACEHOLDER, SHORT, HOSTS, []),
                   ("OTHER", OTHER_PLACEHOLDER, OTHER, [f"bad.test:{PORT}"], ["good.test:1"])])
mark = Box(proxy, "sb_mark")


def get(fields="", host="good.test", path="/", answer=None):
    """The answer of the proxy, and the request as it came to the server."""
    web.got.clear()
    web.answer = answer
    reply = ask(box, f"GET http://{host}:{PORT}{path} HTTP/1.1\r\nHost: {host}:{PORT}\r\n{fields}\r\n".encode())
    return reply, (web.got or [b""])[0]


def assert_clean(reply):
    for value in (VALUE, SHORT, OTHER):
        assert value.encode() not in reply, reply
        for user in ("user:", "u:"):
            assert base64.b64encode((user + value).encode()) not in reply, reply


def body_of(reply):
    return reply.partition(b"\r\n\r\n")[2]


def told():
    proxy.update("sb_mark")
    return [w for w in proxy.heard_now() if w[0] == DENIED]


def the_bound_host_gets_the_value():
    reply, request = get(f"Authorization: Bearer {PLACEHOLDER}\r\nX-Two: {SHORT_PLACEHOLDER},{PLACEHOLDER}\r\n")
    assert f"\r\nAuthorization: Bearer {VALUE}\r\nX-Two: {SHORT},{VALUE}\r\n".encode() in request, request
    assert b"aisbx-secret" not in request, request
    assert reply.startswith(b"HTTP/1.1 200 "), reply
    assert f"\r\nX-Two: {SHORT_PLACEHOLDER[:len(SHORT)]},{PLACEHOLDER}\r\n".encode() in reply, reply
    assert_clean(reply)
    assert VALUE.encode() in get(f"X: {PLACEHOLDER}\r\n", "a.wild.test")[1]


def basic_credentials_are_looked_into():
    token = base64.b64encode(f"user:{PLACEHOLDER}".encode())
    reply, request = get(f"Authorization: Basic {token.decode()}\r\n")
    wanted = base64.b64encode(f"user:{VALUE}".encode())
    assert b"\r\nAuthorization: Basic " + wanted + b"\r\n" in request, request
    assert token in body_of(reply), reply
    assert_clean(reply)
    reply, request = get(f"authorization: basic {base64.b64encode(f'u:{SHORT_PLACEHOLDER}'.encode()).decode()}\r\n")
    assert base64.b64encode(f"u:{SHORT}".encode()) in request, request
    assert_clean(reply)
    for odd in ("Basic", "Basic ====", "Basic !!!!", "Basic YQ==", "Basic YQ=", "Basic " + "A" * 8000):
        assert get(f"Authorization: {odd}\r\n")[0].startswith(b"HTTP/1.1 200 "), odd


def the_end_of_basic_credentials_may_be_written_otherwise():
    """JSON and URLs have forms of their own for "=", and some leave it out."""
    for user in ("a", "ab", "abc"):
        sent = base64.b64encode(f"{user}:{PLACEHOLDER}".encode())
        token = base64.b64encode(f"{user}:{VALUE}".encode())
        bare = token.rstrip(b"=")
        body = b" ".join(bare + b * (len(token) - len(bare)) for b in (b"", b"=", b"%3D", b"\\u003d"))
        head = b"HTTP/1.1 302 Found\r\nLocation: /?a=" + body.split()[2] + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        reply, request = get(f"Authorization: Basic {sent.decode()}\r\n", answer=[head + body])
        assert token in request and bare not in reply, (user, reply)
        assert body_of(reply).split()[1] == sent and len(body_of(reply)) == len(body), (user, reply)


def curl_sends_it_as_a_password():
    web.got.clear()
    web.answer = None
    done = subprocess.run(["curl", "-fsS", "--max-time", "20", "--noproxy", "", "--proxy", box.url(), "--compressed",
                           "-u", f"user:{PLACEHOLDER}", f"http://good.test:{PORT}/"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert base64.b64encode(f"user:{VALUE}".encode()) in web.got[0], web.got
    assert b"\r\nAccept-Encoding: identity\r\n" in web.got[0] and b"deflate" not in web.got[0], web.got
    assert_clean(done.stdout)


def another_host_does_not_even_get_what_stands_for_it():
    told()
    for field in (f"X: {PLACEHOLDER}", f"X: ({PLACEHOLDER})",
                  f"Authorization: Basic {base64.b64encode(f'u:{PLACEHOLDER}'.encode()).decode()}"):
        reply, request = get(f"{field}\r\n", "bad.test")
        assert b"X-Aisbx-Denied: secret" in reply and b"secrets.TOKEN.hosts" in reply and not request, (reply, request)
        what, = told()
        assert what[2] == 7 and what[6:8] == ("bad.test", "TOKEN") and what[9] == f"bad.test:{PORT}", what
    # A secret that is bound to this host within TLS only, and one of another.
    reply, request = get(f"X: {OTHER_PLACEHOLDER}\r\n")
    assert b"X-Aisbx-Denied: secret" in reply and not request, reply
    assert OTHER.encode() in get(f"X: {OTHER_PLACEHOLDER}\r\n", "bad.test")[1]
    told()


def nothing_is_put_into_a_url_or_a_body():
    reply, request = get("", path=f"/?key={PLACEHOLDER}")
    assert b"X-Aisbx-Denied: secret" in reply and b"URL" in reply and not request, reply
    assert told()[0][9] == ""
    web.got.clear()
    ask(box, f"POST http://good.test:{PORT}/ HTTP/1.1\r\nHost: good.test:{PORT}\r\nContent-Length: {len(PLACEHOLDER)}"
             f"\r\n\r\n{PLACEHOLDER}".encode())
    assert VALUE.encode() not in b"".join(web.got)


def pieces_of_an_answer_are_put_together_before_they_are_looked_at():
    value = VALUE.encode()
    for cut in (1, 5, len(value) - 1):
        body = b"a" * 10 + value + b"b" * 10 + value[:cut] + b"c" + value + value
        clean = body.replace(value, PLACEHOLDER.encode())
        pieces = [body[i:i + cut] for i in range(0, len(body), cut)]
        by_length = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), *pieces]
        to_the_end = [b"HTTP/1.1 200 OK\r\n\r\n", *pieces]
        chunks = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                  *(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces), b"0\r\n\r\n"]
        assert body_of(get(answer=by_length)[0]) == clean
        assert body_of(get(answer=to_the_end)[0]) == clean
        got, rest = b"", body_of(get(answer=chunks)[0])
        while not rest.startswith(b"0\r\n\r\n"):
            size, _, rest = rest.partition(b"\r\n")
            got, rest = got + rest[:int(size, 16)], rest[int(size, 16) + 2:]
        assert got == clean, (got, clean)


def long_answers_pass_whole():
    body = os.urandom(1 << 20).replace(b"s", b"t") + VALUE.encode()[:-1]
    for head in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), b"HTTP/1.0 200 OK\r\n\r\n"):
        assert body_of(get(answer=[head, body])[0]) == body
    reply, _ = get(answer=[b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello"])
    assert body_of(reply) == b"", reply
    reply, _ = get(answer=[b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"])
    assert body_of(reply).endswith(b"hello"), reply


def half_an_answer_is_no_answer():
    with box.connect() as client:
        web.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"]
        client.sendall(f"GET http://good.test:{PORT}/ HTTP/1.1\r\nHost: good.test:{PORT}\r\n\r\n".encode())
        try:
            while client.recv(1 << 16):
                pass
            raise AssertionError("it looks whole")
        except ConnectionResetError:
            pass


def what_cannot_be_looked_through_does_not_pass():
    for head, why in ((b"Content-Encoding: gzip\r\nContent-Length: 3", b"compressed"),
                      (b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Content-Length"),
                      (b"Transfer-Encoding: gzip", b"chunked")):
        reply, _ = get(answer=[b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nabc"])
        assert reply.startswith(b"HTTP/1.1 502 ") and why in reply, reply
    reply, _ = get(answer=[b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\n\r\n"])
    assert reply.startswith(b"HTTP/1.1 502 "), reply
    _, request = get("Range: bytes=0-3\r\nIf-Range: x\r\nAccept-Encoding: gzip, br\r\n")
    assert b"ange" not in request and b"gzip" not in request, request
    _, request = get("Request-Range: bytes=0-3\r\nA-IM: gzip, range\r\n")
    assert b"ange" not in request and b"A-IM" not in request, request


def a_second_request_behind_the_first_gets_nothing():
    web.got.clear()
    web.answer = None
    head = f"GET http://good.test:{PORT}/ HTTP/1.1\r\nHost: good.test:{PORT}\r\nX: {PLACEHOLDER}\r\n\r\n"
    ask(box, (head + head.replace("X:", "Y:")).encode())
    assert len(web.got) == 1 and b"Y:" not in web.got[0], web.got
    told()


def rules_that_take_the_host_away_take_the_secret_away():
    proxy.update("sb_secrets", ["bad.test"], serial=5)
    proxy.hear_until(rig.UPDATED)
    reply, request = get(f"X: {PLACEHOLDER}\r\n")
    assert b"X-Aisbx-Denied: no-rule" in reply or b"403" in reply, reply
    assert not request
    proxy.update("sb_secrets", ["good.test", "bad.test", "*.wild.test", GOOD], serial=6)
    proxy.hear_until(rig.UPDATED)
    assert VALUE.encode() in get(f"X: {PLACEHOLDER}\r\n")[1]
    told()


def nobody_is_served_before_all_secrets_are_there():
    late = socket.create_server(("127.0.0.1", 0))
    rules = proxy.rules(rig.OPEN, "sb_late", ["good.test", GOOD], [], secrets=1)
    socket.send_fds(proxy.control, [rules], [late.fileno()])
    with socket.create_connection(late.getsockname()) as client:
        client.settimeout(0.3)
        web.got.clear()
        web.answer = None
        client.sendall(f"GET http://good.test:{PORT}/ HTTP/1.1\r\nHost: good.test:{PORT}\r\nX: {PLACEHOLDER}\r\n\r\n".encode())
        try:
            raise AssertionError(client.recv(100))
        except TimeoutError:
            pass
        texts = b"".join(t.encode() + b"\0" for t in ("TOKEN", PLACEHOLDER, VALUE, HOSTS[0], ""))
        proxy.control.send(rig.SECRETS.pack(rig.SECRET, b"sb_late", 1, 0) + texts)
        client.settimeout(rig.WAIT)
        assert_clean(read_all(client))
        assert VALUE.encode() in web.got[0], web.got
    late.close()


def what_the_worker_may_not_say_ends_the_proxy():
    texts = b"TOKEN\0" + b"p" * 20 + b"\0" + VALUE.encode() + b"\0" + HOSTS[0].encode() + b"\0\0"
    for bad in (texts, texts[:-1], b"TOKEN\0" + PLACEHOLDER.encode() + b"\0seven..\0good.test:1\0\0",
                b"TOKEN\0" + PLACEHOLDER.encode() + b"\0" + VALUE.encode() + b"\0good.test\0\0",
                b"TOKEN\0" + PLACEHOLDER.encode() + b"\0" + VALUE.encode() + b"\0good.test:1\0no certificate\0"):
        other = Proxy("--resolver", names.address)
        listener = socket.create_server(("127.0.0.1", 0))
        socket.send_fds(other.control, [other.rules(rig.OPEN, "sb_x", [], [], secrets=1)], [listener.fileno()])
        other.control.send(rig.SECRETS.pack(rig.SECRET, b"sb_x", 1, 0) + bad)
        assert other.process.wait(rig.WAIT) == 1, bad
        listener.close()


rig.run_all([
    the_bound_host_gets_the_value,
    basic_credentials_are_looked_into,
    the_end_of_basic_credentials_may_be_written_otherwise,
    curl_sends_it_as_a_password,
    another_host_does_not_even_get_what_stands_for_it,
    nothing_is_put_into_a_url_or_a_body,
    pieces_of_an_answer_are_put_together_before_they_are_looked_at,
    long_answers_pass_whole,
    half_an_answer_is_no_answer,
    what_cannot_be_looked_through_does_not_pass,
    a_second_request_behind_the_first_gets_nothing,
    rules_that_take_the_host_away_take_the_secret_away,
    nobody_is_served_before_all_secrets_are_there,
    what_the_worker_may_not_say_ends_the_proxy,
])
