"""auth.py plain DIR TCP UNIX | auth.py tls DIR TLS MTLS: keys lie in DIR; standard input is a key to be revoked."""

import pathlib
import sys
import unittest

import grpc
from google.protobuf import message_factory

import aisbx
from aisbx.v1 import context_service_pb2, file_service_pb2, key_service_pb2, port_service_pb2
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import key_service_pb2 as ks
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api
from aisbx.v1 import worker_service_pb2 as wk

MODE, DIR, *ADDRESSES = sys.argv[1:]
BOUND = f"{DIR}/mine/bound"  # nothing else is mounted there, as may be below /tmp
Code = grpc.StatusCode
ABSENT = {"sandbox_id": "sb_" + "a" * 26, "exec_id": "ex_" + "a" * 26, "context_id": "cx_" + "a" * 26}
FILES = [api, wk, file_service_pb2, context_service_pb2, port_service_pb2, key_service_pb2]


def key(name):
    return pathlib.Path(DIR, name + ".key").read_text().strip()


def pem(name):
    return pathlib.Path(DIR, name).read_bytes()


class Caller:
    """A channel and the metadata of all its calls."""

    def __init__(self, address, metadata=(), credentials=None):
        target = grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "localhost")]) if credentials else grpc.insecure_channel(address)
        self.channel, self.metadata = target, tuple(metadata)

    def call(self, method, request):
        """(code, text, replies, trailers) of any kind of call."""
        path = f"/{method.containing_service.full_name}/{method.name}"
        reply = message_class(method.output_type)
        kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
        stub = getattr(self.channel, kind)(path, type(request).SerializeToString, reply.FromString)
        request = iter([request]) if method.client_streaming else request
        try:
            call = stub(request, metadata=self.metadata, timeout=20)
            return Code.OK, "", list(call) if method.server_streaming else [call], {}
        except grpc.RpcError as error:
            return error.code(), error.details(), [], dict(error.trailing_metadata() or ())

    def do(self, name, **fields):
        method = METHODS[name]
        return self.call(method, message_class(method.input_type)(**fields))

    def must(self, name, **fields):
        code, text, replies, _ = self.do(name, **fields)
        assert code == Code.OK, (name, code, text)
        return replies[0]


def message_class(descriptor):
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory().GetPrototype(descriptor)


METHODS = {m.name: m for f in FILES for s in f.DESCRIPTOR.services_by_name.values() for m in s.methods}


def by_key(text, address=None):
    return Caller(address or ADDRESSES[0], [("x-api-key", text)])


def places(descriptor, depth=0):
    """Paths of fields that take the id of a sandbox or an exec."""
    for field in descriptor.fields:
        if field.name in ABSENT and field.type == field.TYPE_STRING:
            yield [field.name]
        elif field.message_type is not None and field.label != field.LABEL_REPEATED and depth < 3:
            if not field.message_type.full_name.startswith("google."):
                for rest in places(field.message_type, depth + 1):
                    yield [field.name, *rest]


def with_id(method, path, value):
    request = message_class(method.input_type)()
    at = request
    for name in path[:-1]:
        at = getattr(at, name)
    setattr(at, path[-1], value)
    for name, fill in {"exec": lambda m: m.command.args.append("true"), "start": lambda m: m.exec.command.args.append("true")}.items():
        field = method.input_type.fields_by_name.get(name)
        if field is not None and field.message_type is not None and field.message_type.name in ("ExecSpec", "StartExecRequest"):
            fill(getattr(request, name))
    for name, value in {"signal": 10, "data": b"x", "path": "/workspace/x"}.items():
        field = method.input_type.fields_by_name.get(name)
        if field is not None and field.message_type is None and field.label != field.LABEL_REPEATED and field.containing_oneof is None:
            try:
                setattr(request, name, value)
            except TypeError:
                pass
    if method.name == "UpdateSandbox":
        request.sandbox.ttl_ms = 60000
        request.update_mask.paths.append("ttl_ms")
    return request


