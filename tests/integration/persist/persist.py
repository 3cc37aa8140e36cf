"""persist.py before|after PID FILE ADDRESS [KEY OTHER_KEY]: what is done to a worker, which is killed at its best, and what
the next one knows of it."""

import json
import os
import signal
import sys
import time
import unittest

import grpc

import aisbx  # noqa: F401  (makes the generated modules importable)
from aisbx.v1 import exec_pb2 as ex
from aisbx.v1 import sandbox_pb2 as sb
from aisbx.v1 import sandbox_service_pb2 as api

MODE, PID, FILE, ADDRESS, *KEYS = sys.argv[1:]
Code = grpc.StatusCode
CHANNEL = grpc.insecure_channel(ADDRESS)


class Caller:
    def __init__(self, key=None):
        self.metadata = (("x-api-key", key),) if key else ()

    def start(self, name, request):
        reply = getattr(api, name + "Response")
        method = CHANNEL.unary_unary("/aisbx.v1.SandboxService/" + name, type(request).SerializeToString, reply.FromString)
        return method.future(request, metadata=self.metadata, timeout=30)

    def do(self, name, **fields):
        """(code, text or reply)"""
        try:
            return Code.OK, self.start(name, getattr(api, name + "Request")(**fields)).result()
        except grpc.RpcError as error:
            return error.code(), error.details()

    def must(self, name, **fields):
        code, reply = self.do(name, **fields)
        assert code == Code.OK, (name, code, reply)
        return reply


ME = Caller(KEYS[0] if KEYS else None)
OTHER = Caller(KEYS[1]) if KEYS else None
STRICT = sb.SandboxSpec(profile="strict")
UNKNOWN = sb.SandboxSpec(profile="no-such-profile")
ABSENT = "sb_" + "a" * 26


def program(script):
    return {"target": ex.ExecTarget(new_sandbox=STRICT), "exec": ex.ExecSpec(command=ex.Command(args=["sh", "-c", script]))}


def before():
    known = {}
    alive = ME.must("CreateSandbox", request_id="alive", sandbox=STRICT).sandbox
    assert ME.must("CreateSandbox", request_id="alive", sandbox=STRICT).sandbox.sandbox_id == alive.sandbox_id
    ended = ME.must("CreateSandbox", sandbox=STRICT).sandbox
    ME.must("DestroySandbox", sandbox_id=ended.sandbox_id)
    ran = ME.must("Run", request_id="ran", **program("echo once"))
    assert ran.stdout == b"once\n", ran
    # What made nothing may be tried again.
    code, text = ME.do("CreateSandbox", request_id="made-nothing", sandbox=UNKNOWN)
    assert code == Code.NOT_FOUND, (code, text)
    under_way = ME.start("Run", api.RunRequest(request_id="under-way", **program("exec sleep 1000")))
    while True:  # until it is being done
        lives = {s.sandbox_id for s in ME.must("ListSandboxes").sandboxes} - {alive.sandbox_id}
        if lives:
            break
        assert not under_way.done(), under_way.exception()
        time.sleep(0.01)
    # Written before it is done, and what there was before with it: a kill may come before that, and is not asked about here.
    ME.must("CreateSandbox", request_id="last", sandbox=STRICT)
    known.update(alive=alive.sandbox_id, ended=ended.sandbox_id, ran=ran.exec.exec_id, ran_in=ran.sandbox.sandbox_id,
                 under_way=lives.pop(), profile=alive.profile, hash=alive.policy_hash)
    with open(FILE, "w") as out:
        json.dump(known, out)
    assert not under_way.done()
    os.kill(int(PID), signal.SIGKILL)


