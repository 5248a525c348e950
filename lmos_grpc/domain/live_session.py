"""What is said in a live session beside text: by the edge that holds the call, and by the agent that answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class CallDirection(Enum):
    """Which way a call goes."""

    UNSPECIFIED = "unspecified"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class SignalKind(Enum):
    """What can happen at the edge."""

    SPEECH_STARTED = "speech started"
    SPEECH_ENDED = "speech ended"
    DTMF_STARTED = "keys started"
    NO_INPUT = "no input"
    NO_MATCH = "no match"
    HANGUP = "hangup"
    HOLD = "hold"
    UNHOLD = "unhold"


class PlaybackState(Enum):
    """What can become of the playback of a prompt."""

    STARTED = "started"
    MARK = "mark"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"


class CancelCause(Enum):
    """Why a turn is cancelled."""

    BARGE_IN = "barge-in"
    NEW_INPUT = "new input"
    USER = "user"
    HANGUP = "hangup"


class EndReason(Enum):
    """Why a session ends."""

    UNSPECIFIED = "unspecified"
    DONE = "done"
    HANGUP = "hangup"
    ERROR = "error"
    TRANSFERRED = "transferred"


class TransferOutcome(Enum):
    """What can become of a transfer."""

    CONNECTED = "connected"
    BUSY = "busy"
    NO_ANSWER = "no answer"
    FAILED = "failed"


class TransferKind(Enum):
    """How a call is connected to somebody else."""

    UNSPECIFIED = "unspecified"
    BLIND = "blind"
    ATTENDED = "attended"
    QUEUE = "queue"


class InputMode(Enum):
    """Which input is expected."""

    UNSPECIFIED = "unspecified"
    VOICE = "voice"
    DTMF = "keys"
    ANY = "any"
    NONE = "none"


class PromptKind(Enum):
    """What a prompt is for."""

    UNSPECIFIED = "unspecified"
    ANSWER = "answer"
    FILLER = "filler"
    GREETING = "greeting"
    REPROMPT = "reprompt"
    CLOSING = "closing"


class DtmfEnd(Enum):
    """Why keypad input ended."""

    UNSPECIFIED = "unspecified"
    LENGTH = "length"
    TERMINATOR = "terminator"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class CallInfo:
    """The telephone call."""

    call_id: str = ""
    from_number: str = ""
    to_number: str = ""
    user_to_user: str = ""
    direction: CallDirection = CallDirection.UNSPECIFIED
    sip_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Opens a live session, or takes one up again after an event; the first input, exactly once."""

    conversation_id: str = ""
    locale: str = ""
    user_id: str = ""
    agent: str = ""
    call: CallInfo | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    resume_token: str = field(default="", repr=False)
    last_sequence: int = 0


@dataclass(frozen=True, slots=True)
class UserText:
    """What the caller said; only final text begins a turn."""

    text: str
    is_final: bool = True
    turn_id: str = ""
    confidence: float | None = None
    locale: str = ""
    sensitive: bool = False
    speech_end: timedelta | None = None

    def __repr__(self) -> str:
        """Without what was said: representations end up in logs."""
        return f"UserText(turn_id={self.turn_id!r}, is_final={self.is_final})"


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """Keypad input; complete keys begin a turn."""

    digits: str
    complete: bool = True
    end: DtmfEnd = DtmfEnd.UNSPECIFIED
    sensitive: bool = False
    turn_id: str = ""

    def __repr__(self) -> str:
        """Without the keys: representations end up in logs."""
        return f"KeysPressed(turn_id={self.turn_id!r}, complete={self.complete})"


