"""How the mesh is a virtual agent of Webex."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from lmos_grpc.channels.voice.ear import EarSettings
from lmos_grpc.channels.voice.mesh_line import LinePatience


class SoundMode(Enum):
    """How an answer's sound travels: in chunks as it comes, or as one WAV file at its end."""

    CHUNKS = "chunks"
    WAV = "wav"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByovaSettings:
    """`tenant_of_org`: the tenant of a Webex organisation; one that is not in there gets `tenant`."""

    locale: str = "en"
    tenant: str = "default"
    tenant_of_org: dict[str, str] = field(default_factory=dict)
    channel: str = "ivr"
    sound: SoundMode = SoundMode.CHUNKS
    greeting: str = ""
    ear: EarSettings = field(default_factory=EarSettings)
    max_reprompts: int = 2
    turn_limit: timedelta = timedelta(seconds=12)
    patience: LinePatience = field(default_factory=LinePatience)
    idle_limit: timedelta = timedelta(minutes=60)
    max_conversations: int = 1_000
