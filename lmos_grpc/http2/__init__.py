"""HTTP/2 and gRPC by hand on asyncio, in place of grpc.aio inside the mesh: plaintext, loopback, behind Envoy only."""

from lmos_grpc.http2.channel import Http2Channel
from lmos_grpc.http2.limits import Backoff, Keepalive, Limits
from lmos_grpc.http2.server import Http2Server

__all__ = ["Backoff", "Http2Channel", "Http2Server", "Keepalive", "Limits"]
