"""What gateways know together by a store: request_ids and rates, and what becomes of it without. "shared.py BIN SCRATCH"."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import time

import rig
import store

started, stores = [], []
CLAIM = "aisbx:claim:*"


def start(made):
    started.append(made)
    return made


def have(made):
    stores.append(made)
    return made


def end(process):
    assert process.end() == 0, f"{process.name} did not end well"
    started.remove(process)


class Pool:
    def __init__(self, name, n, url, options=(), **worker):
        self.workers = [start(rig.Worker(f"{name}-worker{i}", **worker)) for i in range(n)]
        self.names = ",".join(f"unix:{rig.SCRATCH}/{worker.name}.sock" for worker in self.workers)  # there we are an admin
        self.gateways = [self.gateway(f"gateway-{name}{i}", url, options) for i in range(2)]
        for gateway in self.gateways:
            rig.until("all serve", lambda gateway=gateway: gateway.said().count("state=serving") == n)

    def gateway(self, name, url, options=(), environment=None):
        return start(rig.Gateway(name, self.names, ["--shared-store", url, *options], environment))


def state(gateway):
    return gateway.ask("GET", "/health", below="").json()["shared_store"]


def is_up(gateway):
    return state(gateway)["status"] == "ok"


def once(gateway, key, status=200):
    """The same request_id again, as a client does, where a busy machine made workers or store late."""
    def ask():
        got = gateway.run("/bin/echo", key, headers={"Idempotency-Key": key}, status=None)
        is_late = got.status == 503 and (status != 503 or "store that the gateways share" not in got.text())
        return None if is_late else got

    got = rig.until(f"{key} is answered", ask)
    assert got.status == status, f"{got.status} {got.text()[:500]}"
    return got


def count(gateway, name):
    """Of the gateway's own metrics."""
    return sum(float(line.split()[-1]) for line in gateway.metrics().splitlines() if line.startswith(name))


def two_gateways_at_once_run_it_once(pool, shared, n=40):
    """Both are given the same request_id at the same moment, again and again."""
    for gateway in pool.gateways:
        rig.until("the store is there", lambda gateway=gateway: is_up(gateway))
    ids, gate = {}, threading.Barrier(2)

    def ask(gateway):
        for number in range(n):
            gate.wait()
            ids.setdefault(number, []).append(once(gateway, f"both-{number}").json()["exec"]["exec_id"])

    threads = [threading.Thread(target=ask, args=(gateway,)) for gateway in pool.gateways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(made) == 2 and len(set(made)) == 1 for made in ids.values()) and len(ids) == n, ids
    acts, token = [], ""
    while True:
        page = pool.gateways[0].get(f"/security/audit?action=exec.start&page_size=1000&page_token={token}").json()
        acts += [record["exec_id"] for record in page.get("records", []) if record.get("exec_id")]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert {made[0] for made in ids.values()} <= set(acts)
    assert len(shared.ask("KEYS", CLAIM)) == n, shared.ask("KEYS", CLAIM)
    assert count(pool.gateways[0], 'aisbx_gateway_shared_store_calls_total{act="claim",result="done"}') >= n
    assert int(shared.ask("PTTL", shared.ask("KEYS", CLAIM)[0])) > 23 * 3600 * 1000
    print(f"  {n} request_ids at two gateways at once: one run each")


def a_store_that_is_away_refuses_what_it_decides(pool, shared):
    here = pool.gateways[0]
    careless = pool.gateway("gateway-careless", shared.url, ["--shared-store-down", "go-on"])
    before = once(here, "before").json()["exec"]["exec_id"]
    shared.end()
    for gateway in (here, careless):
        rig.until("it is missed", lambda gateway=gateway: not is_up(gateway))
    rig.until("why is told", lambda: state(here)["detail"] == "there is no connection")
    assert "\naisbx_gateway_shared_store_up 0\n" in here.metrics()  # as deploy/prometheus/alerts.yml has it
    assert here.ask("GET", "/health", below="").status == 200
    got = once(here, "while-away", status=503)
    assert "nothing was done" in got.text() and "request_id" in got.text() and int(got.headers["Retry-After"]) >= 1, got.text()
    rig.until("it goes on without", lambda: here.run("/bin/true", status=None).status == 200)
    made = once(careless, "while-away").json()["exec"]["exec_id"]
    assert once(careless, "while-away").json()["exec"]["exec_id"] == made
    assert count(here, 'aisbx_gateway_shared_store_calls_total{act="claim",result="failed"}') >= 1
    shared.start()
    rig.until("it is found again", lambda: is_up(here) and is_up(careless))
    assert once(here, "while-away").json()["exec"]["exec_id"] == made  # the worker knows
    assert once(here, "before").json()["exec"]["exec_id"] == before
    assert once(here, "after").json()["exec"]["exec_id"]
    end(careless)
    print("  a store that is away: request_id is refused, or goes on where that was asked for; all else goes on; then as before")


