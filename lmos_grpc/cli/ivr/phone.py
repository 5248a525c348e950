"""A telephone that speaks AudioSocket as Asterisk does, with a script instead of a person."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from lmos_grpc.channels.audiosocket.frame import Frame, FrameReader, Kind
from lmos_grpc.channels.speech.pcm import FRAME_BYTES, SILENCE, frames_of
from lmos_grpc.cli.ivr.call_record import FRAME_SECONDS, CallRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_READ_BYTES = 4_096


class Phone:
    """One call. What is said is paced as on a line; silence is sent all the time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.call_id = str(uuid.uuid4())
        self.record = CallRecord()
        self.hung_up = asyncio.Event()
        self.said_goodbye = False
        self._reader = reader
        self._writer = writer
        self._to_say: deque[bytes] = deque()
        self._news = asyncio.Condition()
        self.now = asyncio.get_running_loop().time

    async def say(self, pcm: bytes) -> tuple[float, float]:
        """Says it; gives when its first and its last frame with sound went out."""
        pcm = frames_of(pcm)
        self._to_say += [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
        said, first = self.record.said, len(self.record.said.times)
        await self.until(lambda: not self._to_say)
        sounds = [at for at, audible in zip(said.times[first:], said.audible[first:], strict=True) if audible]
        return (sounds[0], sounds[-1]) if sounds else (self.now(), self.now())

    def press(self, digits: str) -> float:
        """Presses keys; gives when the last one was pressed."""
        for digit in digits:
            self._writer.write(Frame(Kind.DTMF, digit.encode()).to_bytes())
        return self.now()

    async def hang_up(self) -> None:
        """Closes the connection without a word, as Asterisk does."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def until(self, holds: Callable[[], bool], limit: float = 20.0) -> None:
        """Waits for a condition of the call.

        Raises:
            TimeoutError: it did not come.
        """
        async with asyncio.timeout(limit), self._news:
            await self._news.wait_for(holds)

    async def hear_sound_after(self, at: float, limit: float = 20.0) -> float:
        """Waits for the first sound after a moment; gives when it was heard.

        Raises:
            TimeoutError: there was none.
        """
        heard = self.record.heard
        await self.until(lambda: heard.first_sound_after(at) is not None, limit)
        return heard.first_sound_after(at) or at

    async def hear_silence_after(self, at: float, *, lasting: float = 0.6, limit: float = 60.0) -> float:
        """Waits for silence after a moment that lasts so long; gives when it began.

        Raises:
            TimeoutError: there was none.
        """
        heard = self.record.heard
        await self.until(lambda: heard.silence_after(at, lasting=lasting) is not None, limit)
        return heard.silence_after(at, lasting=lasting) or at

    async def talk(self) -> None:
        """Sends what is to be said, and silence, 50 times a second."""
        self._writer.write(Frame(Kind.UUID, uuid.UUID(self.call_id).bytes).to_bytes())
        due = self.now()
        while not self.hung_up.is_set():
            pcm = self._to_say.popleft() if self._to_say else SILENCE
            if not self._writer.is_closing():
                self._writer.write(Frame(Kind.AUDIO_8K, pcm).to_bytes())
            self.record.said.add(self.now(), pcm)
            await self._tell()
            due += FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - self.now()))

    async def listen(self) -> None:
        """Takes in what is to be heard, until the other side hangs up."""
        frames = FrameReader()
        with suppress(OSError):
            while data := await self._reader.read(_READ_BYTES):
                for frame in frames.feed(data):
                    if frame.kind == Kind.AUDIO_8K:
                        self.record.heard.add(self.now(), frame.payload)
                    self.said_goodbye = self.said_goodbye or frame.kind == Kind.HANGUP
                await self._tell()
        self.hung_up.set()
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def phone_call(address: str) -> AsyncIterator[Phone]:
    """Calls a voice edge at `host:port`; the call is over at the end of the block."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    phone = Phone(reader, writer)
    async with asyncio.TaskGroup() as group:
        group.create_task(phone.listen())
        group.create_task(phone.talk())
        try:
            yield phone
        finally:
            await phone.hang_up()
