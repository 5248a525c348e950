"""What every turn log keeps, whatever it is kept in."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.conversation import ConversationState, OpenQuestion, TurnKey, TurnRecord
from lmos_grpc.domain.decision import Decision, DecisionMode, Target
from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    Clarification,
    ClarificationOption,
    Failure,
    MessageDone,
    Outcome,
    Routed,
    Status,
    ToolCall,
    ToolCallState,
    TurnDone,
    Usage,
)
from lmos_grpc.domain.live_session import HeardAnswer
from lmos_grpc.domain.turn import ClarificationAnswer, DataPart, FilePart, Message, Role, RouteHint, TextPart
from lmos_grpc.errors import (
    AgentFailedError,
    ConversationNotFoundError,
    InternalError,
    InvalidPageTokenError,
    TurnConflictError,
    TurnNotFoundError,
)
from tests.fakes.turn_logs import (
    BILLING,
    KEY,
    LIMIT,
    HandTime,
    LogMaker,
    accepted,
    asks,
    done,
    follow,
    numbers,
    run_turn,
    says,
    word,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.turn import TurnRequest
    from tests.fakes.turn_logs import KeyedLog


@pytest.fixture
def time() -> HandTime:
    return HandTime()


@pytest.fixture(params=["memory", "behind", "before-shown"])
async def log(request: pytest.FixtureRequest, tmp_path: Path, time: HandTime) -> AsyncIterator[KeyedLog]:
    async with LogMaker(request.param, tmp_path, time).open() as log:
        yield log


async def test_a_new_turn_begins_once(log: KeyedLog) -> None:
    first = await log.begin(KEY, asks())
    second = await log.begin(KEY, asks())
    assert (first.is_new, second.is_new) == (True, False)
    assert first.key == second.key == KEY


async def test_a_turn_that_ended_does_not_begin_again(log: KeyedLog) -> None:
    await run_turn(log)
    assert not (await log.begin(KEY, asks())).is_new


async def test_of_many_that_begin_a_turn_at_once_one_runs_it(log: KeyedLog) -> None:
    begun = await asyncio.gather(*(log.begin(KEY, asks()) for _ in range(20)))
    assert sum(each.is_new for each in begun) == 1


@pytest.mark.parametrize(
    "other",
    [
        asks("another message"),
        replace(asks(), hint=RouteHint(agent="billing")),
        replace(asks(), answer=ClarificationAnswer("q", "o")),
        replace(asks(), message=Message(Role.USER, (TextPart("hi"), TextPart("")))),
        replace(asks(), message=Message(Role.USER, (TextPart("hi", "text/html"),))),
        replace(asks(), message=Message(Role.USER, (DataPart({"hi": 1}),))),
    ],
)
@pytest.mark.parametrize("ended", [False, True])
async def test_a_turn_id_with_another_request_conflicts(log: KeyedLog, other: TurnRequest, *, ended: bool) -> None:
    if ended:
        await run_turn(log)
    else:
        await log.begin(KEY, asks())
    with pytest.raises(TurnConflictError):
        await log.begin(KEY, other)


async def test_the_time_of_a_message_does_not_make_it_another(log: KeyedLog, time: HandTime) -> None:
    await log.begin(KEY, asks())
    again = replace(asks(), message=replace(asks().message, created_at=time(), turn_id="x"))
    assert not (await log.begin(KEY, again)).is_new


async def test_events_come_back_as_they_were(log: KeyedLog) -> None:
    decision = Decision(DecisionMode.CLASSIFIED, "clear", (Target("billing", "1.0.0"),))
    parts = (TextPart("ä\0"), DataPart({"a": [1.0, None]}), FilePart("s3://x", "x.pdf", "application/pdf", 7))
    bodies: tuple[EventBody, ...] = (
        Accepted("c"),
        Routed(decision),
        Status("looking", 0.5),
        ToolCall("1", "find", ToolCallState.COMPLETED, {"a": "b"}, {"c": 1.0}),
        MessageDone(Message(Role.AGENT, parts, "billing")),
        Usage("m", 1, 2, 3, "EUR", timedelta(seconds=1), timedelta(milliseconds=5)),
        Failure(AgentFailedError("no", agent="billing").detail),
        TurnDone(Outcome.FAILED),
    )
    events = tuple(AgentEvent(place, "t", body, BILLING) for place, body in enumerate(bodies, 1))
    await log.begin(KEY, asks())
    await log.append(KEY, *events)
    assert await follow(log) == list(events)
    await log.finish(KEY, Outcome.FAILED, (), ConversationState())
    assert await follow(log) == list(events)


async def test_a_reader_resumes_after_any_number(log: KeyedLog) -> None:
    await run_turn(log)
    assert [numbers(await follow(log, after=after)) for after in (-5, 0, 1, 2, 3, 99)] == [
        [1, 2, 3],
        [1, 2, 3],
        [2, 3],
        [3],
        [],
        [],
    ]


async def test_a_follower_gets_events_while_they_are_appended(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    async with asyncio.timeout(LIMIT), aclosing(log.follow(KEY, 0)) as events:
        for event in (accepted(), word(2), word(3), done(4)):
            await log.append(KEY, event)
            assert await anext(events) == event
        assert await anext(events, None) is None


async def test_followers_that_come_at_any_time_see_the_same(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        followers = []
        for sequence in range(1, 301):
            if sequence % 30 == 1:
                followers.append(group.create_task(follow(log)))
            await log.append(KEY, accepted() if sequence == 1 else word(sequence, str(sequence)))
        await log.append(KEY, done(301))
    assert len({tuple(each.result()) for each in followers}) == 1
    assert numbers(followers[0].result()) == list(range(1, 302))


async def test_a_follower_far_behind_loses_nothing(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    async with asyncio.timeout(LIMIT), aclosing(log.follow(KEY, 0)) as events:
        seen = [await anext(events)]
        for sequence in range(2, 1_000):
            await log.append(KEY, word(sequence))
        seen.append(await anext(events))
        await log.append(KEY, done(1_000))
        await log.finish(KEY, Outcome.COMPLETED, (), ConversationState())
        seen += [event async for event in events]
    assert numbers(seen) == list(range(1, 1_001))


async def test_a_follower_that_leaves_disturbs_nobody(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        stays = group.create_task(follow(log))
        leaves = group.create_task(follow(log))
        async with aclosing(log.follow(KEY, 0)) as events:
            await anext(events)
        leaves.cancel()
        await asyncio.wait((leaves,))
        await log.append(KEY, word(2), done(3))
    assert leaves.cancelled()
    assert numbers(stays.result()) == [1, 2, 3]


async def test_a_follower_that_waits_ends_when_the_turn_does(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        waits = group.create_task(follow(log, after=1))
        await log.finish(KEY, Outcome.CANCELLED, (), ConversationState())
    assert waits.result() == []


async def test_a_follower_that_has_seen_the_last_event_need_not_wait_for_the_end(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted(), done(2))
    assert await follow(log, after=2) == []


async def test_nobody_follows_a_turn_that_is_not_there(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    for key in (replace(KEY, tenant="pl"), replace(KEY, conversation_id="x"), replace(KEY, turn_id="x")):
        with pytest.raises(TurnNotFoundError, match=r"there is no turn"):
            await follow(log, key)


async def test_nothing_follows_the_last_event(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, done(1))
    with pytest.raises(InternalError, match="nothing follows"):
        await log.append(KEY, word(2))


async def test_a_turn_that_ended_takes_no_events(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    await log.finish(KEY, Outcome.CANCELLED, (), ConversationState())
    with pytest.raises(InternalError, match="nothing follows"):
        await log.append(KEY, word(2))


async def test_no_event_at_all_is_no_write(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY)
    await log.append(KEY, done(1))
    assert numbers(await follow(log)) == [1]


async def test_a_cancelled_finish_ends_the_turn_all_the_same(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, done(1))
    finish = asyncio.create_task(log.finish(KEY, Outcome.COMPLETED, (says("x"),), ConversationState("billing")))
    await asyncio.sleep(0)  # it is under way
    finish.cancel()
    await asyncio.wait((finish,))
    await log.begin(TurnKey("de", "c", "next"), asks())  # is written after it
    assert (await log.list_turns("de", "c", 1)).turns[0].outcome is Outcome.COMPLETED


async def test_an_abandoned_turn_leaves_its_id_free(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    async with asyncio.timeout(LIMIT), aclosing(log.follow(KEY, 0)) as events:
        waits = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # it waits for the first event
        await log.abandon(KEY)
        with pytest.raises(TurnNotFoundError):
            await waits
    with pytest.raises(ConversationNotFoundError):
        await log.get_conversation("de", "c")
    assert (await log.begin(KEY, asks("another message"))).is_new


async def test_a_turn_with_events_is_not_abandoned(log: KeyedLog) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    await log.abandon(KEY)
    await log.append(KEY, done(2))
    await log.finish(KEY, Outcome.COMPLETED, (), ConversationState())
    await log.abandon(KEY)
    assert numbers(await follow(log)) == [1, 2]


async def test_the_state_is_that_of_the_last_turn(log: KeyedLog) -> None:
    assert await log.state("de", "c") == ConversationState()
    options = (ClarificationOption("1", "Rechnung", "billing", "invoice", 0.5),)
    question = OpenQuestion(Clarification("q", "Was genau?", options), "billing", "invoice")
    await log.begin(KEY, asks())
    assert await log.state("de", "c") == ConversationState()
    await log.finish(KEY, Outcome.INPUT_REQUIRED, (), ConversationState("billing", "invoice", question))
    assert await log.state("de", "c") == ConversationState("billing", "invoice", question, 1)
    await run_turn(log, replace(KEY, turn_id="2"))
    assert await log.state("de", "c") == ConversationState("billing", "invoice", None, 2)


async def test_a_turn_ends_once(log: KeyedLog) -> None:
    await run_turn(log)
    await log.finish(KEY, Outcome.FAILED, (), ConversationState("other"))
    assert await log.state("de", "c") == ConversationState("billing", "invoice", None, 1)


async def test_history_is_what_was_said_in_turns_that_ended(log: KeyedLog, time: HandTime) -> None:
    began = time()
    for turn in ("1", "2", "3"):
        await run_turn(log, replace(KEY, turn_id=turn), text=f"ask {turn}", answer=f"say {turn}")
    await log.begin(replace(KEY, turn_id="4"), asks("now"))
    said = await log.history("de", "c", 100)
    assert [message.text for message in said] == ["ask 1", "say 1", "ask 2", "say 2", "ask 3", "say 3"]
    assert said[0] == replace(asks("ask 1").message, turn_id="1", created_at=began)
    assert said[1] == replace(says("say 1"), turn_id="1", created_at=began)
    assert [message.text for message in await log.history("de", "c", 3)] == ["say 2", "ask 3", "say 3"]
    assert await log.history("de", "c", 0) == await log.history("pl", "c", 9) == ()


async def test_a_conversation_tells_when_it_began_and_went_on(log: KeyedLog, time: HandTime) -> None:
    began = time()
    await log.begin(KEY, asks(channel="ivr"))
    await log.append(KEY, done(1))
    time.advance(timedelta(seconds=1))
    await log.finish(KEY, Outcome.COMPLETED, (), ConversationState("billing"))
    await log.begin(replace(KEY, turn_id="2"), asks(channel="web"))
    found = await log.get_conversation("de", "c")
    assert (found.tenant, found.conversation_id, found.channel) == ("de", "c", "ivr")
    assert (found.created_at, found.updated_at) == (began, began + timedelta(seconds=1))
    assert found.state == ConversationState("billing", turn_count=1)
    with pytest.raises(ConversationNotFoundError):
        await log.get_conversation("pl", "c")


async def test_turns_are_listed_page_by_page_oldest_first(log: KeyedLog) -> None:
    for turn in range(7):
        await run_turn(log, replace(KEY, turn_id=str(turn)))
        await run_turn(log, TurnKey("de", "other", str(turn)))
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        page = await log.list_turns("de", "c", 3, token)
        pages.append([turn.key.turn_id for turn in page.turns])
        token = page.next_page_token
    assert pages == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert (await log.list_turns("de", "c", 7)).next_page_token == ""


async def test_a_listed_turn_is_told_in_full(log: KeyedLog, time: HandTime) -> None:
    began = time()
    await run_turn(log)
    running = replace(KEY, turn_id="2")
    time.advance(timedelta(minutes=1))
    await log.begin(running, asks("again"))
    await log.append(running, accepted(running))
    ended, runs = (await log.list_turns("de", "c", 10)).turns
    assert ended == TurnRecord(KEY, asks().message, (says("word"),), Outcome.COMPLETED, began, began, 3)
    assert runs == TurnRecord(running, asks("again").message, (), None, time(), None, 1)


@pytest.mark.parametrize("token", ["x", "dHVybnM6", "dHVybnM6MA==", "dHVybnM6LTE=", "ä", "dHVybnM6MQ", "=" * 9])
async def test_a_page_token_of_another_make_is_refused(log: KeyedLog, token: str) -> None:
    await run_turn(log)
    with pytest.raises(InvalidPageTokenError):
        await log.list_turns("de", "c", 10, token)


async def test_turns_of_a_conversation_that_is_not_there_are_not_listed(log: KeyedLog) -> None:
    await run_turn(log)
    with pytest.raises(ConversationNotFoundError):
        await log.list_turns("pl", "c", 10)


async def test_before_a_turn_the_log_tells_its_conversation_and_nothing_where_it_has_the_turn(
    log: KeyedLog, time: HandTime
) -> None:
    assert await log.state_before(KEY) == ConversationState()
    await log.begin(KEY, asks())
    assert await log.state_before(KEY) is None
    await log.abandon(KEY)
    assert await log.state_before(KEY) == ConversationState()
    await log.record_turn(
        TurnRecord(KEY, asks().message, (says("there"),), Outcome.COMPLETED, time(), time(), 4), "web"
    )
    assert await log.state_before(KEY) is None
    assert await log.state_before(replace(KEY, turn_id="t2")) == await log.state("de", "c")
    assert await log.state_before(replace(KEY, tenant="pl")) == ConversationState()


async def test_a_recorded_turn_is_a_turn_like_others(log: KeyedLog, time: HandTime) -> None:
    record = TurnRecord(KEY, asks().message, (says("there"),), Outcome.COMPLETED, time(), time(), 40)
    await log.record_turn(record, "web")
    await log.record_turn(record, "web")
    assert (await log.list_turns("de", "c", 10)).turns == (record,)
    assert await log.state("de", "c") == ConversationState("billing", "", None, 1)
    assert [message.text for message in await log.history("de", "c", 9)] == ["hi", "there"]
    assert not (await log.begin(KEY, asks())).is_new
    with pytest.raises(TurnConflictError):
        await log.begin(KEY, asks("another message"))
    with pytest.raises(TurnConflictError):
        await log.record_turn(replace(record, request=asks("another message").message), "web")


async def test_a_caller_resumes_a_recorded_turn_where_its_stream_broke(log: KeyedLog, time: HandTime) -> None:
    responses = (says("one", "billing"), says("two", "orders"))
    record = TurnRecord(KEY, asks().message, responses, Outcome.PARTIAL, time(), time(), 40)
    await log.record_turn(record, "web")
    events = await follow(log, after=30)
    assert numbers(events) == [38, 39, 40]
    assert [event.body for event in events] == [*(MessageDone(each) for each in responses), TurnDone(Outcome.PARTIAL)]
    assert numbers(await follow(log)) == [1, 38, 39, 40]


async def test_a_recorded_turn_without_a_number_has_dense_ones(log: KeyedLog, time: HandTime) -> None:
    record = TurnRecord(KEY, asks().message, (says("x"),), Outcome.COMPLETED, time(), time(), 0)
    await log.record_turn(record, "web")
    assert numbers(await follow(log)) == [1, 2, 3]


async def test_a_record_of_a_turn_that_the_log_has_changes_nothing(log: KeyedLog, time: HandTime) -> None:
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    await log.record_turn(TurnRecord(KEY, asks().message, (), Outcome.FAILED, time(), time(), 9), "web")
    await log.append(KEY, done(2))
    assert numbers(await follow(log)) == [1, 2]


async def test_ids_may_hold_any_characters(log: KeyedLog) -> None:
    odd = ("a", "A", "", "a ", "ä", "a\u0308", "a\0", "a\0b", "'; DROP TABLE turn; --", "%", "_", "x" * 128, "1", "01")
    keys = [TurnKey(tenant, conversation, "t") for tenant in odd for conversation in odd]
    await asyncio.gather(*(run_turn(log, key, answer=repr(key)) for key in keys))
    for key in keys:
        _, answer = await log.history(key.tenant, key.conversation_id, 9)
        assert answer.text == repr(key)
        assert (await log.state(key.tenant, key.conversation_id)).turn_count == 1


async def test_tenants_do_not_see_each_other(log: KeyedLog) -> None:
    pl = replace(KEY, tenant="pl")
    await run_turn(log, KEY, answer="für de")
    assert (await log.begin(pl, asks("another message"))).is_new
    await log.append(pl, accepted(pl))
    assert [message.text for message in await log.history("de", "c", 9)] == ["hi", "für de"]
    assert await log.history("pl", "c", 9) == ()
    assert await log.state("pl", "c") == ConversationState()
    assert numbers(await follow(log)) == [1, 2, 3]
    (only,) = (await log.list_turns("pl", "c", 9)).turns
    assert only.key == pl


async def test_what_was_heard_takes_the_place_of_what_was_said(log: KeyedLog) -> None:
    await run_turn(log, answer="one two three")
    await log.heard(KEY, HeardAnswer(KEY.turn_id, "one two", interrupted=True))
    _, answer = await log.history(KEY.tenant, KEY.conversation_id, 9)
    assert (answer.text, answer.interrupted) == ("one two", True)
    [record] = (await log.list_turns(KEY.tenant, KEY.conversation_id, 9)).turns
    assert [each.text for each in record.responses] == ["one two"]


async def test_nothing_can_be_heard_of_a_turn_that_runs_or_is_not_there(log: KeyedLog) -> None:
    await log.heard(KEY, HeardAnswer(KEY.turn_id, "one", interrupted=True))
    await log.begin(KEY, asks())
    await log.append(KEY, accepted())
    await log.heard(KEY, HeardAnswer(KEY.turn_id, "one", interrupted=True))
    await log.finish(KEY, Outcome.COMPLETED, (says("one two"),), ConversationState())
    assert (await log.history(KEY.tenant, KEY.conversation_id, 9))[1].text == "one two"
