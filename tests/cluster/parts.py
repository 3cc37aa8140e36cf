"""Workers and gateways of a cluster, each on a machine of its own (net.py), with certificates on both sides."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess

WAIT = 120


def certificates(scratch):
    """Of an authority, the workers and the gateways."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    openssl("req", "-x509", *new, "-keyout", f"{scratch}/ca.key", "-out", f"{scratch}/ca.pem", "-subj", "/CN=ca", "-days", "2")
    for name in ("workers", "gateway"):
        with open(f"{scratch}/{name}.ext", "w", encoding="ascii") as file:
            file.write(f"subjectAltName=DNS:{name}\n")
        openssl("req", *new, "-keyout", f"{scratch}/{name}.key", "-out", f"{scratch}/{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{scratch}/{name}.csr", "-CA", f"{scratch}/ca.pem", "-CAkey", f"{scratch}/ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{scratch}/{name}.pem", "-extfile", f"{scratch}/{name}.ext")
    with open(f"{scratch}/config.yaml", "w", encoding="ascii") as file:
        file.write("auth:\n  identities:\n    - {match: gateway, role: admin}\n")


class Part:
    def __init__(self, net, name, number, arguments, env=None, group=None):
        self.net, self.name, self.log_path = net, name, f"{net.scratch}/{name}.log"
        self.address = net.add(name, number)
        ready, told = os.pipe()
        command = net.within(name, *arguments, "--ready-fd", str(told))

        def into_group():
            if group is not None:
                with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
                    file.write("0")

        self.process = subprocess.Popen(command, stderr=open(self.log_path, "ab"), pass_fds=[told], env={**os.environ, **(env or {})}, preexec_fn=into_group)
        os.close(told)
        with os.fdopen(ready, encoding="utf-8") as line:
            self.ready = line.readline().split()
        if self.ready[:1] != ["READY"]:
            raise AssertionError(f"{name} ended with {self.process.wait()}: {self.said()[-2000:]}")

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def lives(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT)


class Worker(Part):
    def __init__(self, net, bin_dir, name, number, group=None, options=()):
        self.state = f"{net.scratch}/{name}.state"
        pem = f"{net.scratch}/workers"
        super().__init__(net, name, number, [f"{bin_dir}/aisbx-worker", "--listen", f"ipv4:10.99.0.{number}:7443", "--tls-cert", f"{pem}.pem", "--tls-key", f"{pem}.key",
                                             "--tls-ca", f"{net.scratch}/ca.pem", "--config", f"{net.scratch}/config.yaml", "--state-dir", self.state,
                                             "--audit", "commit", "--drain-grace", "10m", *options], group=group)
        self.id = re.findall(r"msg=ready .*worker=(wk_\S+)", self.said())[-1]
        self.tag = self.id[3:9]
        net.name(name, self.address)

    def has(self, some_id):
        return some_id[3:].startswith(self.tag)


class Gateway(Part):
    """@workers  None: of the first worker alone."""

    def __init__(self, net, bin_dir, name, number, workers="dns:///workers:7443"):
        env = {"AISBX_TLS_CA": f"{net.scratch}/ca.pem", "AISBX_TLS_CERT": f"{net.scratch}/gateway.pem", "AISBX_TLS_KEY": f"{net.scratch}/gateway.key"}
        super().__init__(net, name, number, [f"{bin_dir}/aisbx-mcp", "--transport", "http", "--port", "0", "--loopback-without-key",
                                             *(["--worker", "dns:///workers:7443"] if workers is None else ["--workers", workers])], env)
        self.port = int(self.ready[1])


class Client:
    """One thread's connections to gateways."""

    def __init__(self, net):
        self.net, self.open = net, {}

    def connection(self, gateway):
        if gateway.name not in self.open:
            self.net.enter(gateway.name)
            made = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=WAIT)
            made.connect()
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open[gateway.name] = made
        return self.open[gateway.name]

    def ask(self, gateway, method, path, body=None, headers=None):
        """(status, JSON); OSError: the gateway is not there."""
        headers, is_idle = dict(headers or {}), gateway.name in self.open
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection = self.connection(gateway)
            connection.request(method, "/api/v1" + path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            made = self.open.pop(gateway.name, None)
            if made is not None:
                made.close()
            if is_idle and method == "GET":  # it was closed meanwhile
                return self.ask(gateway, method, path)
            raise OSError(str(error)) from error
        return answer.status, json.loads(text) if text else {}
