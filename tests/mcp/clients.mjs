// The official SDKs as clients of the server with the tools of the suite.
//   clients.mjs SDK MODE TRANSPORT TARGET LOG
//     SDK 1 or 2; MODE legacy, auto or modern (of SDK 2); TRANSPORT stdio or http;
//     TARGET the program, or the URL; LOG where the server's stderr goes
import assert from 'node:assert/strict';
import { createWriteStream, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [sdk, mode, kind, target, log] = process.argv.slice(2);
const info = { name: 'aisbx-tests', version: '1' };
const capabilities = { elicitation: {} };
const accept = async () => ({ action: 'accept', content: { response: 'fine', name: 'Ada', ok: true } });

async function connect() {
    let client, Stdio, Http;
    if (sdk === '1') {
        const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
        const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
        ({ StdioClientTransport: Stdio } = await import('@modelcontextprotocol/sdk/client/stdio.js'));
        ({ StreamableHTTPClientTransport: Http } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js'));
        client = new Client(info, { capabilities });
        client.setRequestHandler(ElicitRequestSchema, accept);
    } else {
        const module = await import('@modelcontextprotocol/client');
        ({ StdioClientTransport: Stdio } = await import('@modelcontextprotocol/client/stdio'));
        Http = module.StreamableHTTPClientTransport;
        const versionNegotiation = { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode };
        client = new module.Client(info, { capabilities, versionNegotiation });
        client.setRequestHandler('elicitation/create', accept);
    }
    const transport = kind === 'stdio'
        ? new Stdio({ command: target, args: ['--transport', 'stdio'], stderr: 'pipe' })
        : new Http(new URL(target));
    if (kind === 'stdio') {
        transport.stderr?.pipe(createWriteStream(log, { flags: 'a' }));
    }
    client.onerror = error => { if (!/abort|cancel|progress notification for an unknown/i.test(String(error))) console.error('client:', error); };
    await client.connect(transport);
    return { client, transport };
}

const { client, transport } = await connect();
const isModern = sdk === '2' && mode !== 'legacy';
const call = (name, args = {}, options) =>
    sdk === '1' ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options);

const cases = {
    async lists() {
        const { tools } = await client.listTools();
        assert(tools.length > 30 && tools.some(t => t.name === 'echo'));
        assert.equal(tools.find(t => t.name === 'json_schema_2020_12_tool').inputSchema.$defs.address.$anchor, 'addressDef');
        assert.equal((await client.listResources()).resources.length, 3);
        assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 1);
        assert.equal((await client.listPrompts()).prompts.length, 5);
    },
    async calls() {
        const text = 'a "b" \\ \n \u{1F600} \u2028 \u0001 é';
        assert.equal((await call('echo', { text })).content[0].text, text);
        const many = await Promise.all(Array.from({ length: 50 }, (_, i) => call('echo', { text: String(i) })));
        assert.deepEqual(many.map(r => r.content[0].text), Array.from({ length: 50 }, (_, i) => String(i)));
    },
    async images() {
        const { content } = await call('test_multiple_content_types');
        assert.deepEqual(content.map(c => c.type), ['text', 'image', 'resource']);
        assert.equal(Buffer.from(content[1].data, 'base64').subarray(1, 4).toString(), 'PNG');
    },
    async structured() {
        const result = await call('test_resource_link');
        assert.deepEqual(result.structuredContent, { links: 1 });
        assert.equal(result.content[0].type, 'resource_link');
    },
    async errors() {
        assert.equal((await call('test_error_handling')).isError, true);
        assert.equal((await call('echo', { text: 7 })).isError, true);
        await assert.rejects(call('no_such_tool'), error => error.code === -32602);
        await assert.rejects(client.readResource({ uri: 'test://nothing' }), error => [-32602, -32002].includes(error.code));
    },
    async progress() {
        const seen = [];
        await call('test_tool_with_progress', {}, { onprogress: p => seen.push(p.progress) });
        // The last comes with the answer; SDK 1 drops it when both are in one piece.
        assert.deepEqual(seen.slice(0, 2), [0, 50]);
    },
    async cancel() {
        const before = readFileSync(log, 'utf8').split('fixture: cancelled').length;
        const controller = new AbortController();
        const started = new Promise(resolve => {
            call('sleep', { ms: 600000 }, { signal: controller.signal, onprogress: resolve }).catch(() => {});
        });
        await started;
        controller.abort('enough');
        for (let i = 0; readFileSync(log, 'utf8').split('fixture: cancelled').length === before; i++) {
            assert(i < 200, 'the call was not cancelled');
            await sleep(50);
        }
        assert.equal((await call('echo', { text: 'after' })).content[0].text, 'after');
    },
    async resources() {
        const { contents } = await client.readResource({ uri: 'test://template/a b/data' });
        assert.equal(JSON.parse(contents[0].text).id, 'a b');
        assert(Buffer.from((await client.readResource({ uri: 'test://static-binary' })).contents[0].blob, 'base64').length > 4);
    },
    async prompts() {
        const prompt = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'x', arg2: 'y' } });
        assert.match(prompt.messages[0].content.text, /arg1='x', arg2='y'/);
    },
    async asks() {
        const result = isModern ? await call('test_input_required_result_elicitation')
            : await call('test_elicitation', { message: 'How?' });
        assert.match(result.content[0].text, isModern ? /Hello, Ada!/ : /action=accept.*fine/);
    },
    async large() {
        assert.equal((await call('blob', { bytes: 6 << 20 })).content[0].text.length, 6 << 20);
        await assert.rejects(call('blob', { bytes: 50 << 20 }), error => error.code === -32603);
        assert.equal((await call('echo', { text: 'after' })).content[0].text, 'after');
    },
};

for (const [name, run] of Object.entries(cases)) {
    await run();
    console.log(`ok ${name}`);
}
if (kind === 'http' && !isModern && transport.terminateSession) {
    await transport.terminateSession();
}
const start = performance.now();
await client.close();
assert(performance.now() - start < 1500, 'the server did not end with its input');
process.exit(0);
