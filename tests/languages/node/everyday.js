// What popular packages stand on: each function is one need, and its name is printed when it is not met.
const assert = require("node:assert");
const { execFileSync, fork, spawn } = require("node:child_process");
const cluster = require("node:cluster");
const crypto = require("node:crypto");
const dgram = require("node:dgram");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { once } = require("node:events");
const { MessageChannel, Worker, isMainThread, workerData } = require("node:worker_threads");

async function threadsThatShareMemory() {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const threads = [1, 2, 3].map((n) => new Worker(__filename, { workerData: { shared, n } }));
  await Promise.all(threads.map((thread) => once(thread, "exit")));
  assert.equal(Atomics.load(shared, 0), 6);
  const { port1, port2 } = new MessageChannel();
  port1.postMessage("over");
  assert.deepEqual(await once(port2, "message"), ["over"]);
  port1.close();
}

async function childrenWithMessages() {
  const child = fork(__filename, ["child"]);
  child.send({ n: 21 });
  assert.deepEqual((await once(child, "message"))[0], { n: 42 });
  await once(child, "exit");
}

async function clusters() {
  cluster.setupPrimary({ exec: __filename, args: ["cluster"] });
  const worker = cluster.fork();
  const [, address] = await once(cluster, "listening");
  const answer = await fetch(`http://127.0.0.1:${address.port}/`);
  assert.equal(await answer.text(), "clustered");
  worker.kill();
  await once(worker, "exit");
}

async function serversOnLoopback() {
  const server = http.createServer((_, response) => response.end("served"));
  for (const where of [[0, "127.0.0.1"], [0, "localhost"], ["/tmp/http.sock"]]) {
    await once(server.listen(...where), "listening");
    const at = server.address();
    const request = http.get(typeof at === "string" ? { socketPath: at } : { host: where[1], port: at.port });
    const [response] = await once(request, "response");
    assert.equal((await response.toArray()).join(""), "served");
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
  const udp = dgram.createSocket("udp4");
  await new Promise((done) => udp.bind(0, "127.0.0.1", done));
  udp.send("packet", udp.address().port, "127.0.0.1");
  assert.equal((await once(udp, "message"))[0].toString(), "packet");
  udp.close();
}

async function watchedFiles() {
  fs.mkdirSync("watched/deep", { recursive: true });
  const hasRecursive = parseInt(process.versions.node) >= 20;
  for (const recursive of hasRecursive ? [false, true] : [false]) {
    const watcher = fs.watch("watched", { recursive });
    const writing = setInterval(() => fs.writeFileSync("watched/file", String(Math.random())), 20);
    await once(watcher, "change");
    clearInterval(writing);
    watcher.close();
  }
}

async function cryptography() {
  const { publicKey, privateKey } = crypto.generateKeyPairSync("ed25519");
  assert(crypto.verify(null, Buffer.from("x"), publicKey, crypto.sign(null, Buffer.from("x"), privateKey)));
  const key = await new Promise((done) => crypto.scrypt("a", "b", 32, (_, key) => done(key)));
  const cipher = crypto.createCipheriv("aes-256-gcm", key, crypto.randomBytes(12));
  assert.equal(cipher.update("text").length, 4);
  assert(await crypto.subtle.digest("SHA-256", new Uint8Array(8)));
}

async function webAssembly() {
  // (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  const code = Buffer.from("0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b", "hex");
  const { instance } = await WebAssembly.instantiate(code);
  assert.equal(instance.exports.add(40, 2), 42);
  assert.equal(new WebAssembly.Memory({ initial: 1, maximum: 100, shared: true }).buffer.byteLength, 65536);
}

async function processes() {
  assert.equal(execFileSync("sh", ["-c", "exec cat"], { input: "in" }).toString(), "in");
  const child = spawn("sleep", ["1000"], { detached: true });
  process.kill(-child.pid, "SIGTERM");
  assert.deepEqual(await once(child, "exit"), [null, "SIGTERM"]);
  process.once("SIGUSR2", () => {});
  process.kill(process.pid, "SIGUSR2");
  assert(os.cpus().length && os.networkInterfaces().lo && os.userInfo().username && os.totalmem());
}

async function packages() {
  try {
    execFileSync("npm", ["--version"]);
  } catch {
    return;
  }
  fs.mkdirSync("parcel", { recursive: true });
  fs.mkdirSync("project", { recursive: true });
  fs.writeFileSync("parcel/package.json", '{"name": "parcel", "version": "1.0.0", "bin": {"parcel": "cli.js"}}');
  fs.writeFileSync("parcel/cli.js", '#!/usr/bin/env node\nconsole.log("parcel works");\n');
  const npm = (cwd, ...args) => execFileSync("npm", [...args, "--silent", "--offline"], { cwd }).toString();
  const tarball = npm("parcel", "pack").trim();
  fs.writeFileSync("project/package.json", JSON.stringify({
    name: "project", version: "1.0.0", dependencies: { parcel: `file:../parcel/${tarball}` },
    scripts: { test: "parcel" },
  }));
  npm("project", "install", "--package-lock-only");
  npm("project", "ci");
  assert.equal(npm("project", "test").trim(), "parcel works");
  assert(fs.existsSync(path.join("project", "node_modules", ".bin", "parcel")));
}

const needs = { threadsThatShareMemory, childrenWithMessages, clusters, serversOnLoopback, watchedFiles, cryptography,
  webAssembly, processes, packages };

async function main() {
  let missed = 0;
  for (const [name, need] of Object.entries(needs)) {
    await need().catch((error) => {
      missed++;
      console.log(`node: ${name}: ${error.stack}`);
    });
  }
  if (!missed) console.log(`node has ${Object.keys(needs).length} everyday needs met`);
  process.exit(missed ? 1 : 0);
}

if (!isMainThread) {
  Atomics.add(workerData.shared, 0, workerData.n);
} else if (process.argv[2] === "child") {
  process.once("message", ({ n }) => process.send({ n: n * 2 }, () => process.disconnect()));
} else if (process.argv[2] === "cluster") {
  http.createServer((_, response) => response.end("clustered")).listen(0, "127.0.0.1");
} else {
  main();
}
