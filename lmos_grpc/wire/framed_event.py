"""Events as responses carry them: the bytes of a message whose field 1 is the event.

`InvokeResponse`, `ConverseResponse` and `ResumeTurnResponse` are such messages, so that one piece of bytes serves the
caller, those who follow the turn, and the log; and many of them, one after the other, are one piece again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.errors import AgentProtocolViolationError
from lmos_grpc.wire.event import event_from_wire, read_body, source_from_wire, source_to_wire, write_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos.agent.v1 import agent_event_pb2 as event_pb

    from lmos_grpc.domain.event import AgentEvent, EventBody, Source

_TAG = 0x0A
_PAYLOAD = 0x7F
_MORE = 0x80


def frame_of(event: AgentEvent) -> bytes:
    """The event as a response carries it."""
    return frame_from(event.sequence, event.turn_id, event.body, Origin(event.source))


def frame_from(sequence: int, turn_id: str, body: EventBody, origin: Origin) -> bytes:
    """What happened, as a response carries it."""
    response = pb.InvokeResponse()
    event = response.event
    write_body(body, event)
    # After the body: what was not read brings the number and the source that it had before.
    event.sequence = sequence
    event.turn_id = turn_id
    event.source.CopyFrom(origin.message)
    return response.SerializeToString()


def event_of(frame: bytes) -> AgentEvent:
    """The event that a response carries."""
    return event_from_wire(pb.InvokeResponse.FromString(frame).event)


def split_frames(joined: bytes) -> list[bytes]:
    """The pieces that were joined."""
    frames, start = [], 0
    while start < len(joined):
        if joined[start] != _TAG:
            raise ValueError(f"no event begins at byte {start} of {len(joined)}")
        at, size, shift = start + 1, 0, 0
        while joined[at] >= _MORE:
            size |= (joined[at] & _PAYLOAD) << shift
            at, shift = at + 1, shift + 7
        end = at + 1 + (size | joined[at] << shift)
        frames.append(joined[start:end])
        start = end
    return frames


def join_frames(frames: Iterable[bytes]) -> bytes:
    """Many events as one piece."""
    return b"".join(frames)


class SaidEvent:
    """An event of an agent, of which no more is read than whoever passes it on has to know.

    Protobuf's own parser reads and writes it, and not the cheaper trick of appending fields that win over those before
    them: Envoy's transcoder to JSON renders what is on the wire, and would render the field twice.
    """

    __slots__ = ("_event", "_response", "kind", "sequence")

    def __init__(self, frame: bytes) -> None:
        try:
            self._response = pb.InvokeResponse.FromString(frame)
        except DecodeError:
            raise AgentProtocolViolationError(
                "the agent answered with bytes that are no message of the contract"
            ) from None
        self._event: event_pb.AgentEvent = self._response.event
        self.sequence = self._event.sequence
        # Empty where it is of a kind that is newer than we are.
        self.kind: str = self._event.WhichOneof("event") or ""

    @property
    def capability(self) -> str:
        """The capability that it says it comes from."""
        return self._event.source.capability

    @property
    def agent(self) -> str:
        """The agent that it says it comes from."""
        return self._event.source.agent

    @property
    def turn_id(self) -> str:
        """The turn that it belongs to."""
        return self._event.turn_id

    @property
    def text(self) -> str:
        """The text of a delta."""
        return self._event.text_delta.text

    def body(self) -> EventBody:
        """What it says, read in full."""
        return read_body(self._event)

    def frame(self) -> bytes:
        """The event as it came, for who keeps it: read, it takes more room."""
        return self._response.SerializeToString()

    def source(self) -> Source:
        """Where it says that it comes from."""
        return source_from_wire(self._event.source)

    def numbered(self, sequence: int) -> bytes:
        """The event with another number."""
        self._event.sequence = sequence
        return self._response.SerializeToString()

    def frame_as(self, sequence: int, turn_id: str, origin: Origin) -> bytes:
        """The event as part of another turn."""
        event = self._event
        event.sequence = sequence
        event.turn_id = turn_id
        event.source.CopyFrom(origin.message)
        return self._response.SerializeToString()


class Origin:
    """A source, ready to be put into many events."""

    __slots__ = ("message", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.message = source_to_wire(source)
