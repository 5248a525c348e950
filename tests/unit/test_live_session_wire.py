"""What is said in a live session survives the wire, and does not show in representations."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from lmos.agent.v1 import live_session_pb2 as pb

from lmos_grpc.domain.event import AgentEvent
from lmos_grpc.domain.live_session import (
    CallInfo,
    CancelCause,
    CancelRequest,
    DtmfEnd,
    DtmfSpec,
    EndReason,
    InputMode,
    InputSpec,
    KeysPressed,
    Ping,
    PlaybackReport,
    PlaybackState,
    Prompt,
    PromptKind,
    Recording,
    SessionEnd,
    SessionEnded,
    SessionReady,
    SessionStart,
    Signal,
    SignalKind,
    Transfer,
    TransferKind,
    TransferOutcome,
    TransferResult,
    UserText,
)
from lmos_grpc.wire.event import event_from_wire, event_to_wire
from lmos_grpc.wire.live_session import session_input_to_wire
from lmos_grpc.wire.session_input import session_input_from_wire

if TYPE_CHECKING:
    from lmos_grpc.domain.live_session import (
        LiveBody,
    )

SECOND = timedelta(seconds=1)
BODIES: list[LiveBody] = [
    SessionReady("s-1", "c-1", SECOND),
    Prompt("Hello.", "p-1", PromptKind.GREETING, interruptible=False, locale="de", last=False),
    Prompt("<speak>Hello.</speak>", ssml=True),
    InputSpec(),
    InputSpec(
        InputMode.DTMF,
        *(SECOND, SECOND, SECOND, SECOND),
        DtmfSpec(4, "#", SECOND),
        sensitive=True,
        hints=("yes", "no"),
        grammar="#JSGF V1.0;",
    ),
    Transfer("queue-1", TransferKind.QUEUE, after_playback=False, summary="wants a person"),
    Transfer("+491234"),
    Recording(paused=True),
    SessionEnded(EndReason.TRANSFERRED, after_playback=False, summary="done"),
    SessionEnded(),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_an_event_survives_the_wire(body: LiveBody) -> None:
    assert event_from_wire(event_to_wire(AgentEvent(3, "t-1", body))) == AgentEvent(3, "t-1", body)


def test_what_a_reader_does_not_say_has_the_default_of_the_contract() -> None:
    bare = event_to_wire(AgentEvent(1, "t-1", Transfer("x")))
    bare.transfer.ClearField("after_playback")
    assert event_from_wire(bare).body == Transfer("x", after_playback=True)


def test_inputs_travel_with_their_numbers() -> None:
    start = SessionStart("c-1", "de", "C-1", "billing-agent", CallInfo("id", "+1", "+2"), {"a": "b"})
    wire = session_input_to_wire(start, 1)
    assert (wire.sequence, wire.start.conversation_id, wire.start.variables["a"]) == (1, "c-1", "b")
    assert (wire.start.call.call_id, getattr(wire.start.call, "from"), wire.start.call.to) == ("id", "+1", "+2")
    assert session_input_to_wire(Ping(7), 2).ping.id == 7
    assert session_input_to_wire(SessionEnd(EndReason.HANGUP), 3).end.reason == pb.END_REASON_HANGUP
    signal = session_input_to_wire(Signal(SignalKind.NO_INPUT, 2), 4).signal
    assert (signal.kind, signal.count) == (pb.SIGNAL_KIND_NO_INPUT, 2)


def test_what_was_heard_travels_with_cancel_and_playback() -> None:
    cancel = session_input_to_wire(CancelRequest("t-1", CancelCause.BARGE_IN, SECOND, "you said"), 1).cancel
    assert (cancel.turn_id, cancel.cause, cancel.heard.seconds, cancel.heard_text) == ("t-1", 1, 1, "you said")
    report = PlaybackReport(PlaybackState.INTERRUPTED, "t-1", "p-1", SECOND, "you said")
    playback = session_input_to_wire(report, 2).playback
    assert (playback.state, playback.prompt_id, playback.heard_text) == (4, "p-1", "you said")
    result = session_input_to_wire(TransferResult(TransferOutcome.BUSY, "engaged"), 3).transfer_result
    assert (result.outcome, result.detail) == (pb.TRANSFER_OUTCOME_BUSY, "engaged")


KEYS = KeysPressed("1002", complete=True, end=DtmfEnd.LENGTH, turn_id="t-1")


@pytest.mark.parametrize(
    "given",
    [KEYS, Signal(SignalKind.SPEECH_STARTED), PlaybackReport(PlaybackState.COMPLETED)],
    ids=lambda each: type(each).__name__,
)
def test_an_input_survives_the_wire(given: KeysPressed | Signal | PlaybackReport) -> None:
    assert session_input_from_wire(session_input_to_wire(given, 1)) == given


def test_what_was_said_or_typed_does_not_show_in_a_representation() -> None:
    assert "4711" not in repr(UserText("my number is 4711"))
    assert "4711" not in repr(KeysPressed("4711"))
