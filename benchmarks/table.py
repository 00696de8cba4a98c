"""The one table that all benchmarks print into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, the figure, a remark, and the command that makes it."""

    what: str
    figure: str
    remark: str
    command: str


def show(rows: Sequence[Row]) -> None:
    """Print rows as a Markdown table."""
    table = [("what", "figure", "remark", "command"), *rows]
    widths = [max(len(row[k]) for row in table) for k in range(4)]
    for n, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if n == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
