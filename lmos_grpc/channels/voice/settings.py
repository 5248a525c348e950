"""How a voice edge treats its callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from lmos_grpc.channels.voice.ear import EarSettings
from lmos_grpc.channels.voice.mesh_line import LinePatience


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """`fallback_target` is where callers go when the mesh is gone; empty: they are told so, and hung up on."""

    locale: str = "en"
    tenant: str = "default"
    channel: str = "ivr"
    agent: str = ""
    greeting: str = ""  # empty: as the phrases of the language have it
    fallback_target: str = ""
    ear: EarSettings = field(default_factory=EarSettings)
    no_input_after: timedelta = timedelta(seconds=6)
    max_reprompts: int = 2
    filler_after: timedelta = timedelta(milliseconds=1_200)
    turn_limit: timedelta = timedelta(seconds=12)
    patience: LinePatience = field(default_factory=LinePatience)
    hold_the_line_after: timedelta = timedelta(seconds=1)
    wrap_up: timedelta = timedelta(seconds=2)
    longest_call: timedelta = timedelta(hours=1)
