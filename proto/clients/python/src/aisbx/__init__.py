"""Client of AI-Sandbox: generated messages and stubs of aisbx.v1, and one function that makes them."""

from typing import Any, Optional, Sequence, Tuple

import grpc

from aisbx.v1 import context_service_pb2_grpc as _context
from aisbx.v1 import file_service_pb2_grpc as _file
from aisbx.v1 import key_service_pb2_grpc as _key
from aisbx.v1 import port_service_pb2_grpc as _port
from aisbx.v1 import sandbox_service_pb2_grpc as _sandbox
from aisbx.v1 import worker_service_pb2_grpc as _worker

__all__ = ["Aisbx", "connect"]


class _Key(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends the API key with every call."""

    def __init__(self, key):
        self._key = key

    def _add(self, proceed, details, request):
        metadata = list(details.metadata or []) + [("x-api-key", self._key)]
        return proceed(details._replace(metadata=metadata), request)

    intercept_unary_unary = intercept_unary_stream = _add
    intercept_stream_unary = intercept_stream_stream = _add


class Aisbx:
    """The services of one worker or gateway. Use as a context manager, or call close()."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.sandboxes = _sandbox.SandboxServiceStub(channel)
        self.files = _file.FileServiceStub(channel)
        self.contexts = _context.ContextServiceStub(channel)
        self.ports = _port.PortServiceStub(channel)
        self.keys = _key.KeyServiceStub(channel)
        self.worker = _worker.WorkerServiceStub(channel)

    def close(self) -> None:
        self.channel.close()

    def __enter__(self) -> "Aisbx":
        return self

    def __exit__(self, *_):
        self.close()


def connect(
    address: str,
    *,
    credentials: Optional[grpc.ChannelCredentials] = None,
    api_key: Optional[str] = None,
    options: Optional[Sequence[Tuple[str, Any]]] = None,
) -> Aisbx:
    """Connects with the first call.

    address: "unix:/run/aisbx/worker.sock", "dns:///host:7443" or "host:7443".
    credentials: grpc.ssl_channel_credentials(...); None is accepted by a worker only on a unix socket or loopback.
    """
    if credentials is None:
        channel = grpc.insecure_channel(address, options)
    else:
        channel = grpc.secure_channel(address, credentials, options)
    if api_key:
        channel = grpc.intercept_channel(channel, _Key(api_key))
    client = Aisbx(channel)
    return client
