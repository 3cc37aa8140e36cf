#!/usr/bin/env python3
"""Secrets within TLS: curl, Python, Node and git reach a server through TLS that the proxy opens, with an authority of
their own; the server gets the value only when its certificate is good, and nobody else does."""

import base64
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile

import rig
from rig import DENIED, Box, Names, Proxy, Server, read_all

for needed in ("curl", "openssl"):
    if not shutil.which(needed):
        print(f"skipped: needs {needed}")
        sys.exit(77)
GOOD = "127.77.0.6"
VALUE = "s3cr3t-of-the-host-" + os.urandom(8).hex()
PLACEHOLDER = "aisbx-secret-" + "p" * (len(VALUE) - 13)
home = tempfile.mkdtemp(prefix="aisbx-egress.")
os.chmod(home, 0o755)  # the proxy is not root


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=home)


def read(name):
    with open(f"{home}/{name}", encoding="ascii") as file:
        return file.read()


def make_authority(name, *extensions):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2",
            *(word for e in ("keyUsage=critical,keyCertSign", *extensions) for word in ("-addext", e)))


def make_certificate(name, authority, hosts, days=2):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
            f"{name}.csr", "-subj", "/CN=server", "-addext", f"subjectAltName={hosts}")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-out",
            f"{name}.pem", "-days", str(days), "-copy_extensions", "copy")


make_authority("inside", "nameConstraints=critical,permitted;DNS:test,permitted;IP:127.77.0.6/255.255.255.255")
make_authority("registry")
make_authority("stranger")
make_certificate("good", "registry", "DNS:good.test,DNS:a.wild.test,IP:127.77.0.6")
make_certificate("wrong", "registry", "DNS:another.test")
make_certificate("self", "stranger", "DNS:good.test")


class Web(Server):
    """Speaks TLS; remembers requests, echoes them, or says what .answer has."""

    answer = None

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{home}/{certificate}.pem", f"{home}/{certificate}.key")
        self.alpn = []
        super().__init__(GOOD, serve=self.serve_tls)

    def serve_tls(self, plain):
        with self.context.wrap_socket(plain, server_side=True) as client:
            self.alpn.append(client.selected_alpn_protocol())
            data = b""
            while b"\r\n\r\n" not in data:
                piece = client.recv(1 << 16)
                if not piece:
                    return
                data += piece
            length = next((int(line.split(b":")[1]) for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")
                           if line.lower().startswith(b"content-length:")), 0)
            while len(data.partition(b"\r\n\r\n")[2]) < length:
                data += client.recv(1 << 16)
            self.got.append(data)
            head, body = self.answer or (b"X: y", data)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n\r\n" % (len(body), head) + body)


web, wrong, selfmade = Web("good"), Web("wrong"), Web("self")
names = Names({name: [[GOOD]] for name in ("good.test", "a.wild.test", "other.test")})
proxy = Proxy("--resolver", names.address)
HOSTS = [f"{name}:{server.port}" for server in (web, wrong, selfmade) for name in ("good.test", "*.wild.test", GOOD)]
SECRET = ("TOKEN", PLACEHOLDER, VALUE, [], HOSTS, read("registry.pem"))
ALLOW = ["good.test", "*.wild.test", "other.test", GOOD]
box = Box(proxy, "sb_tls", ALLOW, secrets=[SECRET], authority=(read("inside.pem"), read("inside.key")))
mark = Box(proxy, "sb_mark")
URL = f"https://good.test:{web.port}"
environment = {
    "PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "NO_PROXY": "", "no_proxy": "", "TOKEN": PLACEHOLDER,
    "NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": f"{home}/inside.pem",
    **{name: box.url() for name in ("HTTPS_PROXY", "https_proxy")},
    **{name: f"{home}/inside.pem" for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")},
}


def run(*command):
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, timeout=60, check=False)


def curl(*arguments):
    done = run("curl", "-sS", "--max-time", "20", *arguments)
    return done.returncode, done.stdout, done.stderr.decode()


def told():
    proxy.update("sb_mark")
    return [w for w in proxy.heard_now() if w[0] == DENIED]


def forget():
    told()
    for server in (web, wrong, selfmade):
        server.got.clear()
        server.alpn.clear()
        server.answer = None


