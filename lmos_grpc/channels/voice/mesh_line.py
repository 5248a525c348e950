"""The live session of one call: where its stream ends and it does not, it is taken up by another one."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.outbox import Outbox
from lmos_grpc.domain.live_session import GoAway, SessionEnded, SessionReady
from lmos_grpc.errors import LmosError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lmos_grpc.clients.converse_client import ConverseClient, ConverseSession
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import SessionInput, SessionStart
    from lmos_grpc.domain.turn import CallContext

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_LONG_SECONDS = 10.0


class Opened(Enum):
    """What a session is that the mesh has just opened."""

    FIRST = "the first of the call"
    RESUMED = "the one that was there before"
    ANEW = "a new one, for the one before is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePatience:
    """`connect`: for the mesh to answer at all, in each attempt and at the beginning of a call. `away`: for a mesh that
    was there to come back. `breaks`: so many streams may break in a row, each a moment after it was opened.
    """

    connect: timedelta = timedelta(seconds=3)
    away: timedelta = timedelta(seconds=15)
    breaks: int = 3


class MeshLine:
    """`on_event` is given each event, `on_open` is told of each session, `on_broken` of a stream that broke."""

    def __init__(
        self,
        client: ConverseClient,
        start: SessionStart,
        context: CallContext,
        *,
        on_event: Callable[[AgentEvent], Awaitable[None]],
        on_open: Callable[[Opened], None],
        on_broken: Callable[[], None],
        patience: LinePatience,
    ) -> None:
        self._client = client
        self._start = start
        self._context = context
        self._on_event = on_event
        self._on_open = on_open
        self._on_broken = on_broken
        self._patience = patience
        self._session: ConverseSession | None = None
        self._outbox = Outbox()
        self._token = ""
        self._last_event = 0
        self._was_open = self._sent_away = False
        self._opened_at: float | None = None
        self._now = asyncio.get_running_loop().time

    def send(self, given: SessionInput) -> bool:
        """Gives an input to the mesh, or keeps it until the session is taken up again.

        False where there has been no session yet to give it to.
        """
        if not self._was_open:
            return False
        number = self._outbox.add(given)
        if self._session:
            self._offer(self._session, given, number)
        return True

    async def run(self) -> None:
        """Holds the session until the mesh ends it.

        Raises:
            UnreachableError: the mesh cannot be reached, or breaks off every stream.
        """
        until, breaks, pause = self._now() + self._patience.connect.total_seconds(), 0, _FIRST_PAUSE_SECONDS
        while not await self._hold():
            if self._opened_at is not None:
                # A session that was open for a while has used up no patience.
                breaks = breaks + 1 if self._now() - self._opened_at < _LONG_SECONDS else 1
                breaks = 0 if self._sent_away else breaks
                until, pause = self._now() + self._patience.away.total_seconds(), _FIRST_PAUSE_SECONDS
                self._on_broken()
            if breaks > self._patience.breaks or self._now() >= until:
                raise UnreachableError("the mesh cannot be reached, or breaks off every live session")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _hold(self) -> bool:
        """Holds one stream; whether the mesh ended the session with it."""
        self._opened_at, self._sent_away = None, False
        try:
            return await self._read()
        except LmosError as error:
            _LOG.warning("the stream of a live session broke: %s", error)
        except TimeoutError:
            _LOG.warning("the mesh did not open a live session within %s", self._patience.connect)
        finally:
            self._session = None
        return False

    async def _read(self) -> bool:
        start = replace(self._start, resume_token=self._token, last_sequence=self._last_event)
        async with (
            asyncio.timeout(self._patience.connect.total_seconds()) as patience,
            self._client.session(start, self._context) as session,
        ):
            async for event in session.events():
                if isinstance(event.body, SessionReady):
                    patience.reschedule(None)
                    self._open(session, event.body)
                await self._on_event(event)
                self._last_event = max(self._last_event, event.sequence)
                if isinstance(event.body, GoAway):
                    self._sent_away = True
                if isinstance(event.body, SessionEnded) and not event.turn_id:
                    return True
        return False

    def _open(self, session: ConverseSession, ready: SessionReady) -> None:
        again = Opened.RESUMED if ready.resumed else Opened.ANEW
        opened = again if self._was_open else Opened.FIRST
        self._was_open = True
        self._session, self._token, self._opened_at = session, ready.resume_token, self._now()
        if opened is Opened.RESUMED:
            for number, given in self._outbox.after(ready.last_input_sequence):
                self._offer(session, given, number)
        else:
            # What was meant for the session that is gone means nothing to this one.
            self._outbox.clear()
            self._last_event = 0
        self._on_open(opened)

    def _offer(self, session: ConverseSession, given: SessionInput, number: int) -> None:
        try:
            session.send(given, number)
        except UnreachableError as error:
            _LOG.warning("a live session is stuck: %s", error)
            session.cancel()
