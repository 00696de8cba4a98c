"""Parses a model's reply. It is untrusted text: searched for an answer, never executed, kept short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prefrl.core.errors import UserError
from prefrl.kinds import Answer, Kind

LONGEST = 20_000  # characters of a reply that are searched
LONGEST_REASON = 500
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class ReadAnswer:
    """An answer about the clips as displayed (None: the model cannot tell), in the model's words, and why."""

    answer: Answer | None
    words: str
    reason: str


def read(text: str, kind: Kind) -> ReadAnswer | None:
    """The answer in a reply: JSON alone, in a code fence, or in prose. None if there is none, or two that differ."""
    answers = [given for content in _objects(_THOUGHTS.sub(" ", text[:LONGEST])) if (given := _answer(content, kind))]
    return answers[-1] if answers and all(given.answer == answers[0].answer for given in answers) else None


def clean(text: str, most: int = LONGEST_REASON) -> str:
    """Untrusted text as one line of printable characters, without terminal control codes."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    return " ".join(printable.split())[:most]


def _objects(text: str) -> Iterator[dict[str, object]]:
    """The outermost JSON objects in a text."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            content, end = decoder.raw_decode(text, start)
            yield content
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)


def _answer(content: Mapping[str, object], kind: Kind) -> ReadAnswer | None:
    given, reason = content.get("answer"), content.get("reason")
    because = clean(reason) if isinstance(reason, str) else ""
    if kind.choices:
        choice = kind.chosen(given) if isinstance(given, str) else None
        return ReadAnswer(choice.answer, choice.word, because) if choice else None
    try:
        answer = kind.checked(given)
    except (UserError, RecursionError):
        return None
    return ReadAnswer(answer, kind.words(answer), because)