# What this worker serves today, and what tells of a sandbox only that it is there or not.
NEEDS_NOT_FOUND = {
    "GetSandbox", "UpdateSandbox", "UpdateNetwork", "DestroySandbox", "Run", "StartExec", "InteractExec", "AttachExec",
    "GetExec", "ReadExecOutput", "SendExecInput", "SignalExec", "CancelExec", "ResizeExec",
    "ExposePort", "ListPorts", "UnexposePort", "ForwardPort",
    "CreateContext", "ListContexts", "ExecuteCode", "InterruptContext", "RestartContext", "DeleteContext",
}


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.a, cls.b = by_key(key("a")), by_key(key("b"))
        made = cls.a.must("CreateSandbox", sandbox=sb.SandboxSpec(profile="strict"))
        cls.sandbox_id = made.sandbox.sandbox_id
        run = cls.a.must(
            "Run",
            target=ex.ExecTarget(sandbox_id=cls.sandbox_id),
            exec=ex.ExecSpec(command=ex.Command(args=["sh", "-c", "echo mine"])),
        )
        cls.exec_id = run.exec.exec_id
        assert run.stdout == b"mine\n", run
        cls.context_id = cls.a.must("CreateContext", sandbox_id=cls.sandbox_id, language="bash").context.context_id

    @classmethod
    def tearDownClass(cls):
        cls.a.must("DestroySandbox", sandbox_id=cls.sandbox_id)

    def test_another_tenants_ids_are_as_ids_that_never_were(self):
        ids = {"sandbox_id": self.sandbox_id, "exec_id": self.exec_id, "context_id": self.context_id}
        seen = set()
        for method in METHODS.values():
            for path in places(method.input_type):
                if method.name == "DestroySandbox":
                    continue  # below
                real, absent = ids[path[-1]], ABSENT[path[-1]]
                theirs = self.b.call(method, with_id(method, path, real))
                nobodys = self.b.call(method, with_id(method, path, absent))
                with self.subTest(method=method.name, path=path):
                    self.assertEqual(theirs[0], nobodys[0], theirs[1])
                    self.assertEqual(theirs[1].replace(real, "ID"), nobodys[1].replace(absent, "ID"))
                    if method.name == "ListAuditRecords":  # of what was asked for just now
                        self.assertEqual({record.tenant for record in theirs[2][0].records}, {"b"})
                    else:
                        self.assertEqual(theirs[2], nobodys[2])
                    if method.name in NEEDS_NOT_FOUND:
                        self.assertEqual(theirs[0], Code.NOT_FOUND, theirs[1])
                seen.add(method.name)
        self.assertLessEqual(NEEDS_NOT_FOUND - {"DestroySandbox"}, seen)
        code, text, _, _ = self.b.do("DestroySandbox", sandbox_id=self.sandbox_id)
        self.assertEqual((code, text), (Code.NOT_FOUND, f"no sandbox {self.sandbox_id} (aisbx list shows what there is)"))
        self.assertEqual(self.a.must("GetSandbox", sandbox_id=self.sandbox_id).sandbox.state, sb.SANDBOX_STATE_RUNNING)
        self.assertEqual(self.a.must("GetExec", exec_id=self.exec_id).exec.exec_id, self.exec_id)

    def test_lists_and_watches_show_ones_own(self):
        self.assertEqual([s.sandbox_id for s in self.a.must("ListSandboxes").sandboxes], [self.sandbox_id])
        self.assertEqual(len(self.b.must("ListSandboxes").sandboxes), 0)
        self.assertEqual(len(self.b.must("ListExecs").execs), 0)
        self.assertIn(self.exec_id, [e.exec_id for e in self.a.must("ListExecs").execs])
        stub = self.b.channel.unary_stream(
            "/aisbx.v1.SandboxService/WatchSandboxes",
            api.WatchSandboxesRequest.SerializeToString,
            api.WatchSandboxesResponse.FromString,
        )
        watch = stub(api.WatchSandboxesRequest(), metadata=self.b.metadata, timeout=60)
        watch.initial_metadata()
        mine = [self.a.must("CreateSandbox", sandbox=sb.SandboxSpec(profile="strict")).sandbox.sandbox_id]
        mine += [self.b.must("CreateSandbox", sandbox=sb.SandboxSpec(profile="strict")).sandbox.sandbox_id]
        told = set()
        for event in watch:
            if event.sandbox.sandbox_id:
                told.add(event.sandbox.sandbox_id)
                break
        watch.cancel()
        self.assertEqual(told, {mine[1]})
        for caller, sandbox in zip((self.a, self.b), mine):
            caller.must("DestroySandbox", sandbox_id=sandbox)

    def test_an_auditor_looks_and_does_not_act(self):
        look, everywhere = by_key(key("look")), by_key(key("look-all"))
        for auditor in look, everywhere:
            self.assertIn(self.sandbox_id, [s.sandbox_id for s in auditor.must("ListSandboxes").sandboxes])
            records = auditor.must("ListAuditRecords", page_size=1000).records
            tenants = {record.tenant for record in records}
            self.assertEqual(tenants == {"a"}, auditor is look, tenants)
            for name in METHODS:
                method = METHODS[name]
                code, text, _, _ = (
                    auditor.call(method, message_class(method.input_type)())
                    if name not in ("WatchSandboxes", "WatchLoad", "ListSandboxes")
                    else (None, "", [], {})
                )
                if name in ("Run", "CreateSandbox", "ReadExecOutput", "AttachExec", "SetDraining", "CreateKey", "ListKeys"):
                    self.assertEqual(code, Code.PERMISSION_DENIED, (name, text))
        b = self.b.must("CreateSandbox", sandbox=sb.SandboxSpec(profile="strict")).sandbox.sandbox_id
        self.assertEqual(look.do("GetSandbox", sandbox_id=b)[0], Code.NOT_FOUND)
        self.assertEqual(everywhere.must("GetSandbox", sandbox_id=b).sandbox.sandbox_id, b)
        self.b.must("DestroySandbox", sandbox_id=b)

    def test_an_admin_sees_all_and_makes_keys(self):
        admin = by_key(key("admin"))
        self.assertIn(self.sandbox_id, [s.sandbox_id for s in admin.must("ListSandboxes").sandboxes])
        made = admin.must("CreateKey", role=ks.ROLE_USER, tenant="c", title="t", ttl_ms=60000)
        self.assertTrue(made.text.startswith(f"aisbx_{made.key.key_id}_"))
        self.assertTrue(made.key.created_by.startswith("key:"))
        by_key(made.text).must("GetInfo")
        page = admin.must("ListKeys", page_size=1)
        self.assertEqual([k.key_id for k in page.keys], [made.key.key_id])
        self.assertTrue(page.next_page_token)
        self.assertEqual([k.tenant for k in admin.must("ListKeys", tenant="c").keys], ["c"])
        self.assertNotIn(made.text, str(admin.must("ListKeys", page_size=1000)))
        admin.must("RevokeKey", key_id=made.key.key_id)
        self.assertEqual(by_key(made.text).do("GetInfo")[0], Code.UNAUTHENTICATED)
        for wrong in ({}, {"role": 1}, {"role": 9, "tenant": "a"}, {"role": 2, "tenant": "*"}, {"role": 2, "tenant": "A b"},
                      {"role": 3, "title": "x" * 201}, {"role": 3, "title": "a\nb"}, {"role": 3, "ttl_ms": 2**60}):
            self.assertEqual(admin.do("CreateKey", **wrong)[0], Code.INVALID_ARGUMENT, wrong)
        self.assertEqual(admin.do("RevokeKey", key_id="none")[0], Code.NOT_FOUND)

    def test_wrong_expired_and_revoked_keys(self):
        gone = sys.stdin.read().strip()
        by_key(gone).must("GetInfo")
        by_key(key("admin")).must("RevokeKey", key_id=gone)
        wrong = key("a")[:-1] + ("A" if key("a")[-1] != "A" else "E")
        for text, why in ((gone, "was revoked"), (key("old"), "has expired"), (wrong, "knows no such API key"), ("x", "not the form")):
            code, details, _, _ = by_key(text).do("GetInfo")
            self.assertEqual(code, Code.UNAUTHENTICATED)
            self.assertIn(why, details)
            self.assertIn("keys create", details)
            self.assertNotIn(text[40:] or "\0", details)
        code, details, _, _ = Caller(ADDRESSES[0]).do("GetInfo")
        self.assertEqual(code, Code.UNAUTHENTICATED)
        self.assertIn("auth: {loopback: user}", details)

    def test_bearer_is_as_good(self):
        bearer = Caller(ADDRESSES[0], [("authorization", "Bearer " + key("a"))])
        self.assertEqual([s.sandbox_id for s in bearer.must("ListSandboxes").sandboxes], [self.sandbox_id])
        both = Caller(ADDRESSES[0], [("authorization", "Bearer " + key("a")), ("x-api-key", key("b"))])
        self.assertEqual(both.do("GetInfo")[0], Code.UNAUTHENTICATED)

    def test_the_gateway_speaks_for_others_from_the_unix_socket_only(self):
        unix = ADDRESSES[1]
        self.assertEqual(Caller(unix).do("ListKeys")[0], Code.OK)
        self.assertEqual(Caller(unix, [("x-aisbx-via", "http")]).do("GetInfo")[0], Code.UNAUTHENTICATED)
        agent = [("x-aisbx-via", "http"), ("x-aisbx-identity", "spiffe://x/agent-9"), ("x-aisbx-peer", "192.0.2.1:1")]
        listed = Caller(unix, agent).must("ListSandboxes").sandboxes
        self.assertEqual([s.sandbox_id for s in listed], [self.sandbox_id])
        self.assertEqual(Caller(unix, agent).do("ListKeys")[0], Code.PERMISSION_DENIED)
        self.assertEqual(Caller(ADDRESSES[0], agent).do("GetInfo")[0], Code.UNAUTHENTICATED)
        stranger = [("x-aisbx-via", "http"), ("x-aisbx-identity", "spiffe://x/nobody")]
        self.assertEqual(Caller(unix, stranger).do("GetInfo")[0], Code.UNAUTHENTICATED)
        mounts = sb.SandboxSpec(mounts=[sb.Mount(source=BOUND, target="/data")])
        code, _, _, _ = Caller(unix, [("x-aisbx-via", "http"), ("x-api-key", key("a"))]).do("CreateSandbox", sandbox=mounts)
        self.assertEqual(code, Code.PERMISSION_DENIED)

    def test_nobody_binds_directories_for_another(self):
        unix = ADDRESSES[1]
        admin, mine = Caller(unix), Caller(unix, [("x-api-key", key("a"))])
        box = mine.must("CreateSandbox", sandbox=sb.SandboxSpec(mounts=[sb.Mount(source=BOUND, target="/data")])).sandbox.sandbox_id
        plain = mine.must("CreateSandbox").sandbox.sandbox_id
        if mine.do("SnapshotSandbox", sandbox_id=box)[0] == Code.FAILED_PRECONDITION:
            self.skipTest("no snapshots here")
        for caller, code in ((admin, Code.PERMISSION_DENIED), (by_key(key("a")), Code.PERMISSION_DENIED), (mine, Code.OK)):
            snapshot = caller.must("SnapshotSandbox", sandbox_id=box).snapshot.snapshot_id
            self.assertEqual(caller.do("ForkSandbox", sandbox_id=box)[0], code)
            self.assertEqual(caller.do("RollbackSandbox", sandbox_id=box, snapshot_id=snapshot)[0], code)
            self.assertEqual(caller.do("ForkSandbox", sandbox_id=plain)[0], Code.OK)
        self.assertIn("only key:", admin.do("ForkSandbox", sandbox_id=box)[1])
        for box in mine.must("ListSandboxes").sandboxes:
            if box.sandbox_id != self.sandbox_id:
                mine.must("DestroySandbox", sandbox_id=box.sandbox_id)

    def test_rates(self):
        slow = by_key(key("slow"))
        for _ in range(200):
            code, details, _, trailers = slow.do("GetInfo")
            if code != Code.OK:
                break
        self.assertEqual(code, Code.RESOURCE_EXHAUSTED, details)
        self.assertIn("tenant slow has used all of its 1 requests a second (3 at once)", details)
        self.assertEqual((trailers["ratelimit-limit"], trailers["ratelimit-remaining"]), ("3", "0"))
        self.assertTrue(0 < int(trailers["retry-after-ms"]) <= 1000, trailers)
        self.assertTrue(0 < int(trailers["ratelimit-reset-ms"]) <= 3000, trailers)
        self.a.must("GetInfo")

    def test_quotas(self):
        one, small = by_key(key("one")), by_key(key("small"))
        first = one.must("CreateSandbox", sandbox=sb.SandboxSpec(profile="strict")).sandbox.sandbox_id
        for name, fields in (("CreateSandbox", {"sandbox": sb.SandboxSpec(profile="strict")}),
                             ("Run", {"target": ex.ExecTarget(new_sandbox=sb.SandboxSpec(profile="strict")),
                                      "exec": ex.ExecSpec(command=ex.Command(args=["true"]))})):
            code, details, _, trailers = one.do(name, **fields)
            self.assertEqual(code, Code.RESOURCE_EXHAUSTED, details)
            self.assertIn("max_sandboxes is 1, of which 1 is in use by 1 sandboxes", details)
            self.assertEqual((trailers["ratelimit-limit"], trailers["ratelimit-remaining"]), ("1", "0"))
            self.assertGreater(int(trailers["retry-after-ms"]), 0)
        one.must("DestroySandbox", sandbox_id=first)
        again = one.must("CreateSandbox", sandbox=sb.SandboxSpec(profile="strict")).sandbox.sandbox_id
        one.must("DestroySandbox", sandbox_id=again)
        half = sb.SandboxSpec(profile="strict", limits=sb.Limits(memory_bytes=200 << 20))
        made = [small.must("CreateSandbox", sandbox=half).sandbox.sandbox_id for _ in range(2)]
        code, details, _, _ = small.do("CreateSandbox", sandbox=half)
        self.assertEqual(code, Code.RESOURCE_EXHAUSTED, details)
        self.assertIn("max_memory is 512MiB, of which 400MiB is in use by 2 sandboxes, and this one needs 200MiB", details)
        for sandbox in made:
            small.must("DestroySandbox", sandbox_id=sandbox)

    def test_zz_failures_are_limited_and_good_keys_are_not(self):
        codes = [by_key("aisbx_no").do("GetInfo")[0] for _ in range(1)]
        wrong = by_key("aisbx_no")
        while codes[-1] == Code.UNAUTHENTICATED and len(codes) < 500:
            codes.append(wrong.do("GetInfo")[0])
        self.assertEqual(codes[-1], Code.RESOURCE_EXHAUSTED)
        self.a.must("GetInfo")


