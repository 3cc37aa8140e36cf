"""A worker that writes down what it does, and its database."""

import hashlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

BIN, DIR = sys.argv[1], pathlib.Path(sys.argv[2])
WAIT = 60
TEXTS = ("actor", "tenant", "action", "outcome", "sandbox_id", "exec_id", "policy_hash", "detail")


def until(what, condition, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def call(program, *args, **more):
    return subprocess.run([f"{BIN}/{program}", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=WAIT, check=False, **more)


def verify(file, *args):
    """(status, what it says)"""
    done = call("aisbx-security", "audit", "verify", *args, "--json", "--", str(file))
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr.decode()


def must_verify(file, *args):
    status, said = verify(file, *args)
    assert status == 0 and said["good"], (status, said)
    return said


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def rows(file):
    """Records as they lie in the database, by Python's own SQLite."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        return db.execute(f"SELECT sequence, time_ms, {', '.join(TEXTS)}, hash FROM audit ORDER BY sequence").fetchall()


def chain(records):
    """The hash of each record as trail/record.h says it is made."""
    previous = bytes(32)
    for sequence, time_ms, *texts, _ in records:
        text = b"aisbx audit 1\n" + sequence.to_bytes(8, "little") + time_ms.to_bytes(8, "little")
        for part in texts:
            data = part.encode()
            text += len(data).to_bytes(4, "little") + data
        previous = hashlib.sha256(previous + text).digest()
        yield previous


class Worker:
    def __init__(self, state):
        self.state, self.address = state, f"unix:{DIR}/w.sock"
        self.db = state / "aisbx.db"
        self.log = open(DIR / "worker.log", "ab")

    def __enter__(self):
        read, write = os.pipe()
        self.process = subprocess.Popen([f"{BIN}/aisbx-worker", "--state-dir", str(self.state), "--listen", self.address, "--ready-fd", str(write)],
                                        pass_fds=[write], stderr=self.log, stdin=subprocess.DEVNULL)
        os.close(write)
        with open(read, encoding="utf-8") as ready:
            line = ready.readline()
        if not line.startswith("READY"):
            self.process.kill()
            self.process.wait()
            raise AssertionError(line + (DIR / "worker.log").read_text(errors="replace")[-3000:])
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def aisbx(self, *args, **more):
        return call("aisbx", "--address", self.address, *args, **more)

    def must(self, *args, **more):
        done = self.aisbx(*args, **more)
        assert done.returncode == 0, (args, done)
        return done.stdout.decode().strip()

    def audit(self, *args):
        done = call("aisbx-security", "--address", self.address, "audit", *args)
        assert done.returncode == 0, (args, done)
        return done.stdout
