"""A store that gateways share: a real one, and some that are none."""

import os
import shutil
import socket
import subprocess
import threading

import rig


def server():
    return next((name for name in ("valkey-server", "redis-server") if shutil.which(name)), None)


class Store:
    """Valkey or Redis on a unix socket, with nothing on disk."""

    def __init__(self, name, options=()):
        self.name, self.path, self.options = name, f"{rig.SCRATCH}/{name}.sock", options
        self.url = f"unix://{self.path}"
        self.start()

    def start(self):
        with open(f"{rig.SCRATCH}/{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [server(), "--port", "0", "--unixsocket", self.path, "--save", "", "--dir", rig.SCRATCH, *self.options], stdout=log, stderr=log)
        rig.until(f"{self.name} is there", lambda: self.process.poll() is None and self.answers())

    def answers(self):
        try:
            return self.ask("PING") is not None
        except OSError:
            return False

    def ask(self, *words):
        """What it answers: text, bytes of lists joined by spaces, or an error as it stands."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(rig.WAIT)
            sock.connect(self.path)
            sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words))
            return self.read(sock.makefile("rb"))

    def read(self, file):
        line = file.readline().decode().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == "$" and rest != "-1":
            return file.read(int(rest) + 2)[:-2].decode()
        if kind == "*":
            return [self.read(file) for _ in range(int(rest))]
        return None if rest == "-1" and kind == "$" else line if kind == "-" else rest

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if os.path.exists(self.path):
            os.unlink(self.path)


class Fake:
    """Takes connections and says what it is told to."""

    def __init__(self, name, says):
        self.path, self.says, self.taken, self.kept = f"{rig.SCRATCH}/{name}.sock", says, 0, []
        self.url = f"unix://{self.path}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.taken += 1
            self.kept.append(sock)
            threading.Thread(target=self.speak, args=(sock,), daemon=True).start()

    def speak(self, sock):
        try:
            self.says(sock)
        except OSError:
            pass

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.kept:
            sock.close()
