"""Answers Asterisk before and after a call: who calls comes in, how it ended and where it goes on goes out."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.channels.audiosocket.agi import AgiRequest, set_variable
from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.domain.live_session import CallInfo
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.channels.voice.call_book import CallBook

_LOG = logging.getLogger(__name__)
_LIMIT_SECONDS = 5.0
_LONGEST_LINE = 4_096


@dataclass(slots=True)
class AgiDesk:
    """Two scripts: `begin` tells of a call that will come, `end` asks how it went. Both name its UUID."""

    book: CallBook
    group: asyncio.TaskGroup
    address: str = field(default="", init=False)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Asterisk has opened a connection."""
        self.group.create_task(self._answer(reader, writer))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                await self._talk(reader, writer)
        except (TimeoutError, ValueError, OSError) as error:
            _LOG.warning("an AGI connection was given up: %s", type(error).__name__)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = AgiRequest()
        while not request.complete:
            line = await reader.readline()
            if not line or not request.take(line):
                return
        for name, value in self._variables(request).items():
            writer.write(set_variable(name, value))
            await reader.readline()

    def _variables(self, request: AgiRequest) -> dict[str, str]:
        if request.script == "begin":
            said = request.values
            numbers = [said.get(name, "") for name in ("agi_callerid", "agi_dnid")]
            caller, called = ("" if each == "unknown" else each for each in numbers)
            self.book.announce(CallInfo(request.call_id, caller, called))
            return {}
        result = self.book.result(request.call_id) or CallResult(CallEnd.GAVE_UP)
        return {"LMOS_END": result.end.name, "LMOS_TARGET": result.target, "LMOS_SUMMARY": result.summary}


@asynccontextmanager
async def agi_desk(book: CallBook, address: str) -> AsyncIterator[AgiDesk]:
    """Answers at `host:port` (port 0: any free one) until the block ends.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    host, _, port = address.rpartition(":")
    async with asyncio.TaskGroup() as group:
        desk = AgiDesk(book, group)
        try:
            server = await asyncio.start_server(desk.connected, host, int(port), limit=_LONGEST_LINE)
        except OSError as error:
            raise EnvironmentFaultError(
                f"cannot listen on {address}: {error.strerror}. Choose another port.", address=address
            ) from error
        desk.address = f"{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield desk
        finally:
            server.close()
