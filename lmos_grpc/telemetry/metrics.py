"""Figures about turns and the mesh, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from datetime import timedelta

OTHER = "other"
_WHO = ("agent", "tenant", "channel")
_SECONDS_OF_A_TURN = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_SECONDS_TO_FIRST_TOKEN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15)
_SECONDS_OF_A_DECISION = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)


class Metrics:
    """Counts what happens, in a registry of its own.

    Callers choose tenant and channel: of each label only the first `max_values` different ones are told apart, and
    of their combinations only the first `max_combinations`; the rest is counted as "other".
    """

    def __init__(self, *, max_values: int = 100, max_combinations: int = 1_000) -> None:
        self.registry = CollectorRegistry()
        self._seen = tuple(_FirstComers(max_values) for _ in _WHO)
        self._combinations = _FirstComers(max_combinations)
        own = self.registry
        self._turns = Counter("lmos_turns", "Turns that ended.", (*_WHO, "outcome"), registry=own)
        self._errors = Counter("lmos_errors", "Failures by reason.", (*_WHO, "reason"), registry=own)
        self._tokens = Counter("lmos_tokens", "Tokens of models.", (*_WHO, "direction"), registry=own)
        self._active = Gauge("lmos_active_turns", "Turns that run.", _WHO, registry=own)
        self._duration = Histogram(
            "lmos_turn_duration_seconds",
            "From accepting a turn to its end.",
            _WHO,
            buckets=_SECONDS_OF_A_TURN,
            registry=own,
        )
        self._first_token = Histogram(
            "lmos_time_to_first_token_seconds",
            "From accepting a turn to the first text.",
            _WHO,
            buckets=_SECONDS_TO_FIRST_TOKEN,
            registry=own,
        )
        self._decisions = Histogram(
            "lmos_routing_decision_seconds",
            "Routing decisions by mode and lane.",
            ("mode", "lane"),
            buckets=_SECONDS_OF_A_DECISION,
            registry=own,
        )
        by_classifier = ("classifier",)
        self._shift = Gauge(
            "lmos_routing_curve_shift",
            "How much stricter than the shipped curve that of this mesh is, in log odds.",
            by_classifier,
            registry=own,
        )
        self._left_out = Gauge(
            "lmos_routing_phrases_left_out",
            "Example phrases left out to see where they would go.",
            by_classifier,
            registry=own,
        )
        self._found = Gauge(
            "lmos_routing_phrases_found", "Those of them that went to their agent.", by_classifier, registry=own
        )
        self._instances = Gauge("lmos_registered_instances", "Agent instances by state.", ("state",), registry=own)
        self._envoys = Gauge("lmos_connected_envoys", "Envoys with an open xDS stream.", registry=own)
        self._pushes = Counter("lmos_xds_pushes", "Updates sent to Envoys.", ("resource_type",), registry=own)
        self._refusals = Counter(
            "lmos_xds_refusals", "Updates that an Envoy refused.", ("resource_type",), registry=own
        )
        self._readings = Counter("lmos_rules_readings", "Readings of the rules' files.", ("result",), registry=own)
        self._refused_rules = Gauge(
            "lmos_rules_refused", "1 while the files are wrong, and older rules are in force.", registry=own
        )
        self._lost_spans = Counter("lmos_lost_spans", "Spans that the trace store could not take.", registry=own)

    def turn_started(self, agent: str, tenant: str, channel: str) -> None:
        """A turn was accepted."""
        self._active.labels(*self._who(agent, tenant, channel)).inc()

    def turn_finished(
        self,
        agent: str,
        tenant: str,
        channel: str,
        outcome: str,
        *,
        duration: timedelta | None,
        time_to_first_token: timedelta | None = None,
    ) -> None:
        """A turn that was started has ended; None: it is not known how long it took, or it came to no first token."""
        who = self._who(agent, tenant, channel)
        self._active.labels(*who).dec()
        self._turns.labels(*who, outcome).inc()
        if duration is not None:
            self._duration.labels(*who).observe(duration.total_seconds())
        if time_to_first_token is not None:
            self._first_token.labels(*who).observe(time_to_first_token.total_seconds())

    def turn_failed(self, agent: str, tenant: str, channel: str, reason: str) -> None:
        """Something failed in a turn, with one of the contract's reasons."""
        self._errors.labels(*self._who(agent, tenant, channel), reason).inc()

    def tokens_used(self, agent: str, tenant: str, channel: str, input_tokens: int, output_tokens: int) -> None:
        """A model was called."""
        who = self._who(agent, tenant, channel)
        self._tokens.labels(*who, "input").inc(input_tokens)
        self._tokens.labels(*who, "output").inc(output_tokens)

    def route_decided(self, mode: str, duration: timedelta, *, lane: str) -> None:
        """A routing decision was made on a turn that takes this lane."""
        self._decisions.labels(mode, lane).observe(duration.total_seconds())

    def curve_learnt(self, classifier: str, *, shift: float, left_out: int, found: int) -> None:
        """The cards are learnt, and with them the curve of this mesh."""
        self._shift.labels(classifier).set(shift)
        self._left_out.labels(classifier).set(left_out)
        self._found.labels(classifier).set(found)

    def instances_changed(self, by_state: Mapping[str, int]) -> None:
        """How many instances are in each state now; a state that is left out keeps its figure."""
        for state, count in by_state.items():
            self._instances.labels(state).set(count)

    def envoys_changed(self, count: int) -> None:
        """How many Envoys are connected now."""
        self._envoys.set(count)

    def xds_pushed(self, resource_type: str) -> None:
        """An Envoy was sent an update."""
        self._pushes.labels(resource_type).inc()

    def xds_refused(self, resource_type: str) -> None:
        """An Envoy refused an update."""
        self._refusals.labels(resource_type).inc()

    def rules_read(self, *, sound: bool) -> None:
        """The files that declare tenants, channels and agents were read."""
        self._readings.labels("in force" if sound else "refused").inc()
        self._refused_rules.set(0 if sound else 1)

    def spans_lost(self, count: int) -> None:
        """The trace store was too slow or down."""
        self._lost_spans.inc(count)

    def _who(self, *values: str) -> tuple[str, ...]:
        known = tuple(value if seen.admit(value) else OTHER for seen, value in zip(self._seen, values, strict=True))
        return known if self._combinations.admit(known) else (OTHER,) * len(_WHO)


class _FirstComers:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[Hashable] = set()

    def admit(self, value: Hashable) -> bool:
        if value in self._known:
            return True
        if len(self._known) >= self._limit:
            return False
        self._known.add(value)
        return True
