"""The trace store as a part of a mesh."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.rpc import serve
from lmos_grpc.traces import SERVICE_NAME, open_span_store, receive_traces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lmos_grpc.rpc import RunningServer

_DRAIN = timedelta(seconds=2)


@asynccontextmanager
async def run_traces(state: Path, address: str, *, on_lost: Callable[[int], None]) -> AsyncIterator[RunningServer]:
    """Receives spans at `address` and keeps the last traces in the state directory."""
    async with (
        open_span_store(state / TRACES) as store,
        receive_traces(store, on_lost=on_lost) as receiver,
        serve(address, register=receiver.register, services=[SERVICE_NAME], drain=_DRAIN) as server,
    ):
        yield server
