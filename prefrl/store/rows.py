"""Rows of the label store: built from what callers give, checked against what is stored, and added.

A plain preference is stored in its own column, an answer of another kind as JSON in `payloads`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Container, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, select

from prefrl.core.data import Queries
from prefrl.core.errors import UserError
from prefrl.kinds import Answer, kind_of
from prefrl.store import database, seals
from prefrl.store.conditions import current_answers
from prefrl.store.database import Row, by_value, name_of, reading, writing
from prefrl.store.tables import answers, payloads, questions

BLANK: Row = dict.fromkeys(("response_seconds", "step", "model_version", "supersedes", "details"))
_CONTENT = ("query_id", "preference", "content", "labeller", "supersedes")  # what must agree for one key


def columns(answer: Answer | None) -> Row:
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


def with_answer(row: Row | RowMapping) -> Row:
    """A row with its answer in place of its payload; `preference` stays as it is."""
    plain: Row = {name: value for name, value in row.items() if name != "content"}
    return {**plain, "answer": answer_of(row["preference"], row["content"])}


def as_stored(row: Row) -> Row:
    """A row as it is stored, the inverse of `with_answer`."""
    return {**{name: value for name, value in row.items() if name != "answer"}, **columns(row["answer"])}


def answer_rows(*more: ColumnElement[Any]) -> Select[Any]:
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


def question_rows(queries: Queries, names: Sequence[str], file: str) -> list[Row]:
    """Rows of questions whose segments are in this file, without their ids."""
    common = {
        "kind": queries.kind, "segments_file": file, "asked_step": int(queries.step), "asked_at": time.time(),
        "model_version": int(queries.model_version), "strategy": str(queries.strategy),
    }  # fmt: skip
    return [
        {"uid": name, "row": row, "score": database.plain_float(score), **common}
        for row, (name, score) in enumerate(zip(names, queries.scores, strict=True))
    ]


def supersede(engine: Engine, seq: int, answer: object, key: str | None, **columns_given: str | None) -> int:
    """Add the answer that takes another one's place. Returns its number.

    columns_given: labeller, and perhaps details, and kind where it is not that of the answer before
    """
    wanted = select(answers.c.query_id, answers.c.kind, questions.c.kind.label("asked")).join_from(answers, questions)
    with reading(engine) as connection:
        old = connection.execute(wanted.where(answers.c.seq == int(seq))).first()
        if old is None:
            latest = database.last(connection, answers.c.seq)
            raise UserError(f"{name_of(engine)} has no answer {seq}; the last one is {latest}")
    row = {
        **BLANK, "query_id": old.query_id, **columns(read_answers([answer], [old.asked])[0]), "kind": old.kind,
        "key": key or f"{seq}:superseded", "supersedes": int(seq), "answered_at": time.time(), **columns_given,
    }  # fmt: skip
    return append(engine, [row])[0]


def append(engine: Engine, rows: Sequence[Row], first_only: bool = False) -> list[int]:
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


def add_answers(connection: Connection, rows: Iterable[Row]) -> None:
    """Insert numbered rows, each with the `content` of its payload or None."""
    plain, more = [], []
    for row in rows:
        plain.append({name: value for name, value in row.items() if name != "content"})
        if row["content"] is not None:
            more.append({"seq": row["seq"], "content": row["content"]})
    database.add(connection, answers, plain)
    database.add(connection, payloads, more)


def _stored(connection: Connection, keys: Sequence[str]) -> dict[str, Row]:
    """The answers that are stored under these keys already, by key."""
    parts = [answers.c[part] for part in _CONTENT if part != "content"]
    stored = by_value(connection, (answers.c.key, answers.c.seq, *parts), keys)
    contents = by_value(connection, (payloads.c.seq, payloads.c.content), [row["seq"] for row in stored.values()])
    for row in stored.values():
        row["content"] = contents.get(row["seq"], {}).get("content")
    return stored


def refuse_unknown(engine: Engine, wanted: Sequence[int], known: Container[int]) -> None:
    """Raise UserError for the first of these questions that is not known."""
    for query in wanted:
        if query not in known:
            raise UserError(f"{name_of(engine)} has no question {query}; use the ids that ask() returned")


def _refuse_other_content(stored: Row, row: Row) -> None:
    for part in _CONTENT:
        if stored[part] != row[part]:
            raise UserError(
                f"answer key {row['key']!r} is taken by answer {stored['seq']} with {part} {stored[part]!r},"
                f" not {row[part]!r}; revise({stored['seq']}, ...) corrects it, another key adds an answer"
            )


def _refuse_second_correction(connection: Connection, rows: Sequence[Row]) -> None:
    corrected = [row["supersedes"] for row in rows if row["supersedes"] is not None]
    for old, by in by_value(connection, (answers.c.supersedes, answers.c.seq), corrected).items():
        raise UserError(f"answer {old} was superseded by answer {by['seq']} already; correct answer {by['seq']}")


def _make_opinions(connection: Connection, rows: Sequence[Row]) -> None:
    """Turn answers to questions that have one already into opinions."""
    standing = current_answers().with_only_columns(answers.c.query_id)
    ids = [row["query_id"] for row in rows]
    taken = set(connection.execute(standing.where(answers.c.query_id.in_(ids))).scalars())
    for row in rows:
        if row["query_id"] in taken:
            row["kind"] = "opinion"


def json_lines(rows: Iterable[Row]) -> bytes:
    """One JSON object a line; what is missing is null."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
