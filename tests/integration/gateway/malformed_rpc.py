"""JSON-RPC and gRPC messages that nobody should take."""

JSONRPC = {
    "nothing": b"", "no JSON": b"x", "open": b'{"jsonrpc":"2.0"', "two": b'{"jsonrpc":"2.0","id":1,"method":"ping"}{}',
    "list of nothing": b"[]", "text": b'"ping"', "number": b"1", "null": b"null", "NUL": b'{"jsonrpc":"2.0","id":1,"method":"pi\0ng"}',
    "not UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', "deep": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 200 + b"1" + b"}" * 201,
    "a key twice": b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', "no version": b'{"id":1,"method":"ping"}',
    "version 1": b'{"jsonrpc":"1.0","id":1,"method":"ping"}', "version as a number": b'{"jsonrpc":2.0,"id":1,"method":"ping"}',
    "id null": b'{"jsonrpc":"2.0","id":null,"method":"ping"}', "id with a fraction": b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
    "id as a list": b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', "id as an object": b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
    "id true": b'{"jsonrpc":"2.0","id":true,"method":"ping"}', "no method": b'{"jsonrpc":"2.0","id":1}',
    "method as a number": b'{"jsonrpc":"2.0","id":1,"method":1}', "method null": b'{"jsonrpc":"2.0","id":1,"method":null}',
    "params as a text": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', "params as a number": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":1}',
    "unknown method": b'{"jsonrpc":"2.0","id":1,"method":"nothing/here"}', "tools/call without a name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
    "name as a number": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}',
    "arguments as a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell","arguments":[]}}',
    "unknown tool": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing","arguments":{}}}',
    "initialize without params": b'{"jsonrpc":"2.0","id":1,"method":"initialize"}',
    "60,000 values": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[' + b"0," * 60000 + b"0]}}",
}

# Bytes for aisbx.v1.SandboxService/GetSandbox (field 1: text), and for Run (1: text, 2, 3: messages, 4: bytes).
GET, RUN = "/aisbx.v1.SandboxService/GetSandbox", "/aisbx.v1.SandboxService/Run"
GRPC = {
    "tag without a value": (GET, b"\x0a"), "length beyond the end": (GET, b"\x0a\x7fabc"), "length of 2^63": (GET, b"\x0a" + b"\xff" * 9 + b"\x01"),
    "varint without an end": (GET, b"\x0a" + b"\xff" * 20), "field number 0": (GET, b"\x02\x00"), "wire type 6": (GET, b"\x0e"), "wire type 7": (GET, b"\x0f"),
    "end of no group": (GET, b"\x0c"), "number for a text": (GET, b"\x08\x01"), "fixed64 for a text": (GET, b"\x09" + b"\0" * 8),
    "fixed32 for a text": (GET, b"\x0d" + b"\0" * 4), "not UTF-8": (GET, b"\x0a\x01\xff"), "NUL in a text": (GET, b"\x0a\x03a\0b"),
    "overlong UTF-8": (GET, b"\x0a\x02\xc0\x80"), "surrogate": (GET, b"\x0a\x03\xed\xa0\x80"), "no id": (GET, b""), "id that is none": (GET, b"\x0a\x01x"),
    "text for a message": (RUN, b"\x12\x03abc"), "number for a message": (RUN, b"\x10\x01"), "cut message": (RUN, b"\x12\x05\x0a\x7fa"),
    "groups in groups": (RUN, b"\x0b" * 200), "a message in 100 messages": (RUN, b"\x12\x02\x12\x00" * 50), "nothing": (RUN, b""),
    "too many elements": (RUN, b"\x32\x00" * 2000000), "no such method": ("/aisbx.v1.SandboxService/Nothing", b""),
    "no such service": ("/aisbx.v2.SandboxService/Run", b""), "no method": ("/aisbx.v1.SandboxService/", b""), "message over the limit": (RUN, b"\x22\x84\x80\x80\x02" + b"a" * (4 << 20)),
}
