"""Runs inside: takes processes, timers, inotify instances, descriptors, space and bytes of pipes until the kernel refuses, and prints how
many it got and the error, as JSON. Holds what it has for a while, as init looks once a second."""

import ctypes
import errno
import fcntl
import json
import os
import signal
import time

HOLD_S = 3
SIGEV_SIGNAL = 0
F_SETPIPE_SZ = 1031

libc = ctypes.CDLL(None, use_errno=True)


class Event(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("pad", ctypes.c_char * 48)]


def make_timer():
    made = ctypes.c_void_p()
    event = Event(None, 10, SIGEV_SIGNAL)
    if libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(made)) < 0:
        raise OSError(ctypes.get_errno(), "timer_create")


def make_inotify():
    if libc.inotify_init1(0) < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")


def until_refused(take, most):
    for count in range(most):
        try:
            take()
        except OSError as error:
            return {"count": count, "error": errno.errorcode[error.errno]}
    return {"count": most, "error": ""}


def in_child(take, most):
    """What a child gets, which holds it while it sleeps."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.write(writer, json.dumps(until_refused(take, most)).encode() + b"\n")
        time.sleep(HOLD_S)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return json.loads(file.readline())


children = []


def fork():
    child = os.fork()
    if child == 0:
        signal.pause()
    children.append(child)


def forks():
    """What there is of it ends before others need a process."""
    counted = until_refused(fork, 1000)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return counted


disk = os.open("/tmp/fill", os.O_CREAT | os.O_WRONLY, 0o600)
pipe_bytes = 0


def fill_pipe():
    global pipe_bytes
    _, writer = os.pipe()
    pipe_bytes += fcntl.fcntl(writer, F_SETPIPE_SZ, 1 << 20)


found = {
    "processes": forks(),
    "timers": in_child(make_timer, 100000),
    "inotify": in_child(make_inotify, 200),
    "descriptors": in_child(lambda: os.open("/dev/null", os.O_RDONLY), 100000),
}
found["disk"] = until_refused(lambda: os.write(disk, bytes(1 << 16)), 100000)
found["pipes"] = until_refused(fill_pipe, 100)
found["pipes"]["bytes"] = pipe_bytes
print(json.dumps(found), flush=True)
time.sleep(HOLD_S)
