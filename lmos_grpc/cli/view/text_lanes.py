"""Text of several sources on one terminal: one is read as it comes, the others wait until it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

from lmos_grpc.cli.output import printable

if TYPE_CHECKING:
    from rich.console import Console

    from lmos_grpc.domain.event import Source


@dataclass(slots=True)
class _Lane:
    source: Source
    waiting: list[Text] = field(default_factory=list)
    any_text: bool = False
    done: bool = False


class TextLanes:
    """Streams of several branches merged as they come would be read word by word mixed up; here they are not."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lanes: dict[tuple[int, str], _Lane] = {}
        self._open: _Lane | None = None
        self._headed: _Lane | None = None
        self._headings = False
        self._mid_line = False

    def expect(self, sources: int) -> None:
        """Announces how many sources will answer; more than one get headings."""
        self._headings = self._headings or sources > 1

    def has_text(self, source: Source) -> bool:
        """Whether deltas of the current message of this source were printed or wait."""
        lane = self._lanes.get(_key(source))
        return lane is not None and lane.any_text

    def write(self, source: Source, text: str) -> None:
        """A piece of text that goes on where the one before it ended."""
        lane = self._lane(source)
        lane.any_text = True
        self._put(lane, Text(printable(text)))

    def line(self, source: Source, text: Text, *, aside: bool = False) -> None:
        """A line of its own; an aside is no answer, and so waits for whoever is being read."""
        lane = self._lane(source)
        ends_open = self._mid_line if lane is self._open else _ends_open(lane.waiting)
        self._put(lane, Text.assemble("\n" if ends_open else "", text, "\n"), patient=aside)

    def finish(self, source: Source) -> None:
        """The source has finished a message: end its line, and let the others be read."""
        lane = self._lane(source)
        lane.any_text = False
        if lane is self._open:
            self._end_line()
            self._open = None
            self._next()
        else:
            lane.done = True
            if _ends_open(lane.waiting):
                lane.waiting.append(Text("\n"))

    def close(self) -> None:
        """Prints all that waits and ends the line."""
        self._end_line()
        self._open = None
        while self._next():
            self._end_line()
            self._open = None

    def _lane(self, source: Source) -> _Lane:
        return self._lanes.setdefault(_key(source), _Lane(source))

    def _put(self, lane: _Lane, text: Text, *, patient: bool = False) -> None:
        if self._open is None or (lane is not self._open and not patient and self._gives_way()):
            self._begin(lane)
        if lane is self._open:
            self._print(text)
        else:
            lane.waiting.append(text)

    def _gives_way(self) -> bool:
        # A source that has only told what it is doing does not hold up one that answers.
        return self._open is not None and not (self._open.any_text or self._mid_line)

    def _next(self) -> bool:
        for lane in self._lanes.values():
            if lane.waiting:
                self._begin(lane)
                if lane.done:
                    lane.done, self._open = False, None
                    return self._next() or True
                return True
        return False

    def _begin(self, lane: _Lane) -> None:
        self._open = lane
        if self._headings and self._headed is not lane:
            self._headed, source = lane, lane.source
            name = " · ".join(printable(each) for each in (source.agent or "mesh", source.capability) if each)
            self._print(Text(f"— {name} —\n", "bold cyan"))
        waiting, lane.waiting = lane.waiting, []
        for each in waiting:
            self._print(each)

    def _print(self, text: Text) -> None:
        self._console.print(text, end="", soft_wrap=True)
        if text.plain:
            self._mid_line = not text.plain.endswith("\n")

    def _end_line(self) -> None:
        if self._mid_line:
            self._print(Text("\n"))


def _key(source: Source) -> tuple[int, str]:
    return (source.branch, source.agent)


def _ends_open(waiting: list[Text]) -> bool:
    return bool(waiting) and not waiting[-1].plain.endswith("\n")
