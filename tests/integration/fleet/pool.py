"""Workers on TCP that know a gateway by its certificate, and keys by a file that all have. "pool.py BIN SCRATCH"."""

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys

import rig

started = []
AT = rig.SCRATCH
NEW = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

CONFIG = """
auth:
  gateways: [gateway.pool]
  identities:
    - {match: "*.pool", role: auditor, tenant: gateway}
    - {match: "spiffe://x/a/*", role: user, tenant: a}
    - {match: "spiffe://x/b/*", role: user, tenant: b}
    - {match: "spiffe://x/ops", role: admin}
"""


def start(made):
    started.append(made)
    return made


# ---- certificates ----


def authority():
    subprocess.run(["openssl", "req", "-x509", *NEW, "-keyout", f"{AT}/ca.key", "-out", f"{AT}/ca.pem", "-subj", "/CN=ca", "-days", "2"],
                   check=True, capture_output=True)


def issue(name, alternative):
    with open(f"{AT}/{name}.ext", "w", encoding="ascii") as file:
        file.write(f"subjectAltName={alternative}\n")
    subprocess.run(["openssl", "req", *NEW, "-keyout", f"{AT}/{name}.key", "-out", f"{AT}/{name}.csr", "-subj", f"/CN={name}"], check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", f"{AT}/{name}.csr", "-CA", f"{AT}/ca.pem", "-CAkey", f"{AT}/ca.key", "-CAcreateserial", "-days", "2",
                    "-out", f"{AT}/{name}.pem", "-extfile", f"{AT}/{name}.ext"], check=True, capture_output=True)


# ---- keys, as the kubelet mounts a Secret: names lead through a link that is replaced as a whole ----


class Secret:
    def __init__(self, name):
        self.path, self.version, self.files = f"{AT}/{name}", 0, {}
        os.mkdir(self.path)

    def put(self, **files):
        self.files.update(files)
        self.files = {name: text for name, text in self.files.items() if text is not None}
        before, self.version = f"{self.path}/..{self.version}", self.version + 1
        os.mkdir(f"{self.path}/..{self.version}")
        for name, text in self.files.items():
            with open(f"{self.path}/..{self.version}/{name}", "w", encoding="ascii") as file:
                file.write(text)
            if not os.path.islink(f"{self.path}/{name}"):
                os.symlink(f"..data/{name}", f"{self.path}/{name}")
        os.symlink(f"..{self.version}", f"{self.path}/..next")
        os.rename(f"{self.path}/..next", f"{self.path}/..data")
        for name in os.listdir(self.path):
            if not name.startswith(".") and name not in self.files:
                os.unlink(f"{self.path}/{name}")
        if os.path.isdir(before):
            shutil.rmtree(before)


def make_key(*options):
    """(the key, the line for the workers)"""
    path = f"{AT}/made"
    got = subprocess.run([f"{rig.BIN}/aisbx-security", "keys", "create", "--file", path, *options], check=True, capture_output=True, text=True)
    with open(path, encoding="ascii") as file:
        line = file.read()
    os.unlink(path)
    key = got.stdout.strip()
    assert key.startswith("aisbx_") and key.count("\n") == 0 and line.startswith(key.split("_")[1] + " "), (got.stdout[:10], line)
    assert key[33:] not in line, "the file has the key itself"
    return key, line


# ---- who is there ----


class Gateway(rig.Gateway):
    """@certificate  its own, towards workers.   @client  that of its callers; None: plain HTTP, callers have keys."""

    def __init__(self, name, certificate, workers, client=None):
        self.client = client
        here = ["--tls-cert", f"{AT}/server.pem", "--tls-key", f"{AT}/server.key", "--tls-ca", f"{AT}/ca.pem"] if client else []
        names = ",".join(worker.address() for worker in workers)
        rig.Process.__init__(self, name, [f"{rig.BIN}/aisbx-mcp", "--transport", "http", "--port", "0", "--workers", names, *here],
                             {"AISBX_TLS_CA": f"{AT}/ca.pem", "AISBX_TLS_CERT": f"{AT}/{certificate}.pem", "AISBX_TLS_KEY": f"{AT}/{certificate}.key"})
        self.port = int(self.ready[1])
        rig.until("all serve", lambda: self.said().count("state=serving") == len(workers))

    def open(self, method, path, body=None, headers=None, timeout=rig.WAIT, below="/api/v1"):
        if self.client is None:
            return super().open(method, path, body, headers, timeout, below)
        context = ssl.create_default_context(cafile=f"{AT}/ca.pem")
        context.load_cert_chain(f"{AT}/{self.client}.pem", f"{AT}/{self.client}.key")
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=context)
        connection.request(method, below + path, body, {"Content-Type": "application/json", **(headers or {})} if body else dict(headers or {}))
        return connection, connection.getresponse()


def by(key):
    return {"X-API-Key": key}


def status(gateway, headers):
    return gateway.ask("GET", "/sandboxes", headers=headers).status


def detail_of(record):
    return json.loads(record.get("detail") or "{}")


