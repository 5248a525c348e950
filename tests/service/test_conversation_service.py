"""ConversationService over real sockets, on the log in SQLite."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import message_pb2
from lmos.conversation.v1 import conversation_service_pb2 as pb
from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub

from lmos_grpc.conversation import (
    CONVERSATION_SERVICE,
    ConversationClient,
    add_conversation_service,
)
from lmos_grpc.domain.conversation import ConversationState, TurnRecord
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.turn import CallContext, Message, Role
from lmos_grpc.errors import (
    ConversationNotFoundError,
    InvalidPageTokenError,
    InvalidRequestError,
    TurnConflictError,
    TurnNotFoundError,
)
from lmos_grpc.rpc import calling, context_to_metadata, open_channel, serve
from tests.fakes.turn_logs import (
    KEY,
    LIMIT,
    HandTime,
    accepted,
    asks,
    done,
    follow,
    numbers,
    open_keyed_log,
    run_turn,
    word,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceAsyncStub

    from lmos_grpc.conversation import TurnLog
    from tests.fakes.turn_logs import KeyedLog

DE = context_to_metadata(CallContext(tenant="de", channel="ivr"))
PL = context_to_metadata(CallContext(tenant="pl"))
RESUME = pb.ResumeTurnRequest(conversation_id="c", turn_id="t")


@asynccontextmanager
async def serving(log: TurnLog, now: HandTime) -> AsyncIterator[ConversationServiceAsyncStub]:
    server = serve(
        "127.0.0.1:0",
        register=lambda server: add_conversation_service(server, log, now=now),
        services=[CONVERSATION_SERVICE],
    )
    async with server as running, open_channel(running.address) as channel:
        stub: ConversationServiceAsyncStub = ConversationServiceStub(channel)  # type: ignore[assignment]
        yield stub


@pytest.fixture
def now() -> HandTime:
    return HandTime()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


@pytest.fixture
async def log(file: Path, now: HandTime) -> AsyncIterator[KeyedLog]:
    async with open_keyed_log(file, now=now) as log:
        yield log


@pytest.fixture
async def service(log: KeyedLog, now: HandTime) -> AsyncIterator[ConversationServiceAsyncStub]:
    async with serving(log.log, now) as service:
        yield service


async def resume(service: ConversationServiceAsyncStub, after: int = 0) -> list[int]:
    request = pb.ResumeTurnRequest(conversation_id="c", turn_id="t", after_sequence=after)
    with calling():
        call = service.ResumeTurn(request, metadata=DE, timeout=LIMIT)
        return [response.event.sequence async for response in call]


def recorded(text: str = "hi", **more: object) -> pb.RecordTurnRequest:
    said = message_pb2.Message(parts=[message_pb2.Part(text=text)])
    answer = message_pb2.Message(parts=[message_pb2.Part(text="there")], agent="billing")
    turn = pb.Turn(turn_id="t", request=said, responses=[answer], outcome=event_pb.OUTCOME_COMPLETED, last_sequence=9)
    turn.MergeFrom(pb.Turn(**more))  # type: ignore[arg-type] # the fields of a turn, as the test names them
    return pb.RecordTurnRequest(conversation_id="c", turn=turn)


async def test_a_conversation_is_given_with_its_turns(
    log: KeyedLog, service: ConversationServiceAsyncStub, now: HandTime
) -> None:
    began = now()
    await run_turn(log)
    now.advance(timedelta(seconds=1))
    second_key = replace(KEY, turn_id="2")
    await log.begin(second_key, asks())
    await log.append(second_key, accepted(second_key))
    found = (await service.GetConversation(pb.GetConversationRequest(conversation_id="c"), metadata=DE)).conversation
    assert (found.conversation_id, found.channel, found.turn_count, found.last_agent) == ("c", "web", 1, "billing")
    assert found.create_time.ToDatetime() == began.replace(tzinfo=None)
    first, second = (await service.ListTurns(pb.ListTurnsRequest(conversation_id="c"), metadata=DE)).turns
    assert (first.turn_id, first.outcome, first.last_sequence) == ("t", event_pb.OUTCOME_COMPLETED, 3)
    assert (first.request.parts[0].text, first.responses[0].parts[0].text) == ("hi", "word")
    assert (second.outcome, second.HasField("end_time")) == (event_pb.OUTCOME_UNSPECIFIED, False)


async def test_turns_come_in_pages(log: KeyedLog, service: ConversationServiceAsyncStub) -> None:
    for turn in range(60):
        await run_turn(log, replace(KEY, turn_id=str(turn)))
    request = pb.ListTurnsRequest(conversation_id="c")
    first = await service.ListTurns(request, metadata=DE)
    request.page_token = first.next_page_token
    second = await service.ListTurns(request, metadata=DE)
    assert [turn.turn_id for page in (first, second) for turn in page.turns] == [str(turn) for turn in range(60)]
    assert (len(first.turns), second.next_page_token) == (50, "")


async def test_a_caller_that_lost_its_stream_resumes_and_sees_the_rest_as_it_comes(
    log: KeyedLog, service: ConversationServiceAsyncStub
) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted(), word(2))
    calls = [service.ResumeTurn(RESUME, metadata=DE, timeout=LIMIT) for _ in range(2)]
    for call in calls:
        assert [(await anext(call.__aiter__())).event.sequence for _ in range(2)] == [1, 2]
    calls[1].cancel()
    await log.append(KEY, word(3))
    await log.append(KEY, done(4))
    assert [response.event.sequence async for response in calls[0]] == [3, 4]
    assert await resume(service, after=3) == [4]


async def test_a_caller_resumes_after_the_mesh_restarted(file: Path, now: HandTime) -> None:
    async with open_keyed_log(file, now=now) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted(), word(2))
    async with open_keyed_log(file, now=now) as log, serving(log.log, now) as service:
        assert await resume(service, after=1) == [2, 3, 4]


async def test_a_resumed_caller_is_told_when_the_turn_is_given_up(
    log: KeyedLog, service: ConversationServiceAsyncStub
) -> None:
    await log.begin(KEY, asks())
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        waits = group.create_task(refusal_of(resume(service)))
        await until_followed(log, by=1)
        await log.abandon(KEY)
    assert isinstance(waits.result(), TurnNotFoundError)


async def refusal_of(call: object) -> Exception | None:
    try:
        await call  # type: ignore[misc] # any call of this test
    except TurnNotFoundError as error:
        return error
    return None


async def until_followed(log: KeyedLog, *, by: int) -> None:
    running = log.turns[KEY]  # no public surface shows who follows
    async with asyncio.timeout(LIMIT):
        while running._followers != by:  # noqa: ASYNC110 - a call arrives and leaves without an event of ours
            await asyncio.sleep(0.001)


async def test_an_idle_resumed_call_leaves_nothing_behind_when_it_is_cancelled(
    log: KeyedLog, service: ConversationServiceAsyncStub
) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    call = service.ResumeTurn(RESUME, metadata=DE)
    await anext(call.__aiter__())
    call.cancel()
    await until_followed(log, by=0)


async def test_a_turn_that_ran_elsewhere_is_recorded_once(
    log: KeyedLog, service: ConversationServiceAsyncStub, now: HandTime
) -> None:
    for _ in range(2):
        await service.RecordTurn(recorded(), metadata=DE)
    found = await log.get_conversation("de", "c")
    assert (found.channel, found.state) == ("ivr", ConversationState("billing", turn_count=1))
    (turn,) = (await log.list_turns("de", "c", 9)).turns
    assert (turn.outcome, turn.created_at, turn.last_sequence) == (Outcome.COMPLETED, now(), 9)
    assert await resume(service, after=5) == [8, 9]
    with pytest.raises(TurnConflictError), calling():
        await service.RecordTurn(recorded("another message"), metadata=DE)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecordTurnRequest(turn=recorded().turn), "conversation_id"),
        (pb.RecordTurnRequest(conversation_id="c", turn=pb.Turn(outcome=event_pb.OUTCOME_FAILED)), "turn.turn_id"),
        (pb.RecordTurnRequest(conversation_id="c", turn=pb.Turn(turn_id="t")), "turn.outcome"),
        (recorded(turn_id="x" * 129), "turn.turn_id"),
        (recorded(last_sequence=-1), "turn.last_sequence"),
        (recorded(last_sequence=2**63 - 1), "turn.last_sequence"),
        (recorded(end_time=Timestamp(seconds=2**62)), "turn.end_time"),
    ],
)
async def test_a_turn_that_cannot_be_recorded_is_refused_by_the_name_of_the_field(
    service: ConversationServiceAsyncStub, request_: pb.RecordTurnRequest, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused, calling():
        await service.RecordTurn(request_, metadata=DE)
    assert refused.value.metadata == {"field": field}


async def test_what_cannot_be_read_is_refused(log: KeyedLog, service: ConversationServiceAsyncStub) -> None:
    await run_turn(log)
    with pytest.raises(InvalidRequestError), calling():
        await service.GetConversation(pb.GetConversationRequest(), metadata=DE)
    with pytest.raises(InvalidRequestError), calling():
        await service.ListTurns(pb.ListTurnsRequest(conversation_id="c", page_size=-1), metadata=DE)
    with pytest.raises(InvalidPageTokenError), calling():
        await service.ListTurns(pb.ListTurnsRequest(conversation_id="c", page_token="?"), metadata=DE)  # noqa: S106 - of a page
    with pytest.raises(InvalidRequestError):
        await resume(service, after=-1)


async def test_no_call_reaches_another_tenant(log: KeyedLog, service: ConversationServiceAsyncStub) -> None:
    await run_turn(log)
    with pytest.raises(ConversationNotFoundError), calling():
        await service.GetConversation(pb.GetConversationRequest(conversation_id="c"), metadata=PL)
    with pytest.raises(ConversationNotFoundError), calling():
        await service.ListTurns(pb.ListTurnsRequest(conversation_id="c"), metadata=PL)
    with pytest.raises(TurnNotFoundError), calling():
        await anext(service.ResumeTurn(RESUME, metadata=PL, timeout=LIMIT).__aiter__())
    await service.RecordTurn(recorded("another message"), metadata=PL)
    assert numbers(await follow(log)) == [1, 2, 3]
    assert [message.text for message in await log.history("de", "c", 9)] == ["hi", "word"]


async def test_a_router_elsewhere_knows_and_tells_what_one_beside_the_log_does(log: TurnLog, now: HandTime) -> None:
    server = serve(
        "127.0.0.1:0",
        register=lambda server: add_conversation_service(server, log, now=now),
        services=[CONVERSATION_SERVICE],
    )
    async with server as running, open_channel(running.address) as channel:
        client = ConversationClient(channel)
        assert await client.state_before(KEY) == ConversationState()
        answered = Message(Role.AGENT, (), "billing")
        record = TurnRecord(KEY, Message.from_user("hi"), (answered,), Outcome.UNSEEN, now(), now(), 0, "bill")
        await client.record_turn(record, "ivr")
        assert await client.state_before(KEY) is None
        assert await client.state_before(replace(KEY, turn_id="t2")) == ConversationState("billing", "bill", None, 1)
        assert (await log.get_conversation("de", "c")).channel == "ivr"
        [turn] = (await log.list_turns("de", "c", 10)).turns
        assert turn.outcome is Outcome.UNSEEN
        with pytest.raises(InvalidRequestError, match="turn_id"):
            await client.state_before(replace(KEY, turn_id=""))
