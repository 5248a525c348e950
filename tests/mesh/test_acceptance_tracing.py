"""One turn is one trace, from its caller to the model, however it ends; and nobody's words are in it."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from opentelemetry.trace import format_trace_id

from lmos_grpc import Agent, AgentSettings, LmosError, MeshClient, ModelSettings, Strategy, StrategyKind, serve_agent
from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.domain.event import Outcome, TextDelta, TurnDone
from lmos_grpc.telemetry import start_tracing
from lmos_grpc.traces import SpanKind, summarise
from tests.fakes.model_server import ModelServer, serve_model
from tests.mesh.acceptance import drawn, held, served_by, way_to, whole_trace
from tests.mesh.whole_mesh import LIMIT, agent_settings, billing_agent, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc import EventBody, Turn
    from lmos_grpc.telemetry import Tracing
    from lmos_grpc.traces import Span, Trace

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]
SURNAME = "Zwiebelturm"
TWO_WISHES = f"why is my bill so high, and where is my parcel? I am Mrs {SURNAME}"
EDGE_TO_AGENT = ["caller", "lmos-edge", "lmos-orchestrator", "lmos-internal"]


def parcel_agent() -> Agent:
    """Answers with the words of a model."""
    agent = Agent("parcel-agent", version="1.0.0", description="Knows where parcels are.")

    @agent.capability("find-parcel", version="1.0.0", examples={"en": ["where is my parcel"]})
    async def find_parcel(turn: Turn) -> AsyncIterator[str]:
        async for piece in turn.llm(turn.text):
            yield piece

    return agent


def relay_agent() -> Agent:
    """Asks another agent, and breaks where it is told to."""
    agent = Agent("relay-agent", version="1.0.0", description="Asks others.")

    @agent.capability("relay", version="1.0.0")
    async def relay(turn: Turn) -> AsyncIterator[str | EventBody]:
        async for piece in turn.call(turn.text, capability="explain-bill"):
            yield piece

    @agent.capability("break", version="1.0.0")
    async def break_down(turn: Turn) -> AsyncIterator[str]:
        yield "I shall break. "
        raise RuntimeError(turn.text)

    return agent


@dataclass(frozen=True, slots=True)
class Traced:
    """A mesh whose caller traces, and the model of one of its agents."""

    state: Path
    edge: str
    tracing: Tracing
    model: ModelServer

    def client(self) -> MeshClient:
        return MeshClient(self.edge, tenant="acme", tracer=self.tracing.tracer)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    state = tmp_path_factory.mktemp("traced")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        model = await enter(held(serve_model(ModelServer(pieces=("It is ", f"with {SURNAME}'s neighbour.")))))
        running = await enter(held(whole_mesh(state, billing_agent(), relay_agent())))
        base = agent_settings(running)
        settings = AgentSettings(
            mesh=base.mesh,
            otlp_endpoint=base.otlp_endpoint,
            drain_grace=base.drain_grace,
            model=ModelSettings("tiny", base_url=model.base_url),
        )
        served = await enter(held(serve_agent(parcel_agent(), settings)))
        await served.wait_registered()
        tracing = await enter(start_tracing("caller", endpoint=running.otlp, instance_id="caller-1"))
        yield Traced(state, running.edge, tracing, model)


async def traced(mesh: Traced, text: str, *, capability: str = "", spread: bool = False) -> tuple[str, Outcome]:
    """Runs a turn to its end under a root span of the caller; gives the trace and how the turn ended."""
    strategy = Strategy(StrategyKind.ALL) if spread else Strategy()
    outcome = Outcome.FAILED
    with mesh.tracing.tracer.start_as_current_span("a customer asks") as root:
        async with mesh.client() as client:
            async for event in client.invoke(text, capability=capability, strategy=strategy, timeout=LIMIT):
                if isinstance(event.body, TurnDone):
                    outcome = event.body.outcome
    return format_trace_id(root.get_span_context().trace_id), outcome


def named(trace: Trace, name: str) -> Span:
    """The only span of that name."""
    spans = [span for span in trace.spans if span.name == name]
    assert len(spans) == 1, drawn(trace)
    return spans[0]


async def test_a_turn_of_two_agents_and_a_model_is_one_trace_from_the_caller_to_the_model(mesh: Traced) -> None:
    trace_id, outcome = await traced(mesh, TWO_WISHES, spread=True)
    agents = ("billing-agent", "parcel-agent")
    complete = {*EDGE_TO_AGENT, *agents}
    trace = await whole_trace(
        mesh.state, trace_id, *complete, "chat tiny", *(f"invoke_agent {each}" for each in agents)
    )
    assert outcome is Outcome.COMPLETED
    assert {span.service for span in trace.spans} == complete
    assert [len(served_by(trace, service)) for service in ("lmos-edge", "lmos-orchestrator")] == [1, 1], drawn(trace)
    assert len(served_by(trace, "lmos-internal")) == 2, drawn(trace)
    for agent in agents:
        assert way_to(trace, named(trace, f"invoke_agent {agent}")) == [*EDGE_TO_AGENT, agent]
    model = named(trace, "chat tiny")
    assert way_to(trace, model) == [*EDGE_TO_AGENT, "parcel-agent"]
    assert (model.kind, model.attributes["gen_ai.usage.output_tokens"]) == (SpanKind.CLIENT, 3)
    assert not summarise(trace).error


async def test_a_call_between_agents_is_part_of_the_trace(mesh: Traced) -> None:
    trace_id, _ = await traced(mesh, "why is my bill so high", capability="relay")
    trace = await whole_trace(mesh.state, trace_id, "invoke_agent billing-agent")
    below = ["lmos-internal", "lmos-orchestrator", "lmos-internal", "billing-agent"]
    assert way_to(trace, named(trace, "invoke_agent billing-agent")) == [*EDGE_TO_AGENT, "relay-agent", *below]


async def test_a_cancelled_turn_is_a_whole_trace_down_to_the_model_that_was_stopped(mesh: Traced) -> None:
    mesh.model.hold = True
    with mesh.tracing.tracer.start_as_current_span("a customer hangs up") as root:
        async with mesh.client() as client, aclosing(client.invoke("where is my parcel", timeout=LIMIT)) as events:
            async for event in events:
                if isinstance(event.body, TextDelta):
                    break
    await mesh.model.client_left.wait()
    mesh.model.hold = False
    trace_id = format_trace_id(root.get_span_context().trace_id)
    trace = await whole_trace(mesh.state, trace_id, "chat tiny")
    assert way_to(trace, named(trace, "chat tiny")) == [*EDGE_TO_AGENT, "parcel-agent"]
    for service in ("lmos-orchestrator", "parcel-agent"):
        [call] = served_by(trace, service)
        assert call.attributes["rpc.response.status_code"] == "CANCELLED"
    assert named(trace, "invoke_agent parcel-agent").attributes["lmos.cancelled"] is True


async def test_turns_that_fail_or_are_refused_are_whole_traces_too(mesh: Traced) -> None:
    trace_id, outcome = await traced(mesh, f"I am {SURNAME}", capability="break")
    trace = await whole_trace(mesh.state, trace_id, "invoke_agent relay-agent")
    assert outcome is Outcome.FAILED
    assert summarise(trace).error
    with mesh.tracing.tracer.start_as_current_span("a customer asks nobody") as root:
        async with mesh.client() as client:
            with pytest.raises(LmosError):
                await client.ask(f"I am {SURNAME}", agent="nobody-agent")
    refused_id = format_trace_id(root.get_span_context().trace_id)
    refused = await whole_trace(mesh.state, refused_id, "lmos-orchestrator")
    assert {span.service for span in refused.spans} == {"caller", "lmos-edge", "lmos-orchestrator"}


async def test_nobodys_words_are_in_any_span(mesh: Traced) -> None:
    await traced(mesh, TWO_WISHES, spread=True)
    await traced(mesh, f"I am {SURNAME}", capability="break")
    trace_id, _ = await traced(mesh, TWO_WISHES)
    await whole_trace(mesh.state, trace_id, "chat tiny", "invoke_agent billing-agent")
    with closing(sqlite3.connect(mesh.state / TRACES)) as store:
        kept = [str(row) for row in store.execute("SELECT * FROM spans")]
    assert len(kept) > 20
    said = (SURNAME, "my parcel", "my bill", "neighbour", "42 euros")
    assert [row for row in kept if any(words in row for words in said)] == []
