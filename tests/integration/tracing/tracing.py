"""Traces, from MCP, REST, gRPC and the command line to the program and to a collector."""

import base64
import concurrent.futures
import json
import os
import secrets
import subprocess
import threading

import grpc
from aisbx.v1 import exec_pb2, sandbox_pb2, sandbox_service_pb2
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
import rig
from rig import BIN, SCRATCH, WAIT, until

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SHOW = "echo \"$TRACEPARENT $TRACESTATE\""
STATE = "vendor=a/b:1,other=2"


STARTED = []


def start(kind, *arguments, **options):
    """Ends with the test, however that ends."""
    STARTED.append(kind(*arguments, **options))
    return STARTED[-1]


class Span:
    def __init__(self, span, resource):
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.name, self.kind, self.flags, self.status = span.name, span.kind, span.flags, span.status.code
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.events = [event.name for event in span.events]
        self.attributes = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
        self.service = next(a.value.string_value for a in resource.attributes if a.key == "service.name")

    def __repr__(self):
        return f"<{self.service} {self.name} {self.id} of {self.parent} in {self.trace} {self.attributes}>"


class Collector(grpc.GenericRpcHandler):
    """Keeps what it gets."""

    def __init__(self):
        self.lock, self.spans, self.raw, self.metadata, self.resources = threading.Lock(), [], [], [], []
        self.refuses, self.holds = None, None
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.port}"
        self.server.start()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.take) if details.method == EXPORT else None

    def take(self, raw, context):
        if self.holds is not None:
            self.holds.wait(WAIT)
        if self.refuses is not None:
            context.abort(self.refuses, "not now")
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(raw)
        with self.lock:
            self.raw.append(raw)
            self.metadata.append(dict(context.invocation_metadata()))
            for of_resource in request.resource_spans:
                self.resources.append(of_resource.resource)
                for of_scope in of_resource.scope_spans:
                    self.spans += [Span(span, of_resource.resource) for span in of_scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse().SerializeToString()

    def of(self, trace):
        with self.lock:
            return [span for span in self.spans if span.trace == trace]

    def parent_of(self, span):
        return until(f"the parent of {span}", lambda: next((s for s in self.of(span.trace) if s.id == span.parent), None))

    def wait_for(self, trace, *names):
        """The spans of that trace, by name, when all of these are there."""

        def there():
            spans = {span.name: span for span in self.of(trace)}
            return spans if set(names) <= set(spans) else None

        return until(f"{names} of {trace}: {self.of(trace)}", there)


def new_trace(flags="01"):
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, f"00-{trace}-{span}-{flags}"


def chain(*spans):
    """Each is the child of the one before, and lies within it unless it outlives it."""
    for outer, inner in zip(spans, spans[1:]):
        assert inner.parent == outer.id and inner.trace == outer.trace and inner.start >= outer.start, (outer, inner)
    for span in spans:
        assert span.start <= span.end and span.flags & 0x101 == 0x101, span


def shown(text, exec_span, state=STATE):
    parent, _, rest = text.strip().partition(" ")
    assert parent == f"00-{exec_span.trace}-{exec_span.id}-01" and rest == state, (text, exec_span)


def stdout_of(answer):
    return answer["stdout"]


def check_exec(spans, call, exit_code=0):
    exec_span = spans["aisbx.exec"]
    chain(call, exec_span, spans["aisbx.exec.wait"])
    chain(exec_span, spans["aisbx.exec.spawn"])
    assert exec_span.attributes["aisbx.verdict"] == "exited" and exec_span.attributes["process.exit.code"] == exit_code, exec_span
    assert exec_span.attributes["aisbx.exec.id"] == call.attributes["aisbx.exec.id"], (exec_span, call)
    assert exec_span.status == (2 if exit_code else 0), exec_span
    return exec_span


EXEC = ("aisbx.exec", "aisbx.exec.wait", "aisbx.exec.spawn", "aisbx.sandbox.start")


def call_mcp(gateway, meta, headers, tool="shell", arguments=None):
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, **meta}
    params = {"name": tool, "arguments": arguments or {"command": SHOW}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28",
               "Mcp-Method": "tools/call", "Mcp-Name": tool, **headers}
    got = gateway.ask("POST", "/mcp", body, headers, below="")
    assert got.status == 200, got.text()
    text = got.text()
    if text.startswith(("event:", "data:", ":", "id:")):
        text = next(line[5:] for line in text.splitlines() if line.startswith("data:") and '"result"' in line)
    result = json.loads(text)["result"]
    assert not result.get("isError"), result
    return result["content"][0]["text"]


