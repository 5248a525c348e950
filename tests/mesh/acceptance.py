"""What the acceptance tests share: one mesh for a module, agents that a test can hold and watch, callers in JSON."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lmos_grpc import Agent, capability
from lmos_grpc.cli.demo.finished_trace import finished_trace
from lmos_grpc.traces import SpanKind, trace_tree
from tests.mesh.foreign_tool import output_of
from tests.mesh.whole_mesh import LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from lmos_grpc import Turn
    from lmos_grpc.traces import Span, Trace, TraceNode

_T = TypeVar("_T")
AGENT_SERVICE = "lmos.agent.v1.AgentService"
INVOKE = f"/{AGENT_SERVICE}/Invoke"


@asynccontextmanager
async def held(context: AbstractAsyncContextManager[_T]) -> AsyncIterator[_T]:
    """Holds a context in a task of its own.

    A fixture is set up in one task and torn down in another, which task groups do not bear.
    """
    ready: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def hold() -> None:
        async with context as value:
            ready.set_result(value)
            await over.wait()

    def failed(task: asyncio.Task[None]) -> None:
        if not ready.done():
            ready.set_exception(task.exception() or asyncio.CancelledError())

    holding = asyncio.create_task(hold())
    holding.add_done_callback(failed)
    try:
        yield await ready
    finally:
        over.set()
        await asyncio.wait((holding,))
    holding.result()


class StepAgent(Agent):
    """Counts to the number that it is given, one number for each step that it is let."""

    def __init__(self) -> None:
        super().__init__("step-agent", version="1.0.0", description="Counts.")
        self.steps = asyncio.Semaphore(0)
        self.begun = 0

    @capability("step", version="1.0.0")
    async def step(self, turn: Turn) -> AsyncIterator[str]:
        self.begun += 1
        for number in range(1, int(turn.text) + 1):
            await self.steps.acquire()
            yield f"{number} "


class EndlessAgent(Agent):
    """Says one word and then nothing, until it is cancelled; `ended` says when that was."""

    def __init__(self) -> None:
        super().__init__("endless-agent", version="1.0.0", description="Never comes to an end.")
        self.ended: asyncio.Queue[float] = asyncio.Queue(1_000)

    @capability("wait", version="1.0.0")
    async def wait(self, _turn: Turn) -> AsyncIterator[str]:
        try:
            yield "waiting"
            await asyncio.Event().wait()
        finally:
            self.ended.put_nowait(time.perf_counter())

    async def next_end(self) -> float:
        """When the next turn ended, once it has."""
        async with asyncio.timeout(LIMIT.total_seconds()):
            return await self.ended.get()


@dataclass(frozen=True, slots=True)
class Reply:
    """What curl got."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


async def post(edge: str, path: str, body: bytes, *headers: str, kind: str = "application/json") -> Reply:
    """A POST by curl."""
    options = [part for header in (f"content-type: {kind}", *headers) for part in ("-H", header)]
    told = "\n%{http_code} %{content_type}"
    printed = await output_of(
        "curl",
        "-sS",
        "--max-time",
        "15",
        *options,
        "--data-binary",
        "@-",
        "-w",
        told,
        f"http://{edge}{path}",
        sent=body,
    )
    received, _, told = printed.decode("latin-1").rpartition("\n")
    status, _, content_type = told.partition(" ")
    return Reply(int(status), content_type, received.encode("latin-1"))


def invocation(text: str, *, agent: str = "", capability: str = "", **more: str) -> dict[str, Any]:
    """The body of an Invoke in JSON."""
    hint = {"agent": agent, "capability": capability}
    return {"message": {"parts": [{"text": text}]}, "routeHint": hint, **more}


async def post_turn(edge: str, body: dict[str, Any], *headers: str) -> Reply:
    """A turn by curl, from its beginning to its end."""
    return await post(edge, INVOKE, json.dumps(body).encode(), *headers)


async def whole_trace(state: Path, trace_id: str, *wanted: str) -> Trace:
    """The trace once it hangs together under one root and has spans of these services or names; fails without."""

    def finished(trace: Trace) -> bool:
        trees = trace_tree(trace.spans)
        there = {told for span in trace.spans for told in (span.service, span.name)}
        return len(trees) == 1 and not trees[0].orphan and there >= set(wanted)

    trace = await finished_trace(state, trace_id, LIMIT, finished)
    assert trace, f"there is no trace {trace_id}"
    assert finished(trace), drawn(trace)
    return trace


def drawn(trace: Trace) -> str:
    """The trace as a tree, for people who look for what is missing."""
    nodes = [node for tree in trace_tree(trace.spans) for node in tree.flatten()]
    return "\n".join(("", *map(_line, nodes)))


def _line(node: TraceNode) -> str:
    orphan = "ORPHAN " if node.orphan else ""
    return f"{'  ' * node.depth}{orphan}{node.span.service} {node.span.name} {node.span.kind.value}"


def way_to(trace: Trace, wanted: Span) -> list[str]:
    """The services that a span came through, from the root to it, each hop once."""
    by_id = {span.span_id: span for span in trace.spans}
    way: list[str] = []
    span: Span | None = wanted
    while span:
        if not way or way[-1] != span.service:
            way.append(span.service)
        span = by_id.get(span.parent_span_id)
    return way[::-1]


def served_by(trace: Trace, service: str) -> list[Span]:
    """The calls that a service answered."""
    return [span for span in trace.spans if span.service == service and span.kind is SpanKind.SERVER]
