#!/usr/bin/env python3
"""What aisbx-egress is for: what the rules permit works, byte by byte; what they do not is refused and told."""

import hashlib
import os
import re
import socket
import struct
import subprocess
import threading

import rig
from rig import CLOSED, DECISION, DENIED, Box, Names, Proxy, Server, ask, client_hello, read_all, wait_until

GOOD = "127.77.0.1"
names = Names({"good.test": [[GOOD]], "deep.good.test": [[GOOD]], "many.test": [["10.9.8.7", GOOD]],
               "private.test": [["10.9.8.7"]], "quiet.test": [[GOOD]], "none.good.test": [[]],
               "long.cut.good.test": [[GOOD]]}, cut=".cut.good.test")
proxy = Proxy("--resolver", names.address, "--head-ms", "700")
web = Server(GOOD)
ALLOW = ["good.test", "*.good.test", "many.test", "private.test", "quiet.test", GOOD]
DENY = ["bad.good.test"]
box = Box(proxy, "sb_main", ALLOW, DENY)
mark = Box(proxy, "sb_mark")


def told():
    """What was said since the last call, the marks left out."""
    proxy.update("sb_mark")
    return proxy.heard_now()


def told_until(kind):
    return proxy.hear_until(kind)[-1]


def curl(*arguments):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "--noproxy", "", *arguments], capture_output=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def tunnel(where, through=None):
    client = (through or box).connect()
    client.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 200 "), head
    return client


def read_exactly(client, size):
    got = b""
    while len(got) < size:
        got += client.recv(size - len(got)) or b"\0" * size
    return got


def a_get_by_curl_arrives_in_origin_form_and_is_told():
    web.got.clear()
    status, out, err = curl("--proxy", box.url(), "-D", "-", "-H", "X-Mine: yes", "-H", "Proxy-Secret: kept",
                            f"http://good.test:{web.port}/path?q=1")
    assert status == 0, err
    assert b"X-Server: real" in out and b"Connection: close" in out, out
    head = web.got[0].decode()
    assert head.startswith(f"GET /path?q=1 HTTP/1.1\r\nHost: good.test:{web.port}\r\n"), head
    assert "X-Mine: yes\r\n" in head and "\r\nConnection: close\r\n" in head, head
    assert "proxy-connection" not in head.lower(), head
    what = told_until(DECISION)
    assert what[1:4] == ("sb_main", web.port, 0) and what[6:] == ("good.test", GOOD), what
    assert what[4] == len(web.got[0]) and what[5] > 0, what


def bodies_arrive_whole_by_length_and_in_chunks():
    body = os.urandom(300_000)
    for fields in ([], ["-H", "Transfer-Encoding: chunked"]):
        web.got.clear()
        status, out, err = subprocess_body(body, fields)
        assert status == 0, err
        got = out if not fields else b"".join(unchunk(out))
        assert got == body, (len(got), len(body))


def subprocess_body(body, fields):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "--proxy", box.url(), "--data-binary", "@-", *fields,
                           "-H", "Expect:", f"http://good.test:{web.port}/"], input=body, capture_output=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def unchunk(data):
    while data:
        size, _, data = data.partition(b"\r\n")
        yield data[:int(size, 16)]
        data = data[int(size, 16) + 2:]


def a_wildcard_permits_names_below_and_deny_wins():
    assert curl("--proxy", box.url(), f"http://deep.good.test:{web.port}/")[0] == 0
    told()
    status, out, _ = curl("--proxy", box.url(), "-D", "-", f"http://bad.good.test:{web.port}/")
    assert status == 0 and b"403" in out and b"X-Aisbx-Denied: deny-rule" in out, out
    what = told_until(DENIED)
    assert what[1:6] == ("sb_main", 2, web.port, 1, 0), what
    assert what[6:8] == ("bad.good.test", "bad.good.test") and what[9] == "", what