def line_of(text):
    return next(line for line in text.splitlines() if line.startswith("00-"))


def test_mcp(collector, gateway):
    for where in ("_meta", "headers"):
        trace, sent, parent = new_trace()
        both = {"traceparent": parent, "tracestate": STATE}
        other = {"traceparent": new_trace()[2]}  # of whoever carried it: _meta comes first
        text = call_mcp(gateway, both, other) if where == "_meta" else call_mcp(gateway, {}, both)
        spans = collector.wait_for(trace, "tools/call shell", *EXEC)
        call = collector.parent_of(spans["aisbx.exec"])
        assert spans["tools/call shell"].parent == sent and spans["tools/call shell"].flags & 0x200, spans
        chain(spans["tools/call shell"], call, spans["aisbx.exec"])
        assert spans["aisbx.sandbox.start"].trace == trace, spans
        assert spans["tools/call shell"].service == "aisbx-mcp" and spans["aisbx.exec"].service == "aisbx-worker", spans
        assert spans["tools/call shell"].attributes["gen_ai.tool.name"] == "shell", spans
        shown(line_of(text), spans["aisbx.exec"])
        assert "first output" in spans["aisbx.exec"].events, spans["aisbx.exec"].events


def test_rest(collector, gateway, code=0):
    trace, sent, parent = new_trace()
    answer = gateway.run("sh", "-c", f"{SHOW}; exit {code}", headers={"traceparent": parent, "tracestate": STATE}).json()
    spans = collector.wait_for(trace, "POST /api/v1/run", "aisbx.v1.SandboxService/Run", *EXEC)
    assert spans["POST /api/v1/run"].parent == sent, spans
    chain(spans["POST /api/v1/run"], spans["aisbx.v1.SandboxService/Run"], spans["aisbx.sandbox.start"])
    exec_span = check_exec(spans, spans["aisbx.v1.SandboxService/Run"], code)
    shown(stdout_of(answer), exec_span)


def run_request(*command, script=None, env=()):
    spec = exec_pb2.ExecSpec(command=exec_pb2.Command(args=list(command))) if not script else exec_pb2.ExecSpec(
        script=exec_pb2.Script(language="python", source=script))
    for key, value in env:
        spec.env[key] = value
    return sandbox_service_pb2.RunRequest(target=exec_pb2.ExecTarget(new_sandbox=sandbox_pb2.SandboxSpec()), exec=spec)


def run_grpc(worker, request, *metadata):
    with grpc.insecure_channel(f"127.0.0.1:{worker.port}") as channel:
        run = channel.unary_unary("/aisbx.v1.SandboxService/Run", sandbox_service_pb2.RunRequest.SerializeToString,
                                  sandbox_service_pb2.RunResponse.FromString)
        return run(request, metadata=metadata, timeout=WAIT).stdout.decode()


def test_grpc(collector, worker):
    trace, sent, parent = new_trace()
    text = run_grpc(worker, run_request("sh", "-c", SHOW), ("traceparent", parent), ("tracestate", STATE))
    spans = collector.wait_for(trace, "aisbx.v1.SandboxService/Run", *EXEC)
    assert spans["aisbx.v1.SandboxService/Run"].parent == sent, spans
    shown(text, check_exec(spans, spans["aisbx.v1.SandboxService/Run"]))


