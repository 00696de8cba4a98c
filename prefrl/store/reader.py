"""Reading a label store: its questions, which of them are open, and the answers that stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Column, ColumnElement, Engine, func, select

from prefrl.core.data import Feedback, Queries
from prefrl.core.errors import UserError
from prefrl.core.files import write_durably
from prefrl.kinds import Answer, kind_of
from prefrl.store import database
from prefrl.store.conditions import current_answers, decided, standing, unanswered
from prefrl.store.database import Row, by_value, reading
from prefrl.store.rows import answer_of, answer_rows, json_lines, refuse_unknown, with_answer
from prefrl.store.segment_files import SegmentFiles
from prefrl.store.tables import GOLD, JUDGEMENTS, answers, payloads, questions


@dataclass(frozen=True)
class Counts:
    """Number of questions by state: asked = answered + skipped + open + closed."""

    asked: int
    answered: int  # by as many labellers as should, and not all skipped
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
        wanted = current_answers(until).where(answers.c.seq > after).order_by(answers.c.seq)
        by_kind: dict[str, list[Row]] = defaultdict(list)
        with reading(self.engine) as connection:
            for row in connection.execute(wanted).mappings():
                by_kind[row["kind"]].append(dict(row))
        return [self._batch(kind, rows, instead or {}) for kind, rows in by_kind.items()]

    def _batch(self, kind: str, rows: list[Row], instead: Mapping[int, Answer | None]) -> Feedback:
        given = [instead.get(row["query_id"], answer_of(row["preference"], row["content"])) for row in rows]
        answered = [row for row, answer in zip(rows, given, strict=True) if answer is not None]
        if not answered:
            return Feedback.nothing(kind)
        segments = self.files.gather([row["segments_file"] for row in answered], [row["row"] for row in answered])
        arrays = kind_of(kind).arrays([answer for answer in given if answer is not None])
        seq, query = (np.array([row[name] for row in answered]) for name in ("seq", "query_id"))
        return Feedback(kind, segments, arrays, seq, query)

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

    def history(self) -> list[Row]:
        """Every answer ever given with its question, also those withdrawn or corrected since, in order."""
        more = [column for column in questions.c if column.name not in answers.c]
        version = questions.c.model_version.label("asked_model_version")
        with reading(self.engine) as connection:
            rows = connection.execute(answer_rows(*more, version).order_by(answers.c.seq)).mappings()
            return [with_answer(row) for row in rows]

    def export_jsonl(self, path: Path | str) -> None:
        """Write the history as one JSON object a line; skips and missing values are null."""
        write_durably(Path(path), json_lines(self.history()))

    # -- questions

    def queries(self, ids: Sequence[int]) -> Queries:
        """The questions with these ids, all of one kind, in this order. Of several batches: their latest step and model version."""
        if not len(ids):
            raise UserError("queries() got no ids; ask for at least one question")
        c = questions.c
        by_id = self._rows(ids, c.segments_file, c.row, c.score, c.strategy, c.asked_step, c.model_version, c.kind)
        rows = [by_id[int(id)] for id in ids]
        kinds, strategies = ({row[name] for row in rows} for name in ("kind", "strategy"))
        if len(kinds) > 1:
            raise UserError(f"these questions are of the kinds {sorted(kinds)}; read those of each kind by themselves")
        return Queries(
            self.files.gather([row["segments_file"] for row in rows], [row["row"] for row in rows]),
            np.array([np.nan if row["score"] is None else row["score"] for row in rows]),
            rows[0]["strategy"] if len(strategies) == 1 else "mixed",
            max(row["asked_step"] for row in rows),
            max(row["model_version"] for row in rows),
            rows[0]["kind"],
        )

    def kinds(self, ids: Sequence[int]) -> dict[int, str]:
        """The kinds of these questions, by their ids."""
        return {id: row["kind"] for id, row in self._rows(ids, questions.c.kind).items()}

    def asked_steps(self, ids: Sequence[int]) -> dict[int, int]:
        """The environment steps at which these questions were asked, by their ids."""
        return {id: row["asked_step"] for id, row in self._rows(ids, questions.c.asked_step).items()}

    def _rows(self, ids: Sequence[int], *columns: Column[Any]) -> dict[int, Row]:
        """Columns of these questions, by their ids. Raises UserError for an unknown one."""
        wanted = [int(id) for id in ids]
        with reading(self.engine) as connection:
            rows = by_value(connection, (questions.c.id, *columns), wanted)
        refuse_unknown(self.engine, wanted, rows)
        return rows

    def open_queries(self) -> list[int]:
        """Ids of the questions that want answers and were not closed, in the order in which they were asked."""
        return self._ids(unanswered(self.opinions))

    def asked_queries(self, until_step: int | None = None, *, gold: bool = False, kind: str | None = None) -> list[int]:
        """Ids of the questions asked up to and including an environment step; gold: the gold questions instead of all others."""
        wanted = [(questions.c.strategy == GOLD) == gold]
        if until_step is not None:
            wanted.append(questions.c.asked_step <= int(until_step))
        if kind is not None:
            wanted.append(questions.c.kind == kind)
        return self._ids(*wanted)

    def _ids(self, *conditions: ColumnElement[bool]) -> list[int]:
        """Ids of the questions that meet all these conditions, in the order in which they were asked."""
        wanted = select(questions.c.id).where(*conditions).order_by(questions.c.id)
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
