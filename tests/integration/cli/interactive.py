#!/usr/bin/python3
"""aisbx on a terminal: interactive.py SANDBOX AISBX...: shells, sizes, signals, and what is left of our terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

SANDBOX, *AISBX = sys.argv[1:]
WAIT = 30
os.environ["TERM"] = "dumb"  # no escapes of readline


class Terminal:
    def __init__(self, *args, rows=24, columns=80, under=()):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # One of our own size from the start; the parent cannot be fast enough.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            command = [*under, *AISBX, *args]
            os.execvp(command[0], command)
        self.seen, self.at = b"", 0

    def modes(self):
        return termios.tcgetattr(self.fd)[:4]

    def is_raw(self):
        return not self.modes()[3] & termios.ICANON

    def wait_for(self, pattern):
        end = time.monotonic() + WAIT
        while True:
            match = re.compile(pattern).search(self.seen, self.at)
            if match:
                self.at = match.end()
                return match
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"waited in vain for {pattern!r}; saw {self.seen!r}"
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            assert data, f"ended before {pattern!r}; saw {self.seen!r}"
            self.seen += data

    def type(self, text):
        os.write(self.fd, text)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def status(self):
        """Reads on until it ends, as a terminal would."""
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    pass


def until(what, true):
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def shell(*args, **more):
    t = Terminal(*args, "bash", "--norc", "-i", **more)
    t.type(b"PS1='$ '; echo go\n")
    t.wait_for(rb"\ngo\r\n")
    return t


def check_shell(*args):
    t = shell(*args, rows=31, columns=97)
    assert t.is_raw(), "our terminal is not raw"
    t.type(b"stty size; tty; echo T=$TERM\n")
    t.wait_for(rb"31 97\r\n/dev/pts/\d+\r\nT=dumb\r\n")
    assert b"no job control" not in t.seen, t.seen
    t.resize(50, 132)
    t.type(b"while [ \"$(stty size)\" != '50 132' ]; do sleep 0.05; done; echo resized\n")
    t.wait_for(rb"\nresized")
    t.type(b"trap 'echo caught' INT; sh -c 'echo up; exec sleep 1000'\n")
    t.wait_for(rb"\nup\r\n")
    t.type(b"\x03")
    t.type(b"echo alive=$((6*7))\n")
    t.wait_for(rb"alive=42")
    t.type(b"sh -c 'echo in; exec sleep 1000'\n")
    t.wait_for(rb"\nin\r\n")
    t.type(b"\x1a")
    t.wait_for(rb"Stopped")
    t.type(b"kill %1; fg; echo st=$?\n")
    t.wait_for(rb"st=\d+")
    t.type(b"exit 7\n")
    assert t.status() == 7, "the status of the shell"


def check_full_screen(*args):
    """A program like an editor: raw, cursor keys, the size, no echo of its own."""
    t = Terminal(*args, "python3", "-c", """
