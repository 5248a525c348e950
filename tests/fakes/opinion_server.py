"""A chat and embedding model behind the OpenAI API on a real socket: whole answers, as its test says."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmos_grpc.routing.text_features import words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_DIMENSIONS = 64


@dataclass(slots=True)
class OpinionServer:
    """Set what it answers before it is asked. `chosen` is the content of a chat answer; `silent` never answers."""

    chosen: str = '{"department": 1}'
    status: int = 200
    silent: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)  # Any: JSON
    base_url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the one request of a connection."""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
                body = json.loads(await reader.readexactly(int(length.partition(":")[2])))
                self.asked.append(body)
                if self.silent:
                    await reader.read()
                    return
                told = json.dumps(_vectors(body) if "input" in body else _choice(self.chosen)).encode()
                head = f"HTTP/1.1 {self.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode() + told)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def serve_opinion(server: OpinionServer) -> AsyncIterator[OpinionServer]:
    """Serves at a free port until the block ends; `base_url` is where."""
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.base_url = f"http://{host}:{port}/v1"
    async with listening:
        yield server


def _choice(content: str) -> dict[str, Any]:  # Any: JSON
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def _vectors(body: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    data = [
        {"object": "embedding", "index": number, "embedding": _bag(text)} for number, text in enumerate(body["input"])
    ]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _bag(text: str) -> list[float]:
    vector = [0.001] * _DIMENSIONS
    for word in words(text):
        vector[sum(word.encode()) % _DIMENSIONS] += 1.0
    return vector
