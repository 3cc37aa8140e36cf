// The generated Node client against a real worker: node interop.js CLIENT_DIR ADDRESS [CA CERT KEY].
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const { test, after } = require("node:test");

const [dir, address, ...tls] = process.argv.slice(2);
const aisbx = require(dir);
const grpc = require(require.resolve("@grpc/grpc-js", { paths: [dir] }));
const { VerdictKind, SandboxState, DestroyReason, OutputStream, Control } = aisbx;

const options = {};
if (tls.length) {
  const [ca, cert, key] = tls.map((path) => fs.readFileSync(path));
  options.credentials = grpc.credentials.createSsl(ca, key, cert);
  options.channel = { "grpc.ssl_target_name_override": "localhost" };
}
const client = aisbx.connect(address, options);
const api = client.sandboxes;
after(() => client.close());

/** Promise of a unary call. */
const call = (method, request, callOptions) =>
  new Promise((resolve, reject) => {
    const done = (error, reply) => (error ? reject(error) : resolve(reply));
    const bound = api[method] ? api : client.worker;
    if (callOptions) bound[method](request, new grpc.Metadata(), callOptions, done);
    else bound[method](request, done);
  });
const rejectsWith = (code, promise) =>
  promise.then(
    () => assert.fail("succeeded"),
    (error) => {
      assert.equal(error.code, code, error.details);
      return error.details;
    },
  );
const command = (...args) => ({ command: { args } });
const ephemeral = (profile = "node-dev", more = {}) => ({ newSandbox: { profile, ...more } });

/** Reads an event stream to its end and checks the offsets. */
const collect = (stream, onEvent = () => {}) =>
  new Promise((resolve, reject) => {
    const result = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
    stream.on("data", ({ event }) => {
      if (event.started) result.started = event.started;
      if (event.ended) result.ended = event.ended;
      if (event.output) {
        const name = event.output.stream === OutputStream.OUTPUT_STREAM_STDERR ? "stderr" : "stdout";
        assert.equal(Number(event.output.offset ?? 0), result[name].length);
        result[name] = Buffer.concat([result[name], event.output.data]);
      }
      onEvent(event);
    });
    stream.on("error", reject);
    stream.on("end", () => resolve(result));
  });

test("run returns output and verdict", async () => {
  const reply = await call("run", {
    target: ephemeral(),
    exec: command("node", "-e", "process.stdin.pipe(process.stdout); process.on('exit', () => process.exitCode = 3)"),
    stdin: Buffer.from("hello\n"),
  });
  assert.equal(reply.stdout.toString(), "hello\n");
  assert.equal(reply.exec.verdict.kind, VerdictKind.VERDICT_KIND_EXITED);
  assert.equal(reply.exec.verdict.exitCode, 3);
});

test("start streams both outputs", async () => {
  const script = "for i in $(seq 2000); do echo o $i; done; head -c 70000 /dev/zero | tr '\\0' x >&2";
  const result = await collect(api.startExec({ target: ephemeral("strict"), exec: command("bash", "-c", script) }));
  assert.match(result.started.exec.execId, /^ex_[a-z2-7]{26}$/);
  assert.equal(result.stdout.toString(), Array.from({ length: 2000 }, (_, i) => `o ${i + 1}\n`).join(""));
  assert.equal(result.stderr.length, 70000);
  assert.equal(result.ended.exec.verdict.kind, VerdictKind.VERDICT_KIND_EXITED);
});

test("interact echoes input as it comes", async () => {
  const stream = api.interactExec();
  stream.write({ start: { target: ephemeral("strict"), exec: command("cat") } });
  stream.write({ stdin: Buffer.from("one\n") });
  let second = false;
  const result = await collect(stream, (event) => {
    if (!event.output || second) return;
    second = true;
    stream.write({ stdin: Buffer.from("two\n") });
    stream.write({ stdinEof: true });
    stream.end();
  });
  assert.equal(result.stdout.toString(), "one\ntwo\n");
  assert.equal(result.ended.exec.verdict.exitCode ?? 0, 0);
});

test("create, exec, list, logs, destroy", async () => {
  const labels = { test: "interop-node" };
  const { sandbox } = await call("createSandbox", { sandbox: { profile: "node-dev", labels } });
  assert.equal(sandbox.state, SandboxState.SANDBOX_STATE_RUNNING);
  const target = { sandboxId: sandbox.sandboxId };
  const result = await collect(api.startExec({ target, exec: command("sh", "-c", "echo kept > f; cat f") }));
  assert.equal(result.stdout.toString(), "kept\n");
  const { execs } = await call("listExecs", { sandboxId: sandbox.sandboxId });
  assert.deepEqual(execs.map((entry) => entry.execId), [result.ended.exec.execId]);
  const logs = await call("readExecOutput", { execId: execs[0].execId, stream: OutputStream.OUTPUT_STREAM_STDOUT });
  assert.equal(logs.data.toString(), "kept\n");
  const listed = await call("listSandboxes", { labels });
  assert.deepEqual(listed.sandboxes.map((entry) => entry.sandboxId), [sandbox.sandboxId]);
  const gone = await call("destroySandbox", { sandboxId: sandbox.sandboxId });
  assert.equal(gone.sandbox.destroyReason, DestroyReason.DESTROY_REASON_REQUESTED);
  await rejectsWith(grpc.status.FAILED_PRECONDITION, call("run", { target, exec: command("true") }));
});

test("wall limit is a verdict", async () => {
  const reply = await call("run", { target: ephemeral("strict"), exec: { ...command("sleep", "60"), wallMs: 300n } });
  assert.equal(reply.exec.verdict.kind, VerdictKind.VERDICT_KIND_TIMED_OUT);
});

test("deadline ends the call", () =>
  rejectsWith(
    grpc.status.DEADLINE_EXCEEDED,
    call("run", { target: ephemeral("strict"), exec: command("sleep", "60") }, { deadline: Date.now() + 1000 }),
  ));

test("a cancelled call takes its sandbox along", async () => {
  const stream = api.startExec({ target: ephemeral("strict"), exec: command("sleep", "60") });
  const sandboxId = await new Promise((resolve) =>
    stream.once("data", ({ event }) => resolve(event.started.sandbox.sandboxId)),
  );
  const ended = new Promise((resolve) => stream.once("error", resolve));
  stream.cancel();
  assert.equal((await ended).code, grpc.status.CANCELLED);
  for (let tries = 0; ; tries++) {
    const { sandbox } = await call("getSandbox", { sandboxId });
    if (sandbox.state === SandboxState.SANDBOX_STATE_DESTROYED) {
      assert.equal(sandbox.destroyReason, DestroyReason.DESTROY_REASON_CANCELLED);
      break;
    }
    assert.ok(tries < 1500, "still there");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test("bad requests name the field, what is not there is not found", async () => {
  const details = await rejectsWith(
    grpc.status.INVALID_ARGUMENT,
    call("createSandbox", { sandbox: { limits: { memoryBytes: 1n } } }),
  );
  assert.match(details, /memory_bytes/);
  // Over TCP nobody is known to be an admin, and only admins may take a weaker driver.
  await assert.rejects(
    call("createSandbox", {
      sandbox: { profile: "strict", driver: "bwrap", require: [Control.CONTROL_LANDLOCK] },
    }),
    (error) => [grpc.status.FAILED_PRECONDITION, grpc.status.PERMISSION_DENIED].includes(error.code),
  );
  await rejectsWith(grpc.status.NOT_FOUND, call("forkSandbox", { sandboxId: "sb_" + "a".repeat(26) }));
});

test("a port carries a connection, each half of it", async () => {
  const ports = new aisbx.PortServiceClient(
    address, options.credentials ?? grpc.credentials.createInsecure(), options.channel ?? {});
  const port = (method, request) =>
    new Promise((resolve, reject) => ports[method](request, (error, reply) => (error ? reject(error) : resolve(reply))));
  const { sandbox } = await call("createSandbox", { sandbox: { profile: "node-dev" } });
  const { sandboxId } = sandbox;
  const server = api.startExec({
    target: { sandboxId },
    exec: command("node", "-e", `require("net").createServer({ allowHalfOpen: true }, (s) => {
      let n = 0; s.on("data", (d) => (n += d.length)); s.on("end", () => s.end(String(n)));
    }).listen(7000, "127.0.0.1", () => console.log("ready"))`),
  });
  await new Promise((resolve, reject) => {
    server.on("data", ({ event }) => event.output && resolve());
    server.on("error", reject);
  });
  const talk = () =>
    new Promise((resolve, reject) => {
      const stream = ports.forwardPort();
      const got = [];
      let ended = false;
      stream.on("data", ({ data, endOfStream }) => (got.push(data ?? Buffer.alloc(0)), (ended ||= endOfStream)));
      stream.on("error", reject);
      stream.on("end", () => resolve([Buffer.concat(got).toString(), ended]));
      stream.write({ open: { sandboxId, port: 7000 } });
      for (let i = 0; i < 100; i++) stream.write({ data: Buffer.alloc(65536) });
      stream.end();
    });
  await rejectsWith(grpc.status.NOT_FOUND, talk());
  const exposed = await port("exposePort", { sandboxId, port: 7000 });
  assert.equal(exposed.port.gatewayPath, `/api/v1/sandboxes/${sandboxId}/ports/7000/`);
  assert.deepEqual(await talk(), [String(100 * 65536), true]);
  await port("unexposePort", { sandboxId, port: 7000 });
  await rejectsWith(grpc.status.NOT_FOUND, talk());
  server.on("error", () => {});
  await call("destroySandbox", { sandboxId });
  ports.close();
});

test("many at once", async () => {
  const replies = await Promise.all(
    Array.from({ length: 24 }, (_, i) =>
      call("run", { target: ephemeral("strict"), exec: command("sh", "-c", `echo ${i}`) }),
    ),
  );
  assert.deepEqual(replies.map((reply) => reply.stdout.toString()), replies.map((_, i) => `${i}\n`));
});
