"""The live session of one call, taken up again when it breaks, as long as that makes sense."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lmos_grpc.domain.live_session import SessionEnded, SessionReady
from lmos_grpc.errors import LmosError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from lmos_grpc.clients.converse_client import ConverseClient, ConverseSession
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import SessionInput, SessionStart
    from lmos_grpc.domain.turn import CallContext

_LOG = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.3
_LONG_SECONDS = 10.0


class MeshLine:
    """`on_event` is given each event, `on_broken` is told of a session that broke and will be opened again."""

    def __init__(
        self,
        client: ConverseClient,
        start: SessionStart,
        context: CallContext,
        *,
        on_event: Callable[[AgentEvent], Awaitable[None]],
        on_ready: Callable[[bool], None],
        on_broken: Callable[[], None],
        connect_limit: timedelta,
        reconnects: int,
    ) -> None:
        self._client = client
        self._start = start
        self._context = context
        self._on_event = on_event
        self._on_ready = on_ready
        self._on_broken = on_broken
        self._connect_limit = connect_limit.total_seconds()
        self._reconnects = reconnects
        self._session: ConverseSession | None = None
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether the mesh has said that the session is open."""
        return self._ready

    def send(self, given: SessionInput) -> bool:
        """Gives an input to the mesh; False where there is no session to give it to."""
        if self._session is None or not self._ready:
            return False
        try:
            self._session.send(given)
        except UnreachableError as error:
            _LOG.warning("a live session is stuck: %s", error)
            self._session.cancel()
            return False
        return True

    async def run(self) -> None:
        """Holds a session until the mesh ends it.

        Raises:
            UnreachableError: it broke more often than it may.
        """
        broken, again, now = 0, False, asyncio.get_running_loop().time
        while broken <= self._reconnects:
            began = now()
            if await self._hold(again=again):
                return
            # A session that was open for a while has used up no patience.
            broken = 1 if now() - began > _LONG_SECONDS else broken + 1
            self._ready, self._session, again = False, None, True
            self._on_broken()
            await asyncio.sleep(_PAUSE_SECONDS)
        raise UnreachableError("the mesh cannot be reached, or breaks off every live session")

    async def _hold(self, *, again: bool) -> bool:
        """Holds one session; whether the mesh ended it in good order."""
        try:
            async with asyncio.timeout(self._connect_limit) as patience:
                async with self._client.session(self._start, self._context) as session:
                    self._session = session
                    async for event in session.events():
                        if isinstance(event.body, SessionReady):
                            patience.reschedule(None)
                            self._ready = True
                            self._on_ready(again)
                        await self._on_event(event)
                        if isinstance(event.body, SessionEnded) and not event.turn_id:
                            return True
        except LmosError as error:
            _LOG.warning("a live session broke: %s", error)
        except TimeoutError:
            _LOG.warning("the mesh did not open a live session within %.1f s", self._connect_limit)
        return False
