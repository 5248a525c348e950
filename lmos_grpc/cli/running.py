"""Running a coroutine as a command, and stopping what keeps running."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import uvloop

from lmos_grpc.errors import ungrouped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

_T = TypeVar("_T")
_STDIN = 0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A turn makes hundreds of objects and hardly a cycle. With Python's own 700 the collector took a tenth of the CPU of
# a busy orchestrator, looking for cycles that are not there.
_COLLECT_AFTER = (20_000, 20, 50)


def run(coroutine: Coroutine[object, object, _T]) -> _T:
    """Runs to the end. Ctrl-C cancels it, waits until it has cleaned up, and comes out as KeyboardInterrupt."""
    gc.set_threshold(*_COLLECT_AFTER)
    with ungrouped(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that is set by the first Ctrl-C or SIGTERM; the next one has its usual, abrupt effect."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        stop.set()
        for each in _STOP_SIGNALS:
            loop.remove_signal_handler(each)

    for each in _STOP_SIGNALS:
        loop.add_signal_handler(each, on_signal)
    try:
        yield stop
    finally:
        for each in _STOP_SIGNALS:
            loop.remove_signal_handler(each)


@asynccontextmanager
async def beside(*coroutines: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Runs the coroutines while the block runs, and cancels them at its end; a failing one ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in coroutines]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def end_with_parent() -> None:
    """Has this process told to stop when standard input ends: where that is a pipe, whoever holds its other end."""
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()


def _stop_at_end_of_input() -> None:
    # Not sys.stdin: its lock would be held by this thread when the interpreter shuts down.
    while os.read(_STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
