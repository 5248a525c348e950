"""Writing to a caller who may be gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc.aio

if TYPE_CHECKING:
    from lmos_grpc.rpc.typing import Context


async def write(context: Context, response: object) -> None:
    """Writes a response of a stream.

    Raises:
        CancelledError: the call is over, and the handler did not hear of it or did not listen.
    """
    try:
        await context.write(response)
    except grpc.aio.InternalError as error:
        # An agent's code swallowed the cancellation and goes on: it is cancelled once more, and nothing has failed.
        raise asyncio.CancelledError from error
