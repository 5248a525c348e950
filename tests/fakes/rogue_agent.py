"""An agent that breaks the contract as the message says, on a real socket, with a card that lets it into the mesh.

garbage          bytes that are no message
late garbage     accepted, then bytes that are no message
silence          nothing at all; `given_up` is set when the call is cancelled
after the end    accepted, turn_done, and then text
no accepted      text first
a gap            accepted, then text with a number that is too high
fail             accepted, text, then INTERNAL with text of its own
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from lmos.agent.v1 import agent_card_pb2, agent_event_pb2, agent_service_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Context = grpc.aio.ServicerContext[Any, Any]

_GARBAGE = b"\xff\xff\xff\xff garbage"


class RogueAgent:
    """Its Invoke answers with bytes of its own; the rest is as it should be."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()

    async def card(self, _: bytes, __: Context) -> bytes:
        card = agent_card_pb2.AgentCard(name="rogue-agent", version="1.0.0")
        return agent_service_pb2.GetAgentCardResponse(card=card).SerializeToString()

    async def invoke(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        text = agent_service_pb2.InvokeRequest.FromString(request).message.parts[0].text
        match text:
            case "garbage":
                yield _GARBAGE
            case "late garbage":
                yield _event(1, accepted=agent_event_pb2.Accepted())
                yield _GARBAGE
            case "silence":
                try:
                    await asyncio.Event().wait()
                finally:
                    self.given_up.set()
            case "after the end":
                yield _event(1, accepted=agent_event_pb2.Accepted())
                yield _event(2, turn_done=agent_event_pb2.TurnDone(outcome=agent_event_pb2.OUTCOME_COMPLETED))
                yield _event(3, text_delta=agent_event_pb2.TextDelta(text="too late"))
            case "no accepted":
                yield _event(1, text_delta=agent_event_pb2.TextDelta(text="hello"))
            case "a gap":
                yield _event(1, accepted=agent_event_pb2.Accepted())
                yield _event(5, text_delta=agent_event_pb2.TextDelta(text="hello"))
            case "fail":
                yield _event(1, accepted=agent_event_pb2.Accepted())
                yield _event(2, text_delta=agent_event_pb2.TextDelta(text="half"))
                await context.abort(grpc.StatusCode.INTERNAL, "an error of my own")

    def add_to_server(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "GetAgentCard": grpc.unary_unary_rpc_method_handler(self.card),
            "Invoke": grpc.unary_stream_rpc_method_handler(self.invoke),
        }
        generic = grpc.method_handlers_generic_handler("lmos.agent.v1.AgentService", handlers)
        server.add_generic_rpc_handlers((generic,))


def _event(sequence: int, **member: Any) -> bytes:  # Any: one member of the oneof
    event = agent_event_pb2.AgentEvent(sequence=sequence, **member)
    return agent_service_pb2.InvokeResponse(event=event).SerializeToString()


@asynccontextmanager
async def serving_rogue(agent: RogueAgent) -> AsyncIterator[str]:
    """Serves the agent, with health, until the block ends; gives its address."""
    server = grpc.aio.server()
    agent.add_to_server(server)
    healthy = health.aio.HealthServicer()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
