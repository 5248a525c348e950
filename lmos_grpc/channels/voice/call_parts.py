"""What all calls of an edge share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.call_book import CallBook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from lmos_grpc.channels.speech.engine import Recogniser, Synthesiser
    from lmos_grpc.channels.voice.call_observer import CallObserver
    from lmos_grpc.channels.voice.ear import VoiceDetector
    from lmos_grpc.channels.voice.phrases import Phrases
    from lmos_grpc.channels.voice.settings import VoiceSettings
    from lmos_grpc.clients.converse_client import ConverseClient


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParts:
    """`ready` has the phrases of the edge as speech."""

    client: ConverseClient
    recogniser: Recogniser
    synthesiser: Synthesiser
    settings: VoiceSettings
    phrases: Phrases
    ready: Mapping[str, bytes]
    detector: Callable[[], VoiceDetector]
    observer: CallObserver
    tracer: Tracer
    book: CallBook = field(default_factory=CallBook)
