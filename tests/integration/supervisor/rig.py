"""A supervisor under test: started, asked, killed, and looked at from outside."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

WAIT = 60
BIN, SCRATCH = sys.argv[1], sys.argv[2]


def until(what, condition, seconds=WAIT):
    """What the condition gives, once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def with_marker(marker):
    """Processes of this machine, those in sandboxes included, that have the text among their arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if marker.encode() in file.read() and lives(pid):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def spawner_of(worker):
    for pid in children(worker):
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            if file.read().strip() == "aisbx-spawner":
                return pid
    return None


class Supervisor:
    count = 0

    def __init__(self, *options, key_free=True, env=None):
        Supervisor.count += 1
        self.dir = f"{SCRATCH}/supervisor{Supervisor.count}"
        self.log_path = f"{self.dir}.log"
        self.log = open(self.log_path, "wb")
        arguments = [f"{BIN}/aisbx-supervisor", "--runtime-dir", self.dir, "--port", "0", "--state-dir", f"{self.dir}.state", *options]
        arguments += ["--loopback-without-key"] if key_free else []
        self.process = subprocess.Popen(arguments, stderr=self.log, stdout=self.log, env={**os.environ, **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if kind is not None:
            print(self.said()[-6000:], file=sys.stderr)

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask(self, *options):
        done = subprocess.run([f"{BIN}/aisbx-supervisor", "--health", "--runtime-dir", self.dir, *options], capture_output=True, text=True, timeout=WAIT, check=False)
        return done.returncode, done.stdout

    def health(self):
        status, text = self.ask("--json")
        return status, json.loads(text)

    def parts(self):
        return self.health()[1].get("parts", {})

    def pid(self, part):
        return self.parts()[part]["pid"]

    def wait_well(self):
        return until("all parts well", lambda: self.health()[0] == 0)

    def wait_back(self, part, old):
        """The part runs as another process and answers."""
        def is_back():
            status, health = self.health()
            return status == 0 and health["parts"][part]["pid"] not in (0, old)
        return until(f"{part} is back", is_back)

    def http(self, method, path, body=None, timeout=WAIT):
        connection = http.client.HTTPConnection("127.0.0.1", self.parts()["gateway"]["port"], timeout=timeout)
        try:
            connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), {"Content-Type": "application/json"} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def run(self, script, **more):
        body = {"target": {"new_sandbox": more.pop("sandbox", {})}, "exec": {"command": {"args": ["sh", "-c", script]}}}
        return self.http("POST", "/run", body, **more)

    def start_marked(self, marker):
        """A program that runs on in a sandbox of its own."""
        status, text = self.http("POST", "/sandboxes", {"profile": "strict"})
        assert status == 201, text
        sandbox = json.loads(text)["sandbox_id"]
        status, text = self.http("POST", f"/sandboxes/{sandbox}/execs", {"exec": {"command": {"args": ["sh", "-c", f": {marker}; sleep 3600; :"]}, "background": True}})
        assert status in (200, 201, 202), text
        until(f"{marker} runs", lambda: with_marker(marker))
        return sandbox

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(WAIT)
