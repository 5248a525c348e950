"""An agent as a stranger would write it, from the generated stubs alone: a real server that does as the message says.

    anything      accepted, the agent's own label as text, turn_done
    wait          accepted, then nothing until `go_on` is set
    say nothing   nothing, not even accepted, until `go_on` is set
    count N       accepted, then text 1 … N, each as soon as `steps` lets it, turn_done
    fail early    UNAVAILABLE before the first event
    fail late     accepted, then UNAVAILABLE

A live session echoes what is typed, and ends with UNAVAILABLE at `fail early`.

Run as a program it prints its address and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from lmos.agent.v1 import agent_card_pb2, agent_event_pb2, agent_service_pb2, agent_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Context = grpc.aio.ServicerContext[Any, Any]


class PlainAgent(agent_service_pb2_grpc.AgentServiceServicer):
    """Its calls are noted in `calls`, each as its metadata, and what they said in `said`.

    `label` tells it from other instances.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.address = ""
        self.calls: list[dict[str, str | bytes]] = []
        self.said: list[str] = []
        self.go_on = asyncio.Event()
        self.steps = asyncio.Semaphore(0)
        self.health = health.aio.HealthServicer()

    async def GetAgentCard(  # noqa: N802 - the name in the contract
        self, request: agent_service_pb2.GetAgentCardRequest, context: Context
    ) -> agent_service_pb2.GetAgentCardResponse:
        del request
        self._note(context)
        return agent_service_pb2.GetAgentCardResponse(card=agent_card_pb2.AgentCard(name=self.label, version="1.0.0"))

    async def Invoke(  # noqa: N802 - the name in the contract
        self, request: agent_service_pb2.InvokeRequest, context: Context
    ) -> AsyncIterator[agent_service_pb2.InvokeResponse]:
        self._note(context)
        said = request.message.parts[0].text if request.message.parts else ""
        self.said.append(said)
        if said == "fail early":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if said == "say nothing":
            await self.go_on.wait()
        sequence = 1
        async for event in self._answer(said, context):
            event.sequence = sequence
            yield agent_service_pb2.InvokeResponse(event=event)
            sequence += 1

    async def Converse(  # noqa: N802 - the name in the contract
        self, requests: AsyncIterator[agent_service_pb2.ConverseRequest], context: Context
    ) -> AsyncIterator[agent_service_pb2.ConverseResponse]:
        self._note(context)
        async for request in requests:
            if request.user_text.text == "fail early":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            delta = agent_event_pb2.TextDelta(text=request.user_text.text)
            event = agent_event_pb2.AgentEvent(sequence=request.sequence, text_delta=delta)
            yield agent_service_pb2.ConverseResponse(event=event)

    async def _answer(self, said: str, context: Context) -> AsyncIterator[agent_event_pb2.AgentEvent]:
        yield agent_event_pb2.AgentEvent(accepted=agent_event_pb2.Accepted())
        if said == "wait":
            await self.go_on.wait()
        if said == "fail late":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broke down")
        if said.startswith("count "):
            for number in range(1, int(said.removeprefix("count ")) + 1):
                await self.steps.acquire()
                yield agent_event_pb2.AgentEvent(text_delta=agent_event_pb2.TextDelta(text=str(number)))
        yield agent_event_pb2.AgentEvent(text_delta=agent_event_pb2.TextDelta(text=self.label))
        done = agent_event_pb2.TurnDone(outcome=agent_event_pb2.OUTCOME_COMPLETED)
        yield agent_event_pb2.AgentEvent(turn_done=done)

    def _note(self, context: Context) -> None:
        self.calls.append(dict(context.invocation_metadata() or ()))


@asynccontextmanager
async def serving(agent: PlainAgent, address: str = "127.0.0.1:0") -> AsyncIterator[PlainAgent]:
    """Serves the agent, with health, until the block ends; then at once no more."""
    server = grpc.aio.server()
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(agent, server)
    health_pb2_grpc.add_HealthServicer_to_server(agent.health, server)
    await agent.health.set("", health_pb2.HealthCheckResponse.SERVING)
    agent.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    await server.start()
    try:
        yield agent
    finally:
        await server.stop(0)


async def _main(label: str) -> None:
    async with serving(PlainAgent(label)) as agent:
        sys.stdout.write(f"{agent.address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
