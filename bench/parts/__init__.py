"""The parts of the benchmark, each of which can be run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.parts.control_plane import measure_control_plane
from bench.parts.fan_out import measure_fan_out
from bench.parts.growth import measure_growth
from bench.parts.ivr import measure_ivr
from bench.parts.paths import measure_paths
from bench.parts.peers import measure_peers
from bench.parts.transport import measure_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bench.bench_run import BenchRun
    from bench.part_result import PartResult

PARTS: Mapping[str, Callable[[BenchRun], Awaitable[PartResult]]] = {
    "paths": measure_paths,
    "fan-out": measure_fan_out,
    "control-plane": measure_control_plane,
    "growth": measure_growth,
    "peers": measure_peers,
    "transport": measure_transport,
    "ivr": measure_ivr,
}

__all__ = ["PARTS"]
