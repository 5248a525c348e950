"""Events as they are passed on: the same as read and written again in full, whatever the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1 import message_pb2
from lmos.conversation.v1 import conversation_service_pb2 as conversation_pb

from lmos_grpc.domain.event import Source, TextDelta
from lmos_grpc.errors import AgentProtocolViolationError
from lmos_grpc.wire.framed_event import Origin, SaidEvent, event_of, join_frames, split_frames

TEXTS = st.text(max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
SOURCES = st.builds(event_pb.Source, agent=TEXTS, version=TEXTS, capability=TEXTS, branch=st.integers(0, 2**31 - 1))
MEMBERS: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.builds(lambda text: {"text_delta": event_pb.TextDelta(text=text)}, TEXTS),
    st.builds(lambda text: {"status": event_pb.Status(text=text)}, TEXTS),
    st.builds(lambda text: {"message": message_pb2.Message(parts=[message_pb2.Part(text=text)])}, TEXTS),
    st.builds(lambda agent: {"handover": event_pb.Handover(agent=agent)}, TEXTS),
    st.just({}),
)
RESPONSES = st.builds(
    lambda sequence, turn_id, source, member: pb.InvokeResponse(
        event=event_pb.AgentEvent(sequence=sequence, turn_id=turn_id, source=source, **member)
    ),
    NUMBERS,
    TEXTS,
    SOURCES,
    MEMBERS,
)
# A field that only a later version of the contract knows.
LATER = st.sampled_from((b"", b"\xfa\x3f\x03abc", b"\xf8\x3f\x07"))
OURS = Origin(Source("billing", "1.0.0", "invoice", 3))


@given(RESPONSES, LATER)
def test_what_is_passed_on_differs_in_number_turn_and_source_alone(response: pb.InvokeResponse, later: bytes) -> None:
    event = response.event
    event.MergeFromString(later)
    said = SaidEvent(response.SerializeToString())
    assert (said.sequence, said.kind) == (event.sequence, event.WhichOneof("event") or "")
    passed_on = pb.InvokeResponse.FromString(said.frame_as(7, "turn", OURS)).event
    event.sequence, event.turn_id = 7, "turn"
    event.source.CopyFrom(OURS.message)
    assert passed_on == event
    assert passed_on.SerializeToString() == event.SerializeToString()


@given(RESPONSES, SOURCES)
def test_the_number_and_the_source_stand_once_on_the_wire(response: pb.InvokeResponse, source: event_pb.Source) -> None:
    frame = (
        response.SerializeToString()
        + pb.InvokeResponse(event=event_pb.AgentEvent(sequence=3, source=source)).SerializeToString()
    )
    passed_on = SaidEvent(frame).frame_as(7, "turn", OURS)
    assert passed_on == pb.InvokeResponse.FromString(passed_on).SerializeToString()


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_a_violation_and_nothing_else(frame: bytes) -> None:
    try:
        said = SaidEvent(frame)
    except AgentProtocolViolationError:
        return
    assert event_of(said.frame_as(1, "t", OURS)).source == OURS.source


@pytest.mark.parametrize("frame", [b"\xff", b"\x0a\x05abc", b"\x0a\x03b\x01\xff"])
def test_broken_bytes_are_a_violation(frame: bytes) -> None:
    with pytest.raises(AgentProtocolViolationError, match="no message of the contract"):
        SaidEvent(frame)


@given(st.lists(RESPONSES, max_size=5))
def test_events_that_were_joined_come_apart_as_they_were(responses: list[pb.InvokeResponse]) -> None:
    frames = [response.SerializeToString() for response in responses]
    assert split_frames(join_frames(frames)) == frames


def test_a_long_event_is_kept_whole() -> None:
    frames = [
        pb.InvokeResponse(event=event_pb.AgentEvent(text_delta=event_pb.TextDelta(text="x" * size))).SerializeToString()
        for size in (0, 100, 127, 128, 20_000, 3_000_000)
    ]
    assert split_frames(join_frames(frames)) == frames


def test_what_is_no_event_is_not_split() -> None:
    with pytest.raises(ValueError, match="no event begins at byte 2 of 3"):
        split_frames(b"\x0a\x00x")


@given(RESPONSES, NUMBERS)
def test_a_session_changes_the_number_alone(response: pb.InvokeResponse, sequence: int) -> None:
    changed = pb.ConverseResponse.FromString(SaidEvent(response.SerializeToString()).numbered(sequence)).event
    response.event.sequence = sequence
    assert changed == response.event


def test_all_responses_carry_events_alike() -> None:
    event = event_pb.AgentEvent(sequence=3, text_delta=event_pb.TextDelta(text="x"))
    kinds = (pb.InvokeResponse, pb.ConverseResponse, conversation_pb.ResumeTurnResponse)
    (frame,) = {kind(event=event).SerializeToString() for kind in kinds}
    assert event_of(frame).body == TextDelta("x")
