"""A caller's side of a live session, written by hand over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceStub

from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos.agent.v1 import agent_event_pb2 as event_pb

LIMIT = 5


class LiveCaller:
    """One stream of a live session."""

    def __init__(self, call: Any) -> None:  # Any: grpc.aio's stubs and its calls disagree
        self._call = call
        self.ready = live_pb.SessionReady()
        self.last = 0

    async def start(self, **start: Any) -> live_pb.SessionReady:  # Any: the fields of a message
        await self.say(start=live_pb.SessionStart(**start))
        self.ready = (await self.hear()).session_ready
        return self.ready

    async def say(self, *, sequence: int = 0, **member: Any) -> None:  # Any: one member of the oneof
        await self._call.write(pb.ConverseRequest(sequence=sequence, **member))

    async def text(self, text: str, turn_id: str = "", *, sensitive: bool = False, sequence: int = 0) -> None:
        said = live_pb.UserText(text=text, is_final=True, turn_id=turn_id, sensitive=sensitive)
        await self.say(user_text=said, sequence=sequence)

    async def keys(self, digits: str, turn_id: str = "") -> None:
        await self.say(dtmf=live_pb.Dtmf(digits=digits, complete=True, turn_id=turn_id))

    async def hear(self) -> event_pb.AgentEvent:
        response = await asyncio.wait_for(self._call.read(), LIMIT)
        assert response is not grpc.aio.EOF, await self._call.code()
        event: event_pb.AgentEvent = response.event
        self.last = event.sequence or self.last
        return event

    async def hear_until(self, kind: str) -> list[event_pb.AgentEvent]:
        heard = [await self.hear()]
        while heard[-1].WhichOneof("event") != kind:
            heard.append(await self.hear())
        return heard

    async def ask(self, text: str, turn_id: str = "") -> list[event_pb.AgentEvent]:
        """A whole turn."""
        await self.text(text, turn_id)
        return await self.hear_until("turn_done")

    async def lane(self) -> str:
        """The lane that the stream took."""
        return str(dict(await self._call.initial_metadata()).get("x-lmos-lane", ""))

    async def half_close(self) -> None:
        await self._call.done_writing()

    async def reset(self) -> None:
        """The line goes dead."""
        self._call.cancel()
        with suppress(asyncio.CancelledError):
            await self._call.code()

    async def rest(self) -> list[event_pb.AgentEvent]:
        """What comes until the stream ends."""
        heard = []
        while (response := await asyncio.wait_for(self._call.read(), LIMIT)) is not grpc.aio.EOF:
            heard.append(response.event)
        return heard

    async def ends(self) -> grpc.StatusCode:
        with suppress(grpc.aio.AioRpcError):
            await self.rest()
        code: grpc.StatusCode = await self._call.code()
        return code


@asynccontextmanager
async def live_caller(
    address: str, *, tenant: str = "", agent: str = "", on: grpc.aio.Channel | None = None
) -> AsyncIterator[LiveCaller]:
    """A stream that was not started yet; it is reset at the end of the block."""
    pairs = (("x-lmos-tenant", tenant), ("x-lmos-agent", agent))
    metadata = tuple(pair for pair in pairs if pair[1])
    async with open_channel(address) as own:
        call: Any = AgentServiceStub(on or own).Converse  # Any: the stub knows only the iterator form
        caller = LiveCaller(call(metadata=metadata))
        yield caller
        await caller.reset()


def text_of(events: list[event_pb.AgentEvent]) -> str:
    """All that was said."""
    return "".join(each.text_delta.text for each in events)