import os, tty
tty.setraw(0)
os.write(1, b"\\x1b[2J\\x1b[Hedit %d" % os.get_terminal_size().lines)
got = b""
while not got.endswith(b"q"): got += os.read(0, 100)
os.write(1, b"[" + got.hex().encode() + b"]")
""")
    t.wait_for(rb"\x1b\[2J\x1b\[Hedit 24")
    keys = b"\x1b[A\x1bOP\x00\x03\x1a\x1c\x7f\r\xc3\xa9q"
    t.type(keys)
    t.wait_for(rb"\[" + keys.hex().encode() + rb"\]")
    assert t.status() == 0


def check_modes(ends, wanted, *args):
    """Whatever ends aisbx, our terminal is what it was."""
    for end in ends:
        t = Terminal(*args, "sh", "-c", "echo ready; exec sleep 1000")
        t.wait_for(rb"ready")
        assert t.is_raw()
        os.kill(t.pid, end)
        # The terminal's own modes can be read on the side that we hold, also after aisbx has ended.
        until(f"modes after signal {end}", lambda: not t.is_raw())
        status = t.status()
        assert status == wanted(end), f"status {status} after signal {end}"


def check_stop(*args):
    """Stopped from outside and continued, as a job of a shell of ours."""
    t = shell(*args, under=("bash", "--norc", "-mc", '"$@"; echo in between; sleep 0.5; fg >/dev/null', "-"))
    job = int(open(f"/proc/{t.pid}/task/{t.pid}/children").read().split()[0])
    assert t.is_raw()
    os.kill(job, signal.SIGTSTP)
    t.wait_for(rb"in between\r\n")  # carriage return and all
    until("raw again", t.is_raw)
    t.type(b"echo on=$((1+1))\n")
    t.wait_for(rb"on=2")
    t.type(b"exit 4\n")
    assert t.status() == 4


def check_normal_end(*args):
    t = Terminal(*args, "true")
    before = Terminal("--version")
    assert t.status() == 0 and before.status() == 0


def aisbx(*args, **more):
    return subprocess.run([*AISBX, *args], capture_output=True, check=True, text=True, timeout=WAIT, **more).stdout


def check_attach():
    ex = aisbx("exec", "--detach", "-it", "--env", "A=b", "--workdir", "/tmp", SANDBOX, "bash", "--norc", "-i").strip()
    first = Terminal("attach", ex, rows=20, columns=70)
    first.type(b"PS1='$ '; echo $A $PWD; stty size\n")
    first.wait_for(rb"\nb /tmp\r\n20 70\r\n")
    second = Terminal("attach", "--no-stdin", ex)
    second.wait_for(rb"20 70\r+\n")
    first.type(b"echo both=$((3*4))\n")
    first.wait_for(rb"both=12")
    second.wait_for(rb"both=12")
    first.type(b"\x15echo tilde ~~\n")
    first.wait_for(rb"\ntilde ")
    first.type(b"\n~.")
    assert first.status() == 0, "left by what was typed"
    assert ex in aisbx("ps", SANDBOX)
    assert "running, terminal" in aisbx("ps")
    os.kill(second.pid, signal.SIGKILL)
    second.status()
    for end in (signal.SIGTERM, signal.SIGINT, signal.SIGSEGV):
        looker = Terminal("attach", ex)
        looker.wait_for(rb"tilde")
        assert looker.is_raw()
        os.kill(looker.pid, end)
        until("modes after attach", lambda: not looker.is_raw())
        looker.status()
    assert ex in aisbx("ps", "--quiet", SANDBOX).split(), "it goes on without those who looked"
    third = Terminal("attach", "--from", str(len(first.seen) // 2), ex)
    third.type(b"exit 5\n")
    assert third.status() == 5
    assert ex not in aisbx("ps", "--quiet", SANDBOX).split()
    assert "exited 5" in aisbx("ps", "--all", SANDBOX)


def check_input_of_pipes():
    ex = aisbx("exec", "--detach", "-i", SANDBOX, "cat").strip()
    said = subprocess.run([*AISBX, "attach", "-i", ex], input=b"to it\n" * 1000, capture_output=True, timeout=WAIT, check=True)
    assert said.stdout == b"to it\n" * 1000, said
    closed = aisbx("exec", "--detach", SANDBOX, "sleep", "1000").strip()
    said = subprocess.run([*AISBX, "kill", closed], capture_output=True, timeout=WAIT, check=True)
    assert said.stdout.decode().strip() == closed
    ended = subprocess.run([*AISBX, "attach", closed], capture_output=True, timeout=WAIT)
    assert ended.returncode == 137, ended


def check_kill():
    ex = aisbx("exec", "--detach", SANDBOX, "sh", "-c", "trap 'echo got; exit 3' USR1; echo set; while :; do sleep 0.1; done").strip()
    until("set", lambda: aisbx("logs", ex) == "set\n")
    aisbx("kill", "--signal", "SIGUSR1", ex)
    ended = subprocess.run([*AISBX, "attach", ex], capture_output=True, timeout=WAIT)
    assert (ended.returncode, ended.stdout) == (3, b"set\ngot\n"), ended
    wrong = subprocess.run([*AISBX, "kill", "--signal", "NOPE", ex], capture_output=True)
    assert wrong.returncode == 2 and b"NOPE" in wrong.stderr, wrong


def check_piped_input():
    said = subprocess.run([*AISBX, "exec", "-t", SANDBOX, "cat"], input=b"line\n", capture_output=True, timeout=WAIT)
    assert said.returncode == 0 and b"line\r\nline\r\n" in said.stdout, said
    said = subprocess.run([*AISBX, "exec", "--user", "root", SANDBOX, "true"], capture_output=True, timeout=WAIT)
    assert said.returncode == 125 and b"exec.user" in said.stderr, said
    assert aisbx("exec", "--user", "sandbox", "--open-files", "64", SANDBOX, "sh", "-c", "id -un; ulimit -n") == "sandbox\n64\n"


EXEC = ("exec", "-it", SANDBOX)
RUN = ("run", "-it", "--no-workspace", "--profile", "python-dev")
check_shell(*EXEC)
check_shell(*RUN)
check_full_screen(*EXEC)
check_modes((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT), lambda end: 128 + end, *EXEC)
check_modes((signal.SIGSEGV, signal.SIGABRT, signal.SIGUSR1, signal.SIGALRM), lambda end: -end, *EXEC)
check_modes((signal.SIGTERM,), lambda end: 128 + end, *RUN)
check_stop(*EXEC)
check_normal_end(*EXEC)
check_attach()
check_input_of_pipes()
check_kill()
check_piped_input()
