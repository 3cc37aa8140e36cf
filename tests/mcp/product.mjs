// The official SDKs as clients of aisbx-mcp with real sandboxes.
//   product.mjs WHAT SDK MODE TRANSPORT TARGET LOG
//     WHAT "look" (lists only), "some" or "all"; the rest as in clients.mjs; SERVER_PID: of the server over http
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createWriteStream, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [what, sdk, mode, kind, target, log] = process.argv.slice(2);
const info = { name: 'aisbx-tests', version: '1' };

async function connect() {
    let client, Stdio, Http;
    if (sdk === '1') {
        const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
        ({ StdioClientTransport: Stdio } = await import('@modelcontextprotocol/sdk/client/stdio.js'));
        ({ StreamableHTTPClientTransport: Http } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js'));
        client = new Client(info, {});
    } else {
        const module = await import('@modelcontextprotocol/client');
        ({ StdioClientTransport: Stdio } = await import('@modelcontextprotocol/client/stdio'));
        Http = module.StreamableHTTPClientTransport;
        client = new module.Client(info, { versionNegotiation: { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode } });
    }
    const transport = kind === 'stdio'
        ? new Stdio({ command: target, args: ['--transport', 'stdio'], stderr: 'pipe',
            env: { PATH: process.env.PATH, AISBX_RUNTIME_DIR: process.env.AISBX_RUNTIME_DIR } })
        : new Http(new URL(target));
    if (kind === 'stdio') {
        transport.stderr?.pipe(createWriteStream(log, { flags: 'a' }));
    }
    client.onerror = error => { if (!/abort|cancel|progress notification for an unknown/i.test(String(error))) console.error('client:', error); };
    await client.connect(transport);
    return { client, transport };
}

const { client, transport } = await connect();
const serverPid = () => kind === 'stdio' ? transport.pid : Number(process.env.SERVER_PID);
const call = (name, args = {}, options) =>
    sdk === '1' ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options);
const text = result => result.content.filter(c => c.type === 'text').map(c => c.text).join('\n');
const python = (code, more = {}, options) => call('run_code', { language: 'python', code, ...more }, options);

// Processes of this machine, sandboxes included, whose command line has the word.
function running(word) {
    let n = 0;
    for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
        try {
            n += readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word) ? 1 : 0;
        } catch { /* gone meanwhile */ }
    }
    return n;
}
async function until(what, is) {
    for (let i = 0; !await is(); i++) {
        assert(i < 400, what);
        await sleep(25);
    }
}
const peakOf = pid => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
const mark = `${process.pid}${kind}`;

const looks = {
    async lists() {
        const { tools } = await client.listTools();
        assert.deepEqual(tools.map(t => t.name), ['run_code', 'shell', 'sandbox_create', 'sandbox_list', 'sandbox_destroy',
            'sandbox_snapshot', 'sandbox_fork', 'sandbox_rollback', 'file_read', 'file_write', 'file_edit',
            'file_list', 'file_search', 'exec_output', 'exec_input']);
        const by = Object.fromEntries(tools.map(t => [t.name, t]));
        assert(by.sandbox_list.annotations.readOnlyHint && by.file_read.annotations.readOnlyHint && by.file_search.annotations.readOnlyHint);
        assert(by.sandbox_destroy.annotations.destructiveHint);
        assert.equal(by.shell.inputSchema.properties.sandbox_id['x-mcp-header'], 'Sandbox-Id');
        assert(tools.every(t => t.outputSchema && /Example: \{/.test(t.description)));
        assert.match(by.sandbox_create.description, /ttl_s/);
        assert.deepEqual((await client.listResources()).resources.map(r => r.uri), ['aisbx://profiles']);
        assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 4);
    },
};

