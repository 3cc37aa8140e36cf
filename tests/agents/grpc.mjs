// By gRPC, with the client that is generated from the protos.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const PIECE = 64 << 10;

export async function open({ worker }) {
    const { connect, SandboxState, OutputStream, VerdictKind } = require(process.env.AISBX_TEST_CLIENT);
    const { sandboxes, files, contexts, close } = connect(worker);
    const call = (service, method, request) => new Promise((resolve, reject) =>
        service[method](request, (error, reply) => error ? reject(error) : resolve(reply)));
    const collect = stream => new Promise((resolve, reject) => {
        const all = [];
        stream.on('data', message => all.push(message));
        stream.on('error', reject);
        stream.on('end', () => resolve(all));
    });
    const place = path => ({ path: path.startsWith('/') ? path : `/workspace/${path}` });
    const command = script => ({ command: { args: ['bash', '-c', script] } });
    const read = async (box, path) =>
        Buffer.concat((await collect(files.readFile({ sandboxId: box, file: place(path) }))).map(m => m.data ?? Buffer.alloc(0)));
    return {
        async create({ profile, labels, ttl, requestId, snapshot, packages }) {
            const { sandbox } = await call(sandboxes, 'createSandbox', { requestId, snapshotId: snapshot, sandbox: { profile, labels, packages, ttlMs: BigInt(ttl * 1000) } });
            assert.equal(sandbox.state, SandboxState.SANDBOX_STATE_RUNNING);
            return sandbox.sandboxId;
        },
        async snapshot(box, title) {
            return (await call(sandboxes, 'snapshotSandbox', { sandboxId: box, title })).snapshot.snapshotId;
        },
        async fork(box, count) {
            return (await call(sandboxes, 'forkSandbox', { sandboxId: box, count })).sandboxes.map(s => s.sandboxId);
        },
        async list(labels) {
            return ((await call(sandboxes, 'listSandboxes', { labels })).sandboxes ?? []).map(s => s.sandboxId);
        },
        async destroy(box) {
            const { sandbox } = await call(sandboxes, 'destroySandbox', { sandboxId: box });
            return sandbox.state === SandboxState.SANDBOX_STATE_DESTROYED ? 'destroyed' : sandbox.state;
        },
        async write(box, path, data) {
            await new Promise((resolve, reject) => {
                const stream = files.writeFile((error, reply) => error ? reject(error) : resolve(reply));
                stream.write({ header: { sandboxId: box, file: place(path), makeParents: true } });
                for (let at = 0; at < data.length; at += PIECE) {
                    stream.write({ data: data.subarray(at, at + PIECE) });
                }
                stream.end();
            });
        },
        read,
        async image(box, path) {
            return { type: /\.png$/.test(path) ? 'image/png' : '', data: await read(box, path) };
        },
        async run(box, script) {
            const { exec, stdout, stderr } = await call(sandboxes, 'run', { target: { sandboxId: box }, exec: command(script) });
            return { status: exec.verdict.exitCode ?? 0, stdout: (stdout ?? '').toString(), stderr: (stderr ?? '').toString() };
        },
        async code(box, language, code) {
            const requestId = `session-${box}-${language}`; // one interpreter a language
            const { context } = await call(contexts, 'createContext', { requestId, sandboxId: box, language });
            const events = await collect(contexts.executeCode({ contextId: context.contextId, code }));
            const said = e => e.output?.data ?? e.result?.data ?? e.error?.traceback?.join('\n') ?? '';
            return { status: events.at(-1).ended.verdict.exitCode ?? 0, said: events.map(e => `${said(e)}${e.result ? '\n' : ''}`).join('') };
        },
        async start(box, script) {
            const stream = sandboxes.startExec({ target: { sandboxId: box }, exec: { ...command(script), background: true, openStdin: true } });
            const id = await new Promise((resolve, reject) => {
                stream.on('data', ({ event }) => event.started && resolve(event.started.exec.execId));
                stream.on('error', reject);
            });
            stream.cancel(); // it goes on without us
            return id;
        },
        async output(exec, offset) {
            const reply = await call(sandboxes, 'readExecOutput', { execId: exec, stream: OutputStream.OUTPUT_STREAM_STDOUT, offset: BigInt(offset), waitMs: 10000n });
            const data = reply.data ?? Buffer.alloc(0);
            assert.equal(Number(reply.offset ?? 0), offset);
            return { text: data.toString(), next: offset + data.length, isEnd: reply.endOfStream ?? false };
        },
        async input(exec, text) {
            await call(sandboxes, 'sendExecInput', { execId: exec, data: Buffer.from(text) });
        },
        async cancel(exec) {
            const { exec: ended } = await call(sandboxes, 'cancelExec', { execId: exec });
            assert.equal(ended.verdict.kind, VerdictKind.VERDICT_KIND_CANCELLED);
        },
        async close() {
            close();
        },
    };
}
