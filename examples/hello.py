#!/usr/bin/env python3
"""A small real program that reports what it sees from inside a sandbox.

Run it with:  aisbx run --profile python-dev python3 examples/hello.py
"""

import os
import platform
import socket
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor


def show(what, value):
    print(f"{what:<12} {value}")


def count_primes(bounds):
    low, high = bounds
    return sum(
        1
        for n in range(max(low, 2), high)
        if all(n % d for d in range(2, int(n**0.5) + 1))
    )


def primes_below(limit, workers=4):
    part = limit // workers
    parts = [(i * part, (i + 1) * part) for i in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(count_primes, parts))


def refused(action):
    """What the sandbox answers to something it must not allow."""
    try:
        action()
    except OSError as error:
        return f"refused ({error.strerror or error})"
    return "ALLOWED"


def connect_out():
    # A documentation address (RFC 5737): nothing answers there, and nothing should be asked.
    socket.create_connection(("192.0.2.1", 80), timeout=2).close()


def write_to_usr():
    with open("/usr/hello", "w", encoding="utf-8"):
        pass


def main():
    show("python", platform.python_version())
    show("user", f"uid {os.getuid()}, gid {os.getgid()}")
    show("process", f"pid {os.getpid()}, {len([p for p in os.listdir('/proc') if p.isdigit()])} visible")
    show("host name", socket.gethostname())
    show("directory", f"{os.getcwd()}: {' '.join(sorted(os.listdir('.'))[:6])} ...")
    show("environment", " ".join(sorted(os.environ)))

    with tempfile.NamedTemporaryFile("w+") as scratch:
        scratch.write("kept until the sandbox ends")
        scratch.flush()
        show("scratch", f"{scratch.name}, {os.path.getsize(scratch.name)} bytes")

    show("threads", f"{primes_below(20000)} primes below 20000")
    with sqlite3.connect(":memory:") as db:
        db.execute("create table run (n integer)")
        db.executemany("insert into run values (?)", [(n,) for n in range(100)])
        show("sqlite", f"sum is {db.execute('select sum(n) from run').fetchone()[0]}")
    child = subprocess.run(["uname", "-s"], capture_output=True, text=True, check=True)
    show("subprocess", f"uname says {child.stdout.strip()}")

    network, system = refused(connect_out), refused(write_to_usr)
    show("network", network)
    show("write /usr", system)
    return 1 if "ALLOWED" in (network, system) else 0


if __name__ == "__main__":
    sys.exit(main())