def it_outlives_the_memory_of_workers(pool, shared):
    """Of three workers two are lost at once: who had the call, and for some calls who remembered that."""
    ids = {f"outlives-{n}": once(pool.gateways[n % 2], f"outlives-{n}").json()["exec"]["exec_id"] for n in range(24)}
    dead = pool.workers[:2]
    for worker in dead:
        worker.process.kill()
    for worker in dead:
        worker.process.wait()
        started.remove(worker)
    live = pool.workers[2]
    for gateway in pool.gateways:
        rig.until("two are lost", lambda gateway=gateway: gateway.metrics().count('state="lost"') == 2)
    refused = 0
    for key, made in ids.items():
        for gateway in pool.gateways:
            got = once(gateway, key, status=200 if live.has(made) else 409)
            refused += got.status == 409
            assert got.status == 409 and "worker_lost" in got.text() or got.json()["exec"]["exec_id"] == made, got.text()
    assert refused > 0
    # What of that the store alone knew: the last worker was told of no claim before.
    assert {shared.ask("GET", key) for key in shared.ask("KEYS", CLAIM)} >= {worker.id for worker in dead}
    fresh = once(pool.gateways[0], "fresh").json()["exec"]["exec_id"]
    assert once(pool.gateways[1], "fresh").json()["exec"]["exec_id"] == fresh and live.has(fresh)
    print(f"  two of three workers killed: {refused} repetitions refused, none run again")


RATES = "auth: {loopback: user}\ntenants: [{name: local, requests_per_second: 1, burst: 40}]\n"


def pour(gateways, n):
    """How many of n calls pass, by turns, and how long that took."""
    begin, passed, refusal = time.monotonic(), 0, None
    for number in range(n):
        got = gateways[number % 2].ask("GET", "/profiles/strict")
        assert got.status in (200, 429), got.text()
        passed += got.status == 200
        refusal = got if got.status == 429 else refusal
    return passed, time.monotonic() - begin, refusal


def a_rate_is_one_for_all_gateways_and_workers():
    shared = have(store.Store("rates"))
    pool = Pool("rates", 2, shared.url, says=RATES)
    rig.until("the store is there", lambda: is_up(pool.gateways[0]) and is_up(pool.gateways[1]))
    passed, seconds, refusal = pour(pool.gateways, 120)
    unknown = len(pool.gateways)  # the first call of each: it does not know yet which rates there are
    assert 30 <= passed <= 40 + seconds + 1 + unknown, (passed, seconds)
    assert "tenant local" in refusal.text() and "at all gateways together" in refusal.text(), refusal.text()
    assert refusal.headers["RateLimit-Limit"] == "40" and int(refusal.headers["Retry-After"]) >= 1, refusal.headers
    assert shared.ask("KEYS", "aisbx:rate:*") == ["aisbx:rate:tenant:local"], shared.ask("KEYS", "aisbx:rate:*")
    shared.end()
    rig.until("it is missed", lambda: not is_up(pool.gateways[0]) and not is_up(pool.gateways[1]))
    alone, seconds, _ = pour(pool.gateways, 120)
    assert alone > 10, (alone, seconds)
    for process in (*pool.gateways, *pool.workers):
        end(process)
    print(f"  rate 1, burst 40, two workers: {passed} passed through two gateways; without the store {alone} more")


