"""Transport: our own HTTP/2 beside grpc.aio, with nothing above it; the other end is compiled."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.child_process import child_process
from bench.figure import Figure, ratio, shown
from bench.part_result import PartResult
from bench.table import Table
from bench.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from bench.bench_run import BenchRun
    from bench.child_process import ChildProcess

_CALLERS = (1, 16)
_TOKENS = 500
_AROUND = 2  # `accepted` and `turn done`
_LIMIT_SECONDS = 60.0
_ARMS = {
    "grpc.aio": ("--transport", "grpcio"),
    "own HTTP/2": ("--transport", "http2"),
    "own HTTP/2, pushed": ("--transport", "http2", "--push"),
}
_ABOUT = (
    "Ready-made bytes, no Protobuf, no mesh: a server in Python with the compiled caller, and a caller in Python with "
    f"the compiled agent. A stream has {_TOKENS} tokens as fast as they go; `pushed` is the interface that takes and "
    "gives messages without waiting. CPU is that of the process in Python."
)


@dataclass(frozen=True, slots=True)
class _Run:
    calls: float  # a second
    messages: float  # a second
    cpu_us: float  # for each message


Cells = dict[str, dict[str, list[_Run]]]


async def measure_transport(run: BenchRun) -> PartResult:
    """Measures servers, then callers."""
    run.steps.expect(run.scale.rounds * 4 * len(_CALLERS) * len(_ARMS))
    servers, callers = await _servers(run), await _callers(run)
    return PartResult(
        "transport",
        _ABOUT,
        (_table("Servers in Python", servers), _table("Callers in Python", callers)),
        key_figures={**_ratios("server", servers), **_ratios("caller", callers)},
    )


async def _servers(run: BenchRun) -> Cells:
    cells: Cells = {}
    for tokens, size in ((tokens, size) for tokens in (1, _TOKENS) for size in _CALLERS):
        cells[_load(tokens, size)] = await run.interleaved(
            {name: partial(_serve, run, name, tokens, size) for name in _ARMS}
        )
    return cells


async def _serve(run: BenchRun, arm: str, tokens: int, callers: int) -> _Run:
    async with _child(run, "server", "bench.transport_server", *_ARMS[arm]) as server:
        address = str((await server.said("ready", _LIMIT_SECONDS))["address"])
        seconds = run.scale.window
        flags = ("-targets", address, "-callers", str(callers), "-tokens", str(tokens))
        times = ("-warm", f"{run.scale.warm}s", "-seconds", f"{seconds}s")
        found = await run.load.turns(*flags, *times, pids={"server": server.pid}, seconds=seconds)
    messages = found.turns * (tokens + _AROUND)
    return _Run(found.turns / found.seconds, messages / found.seconds, found.cpu["server"] * 1e6 / max(messages, 1))


async def _callers(run: BenchRun) -> Cells:
    cells: Cells = {}
    async with run.agents("agent") as (_, (address,)):
        for tokens, size in ((tokens, size) for tokens in (0, _TOKENS) for size in _CALLERS):
            cells[_load(tokens, size)] = await run.interleaved(
                {name: partial(_call, run, name, address, tokens, size) for name in _ARMS}
            )
    return cells


async def _call(run: BenchRun, arm: str, address: str, tokens: int, callers: int) -> _Run:
    load = ("--target", address, "--tokens", str(tokens), "--callers", str(callers))
    times = ("--warm", str(run.scale.warm), "--seconds", str(run.scale.window))
    async with _child(run, "caller", "bench.transport_client", *_ARMS[arm], *load, *times) as caller:
        end = await caller.said("end", _LIMIT_SECONDS)
    calls, messages, seconds = float(end["calls"]), float(end["messages"]), float(end["seconds"])
    return _Run(calls / seconds, messages / seconds, float(end["cpu"]) * 1e6 / max(messages, 1))


@asynccontextmanager
async def _child(run: BenchRun, name: str, module: str, *flags: str) -> AsyncIterator[ChildProcess]:
    async with child_process(name, sys.executable, "-m", module, *flags, folder=run.folder, cwd=ROOT) as child:
        yield child


def _load(tokens: int, callers: int) -> str:
    kind = {0: "one answer", 1: "a stream of 1"}.get(tokens, f"a stream of {tokens}")
    return f"{kind}, {callers} at a time"


def _figure(runs: list[_Run], value: Callable[[_Run], float]) -> Figure | None:
    return Figure.of(value(each) for each in runs)


def _table(title: str, cells: Cells) -> Table:
    rows = tuple(
        (
            load,
            arm,
            shown(_figure(runs, lambda each: each.calls)),
            shown(_figure(runs, lambda each: each.messages)),
            shown(_figure(runs, lambda each: each.cpu_us)),
        )
        for load, arms in cells.items()
        for arm, runs in arms.items()
    )
    return Table(title, ("load", "transport", "calls/s", "messages/s", "CPU, µs a message"), rows)


def _ratios(side: str, cells: Cells) -> Mapping[str, float | None]:
    return {
        f"{side}_over_aio, {load}, {arm}": ratio(
            _figure(runs, lambda each: each.messages), _figure(arms["grpc.aio"], lambda each: each.messages)
        )
        for load, arms in cells.items()
        for arm, runs in arms.items()
        if arm != "grpc.aio"
    }
