"""A wire between two processes that a test can cut."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LAST_TURNS = 5


@dataclass
class TcpRelay:
    """Passes bytes on, until it is cut; then nobody gets through any more."""

    target: str
    group: asyncio.TaskGroup
    address: str = ""
    refuses: bool = False
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Closes everything, as a machine does that loses its power."""
        if self._server:
            self._server.close()
        self.drop()

    def drop(self) -> None:
        """Closes what is open; who comes again gets through."""
        for each in self._writers:
            each.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.group.create_task(self._pass_on(reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._writers += [writer, far_writer]
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, far_writer))
            both.create_task(_pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tcp_relay(target: str) -> AsyncIterator[TcpRelay]:
    """A relay to `host:port`."""
    async with asyncio.TaskGroup() as group:
        relay = TcpRelay(target, group)
        await relay.open()
        try:
            yield relay
        finally:
            relay.cut()
            # Who came in the last moment is in the loop's hands still, and is let go as well.
            for _ in range(_LAST_TURNS):
                await asyncio.sleep(0)
            relay.drop()
