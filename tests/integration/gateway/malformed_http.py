"""Requests no HTTP/1.1 server should take: name, bytes, the status that says why.

Each must be answered by that status and problem+json, on a connection that then ends; none may be
seen by a handler."""

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /hello HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
END = b"\r\n"


def cases():
    table = []

    def add(name, data, status=400):
        table.append((name, data, status))

    lines = {
        "no version": b"GET /hello", "one word": b"GET", "empty target": b"GET  HTTP/1.1",
        "two blanks before the version": b"GET /hello  HTTP/1.1", "a blank in the target": b"GET /a b HTTP/1.1",
        "tab instead of blank": b"GET\t/hello\tHTTP/1.1", "blank first": b" GET /hello HTTP/1.1",
        "lower-case protocol": b"GET /hello http/1.1", "no slash in the version": b"GET /hello HTTP1.1",
        "version with a letter": b"GET /hello HTTP/1.1x", "version without digits": b"GET /hello HTTP/",
        "fragment": b"GET /hello#x HTTP/1.1", "backslash": b"GET /a\\b HTTP/1.1",
        "raw 8-bit target": b"GET /\xc3\xa4 HTTP/1.1", "DEL in the target": b"GET /a\x7f HTTP/1.1",
        "method with a colon": b"G:T /hello HTTP/1.1", "method in quotes": b'"GET" /hello HTTP/1.1',
        "method with a bracket": b"GET( /hello HTTP/1.1", "relative target": b"GET hello HTTP/1.1",
        "asterisk": b"OPTIONS * HTTP/1.1", "authority form": b"GET 127.0.0.1:80 HTTP/1.1",
        "another scheme": b"GET ftp://127.0.0.1/hello HTTP/1.1",
        "URL of another host": b"GET http://evil.example/hello HTTP/1.1",
        "URL without path": b"GET http://127.0.0.1 HTTP/1.1",
        "URL with user": b"GET http://a@127.0.0.1/hello HTTP/1.1",
        "empty segment": b"GET //hello HTTP/1.1", "slash at the end": b"GET /hello/ HTTP/1.1",
        "dot segment": b"GET /./hello HTTP/1.1", "dots": b"GET /../hello HTTP/1.1",
        "dots within": b"GET /a/../hello HTTP/1.1", "encoded dots": b"GET /%2e%2e/hello HTTP/1.1",
        "half encoded dots": b"GET /.%2E/hello HTTP/1.1", "encoded slash": b"GET /a%2Fb HTTP/1.1",
        "encoded NUL": b"GET /a%00b HTTP/1.1", "encoded LF": b"GET /a%0Ab HTTP/1.1",
        "encoded DEL": b"GET /a%7Fb HTTP/1.1", "percent at the end": b"GET /a% HTTP/1.1",
        "percent and one digit": b"GET /a%4 HTTP/1.1", "percent and no digits": b"GET /a%zz HTTP/1.1",
        "overlong UTF-8": b"GET /%c0%af HTTP/1.1", "surrogate": b"GET /%ed%a0%80 HTTP/1.1",
        "lone continuation": b"GET /%80 HTTP/1.1", "cut UTF-8": b"GET /%e2%82 HTTP/1.1",
        "query: NUL": b"GET /query?a=%00 HTTP/1.1", "query: bad percent": b"GET /query?a=%g1 HTTP/1.1",
        "query: not UTF-8": b"GET /query?a=%ff HTTP/1.1", "query: twice": b"GET /query?a=1&a=2 HTTP/1.1",
        "query: twice, encoded": b"GET /query?a=1&%61=2 HTTP/1.1", "query: no name": b"GET /query?=1 HTTP/1.1",
        "query: empty piece": b"GET /query?a=1&&b=2 HTTP/1.1", "query: & at the end": b"GET /query?a=1& HTTP/1.1",
        "query: 33 names": b"GET /query?" + b"&".join(b"a%d=1" % i for i in range(33)) + b" HTTP/1.1",
    }
    for name, line in lines.items():
        add(name, line + END + HOST + END)
    for version in (b"0.9", b"1.2", b"2.0", b"3.0", b"9.9", b"1.x"):
        add(f"version {version.decode()}", b"GET /hello HTTP/" + version + END + HOST + END, 505)
    add("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
    for method in (b"get", b"TRACE", b"CONNECT", b"PROPFIND", b"BREW", b"GETT"):
        target = b"127.0.0.1:1" if method == b"CONNECT" else b"/hello"
        add(f"method {method.decode()}", method + b" " + target + b" HTTP/1.1\r\n" + HOST + END, 501)

    add("no Host", GET + END)
    add("no Host in HTTP/1.0", b"GET /hello HTTP/1.0\r\n\r\n")
    add("empty Host", GET + b"Host:\r\n\r\n")
    add("two Hosts", GET + HOST + HOST + END)
    add("two Hosts, one in capitals", GET + HOST + b"HOST: evil.example\r\n\r\n")
    for host in (b"127.0.0.1:", b"127.0.0.1:x", b"127.0.0.1:0", b"127.0.0.1:65536", b"a b", b"a/b", b"a,b", b"a@b",
                 b"[::1", b"::1", b"[::1]x", b"[::1]:", b":80", b"a?b", b"\"a\"", b"a\xc3\xa4"):
        add(f"Host {host!r}", GET + b"Host: " + host + END + END)
    for host in (b"evil.example", b"evil.example:80", b"localhost.evil.example", b"128.0.0.1", b"0.0.0.0", b"10.0.0.1",
                 b"127.0.0.1.evil.example", b"[::2]", b"xlocalhost", b"gw.example.evil"):
        add(f"Host {host.decode()} is not ours", GET + b"Host: " + host + END + END, 403)
    for origin in (b"null", b"https://evil.example", b"http://evil.example:80", b"https://app.example.evil",
                   b"http://localhost.evil.example", b"http://127.0.0.1.evil.example", b"file://", b"http://",
                   b"https://app.example/", b"http://localhost/", b"http://user@localhost", b"localhost",
                   b"chrome-extension://abc", b"http://[::2]", b"http://localhost:x", b"http://localhost:99999"):
        add(f"Origin {origin.decode()}", GET + HOST + b"Origin: " + origin + END + END, 403)
    add("two Origins", GET + HOST + b"Origin: http://localhost\r\nOrigin: http://localhost\r\n\r\n")

    fields = {
        "blank before the colon": b"X-A : 1", "tab before the colon": b"X-A\t: 1", "no colon": b"X-A", "no name": b": 1",
        "name with a blank": b"X A: 1", "name in parentheses": b"X(A): 1", "name with a slash": b"X/A: 1",
        "name with 8 bits": b"X-\xc3\xa4: 1", "name with a NUL": b"X\0A: 1", "name with a quote": b'X"A: 1',
        "name with @": b"X@A: 1", "name with a semicolon": b"X;A: 1", "name with a comma": b"X,A: 1",
        "NUL in the value": b"X-A: a\0b", "bare CR in the value": b"X-A: a\rb", "VT in the value": b"X-A: a\x0bb",
        "ESC in the value": b"X-A: a\x1bb", "BEL in the value": b"X-A: \x07", "DEL in the value": b"X-A: a\x7fb",
        "BS in the value": b"X-A: a\x08b", "folding": b"X-A: a\r\n b", "folding by tab": b"X-A: a\r\n\tb",
        "folding first": b" X-A: a",
    }
    for name, field in fields.items():
        add(f"header: {name}", GET + HOST + field + END + END)
    for name in (b"Authorization", b"X-API-Key", b"Content-Type", b"Range", b"Idempotency-Key", b"Last-Event-ID",
                 b"If-Match", b"traceparent", b"MCP-Protocol-Version", b"Mcp-Method", b"Mcp-Name", b"X-Request-Id"):
        add(f"two of {name.decode()}", GET + HOST + name + b": 1\r\n" + name.lower() + b": 2\r\n\r\n")
    add("line feed alone ends the request line", b"GET /hello HTTP/1.1\n" + HOST + END)
    add("line feed alone ends a header", GET + b"Host: 127.0.0.1\nX-A: 1\r\n\r\n")
    add("line feeds alone", b"GET /hello HTTP/1.1\nHost: 127.0.0.1\n\n")
    add("CR CR LF", GET + b"Host: 127.0.0.1\r\r\n\r\n")
    add("65 headers", GET + HOST + b"".join(b"X-%d: 1\r\n" % i for i in range(64)) + END, 431)
    add("a long header", GET + HOST + b"X-A: " + b"a" * 17000 + END + END, 431)
    add("a long target", b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\n" + HOST + END, 431)
    add("a long name", GET + HOST + b"a" * 17000, 431)
    add("binary", bytes(range(1, 32)) * 4 + b"\r\n\r\n")
    add("NULs", b"\0" * 64 + b"\r\n\r\n")
    add("TLS on a plain port", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"a" * 50 + b"\r\n\r\n")
    add("SOCKS5", b"\x05\x01\x00\r\n\r\n")
    add("a redis command", b"*1\r\n$4\r\nPING\r\n\r\n")
    add("SMTP", b"EHLO x\r\n\r\n")
    add("a body of JSON where a head should be", b'{"jsonrpc":"2.0"}\r\n\r\n')

    for length in (b"-1", b"+1", b"1 ", b"0x1", b"1,1", b"1, 1", b"1;1", b"", b"a", b"1.0", b"1e1", b"'1'", b" 1 1",
                   b"99999999999999999999", b"18446744073709551616", b"\xd9\xa1"):
        if length.strip() == b"1":
            continue
        add(f"Content-Length {length!r}", POST + b"Content-Length: " + length + END + END)
    add("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")
    add("the same length twice", POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na")
    add("length and coding", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    add("coding and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")
    add("two codings", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    add("coding in HTTP/1.0", b"POST /echo HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    for coding in (b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"xchunked",
                   b"chunked;q=1", b"\"chunked\"", b""):
        add(f"coding {coding.decode()!r}", POST + b"Transfer-Encoding: " + coding + END + END, 501)
    add("a body too large", POST + b"Content-Length: 1048577\r\n\r\n", 413)
    add("a body far too large", POST + b"Content-Length: 9223372036854775807\r\n\r\n", 413)
    add("chunks too large", POST + b"Transfer-Encoding: chunked\r\n\r\n100001\r\n" + b"a" * 0x100001 + b"\r\n0\r\n\r\n", 413)
    add("an unknown Expect", POST + b"Expect: tea\r\nContent-Length: 1\r\n\r\na", 417)
    chunks = {
        "no size": b"\r\n", "size in letters": b"xyz\r\n", "size with a sign": b"+1\r\na\r\n", "negative size": b"-1\r\n",
        "size with 0x": b"0x1\r\na\r\n", "size of nine digits": b"000000001\r\na\r\n", "blank before the size": b" 1\r\na\r\n",
        "blank after the size": b"1 \r\na\r\n", "line feed alone": b"1\na\n0\n\n", "too long a chunk": b"1\r\nab\r\n0\r\n\r\n",
        "too short a chunk": b"3\r\na\r\n0\r\n\r\n", "no CR LF after the data": b"1\r\na0\r\n\r\n", "trailer": b"0\r\nX-A: 1\r\n\r\n",
        "NUL in an extension": b"1;a=\0\r\na\r\n0\r\n\r\n", "a long extension": b"1;" + b"a" * 300 + b"\r\na\r\n0\r\n\r\n",
        "size with a NUL": b"1\0\r\na\r\n", "ffffffffffffffff": b"ffffffffffffffff\r\n",
    }
    for name, data in chunks.items():
        add(f"chunks: {name}", POST + b"Transfer-Encoding: chunked\r\n\r\n" + data)
    return table