def pool(secret, n=2, name="worker"):
    tls = ["--tls-cert", f"{AT}/server.pem", "--tls-key", f"{AT}/server.key", "--tls-ca", f"{AT}/ca.pem"]
    return [start(rig.Worker(f"{name}{i}", options=[*tls, "--keys", secret.path], says=CONFIG)) for i in range(n)]


def a_key_opens_every_worker_and_its_tenant_alone(gateway, workers, keys):
    boxes = []
    while len({worker.id for worker in workers for box in boxes if worker.has(box)}) < len(workers):
        assert len(boxes) < 100, "some worker is never chosen"
        boxes.append(gateway.ask("POST", "/sandboxes", {}, by(keys["a"]), 201).json()["sandbox_id"])
    ran = gateway.ask("POST", "/run", {"target": {"sandbox_id": boxes[0]}, "exec": {"command": {"args": ["/bin/echo", "mine"]}}}, by(keys["a"]), 200).json()
    assert ran["stdout"] == "mine\n", ran
    listed = gateway.ask("GET", "/sandboxes?page_size=1000", headers=by(keys["a"]), status=200).json()
    assert sorted(box["sandbox_id"] for box in listed["sandboxes"]) == sorted(boxes), listed
    for path in [f"/sandboxes/{box}" for box in boxes] + [f"/execs/{ran['exec']['exec_id']}"]:
        for headers, wanted in ((by(keys["a"]), 200), (by(keys["b"]), 404), (by(keys["old"]), 401), ({}, 401)):
            got = gateway.ask("GET", path, headers=headers)
            assert got.status == wanted, (path, headers.keys(), got.status, got.text())
    assert not gateway.ask("GET", "/sandboxes", headers=by(keys["b"]), status=200).json().get("sandboxes")
    for box in boxes:
        gateway.ask("DELETE", f"/sandboxes/{box}", headers=by(keys["b"]), status=404)
        gateway.ask("DELETE", f"/sandboxes/{box}", headers=by(keys["a"]), status=200)
    assert gateway.ask("POST", "/sandboxes", {}, by(keys["look"])).status == 403
    records = gateway.ask("GET", "/security/audit?action=sandbox.create&page_size=1000", headers=by(keys["look"]), status=200).json()["records"]
    mine = [record for record in records if record["actor"] == f"key:{keys['a'].split('_')[1]}" and record["outcome"] == "allowed"]
    assert len(mine) == len(boxes), records
    for record in mine:
        detail = detail_of(record)
        assert detail["gateway"] == "gateway.pool" and detail["from"].startswith("127.0.0.1:"), detail
    print(f"  one key at {len(workers)} workers: {len(boxes)} sandboxes, none of them another tenant's; records name key, gateway and caller")


def tell(workers):
    for worker in workers:
        worker.signal(signal.SIGHUP)


def keys_come_and_go_with_the_secret(gateway, workers, secret, keys):
    new, line = make_key("--tenant", "a", "--title", "another")
    assert status(gateway, by(new)) == 401
    secret.put(more=line)
    tell(workers)
    for _ in range(len(workers)):  # each asks all of them
        rig.until("the new key opens", lambda: status(gateway, by(new)) == 200)
    watch, stream = gateway.open("GET", "/events", headers=by(new))
    assert stream.status == 200, stream.read()
    secret.put(more=None)  # nobody is told
    rig.until("a key without a line opens nothing", lambda: status(gateway, by(new)) == 401)
    rest = stream.read()  # ends with the key
    watch.close()
    assert b"event: sandbox" not in rest, rest
    assert status(gateway, by(keys["a"])) == status(gateway, by(keys["b"])) == 200
    admin, line = make_key("--role", "admin")
    secret.put(more=line)
    tell(workers)
    rig.until("an admin's key opens", lambda: status(gateway, by(admin)) == 200)
    got = gateway.ask("DELETE", f"/keys/{keys['a'].split('_')[1]}", headers=by(admin))
    assert got.status in (400, 409, 412) and secret.path in got.text(), (got.status, got.text())
    assert status(gateway, by(keys["a"])) == 200
    print("  a new line opens, a line that is gone ends its streams, and both workers agree")


def wrong(gateway, headers):
    """Lines of keys that open nothing, of each worker."""
    connection, response = gateway.open("GET", "/metrics", headers=headers, below="")
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return [int(line.split()[-1]) for line in text.splitlines() if re.match(r'aisbx_shared_keys\{.*state="wrong"', line)]


