"""Workers and gateways before them, on loopback ports of this machine."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

BIN, SCRATCH = sys.argv[1], sys.argv[2]
WAIT = 60


def until(what, condition, seconds=WAIT):
    """What the condition gives, once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


class Process:
    """One of ours, that says READY."""

    def __init__(self, name, arguments, environment=None):
        self.name, self.log_path = name, f"{SCRATCH}/{name}.log"
        ready, told = os.pipe()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*arguments, "--ready-fd", str(told)], stderr=log, stdout=log, pass_fds=[told],
                                            env={**os.environ, **(environment or {})})
        os.close(told)
        with os.fdopen(ready, encoding="utf-8") as line:
            self.ready = line.readline().split()
        assert self.ready[:1] == ["READY"], f"{name}: {self.ready, self.said()[-2000:]}"

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT)


class Worker(Process):
    def __init__(self, name, port=0, options=(), says="auth: {loopback: user}\n"):
        config = f"{SCRATCH}/{name}.yaml"
        with open(config, "w", encoding="utf-8") as file:
            file.write(says)
        super().__init__(name, [f"{BIN}/aisbx-worker", "--config", config, "--state-dir", f"{SCRATCH}/{name}.state", "--listen", f"ipv4:127.0.0.1:{port}",
                                "--listen", f"unix:{SCRATCH}/{name}.sock", *options])
        said = self.said()
        self.port = int(re.findall(r"msg=listening .*port=([1-9]\d*)", said)[-1])
        self.id = re.findall(r"msg=ready .*worker=(wk_\S+)", said)[-1]
        self.tag = self.id[3:9]

    def address(self):
        return f"ipv4:127.0.0.1:{self.port}"

    def has(self, some_id):
        return some_id.split("_", 1)[1].startswith(self.tag)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode(errors="replace")


class Gateway(Process):
    def __init__(self, name, workers, options=(), environment=None):
        arguments = [f"{BIN}/aisbx-mcp", "--transport", "http", "--port", "0", "--loopback-without-key", "--workers", workers, *options]
        super().__init__(name, arguments, environment)
        self.port = int(self.ready[1])

    def open(self, method, path, body=None, headers=None, timeout=WAIT, below="/api/v1"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, below + path, body, headers)
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, headers=None, status=None, below="/api/v1"):
        connection, response = self.open(method, path, body, headers, below=below)
        got = Answer(response.status, response.headers, response.read())
        connection.close()
        assert status is None or got.status == status, f"{method} {path}: {got.status} {got.text()[:500]}"
        return got

    def metrics(self):
        connection, response = self.open("GET", "/metrics", below="")
        text = response.read().decode()
        connection.close()
        return text

    def get(self, path, status=200):
        return self.ask("GET", path, status=status)

    def post(self, path, body=None, status=200, headers=None):
        return self.ask("POST", path, body if body is not None else {}, headers, status)

    def create(self, **spec):
        return self.post("/sandboxes", spec, 201).json()["sandbox_id"]

    def run(self, *command, headers=None, status=200, sandbox=None):
        target = {"sandbox_id": sandbox} if sandbox else {"new_sandbox": {}}
        return self.post("/run", {"target": target, "exec": {"command": {"args": list(command)}}}, status, headers)
