"""An index of Python packages (PEP 503) and a registry of npm, made on the spot, that note each request.

registry.py DIR ADDRESS PORT: fills DIR, says READY, serves until it is killed. DIR/requests has a line for each path
that was asked for. A path below /slow/ never gets an answer before DIR/go exists.
"""

import hashlib
import http.server
import io
import json
import os
import sys
import tarfile
import threading
import time
import zipfile

root, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
url = f"http://registry.test:{port}"
files, lock = {}, threading.Lock()


def wheel(name, version, content, needs=(), entry=None, raw=()):
    """@raw: (name in the archive, bytes, mode) beyond what a wheel has."""
    info = f"{name}-{version}.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {n}\n" for n in needs)
    inside = {
        f"{name}.py": content,
        f"{info}/METADATA": meta,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry:
        inside[f"{info}/entry_points.txt"] = f"[console_scripts]\n{entry} = {name}:main\n"
    inside[f"{info}/RECORD"] = "".join(f"{n},,\n" for n in [*inside, f"{info}/RECORD"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in inside.items():
            archive.writestr(path, text)
        for path, data, mode in raw:
            item = zipfile.ZipInfo(path)
            item.external_attr = mode << 16
            archive.writestr(item, data)
    file = f"{name}-{version}-py3-none-any.whl"
    put_python(name, file, out.getvalue())


def put_python(name, file, data, host=""):
    files[f"/files/{file}"] = data
    page = files.get(f"/simple/{name}/", b"<!DOCTYPE html>\n")
    files[f"/simple/{name}/"] = page + f'<a href="{host}/files/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a>\n'.encode()


def sdist(name, version, setup):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in ((f"{name}-{version}/setup.py", setup), (f"{name}-{version}/PKG-INFO", f"Name: {name}\nVersion: {version}\n")):
            item = tarfile.TarInfo(path)
            item.size = len(text)
            archive.addfile(item, io.BytesIO(text.encode()))
    put_python(name, f"{name}-{version}.tar.gz", out.getvalue())


def npm(name, version, inside, links=(), **more):
    package = {"name": name, "version": version, "main": "index.js", **more}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in {"package.json": json.dumps(package), **inside}.items():
            item = tarfile.TarInfo(path if path.startswith((".", "/")) else f"package/{path}")
            item.size, item.mode = len(text), 0o755
            archive.addfile(item, io.BytesIO(text.encode()))
        for path, target in links:
            item = tarfile.TarInfo(f"package/{path}")
            item.type, item.linkname = tarfile.SYMTYPE, target
            archive.addfile(item)
    data = out.getvalue()
    file = f"/npm/{name}/-/{name.split('/')[-1]}-{version}.tgz"
    files[file] = data
    dist = {"tarball": url + file, "shasum": hashlib.sha1(data).hexdigest()}
    known = json.loads(files.get(f"/npm/{name}", b"{}")) or {"name": name, "versions": {}}
    known["versions"][version] = {**package, "dist": dist}
    known["dist-tags"] = {"latest": version}
    files[f"/npm/{name}"] = json.dumps(known).encode()


wheel("tiny", "0.1", "answer = 41\n")
wheel("tiny", "0.2", "answer = 42\ndef main():\n    print('from the command line')\n", entry="tiny-say")
wheel("upper", "1.0", "import tiny\nanswer = tiny.answer + 1\n", needs=["tiny>=0.2"])
wheel("bigger", "1.0", "import os\n", raw=[("bigger.bin", os.urandom(700 << 10), 0o644)])
wheel("bulky", "1.0", "import os\n", raw=[("bulky.bin", os.urandom(700 << 10), 0o644)])
wheel("climber", "1.0", "answer = 1\n", raw=[("../../../../../../tmp/climbed", b"out", 0o644)])
wheel("linker", "1.0", "answer = 2\n", raw=[("linked", b"/etc/passwd", 0o120777)])
put_python("elsewhere", "elsewhere-1.0-py3-none-any.whl", b"PK", host=f"http://other.test:{port}")
sdist("source", "1.0", "open('/tmp/ran', 'w').write('x')\nfrom setuptools import setup\nsetup(name='source', version='1.0', py_modules=[])\n")
npm("tiny", "0.1.0", {"index.js": "module.exports = 42;\n"})
npm("@scope/tool", "2.0.0", {"index.js": "module.exports = require('tiny') + 1;\n",
                             "tool.js": "#!/usr/bin/env node\nconsole.log('from the command line');\n"},
    dependencies={"tiny": "^0.1.0"}, bin={"tool-say": "tool.js"})
npm("scripted", "1.0.0", {"index.js": "module.exports = require('fs').existsSync(__dirname + '/ran');\n"},
    scripts={"install": "echo x >ran", "postinstall": "echo x >ran"})
npm("climber", "1.0.0", {"index.js": "module.exports = 1;\n", "../../../../../tmp/climbed": "out"}, links=[("passwd", "/etc/passwd")])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.replace("%2f", "/").replace("%2F", "/").split("?")[0]
        with lock, open(os.path.join(root, "requests"), "a") as log:
            log.write(path + "\n")
        if path.startswith("/slow/"):
            while not os.path.exists(os.path.join(root, "go")):
                time.sleep(0.02)
            path = path[len("/slow"):]
        data = files.get(path) or files.get(path + "/")
        self.send_response(200 if data is not None else 404)
        data = data or b"not here"
        is_page = path.startswith("/simple")
        self.send_header("Content-Type", "text/html" if is_page else "application/json" if path.startswith("/npm") and not path.endswith(".tgz") else "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer((address, port), Handler)
open(os.path.join(root, "requests"), "w").close()
print("READY", flush=True)
server.serve_forever()
