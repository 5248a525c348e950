"""Agents as their authors write them, served and called over real sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from lmos.agent.v1 import agent_event_pb2, agent_service_pb2, agent_service_pb2_grpc, decision_pb2, message_pb2

from lmos_grpc import (
    Agent,
    AgentSettings,
    Clarification,
    ClarificationAnswer,
    Failure,
    Handover,
    MeshClient,
    Message,
    MessageDone,
    Outcome,
    Status,
    TextDelta,
    ToolCall,
    TurnDone,
    Usage,
    User,
    capability,
    serve_agent,
)
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import (
    EnvironmentFaultError,
    InvalidCardError,
    InvalidConfigurationError,
    ModelNotConfiguredError,
    NoHealthyInstanceError,
    QuotaExceededError,
    UnknownCapabilityError,
)
from lmos_grpc.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

    from lmos_grpc import (
        EventBody,
        Turn,
    )
    from lmos_grpc.sdk.offer import CapabilityFunction

ALONE = AgentSettings(mesh=None, drain_timeout=timedelta(seconds=2))
LIMIT = timedelta(seconds=10)


def agent_that(function: CapabilityFunction, *, may_hand_over: bool = False) -> Agent:
    agent = Agent("billing-agent", version="1.2.0", may_hand_over=may_hand_over)
    agent.capability("explain-bill", version="1.0.0")(function)
    return agent


@asynccontextmanager
async def calling(agent: Agent, settings: AgentSettings = ALONE) -> AsyncIterator[MeshClient]:
    async with serve_agent(agent, settings) as served, MeshClient(served.address) as client:
        yield client


async def bodies_of(function: CapabilityFunction, *, may_hand_over: bool = False) -> list[EventBody]:
    async with calling(agent_that(function, may_hand_over=may_hand_over)) as client:
        return [event.body async for event in client.invoke("hi", timeout=LIMIT)][1:]


def done(bodies: list[EventBody]) -> TurnDone:
    assert isinstance(bodies[-1], TurnDone)
    return bodies[-1]


async def say(turn: Turn) -> AsyncIterator[str]:
    for word in ("your ", "", "bill: ", turn.text):
        yield word


async def test_a_generated_stub_gets_the_whole_framing() -> None:
    async with (
        serve_agent(agent_that(say), ALONE) as served,
        grpc.aio.insecure_channel(served.address) as channel,
    ):
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]
        request = agent_service_pb2.InvokeRequest(
            turn_id="t1",
            message=message_pb2.Message(parts=[message_pb2.Part(text="12 EUR")]),
            route_hint=decision_pb2.RouteHint(capability="explain-bill"),
        )
        events = [response.event async for response in stub.Invoke(request, timeout=10)]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.WhichOneof("event") for event in events] == [
        "accepted",
        "text_delta",
        "text_delta",
        "text_delta",
        "message",
        "turn_done",
    ]
    assert events[4].message.parts[0].text == "your bill: 12 EUR"
    assert events[1].source.agent == "billing-agent"
    assert events[1].source.capability == "explain-bill"
    assert events[5].turn_done.outcome == agent_event_pb2.OUTCOME_COMPLETED


async def test_health_and_reflection_answer() -> None:
    async with (
        serve_agent(agent_that(say), ALONE) as served,
        grpc.aio.insecure_channel(served.address) as channel,
    ):
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="lmos.agent.v1.AgentService")
        )
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
        services = {each.name async for answer in answers for each in answer.list_services_response.service}
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert {"lmos.agent.v1.AgentService", "grpc.health.v1.Health"} <= services


async def test_a_coroutine_may_return_its_answer() -> None:
    async def answer(turn: Turn) -> str:
        return f"in short: {turn.text}"

    async with calling(agent_that(answer)) as client:
        assert await client.ask("yes", timeout=LIMIT) == "in short: yes"


async def test_a_coroutine_may_return_a_question_or_nothing() -> None:
    async def question(turn: Turn) -> EventBody | None:
        return turn.ask("which one?") if turn.text == "ask" else None

    async with calling(agent_that(question)) as client:
        assert await client.ask("ask", timeout=LIMIT) == "which one?"
        assert await client.ask("be silent", timeout=LIMIT) == ""


class OrdersAgent(Agent):
    """An agent as a class."""

    def __init__(self, warehouse: str) -> None:
        super().__init__("orders-agent", version="2.0.0", locales=("en", "de"))
        self._warehouse = warehouse

    @capability("track-order", version="1.0.0", examples={"en": ["where is my order"]})
    async def track(self, turn: Turn) -> AsyncIterator[str]:
        yield f"{turn.capability} in {self._warehouse}"

    @capability("cancel-order", version="1.1.0", default=True)
    async def cancel(self, turn: Turn) -> str:
        return f"{turn.capability} in {self._warehouse}"


async def test_a_class_is_an_agent_with_its_decorated_methods() -> None:
    agent = OrdersAgent("Bonn")
    assert [each.id for each in agent.card.capabilities] == ["track-order", "cancel-order"]
    assert agent.card.capabilities[0].examples == {"en": ("where is my order",)}
    async with calling(agent) as client:
        assert await client.ask("x", capability="track-order", timeout=LIMIT) == "track-order in Bonn"
        assert await client.ask("x", timeout=LIMIT) == "cancel-order in Bonn"


async def test_without_a_default_the_first_capability_answers() -> None:
    agent = agent_that(say)

    @agent.capability("other", version="1.0.0")
    async def other(turn: Turn) -> str:
        return turn.capability

    async with calling(agent) as client:
        assert await client.ask("x", timeout=LIMIT) == "your bill: x"
        assert await client.ask("x", capability="other", timeout=LIMIT) == "other"


async def test_an_unknown_capability_is_refused_by_status_and_names_those_that_exist() -> None:
    async with calling(agent_that(say)) as client:
        with pytest.raises(UnknownCapabilityError, match="explain-bill"):
            await client.ask("x", capability="explain-bils", timeout=LIMIT)


async def test_a_capability_sees_what_the_caller_said() -> None:
    seen: list[object] = []

    async def look(turn: Turn) -> None:
        seen.extend((turn.text, turn.history, turn.user, turn.locale, turn.conversation_id, turn.turn_id))
        seen.extend((turn.tenant, turn.channel, turn.answer, turn.message, turn.has_model))
        # A deadline travels rounded up.
        assert timedelta(0) < turn.time_left <= 1.02 * LIMIT

    user, history = User("u1", "de", {"tier": "gold"}), (Message.from_user("before"),)
    answer = ClarificationAnswer("confirm:42", "yes")
    async with (
        serve_agent(agent_that(look), ALONE) as served,
        MeshClient(served.address, tenant="acme", channel="ivr") as client,
    ):
        said = client.ask(
            "hi", conversation_id="c1", turn_id="t1", user=user, history=history, answer=answer, timeout=LIMIT
        )
        await said
    assert seen == ["hi", history, user, "de", "c1", "t1", "acme", "ivr", answer, Message.from_user("hi"), False]


async def test_events_that_are_yielded_go_out_in_their_order() -> None:
    async def work(turn: Turn) -> AsyncIterator[str | EventBody]:
        yield turn.status("Checking the line", progress=0.3)
        yield turn.tool_call("line-check", id="1", arguments={"line": "42"})
        yield "fine"
        yield turn.usage(model="m", input_tokens=2, output_tokens=1)

    bodies = await bodies_of(work)
    assert [type(body) for body in bodies] == [Status, ToolCall, TextDelta, Usage, MessageDone, TurnDone]
    assert bodies[0] == Status("Checking the line", 0.3)
    assert (done(bodies).usage.input_tokens, done(bodies).usage.output_tokens) == (2, 1)


async def test_a_question_ends_the_turn_and_its_answer_is_recognised() -> None:
    async def cancel(turn: Turn) -> AsyncIterator[str | EventBody]:
        answer = turn.answered("cancel:")
        if answer is None:
            yield "One thing first."
            yield turn.ask("Really cancel?", options={"yes": "Yes", "no": "No"}, id="cancel:42")
            yield "never said"
        else:
            yield f"{answer.clarification_id} {answer.option_id}"

    async with calling(agent_that(cancel)) as client:
        bodies = [event.body async for event in client.invoke("cancel it", conversation_id="c", timeout=LIMIT)]
        answer = ClarificationAnswer("cancel:42", "yes")
        text = await client.ask("yes", conversation_id="c", answer=answer, timeout=LIMIT)
    assert [type(body) for body in bodies[1:]] == [TextDelta, MessageDone, Clarification, TurnDone]
    assert done(bodies).outcome is Outcome.INPUT_REQUIRED
    assert text == "cancel:42 yes"


async def test_a_handover_ends_the_turn() -> None:
    async def pass_on(turn: Turn) -> AsyncIterator[EventBody]:
        yield turn.hand_over(capability="cancel-contract", reason="not mine", summary="wants to cancel")
        yield turn.status("never said")

    bodies = await bodies_of(pass_on, may_hand_over=True)
    assert bodies[0] == Handover("", "cancel-contract", "not mine", "wants to cancel")
    assert done(bodies).outcome is Outcome.HANDED_OVER
    assert len(bodies) == 2


async def test_only_who_declared_it_may_hand_over() -> None:
    async def pass_on(turn: Turn) -> EventBody:
        return turn.hand_over(agent="contracts-agent")

    async with calling(agent_that(pass_on)) as client:
        with pytest.raises(InvalidConfigurationError, match="may_hand_over=True"):
            await client.ask("x", timeout=LIMIT)


async def test_an_exception_becomes_a_neutral_error_in_band_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(turn: Turn) -> AsyncIterator[str]:
        yield "so far"
        raise KeyError(turn.text)

    with caplog.at_level(logging.ERROR):
        async with calling(agent_that(fail)) as client:
            bodies = [event.body async for event in client.invoke("my secret", timeout=LIMIT)]
    failure = bodies[-2]
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.AGENT_FAILED
    assert "secret" not in failure.detail.message
    assert done(bodies).outcome is Outcome.FAILED
    assert any(record.exc_info for record in caplog.records)


async def test_an_error_of_ours_keeps_its_class() -> None:
    async def refuse(turn: Turn) -> AsyncIterator[str]:
        yield "one moment"
        raise QuotaExceededError(f"{turn.tenant} used up its quota", retry_after=timedelta(seconds=3))

    async with calling(agent_that(refuse)) as client:
        with pytest.raises(QuotaExceededError, match="used up") as caught:
            await client.ask("x", timeout=LIMIT)
    assert caught.value.retry_after == timedelta(seconds=3)


async def test_what_is_no_event_of_an_agent_fails_the_turn_and_says_what_it_was() -> None:
    async def confuse(turn: Turn) -> AsyncIterator[str | EventBody]:
        yield Failure(QuotaExceededError(turn.text).detail)

    async with calling(agent_that(confuse)) as client:
        with pytest.raises(InvalidConfigurationError, match="may not yield Failure"):
            await client.ask("x", timeout=LIMIT)


async def test_without_a_model_llm_says_what_to_set() -> None:
    async def think(turn: Turn) -> AsyncIterator[str]:
        async for text in turn.llm("hi"):
            yield text

    async with calling(agent_that(think)) as client:
        with pytest.raises(ModelNotConfiguredError, match="OPENAI_BASE_URL"):
            await client.ask("x", timeout=LIMIT)


async def test_without_a_mesh_call_says_so() -> None:
    async def call(turn: Turn) -> AsyncIterator[str | EventBody]:
        async for text in turn.call("hi"):
            yield text

    async with calling(agent_that(call)) as client:
        with pytest.raises(InvalidConfigurationError, match="without a mesh"):
            await client.ask("x", timeout=LIMIT)


class WaitingAgent:
    """An agent that waits for ever, and notes when its coroutine began and when it was cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.cancelled_at = 0.0
        self.agent = agent_that(self._wait)

    async def _wait(self, turn: Turn) -> AsyncIterator[EventBody]:
        yield turn.status("waiting")
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled_at = time.monotonic()
            self.cancelled.set()


