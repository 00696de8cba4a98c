"""Reading a label store: its questions, which of them are open, and the answers that stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, Row, func, select

from prefrl.core.data import Feedback, Queries
from prefrl.core.errors import UserError
from prefrl.kinds import Answer, kind_of
from prefrl.store import database
from prefrl.store.database import by_value, reading
from prefrl.store.payloads import answer_of, answer_rows, with_answer
from prefrl.store.rows import json_lines, refuse_unknown
from prefrl.store.segment_files import SegmentFiles, write_durably
from prefrl.store.tables import (
    GOLD,
    JUDGEMENTS,
    answers,
    current_answers,
    decided,
    payloads,
    questions,
    standing,
    unanswered,
)


@dataclass(frozen=True)
class Counts:
    """Number of questions by state: asked = answered + skipped + open + closed."""

    asked: int
    answered: int  # by as many labellers as should, and somebody gave an answer
    skipped: int  # answered, and all who answered could not tell
    open: int  # too few answers yet, or they were withdrawn
    closed: int = 0  # no answer, and none is wanted any more


class StoreReader:
    """The read-only side of a label store."""

    def __init__(self, engine: Engine, files: SegmentFiles, opinions: float = 1) -> None:
        self.engine, self.files, self.opinions = engine, files, opinions

    # -- answers

    def feedback(
        self, after: int = 0, until: int | None = None, instead: Mapping[int, Answer | None] | None = None
    ) -> list[Feedback]:
        """The answers with after < seq <= until that stand at `until`, in order, a batch for each kind; [] if there are none.

        instead: answers by question that replace the stored ones, for instance several labellers' combined. A
        correction is a new answer: to drop what it replaced from a set already read, read that set again from 0.
        """
        wanted = current_answers(until).where(answers.c.seq > after)
        with reading(self.engine) as connection:
            rows = connection.execute(wanted.order_by(answers.c.seq)).all()
        by_kind: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            by_kind[row.kind].append(row)
        return [self._batch(kind, batch, instead or {}) for kind, batch in by_kind.items()]

    def _batch(self, name: str, rows: list[Row[Any]], instead: Mapping[int, Answer | None]) -> Feedback:
        kind = kind_of(name)
        given = [instead.get(row.query_id, answer_of(row.preference, row.content)) for row in rows]
        answered = [(row, answer) for row, answer in zip(rows, given, strict=True) if answer is not None]
        if not answered:
            return Feedback.nothing(name)
        segments = self.files.gather([row.segments_file for row, _ in answered], [row.row for row, _ in answered])
        seq, query = (np.array([row[place] for row, _ in answered]) for place in (0, 1))
        return Feedback(name, segments, kind.arrays([answer for _, answer in answered]), seq, query)

    def corrected(self, after: int, until: int) -> bool:
        """Whether an answer with after < seq <= until takes the place of, or withdraws, one with seq <= after."""
        wanted = select(answers.c.seq).where(
            answers.c.seq > after, answers.c.seq <= until, answers.c.supersedes <= after
        )
        with reading(self.engine) as connection:
            return connection.scalar(wanted.limit(1)) is not None

    def answered_kinds(self, until: int) -> list[str]:
        """The kinds of which answers numbered up to `until` were ever given, also those withdrawn since."""
        wanted = select(questions.c.kind).join_from(answers, questions).where(answers.c.seq <= until)
        wanted = wanted.where(answers.c.kind.in_(JUDGEMENTS), questions.c.strategy != GOLD)
        with reading(self.engine) as connection:
            return sorted(connection.execute(wanted.distinct()).scalars())

    def last_seq(self) -> int:
        """The number of the latest answer, 0 before the first."""
        with reading(self.engine) as connection:
            return database.last(connection, answers.c.seq)

    def history(self) -> Iterator[dict[str, Any]]:
        """Every answer ever given with its question, also those withdrawn or corrected since, in order."""
        more = [column for column in questions.c if column.name not in answers.c]
        version = questions.c.model_version.label("asked_model_version")
        with reading(self.engine) as connection:
            rows = connection.execute(answer_rows(*more, version).order_by(answers.c.seq)).mappings().all()
        yield from map(with_answer, rows)

    def export_jsonl(self, path: Path | str) -> None:
        """Write the history as one JSON object a line; skips and missing values are null."""
        write_durably(Path(path), json_lines(self.history()))

    # -- questions

    def queries(self, ids: Sequence[int]) -> Queries:
        """The questions with these ids, all of one kind, in this order. Of several batches: their latest step and model version."""
        if not len(ids):
            raise UserError("queries() got no ids; ask for at least one question")
        c, wanted = questions.c, [int(i) for i in ids]
        columns = (c.id, c.segments_file, c.row, c.score, c.strategy, c.asked_step, c.model_version, c.kind)
        with reading(self.engine) as connection:
            rows = by_value(connection, columns, wanted)
        refuse_unknown(self.engine, wanted, rows)
        _, files, places, scores, strategies, steps, versions, kinds = zip(
            *(rows[i].values() for i in wanted), strict=True
        )
        if len(set(kinds)) > 1:
            raise UserError(
                f"these questions are of the kinds {sorted(set(kinds))}; read those of each kind by themselves"
            )
        return Queries(
            self.files.gather(files, places),
            np.array([np.nan if score is None else score for score in scores]),
            strategies[0] if len(set(strategies)) == 1 else "mixed",
            max(steps),
            max(versions),
            kinds[0],
        )

    def kinds(self, ids: Sequence[int]) -> dict[int, str]:
        """The kinds of these questions, by their ids."""
        wanted = [int(id) for id in ids]
        with reading(self.engine) as connection:
            rows = by_value(connection, (questions.c.id, questions.c.kind), wanted)
        refuse_unknown(self.engine, wanted, rows)
        return {id: row["kind"] for id, row in rows.items()}

    def open_queries(self) -> list[int]:
        """Ids of the questions that want answers and were not closed, in the order in which they were asked."""
        with reading(self.engine) as connection:
            wanted = select(questions.c.id).where(unanswered(self.opinions)).order_by(questions.c.id)
            return list(connection.execute(wanted).scalars())

    def asked_queries(self, until_step: int | None = None, *, gold: bool = False, kind: str | None = None) -> list[int]:
        """Ids of the questions asked up to and including an environment step; gold: the gold questions instead of all others."""
        wanted = select(questions.c.id).where((questions.c.strategy == GOLD) == gold).order_by(questions.c.id)
        if until_step is not None:
            wanted = wanted.where(questions.c.asked_step <= int(until_step))
        if kind is not None:
            wanted = wanted.where(questions.c.kind == kind)
        with reading(self.engine) as connection:
            return list(connection.execute(wanted).scalars())

    def asked(self, until_step: int | None = None) -> int:
        """How many questions were asked, up to and including an environment step, without gold questions."""
        return len(self.asked_queries(until_step))

    def last_asked_step(self) -> int:
        """The latest step of the run at which a question was asked, -1 before the first."""
        with reading(self.engine) as connection:
            latest = connection.scalar(select(func.max(questions.c.asked_step)))
        return -1 if latest is None else int(latest)

    def asked_steps(self, ids: Sequence[int]) -> dict[int, int]:
        """The environment steps at which these questions were asked, by their ids."""
        with reading(self.engine) as connection:
            rows = by_value(connection, (questions.c.id, questions.c.asked_step), [int(id) for id in ids])
        return {id: row["asked_step"] for id, row in rows.items()}

    def counts(self) -> Counts:
        """The number of questions by state."""
        given = func.count().filter(decided).label("given")
        each = select(answers.c.query_id, given).select_from(answers.join(questions).outerjoin(payloads))
        each = each.where(answers.c.kind.in_(JUDGEMENTS), standing(), questions.c.strategy != GOLD)
        each = each.where(~unanswered(self.opinions)) if self.opinions > 1 else each.where(answers.c.kind == "answer")
        per_question = each.group_by(answers.c.query_id).subquery()
        answered = func.count().filter(per_question.c.given > 0)
        every = select(func.count()).select_from(questions)
        asked_ever = every.where(questions.c.strategy != GOLD).scalar_subquery()
        open_now = every.where(unanswered(self.opinions)).scalar_subquery()
        totals = select(asked_ever, func.count(), answered, open_now).select_from(per_question)
        with reading(self.engine) as connection:
            asked, judged, decisive, waiting = connection.execute(totals).one()
        return Counts(asked, decisive, judged - decisive, waiting, asked - judged - waiting)
