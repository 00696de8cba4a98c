"""Conditions and SELECTs that queries of the label store share: which answers stand, which questions are open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, func, select

from prefrl.store.tables import DAMAGED, GOLD, JUDGEMENTS, answers, closures, payloads, questions

Asked = TypeVar("Asked", int, ColumnElement[int])

_later = answers.alias("later")
_corrected = select(_later.c.seq).where(_later.c.supersedes == answers.c.seq)


def standing(until: int | None = None) -> ColumnElement[bool]:
    """The condition that an answer stands: undamaged, and not corrected or withdrawn up to and including `until`."""
    if until is None:
        return ~_corrected.exists()
    by_then = (_later.c.seq <= until) | _later.c.key.startswith(DAMAGED)
    return (answers.c.seq <= until) & ~_corrected.where(by_then).exists()


decided = answers.c.preference.is_not(None) | payloads.c.seq.is_not(None)
"""The condition on an answer, joined with its payload, that it was not skipped."""


def current_answers(until: int | None = None) -> Select[Any]:
    """Answers that stand and that may be learned from, one for each answered question."""
    wanted = select(
        answers.c.seq, answers.c.query_id, answers.c.preference, payloads.c.content,
        questions.c.kind, questions.c.segments_file, questions.c.row,
    ).select_from(answers.join(questions).outerjoin(payloads))  # fmt: skip
    taught = (answers.c.kind == "answer") & (questions.c.strategy != GOLD)
    return wanted.where(taught, standing(until))


@cache  # building it takes SQLAlchemy longer than SQLite takes to answer it
def unanswered(opinions: float = 1) -> ColumnElement[bool]:
    """The condition on a question that it is open: too few labellers have judged it, and it was not closed."""
    of_question = answers.c.query_id == questions.c.id
    answered = select(answers.c.seq).where(of_question, answers.c.kind == "answer", standing())
    closed = select(closures.c.query_id).where(closures.c.query_id == questions.c.id)
    lacking = ~answered.correlate(questions).exists()
    if opinions > 1:
        judges = select(func.count(answers.c.labeller.distinct())).where(
            of_question, answers.c.kind.in_(JUDGEMENTS), standing()
        )
        lacking |= judges.correlate(questions).scalar_subquery() < wanted_of(questions.c.id, opinions)
    return lacking & ~closed.correlate(questions).exists() & (questions.c.strategy != GOLD)


def wanted_of(query: Asked, opinions: float) -> Asked:
    """How many labellers should judge a question; with 1.2 opinions two for every fifth. query: its id, or the column"""
    for_all = int(opinions)
    thousandths = round(1000 * (opinions - for_all))
    return for_all + query * thousandths // 1000 - (query - 1) * thousandths // 1000


def wanted(connection: Connection, ids: Sequence[int], opinions: float) -> dict[int, tuple[int, set[str]]]:
    """For those of these questions that are open: how many more labellers should judge them, and who has.

    ids: at most as many as one IN (...) takes, see CHUNK
    """
    judges: dict[int, set[str]] = defaultdict(set)
    if opinions > 1:
        judged = select(answers.c.query_id, answers.c.labeller).where(answers.c.query_id.in_(ids))
        for id, labeller in connection.execute(judged.where(answers.c.kind.in_(JUDGEMENTS), standing())):
            judges[id].add(labeller)
    number = select(questions.c.id, wanted_of(questions.c.id, opinions)).where(questions.c.id.in_(ids))
    rows = connection.execute(number.where(unanswered(opinions)))
    return {id: (max(1, most - len(judges[id])), judges[id]) for id, most in rows}
