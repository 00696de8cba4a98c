"""How answers are stored: a plain preference in its own column, an answer of another kind as JSON in `payloads`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, select

from prefrl.core.errors import UserError
from prefrl.kinds import Answer, kind_of
from prefrl.store.tables import answers, payloads, questions


def columns(answer: Answer | None) -> dict[str, Any]:
    """The columns `preference` and, in the table of payloads, `content` of an answer."""
    if answer is None:
        return {"preference": None, "content": None}
    value = answer.get("preference")
    if len(answer) == 1 and isinstance(value, float) and 0 <= value <= 1:
        return {"preference": value, "content": None}
    return {"preference": None, "content": json.dumps(answer, allow_nan=False)}


def answer_of(preference: float | None, content: str | None) -> Answer | None:
    """The answer in these columns, the inverse of `columns`; None: skipped."""
    if content is not None:
        return dict(json.loads(content))
    return None if preference is None else {"preference": preference}


def with_answer(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row with its answer in place of its payload; `preference` stays as it is."""
    return {
        **{name: value for name, value in row.items() if name != "content"},
        "answer": answer_of(row["preference"], row["content"]),
    }


def as_stored(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is stored, the inverse of `with_answer`."""
    return {**{name: value for name, value in row.items() if name != "answer"}, **columns(row["answer"])}


def answer_rows(*more: Any) -> Select[Any]:
    """All columns of answers, their payload, their question's kind as `asked_kind`, and more columns of the question."""
    asked_kind = questions.c.kind.label("asked_kind")
    joined = answers.join(questions).outerjoin(payloads)
    return select(*answers.c, payloads.c.content, asked_kind, *more).select_from(joined)


def read_answers(given: Any, kinds: Sequence[str]) -> list[Answer | None]:
    """Answers to questions of these kinds, checked. given: answers, or what the kind takes in their place"""
    if len(set(kinds)) == 1:
        return kind_of(kinds[0]).read(given, len(kinds))
    if len(given) != len(kinds):
        raise UserError(f"{len(kinds)} questions need as many answers, got {len(given)}")
    return [kind_of(kind).read([answer], 1)[0] for kind, answer in zip(kinds, given, strict=True)]


def order_of(order: Sequence[int] | None, mirrored: bool, kind: str) -> list[int]:
    """Which segment was shown at each place, where the first release noted only whether two were shown mirrored."""
    if order is not None:
        return [int(place) for place in order]
    places = list(range(kind_of(kind).segments))
    return places[::-1] if mirrored else places
