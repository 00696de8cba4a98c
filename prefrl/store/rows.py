"""Rows of the label store: made of what callers give, checked against what is there, and added."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, select

from prefrl.core.data import Queries
from prefrl.core.errors import UserError
from prefrl.store import database, seals
from prefrl.store.database import by_value, name_of, reading, writing
from prefrl.store.tables import answers, current_answers, questions

BLANK = {
    "kind": "answer", "response_seconds": None, "step": None, "model_version": None, "supersedes": None, "details": None,
}  # fmt: skip
_CONTENT = ("query_id", "preference", "labeller", "supersedes")  # what must agree for one key


def uids_of(queries: Queries, uids: Sequence[str] | None) -> list[str]:
    """One name per question; without names given, no question is like another."""
    if queries.segments.true_rewards.shape[1:-1] != (2,):
        shape = queries.segments.true_rewards.shape
        raise UserError(f"the label store holds questions about pairs, shape (Q, 2, T); got segments of shape {shape}")
    names = [uuid.uuid4().hex for _ in range(len(queries))] if uids is None else [str(uid) for uid in uids]
    if len(names) != len(queries) or len(set(names)) != len(names):
        raise UserError(f"{len(queries)} questions need as many different uids, got {len(set(names))}")
    return names


def question_rows(queries: Queries, names: list[str], file: str) -> list[dict[str, Any]]:
    common = {
        "kind": "pair", "segments_file": file, "asked_step": int(queries.step), "asked_at": time.time(),
        "model_version": int(queries.model_version), "strategy": str(queries.strategy),
    }  # fmt: skip
    return [
        {"uid": name, "row": row, "score": database.number(score), **common}
        for row, (name, score) in enumerate(zip(names, queries.scores, strict=True))
    ]


def as_stored(given: Any, query_ids: Sequence[int]) -> list[float | None]:
    """Probabilities as the database keeps them: None is a skip."""
    if isinstance(given, list) and any(one is None or isinstance(one, dict) for one in given):
        given = [np.nan if one is None else one["preference"] if isinstance(one, dict) else one for one in given]
    values = np.asarray(given, dtype=float)
    if values.shape != (len(query_ids),):
        raise UserError(f"{len(query_ids)} questions need as many preferences, got an array of shape {values.shape}")
    wrong = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= 1))))
    if len(wrong):
        raise UserError(
            f"preference {values[wrong[0]]} for question {query_ids[wrong[0]]} is not in [0, 1];"
            " 1: the first is better, 0: the second, NaN: skipped"
        )
    return [database.number(value) for value in values]


def supersede(
    engine: Engine,
    seq: int,
    kind: str | None,
    preference: float,
    labeller: str,
    key: str | None,
    details: str | None = None,
) -> int:
    """Add the answer that takes another one's place, of the same kind if that is None. Returns its number."""
    with reading(engine) as connection:
        old = connection.execute(select(answers.c.query_id, answers.c.kind).where(answers.c.seq == int(seq))).first()
        if old is None:
            latest = database.last(connection, answers.c.seq)
            raise UserError(f"{name_of(engine)} has no answer {seq}; the last one is {latest}")
    row = {
        **BLANK, "query_id": old.query_id, "preference": as_stored([preference], [old.query_id])[0],
        "kind": kind or old.kind, "key": key or f"{seq}:superseded", "labeller": labeller, "supersedes": int(seq),
        "answered_at": time.time(), "details": details,
    }  # fmt: skip
    return append(engine, [row])[0]


def append(engine: Engine, rows: list[dict[str, Any]], first_only: bool = False) -> list[int]:
    """Add the answers whose keys are new, in one transaction. Returns the numbers of all."""
    asked, keys = [row["query_id"] for row in rows], [row["key"] for row in rows]
    with writing(engine) as connection:
        refuse_unknown(engine, asked, by_value(connection, (questions.c.id,), asked))
        there = by_value(connection, (answers.c.key, answers.c.seq, *(answers.c[part] for part in _CONTENT)), keys)
        fresh, seq = [], database.last(connection, answers.c.seq)
        for row in rows:
            if row["key"] not in there:
                seq += 1
                there[row["key"]] = {"seq": seq, **row}
                fresh.append(there[row["key"]])
            _refuse_other_content(there[row["key"]], row)
        _refuse_second_correction(connection, fresh)
        if first_only:
            _make_opinions(connection, fresh)
        database.add(connection, answers, fresh)
        seals.seal(connection)
    return [there[key]["seq"] for key in keys]


def refuse_unknown(engine: Engine, wanted: Sequence[int], known: dict[int, Any]) -> None:
    for query in wanted:
        if query not in known:
            raise UserError(f"{name_of(engine)} has no question {query}; use the ids that ask() returned")


def _refuse_other_content(stored: dict[str, Any], row: dict[str, Any]) -> None:
    for part in _CONTENT:
        if stored[part] != row[part]:
            raise UserError(
                f"answer key {row['key']!r} is taken by answer {stored['seq']} with {part} {stored[part]!r},"
                f" not {row[part]!r}; revise({stored['seq']}, ...) corrects it, another key adds an answer"
            )


def _refuse_second_correction(connection: Connection, rows: list[dict[str, Any]]) -> None:
    corrected = [row["supersedes"] for row in rows if row["supersedes"] is not None]
    for old, by in by_value(connection, (answers.c.supersedes, answers.c.seq), corrected).items():
        raise UserError(f"answer {old} was superseded by answer {by['seq']} already; correct answer {by['seq']}")


def _make_opinions(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Turn answers to questions that have one already into opinions."""
    standing = current_answers().with_only_columns(answers.c.query_id)
    asked = [row["query_id"] for row in rows]
    taken = set(connection.execute(standing.where(answers.c.query_id.in_(asked))).scalars())
    for row in rows:
        if row["query_id"] in taken:
            row["kind"] = "opinion"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object a line; what is missing is null."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
