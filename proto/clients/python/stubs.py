#!/usr/bin/python3
"""Types of the generated services, which the gRPC plugin for Python does not write: stubs.py SRC PROTO...

For each PROTO with services SRC/..._pb2_grpc.pyi: a stub's methods with the types of their messages. What else they can
(future(), with_call()) is left to grpc's own documentation."""

import importlib
import pathlib
import sys

from google.protobuf import descriptor_pb2

HEAD = """from typing import Any, Iterable, Iterator, Optional, Sequence, Tuple

{imports}

_Metadata = Optional[Sequence[Tuple[str, str]]]
"""

STUB = """

class {name}Stub:
    def __init__(self, channel: Any) -> None: ...
"""

METHOD = """
    def {name}(
        self,
        {argument},
        timeout: Optional[float] = ...,
        metadata: _Metadata = ...,
        credentials: Any = ...,
        wait_for_ready: Optional[bool] = ...,
        compression: Any = ...,
    ) -> {result}: ...
"""


def module_of(message):
    return message.file.name[: -len(".proto")].replace("/", ".") + "_pb2"


def method(descriptor, proto):
    request, reply = (f"{module_of(message)}.{message.name}" for message in (descriptor.input_type, descriptor.output_type))
    return METHOD.format(
        name=descriptor.name,
        argument=f"request_iterator: Iterable[{request}]" if proto.client_streaming else f"request: {request}",
        result=f"Iterator[{reply}]" if proto.server_streaming else reply,
    )


def stub(descriptor):
    # Whether a method streams is in the message of it alone, in the older runtimes.
    copy = descriptor_pb2.ServiceDescriptorProto()
    descriptor.CopyToProto(copy)
    return STUB.format(name=descriptor.name) + "".join(map(method, descriptor.methods, copy.method))


def main(src, *protos):
    for proto in protos:
        name = proto[: -len(".proto")]
        file = importlib.import_module(name.replace("/", ".") + "_pb2").DESCRIPTOR
        services = list(file.services_by_name.values())
        modules = {module_of(message) for one in services for each in one.methods for message in (each.input_type, each.output_type)}
        if services:
            text = HEAD.format(imports="\n".join(f"import {module}" for module in sorted(modules)))
            pathlib.Path(src, f"{name}_pb2_grpc.pyi").write_text(text + "".join(map(stub, services)), encoding="utf-8")


main(*sys.argv[1:])
