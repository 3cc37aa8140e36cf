// Waits for a program, and runs it as "node -e" would: service/worker/pool/warm.h. Descriptor 3 leads to the worker:
// this says which of the modules that are its arguments it has not loaded, then "r", then what goes into TRACEPARENT and
// TRACESTATE, the source and its arguments come, each with a NUL behind it, and the end of file.
{
    const fs = require('fs');
    const vm = require('vm');
    const parts = [];
    const part = Buffer.alloc(1 << 16);
    const { emitWarning } = process;
    process.emitWarning = () => {};
    process.argv.slice(1).forEach((name, i) => {
        try {
            require(name);
        } catch {
            fs.writeSync(3, Buffer.of(128 + i));
        }
    });
    process.emitWarning = emitWarning;
    fs.writeSync(3, 'r');
    for (let n; (n = fs.readSync(3, part, 0, part.length)) > 0;)
        parts.push(Buffer.from(part.subarray(0, n)));
    fs.closeSync(3);
    const [parent, state, source, ...words] = Buffer.concat(parts).toString().split('\0').slice(0, -1);
    if (parent) process.env.TRACEPARENT = parent;
    if (state) process.env.TRACESTATE = state;
    process.argv.splice(1, process.argv.length, ...words);
    process.execArgv.splice(1, 1, source);
    // import() as in a main program. Some versions call that experimental, once.
    const loader = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
    if (loader !== undefined)
        process.emitWarning = function (warning, ...rest) {
            if (String(warning).includes('USE_MAIN_CONTEXT_DEFAULT_LOADER'))
                process.emitWarning = emitWarning;
            else
                emitWarning.call(this, warning, ...rest);
        };
    const options = { filename: '[eval]', importModuleDynamically: loader ?? ((name) => import(name)) };
    let script;
    try {
        script = new vm.Script(source, options);
    } catch (error) {
        // A module, types or a mistake: what becomes of it node alone knows.
        const again = ['-e', source, '--', ...words];
        process.execve?.(process.execPath, [process.argv0, ...again], process.env);
        const done = require('child_process').spawnSync(process.execPath, again, { argv0: process.argv0, stdio: 'inherit' });
        if (done.error) throw error;
        if (done.signal) process.kill(process.pid, done.signal);
        process.exit(done.status ?? 1);
    }
    script.runInThisContext();
}
