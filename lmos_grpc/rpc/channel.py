"""Channels to other services."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio

from lmos_grpc.rpc.options import channel_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@asynccontextmanager
async def open_channel(
    address: str, *, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """A plaintext channel to `host:port`, closed at the end. Calls fail fast while the peer is away."""
    channel = grpc.aio.insecure_channel(address, options=channel_options(), interceptors=list(interceptors))
    try:
        yield channel
    finally:
        await channel.close()
