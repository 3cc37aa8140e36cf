// One session of an agent, as a table of steps; mcp.mjs, rest.mjs and grpc.mjs are ways to call, and all are held to the same.
//   session.mjs WAY [kill]
// A way is an object with:
//   create({profile, labels, ttl, requestId, snapshot, packages}) -> sandbox
//   destroy(sandbox) -> state                                        code(sandbox, language, code) -> {status, said}
//   snapshot(sandbox, title) -> snapshot                             fork(sandbox, n) -> [sandbox]
//   list(labels) -> [sandbox]                                        write(sandbox, path, Buffer)   read(sandbox, path) -> Buffer
//   run(sandbox, script) -> {status, stdout, stderr}                 image(sandbox, path) -> {type, data: Buffer}
//   start(sandbox, script) -> exec                                   output(exec, offset) -> {text, next, isEnd}
//   input(exec, text)   cancel(exec)   close()
// code goes on where the code before ended; said is what it printed, its value and its error. Ids are strings, the same by every way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';

const [way, kill] = process.argv.slice(2);
const { AISBX_TEST_GATEWAY: program, AISBX_TEST_WORKER: worker, AISBX_TEST_PROFILE: profile } = process.env;

// ---- the gateway ----

let gateway, port = 0;
process.on('exit', () => gateway?.kill('SIGKILL')); // whatever happens, nothing is left
for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => process.exit(1));
}
async function startGateway() {
    gateway = spawn(program, ['--port', String(port), '--ready-fd', '3'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
    let said = '';
    for await (const piece of gateway.stdio[3]) {
        said += piece;
        if (said.includes('\n')) break;
    }
    assert.match(said, /^READY \d+/, said);
    port = Number(said.slice(6));
}
async function stopGateway(signal) {
    const ended = once(gateway, 'exit');
    gateway.kill(signal);
    await ended;
}

// ---- what the agent writes ----

const app = divisor => `import tiny\n\ndef mean(values):\n    return sum(values) / ${divisor}\n\ndef answer():\n    return tiny.answer\n`;
const tests = `import unittest
from app import answer, mean

class Tests(unittest.TestCase):
    def test_mean(self):
        self.assertEqual(mean([1, 2, 3]), 2)

    def test_answer(self):
        self.assertEqual(answer(), 42)
`;
const plot = `import struct, sys, zlib
try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    pyplot.plot([x * x for x in range(32)])
    pyplot.savefig("plot.png")
    sys.exit(0)
except ImportError:
    pass
n = 64
rows = b"".join(b"\\0" + b"".join(bytes((x * 4, y * 4, 255 if abs(x * x // n - y) < 2 else 0)) for x in range(n)) for y in range(n))
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
with open("plot.png", "wb") as file:
    file.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", n, n, 8, 2, 0, 0, 0)))
    file.write(chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
`;
const test = 'PYTHONPATH=lib python3 -m unittest 2>&1';
const sha256 = data => createHash('sha256').update(data).digest('hex');

async function outputUntil(driver, exec, offset, wanted) {
    let text = '';
    for (let i = 0; !text.includes(wanted); i++) {
        assert(i < 200, `no ${JSON.stringify(wanted)} after ${JSON.stringify(text)}`);
        const piece = await driver.output(exec, offset);
        text += piece.text;
        offset = piece.next;
        assert(!piece.isEnd || text.includes(wanted), `it ended with ${JSON.stringify(text)}`);
    }
    return { text, offset };
}

// ---- the session ----

const labels = { session: `${way}-${process.pid}` };
const steps = [
    ['creates a sandbox, once', async (d, s) => {
        const spec = { profile, labels, ttl: 600, requestId: `session-${labels.session}` };
        s.box = await d.create(spec);
        assert.match(s.box, /^sb_[a-z2-7]{26}$/);
        assert.equal(await d.create(spec), s.box, 'the same request makes one');
        assert.deepEqual(await d.list(labels), [s.box]);
    }],
    ['writes files and reads them', async (d, s) => {
        const bytes = Buffer.from(Array.from({ length: 70000 }, (_, i) => i * 7 & 255));
        await d.write(s.box, 'app.py', Buffer.from(app('(len(values) + 1)')));
        await d.write(s.box, 'test_app.py', Buffer.from(tests));
        await d.write(s.box, 'plot.py', Buffer.from(plot));
        await d.write(s.box, 'data/mëss of bytes', bytes);
        assert.deepEqual(await d.read(s.box, 'data/mëss of bytes'), bytes);
        assert.equal((await d.read(s.box, 'test_app.py')).toString(), tests);
        const { stdout } = await d.run(s.box, 'sha256sum data/*');
        assert(stdout.startsWith(sha256(bytes)), stdout);
    }],
    ['lacks a package, and installs it from the registry', async (d, s) => {
        const without = await d.run(s.box, 'python3 -c "import tiny"');
        assert.equal(without.status, 1, without.stderr);
        assert.match(without.stderr, /ModuleNotFoundError/);
        const got = await d.run(s.box, 'pip3 install --quiet --target lib tiny && PYTHONPATH=lib python3 -c "import tiny; print(tiny.answer)"');
        assert.equal(got.status, 0, got.stderr);
        assert.match(got.stdout, /^42$/m);
        const refused = await d.run(s.box, 'pip3 install --quiet --retries 0 --index-url http://other.test/simple --target none tiny');
        assert.notEqual(refused.status, 0, 'from nowhere else');
    }],
    ['is given a package with its sandbox', async (d, s) => {
        s.given = await d.create({ profile, labels, ttl: 600, requestId: `given-${labels.session}`, packages: ['tiny'] });
        const got = await d.run(s.given, 'python3 -c "import tiny; print(tiny.answer, tiny.__file__)"; touch /packages/x');
        assert.match(got.stdout, /^42 \/packages\/tiny\.py$/m, got.stderr);
        assert.notEqual(got.status, 0, 'and cannot change it');
        await assert.rejects(d.create({ profile, labels, ttl: 600, requestId: `none-${labels.session}`, packages: ['nothing'] }), /nothing/);
    }],
    ['thinks in an interpreter', async (d, s) => {
        assert.equal((await d.code(s.given, 'python', 'import tiny\nseen = [tiny.answer]\ndef add(n): seen.append(n); return sum(seen)')).status, 0);
        const added = await d.code(s.given, 'python', 'print("adding")\nadd(1)');
        assert.match(added.said, /adding\n[^]*\b43\b/, 'what it printed, and the value');
        const wrong = await d.code(s.given, 'python', 'add(1 / 0)');
        assert.equal(wrong.status, 1);
        assert.match(wrong.said, /ZeroDivisionError/);
        assert.equal((await d.code(s.given, 'bash', 'cd /usr; answer=6')).status, 0);
    }],
    ['runs tests that fail', async (d, s) => {
        const failed = await d.run(s.box, test);
        assert.equal(failed.status, 1);
        assert.match(failed.stdout, /AssertionError: 1\.5 != 2[^]*FAILED \(failures=1\)/);
    }],
    ['starts something that goes on', async (d, s) => {
        s.exec = await d.start(s.box, 'echo $$ up; while read -r line; do echo "got $line"; done; echo over');
        assert.match(s.exec, /^ex_[a-z2-7]{26}$/);
        const { text, offset } = await outputUntil(d, s.exec, 0, 'up\n');
        s.pid = text.split(' ')[0];
        s.offset = offset;
        await d.input(s.exec, 'one\n');
        ({ offset: s.offset } = await outputUntil(d, s.exec, s.offset, 'got one\n'));
    }],
    ['loses its gateway', async d => {
        if (kill) {
            await stopGateway('SIGKILL');
            await assert.rejects(fetch(`http://127.0.0.1:${port}/health`), 'it is gone');
            await startGateway();
            await d.again?.();
        }
    }],
    ['goes on in the interpreter', async (d, s) => {
        assert.match((await d.code(s.given, 'python', 'add(2)')).said, /\b45\b/, 'where it was, and the error changed nothing');
        assert.match((await d.code(s.given, 'bash', 'echo "$PWD $answer"')).said, /^\/usr 6$/m, 'each language its own');
        assert.equal(await d.destroy(s.given), 'destroyed');
        await assert.rejects(d.code(s.given, 'python', 'add(3)'), /destroyed|no context|no such/);
    }],
    ['fixes what was wrong, and the tests pass', async (d, s) => {
        await d.write(s.box, 'app.py', Buffer.from(app('len(values)')));
        const passed = await d.run(s.box, test);
        assert.equal(passed.status, 0, passed.stdout);
        assert.match(passed.stdout, /Ran 2 tests[^]*OK/);
    }],
    ['talks on to what it started', async (d, s) => {
        await d.input(s.exec, 'two\n');
        const { text, offset } = await outputUntil(d, s.exec, s.offset, 'got two\n');
        assert.equal(text, 'got two\n', 'behind what was read, nothing twice and nothing lost');
        const whole = await outputUntil(d, s.exec, 0, 'got two\n');
        assert.equal(whole.text, `${s.pid} up\ngot one\ngot two\n`);
        assert.equal(whole.offset, offset);
        assert.match((await d.run(s.box, `kill -0 ${s.pid} && echo alive`)).stdout, /^alive$/m);
        await d.cancel(s.exec);
        assert.notEqual((await d.run(s.box, `kill -0 ${s.pid}`)).status, 0);
    }],
    ['plots, and looks at the picture', async (d, s) => {
        const plotted = await d.run(s.box, 'python3 plot.py && sha256sum plot.png');
        assert.equal(plotted.status, 0, plotted.stderr);
        const { type, data } = await d.image(s.box, 'plot.png');
        assert.equal(type, 'image/png');
        assert.deepEqual([...data.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
        assert(data.readUInt32BE(16) >= 64 && data.readUInt32BE(20) >= 64, 'width and height');
        assert(plotted.stdout.includes(sha256(data)), 'byte for byte');
    }],
    ['keeps a state, and goes eight ways from it', async (d, s) => {
        s.snapshot = await d.snapshot(s.box, 'tests pass');
        assert.match(s.snapshot, /^sn_[a-z2-7]{26}$/);
        s.forks = await d.fork(s.box, 8);
        assert.equal(new Set([s.box, ...s.forks]).size, 9);
        const ways = await Promise.all(s.forks.map(async (box, i) => {
            await d.write(box, 'way', Buffer.from(`${i}\n`));
            return d.run(box, `${test} && cat way && sha256sum plot.png`);
        }));
        for (const [i, way] of ways.entries()) {
            assert.equal(way.status, 0, way.stdout);
            assert.match(way.stdout, new RegExp(`OK\n${i}\n`), 'its own file, and all of the others');
        }
        assert.notEqual((await d.run(s.box, 'cat way')).status, 0, 'the first one knows nothing of it');
    }],
    ['goes back to that state when the work is lost', async (d, s) => {
        await d.run(s.box, 'rm -rf *');
        const again = await d.create({ profile, labels, ttl: 600, requestId: `again-${labels.session}`, snapshot: s.snapshot });
        const passed = await d.run(again, test);
        assert.equal(passed.status, 0, passed.stdout);
        s.forks.push(again);
    }],
    ['destroys them all', async (d, s) => {
        await Promise.all(s.forks.map(async box => assert.equal(await d.destroy(box), 'destroyed')));
        assert.equal(await d.destroy(s.box), 'destroyed');
        assert.deepEqual(await d.list(labels), []);
        await assert.rejects(d.run(s.box, 'true'), /destroyed/);
    }],
];

await startGateway();
const { open } = await import(`./${way}.mjs`);
const driver = await open({ url: `http://127.0.0.1:${port}`, worker });
const state = {};
for (const [name, step] of steps) {
    await step(driver, state).catch(error => {
        console.error(`failed: ${name}`);
        throw error;
    });
    console.log(`ok ${name}`);
}
await driver.close();
await stopGateway('SIGTERM');
