"""Seals: a digest of every answer and of the one before it, so that a damaged row never passes for a label.

SQLite's own check of a database misses a fifth of all flipped bits. A seal covers the answer and the segments of its
question; the chain of seals shows rows that are gone.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, Engine, bindparam, select

from prefrl.core.errors import UserError, brief
from prefrl.store.database import Row, add, by_value, last, name_of, reading, writing
from prefrl.store.tables import DAMAGED, GOLD, answers, payloads, questions, seals

GUARD = "prefrl"  # the labeller of withdrawals of damaged answers

_question = (questions.c.uid, questions.c.segments_file, questions.c.row, (questions.c.strategy == GOLD).label("gold"))
_payload = (questions.c.kind.label("asked_kind"), payloads.c.content)  # the last of a row, and seldom there
_sealed = select(*answers.c, *_question, *_payload).select_from(
    answers.outerjoin(questions).outerjoin(payloads, payloads.c.seq == answers.c.seq)
)
_later = _sealed.where(answers.c.seq > bindparam("latest")).order_by(answers.c.seq)
_SUPERSEDES = list(answers.c).index(answers.c.supersedes)
_newest = select(seals.c.seq, seals.c.sha256).order_by(seals.c.seq.desc()).limit(1)


def seal(connection: Connection) -> None:
    """Seal the answers that have no seal yet: those that were added in this transaction, or by an earlier prefrl."""
    latest, before = connection.execute(_newest).first() or (0, "")
    fresh = []
    for row in connection.execute(_later, {"latest": latest}):
        before = _digest(before, row)
        fresh.append({"seq": row.seq, "sha256": before})
    add(connection, seals, fresh)


def check(engine: Engine) -> None:
    """Withdraw answers that are not what their seals say, with a warning: their questions are open again.

    Raises UserError if answers are gone.
    """
    with reading(engine) as connection:
        if not any(_faults(connection)):
            return
    with writing(engine) as connection:  # under the lock no write of another process is half done
        lost, damaged = _faults(connection)
        if lost:
            raise UserError(
                f"{name_of(engine)} is damaged: it has lost the answers {brief(lost)}; restore it from a copy in backups/"
            )
        if damaged:
            _withdraw(connection, damaged)
            seal(connection)
            warnings.warn(
                f"{name_of(engine)} is damaged: the answers {brief(damaged)} are not what was written, and do not count."
                " To have them back, restore it from a copy in backups/",
                stacklevel=2,
            )


def _faults(connection: Connection) -> tuple[list[int], list[int]]:
    """The numbers of answers that are lost, and of those that differ from their seals."""
    rows = {row.seq: row for row in connection.execute(_later, {"latest": 0})}
    kept = {seq: digest for seq, digest in connection.execute(select(seals.c.seq, seals.c.sha256))}
    newest = max(kept, default=0)  # later answers are not sealed yet
    lost: list[int] = []
    damaged: set[int] = set()
    earlier: dict[int, list[int]] = defaultdict(list)  # by question
    before, recomputed, previous = "", "", 0
    for seq in sorted({*kept, *(seq for seq in rows if seq <= newest)}):
        stored = kept.get(seq, "")
        if seq not in rows:
            lost.append(seq)
        digest = _digest(before, rows[seq]) if seq in rows else stored
        if digest != stored:
            damaged.add(seq)
            if stored and recomputed != before and _digest(recomputed, rows[seq]) == stored:
                damaged -= {seq, previous}  # the answer before is intact: its seal was damaged
                digest = stored
            else:
                damaged |= {
                    old for old in earlier[rows[seq].query_id] if _digest(before, rows[seq], old) == stored
                }  # `supersedes` was damaged: the answer that it superseded would stand again
        if seq in rows:
            earlier[rows[seq].query_id].append(seq)
        before, recomputed, previous = stored, digest, seq
    return lost, sorted(damaged)


def _withdraw(connection: Connection, damaged: list[int]) -> None:
    """Withdraw the damaged answers that still stand and whose question exists."""
    superseded = by_value(connection, (answers.c.supersedes,), damaged)
    rows = by_value(connection, (answers.c.seq, answers.c.query_id), damaged)
    existing = by_value(connection, (questions.c.id,), [row["query_id"] for row in rows.values()])
    seq = last(connection, answers.c.seq)
    for old in damaged:
        if old in superseded or rows[old]["query_id"] not in existing:
            continue
        seq += 1
        row: Row = dict.fromkeys(column.name for column in answers.c)
        row |= {
            "seq": seq, "query_id": rows[old]["query_id"], "key": f"{DAMAGED}{old}", "kind": "withdrawal",
            "labeller": GUARD, "supersedes": old, "answered_at": time.time(),
        }  # fmt: skip
        add(connection, answers, [row])


def _digest(before: str, row: Iterable[object], supersedes: int | None = None) -> str:
    """The seal of a row. supersedes: in place of the row's own. Rows without a payload have the digest that the first release gave them."""
    *values, kind, content = row
    if content is not None:
        values += [kind, content]
    if supersedes is not None:
        values[_SUPERSEDES] = supersedes
    return hashlib.sha256(f"{before}{json.dumps(values, default=repr)}".encode()).hexdigest()
