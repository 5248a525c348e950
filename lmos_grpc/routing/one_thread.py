"""Linear algebra of the whole process on one thread, for work in pieces so small that threads wait for one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def on_one_thread() -> AbstractContextManager[object]:
    """As long as the context is open.

    OpenBLAS starts a thread for each core, and they wait in busy loops: on a machine that has other work that costs ten
    times the processor, and decisions their time.
    """
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits
