"""What a document may say, key by key: read by the checks, and printed as JSON Schema for editors."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from lmos_grpc.declarations.value_kinds import (  # noqa: TC001 - pydantic looks at them when it reads
    Address,
    ChannelId,
    Duration,
    Examples,
    Id,
    Label,
    Range,
    Share,
    Texts,
    Version,
    label,
)


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class Labels(BaseModel):
    """Labels of Kubernetes; these four say something here, and all others are let be."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, use_attribute_docstrings=True)

    tenant: Id | None = None
    """Of a Channel: its tenant."""
    channel: Id | None = None
    """Of a Channel: what callers write into x-lmos-channel. Default: the name."""
    version: str | None = None
    """Of an Agent: the version that it is about."""
    subset: Label | None = None
    """Of a Channel or an Agent: stable, canary or the like."""


class Metadata(_Strict):
    """What is said of the document itself; what Kubernetes writes there is let be."""

    name: Label
    """The name: of its kind there is only one."""
    labels: Labels = Labels()
    """Labels of Kubernetes."""
    namespace: str | None = None
    """Let be."""
    annotations: dict[str, str] | None = None
    """Let be."""
    creation_timestamp: Any = None
    """Let be."""
    finalizers: Any = None
    """Let be."""
    generation: Any = None
    """Let be."""
    managed_fields: Any = None
    """Let be."""
    owner_references: Any = None
    """Let be."""
    resource_version: Any = None
    """Let be."""
    self_link: Any = None
    """Let be."""
    uid: Any = None
    """Let be."""


class _Document(_Strict):
    api_version: Literal["lmos-grpc/v1", "lmos.eclipse/v1", "lmos.ai/v1"] = "lmos-grpc/v1"
    """The format. The resources of Eclipse LMOS are read as they are."""
    metadata: Metadata
    """What is said of the document itself."""
    status: Any = None
    """Let be."""


class Limits(_Strict):
    """What a tenant may use."""

    max_branches: Annotated[int, Field(ge=1, le=32)] | None = None
    """Over how many agents a turn may be spread at the most."""
    turn_budget: Duration | None = None
    """The time that an agent may take for a turn."""


class TenantSpec(_Strict):
    """What those who call in the name of a tenant may do."""

    channels: list[Id] = []
    """The channels that it may use. Default: all."""
    default_locale: str = ""
    """The language of users whose calls name none, such as de-DE."""
    subset_override: bool = False
    """Whether callers may choose the subset with x-lmos-subset."""
    limits: Limits = Limits()
    """What it may use."""


class TenantDocument(_Document):
    """A tenant."""

    kind: Literal["Tenant"]
    """Tenant, Channel or Agent."""
    spec: TenantSpec = TenantSpec()
    """What those who call in its name may do."""


class Required(_Strict):
    """A capability that may be reached over a channel."""

    id: str = ""
    """The id of the capability. This or the name is needed."""
    name: str = ""
    """The name or the id of the capability."""
    version: Range = ""
    """The versions that will do, as npm writes them. Default: all."""
    strategy: Literal["HIGHEST", "MOST_SIMILAR"] = "HIGHEST"
    """Of several versions that will do: the highest, or the one that is most similar to the one in the range."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.id and not self.name:
            raise ValueError("it says neither `name` nor `id` of the capability")
        return self


class Fallback(_Strict):
    """What becomes of turns that nothing fits."""

    agent: Label | None = None
    """The agent that takes them."""
    text: Texts = {}
    """What the mesh says where no agent takes them: a text, or texts by language."""


class ThresholdsSpec(_Strict):
    """What it takes to get a turn. Default: as the mesh has it."""

    accept: Share | None = None
    """The score from which a capability counts as fitting."""
    part: Share | None = None
    """The score that each part of a text needs, for the text to count as several requests."""
    clear_odds: Annotated[float, Field(ge=1)] | None = None
    """How many times the odds of the best have to be those of another agent, so that nobody is asked."""
    shift: Share | None = None
    """The score from which another topic takes a turn away from the agent that is talked to."""


class ChannelSpec(_Strict):
    """What may be reached over a channel, and how its turns are routed."""

    required_capabilities: list[Required] | None = None
    """What may be reached. Default: all that agents offer the channel."""
    tenants: list[Id] = []
    """Its tenants. Default: the label `tenant`, or else all."""
    channel: Id | None = None
    """What callers write into x-lmos-channel. Default: the label `channel`, or else the name."""
    policy: Literal["partial", "strict"] = "partial"
    """Whether the channel works with what there is, or only when all that it requires is there."""
    weights: dict[str, Annotated[int, Field(ge=0, le=1_000_000)]] = {}
    """How the conversations are shared out over subsets, such as stable 90 and canary 10."""
    fallback: Fallback = Fallback()
    """Who takes turns that nothing fits, or what is said to them."""
    strategy: Literal["auto", "one", "all", "first"] = "auto"
    """How turns are spread over agents whose callers do not say."""
    thresholds: ThresholdsSpec = ThresholdsSpec()
    """What it takes to get a turn."""
    lane: Literal["auto", "managed", "express"] = "auto"
    """The lane: managed for all turns, or express where the caller does not say and the mesh has it open."""
    durable: bool | None = None
    """Whether an event is on disk before it is shown."""
    turn_budget: Duration | None = None
    """The time that an agent may take for a turn."""
    handover: bool = True
    """Whether an agent may give a turn on to another, or ask another one for it."""

    @model_validator(mode="after")
    def _weighed(self) -> Self:
        if self.weights and not any(self.weights.values()):
            raise ValueError("`weights` are all 0: give at least one subset a share")
        for subset in self.weights:
            label(subset)
        return self


class ChannelDocument(_Document):
    """A channel."""

    kind: Literal["Channel"]
    """Tenant, Channel or Agent."""
    spec: ChannelSpec = ChannelSpec()
    """What may be reached over it, and how its turns are routed."""


class Provided(_Strict):
    """A capability of an agent."""

    name: str
    """Its name."""
    id: str = ""
    """Its id. Default: the name."""
    version: Version
    """Its version."""
    description: str = ""
    """What it does."""
    examples: Examples = {}
    """What people say who want it: phrases, or phrases by language."""


class AgentSpec(_Strict):
    """Whom an agent may serve, and what people say to it."""

    id: str = ""
    """Let be."""
    description: str = ""
    """What it does."""
    supported_tenants: list[Id] = []
    """Whom it may serve. Default: all tenants."""
    supported_channels: list[ChannelId] = []
    """Over which channels it may be reached; * stands for all. Default: none."""
    provided_capabilities: list[Provided] = []
    """Its capabilities."""
    address: Address | None = None
    """Where it listens, if it does not register itself. Then its version and its capabilities have to be here."""
    locales: list[str] = []
    """The languages that it speaks, if it does not register itself. Default: all."""


class AgentDocument(_Document):
    """An agent: one that registers itself, of which more is said here, or one at an address."""

    kind: Literal["Agent"]
    """Tenant, Channel or Agent."""
    spec: AgentSpec
    """Whom it may serve, and what people say to it."""


KINDS: dict[str, type[TenantDocument | ChannelDocument | AgentDocument]] = {
    "Tenant": TenantDocument,
    "Channel": ChannelDocument,
    "Agent": AgentDocument,
}
