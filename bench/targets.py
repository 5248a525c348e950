"""The figures to reach, and whether a run reached them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figure import NOTHING, plain
from bench.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for one key figure of a part, as `part.key`."""

    about: str
    key: str
    limit: float
    unit: str = ""
    at_least: bool = True

    def wanted(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.at_least else 'at most'} {plain(self.limit)}{self.unit}"

    def verdict(self, measured: float | None) -> str:
        """What to say of a measured figure."""
        if measured is None:
            return "not measured"
        if measured >= self.limit if self.at_least else measured <= self.limit:
            return "reached"
        return f"missed by {plain(abs(measured - self.limit))}{self.unit}"


TARGETS = (
    Target("express lane, streamed tokens/s, against Envoy with a static route", "paths.express_over_static", 0.9),
    Target(
        "express lane, CPU of all Python per 1,000 paced tokens", "paths.express_python_ms", 10, " ms", at_least=False
    ),
    Target("managed lane, streamed tokens/s, against a plain Python relay", "paths.managed_over_relay", 3),
    Target(
        "managed lane, CPU of Python per paced token, against the plain relay",
        "paths.managed_python_over_relay",
        1 / 3,
        at_least=False,
    ),
    Target(
        "time to first token that the express lane adds, p50", "paths.express_first_token_ms", 5, " ms", at_least=False
    ),
    Target(
        "time to first token that the managed lane adds, p50", "paths.managed_first_token_ms", 15, " ms", at_least=False
    ),
    Target("cancel at the caller → known to the agent, p99", "paths.cancel_p99_ms", 100, " ms", at_least=False),
    Target(
        "registered → first call, 1,000 agents, p50", "control-plane.first_call_p50_ms_1000", 10, " ms", at_least=False
    ),
    Target(
        "registered → first call, 1,000 agents, p99", "control-plane.first_call_p99_ms_1000", 30, " ms", at_least=False
    ),
    Target("routing decision, 1,000 capabilities, p50", "growth.decision_p50_ms_1000", 1, " ms", at_least=False),
    Target("idle live sessions, all alive at the end", "growth.sessions_alive", 10_000),
    Target("streamed events/s, all in Python, against a2a-sdk over gRPC", "peers.mesh_over_a2a", 10),
    Target("the same with compiled agents and caller", "peers.compiled_over_a2a", 10),
    Target("streamed events/s, all in Python, against AutoGen's gRPC host", "peers.mesh_over_autogen", 10),
    Target("the same with compiled agents and caller", "peers.compiled_over_autogen", 10),
    *(
        Target(f"{row}, all in Python, against the best of the peers", f"peers.over_best, {row}", 1)
        for row in ("turn, 1 caller", "turn, 16 callers", "stream, 1 caller", "stream, 8 callers", "fan-out to 8")
    ),
)


def verdicts(figures: Mapping[str, float | None]) -> Table:
    """All targets beside what was measured, by `part.key`."""
    rows = []
    for each in TARGETS:
        measured = figures.get(each.key)
        value = NOTHING if measured is None else f"{plain(measured)}{each.unit}"
        rows.append((each.about, each.wanted(), value, each.verdict(measured)))
    return Table("Targets", ("figure", "target", "measured", "verdict"), tuple(rows))
