"""Reads from the store who judged which question how, and what is known about the answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from prefrl.store.database import number, reading
from prefrl.store.tables import JUDGEMENTS, answers, standing
from prefrl.teachers.crowd import Judgements

CHECKS = ("repeat",)  # purposes of displays whose answers are no judgement of their own


def judgements(engine: Engine, until: int | None = None) -> Judgements:
    """The judgements that stand at the answer numbered `until`; a labeller's second look at a question is none."""
    c = answers.c
    wanted = select(c.seq, c.query_id, c.kind, c.labeller, c.preference, c.details).where(standing(until))
    with reading(engine) as connection:
        rows = connection.execute(wanted.where(c.kind.in_((*JUDGEMENTS, "truth"))).order_by(c.seq)).all()
    truth = {row.query_id: row.preference for row in rows if row.kind == "truth" and row.preference is not None}
    first: dict[tuple[int, str], Any] = {}
    for row in rows:
        if row.kind == "answer" or (row.kind == "opinion" and purpose(row.details) not in CHECKS):
            first.setdefault((row.query_id, row.labeller), row)
    said = [np.nan if number(row.preference) is None else row.preference for row in first.values()]
    query, labeller = [id for id, _ in first], [name for _, name in first]
    return Judgements(np.array(query, int), np.array(labeller, str), np.array(said, float), truth)


def opinions_given(engine: Engine, until: int) -> bool:
    """Whether anybody judged what was not theirs alone to judge: cheaper than reading all."""
    wanted = select(answers.c.seq).where(answers.c.kind == "opinion", answers.c.seq <= until).limit(1)
    with reading(engine) as connection:
        return connection.scalar(wanted) is not None


def purpose(details: str | None) -> str:
    """Why a question was shown: new, repeat, gold or again."""
    return json.loads(details).get("purpose", "new") if details else "new"
