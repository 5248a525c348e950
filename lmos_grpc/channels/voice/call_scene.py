"""Where one call stands: what those who hear, speak and end it have in common."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.answer import Answer
from lmos_grpc.channels.voice.call_timers import CallTimers
from lmos_grpc.domain.live_session import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.channels.voice.call_leg import CallLeg, CallResult
    from lmos_grpc.channels.voice.call_observer import CallObserver
    from lmos_grpc.channels.voice.call_parts import CallParts
    from lmos_grpc.channels.voice.mesh_line import MeshLine
    from lmos_grpc.channels.voice.mouth import Mouth
    from lmos_grpc.channels.voice.settings import VoiceSettings
    from lmos_grpc.domain.live_session import KeysPressed, UserText


def random_id() -> str:
    """An id that nobody else makes."""
    return uuid.uuid4().hex


@dataclass(slots=True)
class CallTurn:
    """The turn that the caller waits for, or listens to."""

    asked: UserText | KeysPressed
    speech_ended: float
    asked_anew: bool = False
    answer: Answer = field(init=False)
    sounded: bool = False

    def __post_init__(self) -> None:
        """Begins with an empty answer."""
        self.answer = Answer(self.id)

    @property
    def id(self) -> str:
        """The turn's id in the mesh."""
        return self.asked.turn_id


@dataclass(slots=True, kw_only=True)
class CallScene:
    """`ending` is set as soon as it is clear how the call ends; from then on the caller is only spoken to."""

    leg: CallLeg
    parts: CallParts
    line: MeshLine
    mouth: Mouth
    new_id: Callable[[], str] = random_id
    timers: CallTimers = field(default_factory=CallTimers)
    tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    spec: InputSpec = field(default_factory=InputSpec)
    turn: CallTurn | None = None
    ending: CallResult | None = None

    @property
    def settings(self) -> VoiceSettings:
        """How callers are treated."""
        return self.parts.settings

    @property
    def observer(self) -> CallObserver:
        """Who looks on."""
        return self.parts.observer

    @property
    def call_id(self) -> str:
        """The call, as the telephone system names it."""
        return self.leg.call_id

    def now(self) -> float:
        """The time, in seconds of the loop's clock."""
        return asyncio.get_running_loop().time()