def test_cli(collector, worker):
    later = "-what a later version says: \u00e9"
    for address, more in ((worker.address(), ""), (socket_of(worker), ""), (worker.address(), later)):
        trace, sent, parent = new_trace()
        parent = "cc" + parent[2:] + more if more else parent
        text = subprocess.run([f"{BIN}/aisbx", "--address", address, "run", "--", "sh", "-c", SHOW], check=True, capture_output=True, text=True,
                              env={**os.environ, "TRACEPARENT": parent, "TRACESTATE": STATE}, timeout=WAIT).stdout
        spans = collector.wait_for(trace, *EXEC)
        call = collector.parent_of(spans["aisbx.exec"])
        assert call.parent == sent and call.name.startswith("aisbx.v1.SandboxService/"), call
        shown(text, check_exec(spans, call))


def test_interpreters_that_wait(collector, worker):
    source = "import os\nprint(os.environ.get('TRACEPARENT'), os.environ.get('TRACESTATE'), os.popen('echo $TRACEPARENT').read())"
    for _ in range(4):  # the first one starts its own
        trace, _, parent = new_trace()
        text = run_grpc(worker, run_request(script=source), ("traceparent", parent), ("tracestate", STATE)).split()
        exec_span = collector.wait_for(trace, "aisbx.exec")["aisbx.exec"]
        told = f"00-{trace}-{exec_span.id}-01"
        assert text == [told, STATE, told], (text, exec_span)


def test_what_is_wrong_begins_anew(collector, gateway, worker):
    trace, _, _ = new_trace()
    for bad in (f"00-{trace.upper()}-1234567890123456-01", f"00-{trace}-0000000000000000-01", "nonsense", "ff" + new_trace()[2][2:]):
        told = stdout_of(gateway.run("sh", "-c", SHOW, headers={"traceparent": bad, "tracestate": STATE}).json()).strip()
        assert told.startswith("00-") and told.endswith("-03") and trace not in told.lower(), (bad, told)
        spans = collector.wait_for(told.split("-")[1], "POST /api/v1/run", "aisbx.exec")
        assert spans["POST /api/v1/run"].parent == "", spans
    told = run_grpc(worker, run_request("sh", "-c", SHOW), ("traceparent", "00-x"), ("tracestate", STATE)).strip()
    assert told.endswith("-03"), told
    assert collector.wait_for(told.split("-")[1], "aisbx.exec"), told


def test_what_the_caller_sets_is_the_callers(collector, worker):
    _, _, parent = new_trace()
    text = run_grpc(worker, run_request("sh", "-c", SHOW, env=[("TRACEPARENT", "mine")]), ("traceparent", parent), ("tracestate", STATE))
    assert text == "mine \n", text


def test_not_sampled(collector, worker):
    trace, _, parent = new_trace("00")
    assert run_grpc(worker, run_request("sh", "-c", SHOW), ("traceparent", parent)).strip() == parent
    marker = new_trace()
    run_grpc(worker, run_request("true"), ("traceparent", marker[2]))
    collector.wait_for(marker[0], "aisbx.exec")
    assert collector.of(trace) == [], collector.of(trace)


def test_off():
    worker = start(rig.Worker, "off")
    _, _, parent = new_trace()
    assert run_grpc(worker, run_request("sh", "-c", SHOW), ("traceparent", parent), ("tracestate", STATE)) == f"{parent} {STATE}\n"
    assert run_grpc(worker, run_request("sh", "-c", SHOW + "; env | grep -c TRACE"), ("traceparent", "x"), ("tracestate", STATE)) == " \n0\n"
    threads = [open(f"/proc/{worker.process.pid}/task/{task}/comm", encoding="utf-8").read().strip()
               for task in os.listdir(f"/proc/{worker.process.pid}/task")]
    assert "spans" not in threads, threads
    gateway = start(rig.Gateway, "off-gateway", socket_of(worker))
    assert "_trace_spans_total{" not in gateway.metrics() and "_trace_spans_total counter" in gateway.metrics()
    assert gateway.end() == 0 and worker.end() == 0


