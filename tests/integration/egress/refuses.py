#!/usr/bin/env python3
"""Ways around the rules, each of which has to fail: nothing that the rules do not name is connected to, nothing is asked
of a name server before they permit it, and no request reaches a permitted server but the one that was judged."""

import socket
import struct
import sys
import time

import rig
from rig import DENIED, Box, Names, Proxy, Server, client_hello

GOOD, BAD, OTHER = "127.77.0.1", "127.77.0.2", "127.77.0.3"
good, bad = Server(GOOD), Server(BAD)
other = Server(OTHER, good.port)  # the same port as the permitted server
P = good.port
names = Names({
    "good.test": [[GOOD]],
    "rebind.test": [[GOOD], [OTHER]],
    "turned.test": [[OTHER]],
    "mapped.test": [[f"::ffff:{OTHER}"]],
    "compatible.test": [[f"::{OTHER}"]],
    "nat64.test": [[f"64:ff9b::{OTHER}"]],
    "localnat.test": [[f"64:ff9b:1::{OTHER}"]],
    "sixtofour.test": [["2002:7f4d:0003::1"]],
    "teredo.test": [["2001:0:7f4d:0003::1"]],
    "zero.test": [["0.0.0.0"]],
    "loop6.test": [["::1"]],
    "link.test": [["169.254.7.7"]],
    "metadata.test": [["169.254.169.254"]],
    "metadata6.test": [["fd00:ec2::254"]],
    "ula.test": [["fd12:3456::1"]],
    "private.test": [["192.168.7.7"]],
    "carrier.test": [["100.64.7.7"]],
    "multi.test": [["224.0.0.1"]],
    "broadcast.test": [["255.255.255.255"]],
    "evil.below.test": [[GOOD]],
    "banned.test": [[BAD]],
})
# Rules as wide as they come: only what is not the public network's, and what is denied, is left to be refused.
TESTS = [n for n in names.table if n != "banned.test"]
ALLOW = [f"{n}:{P}" for n in TESTS] + [f"{n}:443" for n in TESTS] + ["*.below.test", GOOD, "0.0.0.0/0", "::/0"]
DENY = ["evil.below.test", "banned.test", BAD]
proxy = Proxy("--resolver", names.address, "--head-ms", "500")
wide = Box(proxy, "sb_wide", ALLOW, DENY)
# Rules as people write them.
narrow = Box(proxy, "sb_narrow", [f"good.test:{P}", "good.test:443", GOOD])
nat = Box(proxy, "sb_nat", ["64:ff9b::/96"], [BAD])
mark = Box(proxy, "sb_mark")


def connect(where, host=None):
    return f"CONNECT {where} HTTP/1.1\r\nHost: {host or where}\r\n\r\n".encode()


def get(url, host, fields="", method="GET", version="1.1"):
    return f"{method} {url} HTTP/{version}\r\nHost: {host}\r\n{fields}\r\n".encode()


def to_good(fields="", body=b"", host=None, method="POST"):
    return get(f"http://good.test:{P}/", host or f"good.test:{P}", fields, method) + body


def socks(kind, address, port=P, command=1):
    return b"\5\1\0" + bytes([5, command, 0, kind]) + address + struct.pack("!H", port)


def socks_name(name, port=P):
    return socks(3, bytes([len(name)]) + name, port)


V4, V6 = socket.AF_INET, socket.AF_INET6
SECOND = f"GET http://other.test:{P}/smuggled HTTP/1.1\r\nHost: other.test:{P}\r\n\r\n".encode()
HIDDEN = f"GET /smuggled HTTP/1.1\r\nHost: good.test:{P}\r\n\r\n".encode()