def who_may_is_told(pool):
    """Passwords, users and TLS: what is wrong stands in the log and in /health, and no secret does."""
    secret, closed = f"{rig.SCRATCH}/secret", have(store.Store("closed", ["--requirepass", "open-sesame"]))
    allowed = "+ping +select +evalsha +eval +get +set +del +time"
    acl = have(store.Store("acl", ["--user", "gateway", "on", ">open-sesame", "~aisbx:*", *allowed.split(), "--user", "default", "off"]))
    renamed = have(store.Store("renamed", ["--rename-command", "AUTH", ""]))
    for name, url, text, environment, detail in (
            ("wrong", closed.url, "open-barley\n", None, "it refuses the user or the password"),
            ("none", closed.url, None, None, "it wants a password (--shared-store-password-file)"),
            ("right", closed.url, "open-sesame\n", None, None),
            ("environment", closed.url, None, "open-sesame", None),
            ("user", acl.url.replace("unix://", "unix://gateway@"), "open-sesame", None, None),
            ("nobody", acl.url, "open-sesame", None, "it refuses the user or the password"),
            ("database", acl.url.replace("unix://", "unix://gateway@") + "?db=99", "open-sesame", None, "it has no such database"),
            ("renamed", renamed.url, "open-sesame", None, "it lacks one of AUTH, SELECT, PING, EVAL and EVALSHA")):
        options = ["--shared-store-password-file", secret] if text else []
        with open(secret, "w", encoding="utf-8") as file:
            file.write(text or "")
        gateway = pool.gateway(f"gateway-{name}", url, options, {"AISBX_SHARED_STORE_PASSWORD": environment} if environment else None)
        rig.until(f"{name} is told", lambda gateway=gateway, detail=detail: state(gateway).get("detail") == detail)
        assert is_up(gateway) == (detail is None)
        once(gateway, f"who-{name}", status=503 if detail else 200)
        said = gateway.said()
        assert "open-" not in said and (detail is None or detail in said), said
        end(gateway)
    print("  wrong, missing and right passwords, users and databases are told apart")


def rubbish(sock):
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)


def huge(sock):
    sock.sendall(b"$2000000000\r\n")
    while True:
        sock.sendall(b"a" * 65536)


def lists(sock):
    sock.sendall(b"*1000000000\r\n" * 3)


def nothing(sock):
    sock.recv(1)


def chatter(sock):
    while True:
        sock.sendall(b"+PONG\r\n" * 1000)


def wrong_owner(sock):
    while sock.recv(65536):
        sock.sendall(b"+PONG\r\n")


def goes(sock):
    sock.close()


def no_store_stops_a_gateway(pool):
    for says in (rubbish, huge, lists, nothing, chatter, wrong_owner, goes):
        fake = have(store.Fake(f"fake-{says.__name__}", says))
        gateway = pool.gateway(f"gateway-{says.__name__}", fake.url)
        rig.until("it is tried", lambda fake=fake: fake.taken > 0)
        once(gateway, f"fake-{says.__name__}", status=503)
        rig.until("it goes on without", lambda gateway=gateway: gateway.run("/bin/true", status=None).status == 200)
        if says is not wrong_owner:
            rig.until("it is tried again", lambda fake=fake: fake.taken > 1)
        with open(f"/proc/{gateway.process.pid}/statm", encoding="utf-8") as file:
            resident = int(file.read().split()[1]) * 4096
        assert resident < 256 << 20, resident
        end(gateway)
        fake.end()
        stores.remove(fake)
    print("  rubbish, endless, huge, silent and closed stores: UNAVAILABLE for request_ids, all else goes on")


