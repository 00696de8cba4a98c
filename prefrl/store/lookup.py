"""Queries of the label server: open questions in order of display, single answers, and answers by labeller."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from prefrl.kinds import FIRST, Answer, kind_of
from prefrl.store import conditions
from prefrl.store.conditions import current_answers, decided, standing, unanswered
from prefrl.store.database import Row, reading
from prefrl.store.rows import answer_rows, order_of, with_answer
from prefrl.store.store import LabelStore
from prefrl.store.tables import JUDGEMENTS, answers, closures, payloads, questions

_later = answers.alias("later")
_with_later = answer_rows(questions.c.segments_file, questions.c.row, _later.c.seq.label("superseded_by")).outerjoin(
    _later, _later.c.supersedes == answers.c.seq
)
"""Answers, each with its question's place and what superseded it."""
_closed = select(closures.c.query_id)
_flagged = _closed.where(closures.c.reason.startswith("flagged"))
_not_shown = _closed.where(closures.c.reason.startswith("flagged") | (closures.c.reason == "unfaithful"))
_known = select(answers.c.query_id).select_from(answers.outerjoin(payloads))
_known = _known.where(answers.c.kind == "truth", decided, standing())
_checks = questions.c.id.in_(_known) & questions.c.id.not_in(_not_shown)
"""The condition on a question that its true answer is known, and that it can be shown to check a labeller."""


@dataclass(frozen=True)
class Place:
    """A question and where its segments are stored."""

    query: int
    file: str
    row: int
    kind: str = FIRST

    @property
    def segments(self) -> int:
        """Number of segments that it shows."""
        return kind_of(self.kind).segments

    @property
    def clips(self) -> tuple[str, int, int]:
        """File, row and number of its clips."""
        return self.file, self.row, self.segments


def place_of(row: Row) -> Place:
    """The place of the question that an answer row belongs to."""
    return Place(row["query_id"], row["segments_file"], row["row"], row["asked_kind"])