def a_refusal_says_what_would_allow_it():
    told()
    status, out, _ = curl("--proxy", box.url(), "-D", "-", "http://other.test/")
    assert status == 0 and b"X-Aisbx-Denied: no-rule" in out and b'"other.test:80"' in out, out
    what = told_until(DENIED)
    assert what[2] == 1 and what[6] == "other.test" and what[9] == "other.test:80", what
    assert "other.test" not in names.asked, "a name left before the rules permitted it"


def a_private_address_behind_a_name_needs_a_rule_of_its_own():
    told()
    status, out, _ = curl("--proxy", box.url(), "-D", "-", "http://private.test:81/")
    assert status == 0 and b"X-Aisbx-Denied: address" in out, out
    what = told_until(DENIED)
    assert what[2] == 3 and what[9] == "10.9.8.7:81", what
    assert curl("--proxy", box.url(), f"http://many.test:{web.port}/")[0] == 0, "the permitted one is taken"


def socks_by_curl_resolves_in_the_proxy():
    status, out, err = curl("--proxy", box.url("socks5h"), "-D", "-", f"http://good.test:{web.port}/")
    assert status == 0 and b"X-Server: real" in out, err
    assert curl("--proxy", box.url("socks5"), f"http://{GOOD}:{web.port}/")[0] == 0
    told()
    assert curl("--proxy", box.url("socks5h"), "http://other.test/")[0] == 97
    assert told_until(DENIED)[6] == "other.test"


def tls_goes_through_connect_when_it_asks_for_the_host():
    hello = client_hello("good.test")
    for data in (hello, client_hello("good.test", records=20), client_hello("good.test", records=1)):
        got = []

        def serve(client, got=got, size=len(data)):
            have = b""
            while len(have) < size:
                have += client.recv(1 << 16)
            got.append(have)
            client.sendall(b"server hello")

        server = Server(GOOD, serve=serve)
        with tunnel(f"good.test:{server.port}") as client:
            client.sendall(data[:7])
            client.sendall(data[7:])
            assert client.recv(100) == b"server hello"
        assert got == [data]
        server.stop()


def a_server_may_speak_first_on_other_ports():
    server = Server(GOOD, serve=lambda c: (c.sendall(b"SSH-2.0-x\r\n"), c.recv(10), c.sendall(b"bye")))
    with tunnel(f"good.test:{server.port}") as client:
        assert client.recv(100) == b"SSH-2.0-x\r\n"
        client.sendall(b"hi")
        assert read_all(client) == b"bye"
    server.stop()


def a_server_that_speaks_alone_is_not_idle():
    """No byte of the client says whether this is TLS."""
    hasty = Proxy("--resolver", names.address, "--idle-ms", "1500")
    here = Box(hasty, "sb_news", ALLOW)

    def speak(client):
        for _ in range(20):
            client.sendall(b"news\n")
            done.wait(0.15)
        done.wait(rig.WAIT)

    done = threading.Event()
    server = Server(GOOD, serve=speak)
    with tunnel(f"good.test:{server.port}", here) as client:
        assert len(read_exactly(client, 100)) == 100
        heard = hasty.hear_until(DECISION)  # now it is
        assert [what[0] for what in heard] == [DECISION], heard
        assert heard[-1][5] == 100 and is_reset(client), heard
    done.set()
    assert hasty.end() == 0
    server.stop()


def each_direction_ends_for_itself():
    server = Server(GOOD, serve=lambda c: c.sendall(b"got %d" % len(read_all(c))))
    with tunnel(f"good.test:{server.port}") as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"got 100000"

    def ends_first(client):
        client.sendall(b"all of it")
        client.shutdown(socket.SHUT_WR)
        first.append(read_all(client))

    first = []
    other = Server(GOOD, serve=ends_first)
    with tunnel(f"good.test:{other.port}") as client:
        assert read_all(client) == b"all of it"
        client.sendall(b"still here")
    wait_until("the late bytes", lambda: first == [b"still here"])
    server.stop()
    other.stop()


