"""The worker's side of aisbx-egress, a name server, and servers to be reached or not. Loopback only."""

import os
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.environ["AISBX_BIN"]
with open(f"{BIN}/aisbx-egress", "rb") as program:
    IS_SANITIZED = b"__asan_init" in program.read()  # it holds more memory, and has no filter
WAIT = 20.0

# service/shared/egressproto.h
OPEN, UPDATE, CLOSE, READY, UPDATED, DENIED, DECISION, CLOSED, SECRET, AUTHORITY = range(1, 11)
REASONS = {1: "no-rule", 2: "deny-rule", 3: "address", 4: "sni", 5: "protocol", 6: "limit", 7: "secret"}
RULES = struct.Struct("=I32sIIIIHHQQ")
SECRETS = struct.Struct("=I32sII")
CLOSING = struct.Struct("=I32s")
SAID = {
    READY: (struct.Struct("=II"), 0),
    UPDATED: (struct.Struct("=I32sI"), 0),
    DENIED: (struct.Struct("=I32sIIII"), 4),
    DECISION: (struct.Struct("=I32sII4xQQ"), 2),
    CLOSED: (struct.Struct("=I32sIIIQQ"), 0),
}


class Proxy:
    """One aisbx-egress; its packets as tuples (type, fields..., texts...)."""

    def __init__(self, *options, files=None):
        limit = files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        self.control.settimeout(WAIT)
        self.process = subprocess.Popen([f"{BIN}/aisbx-egress", "--fd", str(theirs.fileno()), *options],
                                        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                        preexec_fn=limit)
        theirs.close()
        assert self.hear() == (READY, 4)

    def hear(self):
        data = self.control.recv(1 << 16)
        if not data:
            return None
        kind = struct.unpack_from("=I", data)[0]
        head, n_texts = SAID[kind]
        texts = data[head.size:].split(b"\0")
        assert len(texts) == n_texts + 1 and texts[-1] == b"", data
        fields = [f.rstrip(b"\0").decode() if isinstance(f, bytes) else f for f in head.unpack_from(data)]
        return (*fields, *(t.decode() for t in texts[:-1]))

    def hear_until(self, kind):
        """Everything up to the next of that kind."""
        heard = []
        while not heard or heard[-1][0] != kind:
            heard.append(self.hear())
            assert heard[-1] is not None, "the proxy is gone"
        return heard

    def heard_now(self):
        """Everything that was said so far: an UPDATE of a sandbox without connections is the mark."""
        return self.hear_until(UPDATED)[:-1]

    @staticmethod
    def rules(kind, name, allow, deny, serial=0, conns=0, size=0, used=0, secrets=0, authority=0):
        text = b"".join(rule.encode() + b"\0" for rule in (*allow, *deny))
        return RULES.pack(kind, name.encode(), len(allow), len(deny), serial, conns, secrets, authority, size, used) + text

    def open(self, name, listener, allow=(), deny=(), secrets=(), authority=(), **bounds):
        """@secrets: (name, placeholder, value, hosts, hosts within TLS[, PEM]) each. @authority: PEM of certificate and key"""
        rules = self.rules(OPEN, name, allow, deny, secrets=len(secrets), authority=bool(authority), **bounds)
        socket.send_fds(self.control, [rules], [listener.fileno()])
        for secret, placeholder, value, plain, tls, *ca in secrets:
            texts = b"".join(t.encode() + b"\0" for t in (secret, placeholder, value, *plain, *tls, *(ca or [""])))
            self.control.send(SECRETS.pack(SECRET, name.encode(), len(plain), len(tls)) + texts)
        if authority:
            self.control.send(CLOSING.pack(AUTHORITY, name.encode()) + b"".join(t.encode() + b"\0" for t in authority))

    def update(self, name, allow=(), deny=(), serial=1, **bounds):
        self.control.send(self.rules(UPDATE, name, allow, deny, serial=serial, **bounds))

    def close_box(self, name):
        self.control.send(CLOSING.pack(CLOSE, name.encode()))

    def end(self):
        """Hangs up. Returns the exit status."""
        self.control.close()
        return self.process.wait(WAIT)