# name, box, bytes, and the reason that is told
ATTEMPTS = [
    # addresses instead of names
    ("IPv4 literal by CONNECT", narrow, connect(f"{OTHER}:{P}"), "address"),
    ("IPv4 literal in a URL", narrow, get(f"http://{OTHER}:{P}/", f"{OTHER}:{P}"), "address"),
    ("public IPv4 literal", narrow, connect(f"93.184.216.34:{P}"), "no-rule"),
    ("public IPv6 literal", narrow, connect("[2606:4700::1111]:443"), "no-rule"),
    ("IPv4-mapped literal", narrow, connect(f"[::ffff:{OTHER}]:{P}"), "address"),
    ("IPv4-mapped literal in hexadecimal", narrow, connect(f"[::ffff:7f4d:3]:{P}"), "address"),
    ("IPv4-compatible literal", wide, connect(f"[::{OTHER}]:{P}"), "address"),
    ("IPv4-translated literal", wide, connect(f"[::ffff:0:{OTHER}]:{P}"), "address"),
    ("NAT64 literal", wide, connect(f"[64:ff9b::{OTHER}]:{P}"), "address"),
    ("6to4 literal", wide, connect(f"[2002:7f4d:3::1]:{P}"), "address"),
    ("decimal address", wide, connect(f"2135752707:{P}"), "protocol"),
    ("octal address", wide, connect(f"0177.0115.0.3:{P}"), "protocol"),
    ("hexadecimal address", wide, connect(f"0x7f4d0003:{P}"), "protocol"),
    ("hexadecimal parts", wide, connect(f"0x7f.0x4d.0x0.0x3:{P}"), "protocol"),
    ("short address", wide, connect(f"127.3:{P}"), "protocol"),
    ("address with a dot behind", wide, connect(f"{OTHER}.:{P}"), "protocol"),
    ("IPv6 without brackets", wide, connect(f"::1:{P}"), "protocol"),
    ("IPv6 with a zone", wide, connect(f"[fe80::1%lo]:{P}"), "protocol"),
    ("IPv4 in brackets", wide, connect(f"[{OTHER}]:{P}"), "protocol"),
    ("unspecified address", wide, connect(f"0.0.0.0:{P}"), "address"),
    ("unspecified IPv6 address", wide, connect(f"[::]:{P}"), "address"),
    ("loopback of the host", wide, connect(f"127.0.0.1:{P}"), "address"),
    ("IPv6 loopback of the host", wide, connect(f"[::1]:{P}"), "address"),
    ("metadata service", wide, get("http://169.254.169.254/latest/", "169.254.169.254"), "address"),
    ("metadata service by IPv6", wide, connect("[fd00:ec2::254]:80"), "address"),
    ("denied address", wide, connect(f"{BAD}:{P}"), "deny-rule"),
    ("denied address, mapped", wide, connect(f"[::ffff:{BAD}]:{P}"), "deny-rule"),
    ("denied address behind a permitted NAT64", nat, connect(f"[64:ff9b::{BAD}]:{P}"), "deny-rule"),
    # names that lead elsewhere
    ("name of a loopback address", wide, connect(f"turned.test:{P}"), "address"),
    ("name of an IPv4-mapped address", wide, connect(f"mapped.test:{P}"), "address"),
    ("name of an IPv4-compatible address", wide, connect(f"compatible.test:{P}"), "address"),
    ("name of a NAT64 address", wide, connect(f"nat64.test:{P}"), "address"),
    ("name of a local NAT64 address", wide, connect(f"localnat.test:{P}"), "address"),
    ("name of a 6to4 address", wide, connect(f"sixtofour.test:{P}"), "address"),
    ("name of a Teredo address", wide, connect(f"teredo.test:{P}"), "address"),
    ("name of 0.0.0.0", wide, connect(f"zero.test:{P}"), "address"),
    ("name of ::1", wide, connect(f"loop6.test:{P}"), "address"),
    ("name of a link-local address", wide, connect(f"link.test:{P}"), "address"),
    ("name of the metadata service", wide, connect(f"metadata.test:{P}"), "address"),
    ("name of the metadata service by IPv6", wide, connect(f"metadata6.test:{P}"), "address"),
    ("name of a unique local address", wide, connect(f"ula.test:{P}"), "address"),
    ("name of a private address", wide, connect(f"private.test:{P}"), "address"),
    ("name of a carrier's address", wide, connect(f"carrier.test:{P}"), "address"),
    ("name of a multicast address", wide, connect(f"multi.test:{P}"), "address"),
    ("name of the broadcast address", wide, connect(f"broadcast.test:{P}"), "address"),
    # names in disguise
    ("denied name in capitals", wide, connect(f"EVIL.Below.TEST:{P}"), "deny-rule"),
    ("denied name with a dot behind", wide, connect(f"evil.below.test.:{P}"), "deny-rule"),
    ("name with two dots behind", wide, connect(f"evil.below.test..:{P}"), "protocol"),
    ("name with an empty label", wide, connect(f"evil..below.test:{P}"), "protocol"),
    ("name with a NUL", narrow, connect(f"evil.test\0.good.test:{P}"), "protocol"),
    ("name with raw bytes", narrow, b"CONNECT g\xc3\xb6\xc3\xb6d.test:%d HTTP/1.1\r\nHost: x\r\n\r\n" % P, "protocol"),
    ("name in percent signs", narrow, connect(f"%67ood.test:{P}"), "protocol"),
    ("name that only ends like a permitted one", narrow, connect(f"evilgood.test:{P}"), "no-rule"),
    ("name below a permitted one", narrow, connect(f"sub.good.test:{P}"), "no-rule"),
    ("permitted name as a user", narrow, connect(f"good.test@other.test:{P}"), "protocol"),
    ("permitted name as a user in a URL", narrow, get(f"http://good.test:{P}@{OTHER}:{P}/", f"{OTHER}:{P}"), "protocol"),
    ("backslash in a URL", narrow, get(f"http://good.test:{P}\\@{OTHER}:{P}/", f"good.test:{P}"), "protocol"),
    ("fragment in a URL", narrow, get(f"http://good.test:{P}#@{OTHER}/", f"good.test:{P}"), "protocol"),
    # ports
    ("CONNECT to another port", narrow, connect("good.test:22"), "no-rule"),
    ("another port in a URL", narrow, get("http://good.test:8080/", "good.test:8080"), "no-rule"),
    ("port 0", narrow, connect("good.test:0"), "protocol"),
    ("port that wraps around", narrow, connect(f"good.test:{65536 + P}"), "protocol"),
    ("port with a sign", narrow, connect(f"good.test:+{P}"), "protocol"),
    ("no port", narrow, connect("good.test"), "protocol"),
    ("plain HTTP to the port of TLS", narrow, get("http://good.test:443/", "good.test:443"), "protocol"),
    # heads that two readers read differently
    ("absolute form with another Host", narrow, to_good(host="other.test"), "protocol"),
    ("CONNECT with another Host", narrow, connect(f"good.test:{P}", "other.test"), "protocol"),
    ("Host twice", narrow, to_good(f"Host: other.test\r\n"), "protocol"),
    ("no Host", narrow, f"GET http://good.test:{P}/ HTTP/1.1\r\n\r\n".encode(), "protocol"),
    ("origin form", narrow, get("/", f"good.test:{P}"), "protocol"),
    ("https URL", narrow, get("https://good.test/", "good.test"), "protocol"),
    ("other scheme", narrow, get(f"ftp://good.test:{P}/", f"good.test:{P}"), "protocol"),
    ("blank before the colon", narrow, to_good(f"Host : other.test\r\n"), "protocol"),
    ("folded field", narrow, to_good("X-A: 1\r\n Host: other.test\r\n"), "protocol"),
    ("line that ends in LF alone", narrow, to_good("X-A: 1\nX-B: 2\r\n"), "protocol"),
    ("CR inside a field", narrow, to_good("X-A: 1\rHost: other.test\r\n"), "protocol"),
    ("NUL inside a field", narrow, to_good("X-A: 1\0\r\n"), "protocol"),
    ("field without a name", narrow, to_good(": 1\r\n"), "protocol"),
    ("two blanks in the request line", narrow, to_good().replace(b"POST ", b"POST  "), "protocol"),
    ("tab in the request line", narrow, to_good().replace(b"POST ", b"POST\t"), "protocol"),
    ("HTTP/0.9", narrow, f"GET http://good.test:{P}/\r\n\r\n".encode(), "protocol"),
    ("HTTP/2 preface", narrow, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "protocol"),
    ("CL and TE", narrow, to_good("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN), "protocol"),
    ("CL twice, different", narrow, to_good("Content-Length: 0\r\nContent-Length: 9\r\n", HIDDEN), "protocol"),
    ("CL twice, the same", narrow, to_good("Content-Length: 0\r\nContent-Length: 0\r\n", HIDDEN), "protocol"),
    ("CL with a sign", narrow, to_good("Content-Length: +0\r\n", HIDDEN), "protocol"),
    ("CL in a list", narrow, to_good("Content-Length: 0, 0\r\n", HIDDEN), "protocol"),
    ("TE in disguise", narrow, to_good("Transfer-Encoding: xchunked\r\n", HIDDEN), "protocol"),
    ("TE in a list", narrow, to_good("Transfer-Encoding: gzip, chunked\r\n", HIDDEN), "protocol"),
    ("TE twice", narrow, to_good("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", HIDDEN), "protocol"),
    ("TE with a vertical tab", narrow, to_good("Transfer-Encoding: \x0bchunked\r\n", HIDDEN), "protocol"),
    ("TE with HTTP/1.0", narrow, get(f"http://good.test:{P}/", f"good.test:{P}", "Transfer-Encoding: chunked\r\n",
                                     version="1.0"), "protocol"),
    ("chunk size with a prefix", narrow, to_good("Transfer-Encoding: chunked\r\n", b"0x5\r\nabcde\r\n0\r\n\r\n"), "protocol"),
    ("chunk extension", narrow, to_good("Transfer-Encoding: chunked\r\n", b"5;a\r\nabcde\r\n0\r\n\r\n"), "protocol"),
    ("chunk longer than said", narrow, to_good("Transfer-Encoding: chunked\r\n", b"1\r\nabc\r\n0\r\n\r\n"), "protocol"),
    ("trailer", narrow, to_good("Transfer-Encoding: chunked\r\n", b"0\r\nHost: other.test\r\n\r\n"), "protocol"),
    ("pipelined second request", narrow, to_good(method="GET") + SECOND, "protocol"),
    ("second request behind a body", narrow, to_good("Content-Length: 2\r\n", b"ok" + HIDDEN), "protocol"),
    ("CONNECT with a body", narrow, connect(f"good.test:{P}")[:-2] + b"Content-Length: 5\r\n\r\nhello", "protocol"),
    ("oversize head", narrow, to_good("X-A: " + "a" * 20000 + "\r\n"), "protocol"),
    ("too many fields", narrow, to_good("A: b\r\n" * 200), "protocol"),
    ("slow head", narrow, f"GET http://good.test:{P}/ HT".encode(), "protocol"),
    # SOCKS
    ("SOCKS5 with an address", narrow, socks(1, socket.inet_pton(V4, OTHER)), "address"),
    ("SOCKS5 with a public address", narrow, socks(1, socket.inet_pton(V4, "93.184.216.34")), "no-rule"),
    ("SOCKS5 with an IPv6 address", wide, socks(4, socket.inet_pton(V6, "::1")), "address"),
    ("SOCKS5 with a mapped address", wide, socks(4, socket.inet_pton(V6, f"::ffff:{OTHER}")), "address"),
    ("SOCKS5 with an address as a name", wide, socks_name(OTHER.encode()), "address"),
    ("SOCKS5 with a decimal name", wide, socks_name(b"2135752707"), "protocol"),
    ("SOCKS5 with a NUL in the name", narrow, socks_name(b"evil.test\0.good.test"), "protocol"),
    ("SOCKS5 with an empty name", narrow, socks_name(b""), "protocol"),
    ("SOCKS5 to another name", narrow, socks_name(b"other.test"), "no-rule"),
    ("SOCKS5 to another port", narrow, socks_name(b"good.test", 22), "no-rule"),
    ("SOCKS5 BIND", narrow, socks(1, socket.inet_pton(V4, GOOD), command=2), "protocol"),
    ("SOCKS5 UDP ASSOCIATE", narrow, socks(1, bytes(4), command=3), "protocol"),
    ("SOCKS5 without \"no authentication\"", narrow, b"\5\1\2", "protocol"),
    ("SOCKS4", narrow, b"\4\1" + struct.pack("!H", P) + socket.inet_pton(V4, OTHER) + b"\0", "protocol"),
    ("TLS to the proxy itself", narrow, client_hello("other.test"), "protocol"),
    ("no protocol at all", narrow, b"\0\0\0\0", "protocol"),
]


def tls(label, data):
    return label, narrow, connect(f"good.test:{P}") + data, "sni"


def twice(hello):
    """The same extension server_name once more at the end."""
    at = hello.index(b"\0\0" + struct.pack("!H", len("good.test") + 5))
    extension = hello[at:at + 4 + len("good.test") + 5]
    grown = bytearray(hello + extension)
    n = len(extension)
    struct.pack_into("!H", grown, 3, struct.unpack_from("!H", grown, 3)[0] + n)
    struct.pack_into("!H", grown, 7, struct.unpack_from("!H", grown, 7)[0] + n)
    at = 9 + 2 + 32
    at += 1 + grown[at]
    at += 2 + struct.unpack_from("!H", grown, at)[0]
    at += 1 + grown[at]
    struct.pack_into("!H", grown, at, struct.unpack_from("!H", grown, at)[0] + n)
    return bytes(grown)


LET_THROUGH = 5.0  # seconds without an end: what is refused ends, within moments
HELLO = client_hello("good.test")
ATTEMPTS += [
    tls("SNI of another host", client_hello("other.test")),
    tls("SNI of another host in many records", client_hello("other.test", records=10)),
    tls("SNI of a host below", client_hello("sub.good.test")),
    tls("no SNI", client_hello(None)),
    tls("two SNI", twice(HELLO)),
    tls("SNI with a NUL", HELLO.replace(b"good.test", b"good\0test")),
    tls("empty record before the ClientHello", b"\x16\x03\x01\0\0" + HELLO),
    tls("other handshake first", b"\x16\x03\x01\0\x04\x02\0\0\0" + HELLO),
]


# What is seen only behind the head, when the permitted server has the start of it.
ARRIVES = {"chunk size with a prefix", "chunk extension", "chunk longer than said", "trailer", "pipelined second request",
           "second request behind a body", *(row[0] for row in ATTEMPTS if row[3] == "sni")}


def attempt(label, box, data, reason):
    """None when it was refused as it should be, else what was wrong."""
    before, reached = (bad.n, other.n), good.n
    try:
        answer = rig.ask(box, data, wait=LET_THROUGH)
    except TimeoutError:
        return "it was let through"
    proxy.update("sb_mark")
    told = [rig.REASONS[w[2]] for w in proxy.heard_now() if w[0] == DENIED]
    if (bad.n, other.n) != before:
        return "a server was reached that the rules forbid"
    if any(b"smuggled" in got or b"ClientHello" in got for got in good.got):
        return "a hidden request arrived"
    if any(got[:1] == b"\x16" for got in good.got):
        return "TLS went through"
    if good.n != reached and label not in ARRIVES:
        return "a part of it arrived"
    if told != [reason]:
        return f"told {told}, wanted {reason}; answered {answer[:120]}"
    if answer.startswith(b"HTTP/1.1 4") and f"X-Aisbx-Denied: {reason}".encode() not in answer:
        return f"answered {answer[:120]}"
    if data[:2] == b"\5\1" and len(data) > 8 and reason != "protocol" and answer[:4] != b"\5\0\5\2":
        return f"answered {answer}"
    return None


def rebinding():
    """Each look-up may lead elsewhere: the address that was judged is the one that is connected to, or none is."""
    hits, refused = good.n, 0
    for _ in range(6):
        answer = rig.ask(wide, get(f"http://rebind.test:{P}/", f"rebind.test:{P}"))
        refused += b"X-Aisbx-Denied: address" in answer
        assert b"200 OK" in answer or b"X-Aisbx-Denied: address" in answer, answer
    assert other.n == 0 and refused > 0 and good.n > hits, (other.n, refused, good.n - hits)


def no_name_before_the_rules():
    left = set(names.asked) - set(TESTS)
    assert not left, f"asked a name server for {left}"
    assert "banned.test" not in names.asked and "evil.below.test" not in names.asked


def the_permitted_way_is_open():
    answer = rig.ask(narrow, to_good(method="GET"))
    assert b"200 OK" in answer, answer


def on_port_443():
    """Only where it can be listened on."""
    try:
        server = Server(GOOD, 443, serve=lambda c: got.append(c.recv(1 << 16)))
    except OSError as error:
        print(f"left out port 443: {error}")
        return
    got = []
    for data, is_permitted in ((HELLO, True), (b"SSH-2.0-x\r\n", False), (b"GET / HTTP/1.1\r\n\r\n", False),
                               (client_hello("other.test"), False), (client_hello(None), False)):
        got.clear()
        rig.ask(narrow, connect("good.test:443") + data, half_close=not is_permitted)
        end = time.monotonic() + rig.WAIT
        while not got and time.monotonic() < end:
            time.sleep(0.01)
        assert got == ([data] if is_permitted else [b""]), (data, got)
    server.stop()


def status_of_the_proxy():
    with open(f"/proc/{proxy.process.pid}/status", encoding="utf-8") as file:
        return dict(line.split(":", 1) for line in file.read().splitlines())


def the_proxy_is_not_root():
    assert "0" not in status_of_the_proxy()["Uid"].split()


def the_proxy_holds_no_privilege():
    status = status_of_the_proxy()
    assert all(int(status[s], 16) == 0 for s in ("CapInh", "CapPrm", "CapEff", "CapAmb")), status
    assert int(status["NoNewPrivs"]) == 1 and (rig.IS_SANITIZED or int(status["Seccomp"]) == 2), status


# "--enough N": when so many attempts have succeeded no more are made.
enough = int(sys.argv[2]) if sys.argv[1:2] == ["--enough"] else len(ATTEMPTS)
failed = 0
for row in ATTEMPTS:
    if failed == enough:
        break
    wrong = attempt(*row)
    failed += wrong is not None
    print(f"{'HELD  ' if wrong is None else 'LEAKED'}  {row[0]}{'' if wrong is None else ': ' + wrong}", flush=True)
print(f"{len(ATTEMPTS) - failed} of {len(ATTEMPTS)} attempts were refused")
if failed:
    sys.exit(1)
assert len({row[0] for row in ATTEMPTS}) == len(ATTEMPTS)
rig.run_all([rebinding, no_name_before_the_rules, the_proxy_is_not_root, the_proxy_holds_no_privilege,
             the_permitted_way_is_open, on_port_443])
