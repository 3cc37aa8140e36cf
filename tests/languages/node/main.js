const assert = require("node:assert");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const zlib = require("node:zlib");
const crypto = require("node:crypto");
const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");

if (!isMainThread) {
  parentPort.postMessage(workerData * 2);
} else {
  fs.mkdirSync("out", { recursive: true });
  fs.writeFileSync("out/a.txt", "hello");
  assert.equal(fs.readFileSync("out/a.txt", "utf8"), "hello");
  assert.deepEqual(fs.readdirSync("out"), ["a.txt"]);
  assert.equal(execFileSync("sh", ["-c", "echo $((6 * 7))"]).toString(), "42\n");
  assert.equal(zlib.gunzipSync(zlib.gzipSync("zip")).toString(), "zip");
  assert.equal(crypto.createHash("sha256").update("x").digest("hex").slice(0, 8), "2d711642");
  const workers = [1, 2, 3].map(
    (n) => new Promise((resolve) => new Worker(__filename, { workerData: n }).on("message", resolve)),
  );
  const child = new Promise((resolve) => spawn("cat", ["out/a.txt"]).stdout.on("data", resolve));
  Promise.all([...workers, child]).then(([a, b, c, text]) => {
    assert.deepEqual([a, b, c, text.toString()], [2, 4, 6, "hello"]);
    console.log("node ok");
  });
}
