#!/usr/bin/python3
"""aisbx attach over connections that break: reconnect.py WORKER-PORT AISBX SANDBOX. What it puts out is whole."""

import hashlib
import os
import socket
import subprocess
import sys
import threading

PORT, AISBX, SANDBOX = int(sys.argv[1]), sys.argv[2], sys.argv[3]
WAIT = 120
CUTS, CUT = 4, 1 << 20

PROGRAM = "import random, sys; r = random.Random(3); [sys.stdout.buffer.write(r.randbytes(1 << 16)) for _ in range(128)]"


def wanted():
    import random

    source, digest = random.Random(3), hashlib.sha256()
    for _ in range(128):
        digest.update(source.randbytes(1 << 16))
    return digest.hexdigest()


class Proxy:
    """Carries connections to the worker; the first few break after CUT bytes from there."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cuts = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            ours, _ = self.listener.accept()
            theirs = socket.create_connection(("127.0.0.1", PORT))
            threading.Thread(target=self.carry, args=(ours, theirs, None), daemon=True).start()
            threading.Thread(target=self.carry, args=(theirs, ours, CUT), daemon=True).start()

    def carry(self, source, sink, bound):
        n = 0
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                n += len(data)
                with self.lock:
                    if bound and n >= bound and self.cuts < CUTS:
                        self.cuts += 1
                        break
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def aisbx(address, *args, **more):
    return subprocess.run([AISBX, "--address", address, *args], timeout=WAIT, **more)


direct = f"ipv4:127.0.0.1:{PORT}"
started = aisbx(direct, "exec", "--detach", SANDBOX, "python3", "-c", PROGRAM, check=True, stdout=subprocess.PIPE, text=True)
proxy = Proxy()
said = aisbx(f"ipv4:127.0.0.1:{proxy.port}", "attach", started.stdout.strip(), capture_output=True)
assert said.returncode == 0, (said.returncode, said.stderr)
assert proxy.cuts == CUTS, f"{proxy.cuts} connections broke"
assert said.stderr.count(b"connection was lost") == CUTS, said.stderr
assert hashlib.sha256(said.stdout).hexdigest() == wanted(), f"{len(said.stdout)} bytes are not what was written"
