"""deploy/kubernetes/components/deletion-cost between a gateway before two workers and an API server that stands for
Kubernetes': what it writes, and what it leaves alone. "deletion_cost.py BIN SCRATCH PROGRAM"."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading

import rig

COST, EVICT = "controller.kubernetes.io/pod-deletion-cost", "cluster-autoscaler.kubernetes.io/safe-to-evict"
TOKEN = "token-of-the-account"
started = []


class Cluster(http.server.BaseHTTPRequestHandler):
    """List and patch of pods, for that token alone."""

    pods, patches = {}, []

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuses(self):
        if self.headers["Authorization"] == f"Bearer {TOKEN}":
            return False
        self.answer(401, {})
        return True

    def do_GET(self):
        if not self.refuses():
            wanted = "/api/v1/namespaces/aisbx/pods?labelSelector=app.kubernetes.io/name%3Daisbx-worker"
            self.answer(200 if self.path == wanted else 404, {"items": list(self.pods.values())})

    def do_PATCH(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refuses():
            return
        assert self.headers["Content-Type"] == "application/merge-patch+json" and set(body) == {"metadata"} and set(body["metadata"]) == {"annotations"}, body
        pod = self.pods[self.path.rsplit("/", 1)[1]]
        pod["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
        self.patches.append(pod["metadata"]["name"])
        self.answer(200, pod)


class Worker(rig.Process):
    def __init__(self, name, host):
        config = f"{rig.SCRATCH}/config.yaml"
        with open(config, "w", encoding="utf-8") as file:
            file.write("auth: {loopback: user}\n")  # the gateway's own questions
        super().__init__(name, [f"{rig.BIN}/aisbx-worker", "--config", config, "--state-dir", f"{rig.SCRATCH}/{name}.state", "--listen", f"ipv4:{host}:0", "--listen",
                                f"unix:{rig.SCRATCH}/{name}.sock"])
        started.append(self)
        self.host = host
        self.port = int(re.findall(r"msg=listening .*port=([1-9]\d*)", self.said())[-1])
        self.id = re.findall(r"msg=ready .*worker=(wk_\S+)", self.said())[-1]

    def address(self):
        return f"ipv4:{self.host}:{self.port}"

    def make(self, n):
        for _ in range(n):
            done = subprocess.run([f"{rig.BIN}/aisbx", "--address", f"unix:{rig.SCRATCH}/{self.name}.sock", "create", "--profile", "strict"],
                                  capture_output=True, text=True, timeout=rig.WAIT, check=True)
            assert done.stdout.startswith("sb_"), done.stdout


def auditor(worker):
    done = subprocess.run([f"{rig.BIN}/aisbx-security", "--address", f"unix:{rig.SCRATCH}/{worker.name}.sock", "keys", "create", "--role", "auditor", "--tenant", "*"], capture_output=True, text=True, timeout=rig.WAIT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def pod(name, address, **more):
    return {"metadata": {"name": name, **more}, "status": {"podIP": address} if address else {}}


def main():
    program = sys.argv[3]
    first = Worker("first", "127.0.0.2")
    key = auditor(first)
    assert first.end() == 0
    subprocess.run(["cp", "-a", f"{rig.SCRATCH}/first.state", f"{rig.SCRATCH}/second.state"], check=True)  # both know the key
    workers = [Worker("first", "127.0.0.2"), Worker("second", "127.0.0.3")]
    gateway = rig.Gateway("gateway", ",".join(worker.address() for worker in workers))
    started.append(gateway)

    account = f"{rig.SCRATCH}/account"
    os.mkdir(account)
    for name, text in (("namespace", "aisbx"), ("token", TOKEN), ("key", key)):
        with open(f"{account}/{name}", "w", encoding="utf-8") as file:
            file.write(text + "\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pods = Cluster.pods
    pods.update({name: pod(name, address, **more) for name, address, more in (
        ("one", "127.0.0.2", {}), ("two", "127.0.0.3", {"annotations": {EVICT: "false", "other": "kept"}}),
        ("strange", "127.0.0.9", {}), ("without", None, {}))})
    env = {**os.environ, "METRICS_URL": f"http://127.0.0.1:{gateway.port}/metrics", "METRICS_TOKEN_FILE": f"{account}/key",
           "KUBERNETES_URL": f"http://127.0.0.1:{server.server_port}", "SERVICE_ACCOUNT": account, "INTERVAL_S": "0.1"}
    with open(f"{rig.SCRATCH}/deletion-cost.log", "wb") as log:
        keeper = subprocess.Popen(["/usr/bin/python3", "-I", program], env=env, stdout=log, stderr=log)
    started.append(keeper)

    def has(name, cost, evict):
        notes = pods[name]["metadata"].get("annotations", {})
        return (notes.get(COST), notes.get(EVICT)) == (cost, evict)

    rig.until("both are idle", lambda: has("one", "0", "true") and has("two", "0", "true"))
    workers[0].make(3)
    rig.until("three cost four", lambda: has("one", "4", "false"))
    before = len(Cluster.patches)
    workers[0].make(1)
    workers[1].make(1)
    rig.until("one costs one", lambda: has("two", "1", "false"))
    assert has("one", "4", "false") and Cluster.patches[before:] == ["two"], Cluster.patches  # 4 is what 3 was
    assert pods["two"]["metadata"]["annotations"]["other"] == "kept"
    assert "annotations" not in pods["strange"]["metadata"] and "annotations" not in pods["without"]["metadata"]

    pods["two"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with open(f"{account}/token", "w", encoding="utf-8") as file:  # refused: told, and nothing is lost
        file.write("another\n")
    rig.until("it says so", lambda: b"nothing changed" in open(f"{rig.SCRATCH}/deletion-cost.log", "rb").read())
    with open(f"{account}/token", "w", encoding="utf-8") as file:
        file.write(TOKEN + "\n")
    workers[1].make(4)
    workers[0].make(1)
    rig.until("five cost eight", lambda: has("one", "8", "false"))
    assert has("two", "1", "false"), "a pod that ends is left alone"
    keeper.terminate()
    assert keeper.wait(rig.WAIT) == 0


try:
    main()
finally:
    for one in started:
        process = getattr(one, "process", one)
        if process.poll() is None:
            process.kill()
            process.wait()
print("ok")
