// Runs in a sandbox: npm installs below /tmp, and the files go to standard output (tree.h).
// Arguments: registry, "code" or "", packages.
const fs = require('fs'), path = require('path'), child = require('child_process');
const [registry, code, ...names] = process.argv.slice(1);
const top = path.join(process.env.TMPDIR || '/tmp', 'aisbx-packages');

function put(kind, name, size, program) {
  const text = Buffer.from(name), head = Buffer.alloc(16);
  head.write(kind);
  head.writeUInt8(program ? 1 : 0, 1);
  head.writeUInt16LE(text.length, 2);
  head.writeBigUInt64LE(BigInt(size), 8);
  write(Buffer.concat([head, text]));
}
function write(data) {
  for (let at = 0; at < data.length;) {
    try {
      at += fs.writeSync(1, data, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
function walk(folder, name) {
  for (const entry of fs.readdirSync(folder, {withFileTypes: true}).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const at = path.join(folder, entry.name), inner = name ? name + '/' + entry.name : entry.name;
    if (entry.isDirectory()) {
      walk(at, inner);
    } else if (entry.isSymbolicLink()) {
      const target = Buffer.from(fs.readlinkSync(at));
      put('l', inner, target.length);
      write(target);
    } else if (entry.isFile()) {
      const data = fs.readFileSync(at);
      put('f', inner, data.length, (fs.statSync(at).mode & 0o111) !== 0);
      write(data);
    }
  }
}

fs.mkdirSync(top);
fs.writeFileSync(path.join(top, 'package.json'), '{"private": true}');
const done = child.spawnSync('npm', ['install', '--prefix', top, '--registry', registry, '--loglevel', 'error',
  '--no-audit', '--no-fund', '--no-update-notifier', '--cache', '/tmp/aisbx-npm', '--fetch-retries', '1',
  ...(code ? [] : ['--ignore-scripts']), '--', ...names], {cwd: top, stdio: ['ignore', 2, 'pipe']});
for (const line of String(done.stderr || '').split('\n')) {
  if (line && !line.includes('complete log of this run')) console.error(line);
}
if (done.error) {
  console.error('there is no npm; on the worker\'s host: apt install npm');
}
if (done.status !== 0) {
  process.exit(done.status || 1);
}
const modules = path.join(top, 'node_modules');
walk(modules, '');
const lock = JSON.parse(fs.readFileSync(path.join(modules, '.package-lock.json')));
const lines = Object.entries(lock.packages).map(([at, is]) => at.replace(/^.*node_modules\//, '') + '@' + is.version);
for (const line of [...new Set(lines)].sort()) {
  const text = Buffer.from(line).subarray(0, 256);
  put('p', '', text.length);
  write(text);
}
put('e', '', 0);
