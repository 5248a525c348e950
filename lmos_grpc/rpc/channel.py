"""Channels to other services."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lmos_grpc.rpc.transport import make_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import grpc.aio


@asynccontextmanager
async def open_channel(
    address: str, *, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """A plaintext channel to `host:port`, closed at the end. Calls fail fast while the peer is away."""
    channel = make_channel(address, interceptors)
    try:
        yield channel
    finally:
        await channel.close()
