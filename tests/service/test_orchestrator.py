"""Managed turns with real agents over real gRPC: strategies, handovers, and agents that misbehave."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server

from lmos_grpc.agent_service import AGENT_SERVICE, TurnExecutor, add_agent_service
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Target
from lmos_grpc.domain.event import (
    Clarification,
    Failure,
    Handover,
    MessageDone,
    Outcome,
    Routed,
    Status,
    TextDelta,
    TurnDone,
    Usage,
)
from lmos_grpc.domain.failure import Reason
from lmos_grpc.domain.turn import ClarificationAnswer, Lane, Message, Strategy, StrategyKind, TurnRequest
from lmos_grpc.errors import NoHealthyInstanceError, UnknownAgentError
from lmos_grpc.orchestrator import Orchestrator
from lmos_grpc.routing import LaneChoice
from lmos_grpc.rpc import open_channel, serve
from tests.fakes.scripted_agent import ScriptedAgent, direct_caller, instance_of, serve_scripted, whole_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.conversation import ConversationState
    from lmos_grpc.domain.event import (
        AgentEvent,
    )
    from lmos_grpc.errors import LmosError
    from lmos_grpc.rpc.typing import Context

SECOND = timedelta(seconds=1)


def decided(*names: str, kind: StrategyKind = StrategyKind.ONE, budget: timedelta | None = None) -> Decision:
    targets = tuple(Target(name, "1.0.0", capability="greet") for name in names)
    strategy = Strategy(kind, branch_budget=budget)
    return Decision(DecisionMode.CLASSIFIED, "as the test says", targets, strategy=strategy)


@dataclass
class ScriptedDecider:
    """Decides as the test says; a handover leads to the agent that it names."""

    first: Decision
    asked: list[TurnRequest] = field(default_factory=list)

    def decide(self, turn: TurnRequest, _: ConversationState, /) -> Decision:
        self.asked.append(turn)
        if len(self.asked) == 1:
            return self.first
        if turn.hint.agent == "nobody":
            raise UnknownAgentError("there is no agent 'nobody'", agent="nobody")
        return decided(turn.hint.agent)

    async def consult(self, _turn: TurnRequest, decision: Decision, _: ConversationState, /) -> Decision:
        return decision

    def lane(self, _turn: TurnRequest, _decision: Decision, _state: ConversationState, /) -> LaneChoice:
        return LaneChoice(Lane.MANAGED)

    def why_not(self, _turn: TurnRequest, agent: str, _decision: Decision | None, /) -> tuple[Candidate, ...]:
        return (Candidate(agent, "1.0.0", "", reason="as the test says"),)


@asynccontextmanager
async def mesh_of(
    *agents: ScriptedAgent, decider: ScriptedDecider, extra: dict[str, str] | None = None
) -> AsyncIterator[AgentClient]:
    """A client of an orchestrator in front of these agents; `extra` maps routes to other addresses."""
    async with AsyncExitStack() as stack:
        addresses = {agent.card().key.route: await stack.enter_async_context(serve_scripted(agent)) for agent in agents}
        view = LiveView()
        view.apply(whole_registry(*(instance_of(agent, addresses[agent.card().key.route]) for agent in agents)))
        caller = await stack.enter_async_context(direct_caller({**addresses, **(extra or {})}))
        log = MemoryTurnLog()
        orchestrator = Orchestrator(decider, view, log, caller)
        endings = await stack.enter_async_context(asyncio.TaskGroup())
        executor = TurnExecutor(orchestrator, log, endings)
        server = await stack.enter_async_context(
            serve(
                "127.0.0.1:0",
                register=lambda server: add_agent_service(server, executor, orchestrator.card),
                services=[AGENT_SERVICE],
            )
        )
        yield AgentClient(await stack.enter_async_context(open_channel(server.address)))


async def ask(client: AgentClient, timeout: timedelta = 5 * SECOND) -> list[AgentEvent]:
    turn = TurnRequest(Message.from_user("hi"), conversation_id="c", turn_id="t")
    events = [event async for event in client.invoke(turn, timeout=timeout)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return events


def text_of(events: list[AgentEvent], agent: str) -> str:
    return "".join(
        event.body.text for event in events if isinstance(event.body, TextDelta) and event.source.agent == agent
    )


def done(events: list[AgentEvent]) -> TurnDone:
    body = events[-1].body
    assert isinstance(body, TurnDone)
    return body


def says(*words: str, gate: asyncio.Event | None = None) -> Callable[[TurnRequest, Emit], object]:
    async def script(_: TurnRequest, emit: Emit) -> None:
        if gate:
            await gate.wait()
        for word in words:
            await emit(TextDelta(word))

    return script


async def never_ends(_: TurnRequest, __: Emit) -> None:
    await asyncio.Event().wait()


async def breaks(_: TurnRequest, __: Emit) -> None:
    raise ZeroDivisionError


def agent(name: str, script: object = None) -> ScriptedAgent:
    return ScriptedAgent(script or says(name), name)  # type: ignore[arg-type] # scripts differ in how they are made


async def test_one_agent_answers_and_the_decision_is_told_first() -> None:
    async with mesh_of(agent("a", says("one ", "two")), decider=ScriptedDecider(decided("a"))) as client:
        events = await ask(client)
    routed = events[1].body
    assert isinstance(routed, Routed)
    assert routed.decision.targets[0].agent == "a"
    assert text_of(events, "a") == "one two"
    assert done(events).outcome is Outcome.COMPLETED


async def test_the_agent_is_told_which_capability_is_asked_for() -> None:
    asked = agent("a")
    async with mesh_of(asked, decider=ScriptedDecider(decided("a"))) as client:
        await ask(client)
    assert asked.asked[0].hint.capability == "greet"


async def test_all_merges_the_streams_and_each_event_says_where_it_comes_from() -> None:
    agents = [agent(name, says(f"{name}1 ", f"{name}2")) for name in ("a", "b", "c")]
    async with mesh_of(*agents, decider=ScriptedDecider(decided("a", "b", "c", kind=StrategyKind.ALL))) as client:
        events = await ask(client)
    assert [text_of(events, name) for name in ("a", "b", "c")] == ["a1 a2", "b1 b2", "c1 c2"]
    assert {event.source.branch for event in events if isinstance(event.body, TextDelta)} == {1, 2, 3}
    assert [each.outcome for each in done(events).branches] == [Outcome.COMPLETED] * 3


async def test_each_branch_gets_its_part_of_the_message() -> None:
    a, b = agent("a"), agent("b")
    decision = decided("a", "b", kind=StrategyKind.ALL)
    targets = tuple(replace(target, text=f"for {target.agent}") for target in decision.targets)
    async with mesh_of(a, b, decider=ScriptedDecider(replace(decision, targets=targets))) as client:
        await ask(client)
    assert [each.asked[0].message.text for each in (a, b)] == ["for a", "for b"]


async def test_one_failing_branch_does_not_spoil_the_others() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a"), agent("b", breaks), decider=decider) as client:
        events = await ask(client)
    assert text_of(events, "a") == "a"
    assert done(events).outcome is Outcome.PARTIAL
    failed = done(events).branches[1]
    assert failed.error is not None
    assert (failed.outcome, failed.error.reason) == (Outcome.FAILED, Reason.AGENT_FAILED)


async def test_when_all_branches_fail_the_turn_fails() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a", breaks), agent("b", breaks), decider=decider) as client:
        events = await ask(client)
    assert done(events).outcome is Outcome.FAILED
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.NO_BRANCH_ANSWERED


async def test_at_the_deadline_what_has_arrived_is_delivered_as_partial() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    slow = agent("b", never_ends)
    async with mesh_of(agent("a"), slow, decider=decider) as client:
        events = await ask(client, timeout=SECOND)
        await asyncio.wait_for(slow.cancelled.wait(), 5)
    assert text_of(events, "a") == "a"
    assert done(events).outcome is Outcome.PARTIAL
    late = done(events).branches[1].error
    assert late is not None
    assert late.reason is Reason.DEADLINE_EXCEEDED


async def test_a_branch_may_not_take_longer_than_its_budget() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL, budget=SECOND / 5))
    async with mesh_of(agent("a"), agent("b", never_ends), decider=decider) as client:
        events = await ask(client, timeout=60 * SECOND)
    assert done(events).outcome is Outcome.PARTIAL


async def test_first_lets_the_first_answer_win_and_cancels_the_others() -> None:
    loser = agent("a", never_ends)
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.FIRST))
    winner = agent("b", says("b1 ", "b2", gate=loser.started))
    async with mesh_of(loser, winner, decider=decider) as client:
        events = await ask(client)
        await asyncio.wait_for(loser.cancelled.wait(), 5)
    assert text_of(events, "b") == "b1 b2"
    assert [each.outcome for each in done(events).branches] == [Outcome.CANCELLED, Outcome.COMPLETED]


async def test_first_is_not_won_by_a_branch_that_fails() -> None:
    gate = asyncio.Event()

    async def breaks_and_opens(_: TurnRequest, emit: Emit) -> None:
        await emit(Status("thinking"))
        gate.set()
        raise ZeroDivisionError

    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.FIRST))
    async with mesh_of(agent("a", breaks_and_opens), agent("b", says("b", gate=gate)), decider=decider) as client:
        events = await ask(client)
    assert text_of(events, "b") == "b"
    assert done(events).outcome is Outcome.COMPLETED
    assert not any(isinstance(event.body, Failure | Status) for event in events)


async def test_first_fails_when_nobody_answers() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.FIRST))
    async with mesh_of(agent("a", breaks), agent("b", breaks), decider=decider) as client:
        assert done(await ask(client)).outcome is Outcome.FAILED


async def test_cancelling_the_turn_cancels_every_branch() -> None:
    agents = [agent(name, never_ends) for name in ("a", "b", "c")]
    async with mesh_of(*agents, decider=ScriptedDecider(decided("a", "b", "c", kind=StrategyKind.ALL))) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=10 * SECOND)
        for _ in range(2):
            await anext(events)
        await asyncio.wait_for(asyncio.gather(*(each.started.wait() for each in agents)), 5)
        await events.aclose()
        await asyncio.wait_for(asyncio.gather(*(each.cancelled.wait() for each in agents)), 5)


async def test_a_slow_caller_slows_the_agents_down() -> None:
    sent = 0

    async def floods(_: TurnRequest, emit: Emit) -> None:
        nonlocal sent
        for _chunk in range(4_000):
            await emit(TextDelta("x" * 10_000))
            sent += 1

    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a", floods), agent("b", floods), decider=decider) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=20 * SECOND)
        await anext(events)
        before = -1
        async with asyncio.timeout(15):
            while sent != before:
                before = sent
                await asyncio.sleep(0.3)  # as long as a flood would need to go on
        await events.aclose()
    assert 0 < sent < 4_000


def hands_over_to(name: str) -> Callable[[TurnRequest, Emit], object]:
    async def script(_: TurnRequest, emit: Emit) -> None:
        await emit(Handover(agent=name, reason="not mine", summary="the customer said hi"))
        await emit(TurnDone(Outcome.HANDED_OVER))

    return script


async def test_a_handover_goes_on_with_the_other_agent_and_takes_the_summary_along() -> None:
    b = agent("b")
    async with mesh_of(agent("a", hands_over_to("b")), b, decider=ScriptedDecider(decided("a"))) as client:
        events = await ask(client)
    assert text_of(events, "b") == "b"
    assert done(events).outcome is Outcome.COMPLETED
    assert b.asked[0].context.visited == ("a",)
    assert b.asked[0].history[-1].text == "the customer said hi"
    assert [type(event.body) for event in events].count(Routed) == 2


async def test_a_handover_to_an_agent_that_had_the_turn_fails() -> None:
    decider = ScriptedDecider(decided("a"))
    async with mesh_of(agent("a", hands_over_to("b")), agent("b", hands_over_to("a")), decider=decider) as client:
        events = await ask(client)
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.HANDOVER_LOOP
    assert done(events).outcome is Outcome.FAILED


async def test_the_mesh_hands_over_at_most_five_times() -> None:
    names = [f"a{number}" for number in range(8)]
    agents = [agent(name, hands_over_to(after)) for name, after in pairwise(names)]
    async with mesh_of(*agents, decider=ScriptedDecider(decided("a0"))) as client:
        events = await ask(client)
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.HANDOVER_LIMIT
    assert [bool(each.asked) for each in agents] == [True] * 6 + [False]


async def test_a_handover_to_nobody_fails_with_a_typed_error() -> None:
    async with mesh_of(agent("a", hands_over_to("nobody")), decider=ScriptedDecider(decided("a"))) as client:
        failure = (await ask(client))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.UNKNOWN_AGENT


async def test_a_close_call_asks_back_with_options() -> None:
    candidates = tuple(Candidate("a", "1.0.0", "greet", score=0.5, chosen=True) for _ in range(2))
    decision = Decision(DecisionMode.CLARIFICATION, "a close call", candidates=candidates)
    async with mesh_of(agent("a"), decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    question = events[-2].body
    assert isinstance(question, Clarification)
    assert [option.label for option in question.options] == ["greet", "greet"]
    assert done(events).outcome is Outcome.INPUT_REQUIRED


async def test_nothing_that_fits_is_said_honestly() -> None:
    async with mesh_of(decider=ScriptedDecider(Decision(DecisionMode.ABSTAINED, "nothing fits"))) as client:
        events = await ask(client)
    assert isinstance(events[-2].body, MessageDone)
    assert done(events).outcome is Outcome.ABSTAINED


async def test_usage_of_all_branches_is_added_up() -> None:
    async def uses(_: TurnRequest, emit: Emit) -> None:
        await emit(TurnDone(Outcome.COMPLETED, Usage("m", 10, 20)))

    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a", uses), agent("b", uses), decider=decider) as client:
        usage = done(await ask(client)).usage
    assert (usage.model, usage.input_tokens, usage.output_tokens) == ("m", 20, 40)


class Unimplemented(AgentServiceServicer):
    """An agent that has only what a test gives it."""

    async def GetAgentCard(self, _: pb.GetAgentCardRequest, __: Context) -> pb.GetAgentCardResponse:  # noqa: N802
        return pb.GetAgentCardResponse()

    async def Converse(  # noqa: N802
        self, _: object, __: Context
    ) -> AsyncIterator[pb.ConverseResponse]:
        yield pb.ConverseResponse()


class Raw(Unimplemented):
    """An agent that sends what the test says, whatever the contract says."""

    def __init__(self, *events: event_pb.AgentEvent, ends: bool = True) -> None:
        self._events = events
        self._ends = ends

    async def Invoke(self, _: pb.InvokeRequest, __: Context) -> AsyncIterator[pb.InvokeResponse]:  # noqa: N802
        for event in self._events:
            yield pb.InvokeResponse(event=event)
        if not self._ends:
            await asyncio.Event().wait()


def numbered(number: int, **member: Any) -> event_pb.AgentEvent:  # Any: one member of the oneof
    return event_pb.AgentEvent(sequence=number, turn_id="t", **member)


ACCEPTED = numbered(1, accepted=event_pb.Accepted())
DELTA = event_pb.TextDelta(text="x")
DONE = event_pb.TurnDone(outcome=event_pb.OUTCOME_COMPLETED)


async def answer_of(raw: Raw, timeout: timedelta = 5 * SECOND) -> list[AgentEvent]:
    async with serve(
        "127.0.0.1:0", register=lambda server: add_AgentServiceServicer_to_server(raw, server), services=[AGENT_SERVICE]
    ) as server:
        extra = {"raw/1.0.0/stable": server.address}
        async with mesh_of(decider=ScriptedDecider(decided("raw")), extra=extra) as client:
            return await ask(client, timeout)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], Reason.AGENT_PROTOCOL_VIOLATION),
        ([numbered(1, text_delta=DELTA)], Reason.AGENT_PROTOCOL_VIOLATION),
        ([ACCEPTED, numbered(3, text_delta=DELTA)], Reason.AGENT_PROTOCOL_VIOLATION),
        ([ACCEPTED, numbered(2, accepted=event_pb.Accepted())], Reason.AGENT_PROTOCOL_VIOLATION),
        ([ACCEPTED, numbered(2, text_delta=DELTA)], Reason.AGENT_STREAM_BROKEN),
    ],
    ids=["nothing", "no accepted", "a gap", "accepted twice", "no end"],
)
async def test_an_agent_that_answers_garbage_gives_a_typed_failure(
    events: list[event_pb.AgentEvent], reason: Reason
) -> None:
    answer = await answer_of(Raw(*events))
    failure = answer[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is reason
    assert failure.detail.metadata == {"agent": "raw"}
    assert done(answer).outcome is Outcome.FAILED


async def test_what_an_agent_sends_after_the_end_is_not_passed_on() -> None:
    late = numbered(3, text_delta=event_pb.TextDelta(text="late"))
    answer = await answer_of(Raw(ACCEPTED, numbered(2, turn_done=DONE), late))
    assert done(answer).outcome is Outcome.COMPLETED
    assert text_of(answer, "raw") == ""


async def test_an_event_of_an_unknown_kind_is_passed_on_unread() -> None:
    ready = numbered(2, custom={"name": "com.example.survey"})
    async with serve(
        "127.0.0.1:0",
        register=lambda server: add_AgentServiceServicer_to_server(
            Raw(ACCEPTED, ready, numbered(3, turn_done=DONE)), server
        ),
        services=[AGENT_SERVICE],
    ) as server:
        extra = {"raw/1.0.0/stable": server.address}
        async with mesh_of(decider=ScriptedDecider(decided("raw")), extra=extra) as client:
            events = await ask(client)
    assert "custom" in str(events[2].body)


async def test_an_agent_that_never_answers_is_given_up_at_the_deadline() -> None:
    answer = await answer_of(Raw(ends=False), timeout=SECOND)
    failure = answer[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.DEADLINE_EXCEEDED


async def test_an_agent_that_is_gone_gives_a_typed_failure() -> None:
    async with mesh_of(decider=ScriptedDecider(decided("raw")), extra={"raw/1.0.0/stable": "127.0.0.1:9"}) as client:
        failure = (await ask(client))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.UNREACHABLE


async def test_an_agent_that_dies_in_mid_stream_gives_a_typed_failure() -> None:
    async with AsyncExitStack() as stack:
        extra = {"raw/1.0.0/stable": await stack.enter_async_context(grpc_server_that_dies())}
        client = await stack.enter_async_context(mesh_of(decider=ScriptedDecider(decided("raw")), extra=extra))
        answer = await ask(client)
    assert text_of(answer, "raw") == "x"
    failure = answer[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.AGENT_STREAM_BROKEN


@asynccontextmanager
async def grpc_server_that_dies() -> AsyncIterator[str]:
    """A server that stops without grace as soon as it has sent a first delta."""
    server = grpc.aio.server()

    class Dying(Unimplemented):
        async def Invoke(self, _: pb.InvokeRequest, __: Context) -> AsyncIterator[pb.InvokeResponse]:  # noqa: N802
            yield pb.InvokeResponse(event=ACCEPTED)
            yield pb.InvokeResponse(event=numbered(2, text_delta=DELTA))
            stopping.append(asyncio.ensure_future(server.stop(None)))
            await asyncio.Event().wait()

    stopping: list[asyncio.Future[None]] = []
    add_AgentServiceServicer_to_server(Dying(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await asyncio.gather(*stopping)


async def test_the_answer_to_a_question_of_the_mesh_lets_the_agent_work_on_what_was_asked() -> None:
    question = Decision(
        DecisionMode.CLARIFICATION, "a close call", candidates=(Candidate("a", "1.0.0", "greet", chosen=True),)
    )
    chosen = ClarificationAnswer("the mesh's own", "a/greet")

    class AsksBackOnce(ScriptedDecider):
        def decide(self, turn: TurnRequest, _: ConversationState, /) -> Decision:
            self.asked.append(turn)
            return question if len(self.asked) == 1 else replace(decided("a"), answer=chosen)

    a = agent("a")
    async with mesh_of(a, decider=AsksBackOnce(question)) as client:
        for number, text in enumerate(("something vague", "the first one")):
            turn = TurnRequest(Message.from_user(text), conversation_id="c", turn_id=str(number))
            assert [event async for event in client.invoke(turn, timeout=5 * SECOND)]
    assert a.asked[0].message.text == "something vague"
    assert a.asked[0].answer == chosen


async def test_two_branches_may_lead_to_the_same_agent() -> None:
    async def repeats(turn: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta(f"[{turn.message.text}]"))

    decision = decided("a", "a", kind=StrategyKind.ALL)
    targets = tuple(replace(target, text=text) for target, text in zip(decision.targets, ("x", "y"), strict=True))
    async with mesh_of(agent("a", repeats), decider=ScriptedDecider(replace(decision, targets=targets))) as client:
        events = await ask(client)
    assert sorted(event.body.text for event in events if isinstance(event.body, TextDelta)) == ["[x]", "[y]"]
    assert done(events).outcome is Outcome.COMPLETED
    assert {event.turn_id for event in events} == {"t"}


@pytest.mark.parametrize("reason", [UnknownAgentError("not there"), NoHealthyInstanceError("not ready")])
async def test_an_agent_that_envoy_does_not_know_yet_is_called_again(reason: LmosError) -> None:
    late = agent("a")
    late.refusal = reason
    async with mesh_of(late, decider=ScriptedDecider(decided("a"))) as client:
        answer = asyncio.ensure_future(ask(client))
        await asyncio.wait_for(late.admitted.wait(), 5)
        late.refusal = None
        events = await answer
    assert text_of(events, "a") == "a"
    assert len(late.asked) > 1


async def test_an_agent_that_stays_unknown_is_told_as_what_it_is() -> None:
    gone = agent("a")
    gone.refusal = NoHealthyInstanceError("not ready")
    async with mesh_of(gone, decider=ScriptedDecider(decided("a"))) as client:
        failure = (await ask(client))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.NO_HEALTHY_INSTANCE
