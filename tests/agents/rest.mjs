// By REST: fetch, and nothing of ours.
import assert from 'node:assert/strict';

export async function open({ url }) {
    async function ask(method, path, { json, bytes, headers } = {}) {
        const answer = await fetch(`${url}/api/v1${path}`, {
            method,
            headers: { ...(json && { 'Content-Type': 'application/json' }), ...(bytes && { 'Content-Type': 'application/octet-stream' }), ...headers },
            body: json ? JSON.stringify(json) : bytes,
        });
        if (!answer.ok) {
            throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
        }
        return answer;
    }
    const target = path => encodeURIComponent(path.startsWith('/') ? path : `/workspace/${path}`);
    const read = async (box, path) =>
        Buffer.from(await (await ask('GET', `/sandboxes/${box}/files/content?file=${target(path)}`)).arrayBuffer());
    return {
        async create({ profile, labels, ttl, requestId, snapshot, packages }) {
            const made = await ask('POST', `/sandboxes${snapshot ? `?snapshot_id=${snapshot}` : ''}`, { json: { profile, labels, ttl_ms: ttl * 1000, packages }, headers: { 'Idempotency-Key': requestId } });
            assert.equal(made.status, 201);
            return (await made.json()).sandbox_id;
        },
        async snapshot(box, title) {
            return (await (await ask('POST', `/sandboxes/${box}/snapshots`, { json: { title } })).json()).snapshot_id;
        },
        async fork(box, count) {
            return (await (await ask('POST', `/sandboxes/${box}/fork`, { json: { count } })).json()).sandboxes.map(s => s.sandbox_id);
        },
        async list(labels) {
            const query = Object.entries(labels).map(([key, value]) => `labels=${encodeURIComponent(`${key}=${value}`)}`).join('&');
            return (await (await ask('GET', `/sandboxes?${query}`)).json()).sandboxes.map(s => s.sandbox_id);
        },
        async destroy(box) {
            return (await (await ask('DELETE', `/sandboxes/${box}`)).json()).state;
        },
        async write(box, path, data) {
            await ask('PUT', `/sandboxes/${box}/files/content?make_parents=true&file=${target(path)}`, { bytes: data });
        },
        read,
        async image(box, path) {
            return { type: /\.png$/.test(path) ? 'image/png' : '', data: await read(box, path) };
        },
        async run(box, script) {
            const json = { target: { sandbox_id: box }, exec: { command: { args: ['bash', '-c', script] } } };
            const { exec, stdout, stderr } = await (await ask('POST', '/run', { json })).json();
            return { status: exec.verdict.exit_code, stdout, stderr };
        },
        async code(box, language, code) {
            const headers = { 'Idempotency-Key': `session-${box}-${language}` }; // one interpreter a language
            const { context_id: context } = await (await ask('POST', `/sandboxes/${box}/contexts`, { json: { language }, headers })).json();
            const stream = await (await ask('POST', `/contexts/${context}/execute`, { json: { code } })).text();
            const events = [...stream.matchAll(/^event: (.*)\ndata: (.*)$/mg)].map(([, name, data]) => [name, JSON.parse(data)]);
            const said = { output: e => e.data, result: e => `${e.text}\n`, exception: e => e.traceback.join('\n') };
            return {
                status: events.find(([name]) => name === 'ended')[1].verdict.exit_code,
                said: events.map(([name, data]) => said[name]?.(data) ?? '').join(''),
            };
        },
        async start(box, script) {
            const json = { exec: { command: { args: ['bash', '-c', script] }, background: true, open_stdin: true } };
            return (await (await ask('POST', `/sandboxes/${box}/execs`, { json })).json()).exec_id;
        },
        async output(exec, offset) {
            const answer = await ask('GET', `/execs/${exec}/output?offset=${offset}&wait_ms=10000`);
            const data = Buffer.from(await answer.arrayBuffer());
            assert.equal(Number(answer.headers.get('Aisbx-Offset')), offset);
            return { text: data.toString(), next: offset + data.length, isEnd: answer.headers.get('Aisbx-End-Of-Stream') === 'true' };
        },
        async input(exec, text) {
            await ask('POST', `/execs/${exec}/input`, { bytes: Buffer.from(text) });
        },
        async cancel(exec) {
            assert.equal((await (await ask('DELETE', `/execs/${exec}`)).json()).verdict.kind, 'cancelled');
        },
        async close() {},
    };
}
