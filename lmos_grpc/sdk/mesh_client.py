"""A caller's side of the mesh."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.clients.orchestrator_client import OrchestratorClient
from lmos_grpc.domain.turn import CallContext, Lane, Message, RouteHint, Strategy, TurnRequest, User
from lmos_grpc.rpc import open_channel
from lmos_grpc.sdk.event_stream import Answer, unbroken
from lmos_grpc.telemetry import client_interceptors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import timedelta
    from types import TracebackType

    import grpc.aio
    from opentelemetry.trace import Tracer

    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import ClarificationAnswer

DEFAULT_EDGE = "127.0.0.1:8080"


class Wishes(TypedDict, total=False):
    """What a caller may say beside the message; everything is optional.

    `turn_id` is the idempotency key: give it again, with the `conversation_id`, to retry a turn. Without one each call
    is a turn of its own, and without a `conversation_id` a conversation of its own.
    `agent`, `capability`, `version_range` (npm-style) and `strategy` restrict the routing. `lane` asks for the path of
    the answer; the express one needs a mesh where it is open.
    """

    conversation_id: str
    turn_id: str
    agent: str
    capability: str
    version_range: str
    strategy: Strategy
    lane: Lane
    history: Sequence[Message]
    answer: ClarificationAnswer | None
    user: User


class MeshClient:
    """Calls a mesh, or a single agent, at `host:port`, for one tenant and channel.

        async with MeshClient("127.0.0.1:8080", tenant="acme") as mesh:
            print(await mesh.ask("why is my bill so high?"))

    Every method raises the `LmosError` that fits when a call fails. With a tracer every call has a span.
    """

    def __init__(
        self,
        address: str = DEFAULT_EDGE,
        *,
        tenant: str = "",
        channel: str = "",
        subset: str = "",
        tracer: Tracer | None = None,
    ) -> None:
        default = CallContext()
        self._address = address
        self._context = CallContext(tenant or default.tenant, channel or default.channel, subset)
        self._tracer = tracer
        self._stack = AsyncExitStack()
        self._open_channel: grpc.aio.Channel | None = None
        self._agents: AgentClient | None = None

    async def __aenter__(self) -> Self:
        """Opens the channel; calls fail fast while the mesh is away."""
        interceptors = client_interceptors(self._tracer, address=self._address) if self._tracer else ()
        channel = open_channel(self._address, interceptors=interceptors)
        self._open_channel = await self._stack.enter_async_context(channel)
        self._agents = AgentClient(self._open_channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the channel, and cancels the calls that run."""
        self._open_channel = self._agents = None
        await self._stack.aclose()

    def invoke(
        self, message: str | Message, *, timeout: timedelta | None = None, **wishes: Unpack[Wishes]
    ) -> AsyncGenerator[AgentEvent, None]:
        """Runs a turn and streams its events, from `Accepted` to `TurnDone`; a failed turn tells so in an event.

        Closing the generator cancels the turn. A loop that is left early closes it when it is collected; to have it
        closed at once, use `async with contextlib.aclosing(mesh.invoke(...)) as events`.

        Raises:
            AgentStreamBrokenError: the stream lost events, or broke. The same turn id gets them all again.
            LmosError: the turn was refused, or its deadline passed.
        """
        agents = self._agents or AgentClient(self._channel)
        return unbroken(agents.invoke(self._turn(message, wishes), timeout=timeout))

    async def ask(self, message: str | Message, *, timeout: timedelta | None = None, **wishes: Unpack[Wishes]) -> str:
        """Runs a turn and gives the whole answer as text, with the question at its end where one is asked back.

        Raises:
            LmosError: the turn was refused, failed or was cancelled, or its deadline passed.
        """
        answer = Answer()
        async with aclosing(self.invoke(message, timeout=timeout, **wishes)) as events:
            async for event in events:
                answer.take(event)
        answer.raise_if_failed()
        return answer.text

    async def explain(self, message: str | Message, **wishes: Unpack[Wishes]) -> Decision:
        """Who would get the turn, and why, without running it."""
        return await OrchestratorClient(self._channel).explain_route(self._turn(message, wishes))

    async def agents(self) -> tuple[Agent, ...]:
        """All agents of the mesh that serve the tenant, with their live instances."""
        return await DiscoveryClient(self._channel).list_agents(tenant=self._context.tenant)

    @property
    def _channel(self) -> grpc.aio.Channel:
        if self._open_channel is None:
            raise RuntimeError("use the client inside `async with MeshClient(...) as mesh`")
        return self._open_channel

    def _turn(self, message: str | Message, wishes: Wishes) -> TurnRequest:
        return TurnRequest(
            message=Message.from_user(message) if isinstance(message, str) else message,
            conversation_id=wishes.get("conversation_id") or uuid.uuid4().hex,
            turn_id=wishes.get("turn_id") or uuid.uuid4().hex,
            history=tuple(wishes.get("history", ())),
            hint=RouteHint(
                agent=wishes.get("agent", ""),
                capability=wishes.get("capability", ""),
                version_range=wishes.get("version_range", ""),
                strategy=wishes.get("strategy") or Strategy(),
                lane=wishes.get("lane", Lane.UNSPECIFIED),
            ),
            user=wishes.get("user") or User(),
            answer=wishes.get("answer"),
            context=self._context,
        )
