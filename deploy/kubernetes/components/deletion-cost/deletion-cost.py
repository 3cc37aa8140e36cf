#!/usr/bin/python3
"""Tells the cluster which workers can be spared, by two annotations of their pods:

controller.kubernetes.io/pod-deletion-cost        sandboxes alive, rounded up to a power of two: fewer replicas take idle ones
cluster-autoscaler.kubernetes.io/safe-to-evict    "true" while there are none

What a gateway's /metrics says decides; of a worker that it does not show nothing is changed. A pod is patched only when
its number changes, so a busy pool does not burden the API server. Neither annotation is a promise: a worker that is taken
drains first.

Environment: METRICS_URL, METRICS_CA, METRICS_CERT and METRICS_KEY (a client certificate) or METRICS_TOKEN_FILE (an API
key), POD_SELECTOR, INTERVAL_S; KUBERNETES_URL and SERVICE_ACCOUNT only where it does not run in a pod."""

import json
import os
import re
import signal
import ssl
import sys
import threading
import urllib.parse
import urllib.request

COST = "controller.kubernetes.io/pod-deletion-cost"
EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
TIMEOUT_S = 10
MAX_BYTES = 16 << 20
ACTIVE = re.compile(r'^aisbx_sandboxes_active\{worker="(?:ipv4:|ipv6:)?\[?([0-9a-fA-F.:]+?)\]?:\d+"\} (\d+)(?:\.0*)?$')

account = os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def context(ca, cert=None, key=None):
    made = ssl.create_default_context(cafile=ca)
    if cert:
        made.load_cert_chain(cert, key)
    return made


def ask(url, tls, token=None, method="GET", body=None, kind=None):
    request = urllib.request.Request(url, method=method, data=body)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if kind:
        request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=tls if url.startswith("https:") else None) as answer:
        text = answer.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ValueError(f"{url}: more than {MAX_BYTES} bytes")
    return text.decode("utf-8")


def sandboxes_by_address():
    """{address of a worker: sandboxes alive}"""
    env = os.environ.get
    tls = context(env("METRICS_CA"), env("METRICS_CERT"), env("METRICS_KEY"))
    token = read(env("METRICS_TOKEN_FILE")) if env("METRICS_TOKEN_FILE") else None
    found = (ACTIVE.match(line) for line in ask(os.environ["METRICS_URL"], tls, token).splitlines())
    return {row[1]: int(row[2]) for row in found if row}


def wanted(alive):
    """Powers of two: a number that moves with every sandbox would be written as often."""
    cost = 0 if alive == 0 else 1 << (alive - 1).bit_length()
    return {COST: str(min(cost, 1 << 30)), EVICT: "true" if alive == 0 else "false"}


class Cluster:
    def __init__(self):
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        base = os.environ.get("KUBERNETES_URL") or f"https://{host}:{port}"
        self.pods_url = f"{base}/api/v1/namespaces/{read(f'{account}/namespace')}/pods"
        self.tls = context(f"{account}/ca.crt") if base.startswith("https:") else None

    def ask(self, *words, **more):
        return ask(*words, self.tls, read(f"{account}/token"), **more)  # the token is another one from time to time

    def pods(self):
        selector = urllib.parse.quote(os.environ.get("POD_SELECTOR", "app.kubernetes.io/name=aisbx-worker"))
        return json.loads(self.ask(f"{self.pods_url}?labelSelector={selector}"))["items"]

    def annotate(self, name, annotations):
        self.ask(f"{self.pods_url}/{urllib.parse.quote(name, safe='')}", method="PATCH", kind="application/merge-patch+json",
                 body=json.dumps({"metadata": {"annotations": annotations}}).encode())


def once(cluster):
    alive = sandboxes_by_address()
    for pod in cluster.pods():
        name, address = pod["metadata"]["name"], pod.get("status", {}).get("podIP")
        if address not in alive or pod["metadata"].get("deletionTimestamp"):
            continue
        want, has = wanted(alive[address]), pod["metadata"].get("annotations") or {}
        if any(has.get(key) != value for key, value in want.items()):
            cluster.annotate(name, want)
            print(f"pod={name} sandboxes={alive[address]} cost={want[COST]}", flush=True)


def main():
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    interval_s = float(os.environ.get("INTERVAL_S", "30"))
    while not ended.is_set():
        try:
            once(Cluster())
        except (OSError, ValueError, KeyError) as error:  # told, and tried again: old annotations stay
            print(f"nothing changed: {error!r}", file=sys.stderr, flush=True)
        ended.wait(interval_s)


main()