def test_nothing_that_is_secret(collector, gateway):
    trace, _, parent = new_trace()
    words = [secrets.token_hex(12) for _ in range(6)]
    body = {"target": {"new_sandbox": {"env": {"A": words[0]}, "labels": {"of": words[1]}}},
            "exec": {"command": {"args": ["sh", "-c", f"echo {words[2]}; cat", words[3]]}, "env": {"B": words[4]}}}
    gateway.post("/run", {**body, "stdin": base64.b64encode(words[5].encode()).decode()}, headers={"traceparent": parent})
    collector.wait_for(trace, "POST /api/v1/run", *EXEC)
    with collector.lock:
        everything = b"".join(collector.raw)
    assert [word for word in words if word.encode() in everything] == []


def socket_of(worker):
    """Over which the gateway's own calls may ask for metrics."""
    return f"unix:{SCRATCH}/{worker.name}.sock"


def counts(gateway, name):
    """By outcome, of all workers."""
    found = {}
    for line in gateway.metrics().splitlines():
        if line.startswith(name + "{"):
            outcome = line.split('outcome="')[1].split('"')[0]
            found[outcome] = found.get(outcome, 0) + float(line.split()[-1])
    return found


def test_many(collector, workers):
    """Before many workers the gateway asks for the same in the same trace."""
    gateway = start(rig.Gateway, "many-gateway", ",".join(map(socket_of, workers)), ["--otlp-endpoint", collector.url])
    test_rest(collector, gateway, 3)
    test_mcp(collector, gateway)
    until("spans counted", lambda: counts(gateway, "aisbx_gateway_trace_spans_total").get("exported", 0) >= 3)
    assert counts(gateway, "aisbx_trace_spans_total")["exported"] > 0
    assert gateway.end() == 0


def test_no_collector():
    """Runs go on, and what could not be sent is counted."""
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = "4"
    url = "http://127.0.0.1:1"
    worker = start(rig.Worker, "alone", options=["--otlp-endpoint", url])
    gateway = start(rig.Gateway, "alone-gateway", socket_of(worker), ["--otlp-endpoint", url])
    del os.environ["OTEL_BSP_MAX_QUEUE_SIZE"]
    names = ("aisbx_trace_spans_total", "aisbx_gateway_trace_spans_total")

    def are_dropped():
        assert gateway.run("true").json()["exec"]["verdict"]["kind"] == "exited"
        return all(counts(gateway, name)["dropped"] > 0 for name in names)

    until("dropped", are_dropped)
    assert all(counts(gateway, name)["exported"] == 0 for name in names), gateway.metrics()
    for program in (gateway, worker):
        until("said", lambda: "spans cannot be sent" in program.said())
        assert program.end() == 0


def test_end(collector):
    """What waits is sent when a program ends; a collector that does not answer holds nobody up."""
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "60000"
    worker = start(rig.Worker, "ending", options=["--otlp-endpoint", collector.url])
    trace, _, parent = new_trace()
    run_grpc(worker, run_request("true"), ("traceparent", parent))
    assert collector.of(trace) == []
    assert worker.end() == 0
    assert {span.name for span in collector.of(trace)} >= set(EXEC), collector.of(trace)
    held = Collector()
    held.holds = threading.Event()
    worker = start(rig.Worker, "held", options=["--otlp-endpoint", held.url])
    run_grpc(worker, run_request("true"))
    assert worker.end() == 0 and held.spans == []
    held.holds.set()
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "5"


