"""Labellers' judgements and the true answers that are known, read from the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from prefrl.kinds import FIRST, Answer, Kind, kind_of
from prefrl.store.conditions import standing
from prefrl.store.database import reading
from prefrl.store.rows import answer_rows, with_answer
from prefrl.store.tables import JUDGEMENTS, answers, questions
from prefrl.teachers.crowd import Judgements

CHECKS = ("repeat",)  # purposes of displays whose answers are no judgement of their own


def judgements(engine: Engine, until: int | None = None, kind: str = FIRST) -> Judgements:
    """The judgements of questions of a kind that stand at the answer numbered `until`.

    Repeats, which check whether a labeller is consistent, are left out.
    """
    c = answers.c
    wanted = answer_rows().where(questions.c.kind == kind, c.kind.in_((*JUDGEMENTS, "truth")), standing(until))
    with reading(engine) as connection:
        rows = [with_answer(row) for row in connection.execute(wanted.order_by(c.seq)).mappings()]
    known = [row for row in rows if row["kind"] == "truth" and row["answer"] is not None]
    first: dict[tuple[int, str], dict[str, Any]] = {}
    for row in rows:
        if row["kind"] == "answer" or (row["kind"] == "opinion" and purpose(row["details"]) not in CHECKS):
            first.setdefault((row["query_id"], row["labeller"]), row)
    chances = _chances(kind_of(kind), [row["answer"] for row in first.values()])
    truth = _chances(kind_of(kind), [row["answer"] for row in known])
    query, labeller = [id for id, _ in first], [name for _, name in first]
    return Judgements(
        np.array(query, int),
        np.array(labeller, str),
        chances,
        {row["query_id"]: chances for row, chances in zip(known, truth, strict=True)},
    )


def _chances(kind: Kind, given: Sequence[Answer | None]) -> np.ndarray:
    """Answers as chances of the outcomes, NaN for skips: (V, A)"""
    chances = np.full((len(given), len(kind.outcomes)), np.nan)
    answered = [place for place, answer in enumerate(given) if answer is not None]
    if answered:
        chances[answered] = kind.said(kind.arrays([answer for answer in given if answer is not None]))
    return chances


def opinions_given(engine: Engine, until: int) -> bool:
    """Whether any question has a second judgement: cheaper than reading all."""
    wanted = select(answers.c.seq).where(answers.c.kind == "opinion", answers.c.seq <= until).limit(1)
    with reading(engine) as connection:
        return connection.scalar(wanted) is not None


def purpose(details: str | None) -> str:
    """Why a question was shown: new, repeat, gold or again."""
    return json.loads(details).get("purpose", "new") if details else "new"