def a_large_transfer_is_exact_both_ways_at_once():
    size = 32 << 20
    block = os.urandom(1 << 20)
    results = []

    def both(client):
        digest = hashlib.sha256()
        writer = threading.Thread(target=lambda: [client.sendall(block) for _ in range(size >> 20)])
        writer.start()
        count = 0
        while count < size:
            piece = client.recv(1 << 16)
            if not piece:
                break
            digest.update(piece)
            count += len(piece)
        writer.join()
        results.append((count, digest.hexdigest()))

    server = Server(GOOD, serve=both)
    with tunnel(f"good.test:{server.port}") as client:
        both(client)
    wait_until("both ends", lambda: len(results) == 2)
    wanted = hashlib.sha256(block * (size >> 20)).hexdigest()
    assert results == [(size, wanted)] * 2, results
    server.stop()


def a_reader_that_sleeps_holds_the_writer_back():
    release = threading.Event()
    server = Server(GOOD, serve=lambda c: (release.wait(rig.WAIT), c.sendall(b"%d" % len(read_all(c)))))
    with tunnel(f"good.test:{server.port}") as client:
        client.setblocking(False)
        sent, still = 0, 0
        while still < 20 and sent < 256 << 20:
            try:
                sent += client.send(b"x" * 65536)
                still = 0
            except BlockingIOError:
                still += 1
                threading.Event().wait(0.02)
        assert sent < 64 << 20, sent
        with open(f"/proc/{proxy.process.pid}/statm", encoding="ascii") as file:
            assert rig.IS_SANITIZED or int(file.read().split()[1]) * 4096 < 64 << 20
        release.set()
        client.settimeout(rig.WAIT)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"%d" % sent
    server.stop()


def until_closed(size):
    """A server whose answer ends with the connection."""
    def serve(client):
        while b"\r\n\r\n" not in client.recv(1 << 16):
            pass
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * size)

    return Server(GOOD, serve=serve)


def get_from(server):
    return f"GET http://good.test:{server.port}/ HTTP/1.1\r\nHost: good.test:{server.port}\r\n\r\n".encode()


def an_answer_without_a_length_waits_for_a_slow_reader():
    here = Box(proxy, "sb_slow", ALLOW, family=socket.AF_UNIX)  # its buffers do not grow
    sizes = range(64 << 10, 512 << 10, 32 << 10)  # with some, only the last part is held when the server has ended
    servers = [until_closed(size) for size in sizes]
    clients = [here.connect() for _ in sizes]
    for client, server in zip(clients, servers):
        client.sendall(get_from(server))
    threading.Event().wait(3)  # longer than it lingers
    got = [len(read_all(client).partition(b"\r\n\r\n")[2]) for client in clients]
    for client, server in zip(clients, servers):
        client.close()
        server.stop()
    here.remove()
    assert got == list(sizes), [f"{g} of {s}" for g, s in zip(got, sizes) if g != s]


def an_answer_waits_for_a_reader_that_goes_on_writing():
    """What only the kernel holds is lost when bytes come for a closed socket."""
    server = until_closed(300_000)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(rig.WAIT)
        client.connect(box.address)
        client.sendall(get_from(server))
        threading.Event().wait(3)  # longer than it lingers when all has arrived
        client.sendall(b"more")
        assert len(read_all(client).partition(b"\r\n\r\n")[2]) == 300_000
    server.stop()


def is_reset(client):
    try:
        while client.recv(1 << 16):
            pass
        return False
    except ConnectionResetError:
        return True


def what_is_cut_off_does_not_look_whole():
    hasty = Proxy("--resolver", names.address, "--idle-ms", "300")
    here = Box(hasty, "sb_hasty", ALLOW)
    server = until_closed(64 << 20)
    with here.connect() as client:
        client.sendall(get_from(server))
        hasty.hear_until(DECISION)  # no byte has gone for its time
        assert is_reset(client)
    assert hasty.end() == 0
    server.stop()


def a_server_that_fails_is_passed_on_as_a_failure():
    def fail(client):
        client.recv(1 << 16)
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\nhalf")
        go.wait(rig.WAIT)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = Server(GOOD, serve=fail)
    for open_it in (lambda: (box.connect(), get_from(server)), lambda: (tunnel(f"good.test:{server.port}"), b"GET")):
        go = threading.Event()
        client, request = open_it()
        with client:
            client.sendall(request)
            got = b""
            while not got.endswith(b"half"):
                got += client.recv(100)
            go.set()
            assert is_reset(client)
    server.stop()


