"""Rows of the label store: built from what callers give, checked against what is stored, and added."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from prefrl.core.data import Queries
from prefrl.core.errors import UserError
from prefrl.kinds import kind_of
from prefrl.store import database, seals
from prefrl.store.database import by_value, name_of, reading, writing
from prefrl.store.payloads import columns, read_answers
from prefrl.store.tables import answers, current_answers, payloads, questions

BLANK = {
    "kind": "answer", "response_seconds": None, "step": None, "model_version": None, "supersedes": None, "details": None,
}  # fmt: skip
_CONTENT = ("query_id", "preference", "content", "labeller", "supersedes")  # what must agree for one key


def uids_of(queries: Queries, uids: Sequence[str] | None) -> list[str]:
    """One uid per question; random ones if none are given."""
    wanted, shape = kind_of(queries.kind).segments, queries.segments.true_rewards.shape
    if shape[1:-1] != (wanted,):
        raise UserError(
            f"questions of kind {queries.kind!r} show segments of shape (Q, {wanted}, T); got segments of shape {shape}"
        )
    names = [uuid.uuid4().hex for _ in range(len(queries))] if uids is None else [str(uid) for uid in uids]
    if len(names) != len(queries) or len(set(names)) != len(names):
        raise UserError(f"{len(queries)} questions need as many different uids, got {len(set(names))}")
    return names


def question_rows(queries: Queries, names: list[str], file: str) -> list[dict[str, Any]]:
    common = {
        "kind": queries.kind, "segments_file": file, "asked_step": int(queries.step), "asked_at": time.time(),
        "model_version": int(queries.model_version), "strategy": str(queries.strategy),
    }  # fmt: skip
    return [
        {"uid": name, "row": row, "score": database.number(score), **common}
        for row, (name, score) in enumerate(zip(names, queries.scores, strict=True))
    ]


def supersede(
    engine: Engine,
    seq: int,
    kind: str | None,
    answer: Any,
    labeller: str,
    key: str | None,
    details: str | None = None,
) -> int:
    """Add the answer that takes another one's place, of the same kind if that is None. Returns its number."""
    wanted = select(answers.c.query_id, answers.c.kind, questions.c.kind.label("asked")).join_from(answers, questions)
    with reading(engine) as connection:
        old = connection.execute(wanted.where(answers.c.seq == int(seq))).first()
        if old is None:
            latest = database.last(connection, answers.c.seq)
            raise UserError(f"{name_of(engine)} has no answer {seq}; the last one is {latest}")
    row = {
        **BLANK, "query_id": old.query_id, **columns(read_answers([answer], [old.asked])[0]), "kind": kind or old.kind,
        "key": key or f"{seq}:superseded", "labeller": labeller, "supersedes": int(seq),
        "answered_at": time.time(), "details": details,
    }  # fmt: skip
    return append(engine, [row])[0]


def append(engine: Engine, rows: list[dict[str, Any]], first_only: bool = False) -> list[int]:
    """Add the answers whose keys are new, in one transaction. Returns the numbers of all. rows: with `content`"""
    ids, keys = [row["query_id"] for row in rows], [row["key"] for row in rows]
    with writing(engine) as connection:
        refuse_unknown(engine, ids, by_value(connection, (questions.c.id,), ids))
        stored = _stored(connection, keys)
        fresh, seq = [], database.last(connection, answers.c.seq)
        for row in rows:
            if row["key"] not in stored:
                seq += 1
                stored[row["key"]] = {"seq": seq, **row}
                fresh.append(stored[row["key"]])
            _refuse_other_content(stored[row["key"]], row)
        _refuse_second_correction(connection, fresh)
        if first_only:
            _make_opinions(connection, fresh)
        add_answers(connection, fresh)
        seals.seal(connection)
    return [stored[key]["seq"] for key in keys]


def add_answers(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert numbered rows, each with the `content` of its payload or None."""
    plain, more = [], []
    for row in rows:
        plain.append({name: value for name, value in row.items() if name != "content"})
        if row["content"] is not None:
            more.append({"seq": row["seq"], "content": row["content"]})
    database.add(connection, answers, plain)
    database.add(connection, payloads, more)


def _stored(connection: Connection, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The answers that are stored under these keys already, by key."""
    parts = [answers.c[part] for part in _CONTENT if part != "content"]
    stored = by_value(connection, (answers.c.key, answers.c.seq, *parts), keys)
    contents = by_value(connection, (payloads.c.seq, payloads.c.content), [row["seq"] for row in stored.values()])
    for row in stored.values():
        row["content"] = contents.get(row["seq"], {}).get("content")
    return stored


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
    ids = [row["query_id"] for row in rows]
    taken = set(connection.execute(standing.where(answers.c.query_id.in_(ids))).scalars())
    for row in rows:
        if row["query_id"] in taken:
            row["kind"] = "opinion"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object a line; what is missing is null."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
