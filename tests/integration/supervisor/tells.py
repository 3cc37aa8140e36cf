#!/usr/bin/env python3
"""What aisbx-supervisor tells a service manager, by the protocol of sd_notify(3), and when it keeps silent."""

import os
import signal
import socket
import time

from rig import SCRATCH, Supervisor, until


class Manager:
    """A notification socket, by path or abstract."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)
        self.socket.setblocking(False)
        self.told = []

    def lines(self):
        while True:
            try:
                at, text = time.monotonic(), self.socket.recv(4096).decode()
            except BlockingIOError:
                return [line for _, line in self.told]
            self.told += [(at, line) for line in text.split("\n")]

    def wait(self, line, seconds=60):
        until(line, lambda: line in self.lines(), seconds)

    def clear(self):
        self.lines()
        self.told = []


def tells_its_states():
    for name in (f"{SCRATCH}/notify", f"@aisbx-test-{os.getpid()}"):
        manager = Manager(name)
        with Supervisor(env={"NOTIFY_SOCKET": name}) as sup:
            manager.wait("READY=1")
            sup.wait_well()
            manager.wait("STATUS=well")
            manager.clear()
            sup.process.send_signal(signal.SIGHUP)
            manager.wait("RELOADING=1")
            manager.wait("READY=1")
            assert any(line.startswith("MONOTONIC_USEC=") for line in manager.lines()), "systemd wants it with RELOADING"
            assert not any(line.startswith("WATCHDOG") for line in manager.lines()), "nobody asked for it"
            assert sup.stop() == 0
            assert "STOPPING=1" in manager.lines()
            assert "READY=1" not in manager.lines()[manager.lines().index("STOPPING=1"):]


def is_not_ready_while_a_part_does_not_start():
    manager = Manager(f"{SCRATCH}/notify2")
    with Supervisor("--gateway-option=--tls-cert=/nonexistent", "--gateway-option=--tls-key=/nonexistent", env={"NOTIFY_SOCKET": manager.name}) as sup:
        until("the gateway failed", lambda: sup.said().count("starting it again") >= 3)
        assert "READY=1" not in manager.lines()
        assert sup.stop() == 0


def feeds_the_watchdog_while_all_is_well():
    """A gateway that hangs starves the watchdog, is ended, and then all is well again."""
    manager = Manager(f"{SCRATCH}/notify3")
    with Supervisor(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "4000000"}) as sup:
        sup.wait_well()
        manager.wait("WATCHDOG=1")
        gateway = sup.pid("gateway")
        os.kill(gateway, signal.SIGSTOP)
        until("it is seen", lambda: sup.health()[0] == 1)
        manager.clear()
        missed = sup.said().count("does not answer")
        until("it is missed once more", lambda: sup.said().count("does not answer") > missed)
        assert "WATCHDOG=1" not in manager.lines(), "not while one part hangs"
        until("it is ended", lambda: sup.pid("gateway") != gateway)
        sup.wait_back("gateway", gateway)
        manager.wait("WATCHDOG=1")
        assert "does not answer" in sup.said()
        assert sup.stop() == 0


def ignores_a_watchdog_of_another_process():
    manager = Manager(f"{SCRATCH}/notify4")
    with Supervisor(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}) as sup:
        manager.wait("READY=1")
        time.sleep(0.5)
        assert "WATCHDOG=1" not in manager.lines()
        assert sup.stop() == 0


for test in (tells_its_states, is_not_ready_while_a_part_does_not_start, feeds_the_watchdog_while_all_is_well, ignores_a_watchdog_of_another_process):
    test()
    print(f"ok {test.__name__}", flush=True)