def an_update_ends_what_it_forbids_and_nothing_else():
    other = Box(proxy, "sb_live", ALLOW)
    server = Server(GOOD, serve=lambda c: [c.sendall(d) for d in iter(lambda: c.recv(100), b"")])
    with tunnel(f"good.test:{server.port}", other) as good, tunnel(f"quiet.test:{server.port}", other) as quiet:
        for client in (good, quiet):
            client.sendall(b"echo")
            assert client.recv(10) == b"echo"
        proxy.update("sb_live", ["good.test", GOOD], serial=7)
        assert proxy.hear_until(rig.UPDATED)[-1] == (rig.UPDATED, "sb_live", 7)
        assert read_all(quiet) == b""
        good.sendall(b"more")
        assert good.recv(10) == b"more"
        assert b"no-rule" in ask(other, f"CONNECT quiet.test:{server.port} HTTP/1.1\r\nHost: quiet.test:"
                                        f"{server.port}\r\n\r\n".encode())
    proxy.update("sb_live", ALLOW, serial=8)
    told_until(rig.UPDATED)
    with tunnel(f"quiet.test:{server.port}", other) as again:
        again.sendall(b"back")
        assert again.recv(10) == b"back"
        proxy.close_box("sb_live")
        assert read_all(again) == b""
    what = told_until(CLOSED)
    assert what[1:4] == ("sb_live", 4, 1), what
    try:
        other.connect()
        assert False, "the listener still takes connections"
    except ConnectionRefusedError:
        pass
    server.stop()


def an_update_ends_tls_to_an_address_for_a_name_that_is_denied_now():
    here = Box(proxy, "sb_sni", ALLOW)
    server = Server(GOOD, serve=lambda c: [c.sendall(d) for d in iter(lambda: c.recv(1 << 16), b"")])
    with tunnel(f"{GOOD}:{server.port}", here) as kept, tunnel(f"{GOOD}:{server.port}", here) as forbidden:
        for client, name in ((kept, "kept.test"), (forbidden, "later.test")):
            hello = client_hello(name)
            client.sendall(hello)
            assert read_exactly(client, len(hello)) == hello
        proxy.update("sb_sni", ALLOW, ["later.test"], serial=9)
        told_until(rig.UPDATED)
        assert read_all(forbidden) == b""
        kept.sendall(b"more")
        assert kept.recv(10) == b"more"
    server.stop()


def a_bound_of_bytes_holds_for_the_whole_life():
    small = Box(proxy, "sb_small", ALLOW, size=50_000)
    server = Server(GOOD, serve=lambda c: c.sendall(b"x" * 1_000_000))
    with tunnel(f"good.test:{server.port}", small) as client:
        assert len(read_all(client)) <= 50_000
    what = told_until(DENIED)
    assert what[2] == 6 and what[7] == "max_bytes", what
    assert b"X-Aisbx-Denied: limit" in ask(small, b"GET http://good.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n")
    later = Box(proxy, "sb_later", ALLOW, size=50_000, used=40_000)  # of an earlier proxy
    with tunnel(f"good.test:{server.port}", later) as client:
        assert len(read_all(client)) <= 10_000
    server.stop()


def a_lower_bound_of_bytes_ends_what_is_over_it():
    lower = Box(proxy, "sb_lower", ALLOW)
    server = Server(GOOD, serve=lambda c: [c.sendall(d) for d in iter(lambda: c.recv(1 << 16), b"")])
    with tunnel(f"good.test:{server.port}", lower) as client:
        client.sendall(b"x" * 2000)
        assert read_exactly(client, 2000) == b"x" * 2000
        proxy.update("sb_lower", ALLOW, serial=3, size=1024)
        told_until(rig.UPDATED)
        assert read_all(client) == b""
    server.stop()


