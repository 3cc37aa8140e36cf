// validate.mjs FILE...: each object of the files against its kind of the Kubernetes API: values by the schemas, and, as
// those let unknown fields pass, names by the types that were made of them. Prints what is wrong; exit status 1.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import ts from "typescript";
import { parseAllDocuments } from "yaml";

const packages = { "monitoring.coreos.com": "@kubernetes-models/prometheus-operator" };

function moduleOf({ apiVersion }) {
  const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
  return `${packages[group] ?? "kubernetes-models"}/${apiVersion}`;
}

function* objectsOf(files) {
  for (const file of files) {
    for (const document of parseAllDocuments(readFileSync(file, "utf8"))) {
      const object = document.toJS();
      if (object !== null) yield { object, name: `${basename(file)}: ${object.kind}/${object.metadata?.name}` };
    }
  }
}

async function checkValues({ object }) {
  const Model = (await import(moduleOf(object)))[object.kind];
  if (Model === undefined) return [`no kind ${object.kind} in ${object.apiVersion}`];
  try {
    new Model(object).validate();
    return [];
  } catch (error) {
    return [error.message];
  }
}

// One program of all objects as literals: a literal may have no field that its type has not.
function checkNames(rows) {
  const file = join(import.meta.dirname, "objects.ts");
  const source = rows.map(({ object }, i) =>
    `import type { I${object.kind} as T${i} } from "${moduleOf(object)}";\nexport const o${i}: T${i} = ${JSON.stringify(object)};`);
  const options = { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, strict: true,
    skipLibCheck: true, noEmit: true, types: [] };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === file || fileExists.call(host, name);
  host.getSourceFile = (name, ...rest) => name === file
    ? ts.createSourceFile(name, source.join("\n"), ts.ScriptTarget.ES2022) : getSourceFile.call(host, name, ...rest);
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options, host)).map((diagnostic) => {
    const line = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start).line ?? 0;
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, " ");
    return `${rows[Math.floor(line / 2)]?.name}: ${text}`;
  });
}

const rows = [...objectsOf(process.argv.slice(2))];
const wrong = checkNames(rows);
for (const row of rows) wrong.push(...(await checkValues(row)).map((why) => `${row.name}: ${why}`));
for (const line of wrong) console.log(line);
console.log(`${rows.length} objects, ${wrong.length} mistakes`);
process.exit(wrong.length === 0 && rows.length > 0 ? 0 : 1);
