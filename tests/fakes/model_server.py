"""An OpenAI-compatible chat server on a real socket, which answers as its test says.

Only what the `openai` client needs of HTTP/1.1: one request a connection, answered as server-sent events.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its path, its headers in lower case, and its body."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]  # Any: JSON


@dataclass(slots=True)
class ModelServer:
    """Set what it answers before it is asked.

    `pieces` are the pieces of the answer. `hold` keeps the stream open after them until the client goes, and then
    sets `client_left`. `breaks` closes the connection after them. A `status` that is not 200 is the whole answer.
    """

    pieces: tuple[str, ...] = ("Hello", " there")
    tokens: tuple[int, int] | None = (12, 3)
    status: int = 200
    hold: bool = False
    breaks: bool = False
    asked: list[Asked] = field(default_factory=list)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    base_url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the one request of a connection."""
        try:
            # A client may open a connection and leave it, and may leave while it is answered.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                self.asked.append(await _request(reader))
                await self._respond(reader, writer)
        finally:
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.status != 200:
            body = json.dumps({"error": {"message": "secret words of the caller", "type": "x"}}).encode()
            writer.write(_head(self.status, "application/json", f"Content-Length: {len(body)}") + body)
            return
        writer.write(_head(200, "text/event-stream", "Transfer-Encoding: chunked"))
        for piece in self.pieces:
            writer.write(_event(_chunk(piece)))
            await writer.drain()
        if self.hold:
            await reader.read()
            self.client_left.set()
            return
        if not self.breaks:
            self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_event(_chunk("", finish="stop")))
        if self.tokens:
            usage = {
                "prompt_tokens": self.tokens[0],
                "completion_tokens": self.tokens[1],
                "total_tokens": sum(self.tokens),
            }
            writer.write(_event({**_chunk(""), "choices": [], "usage": usage}))
        writer.write(_chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")


@asynccontextmanager
async def serve_model(server: ModelServer) -> AsyncIterator[ModelServer]:
    """Serves at a free port until the block ends; `base_url` is where."""
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.base_url = f"http://{host}:{port}/v1"
    async with listening:
        yield server


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split(" ")[1], headers, json.loads(body))


def _head(status: int, content_type: str, length: str) -> bytes:
    return f"HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nConnection: close\r\n{length}\r\n\r\n".encode()


def _chunk(text: str, *, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1.5", "choices": [choice]}


def _event(payload: dict[str, Any]) -> bytes:
    return _chunked(f"data: {json.dumps(payload)}\n\n".encode())


def _chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