class Box:
    """A sandbox: rules, and where its programs connect to."""

    def __init__(self, proxy, name, allow=(), deny=(), family=socket.AF_INET, secrets=(), authority=(), **bounds):
        self.proxy, self.name = proxy, name
        listener = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_UNIX:
            self.address = os.path.join(tempfile.mkdtemp(prefix="aisbx-egress."), "socket")
            listener.bind(self.address)
        else:
            listener.bind(("127.0.0.1", 0))
            self.address = listener.getsockname()
        listener.listen(64)
        self.family = family
        proxy.open(name, listener, allow, deny, secrets, authority, **bounds)
        listener.close()

    def connect(self):
        client = socket.socket(self.family, socket.SOCK_STREAM)
        client.settimeout(WAIT)
        client.connect(self.address)
        return client

    def url(self, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.address[1]}"

    def remove(self):
        if self.family == socket.AF_UNIX:
            shutil.rmtree(os.path.dirname(self.address))


def read_all(client):
    """To the end; a reset counts as one."""
    got = b""
    while True:
        try:
            piece = client.recv(1 << 16)
        except ConnectionResetError:
            return got
        if not piece:
            return got
        got += piece


def ask(box, data, half_close=False, wait=WAIT):
    """Sends bytes, returns all that comes back. @wait: seconds for each piece of that."""
    with box.connect() as client:
        client.settimeout(wait)
        try:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_all(client)


class Server:
    """Accepts on one address; remembers all bytes that came. @serve(client) answers, in a thread."""

    def __init__(self, address, port=0, serve=None):
        self.got, self.n = [], 0
        self.serve = serve or self.answer_http
        self.listener = socket.create_server((address, port))
        self.address, self.port = self.listener.getsockname()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.n += 1
            threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client):
        client.settimeout(WAIT)
        with client:
            try:
                self.serve(client)
            except OSError:
                pass

    def answer_http(self, client):
        """One request, whose body is echoed; keeps the connection, whatever the client said, when it can."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = client.recv(1 << 16)
            if not piece:
                self.got.append(data)
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        is_chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
        while len(body) < length or (is_chunked and not body.endswith(b"0\r\n\r\n")):
            piece = client.recv(1 << 16)
            if not piece:
                break
            body += piece
        self.got.append(head + b"\r\n\r\n" + body)
        client.sendall(b"HTTP/1.1 200 OK\r\nX-Server: real\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        client.settimeout(0.2)
        try:
            rest = client.recv(1 << 16)  # a second request that was smuggled would come here
            if rest:
                self.got.append(rest)
        except TimeoutError:
            pass

    def stop(self):
        self.listener.close()


class Names:
    """A name server: names to a list of answers, each a list of addresses; the last one stays. @silent: below this
    name nothing is answered before speak(). @cut: below this name answers are too long for a packet."""

    def __init__(self, table, silent=None, cut=None):
        self.silent, self.held, self.cut = silent, [], cut
        self.table, self.asked = {k: [list(a) for a in v] for k, v in table.items()}, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(2048)
            except OSError:
                return
            reply = self.answer(query)
            if self.silent and self.asked[-1].endswith(self.silent):
                self.held.append((reply, peer))
            else:
                self.sock.sendto(reply, peer)

    def speak(self):
        self.silent = None
        for reply, peer in self.held:
            self.sock.sendto(reply, peer)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack_from("!H", query, at + 1)[0]
        name = ".".join(labels).lower()
        family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        self.asked.append(name)
        answers = self.table.get(name, [[]])
        addresses = [socket.inet_pton(family, a) for a in answers[0] if (":" in a) == (size == 16)]
        if len(answers) > 1 and kind == 28:  # the second of the two questions of a look-up
            answers.pop(0)
        question = query[12:at + 5]
        code = 0 if name in self.table else 3
        if self.cut and name.endswith(self.cut):
            code, addresses = 0x200, []  # TC
        reply = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(addresses), 0, 0) + question
        for address in addresses:
            reply += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, size) + address
        return reply

    def stop(self):
        self.sock.close()


def client_hello(name, records=0):
    """The first flight of a real TLS client; @records: cut into records of that many bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    if not records:
        return hello
    body = hello[5:]
    pieces = [body[i:i + records] for i in range(0, len(body), records)]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(p)) + p for p in pieces)


def wait_until(what, condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


def run_all(tests):
    """Runs functions, whose names read as sentences, or those that the command line names. Prints each; the status is
    that of all."""
    failed = []
    chosen = [word for word in sys.argv[1:] if word.isidentifier()]
    for test in [test for test in tests if not chosen or test.__name__ in chosen]:
        try:
            test()
            print(f"ok      {test.__name__}", flush=True)
        except Exception as error:  # noqa: BLE001: anything is a failure
            failed.append(test.__name__)
            print(f"FAILED  {test.__name__}: {type(error).__name__}: {error}", flush=True)
            import traceback
            traceback.print_exc()
    sys.exit(1 if failed else 0)
