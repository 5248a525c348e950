"""Peers: the same work in other frameworks, each by the way that its documentation shows."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.bar_chart import Bar, BarChart, BarGroup
from bench.child_process import ChildFailedError, child_process
from bench.environment import InstallFailedError, python_with
from bench.figure import Figure, plain, ratio, shown
from bench.mesh_parts import run_mesh_parts
from bench.part_result import PartResult
from bench.process_figures import family_mb
from bench.scale import SMOKE
from bench.table import Table
from bench.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bench.bench_run import BenchRun
    from bench.mesh_parts import MeshParts

_START_SECONDS = 120.0
_SLACK_SECONDS = 60.0
_AGENTS = 8
_ABOUT = (
    "Eight agents answer; a caller asks one of them for one piece, for 500 pieces, or all eight for 50 pieces each. "
    "Agents and callers are written in Python with the SDK of each framework, run on its own defaults, and share the "
    "machine. The last row is the mesh with compiled agents and a compiled caller, so that nothing else is in the way."
)
_NOTES = (
    "a2a-sdk: the caller asks the agent directly, nothing routes, and it fans out itself; a turn is a task in a store.",
    "AutoGen: has no call that streams; pieces of an answer are published to a topic that the caller reads.",
    "Ray Serve: an application of one replica for each agent, chosen by metadata; the caller fans out itself.",
    "Jina: a deployment with its gateway for each agent, asked directly; the caller fans out itself.",
    "SLIM: a call is a session through its node; nothing routes by content, and the caller fans out itself.",
    "lmos: routing, turn log, traces and Envoy are in the way of every turn, and the mesh fans out and merges.",
    "lmos: turns take the express lane where the build has it.",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work."""

    name: str
    unit: str
    callers: int
    events: int
    all_agents: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Turns or events a second, by the unit of the kind, and the time of a turn (0: none ended in time)."""

    rate: float
    p50: float


@dataclass(frozen=True, slots=True)
class Arm:
    """A framework that is up; `memory_mb` is that of its agents and all that stands between them and the caller."""

    measure: Callable[[Kind], Awaitable[Measured]]
    memory_mb: Callable[[], float]


_KINDS = (
    Kind("turn, 1 caller", "turns/s", 1, 1),
    Kind("turn, 16 callers", "turns/s", 16, 1),
    Kind("stream, 1 caller", "events/s", 1, 500),
    Kind("stream, 8 callers", "events/s", 8, 500),
    Kind("fan-out to 8", "events/s", 1, 50, all_agents=True),
)
_STREAM = _KINDS[3].name
# Jina's own requirements leave pip so much to try that it gives up; these versions it finds good.
_JINA = (
    "jina==3.34.0",
    "docarray==0.41.0",
    "fastapi==0.125.0",
    "grpcio==1.57.0",
    "grpcio-health-checking==1.57.0",
    "grpcio-reflection==1.57.0",
    "opentelemetry-exporter-otlp==1.19.0",
    "opentelemetry-exporter-prometheus==0.41b0",
    "opentelemetry-instrumentation-grpc==0.40b0",
    "opentelemetry-sdk==1.19.0",
    "protobuf==4.25.9",
    "pydantic==1.10.27",
    "setuptools==65.5.0",
)
_PEERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "a2a-sdk, gRPC": ("a2a", ("a2a-sdk[grpc]==1.3.0",)),
    "AutoGen, gRPC host": ("autogen", ("autogen-core==0.7.5", "autogen-ext[grpc]==0.7.5")),
    "Ray Serve, gRPC proxy": ("ray", ("ray[serve-grpc]==2.60.0",)),
    "Jina": ("jina", _JINA),
    "SLIM, RPC": ("slim", ("slim-bindings==3.3.8",)),
}
_MESH, _COMPILED = "lmos", "lmos, compiled agents and caller"


async def measure_peers(run: BenchRun) -> PartResult:
    """Measures every peer that installs."""
    arms: dict[str, Arm] = {}
    missing: list[str] = []
    async with AsyncExitStack() as stack:
        mesh = await stack.enter_async_context(run_mesh_parts(run.folder / "mesh", express=True))
        arms[_MESH] = await _in_python(run, stack, mesh)
        for name, (script, requirements) in _PEERS.items():
            try:
                python = await python_with(script, requirements, install=run.scale is not SMOKE)
                arm = await _peer(run, stack, script, str(python), called="")
                await arm.measure(_KINDS[0])  # one that cannot do its work must not spoil the run
                arms[name] = arm
            except (InstallFailedError, ChildFailedError) as error:
                missing.append(f"{name} was not measured: {error}")
        arms[_COMPILED] = await _compiled(run, stack, mesh)
        run.steps.expect(len(_KINDS) * run.scale.rounds * len(arms))
        found = {
            kind.name: await run.interleaved({name: partial(arm.measure, kind) for name, arm in arms.items()})
            for kind in _KINDS
        }
        memory = {name: arm.memory_mb() for name, arm in arms.items()}
    return PartResult(
        "peers",
        _ABOUT,
        (_table(found, memory),),
        (_chart(found),),
        _key_figures(found),
        (*_NOTES, *missing),
    )


async def _in_python(run: BenchRun, stack: AsyncExitStack, mesh: MeshParts) -> Arm:
    agents = await _peer(run, stack, "lmos", sys.executable, called=mesh.internal, edge=mesh.edge)
    return Arm(agents.measure, lambda: agents.memory_mb() + sum(mesh.memory_mb().values()))


async def _compiled(run: BenchRun, stack: AsyncExitStack, mesh: MeshParts) -> Arm:
    flags = ("-count", str(_AGENTS), "-capability", "compiled", "-mesh", mesh.internal)
    agents, _ = await stack.enter_async_context(run.agents("compiled-agents", *flags))

    async def measure(kind: Kind) -> Measured:
        target = ("-branches", str(_AGENTS)) if kind.all_agents else ()
        load = ("-callers", str(kind.callers), "-tokens", str(kind.events))
        times = ("-warm", f"{run.scale.warm}s", "-seconds", f"{run.scale.window}s")
        asked = ("-targets", mesh.edge, "-capability", "compiled", *target, *load, *times)
        seen = await run.load.turns(*asked, pids={}, seconds=run.scale.window)
        return Measured((seen.turns if kind.unit == "turns/s" else seen.tokens) / seen.seconds, seen.turn.p50)

    return Arm(measure, lambda: family_mb(agents.pid) + sum(mesh.memory_mb().values()))


async def _peer(run: BenchRun, stack: AsyncExitStack, script: str, python: str, *, called: str, edge: str = "") -> Arm:
    """Starts the agents of a peer; its callers are told `edge`, or else where the agents said that they are."""
    command = (python, "-m", f"bench.peers.{script}_peer")
    serve = (*command, "agents", "--addresses", called)
    serving = child_process(f"{script}-agents", *serve, folder=run.folder, cwd=ROOT)
    agents = await stack.enter_async_context(serving)
    served = (await agents.said("ready", _START_SECONDS))["addresses"]
    addresses = edge or ",".join(served)

    async def measure(kind: Kind) -> Measured:
        load = ("--callers", str(kind.callers), "--events", str(kind.events), *(["--all"] * kind.all_agents))
        times = ("--warm", str(run.scale.warm), "--seconds", str(run.scale.window))
        asked = (*command, "caller", "--addresses", addresses, *load, *times)
        async with child_process(f"{script}-caller", *asked, folder=run.folder, cwd=ROOT) as caller:
            seen = await caller.said("end", run.scale.window + _SLACK_SECONDS)
        return Measured(seen["turns_per_second" if kind.unit == "turns/s" else "events_per_second"], seen["p50"])

    return Arm(measure, lambda: family_mb(agents.pid))


Found = dict[str, dict[str, list[Measured]]]


def _rate(found: Found, kind: str, arm: str) -> Figure | None:
    return Figure.of(each.rate for each in found[kind].get(arm, ()))


def _table(found: Found, memory: Mapping[str, float]) -> Table:
    first = _KINDS[0].name
    rows = tuple(
        (
            arm,
            *(shown(_rate(found, kind.name, arm)) for kind in _KINDS),
            shown(Figure.of(each.p50 for each in found[first][arm] if each.p50)),
            plain(memory[arm]),
        )
        for arm in memory
    )
    kinds = (f"{kind.name}, {kind.unit}" for kind in _KINDS)
    return Table("The same work", ("framework", *kinds, "turn, 1 caller, p50 ms", "memory MB"), rows)


def _chart(found: Found) -> BarChart:
    groups = (
        BarGroup(kind, tuple(Bar(arm, figure) for arm in found[kind] if (figure := _rate(found, kind, arm))))
        for kind in (each.name for each in _KINDS if each.unit == "events/s")
    )
    return BarChart("peers", "Streamed events a second, by framework", tuple(groups))


def _key_figures(found: Found) -> dict[str, float | None]:
    mesh, compiled = _rate(found, _STREAM, _MESH), _rate(found, _STREAM, _COMPILED)
    figures: dict[str, float | None] = {}
    for name, (script, _) in _PEERS.items():
        peer = _rate(found, _STREAM, name)
        figures[f"mesh_over_{script}"] = ratio(mesh, peer)
        figures[f"compiled_over_{script}"] = ratio(compiled, peer)
    for kind in _KINDS:
        ratios = [ratio(_rate(found, kind.name, _MESH), _rate(found, kind.name, peer)) for peer in _PEERS]
        known = [each for each in ratios if each is not None]
        figures[f"over_best, {kind.name}"] = min(known, default=None)
    return figures
