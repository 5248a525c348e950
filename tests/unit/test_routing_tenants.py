"""A tenant learns nothing of the agents of others: to it the mesh is as it would be without them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.channel import Channel, RequiredCapability
from lmos_grpc.domain.decision import DecisionMode, Exclusion
from lmos_grpc.domain.declared_agent import DeclaredAgent
from lmos_grpc.domain.rules import Rules
from lmos_grpc.domain.turn import CallContext, Message, RouteHint, Strategy, StrategyKind, TurnRequest
from lmos_grpc.domain.version_range import VersionRange
from lmos_grpc.errors import AgentNotAllowedError, LmosError
from lmos_grpc.routing import Router, RoutingSettings
from tests.fakes.scripted_classifier import ScriptedClassifier
from tests.fakes.telecom_desk import BILLING, FAULTS, desk

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision

BILL = "why is my bill so high"
SCORES = {BILL: {"explain-bill": 0.9}, "fly me to the moon": {"launch": 0.9}}
SECRET = AgentCard("secret-agent", "1.0.0", capabilities=(Capability("launch", "3.0.0"),), tenants=frozenset({"acme"}))
# One that serves everybody by its card, and only acme by its operator's word.
DECLARED_SECRET = AgentCard("declared-secret", "1.0.0", capabilities=(Capability("dig", "1.0.0"),))
# A higher version for one tenant of an agent that all may use.
SPECIAL = replace(BILLING, version="9.0.0", tenants=frozenset({"acme"}))
OF_OTHERS = (SECRET, DECLARED_SECRET, SPECIAL)
LAUNCH = RequiredCapability("launch", VersionRange(""))


def rules(*, strict: bool = False) -> Rules:
    declared = DeclaredAgent(card=AgentCard("declared-secret", ""), tenants=frozenset({"acme"}), where="agents.yaml:1")
    wishes = (RequiredCapability("explain-bill", VersionRange("")), LAUNCH)
    channel = Channel(name="app", channel="app", required=wishes, strict=strict, where="channels.yaml:1")
    web = Channel(name="web", channel="web", where="channels.yaml:9")
    return Rules.of(channels=[channel, web], agents=[declared])


def router(*cards: AgentCard, in_force: Rules, fallback: str = "") -> Router:
    made = Router(desk(*cards), ScriptedClassifier(SCORES), RoutingSettings(fallback_agent=fallback))
    made.use(in_force)
    return made


def told(made: Router, turn: TurnRequest) -> Decision | tuple[type[LmosError], str, dict[str, str]]:
    """All that the caller of a turn gets to see, but for the time that it took."""
    try:
        return replace(made.decide(turn), elapsed=timedelta(0))
    except LmosError as error:
        return type(error), error.message, dict(error.metadata)


def ask(
    text: str = BILL, hint: RouteHint | None = None, *, operator: bool = False, channel: str = "web"
) -> TurnRequest:
    context = CallContext(tenant="other", channel=channel, operator=operator)
    return TurnRequest(Message.from_user(text), hint=hint or RouteHint(), context=context)


TURNS = (
    ask(),
    ask("fly me to the moon"),
    ask(hint=RouteHint(strategy=Strategy(StrategyKind.ALL))),
    ask(hint=RouteHint("secret-agent")),
    ask(hint=RouteHint("secret-agent", version_range="^2.0.0")),
    ask(hint=RouteHint("secret-agent", "launch")),
    ask(hint=RouteHint(capability="launch")),
    ask(hint=RouteHint("declared-secret")),
    ask(hint=RouteHint(capability="dig")),
    ask(hint=RouteHint("billing-agent", version_range=">=9")),
    ask(channel="app"),
)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("turn", TURNS, ids=repr)
def test_a_tenant_is_told_the_same_with_and_without_the_agents_of_others(turn: TurnRequest, *, strict: bool) -> None:
    in_force = rules(strict=strict)
    with_others = router(BILLING, FAULTS, *OF_OTHERS, in_force=in_force)
    without = router(BILLING, FAULTS, in_force=in_force)
    assert told(with_others, turn) == told(without, turn)


@pytest.mark.parametrize("name", ["secret-agent", "secret-agemt", "declared-secret", "billing-agent"])
def test_why_not_says_the_same_with_and_without_the_agents_of_others(name: str) -> None:
    with_others, without = router(BILLING, *OF_OTHERS, in_force=rules()), router(BILLING, in_force=rules())
    assert with_others.why_not(ask(), name, None) == without.why_not(ask(), name, None)


def test_a_fallback_that_is_for_others_is_not_named() -> None:
    decision = router(BILLING, SECRET, in_force=rules(), fallback="secret-agent").decide(ask("hello"))
    assert decision.mode is DecisionMode.ABSTAINED
    assert "secret" not in decision.reason
    seen = router(BILLING, SECRET, in_force=rules(), fallback="secret-agent").decide(ask("hello", operator=True))
    assert "the fallback secret-agent may not or cannot" in seen.reason
    drained = Router(desk(FAULTS, draining=("fault-agent",)), settings=RoutingSettings(fallback_agent="fault-agent"))
    assert "the fallback fault-agent may not or cannot" in drained.decide(ask("hello")).reason


def test_an_operator_sees_whom_the_tenant_may_not_use_and_why() -> None:
    made = router(BILLING, *OF_OTHERS, in_force=rules())
    found = {each.agent: each for each in made.decide(ask(operator=True)).candidates}
    assert found["secret-agent"].exclusion is Exclusion.TENANT
    assert found["declared-secret"].reason == "agents.yaml:1 does not let it serve the tenant 'other'"
    [obstacle] = made.why_not(ask(operator=True), "secret-agent", None)
    assert obstacle.reason == "it does not serve the tenant 'other'"
    with pytest.raises(AgentNotAllowedError, match="does not serve the tenant 'other'"):
        made.decide(ask(hint=RouteHint("secret-agent"), operator=True))
