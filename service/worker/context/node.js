// Runs pieces of code in one global scope, for service/worker/context/frame.h. Descriptor 3 leads to
// the worker: code comes in, each piece ends with a NUL; frames go out. Output goes to 1 and 2.
//
// Pieces are evaluated as the console of a debugger does it: values of let, const and class may be
// declared again, await is allowed everywhere, and the value is that of the last expression.
{
  const { Socket } = require("net");
  const { Session } = require("inspector");
  const { createRequire } = require("module");
  const { inspect } = require("util");
  const { writeSync } = require("fs");
  const vm = require("vm");

  const MAX_DATA = 1 << 20; // bytes of one form of a value
  const MAX_LINES = 200; // of a stack
  const MAX_LINE = 1000; // characters of one
  const MAX_TEXT = 4000; // characters of an error's value
  const MAIN = 1; // flags of a result
  const OTHER_FORM = 2;
  const FORMS = Symbol.for("Jupyter.display"); // as Deno has it

  const channel = new Socket({ fd: 3, readable: true, writable: true });
  const session = new Session();
  const frames = []; // to be sent
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const pieces = [];
  const KEY = Symbol.for("aisbx.context"); // of what pieces and the debugger reach by the global scope
  const hooks = { run: null, held: undefined, import: (name, options) => import(name, options) };
  let isBusy = false;
  let interrupt = null; // of the piece that waits for a promise

  // A stream of node's would stay as it was when an interrupt hit it, and take nothing any more.
  function writeAll(fd, queue) {
    while (queue.length > 0) {
      try {
        const n = writeSync(fd, queue[0]);
        if (n === queue[0].length) queue.shift();
        else queue[0] = queue[0].subarray(n);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
        Atomics.wait(clock, 0, 0, 1);
      }
    }
  }

  function send(kind, payload) {
    const head = Buffer.alloc(5);
    head.write(kind, 0, "latin1");
    head.writeUInt32LE(payload.length, 1);
    frames.push(Buffer.concat([head, payload]));
    writeAll(3, frames);
  }

  function makeSync(stream) {
    stream.write = (chunk, encoding, done) => {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8") : chunk;
      writeAll(stream.fd, [bytes]);
      const then = typeof encoding === "function" ? encoding : done;
      if (typeof then === "function") process.nextTick(then);
      return true;
    };
  }

  // ---- values ----

  function bytesOf(mime, data) {
    if (Buffer.isBuffer(data) || data instanceof Uint8Array) return Buffer.from(data);
    if (typeof data !== "string") return Buffer.from(JSON.stringify(data));
    const isBinary = mime.startsWith("image/") && mime !== "image/svg+xml";
    return Buffer.from(data, isBinary ? "base64" : "utf8");
  }

  function sendForm(mime, data, flags) {
    if (data.length > MAX_DATA) {
      const size = `${mime} of ${data.length} bytes`;
      mime = "text/plain";
      data = Buffer.from(`<${size}: more than the ${MAX_DATA} that a result may have; write it to a file>`);
    }
    const name = Buffer.from(mime, "latin1");
    send("R", Buffer.concat([Buffer.from([flags, name.length]), name, data]));
  }

  function jsonOf(value) {
    const proto = typeof value === "object" && value !== null ? Object.getPrototypeOf(value) : undefined;
    if (!Array.isArray(value) && proto !== null && proto !== Object.prototype) return undefined;
    try {
      return JSON.stringify(value);
    } catch {
      return undefined; // a cycle, a BigInt
    }
  }

  function formsOf(value) {
    const forms = {};
    const method = value !== null && typeof value === "object" ? value[FORMS] : undefined;
    if (typeof method === "function") Object.assign(forms, method.call(value));
    const json = jsonOf(value);
    if (json !== undefined && !("application/json" in forms)) forms["application/json"] = json;
    if (!("text/plain" in forms)) forms["text/plain"] = inspect(value);
    return forms;
  }

  function show(forms, flags) {
    for (const [mime, data] of Object.entries(forms)) {
      if (data === undefined || data === null) continue;
      sendForm(mime, bytesOf(mime, data), flags);
      flags |= OTHER_FORM;
    }
  }

  // Shows a value as a result of this piece. {raw: true}: it is an object of forms, by MIME type.
  function display(value, options) {
    show(options && options.raw ? value : formsOf(value), 0);
  }

  // ---- errors ----

  // The lines of a stack up to where we called the code.
  function linesOf(stack) {
    const lines = stack.split("\n");
    const end = lines.findIndex((line) => /node:context|node:inspector|\[eval\]/.test(line));
    if (end > 0) lines.length = end;
    if (lines.length > MAX_LINES) {
      const half = MAX_LINES / 2;
      lines.splice(half, lines.length - MAX_LINES, `    [${lines.length - MAX_LINES} lines more]`);
    }
    return lines.map((line) => line.slice(0, MAX_LINE));
  }

  function textOf(value) {
    try {
      return String(value);
    } catch {
      return "<not a text>";
    }
  }

  function sendError(error) {
    const isError = error instanceof Error || (error !== null && typeof error === "object" && "stack" in error);
    const name = isError ? textOf(error.name) : "Error";
    const value = isError ? textOf(error.message) : inspect(error);
    const stack = isError ? textOf(error.stack) : `Uncaught ${value}`;
    const parts = [name.slice(0, MAX_LINE), value.slice(0, MAX_TEXT), ...linesOf(stack)];
    send("E", Buffer.from(parts.map((part) => part.replaceAll("\0", "\\0")).join("\0")));
  }

  class Interrupted extends Error {
    constructor() {
      super("the piece was interrupted");
      this.stack = "Interrupted: the piece was interrupted";
    }
    get name() {
      return "Interrupted";
    }
  }

  function tell(what, error) {
    const text = error instanceof Error ? linesOf(textOf(error.stack)).join("\n") : inspect(error);
    process.stderr.write(`Uncaught ${what}${text}\n`);
  }

  // ---- import, which the debugger does not have ----

  // The source with all that is not code (texts, comments, patterns) as blanks, of the same length.
  function codeOf(source) {
    const out = source.split("");
    const braces = []; // of templates that we are in: how deep
    let depth = 0;
    let last = ""; // character of code before
    const blank = (from, to) => out.fill(" ", from, to);
    const skip = (pattern, at) => {
      pattern.lastIndex = at;
      const end = pattern.test(source) ? pattern.lastIndex : source.length;
      blank(at, end);
      return end;
    };
    const template = (at) => {
      const end = skip(/[`}](?:[^\\`$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y, at);
      if (source.slice(end - 2, end) === "${") braces.push(depth);
      return end;
    };
    for (let at = 0; at < source.length; ) {
      const c = source[at];
      const two = source.slice(at, at + 2);
      if (two === "//") at = skip(/[^\n]*/y, at);
      else if (two === "/*") at = skip(/\/\*[^]*?\*\//y, at);
      else if (c === '"' || c === "'") at = skip(/(["'])(?:(?!\1)[^\\\n]|\\[^])*\1/y, at);
      else if (c === "`") at = template(at);
      else if (c === "}" && braces.at(-1) === depth) braces.pop(), (at = template(at));
      else if (c === "/" && /^$|[(,=:[!&|?{};+*%~^<>-]/.test(last)) {
        at = skip(/\/(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y, at);
        last = ")";
        continue;
      } else {
        depth += c === "{" ? 1 : c === "}" ? -1 : 0;
        last = c.trim() === "" ? last : c;
        at++;
        continue;
      }
      if (two !== "//" && two !== "/*") last = ")"; // a value
    }
    return out.join("");
  }

  function bindingsOf(clause) {
    const [, name, space, names] = /^(?:([\w$]+)\s*,?\s*)?(?:\*\s*as\s+([\w$]+))?(?:(\{[^}]*\}))?$/.exec(clause.trim());
    const picked = (names || "{}").slice(1, -1).replace(/(\w|\$)\s+as\s+/g, "$1: ");
    const inner = [name && `default: ${name}`, picked].filter(Boolean).join(", ");
    return { space, inner };
  }

  function withImports(source) {
    if (!/\bimport\b/.test(source)) return source;
    const code = codeOf(source);
    const call = `globalThis[Symbol.for("aisbx.context")].import`;
    const statement = /import(?:\s*([\w$*{},\s]+?)\s*from)?\s*(["'][^"'\n]+["'])/y;
    let out = "";
    let done = 0;
    for (const { index, 1: rest } of code.matchAll(/(?<![.\w$])import\b(\s*[(.])?/g)) {
      if (index < done || (rest && rest.endsWith("."))) continue;
      statement.lastIndex = index;
      const match = rest ? null : statement.exec(source);
      let text = call;
      let end = index + "import".length;
      if (match) {
        const { space, inner } = bindingsOf(match[1] || "");
        const module = `await ${call}(${match[2]})`;
        text = space ? `const ${space} = ${module}` : match[1] ? `const {${inner}} = ${module}` : module;
        if (space && inner) text += `, {${inner}} = ${space}`;
        end = index + match[0].length;
      } else if (!rest) continue;
      out += source.slice(done, index) + text;
      done = end;
    }
    return out + source.slice(done);
  }

  // ---- pieces ----

  // A signal ends what runs in here, wherever it is.
  function breakable(run) {
    hooks.run = run;
    const options = { breakOnSigint: true, filename: "node:context" };
    return vm.runInThisContext(`globalThis[Symbol.for("aisbx.context")].run()`, options);
  }

  // A signal that comes when what it breaks is about to end is lost for that, and breaks the next such
  // call instead: let it be this one. (The worker sends it again where it was lost.)
  function settle() {
    try {
      breakable(() => {
        for (let i = 0; i < 25; i++) Atomics.wait(clock, 0, 0, 2); // the thread that breaks has its turn
      });
    } catch {
      // it was
    }
  }

  // The value, or error, that the debugger only gives a handle of.
  function take(remote) {
    if (remote.unserializableValue !== undefined) return vm.runInThisContext(remote.unserializableValue);
    if (remote.objectId === undefined) return remote.subtype === "null" ? null : remote.value;
    const { objectId } = remote;
    const hold = `function () { "use strict"; globalThis[Symbol.for("aisbx.context")].held = this; }`;
    session.post("Runtime.callFunctionOn", { objectId, functionDeclaration: hold });
    session.post("Runtime.releaseObject", { objectId });
    const value = hooks.held;
    hooks.held = undefined;
    return value;
  }

  function evaluate(source, number) {
    const params = {
      expression: `${withImports(source)}\n//# sourceURL=piece-${number}.js`,
      replMode: true,
      awaitPromise: true,
    };
    return new Promise((resolve, reject) => {
      const onAnswer = (failure, answer) => {
        if (failure) reject(failure);
        else if (!answer.exceptionDetails) resolve([take(answer.result)]); // it may be a promise
        else if (!answer.exceptionDetails.exception) reject(new Error(answer.exceptionDetails.text));
        else reject(take(answer.exceptionDetails.exception));
      };
      interrupt = () => reject(new Interrupted());
      try {
        breakable(() => session.post("Runtime.evaluate", params, onAnswer));
      } catch (error) {
        reject(error.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED" ? new Interrupted() : error);
      }
    });
  }

  async function runPiece(source, number) {
    const status = Buffer.alloc(4);
    try {
      const [value] = await evaluate(source, number);
      interrupt = null;
      if (value !== undefined) breakable(() => show(formsOf(value), MAIN));
    } catch (error) {
      interrupt = null;
      status[0] = 1;
      if (error instanceof Interrupted) settle();
      try {
        sendError(error);
      } catch (worse) {
        sendError(new Error(`an error that cannot be shown: ${textOf(worse)}`));
      }
    }
    send("D", status);
  }

  let count = 0;
  async function runAll() {
    isBusy = true;
    while (pieces.length > 0) await runPiece(pieces.shift(), ++count);
    isBusy = false;
  }

  let waiting = Buffer.alloc(0);
  channel.on("data", (data) => {
    waiting = Buffer.concat([waiting, data]);
    for (let end; (end = waiting.indexOf(0)) >= 0; waiting = waiting.subarray(end + 1)) {
      pieces.push(waiting.toString("utf8", 0, end));
    }
    if (!isBusy) runAll();
  });
  channel.on("end", () => process.exit(0));
  channel.on("error", () => process.exit(1));
  process.on("SIGINT", () => interrupt && interrupt());
  process.on("uncaughtException", (error) => tell("", error));
  process.on("unhandledRejection", (error) => tell("(in promise) ", error));

  makeSync(process.stdout);
  makeSync(process.stderr);
  Object.defineProperty(globalThis, KEY, { value: hooks });
  globalThis.require = createRequire(`${process.cwd()}/piece.js`);
  globalThis.display = display;
  session.connect();
  send("H", Buffer.alloc(0));
}
