"""What a peer may make us keep and do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Windows, sizes and rates of one connection; the windows at least 65,535 bytes, which a peer may assume."""

    stream_window_bytes: int = 256 * 1024
    connection_window_bytes: int = 4 * 1024 * 1024
    max_message_bytes: int = 5 * 1024 * 1024
    # A peer that opens more is refused; with grpc.aio there is no limit at all.
    max_concurrent_streams: int = 16_384
    max_header_list_bytes: int = 64 * 1024
    # One CONTINUATION flood is 16 KiB a frame, or nothing a frame.
    max_continuations: int = 16
    # Answers (to PING and SETTINGS, and resets) that the peer does not take from us.
    max_waiting_control_bytes: int = 64 * 1024
    # Frames that cost us and give the peer nothing: so many at once, and so many a second, beside what makes sense.
    nuisance_burst: int = 10_000
    nuisances_per_second: int = 2_000
    # Streams that a client resets on one connection: so many at once, and so many a second; then another connection has
    # its place. Against floods (CVE-2023-44487) an Envoy that is not told otherwise (ours is, envoy/) breaks a
    # connection off, with every call on it, at 250 resets that came before any answer, and at 1,000 that came faster
    # than 33 a second, as every server on nghttp2 does. The rest is for the calls that still run on a connection when
    # it is replaced.
    reset_burst: int = 100
    resets_per_second: int = 30
    # A writer waits above this.
    send_high_water_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A ping after so long without a sound; without an answer in time the connection is closed."""

    time: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a channel waits between attempts to connect."""

    first: timedelta = timedelta(milliseconds=100)
    longest: timedelta = timedelta(seconds=2)
    factor: float = 1.6
    spread: float = 0.2
    connect_timeout: timedelta = timedelta(seconds=20)

    def pause(self, failures: int, chance: float) -> float:
        """Seconds after so many failures in a row; `chance` is from 0 to 1."""
        steady = self.first.total_seconds() * self.factor ** min(failures - 1, 64)
        return min(steady, self.longest.total_seconds()) * (1 - self.spread + 2 * self.spread * chance)
