"""What the telephone system and the edge tell each other about a call beside its sound."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.domain.live_session import CallInfo

_MOST = 10_000


@dataclass(slots=True)
class CallBook:
    """By the call's id. What nobody comes for is forgotten when much that is newer has come."""

    _announced: OrderedDict[str, CallInfo] = field(default_factory=OrderedDict)
    _results: OrderedDict[str, CallResult] = field(default_factory=OrderedDict)

    def announce(self, info: CallInfo) -> None:
        """A call will come."""
        self._announced[info.call_id] = info
        if len(self._announced) > _MOST:
            self._announced.popitem(last=False)

    def announced(self, call_id: str) -> CallInfo | None:
        """What was told of a call that comes now; told once."""
        return self._announced.pop(call_id, None)

    def note(self, call_id: str, result: CallResult) -> None:
        """A call is about to be given back to the telephone system."""
        self._results[call_id] = result
        if len(self._results) > _MOST:
            self._results.popitem(last=False)

    def result(self, call_id: str) -> CallResult | None:
        """How a call ended; told once."""
        return self._results.pop(call_id, None)