def connections_beyond_the_bound_wait_for_their_turn():
    few = Box(proxy, "sb_few", ALLOW, conns=2)
    server = Server(GOOD, serve=lambda c: [c.sendall(d) for d in iter(lambda: c.recv(100), b"")])
    first, second = tunnel(f"good.test:{server.port}", few), tunnel(f"good.test:{server.port}", few)
    third = few.connect()
    third.sendall(f"CONNECT good.test:{server.port} HTTP/1.1\r\nHost: good.test:{server.port}\r\n\r\n".encode())
    assert told_until(DENIED)[2] == 6
    third.settimeout(0.3)
    try:
        assert not third.recv(10), "it did not wait"
        assert False, "it was ended"
    except TimeoutError:
        pass
    first.close()
    third.settimeout(rig.WAIT)
    assert third.recv(12) == b"HTTP/1.1 200"
    second.close()
    third.close()
    server.stop()


def a_full_proxy_is_not_held_against_a_sandbox():
    small = Proxy("--resolver", names.address, files=128)
    server = Server(GOOD, serve=lambda c: c.recv(100))
    hungry, other = Box(small, "sb_hungry", ALLOW), Box(small, "sb_other", ALLOW)
    request = f"CONNECT good.test:{server.port} HTTP/1.1\r\nHost: good.test:{server.port}\r\n\r\n".encode()
    clients = [hungry.connect() for _ in range(40)]
    for client in clients:
        client.sendall(request)
    assert clients[0].recv(12) == b"HTTP/1.1 200"
    late = other.connect()
    late.sendall(request)
    late.settimeout(0.3)
    try:
        assert not late.recv(12), "it was ended"
        assert False, "it did not wait"
    except TimeoutError:
        pass
    small.update("sb_other", ALLOW)
    assert [what for what in small.heard_now() if what[0] == DENIED] == []
    for client in clients:
        client.close()
    late.settimeout(rig.WAIT)
    assert late.recv(12) == b"HTTP/1.1 200"
    late.close()
    assert small.end() == 0
    server.stop()


def as_many_connections_as_the_bound_are_no_refusal():
    told()
    few = Box(proxy, "sb_even", ALLOW, conns=2)
    clients = [few.connect() for _ in range(2)]
    for client in clients:
        client.sendall(get_from(web))
    for client in clients:
        assert b"X-Server" in read_all(client)
        client.close()
    assert [what for what in told() if what[0] == DENIED] == []


def name_servers_that_are_silent_for_one_hold_up_no_other():
    silent = [f"n{i}.silent.test" for i in range(60)]
    mute = Names({"good.test": [[GOOD]], **{name: [[GOOD]] for name in silent}}, silent=".silent.test")
    asking = Proxy("--resolver", mute.address)
    stuck, other = Box(asking, "sb_stuck", ["*.silent.test", GOOD]), Box(asking, "sb_other", ALLOW)
    clients = [stuck.connect() for _ in silent]
    for client, name in zip(clients, silent):
        client.sendall(f"CONNECT {name}:{web.port} HTTP/1.1\r\nHost: {name}:{web.port}\r\n\r\n".encode())
    wait_until("questions", lambda: len(set(mute.asked)) >= 8)
    assert b"X-Server: real" in ask(other, get_from(web))
    assert len({name for name in mute.asked if name in silent}) == 8, mute.asked
    mute.speak()
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 200"
        client.close()
    assert asking.end() == 0
    mute.stop()


def sandboxes_beyond_the_bound_are_closed_at_once():
    """Whether it is a bound of its own, or the kernel has no room for their sockets."""
    for files in (24, 256):
        small = Proxy("--resolver", names.address, files=files)
        boxes = [Box(small, f"sb_{i}", ALLOW) for i in range(80)]
        small.update("sb_0", ALLOW)
        closed = [what[1] for what in small.heard_now()]
        opened = [here for here in boxes if here.name not in closed]
        assert closed and closed == [f"sb_{i}" for i in range(len(opened), 80)], closed
        for name in ("sb_0", "sb_1", "sb_2"):  # a connection needs room, too
            small.close_box(name)
            assert small.hear() == (CLOSED, name, 0, 0, 0, 0, 0)
        again = Box(small, "sb_79", ALLOW)
        assert b"no-rule" in ask(again, b"CONNECT n.test:1 HTTP/1.1\r\nHost: n.test:1\r\n\r\n")
        assert small.hear()[0] == DENIED
        assert small.end() == 0


