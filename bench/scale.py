"""How much is measured: all of it, or seconds of everything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Times are in seconds, sizes are counts."""

    rounds: int
    warm: float
    window: float
    callers: tuple[int, ...]
    streams: tuple[int, ...]
    paced: tuple[int, ...]
    paced_tokens: int
    burst: int
    branches: tuple[int, ...]
    churn_agents: tuple[int, ...]
    churn_turns: int
    grown_agents: tuple[int, ...]
    sessions: tuple[int, ...]
    talking: tuple[int, ...]
    listening: float
    cancels: int
    decisions: int
    calls: tuple[int, ...]
    call_rounds: int  # of one call alone; several calls share them


FULL = Scale(
    rounds=5,
    warm=0.5,
    window=2,
    callers=(1, 16, 64),
    streams=(1, 32, 128),
    paced=(32, 100, 300),
    paced_tokens=100,
    burst=32,
    branches=(2, 8, 32),
    churn_agents=(10, 1_000, 5_000),
    churn_turns=40,
    grown_agents=(10, 100, 1_000, 10_000),
    sessions=(1_000, 5_000, 10_000),
    talking=(100, 1_000),
    listening=6,
    cancels=200,
    decisions=2_000,
    calls=(1, 20),
    call_rounds=40,
)
SMOKE = Scale(
    rounds=1,
    warm=0.2,
    window=0.4,
    callers=(1, 16),
    streams=(8,),
    paced=(8,),
    paced_tokens=10,
    burst=8,
    branches=(2,),
    churn_agents=(2, 20),
    churn_turns=3,
    grown_agents=(2, 20),
    sessions=(50,),
    talking=(20,),
    listening=0.1,
    cancels=5,
    decisions=50,
    calls=(1, 2),
    call_rounds=2,
)
