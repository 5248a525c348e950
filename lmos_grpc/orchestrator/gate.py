"""The way of one branch's events to the caller: open, held back, or closed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lmos_grpc.wire.framed_event import SaidEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.event import EventBody, Source
    from lmos_grpc.rpc import Inflow

_ANSWERS = frozenset({"text_delta", "message", "clarification"})
# What it costs to keep an event, beside its bytes: 100 with CPython 3.11, measured.
_OVERHEAD = 128


def _nothing() -> None:
    pass


class Gate:
    """A `BranchEmit` that passes on what a branch says; with `most_bytes` it holds it back until it is opened.

    `on_answer` is told before the first piece of an answer goes through. `on_overflow` is told when more is held back
    than `most_bytes`; without it the oldest is dropped.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        most_bytes: int = 0,
        on_answer: Callable[[], None] = _nothing,
        on_overflow: Callable[[], None] | None = None,
    ) -> None:
        self._emit = emit
        self._open = not most_bytes
        self._most = most_bytes
        self._closed = False
        self._on_answer = on_answer
        self._on_overflow = on_overflow
        self._bytes = 0
        self.held: deque[tuple[bytes | EventBody, Source]] = deque()
        self.answered = False

    @property
    def is_open(self) -> bool:
        """Whether what comes goes through at once."""
        return self._open

    @property
    def full(self) -> bool:
        """Whether what comes has to wait for the caller; what is held back does not."""
        return self._open and self._emit.full

    def hold(self, inflow: Inflow) -> None:
        """As `Emit.hold`."""
        self._emit.hold(inflow)

    def put(self, body: EventBody, source: Source, /) -> None:
        """Sends what the mesh says of the branch."""
        if self._open:
            self._emit.put(body, source)
        elif not self._closed:
            # The mesh says little of a branch: a handover, a failure.
            self.held.append((body, source))

    def relay(self, event: SaidEvent, source: Source, /) -> None:
        """Sends what an agent said."""
        if self._closed:
            return
        if not self.answered and event.kind in _ANSWERS:
            self.answered = True
            self._on_answer()
        if self._open:
            self._emit.relay(event, source)
        else:
            self._keep(event, source)

    def open(self) -> None:
        """Lets through what was held back, and all that comes."""
        self._open = True
        while self.held:
            self.give_next()

    def close(self) -> None:
        """Lets nothing through any more."""
        self._open, self._closed = False, True
        self.held.clear()

    def give_next(self) -> None:
        """Lets the oldest through that is held back."""
        item, source = self.held.popleft()
        if isinstance(item, bytes):
            self._emit.relay(SaidEvent(item), source)
        else:
            self._emit.put(item, source)

    def _keep(self, event: SaidEvent, source: Source) -> None:
        frame = event.frame()
        self.held.append((frame, source))
        self._bytes += len(frame) + _OVERHEAD
        if self._bytes <= self._most:
            return
        if self._on_overflow:
            self._on_overflow()
            return
        while self._bytes > self._most:
            item, _ = self.held.popleft()
            self._bytes -= len(item) + _OVERHEAD if isinstance(item, bytes) else 0
