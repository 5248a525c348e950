"""How an exception is told in logs and spans: its type and where it came from, never what a caller wrote."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from lmos_grpc.errors import LmosError
from lmos_grpc.telemetry import attributes as names

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def exception_type(error: BaseException) -> str:
    """The full name of the exception's class; without a module for a built-in one."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def stack_without_text(error: BaseException) -> str:
    """The stack as Python prints it, without the exception's text, which may quote what a caller wrote."""
    return "".join(traceback.format_tb(error.__traceback__)) + exception_type(error)


def record_failure(span: Span, error: BaseException) -> None:
    """Adds the `exception` event of the conventions, and our reason where the error has one."""
    span.add_event(
        "exception",
        {names.EXCEPTION_TYPE: exception_type(error), names.EXCEPTION_STACKTRACE: stack_without_text(error)},
    )
    if isinstance(error, LmosError):
        span.set_attribute(names.LMOS_ERROR_REASON, error.reason.name)
