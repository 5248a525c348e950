"""A caller through Webex Contact Center: opens calls of one conversation as Webex does, its odd ways included."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmos_grpc.channels.byova.messages import (
    SERVICE,
    ListVARequest,
    ListVAResponse,
    VoiceVARequest,
    VoiceVAResponse,
    number_of,
)
from lmos_grpc.channels.speech.g711 import Coding, encoded
from lmos_grpc.channels.speech.pcm import FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio

_KEYS = "1234567890ABCD*#"
_LIMIT = 20.0


@dataclass
class WebexReplies:
    """What came of one call."""

    messages: list[Any] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """The response types, in their order."""
        names = {number_of("VoiceVAResponse.ResponseType", name): name for name in ("FINAL", "PARTIAL", "CHUNK")}
        return [names[each.response_type] for each in self.messages]

    @property
    def events(self) -> list[str]:
        """The events, in their order."""
        known = ("SESSION_END", "TRANSFER_TO_AGENT", "START_OF_INPUT", "END_OF_INPUT", "NO_MATCH", "NO_INPUT")
        names = {number_of("OutputEvent.EventType", name): name for name in known}
        return [names[event.event_type] for each in self.messages for event in each.output_events]

    @property
    def sound(self) -> bytes:
        """All sound, one piece after the other."""
        return b"".join(prompt.audio_content for each in self.messages for prompt in each.prompts)

    @property
    def text(self) -> str:
        """The text of the last message."""
        return " ".join(prompt.text for prompt in self.messages[-1].prompts)

    @property
    def last(self) -> Any:
        """The last message."""
        return self.messages[-1]


class WebexTurn:
    """One call of Webex that is open."""

    def __init__(
        self, process: Any, metadata: tuple[tuple[str, str], ...], conversation_id: str, agent_id: str
    ) -> None:
        self._to_send: asyncio.Queue[Any] = asyncio.Queue(8)
        # Not by writing: where the other side has completed the call, gRPC lets an iterator end and a write fail.
        self._call = process(self._requests(), metadata=metadata)
        self._responses = aiter(self._call)
        self._ids = {"conversation_id": conversation_id, "customer_org_id": "org-1", "virtual_agent_id": agent_id}
        self.replies = WebexReplies()

    async def send(self, **given: Any) -> None:
        """One message, with what it brings."""
        await self._to_send.put(VoiceVARequest(**self._ids, **given))

    async def event(self, name: str) -> None:
        """An event."""
        await self.send(event_input={"event_type": number_of("EventInput.EventType", name)})

    async def keys(self, digits: str) -> None:
        """Keys, as Webex has collected them."""
        await self.send(dtmf_input={"dtmf_events": [_KEYS.index(digit) + 1 for digit in digits]})

    async def speak(self, pcm: bytes, coding: Coding = Coding.MULAW) -> None:
        """Speech: a first message with the format and no sound, one with too little, then sound without a format."""
        await self.send(audio_input={"encoding": _number(coding), "sample_rate_hertz": 8_000})
        await self.send(audio_input={"caller_audio": b"\xff" * 15})
        for at in range(0, len(pcm), FRAME_BYTES):
            if "END_OF_INPUT" in self.replies.events:
                break
            await self.send(audio_input={"caller_audio": encoded(pcm[at : at + FRAME_BYTES], coding)})

    async def half_close(self) -> None:
        """Says that no more comes."""
        await self._to_send.put(None)

    async def next(self) -> Any:
        """The next message; None at the end."""
        async with asyncio.timeout(_LIMIT):
            message = await anext(self._responses, None)
        if message is None:
            return None
        self.replies.messages.append(message)
        return message

    async def until_event(self, name: str) -> None:
        """Reads on until an event comes."""
        while name not in self.replies.events:
            assert await self.next() is not None, f"the call ended without {name}"

    async def to_the_end(self) -> WebexReplies:
        """Reads everything that is left."""
        while await self.next() is not None:
            pass
        return self.replies

    @property
    def is_answered(self) -> bool:
        """Whether the last message is the end of an answer, and not one that tells that the caller speaks."""
        return self.replies.kinds[-1] == "FINAL" and self.replies.events[-1:] != ["START_OF_INPUT"]

    async def _requests(self) -> AsyncIterator[Any]:
        while (request := await self._to_send.get()) is not None:
            yield request

    def cancel(self) -> None:
        """Goes away in the middle, as a client does whose observer broke."""
        self._call.cancel()

    async def code(self) -> grpc.StatusCode:
        """How the call ended."""
        code: grpc.StatusCode = await self._call.code()
        return code


def _number(coding: Coding) -> int:
    return number_of("VoiceInput.VoiceEncoding", f"{coding.name}_FORMAT")


class WebexCaller:
    """One conversation."""

    def __init__(self, channel: grpc.aio.Channel, conversation_id: str, *, agent_id: str = "", token: str = "") -> None:
        self.conversation_id = conversation_id
        self._agent_id = agent_id
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        # The messages' classes are made at run time, so the stub is too.
        self._process: Any = channel.stream_stream(
            f"/{SERVICE}/ProcessCallerInput",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=VoiceVAResponse.FromString,
        )
        self._list: Any = channel.unary_unary(
            f"/{SERVICE}/ListVirtualAgents",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=ListVAResponse.FromString,
        )

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[WebexTurn]:
        """A call of the conversation."""
        turn = WebexTurn(self._process, self._metadata, self.conversation_id, self._agent_id)
        try:
            yield turn
        finally:
            turn.cancel()

    async def happening(self, name: str) -> WebexReplies:
        """A whole call with one event: half-closed at once, as Webex does."""
        async with self.turn() as turn:
            await turn.event(name)
            await turn.half_close()
            return await turn.to_the_end()

    async def type(self, digits: str) -> WebexReplies:
        """Keys in two calls; the first is not half-closed before something came back."""
        async with self.turn() as first:
            await first.event("START_OF_DTMF")
            assert await first.next() is not None
            await first.half_close()
            await first.to_the_end()
        async with self.turn() as second:
            await second.keys(digits)
            await second.half_close()
            return await second.to_the_end()

    async def say(self, pcm: bytes, coding: Coding = Coding.MULAW) -> WebexReplies:
        """A whole call of speech with silence after it, until the other side has completed it."""
        async with self.turn() as turn:
            async with asyncio.TaskGroup() as group:
                speaking = group.create_task(turn.speak(pcm, coding))
                while not turn.replies.messages or not turn.is_answered:
                    await turn.next()
                speaking.cancel()
            await turn.half_close()
            return await turn.to_the_end()

    async def agents(self) -> list[tuple[str, bool]]:
        """The virtual agents to choose from, and whether each is the default."""
        response = await self._list(ListVARequest(customer_org_id="org-1"), metadata=self._metadata)
        return [(each.virtual_agent_id, each.is_default) for each in response.virtual_agents]
