"""What the label server reads from the store besides its public questions: single answers, and answers by person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from prefrl.feedback import tables
from prefrl.feedback.store import LabelStore
from prefrl.feedback.tables import answers, closures, current_answers, displays, questions, reading, unanswered

_later = answers.alias("later")


@dataclass(frozen=True)
class Place:
    """A question and where its segments lie."""

    query: int
    file: str
    row: int


def _rows(store: LabelStore, statement: Select[Any]) -> list[dict[str, Any]]:
    with reading(store.engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def _places(store: LabelStore, condition: Any, *order: Any, most: int | None = None) -> list[Place]:
    wanted = select(questions.c.id, questions.c.segments_file, questions.c.row).where(condition).order_by(*order)
    found = _rows(store, wanted.limit(most) if most else wanted)
    return [Place(row["id"], row["segments_file"], row["row"]) for row in found]


def open_places(store: LabelStore, most: int | None = None) -> list[Place]:
    """Open questions in the order in which people should see them: of the newest reward model, the highest score first."""
    c = questions.c
    return _places(store, unanswered(), c.model_version.desc(), c.score.desc().nulls_last(), c.id, most=most)


def places(store: LabelStore, ids: list[int]) -> dict[int, Place]:
    """Where these questions lie, as far as they exist."""
    return {place.query: place for place in _places(store, questions.c.id.in_(ids))}


def oldest_open(store: LabelStore) -> float | None:
    """When the oldest open question was asked."""
    found = _rows(store, select(questions.c.asked_at).where(unanswered()).order_by(questions.c.asked_at).limit(1))
    return found[0]["asked_at"] if found else None


def answered_by_others(store: LabelStore, labeller: str, most: int, once: bool = False) -> list[Place]:
    """Questions that others have answered and this labeller never has, the newest first. once: by one person only"""
    told = current_answers().with_only_columns(answers.c.query_id)
    mine = select(answers.c.query_id).where(answers.c.labeller == labeller)
    wanted = questions.c.id.in_(told) & questions.c.id.not_in(mine) & questions.c.id.not_in(_flagged())
    if once:
        wanted &= questions.c.id.not_in(select(answers.c.query_id).where(answers.c.kind == "opinion"))
    return _places(store, wanted, questions.c.id.desc(), most=most)


def _flagged() -> Select[Any]:
    return select(closures.c.query_id).where(closures.c.reason.startswith("flagged"))


@dataclass(frozen=True)
class Given:
    """Something a labeller said about a question, and how it was shown."""

    seq: int
    place: Place
    preference: float | None
    mirrored: bool


def given_once(store: LabelStore, labeller: str) -> list[Given]:
    """What this labeller told about questions that she has judged exactly once, the oldest first."""
    columns = (answers.c.seq, answers.c.query_id, answers.c.preference, answers.c.kind, answers.c.details,
               questions.c.segments_file, questions.c.row, _later.c.seq.label("superseded_by"))  # fmt: skip
    wanted = _with_later(*columns).where(answers.c.labeller == labeller, answers.c.query_id.not_in(_flagged()))
    by_query: dict[int, list[dict[str, Any]]] = {}
    for row in _rows(store, wanted.order_by(answers.c.seq)):
        if row["kind"] != "withdrawal" and row["superseded_by"] is None:
            by_query.setdefault(row["query_id"], []).append(row)
    alone = [rows[0] for rows in by_query.values() if len(rows) == 1 and rows[0]["preference"] is not None]
    return [
        Given(row["seq"], Place(row["query_id"], row["segments_file"], row["row"]), row["preference"],
              shown(row["details"])["mirrored"])
        for row in alone
    ]  # fmt: skip


def _with_later(*columns: Any) -> Select[Any]:
    joined = answers.join(questions).outerjoin(_later, _later.c.supersedes == answers.c.seq)
    return select(*columns).select_from(joined)


def page(store: LabelStore, labeller: str | None, before: int | None, most: int) -> list[dict[str, Any]]:
    """Answers with a number below `before`, the latest first, each with its question's place and what superseded it."""
    place = (questions.c.segments_file, questions.c.row)
    wanted = _with_later(answers, *place, _later.c.seq.label("superseded_by"))
    if labeller is not None:
        wanted = wanted.where(answers.c.labeller == labeller)
    if before is not None:
        wanted = wanted.where(answers.c.seq < before)
    return _rows(store, wanted.order_by(answers.c.seq.desc()).limit(most))


def since(store: LabelStore, seq: int) -> list[dict[str, Any]]:
    """Answers after a number, in order, each with what superseded it so far."""
    wanted = select(answers, _later.c.seq.label("superseded_by"))
    wanted = wanted.select_from(answers.outerjoin(_later, _later.c.supersedes == answers.c.seq))
    return _rows(store, wanted.where(answers.c.seq > seq).order_by(answers.c.seq))


def by_key(store: LabelStore, key: str) -> dict[str, Any] | None:
    """The answer with this key."""
    found = _rows(store, select(answers).where(answers.c.key == key))
    return found[0] if found else None


def by_seq(store: LabelStore, seq: int) -> dict[str, Any] | None:
    """The answer with this number, its question's place, and what superseded it."""
    place = (questions.c.segments_file, questions.c.row)
    wanted = _with_later(answers, *place, _later.c.seq.label("superseded_by"))
    found = _rows(store, wanted.where(answers.c.seq == seq))
    return found[0] if found else None


def shown(details: str | None) -> dict[str, Any]:
    """How an answer was shown and given; answers of synthetic teachers say nothing about it."""
    return {"mirrored": False, "purpose": "new", "model": None, **(json.loads(details) if details else {})}


def forget_displays(store: LabelStore, before: float) -> None:
    """Drop the tickets of displays that nobody can hold any more."""
    with tables.writing(store.engine) as connection:
        connection.execute(displays.delete().where(displays.c.shown_at < before))
