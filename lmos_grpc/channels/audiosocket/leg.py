"""One AudioSocket connection as the leg of a call."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from lmos_grpc.channels.audiosocket.frame import Frame, FrameReader, Kind
from lmos_grpc.channels.speech.pcm import FRAME_BYTES
from lmos_grpc.channels.voice.call_leg import Key
from lmos_grpc.errors import SessionProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

_LOG = logging.getLogger(__name__)
_READ_BYTES = 4_096
_UUID_BYTES = 16
# A peer that takes no audio for two seconds is gone; what it has not taken would only be heard late.
_MOST_UNSENT = 2 * 50 * FRAME_BYTES


class AudioSocketLeg:
    """A `CallLeg`. Frames of the caller are cut to 20 ms, whatever they come in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._early: list[Frame] = []
        self._sound = bytearray()
        self.call_id = ""

    async def open(self, limit: timedelta) -> None:
        """Reads who calls.

        Raises:
            SessionProtocolError: the peer did not say in time, or is no AudioSocket.
        """
        try:
            async with asyncio.timeout(limit.total_seconds()):
                while not self._early:
                    data = await self._reader.read(_READ_BYTES)
                    if not data:
                        raise SessionProtocolError("an AudioSocket was closed before it said which call it is of")
                    self._early += self._frames.feed(data)
        except (TimeoutError, OSError) as error:
            raise SessionProtocolError("an AudioSocket did not say which call it is of") from error
        first = self._early.pop(0)
        if first.kind != Kind.UUID or len(first.payload) != _UUID_BYTES:
            raise SessionProtocolError("an AudioSocket has to begin with the UUID of the call, in 16 bytes")
        self.call_id = str(uuid.UUID(bytes=first.payload))

    async def heard(self) -> AsyncIterator[bytes | Key]:
        """Frames and keys of the caller, until the caller hangs up, which is most often a closed connection."""
        with suppress(OSError):
            early, self._early = self._early, []
            for frame in early:
                for each in self._of(frame):
                    yield each
            while data := await self._reader.read(_READ_BYTES):
                for frame in self._frames.feed(data):
                    if frame.kind in (Kind.HANGUP, Kind.ERROR):
                        return
                    for each in self._of(frame):
                        yield each

    def play(self, frame: bytes) -> None:
        """Plays a frame now."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _MOST_UNSENT:
            _LOG.warning("call %s: the other side takes no audio; it is hung up on", self.call_id)
            self._writer.transport.abort()
            return
        self._writer.write(Frame(Kind.AUDIO_8K, frame).to_bytes())

    async def hang_up(self) -> None:
        """Says that the call is over here: Asterisk then goes on with its dialplan."""
        if self._writer.is_closing():
            return
        self._writer.write(Frame(Kind.HANGUP).to_bytes())
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def _of(self, frame: Frame) -> list[bytes | Key]:
        if frame.kind == Kind.DTMF:
            return [Key(chr(byte)) for byte in frame.payload[:1]]
        if frame.kind != Kind.AUDIO_8K:
            return []
        self._sound += frame.payload
        count = len(self._sound) // FRAME_BYTES
        cut = [bytes(self._sound[at * FRAME_BYTES : (at + 1) * FRAME_BYTES]) for at in range(count)]
        del self._sound[: count * FRAME_BYTES]
        return [*cut]
