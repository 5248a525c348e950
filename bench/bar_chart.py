"""Bars with their spread, drawn as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from bench.figure import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figure import Figure

_WIDTH, _LEFT, _RIGHT, _TOP = 760, 190, 150, 44
_BAR, _GAP, _GROUP_GAP, _GROUP_TITLE = 16, 4, 12, 20
_COLOURS = ("#4269d0", "#efb118", "#3ca951", "#ff725c", "#a463f2", "#9c6b4e", "#6cc5b0", "#9498a0")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; the same name has the same colour in every group."""

    name: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class BarGroup:
    """Bars that are compared with one another."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of bars on one scale. `name` is that of the file."""

    name: str
    title: str
    groups: tuple[BarGroup, ...]

    def svg(self) -> str:
        """The picture, with a white ground so that it can be read on any page."""
        body = "\n".join(self._body())
        height = self._height()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
            f'height="{height}" font-family="sans-serif" font-size="12" role="img" '
            f'aria-label="{escape(self.title, {chr(34): "&quot;"})}">\n'
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n'
            f'<text x="16" y="26" font-size="15" font-weight="bold" fill="#1b1e23">{escape(self.title)}</text>\n'
            f"{body}\n</svg>\n"
        )

    def _height(self) -> int:
        bars = sum(len(group.bars) for group in self.groups)
        return _TOP + bars * (_BAR + _GAP) + len(self.groups) * (_GROUP_GAP + _GROUP_TITLE) + 8

    def _body(self) -> Iterator[str]:
        highest = max((bar.figure.high for group in self.groups for bar in group.bars), default=0) or 1
        names = list(dict.fromkeys(bar.name for group in self.groups for bar in group.bars))
        scale = (_WIDTH - _LEFT - _RIGHT) / highest
        y = _TOP
        for group in self.groups:
            yield f'<text x="16" y="{y + 14}" font-weight="bold" fill="#3d4149">{escape(group.name)}</text>'
            y += _GROUP_TITLE
            for bar in group.bars:
                yield from _drawn(bar, y, scale, _COLOURS[names.index(bar.name) % len(_COLOURS)])
                y += _BAR + _GAP
            y += _GROUP_GAP


def _drawn(bar: Bar, y: int, scale: float, colour: str) -> Iterator[str]:
    end, low, high = (_LEFT + max(0, value) * scale for value in (bar.figure.median, bar.figure.low, bar.figure.high))
    middle, text = y + _BAR / 2, y + _BAR - 4
    yield f'<text x="{_LEFT - 8}" y="{text}" text-anchor="end" fill="#3d4149">{escape(bar.name)}</text>'
    yield f'<rect x="{_LEFT}" y="{y}" width="{end - _LEFT:.1f}" height="{_BAR}" fill="{colour}"/>'
    yield f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#1b1e23" stroke-width="1.5"/>'
    yield f'<text x="{max(end, high) + 6:.1f}" y="{text}" fill="#1b1e23">{escape(plain(bar.figure.median))}</text>'
