"""A table of texts, written as Markdown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the names of the columns, and rows as long as these."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """The table in Markdown, with its title above."""
        line = "|" + "---|" * len(self.head)
        return "\n".join((f"**{self.title}**", "", _row(self.head), line, *map(_row, self.rows)))


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
