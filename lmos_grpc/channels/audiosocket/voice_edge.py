"""The voice edge: answers AudioSocket connections, a call each."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.audiosocket.leg import AudioSocketLeg
from lmos_grpc.channels.voice.voice_call import VoiceCall
from lmos_grpc.errors import EnvironmentFaultError, SessionProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.channels.voice.call_parts import CallParts

_LOG = logging.getLogger(__name__)
_OPEN_LIMIT = timedelta(seconds=2)


@dataclass(slots=True)
class VoiceEdge:
    """Holds calls, `max_calls` at once; one too many is given back to the telephone system at once."""

    parts: CallParts
    group: asyncio.TaskGroup
    max_calls: int = 200
    calls: int = 0
    address: str = field(default="", init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A telephone system has opened a connection."""
        task = self.group.create_task(self._hold(AudioSocketLeg(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Whatever became of the call, even where it was cancelled before it began.
        task.add_done_callback(lambda _: writer.close())

    async def drain(self, limit: timedelta) -> None:
        """Lets calls come to their end for so long, and hangs up on those that are left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit.total_seconds())
        for task in self._tasks:
            task.cancel()

    async def _hold(self, leg: AudioSocketLeg) -> None:
        try:
            await leg.open(_OPEN_LIMIT)
        except SessionProtocolError as error:
            _LOG.warning("%s", error)
            await leg.hang_up()
            return
        if self.calls >= self.max_calls:
            _LOG.error("call %s: there are %d calls already, which is the most", leg.call_id, self.calls)
            await leg.hang_up()
            return
        self.calls += 1
        try:
            result = await VoiceCall(leg, self.parts, info=self.parts.book.announced(leg.call_id)).run()
        except Exception:  # noqa: BLE001 # the edge of the call: a defect that ends one must not end all the others
            _LOG.exception("call %s failed", leg.call_id)
        else:
            _LOG.info("call %s: %s", leg.call_id, result.end.value)
        finally:
            self.calls -= 1


@asynccontextmanager
async def voice_edge(
    parts: CallParts, address: str, *, max_calls: int = 200, drain: timedelta = timedelta(0)
) -> AsyncIterator[VoiceEdge]:
    """Answers calls at `host:port` (port 0: any free one) until the block ends; those that run then get `drain`.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    host, _, port = address.rpartition(":")
    async with asyncio.TaskGroup() as group:
        edge = VoiceEdge(parts, group, max_calls)
        try:
            server = await asyncio.start_server(edge.connected, host, int(port))
        except OSError as error:
            raise EnvironmentFaultError(
                f"cannot listen on {address}: {error.strerror}. Choose another port.", address=address
            ) from error
        edge.address = f"{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield edge
        finally:
            server.close()
            await edge.drain(drain)
