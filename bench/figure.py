"""A measured figure: the median of several rounds, and how far they lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING = "-"
_DIGITS_FROM = 100  # from here on digits after the point tell nothing
_ONE_DIGIT_FROM = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure | None:
        """The figure of some rounds; None where there were none."""
        found = sorted(values)
        return cls(median(found), found[0], found[-1]) if found else None

    def __str__(self) -> str:
        """The median, with lowest and highest where they differ."""
        low, high = plain(self.low), plain(self.high)
        return plain(self.median) if low == high else f"{plain(self.median)} ({low} to {high})"


def plain(number: float) -> str:
    """A number with three digits that count."""
    if abs(number) >= _DIGITS_FROM:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= _ONE_DIGIT_FROM else f"{number:.2f}"


def shown(figure: Figure | None) -> str:
    """A figure in a table."""
    return str(figure) if figure else NOTHING


def ratio(one: Figure | None, other: Figure | None) -> float | None:
    """How many times the other one median is; None where that cannot be said."""
    return one.median / other.median if one and other and other.median else None


def difference(one: Figure | None, other: Figure | None) -> float | None:
    """By how much one median is above the other; None where that cannot be said."""
    return one.median - other.median if one and other else None
