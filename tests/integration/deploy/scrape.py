"""The names and labels in rules and dashboard are those that /metrics serves; Prometheus takes and evaluates all."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse

from rig import SCRATCH, Supervisor, until

DEPLOY = sys.argv[3]
WITH_A_STORE = {"aisbx_gateway_shared_store_up"}  # tests/integration/fleet/shared.py sees it
NAME = re.compile(r"\baisbx_[a-z_]+")


def read(path):
    with open(f"{DEPLOY}/{path}", encoding="utf-8") as file:
        return file.read()


def expressions():
    """Where from, and the text of each query that we ship."""
    found = [("alerts.yml", text) for text in re.findall(r"expr: (?:\|\n)?((?:.+\n)(?: {12}.+\n)*)", read("prometheus/alerts.yml"))]
    board = json.loads(read("grafana/aisbx.json"))
    found += [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    found += [("variable", item["query"]) for item in board["templating"]["list"] if item["type"] == "query"]
    assert len(found) > 30, len(found)
    return found


def families(text):
    """name -> labels seen, of everything served."""
    served = {line.split()[2]: set() for line in text.splitlines() if line.startswith("# TYPE ")}
    for line in text.splitlines():
        name = re.match(r"[a-z_]+", line)
        if name:
            family = name[0] if name[0] in served else re.sub(r"_(bucket|sum|count)$", "", name[0])
            served[family].update(re.findall(r'(\w+)="', line))
    return served


def names_exist(text):
    served = families(text)
    for place, expression in expressions():
        for name in NAME.findall(expression):
            family = name if name in served else re.sub(r"_(bucket|sum|count)$", "", name)
            if name in WITH_A_STORE:
                continue
            assert family in served, f"{place}: {name} is not served"
            known = served[family] | {"instance", "job"}
            if len(known) > 2:  # one without samples shows no labels yet
                used = re.search(re.escape(name) + r"\{([^}]*)\}", expression)
                for label in re.findall(r"(\w+)\s*=", used[1]) if used else []:
                    assert label in known, f"{place}: {name} has no label {label}: {known}"
    unused = set(served) - set(NAME.findall(read("grafana/aisbx.json").replace("_bucket", "")))
    assert unused <= {"aisbx_build_info"}, f"the dashboard does not show {unused}"


def fetch(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        return answer.read().decode()
    finally:
        connection.close()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Prometheus:
    def __init__(self, target):
        self.port, at = free_port(), f"{SCRATCH}/prometheus"
        os.mkdir(at)
        config = read("prometheus/prometheus.yml").replace("15s", "1s").replace("127.0.0.1:8080", f"127.0.0.1:{target}")
        config = re.sub(r" +authorization:\n.*\n", "", config)  # this gateway lets loopback in
        for name, text in (("prometheus.yml", config), ("alerts.yml", read("prometheus/alerts.yml"))):
            with open(f"{at}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        self.log = open(f"{at}/log", "wb")
        self.process = subprocess.Popen(["prometheus", f"--config.file={at}/prometheus.yml", f"--storage.tsdb.path={at}/data",
                                         f"--web.listen-address=127.0.0.1:{self.port}"], stderr=self.log, stdout=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()

    def get(self, path):
        try:
            return json.loads(fetch(self.port, "/api/v1/" + path))["data"]
        except (OSError, AssertionError):
            assert self.process.poll() is None, "prometheus ended"
            return None

    def query(self, text):
        got = self.get("query?query=" + urllib.parse.quote(text))
        return got["result"] if got else []


def rules_are_evaluated(prometheus):
    def done():
        got = prometheus.get("rules")
        rules = [rule for group in got["groups"] for rule in group["rules"]] if got else []
        return rules if rules and all(rule["health"] != "unknown" for rule in rules) else None
    rules = until("rules are evaluated", done)
    assert all(rule["health"] == "ok" for rule in rules), [rule for rule in rules if rule["health"] != "ok"]
    print(f"{len(rules)} rules evaluated, all ok")


def main():
    with Supervisor() as sup:
        sup.wait_well()
        port = sup.parts()["gateway"]["port"]
        assert sup.run("echo x; exit 3")[0] == 200
        assert sup.http("GET", "/sandboxes/sb_" + "a" * 26)[0] == 404
        names_exist(fetch(port, "/metrics"))
        print("rules and dashboard name what is served")
        if shutil.which("prometheus") is None:
            print("skipped: no prometheus (Debian: prometheus)")
            return 77
        with Prometheus(port) as prometheus:
            until("the gateway is scraped", lambda: [r["value"][1] for r in prometheus.query('up{job="aisbx"}')] == ["1"])
            until("calls are counted", lambda: [r for r in prometheus.query('aisbx_requests_total{method="Run",code="OK"}') if float(r["value"][1]) == 1])
            rules_are_evaluated(prometheus)
            assert prometheus.query("ALERTS") == [], "all is well"
            for place, expression in expressions():
                if place not in ("alerts.yml", "variable"):
                    text = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
                    assert prometheus.get("query?query=" + urllib.parse.quote(text)) is not None, f"{place}: {text}"
            worker = sup.pid("worker")
            os.kill(worker, signal.SIGKILL)
            sup.wait_back("worker", worker)
            firing = until("an alert fires", lambda: prometheus.query('ALERTS{alertstate="firing"}'))
            assert [alert["metric"]["alertname"] for alert in firing] == ["AisbxWorkerRestarted"], firing
            print("after kill -9 of the worker: AisbxWorkerRestarted fires")
        assert sup.stop() == 0
    return 0


sys.exit(main())
