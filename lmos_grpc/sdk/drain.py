"""When a serving process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or Ctrl-C sets; the next one has its usual, abrupt effect."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        stop.set()
        release()

    def release() -> None:
        for each in _STOP_SIGNALS:
            loop.remove_signal_handler(each)

    for each in _STOP_SIGNALS:
        loop.add_signal_handler(each, on_signal)
    try:
        yield stop
    finally:
        release()