const cases = {
    ...looks,
    async runs() {
        const result = await python('import sys; print(sys.stdin.read() + sys.argv[1])', { stdin: 'in ', args: ['arg'] });
        assert.match(text(result), /^exit 0 after .*\n--- stdout\nin arg\n/);
        assert.equal(result.structuredContent.exit_code, 0);
        assert(!result.isError);
        assert.match(text(await call('run_code', { language: 'bash', code: 'echo $((6*7)) $1', args: ['x'] })), /42 x/);
        assert.match(text(await python('#' + 'x'.repeat(300000) + "\nprint('long')")), /long/);
    },
    async failures() {
        const failed = await python('raise SystemExit(3)');
        assert(!failed.isError && failed.structuredContent.exit_code === 3, 'a failure is a normal result');
        const late = await python('while True: pass', { timeout_s: 0.5 });
        assert(!late.isError && late.structuredContent.verdict === 'timed_out');
        assert.match(text(late), /evidence: timer\.wall_ms=500.*\nnext step: .*timeout_s/);
        if (kind !== 'stdio') { // to fill all memory is long, and has nothing to do with how the call came
            return;
        }
        const big = await python('x = []\nwhile True: x.append(bytearray(1 << 24))');
        // Without control groups each process is bounded, and Python says it itself.
        const killed = big.structuredContent.verdict === 'oom_killed';
        assert(!big.isError && (killed || /MemoryError/.test(text(big))), text(big));
        assert(!killed || /limit met: memory.*what would allow it/.test(text(big)), text(big));
    },
    async errors() {
        const nobody = 'sb_mfrggzdfmztwq2lkmfrggzdfme';
        for (const [name, args, why] of [
            ['run_code', { language: 'cobol', code: 'x' }, /arguments\.language: must be one of/],
            ['run_code', { language: 'python' }, /needs "code"/],
            ['shell', { command: 'true', sandbox_id: nobody }, /Next step: .*sandbox_create/],
            ['shell', { command: 'true', sandbox_id: 'x' }, /sandbox_id/],
            ['shell', { command: 'true', background: true }, /background: needs sandbox_id/],
            ['run_code', { language: 'python', code: '1', profile: 'nope' }, /no profile "nope"/],
            ['run_code', { language: 'python', code: '1', timeout_s: 86000 }, /wall_ms/],
            ['exec_input', { exec_id: 'ex_mfrggzdfmztwq2lkmfrggzdfme' }, /signal: give either/],
            ['exec_output', { exec_id: 'ex_mfrggzdfmztwq2lkmfrggzdfme' }, /Next step/],
        ]) {
            const result = await call(name, args);
            assert.equal(result.isError, true, JSON.stringify([name, args, result]));
            assert.match(text(result), why);
        }
        await assert.rejects(call('no_such_tool'), error => error.code === -32602);
        for (const uri of ['aisbx://exec/ex_mfrggzdfmztwq2lkmfrggzdfme/stdout', 'aisbx://nothing', 'aisbx://profiles/nope',
            'aisbx://exec/%zz/stdout', 'aisbx://exec/ex_mfrggzdfmztwq2lkmfrggzdfme/stdout?x=1']) {
            const error = await client.readResource({ uri }).then(() => assert.fail(uri), e => e);
            assert([-32602, -32002].includes(error.code), `${uri}: ${error}`);
            assert.equal(error.data.uri, uri);
        }
    },
    async sandboxes() {
        const made = await call('sandbox_create', { ttl_s: 300, labels: { test: mark }, request_id: `make${mark}` });
        const { sandbox_id, expires_in_s } = made.structuredContent;
        assert(expires_in_s > 250 && expires_in_s <= 300);
        const again = await call('sandbox_create', { ttl_s: 300, labels: { test: mark }, request_id: `make${mark}` });
        assert.equal(again.structuredContent.sandbox_id, sandbox_id, 'the same request makes one sandbox');
        await call('shell', { sandbox_id, command: 'echo kept >a' });
        const kept = await call('shell', { sandbox_id, command: 'cat a' });
        assert.match(text(kept), /kept[^]*expires in \d+ s/);
        assert(kept.structuredContent.expires_in_s > 0);

        const other = (await call('sandbox_create', { ttl_s: 300 })).structuredContent.sandbox_id;
        const seen = [];
        for (let cursor, n = 0; n < 100; n++) {
            const page = (await call('sandbox_list', { limit: 1, ...(cursor && { cursor }) })).structuredContent;
            seen.push(...page.sandboxes.map(s => s.sandbox_id));
            if (!(cursor = page.next_cursor)) break;
        }
        assert(seen.includes(sandbox_id) && seen.includes(other), 'pages');
        assert.equal((await call('sandbox_list', { cursor: 'forged' })).isError, true);

        const run = await call('shell', { sandbox_id, command: 'read x; echo "got $x"; sleep 1000', background: true });
        const { exec_id } = run.structuredContent;
        const there = (await call('sandbox_list')).structuredContent.sandboxes.find(s => s.sandbox_id === sandbox_id);
        assert.deepEqual(there.execs, [exec_id], 'what runs is found again');
        await call('exec_input', { exec_id, data: 'it\n' });
        const output = await call('exec_output', { exec_id, wait_s: 10 });
        assert.match(text(output), /^running\n[^]*got it/);
        const rest = await call('exec_output', { exec_id, offset: output.structuredContent.next_offset });
        assert.equal(rest.structuredContent.total_bytes, 7);
        assert.match(text(await call('exec_input', { exec_id, signal: 'KILL' })), /nothing of it is left/);
        assert.equal((await call('exec_output', { exec_id })).structuredContent.is_end, true);

        for (const id of [sandbox_id, other]) {
            assert.equal((await call('sandbox_destroy', { sandbox_id: id })).structuredContent.state, 'destroyed');
        }
        const gone = await call('shell', { sandbox_id, command: 'true' });
        assert(gone.isError && /destroyed[^]*sandbox_create/.test(text(gone)), text(gone));
    },
    async files() {
        const { sandbox_id } = (await call('sandbox_create', { ttl_s: 300 })).structuredContent;
        const content = 'a "b" \u{1F600}\n'.repeat(2000);
        const written = await call('file_write', { sandbox_id, path: 'deep/er/a.txt', content });
        assert.equal(written.structuredContent.size_bytes, Buffer.byteLength(content), text(written));
        const begin = await call('file_read', { sandbox_id, path: 'deep/er/a.txt', max_bytes: 101 });
        assert.match(text(begin), /^a "b" .*\n[^]*call again with offset \d+/);
        assert(!text(begin).includes('\ufffd'), 'cut between characters');
        let whole = '';
        for (let offset = 0, is_end = false; !is_end;) {
            const piece = await call('file_read', { sandbox_id, path: 'deep/er/a.txt', offset, max_bytes: 10000 });
            whole += piece.content[0].text.replace(/\n\[bytes [^]*/, '');
            ({ next_offset: offset, is_end } = piece.structuredContent);
        }
        assert.equal(whole, content);
        await call('file_write', { sandbox_id, path: 'run', content: '#!/bin/sh\necho ran\n', executable: true });
        await call('file_write', { sandbox_id, path: '/workspace/run', content: 'echo more\n', append: true });
        assert.match(text(await call('shell', { sandbox_id, command: './run' })), /ran\nmore/);
        await call('file_write', { sandbox_id, path: 'b.bin', content: Buffer.from([0, 255, 1]).toString('base64'), encoding: 'base64' });
        assert.match(text(await call('file_read', { sandbox_id, path: 'b.bin' })), /binary, 3 bytes/);
        const list = text(await call('file_list', { sandbox_id, depth: 5 }));
        assert.match(list, /\/workspace\/b\.bin {2}3\n/);
        assert.match(list, /deep\/er\/a\.txt/);
        assert(!/b\.bin/.test(text(await call('file_list', { sandbox_id, depth: 5, glob: '**/*.txt' }))));
        const uri = `aisbx://sandbox/${sandbox_id}/files/workspace/`;
        assert.equal((await client.readResource({ uri: `${uri}deep/er/a%2etxt` })).contents[0].text, content);
        assert.equal((await client.readResource({ uri: `${uri}b.bin` })).contents[0].blob, 'AP8B');
        const error = await client.readResource({ uri: `${uri}none` }).then(() => assert.fail(), e => e);
        assert([-32602, -32002].includes(error.code) && error.data.uri === `${uri}none`);
        for (const [name, args] of [
            ['file_read', { path: 'none' }], ['file_read', { path: '/etc/shadow' }], ['file_write', { path: '/usr/x', content: '' }],
            ['file_write', { path: 'x', content: 'no base64', encoding: 'base64' }], ['file_list', { path: 'none' }],
        ]) {
            const result = await call(name, { sandbox_id, ...args });
            assert(result.isError && /Next step/.test(text(result)), JSON.stringify([name, args, result]));
        }
        await call('sandbox_destroy', { sandbox_id });
        const given = await python('import m; print(m.x)', { files: [{ path: 'm.py', content: 'x = 7\n' }] });
        assert.match(text(given), /\n7\n/, text(given));
    },
    async edits() {
        const { sandbox_id } = (await call('sandbox_create', { ttl_s: 300 })).structuredContent;
        const edit = (find, replacement, more = {}) => call('file_edit', { sandbox_id, path: 'src/a.py', find, replacement, ...more });
        const read = async () => (await call('file_read', { sandbox_id, path: '/workspace/src/a.py' })).content[0].text;
        await call('file_write', { sandbox_id, path: 'src/a.py', content: 'x = 1\ny = x\nz = x # ä\n', executable: true });
        const one = await edit('x = 1\n', 'x = 2\n');
        assert.deepEqual(one.structuredContent, { path: '/workspace/src/a.py', replaced: 1 });
        assert.match(text(one), /changed: \/workspace\/src\/a\.py, 1 place/);
        const many = await edit('= x', '= (x)');
        assert.equal(many.isError, true);
        assert.match(text(many), /Nothing was changed: [^]*found in it 2 times[^]*Next step: [^]*count/);
        assert.equal((await edit('none', '')).isError, true);
        assert.equal(await read(), 'x = 2\ny = x\nz = x # ä\n', 'a refusal changes nothing');
        assert.equal((await edit('= x', '= (x)', { count: 2 })).structuredContent.replaced, 2);
        assert.equal((await edit(' # ä', '')).structuredContent.replaced, 1);
        assert.equal((await edit('.', '!', { count: 0 })).structuredContent.replaced, 0, 'no pattern');
        assert.equal(await read(), 'x = 2\ny = (x)\nz = (x)\n');
        assert.match(text(await call('shell', { sandbox_id, command: 'stat -c %a src/a.py' })), /^755$/m);
        const missing = await call('file_edit', { sandbox_id, path: 'nope', find: 'x', replacement: 'y' });
        assert(missing.isError && /Next step/.test(text(missing)), text(missing));
        assert.match(text(await edit('', 'y')), /arguments\.find/);

        await call('file_write', { sandbox_id, path: 'src/b.txt', content: 'def main\nDEF   MAIN\n' + 'é'.repeat(900) + ' def end\n' });
        await call('file_write', { sandbox_id, path: 'bin', content: Buffer.from('def \0 main').toString('base64'), encoding: 'base64' });
        await call('file_write', { sandbox_id, path: 'src/many', content: 'line of many\n'.repeat(3000) });
        const search = (pattern, more = {}) => call('file_search', { sandbox_id, pattern, ...more });
        const found = await search('def +main');
        assert.equal(text(found), '/workspace/src/b.txt:1: def main\n');
        assert.deepEqual(found.structuredContent, { matches: 1, files: 1, is_truncated: false });
        assert.equal((await search('def +main', { ignore_case: true, glob: '**/*.txt' })).structuredContent.matches, 2);
        assert.equal((await search('x|def', { path: 'src' })).structuredContent.files, 2);
        assert.equal((await search('x', { path: 'src/b.txt' })).structuredContent.matches, 0);
        assert.equal((await search('x', { glob: '*.none' })).content[0].text, 'no line matches\n');
        const long = text(await search('def end'));
        assert(/é\.\.\.\n$/.test(long) && !long.includes('\ufffd') && long.length < 450, long);
        const some = await search('line', { limit: 5 });
        assert.deepEqual(some.structuredContent, { matches: 5, files: 1, is_truncated: true });
        assert.match(text(some), /there are more/);
        const all = await search('line', { limit: 1000 });
        assert(all.structuredContent.is_truncated && text(all).length < 17000, `${text(all).length}`);
        for (const [pattern, more, why] of [['(', {}, /pattern: /], ['x', { path: 'nowhere' }, /Not there/], ['x'.repeat(2000), {}, /pattern/]]) {
            const refused = await search(pattern, more);
            assert(refused.isError && why.test(text(refused)), text(refused));
        }
        await call('sandbox_destroy', { sandbox_id });
    },
    async snapshots() {
        const { sandbox_id } = (await call('sandbox_create', { ttl_s: 300 })).structuredContent;
        const write = (id, content) => call('file_write', { sandbox_id: id, path: 'f', content });
        const read = async id => text(await call('shell', { sandbox_id: id, command: 'cat f' })).split('\n');
        await write(sandbox_id, 'one\n');
        const kept = await call('sandbox_snapshot', { sandbox_id, title: 'first' });
        assert.match(kept.structuredContent.snapshot_id, /^sn_/);
        assert.deepEqual(kept.structuredContent.paths, ['/tmp', '/workspace']);
        await write(sandbox_id, 'two\n');
        const { sandbox_ids } = (await call('sandbox_fork', { sandbox_id, count: 3 })).structuredContent;
        assert.equal(new Set(sandbox_ids).size, 3);
        await write(sandbox_ids[0], 'three\n');
        for (const [id, line] of [[sandbox_ids[0], 'three'], [sandbox_ids[1], 'two'], [sandbox_id, 'two']]) {
            assert((await read(id)).includes(line), `${id}: ${await read(id)}`);
        }
        const back = { sandbox_id, snapshot_id: kept.structuredContent.snapshot_id };
        assert.equal((await call('sandbox_rollback', back)).structuredContent.state, 'running');
        assert((await read(sandbox_id)).includes('one'));
        const other = await call('sandbox_rollback', { ...back, sandbox_id: sandbox_ids[0] });
        assert(other.isError && /another sandbox/.test(text(other)), text(other));
        for (const id of [sandbox_id, ...sandbox_ids]) {
            await call('sandbox_destroy', { sandbox_id: id });
        }
        const gone = await call('sandbox_snapshot', { sandbox_id });
        assert(gone.isError, text(gone));
    },
    async images() {
        const png = `
import struct, zlib
def png(path, n, noise=False):
    import os
    rows = b"".join(b"\\0" + (os.urandom(3 * n) if noise else b"\\xff\\0\\0" * n) for _ in range(n))
    chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    open(path, "wb").write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", n, n, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
`;
        const result = await python(`${png}png("plot.png", 8); png("large.png", 900, True); open("no.png", "w").write("text")`);
        const images = result.content.filter(c => c.type === 'image');
        assert.equal(images.length, 1, text(result));
        assert.equal(images[0].mimeType, 'image/png');
        assert.equal(Buffer.from(images[0].data, 'base64').subarray(1, 4).toString(), 'PNG');
        assert.equal(result.structuredContent.images, 1);
        assert.match(text(result), /large\.png \(\d+ bytes\) is not shown/);
        const { sandbox_id } = (await call('sandbox_create', { ttl_s: 300 })).structuredContent;
        assert.equal((await python(`${png}png("a.png", 8)`, { sandbox_id })).structuredContent.images, 1);
        assert.equal((await python('print(1)', { sandbox_id })).structuredContent.images, 0, 'only what is new is shown');
        const large = await python(`${png}png("dpi 300#ä.png", 300, True); png("small.png", 8)`, { sandbox_id });
        assert.equal(large.structuredContent.images, 1, text(large));
        const link = large.content.find(c => c.type === 'resource_link');
        assert.equal(link.uri, `aisbx://sandbox/${sandbox_id}/files/workspace/dpi%20300%23%C3%A4.png`);
        assert.equal(link.mimeType, 'image/png');
        assert(!/is not shown/.test(text(large)), text(large));
        const { contents } = await client.readResource({ uri: link.uri });
        assert.equal(contents[0].mimeType, 'image/png');
        const sum = text(await call('shell', { sandbox_id, command: 'sha256sum dpi*' }));
        assert(sum.includes(createHash('sha256').update(Buffer.from(contents[0].blob, 'base64')).digest('hex')), sum);
        const shown = await call('file_read', { sandbox_id, path: 'a.png' });
        assert.equal(shown.content.filter(c => c.type === 'image').length, 1, text(shown));
        await call('sandbox_destroy', { sandbox_id });
    },
    async state() {
        const { sandbox_id } = (await call('sandbox_create', { ttl_s: 300, profile: 'python-dev' })).structuredContent;
        const code = (language, source, more = {}) => call('run_code', { sandbox_id, language, code: source, ...more });
        const first = await code('python', 'x = 41\nimport os; os.chdir("/tmp")');
        assert.equal(first.structuredContent.exit_code, 0, text(first));
        assert.match(text(await code('python', 'print(os.getcwd())\nx + 1')), /\/tmp\n[^]*42/);
        const failed = await code('python', 'def f(): return 1 / 0\n\nf()');
        assert.equal(failed.isError, true);
        assert.match(text(failed), /exit 1[^]*line 3[^]*ZeroDivisionError: division by zero/);
        assert.match(text(await code('python', 'x')), /41/, 'an error leaves what was there');
        const shown = await code('python', 'class P:\n  def _repr_png_(self): return b"\\x89PNG"\nP()');
        assert.equal(shown.content.find(c => c.type === 'image').data, Buffer.from([0x89, 80, 78, 71]).toString('base64'));
        const large = await code('python', 'class L:\n  def _repr_png_(self): return b"a" * 200000\nL()');
        assert(!large.content.some(c => c.type === 'image') && !/not shown/.test(text(large)), text(large));
        const link = large.content.find(c => c.type === 'resource_link');
        assert.equal(link.mimeType, 'image/png');
        assert.equal((await client.readResource({ uri: link.uri })).contents[0].text, 'a'.repeat(200000));
        const full = await code('python', 'import os\nos.makedirs("/tmp/aisbx-values", exist_ok=True); os.chmod("/tmp/aisbx-values", 0o500)\nL()');
        assert(!full.content.some(c => c.type === 'resource_link') && /not shown/.test(text(full)), text(full));
        await code('node', 'const y = 20; let z = await Promise.resolve(1)');
        assert.match(text(await code('node', '({sum: y + z})')), /\{ sum: 21 \}/);
        await code('bash', 'cd /usr; export W=here; f() { echo "f $W"; }');
        assert.match(text(await code('bash', 'f; pwd')), /f here\n\/usr/);
        assert.equal((await code('bash', 'exit 3')).structuredContent.exit_code, 3);
        const program = await code('python', 'import sys; print(sys.argv[1:])', { args: ['a'] });
        assert.match(text(program), /\['a'\]/, 'a program of its own');
        const ended = await code('python', 'os._exit(4)');
        assert.equal(ended.structuredContent.exit_code, 4);
        assert.match(text(await code('python', 'x')), /NameError/, 'a new interpreter after its end');
        await code('python', 'x = 5');
        assert.match(text(await code('python', 'x', { fresh: true })), /NameError/);
        const slow = await code('python', 'while True: pass', { timeout_s: 1 });
        assert.equal(slow.structuredContent.verdict, 'timed_out');
        await call('sandbox_destroy', { sandbox_id });
    },
    async output() {
        const result = await python('import sys\nfor i in range(50000): print("line", i)\nprint("a" + "é" * 5000, file=sys.stderr)');
        const said = text(result);
        assert(said.length < 9500, `${said.length} characters`);
        assert.match(said, /line 0\n[^]*bytes left out[^]*line 49999\n/);
        assert(!said.includes('\ufffd'), 'cut between characters');
        const link = result.content.find(c => c.type === 'resource_link');
        assert.equal(link.uri, `aisbx://exec/${result.structuredContent.exec_id}/stdout`);
        const { contents } = await client.readResource({ uri: `${link.uri}?offset=-6&max_bytes=100` });
        assert.equal(contents[0].text, '49999\n');
        assert.match(text(await python('import sys; sys.stdout.buffer.write(b"\\0" * 9)')), /binary, 9 bytes/);
        const bytes = await python('import sys; sys.stdout.buffer.write(b"a" * 30 + b"\\xff")');
        assert.match(text(bytes), /a{30}\ufffd/);
    },
    async progress() {
        const seen = [];
        const { sandbox_id } = (await call('sandbox_create', { ttl_s: 300 })).structuredContent;
        // Told each second, in whole seconds: the first tick may say 0. It goes on until two were told.
        const lasts = python('import os, time\ni = 0\nwhile not os.path.exists("/tmp/go"): print("step", i % 9, flush=True); i += 1; time.sleep(0.1)',
            { sandbox_id, timeout_s: 60 }, { onprogress: p => seen.push(p) });
        await until('no progress is told', () => seen.length >= 2);
        await call('file_write', { sandbox_id, path: '/tmp/go', content: '' });
        await lasts;
        await call('sandbox_destroy', { sandbox_id });
        assert(seen.length >= 2 && /^step \d$/.test(seen[0].message), JSON.stringify(seen));
        assert(seen.every((p, i) => i === 0 || p.progress > seen[i - 1].progress));
    },
    async cancel() {
        const lasting = (await call('sandbox_create', { ttl_s: 300 })).structuredContent.sandbox_id;
        for (const more of [{}, { sandbox_id: lasting }]) {
            const controller = new AbortController();
            const command = `: ${mark}; sleep 1000 & setsid sleep 1001 & exec -a sleep${mark} sleep 1002`;
            const lost = call('shell', { command, ...more }, { signal: controller.signal }).then(() => assert.fail(), () => {});
            await until('the program does not start', () => running(`sleep${mark}`) === 1);
            controller.abort('enough');
            await lost;
            await until('the program runs on', () => running(mark) === 0);
        }
        await until('its sandbox is left', async () =>
            (await call('sandbox_list')).structuredContent.sandboxes.every(s => s.sandbox_id === lasting));
        assert.match(text(await call('shell', { sandbox_id: lasting, command: 'ps ax | grep -c "[s]leep 100"' })), /\n0\n/);
        await call('sandbox_destroy', { sandbox_id: lasting });
    },
    async profiles() {
        const { contents } = await client.readResource({ uri: 'aisbx://profiles' });
        assert(JSON.parse(contents[0].text).some(p => p.uri === 'aisbx://profiles/strict'));
        assert.match((await client.readResource({ uri: 'aisbx://profiles/strict' })).contents[0].text, /strict:/);
    },
    async large() {
        const before = peakOf(serverPid());
        const result = await python('import sys\nfor i in range(50): sys.stdout.write("x" * 999_999 + "\\n")', { timeout_s: 60 });
        assert.equal(result.structuredContent.stdout_bytes, 50_000_000);
        assert(JSON.stringify(result).length < 12000);
        const uri = `aisbx://exec/${result.structuredContent.exec_id}/stdout?offset=0&max_bytes=1048576`;
        assert.equal((await client.readResource({ uri })).contents[0].text.length, 1 << 20);
        const grown = peakOf(serverPid()) - before;
        console.log(`   50 MB of output: the gateway took ${grown} KiB more, ${peakOf(serverPid())} KiB at most`);
        assert(grown < (process.env.ASAN_OPTIONS ? 200000 : 16000), `${grown} KiB more`);
    },
};

const long = ['failures', 'sandboxes', 'files', 'progress', 'large'];
for (const [name, run] of Object.entries(what === 'look' ? looks : cases)) {
    if (what === 'some' && long.includes(name)) {
        continue;
    }
    await run();
    console.log(`ok ${name}`);
}
if (what !== 'look' && kind === 'stdio') { // whoever leaves, leaves nothing
    call('shell', { command: `exec -a left${mark} sleep 1003` }).catch(() => {});
    await until('the program does not start', () => running(`left${mark}`) === 1);
    await client.close();
    await until('the program runs on', () => running(`left${mark}`) === 0);
    console.log('ok leaves');
    process.exit(0);
}
if (kind === 'http' && transport.sessionId && transport.terminateSession) {
    await transport.terminateSession();
}
await client.close();
process.exit(0);
