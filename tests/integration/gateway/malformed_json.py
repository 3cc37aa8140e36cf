"""Bodies no operation should take: name, method, path, Content-Type, bytes, status, and what the detail must say."""

RUN = "/api/v1/run"
MADE = "/api/v1/sandboxes"
JSON = "application/json"


def cases():
    table = []

    def add(name, body, status, says="", path=RUN, method="POST", kind=JSON):
        table.append((name, method, path, kind, body, status, says))

    texts = {
        "nothing": b"", "blanks": b" \n\t", "an open brace": b"{", "an open bracket": b"[", "two values": b"{} {}",
        "text behind": b"{}x", "a comma behind": b"{},", "trailing comma": b'{"exec":{},}', "leading comma": b'{,"exec":{}}',
        "no colon": b'{"exec" {}}', "no value": b'{"exec":}', "single quotes": b"{'exec':{}}", "bare key": b"{exec:{}}",
        "comment": b"{/* */}", "line comment": b"{} // x", "byte order mark": b"\xef\xbb\xbf{}", "UTF-16": "{}".encode("utf-16"),
        "NUL behind": b"{}\0", "NUL within": b'{"a\0":1}', "NUL escaped": b'{"stdin":"a\\u0000b"}',
        "not UTF-8": b'{"stdin":"\xff"}', "overlong": b'{"stdin":"\xc0\xaf"}', "a surrogate in UTF-8": b'{"stdin":"\xed\xa0\x80"}',
        "lone high surrogate": b'{"stdin":"\\ud800"}', "lone low surrogate": b'{"stdin":"\\udc00"}',
        "swapped surrogates": b'{"stdin":"\\udc00\\ud800"}', "short escape": b'{"stdin":"\\u12"}', "unknown escape": b'{"stdin":"\\x41"}',
        "raw line feed in a text": b'{"stdin":"a\nb"}', "raw tab in a text": b'{"stdin":"a\tb"}', "open text": b'{"stdin":"a',
        "leading zero": b'{"max_output_bytes":01}', "plus": b'{"max_output_bytes":+1}', "no digit before the point": b'{"max_output_bytes":.5}',
        "no digit behind it": b'{"max_output_bytes":1.}', "hexadecimal": b'{"max_output_bytes":0x10}', "Infinity": b'{"max_output_bytes":Infinity}',
        "NaN": b'{"max_output_bytes":NaN}', "minus alone": b'{"max_output_bytes":-}', "True": b'{"exec":True}', "nul": b'{"exec":nul}',
        "a key twice": b'{"stdin":"a","stdin":"b"}', "a key twice, escaped": b'{"stdin":"a","std\\u0069n":"b"}',
        "100 deep": b'{"a":' * 100 + b"1" + b"}" * 100, "100 lists deep": b"[" * 100 + b"]" * 100,
        "100,000 deep": b"[" * 100000, "60,000 values": b'{"fetch":[' + b"0," * 60000 + b"0]}",
    }
    for name, text in texts.items():
        add(name, text, 400)
    for name, text in {"a list": b"[]", "a text": b'"x"', "a number": b"1", "null": b"null", "true": b"true"}.items():
        add(f"{name} at the top", text, 422, "object")
    fields = {
        "unknown member": (b'{"exek":{}}', "/exek"), "unknown member deep": (b'{"exec":{"command":{"arg":[]}}}', "/exec/command/arg"),
        "other case": (b'{"Exec":{}}', "/Exec"), "camel case": (b'{"maxOutputBytes":1}', "/maxOutputBytes"),
        "__proto__": (b'{"__proto__":{}}', "/__proto__"), "slash in a name": (b'{"a/b~c":1}', "/a~1b~0c"),
        "object for a text": (b'{"stdin":{}}', "/stdin"), "number for a text": (b'{"stdin":1}', "/stdin"),
        "text for an object": (b'{"exec":"ls"}', "/exec"), "list for an object": (b'{"exec":[]}', "/exec"),
        "object for a list": (b'{"fetch":{}}', "/fetch"), "text for a list": (b'{"fetch":"a"}', "/fetch"),
        "number in a list of texts": (b'{"fetch":["a",1]}', "/fetch/1"), "list in a list": (b'{"fetch":[[]]}', "/fetch/0"),
        "text for a number": (b'{"max_output_bytes":"1"}', "/max_output_bytes"), "fraction": (b'{"max_output_bytes":1.5}', "/max_output_bytes"),
        "negative": (b'{"max_output_bytes":-1}', "/max_output_bytes"), "beyond 32 bits": (b'{"max_output_bytes":4294967296}', "/max_output_bytes"),
        "beyond a double": (b'{"max_output_bytes":1e400}', "/max_output_bytes"), "minus zero point one": (b'{"max_output_bytes":-0.1}', "/max_output_bytes"),
        "beyond 53 bits": (b'{"exec":{"wall_ms":9007199254740992}}', "/exec/wall_ms"), "bool for a number": (b'{"max_output_bytes":true}', "/max_output_bytes"),
        "number for a bool": (b'{"exec":{"background":1}}', "/exec/background"), "text for a bool": (b'{"exec":{"background":"true"}}', "/exec/background"),
        "null for an object": (b'{"exec":null}', "/exec"), "null for a number": (b'{"max_output_bytes":null}', "/max_output_bytes"),
        "null in a list": (b'{"fetch":[null]}', "/fetch/0"), "unknown word": (b'{"exec":{"stdio":"socket"}}', "/exec/stdio"),
        "a word in capitals": (b'{"exec":{"stdio":"SPOOLED"}}', "/exec/stdio"), "a word's full name": (b'{"exec":{"stdio":"STDIO_MODE_SPOOLED"}}', "/exec/stdio"),
        "a word's number": (b'{"exec":{"stdio":1}}', "/exec/stdio"), "two programs": (b'{"exec":{"command":{},"script":{}}}', "/exec/script"),
        "two places": (b'{"target":{"sandbox_id":"a","new_sandbox":{}}}', "/target/new_sandbox"), "map as a list": (b'{"exec":{"env":[]}}', "/exec/env"),
        "number in a map": (b'{"exec":{"env":{"A":1}}}', "/exec/env/A"), "null in a map": (b'{"exec":{"env":{"A":null}}}', "/exec/env/A"),
    }
    for name, (text, pointer) in fields.items():
        add(name, text, 422, pointer)
    meanings = {
        "no program": b'{"target":{"new_sandbox":{}},"exec":{}}', "no place": b'{"exec":{"command":{"args":["true"]}}}',
        "no arguments": b'{"target":{"new_sandbox":{}},"exec":{"command":{"args":[]}}}',
        "no profile of that name": b'{"target":{"new_sandbox":{"profile":"nothing"}},"exec":{"command":{"args":["true"]}}}',
        "id that is none": b'{"target":{"sandbox_id":"x"},"exec":{"command":{"args":["true"]}}}',
        "relative cwd": b'{"target":{"new_sandbox":{}},"exec":{"cwd":"a","command":{"args":["true"]}}}',
        "equals sign in a variable": b'{"target":{"new_sandbox":{}},"exec":{"env":{"A=B":"c"},"command":{"args":["true"]}}}',
        "memory below the least": b'{"target":{"new_sandbox":{"limits":{"memory_bytes":1}}},"exec":{"command":{"args":["true"]}}}',
        "unknown driver": b'{"target":{"new_sandbox":{"driver":"docker"}},"exec":{"command":{"args":["true"]}}}',
        "host name with a dot": b'{"target":{"new_sandbox":{"hostname":"a_b"}},"exec":{"command":{"args":["true"]}}}',
    }
    for name, text in meanings.items():
        add(name, text, (404, 422))
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                 "application/jsonx", "application", "", "application/octet-stream"):
        add(f"Content-Type {kind!r}", b"{}", 415, kind=kind)
    add("bytes for input as JSON", b"{}", 415, path="/api/v1/execs/ex_" + "a" * 26 + "/input")
    add("a body where none is taken", b"{}", 400, "body", path=MADE, method="GET")
    add("a body with DELETE", b"{}", 400, "body", path=MADE + "/sb_" + "a" * 26, method="DELETE")
    add("what the path says, again", b'{"exec_id":"x","signal":9}', 422, "/exec_id", path="/api/v1/execs/ex_" + "a" * 26 + "/signal")
    add("target in the body, too", b'{"target":{"new_sandbox":{}}}', 422, "/target", path=MADE + "/sb_" + "a" * 26 + "/execs")
    for query in ("x=1", "page_size=a", "page_size=-1", "page_size=1.5", "page_size=4294967296", "page_size=", "states=dead",
                  "states=running,,paused", "states=RUNNING", "labels=a", "page_token=%01", "page_token=nothing", "sandboxes=1",
                  "request_id=1"):
        add(f"query {query}", None, (400, 422), path=f"{MADE}?{query}", method="GET", kind=None)
    for query in ("start_time=yesterday", "start_time=2026-02-31T00:00:00Z", "start_time=2026-01-01", "end_time=2026-01-01T25:00:00Z",
                  "end_time=2026-01-01T00:00:00", "start_time=1767225600"):
        add(f"query {query}", None, 400, path=f"/api/v1/security/audit?{query}", method="GET", kind=None)
    add("offset that is no number", None, 400, path="/api/v1/execs/ex_" + "a" * 26 + "/output?offset=x", method="GET", kind=None)
    add("stream that is none", None, 400, path="/api/v1/execs/ex_" + "a" * 26 + "/output?stream=stdin", method="GET", kind=None)
    return table
