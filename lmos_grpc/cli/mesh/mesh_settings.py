"""What one mesh on one machine is made with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from lmos_grpc.cli.doctor.port_holder import is_free
from lmos_grpc.cli.duration_option import to_timedelta
from lmos_grpc.cli.mesh.edge_options import EdgeOptions
from lmos_grpc.cli.mesh.turn_settings import TurnSettings, durability_named, judge_named
from lmos_grpc.cli.settings import MeshSection, ModelSection
from lmos_grpc.errors import InvalidConfigurationError
from lmos_grpc.routing import ClassifierKind, ExpressLane, OpinionKind, OpinionSettings, RoutingSettings
from lmos_grpc.rpc import require_safe_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.cli.settings import Settings

_Number = TypeVar("_Number", int, float)
_Kind = TypeVar("_Kind", bound=Enum)
ANY = "127.0.0.1:0"
_MOST_ROUTERS = 64
# As for other settings that are on or off.
_LANES = {**dict.fromkeys(("true", "yes", "1"), "on"), **dict.fromkeys(("false", "no", "0", ""), "off")}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """Addresses are `host:port`; port 0, the default, takes a free one, so that meshes can run side by side.

    `agents` are folders, files or modules, each started as a process; None starts the sample agents of a checkout.
    `rules` are files and folders that declare tenants, channels and agents.
    """

    state: Path
    edge: str = ANY
    internal: str = ANY
    metrics: str = ANY
    traces: str = ANY
    agents: tuple[str, ...] | None = ()
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    turns: TurnSettings = field(default_factory=TurnSettings)
    rules: tuple[Path, ...] = ()
    model: ModelSection = field(default_factory=ModelSection)
    otlp_endpoint: str = ""
    record_text: bool = False
    routers: int = 0
    edge_options: EdgeOptions = field(default_factory=EdgeOptions)
    insecure_listen: bool = False

    @classmethod
    def of(cls, settings: Settings) -> MeshSettings:
        """The mesh that the settings of the command line describe.

        Raises:
            InvalidConfigurationError: a setting has a value that there is not.
        """
        mesh = settings.mesh
        return cls(
            state=mesh.state,
            edge=mesh.edge,
            internal=mesh.internal,
            metrics=_default_or_free(mesh.metrics),
            agents=settings.agents,
            routing=_routing(settings),
            turns=TurnSettings(
                durability_named(mesh.durability),
                mesh.max_turns,
                judge_named(mesh.judge_model, settings.model),
                mesh.most_held_bytes,
            ),
            rules=tuple(map(Path, settings.rules)),
            model=settings.model,
            otlp_endpoint=settings.telemetry.otlp_endpoint,
            record_text=settings.telemetry.record_text,
            routers=_number("mesh.routers", mesh.routers, int, _MOST_ROUTERS),
            edge_options=EdgeOptions(
                allowed_origins=tuple(each.strip() for each in mesh.allowed_origins.split(",")),
                sampling=_number("telemetry.sampling", settings.telemetry.sampling, float, 1.0),
            ),
            insecure_listen=mesh.insecure_listen,
        )

    def check(self) -> None:
        """Checks that nothing would listen where it must not.

        Raises:
            InvalidConfigurationError: an address is none, or is beyond loopback and nobody said that this is meant.
        """
        for address in (self.edge, self.internal, self.metrics, self.traces):
            require_safe_address(address, insecure_ok=self.insecure_listen)


def split_address(address: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        InvalidConfigurationError: it is not `host:port`.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InvalidConfigurationError(f"{address!r} is no address: give host:port, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _routing(settings: Settings) -> RoutingSettings:
    mesh, model = settings.mesh, settings.model
    return replace(
        RoutingSettings(),
        fallback_agent=mesh.fallback_agent,
        express=_lane(mesh.express),
        classifier=_one_of(ClassifierKind, mesh.classifier, "mesh.classifier"),
        opinion=OpinionSettings(
            _one_of(OpinionKind, _LANES.get(mesh.opinion.lower(), mesh.opinion), "mesh.opinion"),
            model.base_url,
            mesh.opinion_model or model.name,
            model.api_key,
            _span(mesh.opinion_limit, "mesh.opinion_limit"),
        ),
    )


def _span(text: str, setting: str) -> timedelta:
    try:
        return to_timedelta(None, None, text) or timedelta(0)
    except click.BadParameter as error:
        raise InvalidConfigurationError(f"{setting}: {error.message}") from None


def _one_of(kind: type[_Kind], name: str, setting: str) -> _Kind:
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(str(each.value) for each in kind)
        raise InvalidConfigurationError(f"{setting} is {name!r}; say one of {known}") from None


def _lane(name: str) -> ExpressLane:
    return _one_of(ExpressLane, _LANES.get(name.lower(), name.lower()), "mesh.express")


def _number(name: str, text: str, kind: Callable[[str], _Number], most: _Number) -> _Number:
    try:
        number = kind(text)
    except ValueError:
        number = kind("-1")
    if not kind("0") <= number <= most:
        raise InvalidConfigurationError(f"{name} is {text!r}; say a number from 0 to {most}")
    return number


def _default_or_free(metrics: str) -> str:
    # Two meshes on one machine are common, and nobody types the address of their metrics.
    if metrics != MeshSection().metrics:
        return metrics
    return metrics if is_free(*split_address(metrics)) else ANY
