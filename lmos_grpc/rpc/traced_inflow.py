"""A call that hands its messages over, with a span of its own.

The client interceptors of `lmos_grpc.telemetry` would do the same, and put a generator around every message.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.trace import SpanKind, set_span_in_context

from lmos_grpc.errors import LmosError
from lmos_grpc.telemetry.call_span import PROPAGATOR, end_call_span, start_call_span
from lmos_grpc.telemetry.client_tracing import end_with_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

    from lmos_grpc.rpc.metadata import Metadata
    from lmos_grpc.rpc.push import Inflow


def traced(tracer: Tracer, method: str, address: str, begin: Callable[[Metadata], Inflow]) -> Inflow:
    """Begins a call under the current span; `begin` is given the metadata that tell of the call's own."""
    span = start_call_span(tracer, method, SpanKind.CLIENT, address=address)
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier, context=set_span_in_context(span))
    return _TracedInflow(span, begin(tuple(carrier.items())))


def traced_call(tracer: Tracer, method: str, address: str, begin: Callable[[Metadata], Any]) -> Any:  # Any: grpc.aio's
    """The same for a call that is read by whoever made it; the span ends with the call."""
    span = start_call_span(tracer, method, SpanKind.CLIENT, address=address)
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier, context=set_span_in_context(span))
    call = begin(tuple(carrier.items()))
    call.add_done_callback(partial(end_with_call, span))
    return call


class _TracedInflow:
    """Ends the span when the call has ended, however it did."""

    def __init__(self, span: Span, inflow: Inflow) -> None:
        self._span = span
        self._inflow = inflow
        self._code = grpc.StatusCode.OK
        self.pause = inflow.pause
        self.resume = inflow.resume

    def cancel(self) -> None:
        self._code = grpc.StatusCode.CANCELLED
        self._inflow.cancel()

    async def ended(self) -> None:
        try:
            await self._inflow.ended()
        except LmosError as error:
            self._code = grpc.StatusCode[error.detail.code.name]
            raise
        except BaseException:
            self._code = grpc.StatusCode.CANCELLED
            raise
        finally:
            end_call_span(self._span, self._code, kind=SpanKind.CLIENT)