@dataclass(frozen=True, slots=True)
class Signal:
    """Something happened at the edge, `count` times in a row. With a turn id it begins a turn."""

    kind: SignalKind
    count: int = 0
    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class PlaybackReport:
    """What became of the playback of a prompt."""

    state: PlaybackState
    turn_id: str = ""
    prompt_id: str = ""
    played: timedelta | None = None
    heard_text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop a turn, of which so much was heard."""

    turn_id: str = ""
    cause: CancelCause = CancelCause.BARGE_IN
    heard: timedelta | None = None
    heard_text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What became of a transfer."""

    outcome: TransferOutcome
    detail: str = ""
    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class SessionUpdate:
    """Changes the session; what is empty stays."""

    locale: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave that the caller ran, or why it failed; the id is that of the call."""

    id: str
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)  # Any: JSON values
    error: str = ""


@dataclass(frozen=True, slots=True)
class Custom:
    """Something that the contract has no word for, from either side; the name is a reverse domain name."""

    name: str
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)  # Any: JSON values


@dataclass(frozen=True, slots=True)
class UnsupportedInput:
    """An input of a kind that is not taken; `kind` is its name in the contract, empty where it is newer than we are."""

    kind: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""

    id: int


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """Ends a session."""

    reason: EndReason = EndReason.DONE


SessionInput = (
    SessionStart
    | UserText
    | KeysPressed
    | Signal
    | PlaybackReport
    | CancelRequest
    | TransferResult
    | ToolResult
    | Custom
    | SessionUpdate
    | Ping
    | SessionEnd
)

# What an agent that listens is told of beside its turns.
CallerInput = (
    UserText
    | KeysPressed
    | Signal
    | PlaybackReport
    | CancelRequest
    | TransferResult
    | ToolResult
    | Custom
    | SessionUpdate
)


@dataclass(frozen=True, slots=True)
class HeardAnswer:
    """What the caller heard of the answer of a turn."""

    turn_id: str
    text: str = field(default="", repr=False)
    interrupted: bool = False
    played: timedelta | None = None


@dataclass(frozen=True, slots=True)
class LiveTurn:
    """The live session that a turn belongs to; `about` is what it is about, where that is no text."""

    session_id: str = ""
    call: CallInfo | None = None
    about: KeysPressed | Signal | TransferResult | None = None
    heard: HeardAnswer | None = None
    confidence: float | None = None
    speech_end: timedelta | None = None
    # The session of this process by which the turn came, where it is one; not passed on.
    line: str = ""


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The session is open. Always its first event."""

    session_id: str
    conversation_id: str = ""
    keepalive: timedelta | None = None
    resume_token: str = field(default="", repr=False)
    resumed: bool = False
    last_input_sequence: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something to say to the caller; pieces with the same id are appended. `ssml` tells what the text is."""

    text: str
    id: str = ""
    kind: PromptKind = PromptKind.UNSPECIFIED
    interruptible: bool = True
    locale: str = ""
    last: bool = True
    ssml: bool = False


@dataclass(frozen=True, slots=True)
class DtmfSpec:
    """How keypad input is collected; 0 and empty mean: not by that."""

    length: int = 0
    terminator: str = ""
    inter_digit_timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What input is expected next, and how; stays in force until the next one. None: as the edge has it."""

    mode: InputMode = InputMode.UNSPECIFIED
    no_input_timeout: timedelta | None = None
    complete_silence: timedelta | None = None
    incomplete_silence: timedelta | None = None
    max_speech: timedelta | None = None
    dtmf: DtmfSpec | None = None
    sensitive: bool = False
    hints: tuple[str, ...] = ()
    grammar: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The call is to be connected to a number, a SIP URI or a queue."""

    target: str
    kind: TransferKind = TransferKind.UNSPECIFIED
    after_playback: bool = True
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """The recording is to pause or to go on."""

    paused: bool


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over. Always its last event."""

    reason: EndReason = EndReason.UNSPECIFIED
    after_playback: bool = True
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping."""

    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """The stream will be closed soon; the session can be taken up again."""

    time_left: timedelta
    resume_token: str = field(default="", repr=False)


LiveBody = SessionReady | Prompt | InputSpec | Transfer | Recording | Pong | GoAway | SessionEnded | Custom
