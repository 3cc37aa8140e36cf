"""Runs inside: one server for all that tests ask of it, by path. ports_server.py PORT"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time
from urllib.parse import parse_qsl, urlsplit

PIECE = bytes(range(256)) * 256
WS = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def head_of(f):
    line = f.readline().decode().split()
    fields = []
    while (text := f.readline().decode().rstrip("\r\n")):
        name, value = text.split(":", 1)
        fields.append((name, value.strip()))
    return line, fields


def body_of(f, fields):
    low = {name.lower(): value for name, value in fields}
    if low.get("transfer-encoding") == "chunked":
        while size := int(f.readline(), 16):
            left = size
            while left:
                data = f.read1(min(left, 65536))
                left -= len(data)
                yield data
            assert f.readline() == b"\r\n"
        assert f.readline() == b"\r\n", "no trailers"
        return
    left = int(low.get("content-length", 0))
    while left:
        data = f.read1(min(left, 65536))
        if not data:
            return
        left -= len(data)
        yield data


def note(name, text):
    with open(f"/tmp/{name}.new", "w", encoding="utf-8") as new:
        new.write(text)
    os.rename(f"/tmp/{name}.new", f"/tmp/{name}")


def answer(c, body, kind="application/json", more=""):
    c.sendall(f"HTTP/1.1 200 Fine\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def frame(opcode, data, last=True):
    size = len(data)
    head = bytes([(0x80 if last else 0) | opcode])
    head += bytes([size]) if size < 126 else struct.pack("!BH", 126, size) if size < 65536 else struct.pack("!BQ", 127, size)
    return head + data


def frames(f):
    while first := f.read(2):
        size = first[1] & 0x7F
        size = struct.unpack("!H", f.read(2))[0] if size == 126 else struct.unpack("!Q", f.read(8))[0] if size == 127 else size
        assert first[1] & 0x80, "a client masks"
        mask = f.read(4)
        data = f.read(size)
        key = (mask * (size // 4 + 1))[:size]
        plain = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        yield first[0] & 0xF, plain, bool(first[0] & 0x80)


def websocket(c, f, fields, query):
    low = {name.lower(): value for name, value in fields}
    accept = base64.b64encode(hashlib.sha1(low["sec-websocket-key"].encode() + WS).digest()).decode()
    c.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: test\r\n\r\n".encode() + frame(1, json.dumps(fields).encode()))
    if "bye" in query:
        c.sendall(frame(8, struct.pack("!H", 4001) + b"bye"))
        return
    end = "eof"
    try:
        for opcode, data, last in frames(f):
            if opcode == 8:
                end = f"close {struct.unpack('!H', data[:2])[0]}"
                c.sendall(frame(8, data))
                break
            c.sendall(frame(10 if opcode == 9 else opcode, data, last))
    except OSError as error:
        end = type(error).__name__
    note("ws", end)


def serve(c):
    f = c.makefile("rb")
    (method, target, _), fields = head_of(f)
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    n = int(query.get("n", 0))
    if url.path.startswith("/raw/"):
        c.sendall(base64.urlsafe_b64decode(url.path[5:]))
        if "hold" in query:
            f.read()
    elif url.path == "/head":
        c.sendall(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 90) for i in range(n)) + b"Content-Length: 0\r\n\r\n")
    elif url.path == "/pad":
        c.sendall(b"HTTP/1.1 200 OK\r\nX-Pad: %s\r\nContent-Length: 0\r\n\r\n" % (b"x" * n))
    elif url.path == "/interim":
        c.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * n + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    elif url.path == "/give":
        c.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n".encode())
        try:
            while n:
                c.sendall(PIECE[:n])
                n -= min(n, len(PIECE))
            note("give", "whole")
        except OSError as error:
            note("give", type(error).__name__)
    elif url.path == "/chunks":
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n")
        while n:
            data = PIECE[:n]
            c.sendall(b"%x;ext=1\r\n%s\r\n" % (len(data), data))
            n -= len(data)
        c.sendall(b"0\r\nX-End: 1\r\n\r\n")
    elif url.path == "/take":
        seen, size = hashlib.sha256(), 0
        for data in body_of(f, fields):
            seen.update(data)
            size += len(data)
        answer(c, json.dumps({"bytes": size, "sha256": seen.hexdigest(), "fields": fields}).encode())
    elif url.path == "/refuse":
        answer(c, b"no")
    elif url.path == "/stuck":
        threading.Event().wait()
    elif url.path == "/events":
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        c.sendall(b"data: first\n\n")
        while not os.path.exists("/tmp/second"):
            time.sleep(0.01)
        c.sendall(b"data: second\n\n")
    elif url.path == "/ws":
        websocket(c, f, fields, query)
    elif url.path == "/page":
        answer(c, PAGE, "text/html")
    elif url.path == "/told":
        note("told", query["t"])
        answer(c, b"{}")
    else:
        size = sum(map(len, body_of(f, fields)))
        answer(c, json.dumps({"method": method, "target": target, "fields": fields, "bytes": size}).encode(),
               more="Set-Cookie: sid=1; Path=/app; HttpOnly; Domain=gw.example\r\nSet-Cookie: b=2\r\n")
    c.shutdown(socket.SHUT_WR)
    f.close()
    c.close()


PAGE = b"""<!doctype html><title>inside</title><link rel=icon href=data:,><p id=out>nothing yet</p><script>
const told = {origin: self.origin};
try { localStorage.x = 1; told.storage = 'open'; } catch (e) { told.storage = e.name; }
try { document.cookie; told.cookie = 'open'; } catch (e) { told.cookie = e.name; }
const tell = () => fetch('told?t=' + encodeURIComponent(JSON.stringify(told)));
(async () => {
  const reach = async (path) => { try { return (await fetch(path)).status; } catch (e) { return e.name; } };
  told.own = await reach('deep/er?x=1');
  told.rest = await reach('/api/v1/sandboxes');
  const ws = new WebSocket(new URL('ws', location).href.replace(/^http/, 'ws'), 'test');
  ws.binaryType = 'arraybuffer';
  let n = 0;
  ws.onerror = () => { told.ws = 'error'; tell(); };
  ws.onmessage = (e) => {
    if (n++ === 0) { ws.send('from a page'); ws.send(new Uint8Array(200000)); return; }
    if (n === 2) { told.text = e.data; return; }
    told.bytes = e.data.byteLength; ws.close(4000, 'done');
  };
  ws.onclose = (e) => { told.ws = e.code; document.getElementById('out').textContent = JSON.stringify(told); tell(); };
})();
</script>"""


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
    print("ready", flush=True)
    while True:
        threading.Thread(target=guard, args=(listener.accept()[0],), daemon=True).start()


def guard(c):
    try:
        serve(c)
    except OSError:
        c.close()


main()
