"""Makes a span current in the steps of an async iterator, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from opentelemetry.trace import use_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.trace import Span

T = TypeVar("T")


async def within_span(span: Span, iterator: AsyncIterator[T]) -> AsyncIterator[T]:
    """Yields what the iterator yields; the span is current while the iterator runs, not while its consumer does.

    An async generator shares its consumer's context. A span that it makes current and holds across a `yield` is
    therefore the parent of all that the consumer does next, such as the step of another branch. This is the cure,
    for two context switches an item. The span is not ended here.
    """
    while True:
        with use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
        yield item