def tls_to(host, port, alpn=None, server_name="good.test", data=b"", proxy_head=b""):
    """A client of its own within the tunnel: what came back, or the SSL error."""
    context = ssl.create_default_context(cafile=f"{home}/inside.pem")
    if alpn:
        context.set_alpn_protocols(alpn)
    plain = box.connect()
    plain.sendall(b"CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (host, port, host, port) + proxy_head)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = plain.recv(1)
        if not byte:
            return head
        head += byte
    if b" 200 " not in head:
        return head + read_all(plain)
    with context.wrap_socket(plain, server_hostname=server_name) as client:
        client.sendall(data)
        return read_all(client)


def curl_reaches_the_host_with_the_value():
    forget()
    status, out, err = curl("--compressed", "-H", f"X-Token: {PLACEHOLDER}", "-u", f"me:{PLACEHOLDER}", f"{URL}/path?q=1")
    assert status == 0, err
    request = web.got[0]
    assert request.startswith(f"GET /path?q=1 HTTP/1.1\r\nHost: good.test:{web.port}\r\n".encode()), request
    assert f"X-Token: {VALUE}\r\n".encode() in request, request
    assert base64.b64encode(f"me:{VALUE}".encode()) in request, request
    assert VALUE.encode() not in out and f"X-Token: {PLACEHOLDER}\r\n".encode() in out, out
    assert base64.b64encode(f"me:{VALUE}".encode()) not in out, out
    assert web.alpn == ["http/1.1"] or web.alpn == [None], web.alpn
    assert curl(f"{URL}/1", f"{URL}/2")[0] == 0 and len(web.got) == 3, "each request has a tunnel of its own"
    assert curl("-d", "x" * 100_000, "-H", "Expect:", f"{URL}/")[0] == 0
    assert not told()


def addresses_and_wildcards_have_certificates_too():
    forget()
    for host in (GOOD, "a.wild.test"):
        status, out, err = curl("-H", f"X: {PLACEHOLDER}", f"https://{host}:{web.port}/")
        assert status == 0, (host, err)
        assert VALUE.encode() in web.got[-1] and VALUE.encode() not in out, out


def python_reaches_it():
    forget()
    done = run("python3", "-c", f"""
import os, urllib.request
request = urllib.request.Request({URL!r}, headers={{"Authorization": "Bearer " + os.environ["TOKEN"]}})
print(urllib.request.urlopen(request).read().decode())""")
    assert done.returncode == 0, done.stderr
    assert f"Authorization: Bearer {VALUE}".encode() in web.got[0] and VALUE.encode() not in done.stdout, done


def node_reaches_it():
    if not shutil.which("node"):
        print("left out: there is no node")
        return
    forget()
    done = run("node", "-e", f"""
const http = require("http"), tls = require("tls"), https = require("https");
const at = new URL(process.env.HTTPS_PROXY);
http.request({{host: at.hostname, port: at.port, method: "CONNECT", path: "good.test:{web.port}",
               headers: {{Host: "good.test:{web.port}"}}}})
  .on("connect", (_, socket) => https.get("{URL}/", {{
    createConnection: () => tls.connect({{socket, servername: "good.test", ALPNProtocols: ["h2", "http/1.1"]}}),
    headers: {{"X-Token": process.env.TOKEN}}}}, answer => answer.on("data", data => process.stdout.write(data))))
  .end();""")
    assert done.returncode == 0, done.stderr
    assert f"X-Token: {VALUE}".encode() in web.got[0] and PLACEHOLDER.encode() in done.stdout, done
    assert VALUE.encode() not in done.stdout, done


def git_reaches_it():
    if not shutil.which("git"):
        print("left out: there is no git")
        return
    forget()
    web.answer = (b"Content-Type: text/plain", b"0" * 40 + b"\trefs/heads/main\n")
    done = run("git", "-c", f"http.extraHeader=X-Token: {PLACEHOLDER}", "ls-remote",
               f"https://me:{PLACEHOLDER}@good.test:{web.port}/repo.git")
    assert done.returncode == 0 and b"refs/heads/main" in done.stdout, done
    assert f"X-Token: {VALUE}".encode() in web.got[0], web.got


def a_host_without_a_good_certificate_gets_nothing():
    for server, why in ((wrong, "mismatch"), (selfmade, "self-signed|issuer")):
        forget()
        status, out, err = curl("-H", f"X: {PLACEHOLDER}", "-w", "%{http_code}", f"https://good.test:{server.port}/")
        assert status == 0 and out.endswith(b"502"), (out, err)
        assert b"certificate is not good" in out and any(w in out.decode() for w in why.split("|")), out
        assert not server.got, server.got
    forget()
    system = Box(proxy, "sb_system", ALLOW, secrets=[SECRET[:5]], authority=(read("inside.pem"), read("inside.key")))
    status, out, _ = curl("--proxy", system.url(), f"{URL}/")
    assert status == 0 and b"certificate is not good" in out and not web.got, out


def as_many_certificates_as_may_be():
    """Of the longest file that a profile may name."""
    forget()
    longest = read("registry.pem")
    longest += "#" * ((64 << 10) - len(longest))
    other = Box(proxy, "sb_long", ALLOW, secrets=[(*SECRET[:5], longest)], authority=(read("inside.pem"), read("inside.key")))
    status, out, err = curl("--proxy", other.url(), "-H", f"X: {PLACEHOLDER}", f"{URL}/")
    assert status == 0 and VALUE.encode() in web.got[0], (out, err)


def who_the_system_trusts_is_trusted():
    """By a file, and by a directory of hashed names, which is read through the proxy's filter."""
    os.makedirs(f"{home}/hashed")
    shutil.copy(f"{home}/registry.pem", f"{home}/hashed/registry.pem")
    openssl("rehash", "hashed")
    for variable, place in (("SSL_CERT_FILE", "registry.pem"), ("SSL_CERT_DIR", "hashed")):
        forget()
        os.environ[variable] = f"{home}/{place}"
        other = Proxy("--resolver", names.address)
        del os.environ[variable]
        system = Box(other, "sb_system", ALLOW, secrets=[SECRET[:5]], authority=(read("inside.pem"), read("inside.key")))
        status, out, err = curl("--proxy", system.url(), "-H", f"X: {PLACEHOLDER}", f"{URL}/")
        assert status == 0 and VALUE.encode() in web.got[0], (variable, out, err)
        assert other.end() == 0


def a_host_that_speaks_no_tls_gets_nothing():
    forget()
    plain = Server(GOOD, serve=lambda c: (c.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), c.recv(1 << 16)))
    other = Box(proxy, "sb_plain", ALLOW, secrets=[("TOKEN", PLACEHOLDER, VALUE, [], [f"good.test:{plain.port}"])],
                authority=(read("inside.pem"), read("inside.key")))
    status, out, err = curl("--proxy", other.url(), "-H", f"X: {PLACEHOLDER}", f"https://good.test:{plain.port}/")
    assert status == 0 and b"cannot be reached" in out, (status, out, err)
    plain.stop()


