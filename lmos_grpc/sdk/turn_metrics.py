"""Counts the turns of an agent."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lmos_grpc.domain.event import Usage
    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.telemetry import Metrics


class TurnMeter:
    """What is noted of a turn while it runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self.outcome = Outcome.FAILED
        self.time_to_first_token: timedelta | None = None

    def first_token(self) -> None:
        """A piece of the answer came; only the first counts."""
        if self.time_to_first_token is None:
            self.time_to_first_token = self.elapsed

    @property
    def elapsed(self) -> timedelta:
        """How long the turn has run."""
        return timedelta(seconds=self._clock() - self._started)


@contextmanager
def metered(
    metrics: Metrics,
    agent: str,
    context: CallContext,
    usages: Iterable[Usage],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[TurnMeter]:
    """Counts the turn inside the block, with its failure and, at the end, the tokens in `usages`."""
    who = (agent, context.tenant, context.channel)
    meter = TurnMeter(clock)
    metrics.turn_started(*who)
    try:
        yield meter
    except asyncio.CancelledError:
        meter.outcome = Outcome.CANCELLED
        raise
    except BaseException as error:
        reason = error.detail.reason if isinstance(error, LmosError) else Reason.AGENT_FAILED
        metrics.turn_failed(*who, reason.name)
        raise
    finally:
        for usage in usages:
            metrics.tokens_used(*who, usage.input_tokens, usage.output_tokens)
        metrics.turn_finished(
            *who, meter.outcome.name, duration=meter.elapsed, time_to_first_token=meter.time_to_first_token
        )
