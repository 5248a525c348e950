"""A routing decision on the current span: who was chosen and how, and nothing of what the user said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import get_current_span

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision


def record_decision(decision: Decision) -> None:
    """Puts a decision on the current span. Of a decision made later in the turn, the span tells the last."""
    span = get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("lmos.route.mode", decision.mode.value)
    span.set_attribute("lmos.route.strategy", decision.strategy.kind.value)
    span.set_attribute("lmos.route.lane", decision.lane.value)
    span.set_attribute("lmos.route.targets", [each.key.route for each in decision.targets])
    span.set_attribute("lmos.route.capabilities", [each.capability for each in decision.targets])
    if decision.classifier:
        span.set_attribute("lmos.route.classifier", decision.classifier)
    if decision.candidates:
        span.set_attribute("lmos.route.top_score", decision.candidates[0].score)
    if decision.governance:
        span.set_attribute("lmos.route.subset", decision.governance.subset)
        span.set_attribute("lmos.route.allowed", decision.governance.allowed)
        span.set_attribute("lmos.route.rules", decision.governance.channel)