def other_hosts_are_tunnels_as_ever():
    forget()
    status, _, err = curl("-H", f"X: {PLACEHOLDER}", "--cacert", f"{home}/registry.pem", f"https://other.test:{web.port}/")
    assert status != 0, "its certificate is for another name, and curl sees it"
    assert curl("-k", "-H", f"X: {PLACEHOLDER}", f"https://other.test:{web.port}/")[0] == 0
    assert PLACEHOLDER.encode() in web.got[0] and VALUE.encode() not in web.got[0], web.got
    assert not told(), err


def within_tls_only_this_host_can_be_asked_for():
    good = f"Host: good.test:{web.port}\r\n".encode()
    rows = [
        b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + good + good + b"\r\n",
        b"GET https://other.test/ HTTP/1.1\r\n" + good + b"\r\n",
        b"GET http://good.test/ HTTP/1.1\r\n" + good + b"\r\n",
        b"CONNECT other.test:443 HTTP/1.1\r\n" + good + b"\r\n",
        b"GET / HTTP/1.1\r\n" + good + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/2.0\r\n" + good + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        f"GET /?{PLACEHOLDER} HTTP/1.1\r\n".encode() + good + b"\r\n",
    ]
    for row in rows:
        forget()
        got = tls_to(b"good.test", web.port, data=row)
        assert b"X-Aisbx-Denied: " in got, (row, got)
        assert not web.got and told(), (row, web.got)
    forget()
    second = b"GET /second HTTP/1.1\r\n" + good + f"X: {PLACEHOLDER}\r\n\r\n".encode()
    got = tls_to(b"good.test", web.port, data=b"GET /first HTTP/1.1\r\n" + good + b"\r\n" + second)
    assert b"GET /first" in got and b"second" not in got and len(web.got) == 1, got