def what_is_wrong_opens_nothing(gateway, workers, secret, keys):
    right = secret.files["keys"]
    secret.put(keys=right.replace(" user b ", " user B "))
    tell(workers)
    rig.until("b's line is wrong now", lambda: status(gateway, by(keys["b"])) == 401)
    rig.until("it is told", lambda: all("a key is wrong and opens nothing" in worker.said() for worker in workers))
    rig.until("it is counted", lambda: wrong(gateway, by(keys["look"])) == [1] * len(workers))
    assert status(gateway, by(keys["a"])) == 200
    moved = f"{secret.path}.moved"
    os.rename(secret.path, moved)
    tell(workers)
    rig.until("there is no file", lambda: status(gateway, by(keys["a"])) == 401)
    os.rename(moved, secret.path)
    tell(workers)
    rig.until("there is one again", lambda: status(gateway, by(keys["a"])) == 200)
    got = subprocess.run([f"{rig.BIN}/aisbx-worker", "--keys", secret.path, "--listen", f"unix:{AT}/wrong.sock", "--state-dir", f"{AT}/wrong.state"],
                         capture_output=True, text=True, timeout=rig.WAIT, check=False)
    assert got.returncode != 0 and "line 2" in got.stderr and "tenant" in got.stderr, got.stderr
    secret.put(keys=right)
    tell(workers)
    rig.until("b's line is right again", lambda: status(gateway, by(keys["b"])) == 200)
    rig.until("nothing is wrong", lambda: wrong(gateway, by(keys["look"])) == [0] * len(workers))
    print("  a wrong line opens nothing and the others do; without the file none does; no worker starts with a wrong one")


def only_a_named_certificate_vouches(workers, keys):
    """The caller's certificate is looked at by the gateway alone: who is no gateway to the workers cannot say what it was."""
    agents = {name: start(Gateway(f"gateway-{name}", "gateway", workers, client=name)) for name in ("agent-a", "agent-b", "ops", "stranger")}
    box = agents["agent-a"].ask("POST", "/sandboxes", "{}", status=201).json()["sandbox_id"]
    assert agents["agent-a"].ask("GET", f"/sandboxes/{box}").status == 200
    assert agents["agent-b"].ask("GET", f"/sandboxes/{box}").status == 404
    got = agents["ops"].ask("GET", f"/sandboxes/{box}")
    assert got.status == 401 and "makes" in got.text() and "an admin" in got.text(), got.text()
    got = agents["stranger"].ask("GET", f"/sandboxes/{box}")
    assert got.status == 401 and "auth.identities" in got.text(), got.text()
    liar = start(Gateway("gateway-liar", "liar", workers, client="agent-a"))
    for method, path, body in (("GET", f"/sandboxes/{box}", None), ("DELETE", f"/sandboxes/{box}", None), ("POST", "/sandboxes", "{}")):
        got = liar.ask(method, path, body)
        assert got.status == 401 and "none of auth.gateways" in got.text(), (got.status, got.text())
    assert liar.ask("GET", "/sandboxes", headers=by(keys["a"])).status == 200  # a key needs nobody's word
    records = liar.ask("GET", "/security/audit?page_size=1000", headers=by(keys["look"]), status=200).json()["records"]
    vouched = [record for record in records if record["actor"] == "tls:spiffe://x/a/1" and record["action"] == "sandbox.create" and record["outcome"] == "allowed"]
    assert [detail_of(record)["gateway"] for record in vouched] == ["gateway.pool"], vouched
    refused = [detail for detail in map(detail_of, (record for record in records if record["outcome"] == "denied")) if detail.get("certificate") == "liar.pool"]
    assert refused and all("spiffe://x/a/1" in detail["why"] for detail in refused), records
    agents["agent-a"].ask("DELETE", f"/sandboxes/{box}", status=200)
    print("  a gateway that is named tells certificates apart and makes no admin; one that is not is refused; both names are in the records")


def main():
    if shutil.which("openssl") is None:
        print("skipped: there is no openssl")
        sys.exit(77)
    authority()
    for name, alternative in (("server", "DNS:localhost,IP:127.0.0.1"), ("gateway", "DNS:gateway.pool"), ("liar", "DNS:liar.pool"), ("agent-a", "URI:spiffe://x/a/1"),
                              ("agent-b", "URI:spiffe://x/b/1"), ("ops", "URI:spiffe://x/ops"), ("stranger", "URI:spiffe://x/c/1")):
        issue(name, alternative)
    os.umask(0o022)
    made = {"a": make_key("--tenant", "a"), "b": make_key("--tenant", "b", "--expires", "1d"), "look": make_key("--tenant", "*", "--role", "auditor"),
            "old": make_key("--tenant", "a", "--expires", "1ms")}
    keys = {name: key for name, (key, _) in made.items()}
    secret = Secret("keys")
    secret.put(keys="# of the pool\n" + "".join(made[name][1] for name in ("b", "a", "look", "old")))
    workers = pool(secret)
    gateway = start(Gateway("gateway-keys", "gateway", workers))
    a_key_opens_every_worker_and_its_tenant_alone(gateway, workers, keys)
    keys_come_and_go_with_the_secret(gateway, workers, secret, keys)
    what_is_wrong_opens_nothing(gateway, workers, secret, keys)
    only_a_named_certificate_vouches(workers, keys)
    for process in started:
        said = process.said()
        assert not [key for key in keys.values() if key[33:] in said], f"{process.name} logged a key"


try:
    main()
    for made_one in reversed(started):
        assert made_one.end() == 0, f"{made_one.name} did not end well"
finally:
    for made_one in started:
        if made_one.process.poll() is None:
            made_one.kill()