def test_variables(collector):
    """As all of OpenTelemetry is told."""
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + "/",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20of%20us,no header=1,x-team=a", "OTEL_SERVICE_NAME": "mine",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=other,k8s.pod.name=p%2C1,host.name=theirs,host.name=again", "OTEL_TRACES_SAMPLER": "always_on"}
    os.environ.update(told)
    worker = start(rig.Worker, "told")
    for name in told:
        del os.environ[name]
    trace, _, parent = new_trace("00")  # always_on asks nobody
    run_grpc(worker, run_request("true"), ("traceparent", parent))
    spans = collector.wait_for(trace, "aisbx.exec")
    assert spans["aisbx.exec"].service == "mine", spans
    with collector.lock:
        assert collector.metadata[-1]["authorization"] == "Bearer of us" and collector.metadata[-1]["x-team"] == "a", collector.metadata[-1]
        said = {a.key: json_format.MessageToDict(a.value) for a in collector.resources[-1].attributes}
    assert said["k8s.pod.name"] == {"stringValue": "p,1"} and said["deployment.environment.name"] == {"stringValue": "test"}, said
    keys = [a.key for a in collector.resources[-1].attributes]
    assert len(keys) == len(set(keys)) and said["host.name"] == {"stringValue": "theirs"}, keys
    assert said["service.instance.id"] == {"stringValue": worker.id} and "service.version" in said and "process.pid" in said, said
    assert worker.end() == 0


def test_options():
    for options, why in (
        (["--otlp-endpoint", "collector:4317"], "http://localhost:4317"),
        (["--otlp-endpoint", "http://a/v1/traces"], "no path"),
        (["--otlp-endpoint", "http://a:x"], "no host and port"),
        (["--trace-sampler", "sometimes"], "parentbased_always_on"),
        (["--trace-ratio", "2"], "no share"),
    ):
        for program in (["aisbx-worker", "--listen", f"unix:{SCRATCH}/never.sock", "--state-dir", f"{SCRATCH}/never"], ["aisbx-mcp", "--transport", "http", "--port", "0"]):
            got = subprocess.run([f"{BIN}/{program[0]}", *program[1:], *options], capture_output=True, text=True, timeout=WAIT, check=False)
            assert got.returncode != 0 and why in got.stderr, (program, options, got.stderr)


def main():
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "5"
    collector = Collector()
    workers = [start(rig.Worker, f"w{i}", options=["--otlp-endpoint", collector.url]) for i in range(2)]
    os.environ["AISBX_ADDRESS"] = ""
    gateway = start(rig.Gateway, "gateway", workers[0].address(), ["--otlp-endpoint", collector.url])
    until("the gateway has its worker", lambda: gateway.ask("GET", "/health", below="").status == 200)
    for test, arguments in (
        (test_mcp, (collector, gateway)),
        (test_rest, (collector, gateway)),
        (test_grpc, (collector, workers[0])),
        (test_cli, (collector, workers[0])),
        (test_interpreters_that_wait, (collector, workers[0])),
        (test_what_is_wrong_begins_anew, (collector, gateway, workers[0])),
        (test_what_the_caller_sets_is_the_callers, (collector, workers[0])),
        (test_not_sampled, (collector, workers[0])),
        (test_nothing_that_is_secret, (collector, gateway)),
        (test_many, (collector, workers)),
        (test_off, ()),
        (test_no_collector, ()),
        (test_end, (collector,)),
        (test_variables, (collector,)),
        (test_options, ()),
    ):
        test(*arguments)
        print(f"ok {test.__name__[5:].replace('_', ' ')}", flush=True)
    for program in (gateway, *workers):
        assert program.end() == 0, program.said()[-2000:]
    os.makedirs(f"{SCRATCH}/requests")
    for i, raw in enumerate(collector.raw):
        with open(f"{SCRATCH}/requests/{i}", "wb") as file:
            file.write(raw)


try:
    main()
finally:
    for left in STARTED:
        left.kill()