def tls_for_another_name_is_refused():
    forget()
    for name in ("other.test", "a.wild.test"):
        try:
            got = tls_to(b"good.test", web.port, server_name=name, data=b"GET / HTTP/1.1\r\n\r\n")
            raise AssertionError(got)
        except ssl.SSLError:
            pass
    assert not web.got


def what_is_no_http_1_1_is_refused():
    forget()
    try:
        got = tls_to(b"good.test", web.port, alpn=["h2"])
        raise AssertionError(got)
    except ssl.SSLError as error:
        assert "NO_APPLICATION_PROTOCOL" in str(error) or "no application" in str(error), error
    early = tls_to(b"good.test", web.port, proxy_head=rig.client_hello("good.test"))
    assert b"200" not in early and not web.got, early
    with box.connect() as plain:
        plain.sendall(b"CONNECT good.test:%d HTTP/1.1\r\nHost: good.test:%d\r\n\r\n" % (web.port, web.port))
        assert plain.recv(100).startswith(b"HTTP/1.1 200")
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        read_all(plain)
    assert not web.got


def the_authority_is_needed_before_anybody_is_served():
    forget()
    late = socket.create_server(("127.0.0.1", 0))
    socket.send_fds(proxy.control, [proxy.rules(rig.OPEN, "sb_late", ALLOW, [], authority=1)], [late.fileno()])
    with socket.create_connection(late.getsockname()) as client:
        client.settimeout(0.3)
        client.sendall(b"GET http://nowhere.test/ HTTP/1.1\r\nHost: nowhere.test\r\n\r\n")
        try:
            raise AssertionError(client.recv(100))
        except TimeoutError:
            pass
        texts = read("inside.pem").encode() + b"\0" + read("inside.key").encode() + b"\0"
        proxy.control.send(rig.CLOSING.pack(rig.AUTHORITY, b"sb_late") + texts)
        client.settimeout(rig.WAIT)
        assert b"403" in read_all(client)
    late.close()


def rules_that_change_end_what_is_opened():
    forget()
    context = ssl.create_default_context(cafile=f"{home}/inside.pem")
    plain = box.connect()
    plain.sendall(b"CONNECT good.test:%d HTTP/1.1\r\nHost: good.test:%d\r\n\r\n" % (web.port, web.port))
    assert plain.recv(100).startswith(b"HTTP/1.1 200")
    client = context.wrap_socket(plain, server_hostname="good.test")
    proxy.update("sb_tls", ["other.test"], serial=7)
    proxy.hear_until(rig.UPDATED)
    try:
        client.sendall(b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n")
        assert not read_all(client)
    except (ssl.SSLError, OSError):
        pass
    client.close()
    proxy.update("sb_tls", ALLOW, serial=8)
    proxy.hear_until(rig.UPDATED)
    assert not web.got


try:
    rig.run_all([
        curl_reaches_the_host_with_the_value,
        addresses_and_wildcards_have_certificates_too,
        python_reaches_it,
        node_reaches_it,
        git_reaches_it,
        a_host_without_a_good_certificate_gets_nothing,
        as_many_certificates_as_may_be,
        who_the_system_trusts_is_trusted,
        a_host_that_speaks_no_tls_gets_nothing,
        other_hosts_are_tunnels_as_ever,
        within_tls_only_this_host_can_be_asked_for,
        tls_for_another_name_is_refused,
        what_is_no_http_1_1_is_refused,
        the_authority_is_needed_before_anybody_is_served,
        rules_that_change_end_what_is_opened,
    ])
finally:
    shutil.rmtree(home, ignore_errors=True)
