"""latency.py FILE: how fast this machine answers. Reads lines "SECONDS", measures for so long, prints one line of JSON
with lists of microseconds: "timer", how late a timer of 1 ms wakes us; "spawn", to start a small program and see its
end; "file", to make, write, look at and remove a small FILE."""

import gc
import json
import os
import sys
import time

TIMER_US = 1000
TIMERS = 20  # for each of the others


def timer():
    began = time.perf_counter_ns()
    time.sleep(TIMER_US / 1e6)
    return (time.perf_counter_ns() - began) / 1000 - TIMER_US


def spawn():
    began = time.perf_counter_ns()
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return (time.perf_counter_ns() - began) / 1000


def file(path):
    began = time.perf_counter_ns()
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.write(fd, bytes(4096))
    os.close(fd)
    os.stat(path)
    os.unlink(path)
    return (time.perf_counter_ns() - began) / 1000


def measure(seconds, path):
    found = {"timer": [], "spawn": [], "file": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found["timer"] += [timer() for _ in range(TIMERS)]
        found["spawn"].append(spawn())
        found["file"].append(file(path))
    return found


def main():
    gc.disable()
    for line in sys.stdin:
        print(json.dumps(measure(float(line), sys.argv[1])), flush=True)


if __name__ == "__main__":
    main()
