"""Reads what a model wrote. It is a stranger's text: searched for one of four words, never executed, kept short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Answer = Literal["left", "right", "equal", "unsure"]
ANSWERS: dict[str, Answer] = {"left": "left", "right": "right", "equal": "equal", "unsure": "unsure"}
OPPOSITE: dict[Answer, Answer] = {"left": "right", "right": "left", "equal": "equal", "unsure": "unsure"}
LONGEST = 20_000  # characters that are looked at
LONGEST_REASON = 500
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Said:
    """An answer as displayed, and why."""

    answer: Answer
    reason: str


def read(text: str) -> Said | None:
    """The answer in a reply: JSON alone, in a code fence, or in prose. None if there is none, or two that differ."""
    found = [said for one in _objects(_THOUGHTS.sub(" ", text[:LONGEST])) if (said := _said(one))]
    return found[-1] if len({said.answer for said in found}) == 1 else None


def clean(text: str, most: int = LONGEST_REASON) -> str:
    """A stranger's text in one line of printable characters, so that no terminal obeys it."""
    shown = "".join(one if one.isprintable() else " " for one in text[: 4 * most])
    return " ".join(shown.split())[:most]


def _objects(text: str) -> Iterator[Any]:
    """Every JSON object that stands in a text, the outermost ones."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            found, end = decoder.raw_decode(text, start)
            yield found
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)


def _said(told: Any) -> Said | None:
    answer, reason = told.get("answer"), told.get("reason")
    if not isinstance(answer, str) or answer.strip().lower() not in ANSWERS:
        return None
    return Said(ANSWERS[answer.strip().lower()], clean(reason) if isinstance(reason, str) else "")