def a_worker_that_does_not_hear_of_closed_sandboxes_opens_no_more():
    small = Proxy("--resolver", names.address, files=24)
    small.control.settimeout(1)
    n_sent = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            while n_sent < 5000:
                small.open(f"sb_{n_sent}", listener)
                n_sent += 1
        except TimeoutError:
            pass
    small.control.settimeout(rig.WAIT)
    assert n_sent < 5000, "it keeps what it cannot tell"
    first = small.hear()[1]
    last = small.hear_until(CLOSED)
    while last[-1][1] != f"sb_{n_sent - 1}":
        last = small.hear_until(CLOSED)
    assert int(first.removeprefix("sb_")) < 24 and small.end() == 0


def a_full_proxy_takes_sandboxes_still():
    small = Proxy("--resolver", names.address, files=320)
    server = Server(GOOD, serve=lambda c: c.recv(100))
    here = Box(small, "sb_hungry", ALLOW)
    clients = [here.connect() for _ in range(140)]  # the last ones wait
    for client in clients:
        client.sendall(f"CONNECT good.test:{server.port} HTTP/1.1\r\nHost: good.test:{server.port}\r\n\r\n".encode())
    wait_until("connections", lambda: server.n >= 90)
    others = [Box(small, f"sb_{i}", ALLOW) for i in range(60)]
    small.update("sb_59")
    assert CLOSED not in [what[0] for what in small.heard_now()]
    for client in clients:
        client.close()
    assert b"no-rule" in ask(others[-1], b"CONNECT n.test:1 HTTP/1.1\r\nHost: n.test:1\r\n\r\n")
    assert small.end() == 0
    server.stop()


def a_worker_that_does_not_read_loses_detail_and_no_service():
    slow = Proxy("--resolver", names.address)
    here = Box(slow, "sb_deaf", ALLOW)
    for i in range(1500):
        assert b"no-rule" in ask(here, b"CONNECT n%d.test:1 HTTP/1.1\r\nHost: n%d.test:1\r\n\r\n" % (i % 40, i % 40))
    for _ in range(20):
        assert b"X-Server: real" in ask(here, get_from(web))
    slow.close_box("sb_deaf")
    heard = slow.hear_until(CLOSED)
    refusals = sum(w[4] + w[5] for w in heard if w[0] == DENIED)
    lost_refusals = sum(w[5] for w in heard if w[0] == DENIED)
    assert heard[-1][2:4] == (1520, 1500) and refusals == 1500 and lost_refusals > 0, (heard[-1], refusals)
    let_through = sum(1 + w[3] for w in heard if w[0] == DECISION) + heard[-1][4]
    assert let_through == 20, (heard[-1], let_through)
    assert slow.end() == 0


def what_is_no_request_is_told_as_one_to_the_proxy():
    told()
    assert ask(box, b"\0") == b""
    what = told_until(DENIED)
    assert what[2:4] == (5, 0) and what[6] == "the proxy" and what[9] == "", what


def a_listener_may_be_a_unix_socket():
    here = Box(proxy, "sb_unix", ALLOW, family=socket.AF_UNIX)
    got = ask(here, f"GET http://good.test:{web.port}/ HTTP/1.0\r\n\r\n".encode())
    assert b"X-Server: real" in got, got
    here.remove()


def an_address_that_takes_no_connection_is_no_refusal():
    told()
    closed = socket.create_server((GOOD, 0))
    port = closed.getsockname()[1]
    closed.close()
    status, out, _ = curl("--proxy", box.url(), "-D", "-", f"http://good.test:{port}/")
    assert status == 0 and b"502" in out and b"X-Aisbx-Failed" in out, out
    status, out, _ = curl("--proxy", box.url(), "-D", "-", "http://unknown.good.test/")
    assert status == 0 and b"502" in out, out
    assert not [w for w in told() if w[0] == DENIED]