async def test_cancelling_reaches_the_coroutine_within_100_ms() -> None:
    waiting = WaitingAgent()
    async with calling(waiting.agent) as client:
        took = []
        for _ in range(5):
            waiting.started.clear()
            waiting.cancelled.clear()
            async with aclosing(client.invoke("x", timeout=LIMIT)) as events:
                await anext(events)
                await asyncio.wait_for(waiting.started.wait(), 5)
                left_at = time.monotonic()
            await asyncio.wait_for(waiting.cancelled.wait(), 5)
            took.append(waiting.cancelled_at - left_at)
    assert min(took) < 0.1  # the machine has other work, too


async def test_leaving_the_loop_cancels_the_turn() -> None:
    waiting = WaitingAgent()
    async with calling(waiting.agent) as client:
        async for event in client.invoke("x", timeout=LIMIT):
            if isinstance(event.body, Status):
                break
        await asyncio.wait_for(waiting.cancelled.wait(), 5)


async def test_the_deadline_of_the_caller_ends_the_work() -> None:
    waiting = WaitingAgent()
    async with calling(waiting.agent) as client:
        bodies = [event.body async for event in client.invoke("x", timeout=timedelta(milliseconds=300))]
        await asyncio.wait_for(waiting.cancelled.wait(), 5)
    failure = bodies[-2]
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.DEADLINE_EXCEEDED
    assert done(bodies).outcome is Outcome.FAILED


