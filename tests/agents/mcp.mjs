// By the tools of MCP, with the official SDK as the client.
import assert from 'node:assert/strict';

import { Client, StreamableHTTPClientTransport } from '../mcp/sdk.mjs';

export async function open({ url }) {
    const client = new Client({ name: 'aisbx-agent', version: '1' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));

    const text = result => result.content.filter(c => c.type === 'text').map(c => c.text).join('\n');
    async function call(name, args) {
        const result = await client.callTool({ name, arguments: args });
        if (result.isError) {
            throw new Error(`${name}: ${text(result)}`);
        }
        return result;
    }
    const data = async (name, args) => (await call(name, args)).structuredContent;
    // "--- stdout" and "--- stderr" begin what a program wrote.
    const streams = result => {
        const parts = text(result).split(/^--- (stdout|stderr).*\n/m);
        const of = name => parts[parts.indexOf(name) + 1] ?? '';
        return { stdout: parts.includes('stdout') ? of('stdout') : '', stderr: parts.includes('stderr') ? of('stderr') : '' };
    };
    return {
        async create({ profile, labels, ttl, requestId, snapshot, packages }) {
            const args = { profile, labels, ttl_s: ttl, request_id: requestId, packages, ...(snapshot && { snapshot_id: snapshot }) };
            return (await data('sandbox_create', args)).sandbox_id;
        },
        async snapshot(box, title) {
            return (await data('sandbox_snapshot', { sandbox_id: box, title })).snapshot_id;
        },
        async fork(box, count) {
            return (await data('sandbox_fork', { sandbox_id: box, count })).sandbox_ids;
        },
        async list() { // the tool has no filter, and this worker no other callers
            return (await data('sandbox_list', {})).sandboxes.map(s => s.sandbox_id);
        },
        async destroy(box) {
            return (await data('sandbox_destroy', { sandbox_id: box })).state;
        },
        async write(box, path, content) {
            await call('file_write', { sandbox_id: box, path, content: content.toString('base64'), encoding: 'base64' });
        },
        async read(box, path) {
            const { contents } = await client.readResource({ uri: `aisbx://sandbox/${box}/files/workspace/${path.split('/').map(encodeURIComponent).join('/')}` });
            return contents[0].blob === undefined ? Buffer.from(contents[0].text) : Buffer.from(contents[0].blob, 'base64');
        },
        async image(box, path) {
            const images = (await call('file_read', { sandbox_id: box, path })).content.filter(c => c.type === 'image');
            assert.equal(images.length, 1);
            return { type: images[0].mimeType, data: Buffer.from(images[0].data, 'base64') };
        },
        async run(box, command) {
            const result = await call('shell', { sandbox_id: box, command });
            return { status: result.structuredContent.exit_code, ...streams(result) };
        },
        async code(box, language, code) {
            const result = await client.callTool({ name: 'run_code', arguments: { sandbox_id: box, language, code } });
            if (result.structuredContent === undefined) {
                throw new Error(`run_code: ${text(result)}`);
            }
            return { status: result.structuredContent.exit_code, said: text(result) };
        },
        async start(box, command) {
            return (await data('shell', { sandbox_id: box, command, background: true })).exec_id;
        },
        async output(exec, offset) {
            const result = await call('exec_output', { exec_id: exec, offset, wait_s: 10 });
            const { next_offset: next, is_end: isEnd } = result.structuredContent;
            const { contents } = next === offset ? { contents: [{ text: '' }] }
                : await client.readResource({ uri: `aisbx://exec/${exec}/stdout?offset=${offset}&max_bytes=${next - offset}` });
            return { text: contents[0].text, next, isEnd };
        },
        async input(exec, input) {
            await call('exec_input', { exec_id: exec, data: input });
        },
        async cancel(exec) {
            await call('exec_input', { exec_id: exec, signal: 'KILL' });
        },
        async close() {
            await client.close();
        },
    };
}
