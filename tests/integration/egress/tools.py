#!/usr/bin/env python3
"""pip, npm, go, cargo, git and curl fetch from a stand-in of their registries, through the proxy alone, over TLS. The
names exist for the proxy's name server only, so nothing else can have resolved them."""

import base64
import hashlib
import http.server
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile

import rig
from rig import DECISION, DENIED, Box, Names, Proxy

ADDRESS, HOST = "127.77.0.4", "registry.test"
for needed in ("curl", "openssl"):
    if not shutil.which(needed):
        print(f"skipped: needs {needed}")
        sys.exit(77)
home = tempfile.mkdtemp(prefix="aisbx-egress.")
files = {}  # path to (type, bytes)


def run(*command, cwd=home, **env):
    done = subprocess.run(command, cwd=cwd, env={**environment, **env}, capture_output=True, text=True, timeout=100,
                          check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout[-400:]}{done.stderr[-800:]}"
    return done.stdout


def make_certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{home}/key", "-out", f"{home}/ca", "-subj", f"/CN={HOST}", "-days", "2",
                    "-addext", f"subjectAltName=DNS:{HOST}"], check=True, capture_output=True)


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind, body = files.get(self.path.partition("?")[0], ("text/plain", None))
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


make_certificate()
server = http.server.ThreadingHTTPServer((ADDRESS, 0), Registry)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{home}/ca", f"{home}/key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
PORT = server.server_address[1]
URL = f"https://{HOST}:{PORT}"

names = Names({HOST: [[ADDRESS]], "other.test": [[ADDRESS]]})
proxy = Proxy("--resolver", names.address)
box = Box(proxy, "sb_tools", [f"{HOST}:{PORT}", ADDRESS])
mark = Box(proxy, "sb_mark")
environment = {
    "PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "NO_PROXY": "", "no_proxy": "",
    **{name: box.url() for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")},
    **{name: f"{home}/ca" for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "PIP_CERT", "npm_config_cafile",
                                       "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO")},
}
for kept in ("RUSTUP_HOME", "PYENV_VERSION"):
    if kept in os.environ:
        environment[kept] = os.environ[kept]
environment.setdefault("RUSTUP_HOME", os.path.expanduser("~/.rustup"))


def hear_of_it():
    """Waits until the proxy tells of a connection to the registry that ended; it must have refused nothing."""
    heard = proxy.hear_until(DECISION)
    assert not [w for w in heard if w[0] == DENIED], heard
    assert heard[-1][6:] == (HOST, ADDRESS), heard


def forget():
    proxy.update("sb_mark")
    proxy.heard_now()


def checks(tool):
    def decorate(test):
        def wrapped():
            if not shutil.which(tool):
                print(f"left out: there is no {tool}")
                return
            forget()
            test()
            hear_of_it()
        wrapped.__name__ = test.__name__
        return wrapped
    return decorate