def by_tls(pool):
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    at = lambda name: f"{rig.SCRATCH}/{name}"
    quiet = {"check": True, "stderr": subprocess.DEVNULL}
    for ca in ("ca", "other"):
        subprocess.run(["openssl", "req", "-x509", *new, "-keyout", at(f"{ca}.key"), "-out", at(f"{ca}.pem"), "-subj", f"/CN={ca}", "-days", "2"], **quiet)
    with open(at("san"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    subprocess.run(["openssl", "req", *new, "-keyout", at("store.key"), "-out", at("store.csr"), "-subj", "/CN=store"], **quiet)
    subprocess.run(["openssl", "x509", "-req", "-in", at("store.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2",
                    "-extfile", at("san"), "-out", at("store.pem")], **quiet)
    port = free_port()
    have(store.Store("tls", ["--tls-port", str(port), "--tls-cert-file", at("store.pem"), "--tls-key-file", at("store.key"), "--tls-ca-cert-file", at("ca.pem")]))
    mine = ["--shared-store-cert", at("store.pem"), "--shared-store-key", at("store.key")]
    for name, host, options, detail in (
            ("tls", "localhost", ["--shared-store-ca", at("ca.pem"), *mine], None),
            ("tls-address", "127.0.0.1", ["--shared-store-ca", at("ca.pem"), *mine], None),
            ("tls-other", "localhost", ["--shared-store-ca", at("other.pem"), *mine], "TLS with it fails"),
            ("tls-name", "127.0.0.2", ["--shared-store-ca", at("ca.pem"), *mine], "TLS with it fails")):
        gateway = pool.gateway(f"gateway-{name}", f"rediss://{host}:{port}/1", options)
        rig.until(f"{name} is told", lambda gateway=gateway, detail=detail: state(gateway).get("detail") == detail)
        assert is_up(gateway) == (detail is None), state(gateway)
        once(gateway, f"by-{name}", status=503 if detail else 200)
        end(gateway)
    print("  rediss:// checks the authority and the name, and shows a certificate")


def as_in_kubernetes(pool):
    """components/shared-store: a store by its arguments, a gateway by those that it adds, and the user that the README makes."""
    import yaml
    at = os.path.join(os.path.dirname(sys.argv[3]), "..", "shared-store")
    port, secret = free_port(), "open-sesame"

    def here(text):
        for name, file in (("ca.crt", "ca.pem"), ("tls.crt", "store.pem"), ("tls.key", "store.key"), ("password", "secret"), ("users.acl", "users.acl")):
            text = text.replace(f"/etc/store-tls/{name}", f"{rig.SCRATCH}/{file}").replace(f"/etc/store/{name}", f"{rig.SCRATCH}/{file}")
            text = text.replace(f"/etc/aisbx-worker-tls/{name}", f"{rig.SCRATCH}/{file}").replace(f"/etc/aisbx-store/{name}", f"{rig.SCRATCH}/{file}")
        return text.replace("aisbx-store.aisbx.svc:6379", f"localhost:{port}").replace("6379", str(port))

    with open(f"{at}/store.yaml", encoding="utf-8") as file:
        container = next(made for made in yaml.safe_load_all(file) if made["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    with open(f"{at}/gateway-args.yaml", encoding="utf-8") as file:
        added = [step["value"] for step in yaml.safe_load(file) if step["path"].endswith("/args/-")]
    with open(f"{at}/../../README.md", encoding="utf-8") as file:
        may = re.search(r'~aisbx:[^"]*', file.read())[0]
    with open(f"{rig.SCRATCH}/users.acl", "w", encoding="ascii") as file:
        file.write(f"user default off\nuser gateway on #{hashlib.sha256(secret.encode()).hexdigest()} {may}\n")
    with open(f"{rig.SCRATCH}/secret", "w", encoding="ascii") as file:
        file.write(secret)
    have(store.Store("cluster", [here(word) for word in container["args"]]))
    gateway = start(rig.Gateway("gateway-cluster", pool.names, [here(word) for word in added]))
    rig.until("the store is there", lambda: is_up(gateway))
    made = once(gateway, "in-a-cluster").json()["exec"]["exec_id"]
    assert once(gateway, "in-a-cluster").json()["exec"]["exec_id"] == made
    assert count(gateway, 'aisbx_gateway_shared_store_calls_total{act="claim",result="done"}') >= 1
    end(gateway)
    print("  the store and the gateway of deploy/kubernetes by their own arguments")


def free_port():
    import socket
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def bad_options_are_told():
    for options, wanted in (
            (["--workers", "ipv4:127.0.0.1:1", "--shared-store", "http://store"], "redis://HOST"),
            (["--shared-store", "redis://store"], "--workers"),
            (["--workers", "ipv4:127.0.0.1:1", "--shared-store", "redis://store", "--shared-store-password-file", "/nowhere"], "/nowhere"),
            (["--workers", "ipv4:127.0.0.1:1", "--shared-store", "rediss://store", "--shared-store-ca", "/nowhere"], "/nowhere"),
            (["--workers", "ipv4:127.0.0.1:1", "--shared-store", "redis://store", "--shared-store-cert", "a"], "--shared-store-key")):
        got = subprocess.run([f"{rig.BIN}/aisbx-mcp", "--transport", "http", "--port", "0", *options], capture_output=True, text=True, timeout=rig.WAIT, check=False)
        assert got.returncode != 0 and wanted in got.stderr, (options, got.stderr)


def main():
    if store.server() is None:
        print("skipped: neither valkey-server nor redis-server is here")
        sys.exit(77)
    shared = have(store.Store("shared"))
    pool = Pool("shared", 3, shared.url)
    two_gateways_at_once_run_it_once(pool, shared)
    who_may_is_told(pool)
    no_store_stops_a_gateway(pool)
    by_tls(pool)
    as_in_kubernetes(pool)
    a_store_that_is_away_refuses_what_it_decides(pool, shared)
    it_outlives_the_memory_of_workers(pool, shared)
    a_rate_is_one_for_all_gateways_and_workers()
    bad_options_are_told()


try:
    main()
    for made in reversed(started):
        if made.process.poll() is None:
            assert made.end() == 0, f"{made.name} did not end well"
finally:
    for made in started:
        if made.process.poll() is None:
            made.kill()
    for made in stores:
        made.end()
