"""Structured logs: one line per event, with the trace it belongs to, and without what a caller wrote."""

from __future__ import annotations

import json as json_format
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opentelemetry.trace import get_current_span

from lmos_grpc.telemetry.failure import stack_without_text

if TYPE_CHECKING:
    from typing import Any, TextIO

_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    def __init__(self, *, capture_content: bool) -> None:
        super().__init__()
        self._capture_content = capture_content

    def failure(self, record: logging.LogRecord) -> str:
        if not record.exc_info or record.exc_info[1] is None:
            return ""
        # The text of an exception may quote the caller.
        if self._capture_content:
            return self.formatException(record.exc_info)
        return stack_without_text(record.exc_info[1])


class JsonFormatter(_Formatter):
    """A JSON object per line: time, level, logger, message, trace_id, span_id, exception, and the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {  # Any: `extra` may hold anything
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_current_ids(),
            **{key: value for key, value in vars(record).items() if key not in _PLAIN_FIELDS},
        }
        if failure := self.failure(record):
            line["exception"] = failure
        return json_format.dumps(line, default=str, ensure_ascii=False)


class ConsoleFormatter(_Formatter):
    """A line for people: time, level, logger, message, and the trace's first eight digits."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; the stack of an exception follows on lines of its own."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        ids = _current_ids()
        trace = f" [{ids['trace_id'][:8]}]" if ids else ""
        line = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}{trace}"
        failure = self.failure(record)
        return f"{line}\n{failure}" if failure else line


def configure_logging(
    level: int | str, *, json: bool, capture_content: bool = False, stream: TextIO | None = None
) -> None:
    """Sends all logs to `stream` (default: standard error), as JSON lines or for people; may be called again.

    The texts of exceptions are left out unless `capture_content`: they may quote what a caller wrote.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    kind = JsonFormatter if json else ConsoleFormatter
    handler.setFormatter(kind(capture_content=capture_content))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _current_ids() -> dict[str, str]:
    current = get_current_span().get_span_context()
    if not current.is_valid:
        return {}
    return {"trace_id": f"{current.trace_id:032x}", "span_id": f"{current.span_id:016x}"}
