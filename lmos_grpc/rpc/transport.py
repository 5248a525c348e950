"""Which HTTP/2 carries our calls: grpcio's, or our own; one choice for the whole process."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import grpc.aio

from lmos_grpc.errors import InvalidConfigurationError
from lmos_grpc.http2 import Backoff, Http2Channel, Http2Server, Keepalive, Limits
from lmos_grpc.rpc.listen import is_loopback
from lmos_grpc.rpc.options import (
    FIRST_RECONNECT,
    KEEPALIVE_TIME,
    KEEPALIVE_TIMEOUT,
    LONGEST_RECONNECT,
    MAX_MESSAGE_BYTES,
    channel_options,
    server_options,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMITS = Limits(max_message_bytes=MAX_MESSAGE_BYTES)
_KEEPALIVE = Keepalive(KEEPALIVE_TIME, KEEPALIVE_TIMEOUT)
_BACKOFF = Backoff(FIRST_RECONNECT, LONGEST_RECONNECT)


class Transport(StrEnum):
    """A stack below gRPC's interface. Only grpcio's has TLS and may face anything but this machine and Envoy."""

    GRPCIO = "grpcio"
    HTTP2 = "http2"


def transport_named(name: str) -> Transport:
    """The transport of that name.

    Raises:
        InvalidConfigurationError: there is none.
    """
    try:
        return Transport(name.lower())
    except ValueError:
        known = " or ".join(each.value for each in Transport)
        raise InvalidConfigurationError(f"mesh.transport is {name!r}; say {known}") from None


class _Choice:
    transport = Transport.HTTP2


def choose_transport(transport: Transport) -> None:
    """Makes every server and channel that is opened from now on one of this kind."""
    _Choice.transport = transport


def chosen_transport() -> Transport:
    """What servers and channels are made of now."""
    return _Choice.transport


def make_server(interceptors: Sequence[grpc.aio.ServerInterceptor], *, host: str = "127.0.0.1") -> grpc.aio.Server:
    """A server of the chosen kind, with our options, for a host; what others can reach is always grpcio's."""
    if _Choice.transport is Transport.HTTP2 and is_loopback(host):
        return Http2Server(interceptors=interceptors, limits=_LIMITS, keepalive=_KEEPALIVE)
    return grpc.aio.server(interceptors=list(interceptors), options=server_options())


def make_channel(address: str, interceptors: Sequence[grpc.aio.ClientInterceptor]) -> grpc.aio.Channel:
    """A channel of the chosen kind, with our options; what leaves this machine is always grpcio's."""
    if _Choice.transport is Transport.HTTP2 and is_loopback(address.rpartition(":")[0]):
        return Http2Channel(address, interceptors=interceptors, limits=_LIMITS, keepalive=_KEEPALIVE, backoff=_BACKOFF)
    return grpc.aio.insecure_channel(address, options=channel_options(), interceptors=list(interceptors))