def an_address_of_ipv6_is_named_in_brackets():
    here = Box(proxy, "sb_v6", allow=["[::1]:1"])
    answer = ask(here, b"GET http://[::1]:1/ HTTP/1.1\r\nHost: [::1]:1\r\n\r\n")
    assert b"aisbx: [::1]:1 cannot be reached" in answer, answer
    here.remove()


def a_name_without_address_says_why():
    for name, why in (("none.good.test", "it has no address"), ("nobody.good.test", "not known"),
                      ("long.cut.good.test", "does not fit into a packet")):
        answer = ask(box, f"GET http://{name}:{web.port}/ HTTP/1.1\r\nHost: {name}:{web.port}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 502 ") and why.encode() in answer, answer
    client = box.connect()  # called off between the two questions, or before or after them
    client.sendall(f"CONNECT long.cut.good.test:{web.port} HTTP/1.1\r\n\r\n".encode())
    client.close()
    assert b"X-Server: real" in ask(box, get_from(web))


def it_holds_no_right():
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as file:
        status = dict(re.findall(r"(\w+):\s+(.*)", file.read()))
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert rig.IS_SANITIZED or status["Seccomp"] == "2"
    assert status["Uid"].split()[0] != "0"


def what_the_worker_may_not_say_ends_it():
    for packet in (b"\x63\0\0\0", struct.pack("=I", 2), Proxy.rules(rig.OPEN, "sb_x", ["a.test"], [])):
        other = Proxy()
        other.control.send(packet)
        assert other.hear() is None
        assert other.process.wait(rig.WAIT) == 1


def it_ends_with_the_worker():
    ask(box, b"\0")  # told, and never read
    assert proxy.end() == 0


rig.run_all([
    a_get_by_curl_arrives_in_origin_form_and_is_told,
    bodies_arrive_whole_by_length_and_in_chunks,
    a_wildcard_permits_names_below_and_deny_wins,
    a_refusal_says_what_would_allow_it,
    a_private_address_behind_a_name_needs_a_rule_of_its_own,
    socks_by_curl_resolves_in_the_proxy,
    tls_goes_through_connect_when_it_asks_for_the_host,
    a_server_may_speak_first_on_other_ports,
    a_server_that_speaks_alone_is_not_idle,
    each_direction_ends_for_itself,
    a_large_transfer_is_exact_both_ways_at_once,
    a_reader_that_sleeps_holds_the_writer_back,
    an_answer_without_a_length_waits_for_a_slow_reader,
    an_answer_waits_for_a_reader_that_goes_on_writing,
    what_is_cut_off_does_not_look_whole,
    a_server_that_fails_is_passed_on_as_a_failure,
    an_update_ends_what_it_forbids_and_nothing_else,
    an_update_ends_tls_to_an_address_for_a_name_that_is_denied_now,
    a_bound_of_bytes_holds_for_the_whole_life,
    a_lower_bound_of_bytes_ends_what_is_over_it,
    connections_beyond_the_bound_wait_for_their_turn,
    a_full_proxy_is_not_held_against_a_sandbox,
    as_many_connections_as_the_bound_are_no_refusal,
    name_servers_that_are_silent_for_one_hold_up_no_other,
    sandboxes_beyond_the_bound_are_closed_at_once,
    a_worker_that_does_not_hear_of_closed_sandboxes_opens_no_more,
    a_full_proxy_takes_sandboxes_still,
    a_worker_that_does_not_read_loses_detail_and_no_service,
    what_is_no_request_is_told_as_one_to_the_proxy,
    a_listener_may_be_a_unix_socket,
    an_address_that_takes_no_connection_is_no_refusal,
    an_address_of_ipv6_is_named_in_brackets,
    a_name_without_address_says_why,
    it_holds_no_right,
    what_the_worker_may_not_say_ends_it,
    it_ends_with_the_worker,
])
