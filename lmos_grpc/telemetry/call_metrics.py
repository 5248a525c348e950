"""Figures about telephone calls, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from datetime import timedelta

_VOICE_TO_VOICE_SECONDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2, 3, 5, 10)
_BARGE_IN_SECONDS = (0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1)


class CallMetrics:
    """Counts what happens in the calls of one edge, in a registry of its own. Every label has few values."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self._calls = Counter("lmos_calls", "Calls that ended, by how.", ("end",), registry=own)
        self._active = Gauge("lmos_active_calls", "Calls that go on.", registry=own)
        self._voice_to_voice = Histogram(
            "lmos_call_voice_to_voice_seconds",
            "From the end of a caller's speech to the first sound of the answer.",
            buckets=_VOICE_TO_VOICE_SECONDS,
            registry=own,
        )
        self._barge_in = Histogram(
            "lmos_call_barge_in_seconds",
            "From the beginning of an interruption to silence on the line.",
            buckets=_BARGE_IN_SECONDS,
            registry=own,
        )
        self._reprompts = Counter(
            "lmos_call_reprompts", "Callers who were asked again, by why.", ("why",), registry=own
        )
        self._late = Counter("lmos_call_late_frames", "Frames that went out more than 20 ms late.", registry=own)
        self._lost = Counter(
            "lmos_call_mesh_lost", "Streams of live sessions that broke or were sent away.", registry=own
        )
        self._back = Counter(
            "lmos_call_mesh_back", "Live sessions that were opened again, by what they are.", ("session",), registry=own
        )
        self._engines = Counter("lmos_call_engine_failures", "Failures of speech engines.", ("engine",), registry=own)
        self._pauses = Counter("lmos_call_recording_pauses", "Pauses that a recording was to make.", registry=own)

    def call_began(self) -> None:
        """A call was answered."""
        self._active.inc()

    def call_ended(self, end: str) -> None:
        """A call is over."""
        self._active.dec()
        self._calls.labels(end).inc()

    def answered(self, after: timedelta) -> None:
        """A caller hears the beginning of an answer."""
        self._voice_to_voice.observe(after.total_seconds())

    def interrupted(self, after: timedelta) -> None:
        """A caller spoke over an answer, and it fell silent."""
        self._barge_in.observe(after.total_seconds())

    def asked_again(self, why: str) -> None:
        """A caller said nothing, or was not understood."""
        self._reprompts.labels(why).inc()

    def frame_late(self) -> None:
        """A frame of 20 ms went out too late."""
        self._late.inc()

    def mesh_lost(self) -> None:
        """The stream of a live session broke, or was sent away."""
        self._lost.inc()

    def mesh_back(self, *, resumed: bool) -> None:
        """A call has a live session again."""
        self._back.labels("resumed" if resumed else "new").inc()

    def engine_failed(self, engine: str) -> None:
        """A recogniser or a synthesiser failed."""
        self._engines.labels(engine).inc()

    def recording_pauses(self) -> None:
        """A recording is to pause."""
        self._pauses.inc()