def _rows(store: LabelStore, statement: Select[Any]) -> list[Row]:
    with reading(store.engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def _answers(store: LabelStore, statement: Select[Any]) -> list[Row]:
    """Rows with their `answer` and, as `asked_kind`, the kind of their question."""
    return [with_answer(row) for row in _rows(store, statement)]


def _places(
    store: LabelStore, condition: ColumnElement[bool], *order: ColumnElement[Any], most: int | None = None
) -> list[Place]:
    columns = (questions.c.id, questions.c.segments_file, questions.c.row, questions.c.kind)
    wanted = select(*columns).where(condition).order_by(*order)
    rows = _rows(store, wanted.limit(most) if most else wanted)
    return [Place(row["id"], row["segments_file"], row["row"], row["kind"]) for row in rows]


@dataclass
class Open:
    """A question that `wanted` more labellers should judge, besides its `judges` so far."""

    place: Place
    wanted: int
    judges: set[str]


def open_places(store: LabelStore, most: int | None = None) -> list[Place]:
    """Open questions in the order in which people should see them: of the newest reward model, the highest score first."""
    c = questions.c
    wanted = unanswered(store.opinions)
    return _places(store, wanted, c.model_version.desc(), c.score.desc().nulls_last(), c.id, most=most)


def open_questions(store: LabelStore, most: int) -> list[Open]:
    """Open questions in the same order, and who has judged them."""
    candidates = open_places(store, most)
    with reading(store.engine) as connection:
        wanted = conditions.wanted(connection, [place.query for place in candidates], store.opinions)
    return [Open(place, *wanted[place.query]) for place in candidates if place.query in wanted]


def due_places(store: LabelStore) -> list[Place]:
    """Questions that people may be shown next: open ones, and those whose true answer is known."""
    return open_places(store) + _places(store, _checks, questions.c.id)


def truth(store: LabelStore, ids: list[int]) -> dict[int, Row]:
    """The true answers (kind truth) to these questions, by question; an answer of None: no longer known."""
    wanted = answer_rows().where(answers.c.query_id.in_(ids), answers.c.kind == "truth", standing())
    return {row["query_id"]: row for row in _answers(store, wanted)}


def known_places(store: LabelStore, labeller: str, most: int) -> list[Place]:
    """Questions whose true answer is known and that this labeller never judged, the newest first."""
    judged = select(answers.c.query_id).where(answers.c.labeller == labeller, answers.c.kind.in_(JUDGEMENTS))
    return _places(store, _checks & questions.c.id.not_in(judged), questions.c.id.desc(), most=most)


def places(store: LabelStore, ids: list[int]) -> dict[int, Place]:
    """Places of those of these questions that exist, by id."""
    return {place.query: place for place in _places(store, questions.c.id.in_(ids))}


def kinds_asked(store: LabelStore) -> list[str]:
    """The kinds of all questions so far."""
    return [row["kind"] for row in _rows(store, select(questions.c.kind).distinct())]


def by_kind(store: LabelStore, ids: Sequence[int]) -> dict[str, list[int]]:
    """These questions by kind, in ascending order."""
    ids_by_kind: dict[str, list[int]] = {}
    for id, kind in sorted(store.kinds(ids).items()):
        ids_by_kind.setdefault(kind, []).append(id)
    return ids_by_kind


def oldest_open(store: LabelStore) -> float | None:
    """Time at which the oldest open question was asked; None if none is open."""
    wanted = select(questions.c.asked_at).where(unanswered(store.opinions)).order_by(questions.c.asked_at)
    rows = _rows(store, wanted.limit(1))
    return rows[0]["asked_at"] if rows else None


def answered_by_others(store: LabelStore, labeller: str, most: int) -> list[Place]:
    """Questions that others have answered and this labeller never has, the newest first."""
    answered = current_answers().with_only_columns(answers.c.query_id)
    judged = select(answers.c.query_id).where(answers.c.labeller == labeller)
    wanted = questions.c.id.in_(answered) & questions.c.id.not_in(judged) & questions.c.id.not_in(_flagged)
    return _places(store, wanted, questions.c.id.desc(), most=most)


@dataclass(frozen=True)
class ShownAnswer:
    """A labeller's answer to a question, and how the question was shown."""

    seq: int
    place: Place
    answer: Answer
    order: list[int]  # which segment was shown at each place


def given_once(store: LabelStore, labeller: str) -> list[ShownAnswer]:
    """This labeller's answers to questions that they judged exactly once, the oldest first."""
    wanted = _with_later.where(answers.c.labeller == labeller, answers.c.query_id.not_in(_flagged))
    by_query: dict[int, list[Row]] = {}
    for row in _answers(store, wanted.order_by(answers.c.seq)):
        if row["kind"] in JUDGEMENTS and row["superseded_by"] is None:
            by_query.setdefault(row["query_id"], []).append(row)
    return [
        ShownAnswer(row["seq"], place_of(row), row["answer"], shown(row["details"], row["asked_kind"])["order"])
        for row, *more in by_query.values() if not more and row["answer"] is not None
    ]  # fmt: skip


def page(store: LabelStore, labeller: str | None, before: int | None, most: int) -> list[Row]:
    """Answers with a number below `before`, the latest first, each with its question's place and what superseded it."""
    wanted = _with_later.where(answers.c.kind != "truth")
    if labeller is not None:
        wanted = wanted.where(answers.c.labeller == labeller)
    if before is not None:
        wanted = wanted.where(answers.c.seq < before)
    return _answers(store, wanted.order_by(answers.c.seq.desc()).limit(most))


def since(store: LabelStore, seq: int) -> list[Row]:
    """Answers after a number, in order, each with what superseded it so far; without true answers."""
    wanted = _with_later.where(answers.c.kind != "truth", answers.c.seq > seq)
    return _answers(store, wanted.order_by(answers.c.seq))


def was_wanted(store: LabelStore, row: Row) -> bool:
    """Whether an opinion was asked for: too few labellers had judged the question before it."""
    earlier = select(answers.c.labeller).where(
        answers.c.query_id == row["query_id"], answers.c.seq < row["seq"], answers.c.kind.in_(JUDGEMENTS), standing()
    )
    judges = {past["labeller"] for past in _rows(store, earlier)}
    return len(judges) < conditions.wanted_of(int(row["query_id"]), store.opinions)


def by_key(store: LabelStore, key: str) -> Row | None:
    """The answer with this key."""
    rows = _answers(store, answer_rows().where(answers.c.key == key))
    return rows[0] if rows else None


def by_seq(store: LabelStore, seq: int) -> Row | None:
    """The answer with this number, its question's place, and what superseded it."""
    rows = _answers(store, _with_later.where(answers.c.seq == seq))
    return rows[0] if rows else None


def shown(details: str | None, kind: str = FIRST) -> Row:
    """How the question was shown and answered, from an answer's `details`; those of synthetic teachers give defaults.

    order: which segment was shown at each place; model: its version and, in the stored order, the chances it gave the
    outcomes. Answers of the first release have `mirrored` and the first outcome's `probability` instead.
    """
    display = {"purpose": "new", "model": None, **(json.loads(details) if details else {})}
    display["order"] = order_of(display.get("order"), display.get("mirrored", False), kind)
    if (model := display["model"]) and "chances" not in model:
        display["model"] = {**model, "chances": [model["probability"], 1 - model["probability"]]}
    return display
