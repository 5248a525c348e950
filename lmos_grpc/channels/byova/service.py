"""The handlers of Webex's VoiceVirtualAgent."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from lmos_grpc.channels.byova.conversation import DEFAULT_AGENT, ByovaConversation
from lmos_grpc.channels.byova.messages import SERVICE, ListVARequest, VoiceVARequest
from lmos_grpc.channels.byova.webex_call import WebexCall
from lmos_grpc.channels.byova.wire import agents_to_wire, input_from_wire, reply_to_wire
from lmos_grpc.errors import InvalidRequestError, QuotaExceededError
from lmos_grpc.rpc.writing import write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.channels.byova.caller_input import CallerInput
    from lmos_grpc.channels.byova.conversation import ByovaParts
    from lmos_grpc.channels.byova.jws import JwsCheck
    from lmos_grpc.channels.byova.reply import Reply
    from lmos_grpc.rpc.typing import Context

_LOG = logging.getLogger(__name__)
_SWEEP_SECONDS = 30.0
_END_SECONDS = 0.1


@dataclass(slots=True)
class VirtualAgent:
    """The conversations that go on. `agents` tells which agents a flow may choose beside the mesh as a whole."""

    parts: ByovaParts
    group: asyncio.TaskGroup
    agents: Callable[[], Awaitable[list[str]]]
    check: JwsCheck | None = None
    conversations: dict[str, ByovaConversation] = field(default_factory=dict)

    async def process_caller_input(self, requests: AsyncIterator[Any], context: Context) -> None:
        """One turn of a conversation."""
        self._require_webex(context)
        inputs = _inputs(requests)
        first = await anext(inputs, None)
        if first is None:
            return
        conversation = self._conversation(first)

        async def send(reply: Reply) -> None:
            conversation.touch()
            await write(context, reply_to_wire(reply))

        await WebexCall(conversation, self.parts, send).run(_chain(first, inputs))
        await _rest_of(inputs)

    async def list_virtual_agents(self, request: Any, context: Context) -> Any:
        """The whole mesh, which finds the agent for each turn, and each agent by itself."""
        del request
        self._require_webex(context)
        names = [(DEFAULT_AGENT, "Service desk"), *((name, name) for name in await self.agents())]
        return agents_to_wire(names, DEFAULT_AGENT)

    async def sweep(self) -> None:
        """Ends conversations of which nothing was heard for long."""
        limit = self.parts.settings.idle_limit.total_seconds()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for each in list(self.conversations.values()):
                if each.idle_seconds > limit:
                    each.end()

    def _require_webex(self, context: Context) -> None:
        if self.check:
            self.check.require(dict(context.invocation_metadata() or ()))

    def _conversation(self, first: CallerInput) -> ByovaConversation:
        if not first.conversation_id:
            raise InvalidRequestError("a call of Webex has no conversation id", field="conversation_id")
        if known := self.conversations.get(first.conversation_id):
            known.touch()
            return known
        if len(self.conversations) >= self.parts.settings.max_conversations:
            raise QuotaExceededError(f"there are {len(self.conversations)} conversations, which is the most")
        conversation = self.conversations[first.conversation_id] = ByovaConversation(first, self.parts)
        self.group.create_task(self._hold(first.conversation_id, conversation))
        return conversation

    async def _hold(self, conversation_id: str, conversation: ByovaConversation) -> None:
        try:
            await conversation.run()
        finally:
            if self.conversations.get(conversation_id) is conversation:
                del self.conversations[conversation_id]


@asynccontextmanager
async def virtual_agent(
    parts: ByovaParts, agents: Callable[[], Awaitable[list[str]]], *, check: JwsCheck | None = None
) -> AsyncIterator[VirtualAgent]:
    """A virtual agent until the block ends, which ends its conversations."""
    async with asyncio.TaskGroup() as group:
        made = VirtualAgent(parts, group, agents, check)
        sweeping = group.create_task(made.sweep())
        try:
            yield made
        finally:
            sweeping.cancel()
            for each in list(made.conversations.values()):
                each.end()


def add_virtual_agent(server: grpc.aio.Server, agent: VirtualAgent) -> None:
    """Adds the service to a server."""
    handlers = {
        "ProcessCallerInput": grpc.stream_stream_rpc_method_handler(
            agent.process_caller_input,
            request_deserializer=VoiceVARequest.FromString,
            response_serializer=_serialised,
        ),
        "ListVirtualAgents": grpc.unary_unary_rpc_method_handler(
            agent.list_virtual_agents,
            request_deserializer=ListVARequest.FromString,
            response_serializer=_serialised,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def _serialised(message: Any) -> bytes:
    serialised: bytes = message.SerializeToString()
    return serialised


async def _inputs(requests: AsyncIterator[Any]) -> AsyncIterator[CallerInput]:
    async for request in requests:
        yield input_from_wire(request)


async def _rest_of(inputs: AsyncIterator[CallerInput]) -> None:
    """Takes in what is under way: a client may fail that sends into a call which is just being completed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            async for _ in inputs:
                pass


async def _chain(first: CallerInput, rest: AsyncIterator[CallerInput]) -> AsyncIterator[CallerInput]:
    yield first
    async for each in rest:
        yield each