class After(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(FILE) as file:
            cls.known = json.load(file)

    def test_what_lived_is_told_as_lost(self):
        for name in "alive", "under_way":
            lost = ME.must("GetSandbox", sandbox_id=self.known[name]).sandbox
            self.assertEqual(lost.state, sb.SANDBOX_STATE_DESTROYED)
            self.assertEqual(lost.destroy_reason, sb.DESTROY_REASON_WORKER_LOST)
            self.assertRegex(lost.destroy_message, r"the worker went away.*found at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
            self.assertGreaterEqual(lost.destroy_time.seconds, lost.create_time.seconds)
            self.assertGreater(lost.create_time.seconds, 0)
            self.assertEqual((lost.profile, lost.policy_hash), (self.known["profile"], self.known["hash"]))
            self.assertEqual(ME.do("DestroySandbox", sandbox_id=self.known[name])[0], Code.OK)
            self.assertEqual(ME.do("Run", target=ex.ExecTarget(sandbox_id=self.known[name]), exec=program("true")["exec"])[0],
                             Code.FAILED_PRECONDITION)

    def test_what_had_ended_keeps_its_reason(self):
        ended = ME.must("GetSandbox", sandbox_id=self.known["ended"]).sandbox
        self.assertEqual((ended.state, ended.destroy_reason), (sb.SANDBOX_STATE_DESTROYED, sb.DESTROY_REASON_REQUESTED))
        self.assertEqual(ended.destroy_message, "DestroySandbox was called")
        ran = ME.must("GetSandbox", sandbox_id=self.known["ran_in"]).sandbox
        self.assertEqual(ran.destroy_reason, sb.DESTROY_REASON_EXEC_ENDED)

    def test_they_are_listed_for_their_tenant_only(self):
        mine = {self.known[name] for name in ("alive", "under_way", "ended", "ran_in")}
        listed = {s.sandbox_id for s in ME.must("ListSandboxes", states=[sb.SANDBOX_STATE_DESTROYED]).sandboxes}
        self.assertLessEqual(mine, listed)
        self.assertFalse(mine & {s.sandbox_id for s in ME.must("ListSandboxes").sandboxes})
        if OTHER:
            theirs = {s.sandbox_id for s in OTHER.must("ListSandboxes", states=[sb.SANDBOX_STATE_DESTROYED]).sandboxes}
            self.assertFalse(mine & theirs)
            absent = OTHER.do("GetSandbox", sandbox_id=ABSENT)
            for sandbox in mine:
                code, text = OTHER.do("GetSandbox", sandbox_id=sandbox)
                self.assertEqual((code, text.replace(sandbox, ABSENT)), absent)

    def test_nothing_is_done_twice(self):
        for request_id, name, fields, made in (
            ("alive", "CreateSandbox", {"sandbox": STRICT}, self.known["alive"]),
            ("ran", "Run", program("echo once"), self.known["ran"]),
            ("under-way", "Run", program("exec sleep 1000"), "ex_"),
        ):
            for _ in range(2):
                code, text = ME.do(name, request_id=request_id, **fields)
                self.assertEqual(code, Code.FAILED_PRECONDITION, (request_id, text))
                self.assertIn("was used before this worker started", text)
                self.assertIn(made, text)
        self.assertEqual(len(ME.must("ListSandboxes").sandboxes), 0)

    def test_other_content_is_told_apart(self):
        for name, fields in (("Run", program("echo twice")), ("Run", program("echo once "))):
            code, text = ME.do(name, request_id="ran", **fields)
            self.assertEqual(code, Code.ALREADY_EXISTS, text)
        code, text = ME.do("CreateSandbox", request_id="alive", sandbox=sb.SandboxSpec(profile="strict", ttl_ms=60000))
        self.assertEqual(code, Code.ALREADY_EXISTS, text)

    def test_what_made_nothing_can_be_tried_again(self):
        self.assertEqual(ME.do("CreateSandbox", request_id="made-nothing", sandbox=UNKNOWN)[0], Code.NOT_FOUND)

    def test_request_ids_are_ones_own(self):
        if OTHER:
            code, text = OTHER.do("Run", request_id="ran", **program("echo theirs"))
            self.assertIn(code, (Code.OK, Code.FAILED_PRECONDITION))  # the latter when this is the second time
            self.assertNotIn(self.known["ran"], str(text))


if MODE == "before":
    before()
else:
    unittest.main(argv=[sys.argv[0]])
