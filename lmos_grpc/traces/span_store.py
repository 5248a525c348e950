"""Keeps the spans of the last traces, and finds them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.traces.span import Trace, TracePiece, TraceSummary


class SpanStore(Protocol):
    """The writing side."""

    async def add(self, pieces: Iterable[TracePiece]) -> None:
        """Keeps what came; a span that is known already stays as it was. The traces seen longest ago make room.

        The iterable is consumed off the event loop, so it may be lazy and slow.

        Raises:
            StoreUnavailableError: they could not be kept.
        """


class SpanReader(Protocol):
    """The reading side, for another task, thread or process."""

    def list_traces(self, limit: int) -> tuple[TraceSummary, ...]:
        """The traces that were last added to, newest start first.

        Raises:
            StoreUnavailableError: the store cannot be read.
        """

    def get_trace(self, trace_id: str) -> Trace | None:
        """The trace of that id, or the only one whose id starts so; None: there is no such trace, or several.

        Raises:
            StoreUnavailableError: the store cannot be read.
        """

    def matching_ids(self, prefix: str, limit: int = 10) -> tuple[str, ...]:
        """Ids of traces that start so, at most `limit`, in order: what to offer when `get_trace` found none.

        Raises:
            StoreUnavailableError: the store cannot be read.
        """
