"""A registry of each language with one tiny package, as files, served on one address.

registry.py DIR ADDRESS PORT: makes DIR, says READY, serves until it is killed.
"""

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile

root, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
url = f"http://registry.test:{port}"


def put(path, data):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def python():
    info = "tiny-0.1.dist-info"
    wheel = {
        "tiny.py": "answer = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 0.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }
    name = "tiny-0.1-py3-none-any.whl"
    put(f"simple/tiny/{name}", zipped(wheel))
    put("simple/tiny/index.html", f'<!DOCTYPE html><a href="{name}">{name}</a>')


def node():
    package = {"name": "tiny", "version": "0.1.0", "main": "index.js"}
    archive = tarred({"package/package.json": json.dumps(package), "package/index.js": "module.exports = 42;\n"})
    dist = {"tarball": f"{url}/npm/-/tiny-0.1.0.tgz", "shasum": hashlib.sha1(archive).hexdigest()}
    put("npm/-/tiny-0.1.0.tgz", archive)
    put("npm/tiny", json.dumps({"name": "tiny", "dist-tags": {"latest": "0.1.0"},
                                "versions": {"0.1.0": {**package, "dist": dist}}}))


def go():
    module = "registry.test/tiny"
    mod = f"module {module}\n\ngo 1.19\n"
    put(f"go/{module}/@v/list", "v0.1.0\n")
    put(f"go/{module}/@v/v0.1.0.info", json.dumps({"Version": "v0.1.0", "Time": "2024-01-01T00:00:00Z"}))
    put(f"go/{module}/@v/v0.1.0.mod", mod)
    put(f"go/{module}/@v/v0.1.0.zip", zipped({
        f"{module}@v0.1.0/go.mod": mod,
        f"{module}@v0.1.0/tiny.go": "package tiny\n\nconst Answer = 42\n",
    }))


def rust():
    crate = tarred({
        "tiny-0.1.0/Cargo.toml": '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n',
        "tiny-0.1.0/src/lib.rs": "pub const ANSWER: u32 = 42;\n",
    })
    put("index/config.json", json.dumps({"dl": f"{url}/crates/{{crate}}-{{version}}.crate"}))
    put("index/ti/ny/tiny", json.dumps({"name": "tiny", "vers": "0.1.0", "deps": [], "features": {}, "yanked": False,
                                        "cksum": hashlib.sha256(crate).hexdigest()}) + "\n")
    put("crates/tiny-0.1.0.crate", crate)


def git():
    put("work/answer", "42\n")
    work, bare = os.path.join(root, "work"), os.path.join(root, "tiny.git")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q", work], ["-C", work, "add", "."], ["-C", work, *who, "commit", "-qm", "x"],
                    ["clone", "-q", "--bare", work, bare], ["-C", bare, "update-server-info"]):
        subprocess.run(["git", *command], check=True)


for make in (python, node, go, rust, git):
    make()


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=root)


server = http.server.ThreadingHTTPServer((address, port), Handler)
print("READY", flush=True)
server.serve_forever()