class Tls(unittest.TestCase):
    def test_server_tls_with_a_key_and_without(self):
        credentials = grpc.ssl_channel_credentials(pem("ca.pem"))
        self.assertEqual(Caller(ADDRESSES[0], (), credentials).do("GetInfo")[0], Code.UNAUTHENTICATED)
        caller = Caller(ADDRESSES[0], [("x-api-key", key("tls"))], credentials)
        self.assertEqual(len(caller.must("ListSandboxes").sandboxes), 0)
        self.assertEqual(caller.do("ListKeys")[0], Code.PERMISSION_DENIED)

    def test_certificates_map_to_tenants(self):
        def caller(name):
            return Caller(ADDRESSES[1], (), grpc.ssl_channel_credentials(pem("ca.pem"), pem(name + ".key"), pem(name + ".pem")))

        caller("agent").must("ListSandboxes")
        self.assertEqual(caller("agent").do("SetDraining")[0], Code.PERMISSION_DENIED)
        code, details, _, _ = caller("stranger").do("ListSandboxes")
        self.assertEqual(code, Code.UNAUTHENTICATED)
        self.assertIn("spiffe://x/stranger", details)


if __name__ == "__main__":
    pathlib.Path(BOUND).mkdir(exist_ok=True)
    unittest.main(argv=[sys.argv[0], Plain.__name__ if MODE == "plain" else Tls.__name__], verbosity=2)