def tar_of(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def zip_of(entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return out.getvalue()


@checks("curl")
def curl_fetches():
    files["/hello"] = ("text/plain", b"hello")
    assert run("curl", "-fsS", f"{URL}/hello") == "hello"
    assert run("curl", "-fsS", "--proxy", box.url("socks5h"), f"{URL}/hello") == "hello"


@checks("pip")
def pip_installs():
    info = "thing-1.0.dist-info"
    wheel = zip_of({"thing.py": "answer = 42\n", f"{info}/METADATA": "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
                    f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                    f"{info}/RECORD": f"thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"})
    name = "thing-1.0-py3-none-any.whl"
    files["/simple/thing/"] = ("text/html", f'<a href="/w/{name}">{name}</a>'.encode())
    files[f"/w/{name}"] = ("application/zip", wheel)
    run("pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--no-deps", "--index-url", f"{URL}/simple/",
        "--target", f"{home}/site", "thing")
    assert os.path.exists(f"{home}/site/thing.py")


@checks("npm")
def npm_installs():
    package = {"name": "thing", "version": "1.0.0"}
    archive = tar_of({"package/package.json": json.dumps(package), "package/index.js": "module.exports = 42\n"})
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    package["dist"] = {"tarball": f"{URL}/thing-1.0.0.tgz", "integrity": integrity}
    files["/thing"] = ("application/json", json.dumps({"name": "thing", "dist-tags": {"latest": "1.0.0"},
                                                       "versions": {"1.0.0": package}}).encode())
    files["/thing-1.0.0.tgz"] = ("application/octet-stream", archive)
    os.makedirs(f"{home}/npm")
    run("npm", "install", "--registry", URL, "--no-audit", "--no-fund", "--no-update-notifier", "thing", cwd=f"{home}/npm")
    assert os.path.exists(f"{home}/npm/node_modules/thing/index.js")


@checks("go")
def go_downloads():
    module, base = "example.test/thing", "/go/example.test/thing/@v/v1.0.0"
    files[f"{base}.info"] = ("application/json", b'{"Version":"v1.0.0"}')
    files[f"{base}.mod"] = ("text/plain", f"module {module}\n".encode())
    files[f"{base}.zip"] = ("application/zip", zip_of({f"{module}@v1.0.0/go.mod": f"module {module}\n",
                                                       f"{module}@v1.0.0/thing.go": "package thing\n"}))
    run("go", "mod", "download", f"{module}@v1.0.0", GOPROXY=f"{URL}/go", GONOSUMDB="*", GOFLAGS="-modcacherw",
        GOPATH=f"{home}/gopath", GOTOOLCHAIN="local")
    assert os.path.exists(f"{home}/gopath/pkg/mod/{module}@v1.0.0/thing.go")


# Cargo of before 1.68, as in Debian 12, has sparse registries as an unstable feature; to later ones this is nothing.
SPARSE = {"RUSTC_BOOTSTRAP": "1", "CARGO_UNSTABLE_SPARSE_REGISTRY": "true"}


@checks("cargo")
def cargo_fetches():
    crate = tar_of({"thing-1.0.0/Cargo.toml": '[package]\nname = "thing"\nversion = "1.0.0"\nedition = "2021"\n',
                    "thing-1.0.0/src/lib.rs": "pub fn answer() -> i32 { 42 }\n"})
    entry = {"name": "thing", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {},
             "yanked": False}
    files["/index/config.json"] = ("application/json", json.dumps({"dl": f"{URL}/crates"}).encode())
    files["/index/th/in/thing"] = ("text/plain", json.dumps(entry).encode() + b"\n")
    files["/crates/thing/1.0.0/download"] = ("application/gzip", crate)
    os.makedirs(f"{home}/rust/src")
    with open(f"{home}/rust/Cargo.toml", "w", encoding="utf-8") as file:
        file.write('[package]\nname = "user"\nversion = "0.1.0"\nedition = "2021"\n'
                   '[dependencies]\nthing = { version = "1", registry = "here" }\n')
    with open(f"{home}/rust/src/lib.rs", "w", encoding="utf-8"):
        pass
    run("cargo", "fetch", cwd=f"{home}/rust", CARGO_HOME=f"{home}/cargo",
        CARGO_REGISTRIES_HERE_INDEX=f"sparse+{URL}/index/", **SPARSE)
    assert [f for _, _, all_files in os.walk(f"{home}/cargo/registry/cache") for f in all_files] == ["thing-1.0.0.crate"]


@checks("git")
def git_clones():
    origin, git = f"{home}/origin", ("git", "-c", "user.name=a", "-c", "user.email=a@b.test")
    run("git", "init", "-q", origin)
    with open(f"{origin}/file", "w", encoding="utf-8") as file:
        file.write("content\n")
    run("git", "add", "file", cwd=origin)
    run(*git, "commit", "-qm", "first", cwd=origin)
    run("git", "update-server-info", cwd=origin)
    for folder, _, found in os.walk(f"{origin}/.git"):
        for name in found:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                files["/repo.git" + path.removeprefix(f"{origin}/.git")] = ("application/octet-stream", file.read())
    run("git", "clone", "-q", f"{URL}/repo.git", f"{home}/clone")
    with open(f"{home}/clone/file", encoding="utf-8") as file:
        assert file.read() == "content\n"


def another_name_of_the_same_server_is_refused():
    done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_connect}", f"https://other.test:{PORT}/"],
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and done.stdout == "403", (done.returncode, done.stdout, done.stderr)


try:
    rig.run_all([curl_fetches, pip_installs, npm_installs, go_downloads, cargo_fetches, git_clones,
                 another_name_of_the_same_server_is_refused])
finally:
    shutil.rmtree(home, ignore_errors=True)