async def test_a_full_instance_refuses_and_says_when_to_try_again() -> None:
    waiting = WaitingAgent()
    async with calling(waiting.agent, AgentSettings(mesh=None, max_concurrent_turns=1)) as client:
        async with aclosing(client.invoke("x", timeout=LIMIT)) as events:
            await anext(events)
            await asyncio.wait_for(waiting.started.wait(), 5)
            with pytest.raises(NoHealthyInstanceError) as caught:
                await client.ask("y", timeout=LIMIT)
        await asyncio.wait_for(waiting.cancelled.wait(), 5)
    assert caught.value.retry_after is not None


async def test_turns_are_counted() -> None:
    metrics = Metrics()
    async with serve_agent(agent_that(say), ALONE, metrics=metrics) as served, MeshClient(served.address) as client:
        await client.ask("x", timeout=LIMIT)
    who = {"agent": "billing-agent", "tenant": "default", "channel": "web"}
    value = metrics.registry.get_sample_value
    assert value("lmos_turns_total", {**who, "outcome": "COMPLETED"}) == 1
    assert value("lmos_active_turns", who) == 0
    assert value("lmos_time_to_first_token_seconds_count", who) == 1


async def test_a_card_that_breaks_a_rule_is_refused_at_the_start() -> None:
    agent = Agent("Not A Label", version="one")
    with pytest.raises(InvalidCardError, match=r"name: .*version: .*capabilities: "):
        async with serve_agent(agent, ALONE):
            pass


async def test_a_port_in_use_is_named() -> None:
    async with serve_agent(agent_that(say), ALONE) as served:
        with pytest.raises(EnvironmentFaultError, match=served.address):
            async with serve_agent(agent_that(say), AgentSettings(mesh=None, listen=served.address)):
                pass


async def test_listening_beyond_this_machine_has_to_be_meant_and_advertised() -> None:
    with pytest.raises(InvalidConfigurationError, match="without TLS"):
        async with serve_agent(agent_that(say), AgentSettings(mesh=None, listen="0.0.0.0:0")):  # refused
            pass
    meant = AgentSettings(mesh=None, listen="0.0.0.0:0", insecure_listen=True)  # refused, too
    with pytest.raises(InvalidConfigurationError, match="advertise"):
        async with serve_agent(agent_that(say), meant):
            pass


def test_a_capability_has_to_be_async() -> None:
    agent = Agent("billing-agent", version="1.0.0")
    with pytest.raises(TypeError, match="async def"):

        @agent.capability("explain-bill", version="1.0.0")  # type: ignore[type-var] # the mistake that is tested
        def explain(turn: Turn) -> str:
            return turn.text
