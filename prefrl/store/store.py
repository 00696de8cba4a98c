"""The label store: questions and answers in an append-only database, the only door between trainer and labellers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import URL, Engine, func, select

from prefrl.config.settings import Config
from prefrl.core.data import Feedback, Origins, Queries
from prefrl.core.errors import StorageFull, UserError
from prefrl.store import database, seals, tables
from prefrl.store.capacity import Capacity
from prefrl.store.coordination import Displays, Leases, Notices
from prefrl.store.database import by_value, reading, writing
from prefrl.store.rows import BLANK, append, as_stored, json_lines, question_rows, refuse_unknown, supersede, uids_of
from prefrl.store.segment_files import SegmentFiles, write_durably
from prefrl.store.tables import GOLD, JUDGEMENTS, answers, closures, current_answers, questions, standing, unanswered

__all__ = ["Counts", "LabelStore", "StorageFull", "open_store"]


def open_store(folder: Path | str, config: Config, url: str | None = None) -> LabelStore:
    """Open the store of a run as its settings say. url: where the database is, if that has changed since."""
    return LabelStore.open(folder, url or config.record.labels or None, config.wanted_opinions())


@dataclass(frozen=True)
class Counts:
    """Questions by what became of them: asked = answered + skipped + open + closed."""

    asked: int
    answered: int  # by as many labellers as should, and somebody told a preference
    skipped: int  # answered, and all who answered could not tell
    open: int  # too few answers yet, or they were withdrawn
    closed: int = 0  # no answer, and none is wanted any more


class LabelStore(AbstractContextManager["LabelStore"]):
    """Questions in, answers out. Rows are only ever added; what a call returned from is on disk.

    Any number of processes may hold the same store open, each through its own LabelStore.
    """

    def __init__(self, engine: Engine, files: SegmentFiles, opinions: float = 1) -> None:
        self.engine, self.files, self.opinions = engine, files, opinions
        self.notices, self.leases, self.displays = Notices(engine), Leases(engine, opinions), Displays(engine)
        self.capacity = Capacity(engine)

    @classmethod
    def open(cls, folder: Path | str, url: str | None = None, opinions: float = 1) -> LabelStore:
        """Open the store of a run folder, or create it. url: another database; the segments stay in the folder.

        opinions: how many labellers should judge each question; until then it counts as open.
        """
        files = SegmentFiles(Path(folder) / "segments")
        engine = database.connect(url or URL.create("sqlite", database=str(Path(folder).absolute() / "labels.db")))
        try:
            tables.create_or_check(engine)
            seals.check(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, files, opinions)

    def close(self) -> None:
        """Close all connections; SQLite then folds its journal into labels.db."""
        self.engine.dispose()

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, queries: Queries, uids: Sequence[str] | None = None, origins: Origins | None = None) -> list[int]:
        """Store questions and return their ids. queries: batch shape (Q, 2); origins: 2 Q, to draw them for people

        A uid that was asked before keeps its id and its old segments, whatever is shown now: after a kill, hand
        `queries(ids)` to the teacher, not the batch given here.
        """
        if not len(queries):
            return []
        names, wanted = uids_of(queries, uids), (questions.c.uid, questions.c.id)
        with reading(self.engine) as connection:
            known = by_value(connection, wanted, names)
        if len(known) < len(names):
            file = self.files.write(
                queries.segments, origins
            )  # before the rows that name it, and outside the write lock
            with writing(self.engine) as connection:
                known = by_value(connection, wanted, names)
                rows = [row for row in question_rows(queries, names, file) if row["uid"] not in known]
                first = database.last(connection, questions.c.id) + 1
                fresh = [{"id": first + place, **row} for place, row in enumerate(rows)]
                database.add(connection, questions, fresh)
            known.update({row["uid"]: row for row in fresh})
        return [known[name]["id"] for name in names]

    def answer(
        self,
        query_ids: Sequence[int],
        preferences: np.ndarray | Sequence[float],
        *,
        labeller: str,
        response_seconds: Sequence[float] | None = None,
        step: int | None = None,
        model_version: int | None = None,
        keys: Sequence[str] | None = None,
        kind: str = "answer",
        details: Sequence[str | None] | None = None,
        first_only: bool = False,
    ) -> list[int]:
        """Store answers and return their numbers. preferences: (Q,) in [0, 1], NaN to skip

        An answer whose key is there already counts once. The default key is "query:labeller", so a labeller answers
        a question once; to answer again after a withdrawal, give a key of your own. kind "opinion" is kept beside the
        answer, and is nothing without one; with first_only an answer to a question that has one becomes an opinion.
        kind "truth" says what is known, to check labellers by.
        """
        ids, values = [int(i) for i in query_ids], as_stored(preferences, query_ids)
        seconds = [None] * len(ids) if response_seconds is None else [database.number(s) for s in response_seconds]
        if kind not in (*JUDGEMENTS, "truth"):
            raise UserError(f"an answer of kind {kind!r} is neither 'answer' nor 'opinion' nor 'truth'")
        common = {**BLANK, "kind": kind, "labeller": labeller, "answered_at": time.time()}
        common |= {"step": database.whole(step), "model_version": database.whole(model_version)}
        own = [f"{query}:{labeller}" for query in ids] if keys is None else keys
        notes = [None] * len(ids) if details is None else list(details)
        rows = [
            {**common, "query_id": query, "preference": value, "response_seconds": second, "key": key, "details": note}
            for query, value, second, key, note in zip(ids, values, seconds, own, notes, strict=True)
        ]
        return append(self.engine, rows, first_only)

    def enact(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Store answers as they were given elsewhere: all columns but `seq`. Returns their numbers here.

        One whose key is there already counts once, as with `answer`.
        """
        return append(self.engine, [dict(row) for row in rows])

    def revise(
        self, seq: int, preference: float, *, labeller: str, key: str | None = None, details: str | None = None
    ) -> int:
        """Correct an answer by a new one that takes its place, NaN to skip. Returns the new number."""
        return supersede(self.engine, seq, None, preference, labeller, key, details)

    def withdraw(self, seq: int, *, labeller: str, key: str | None = None) -> int:
        """Take an answer back; without another one its question is open again. Returns the withdrawal's number."""
        return supersede(self.engine, seq, "withdrawal", float("nan"), labeller, key)

    def feedback(self, after: int = 0, until: int | None = None) -> Feedback | None:
        """The answers with after < seq <= until that stand at `until`, in order; None when there are none.

        A correction is a new answer: to drop what it replaced from a set already read, read that set again from 0.
        """
        wanted = current_answers(until).where(answers.c.seq > after)
        with reading(self.engine) as connection:
            rows = connection.execute(wanted.order_by(answers.c.seq)).all()
        if not rows:
            return None
        if not (told := [row for row in rows if row.preference is not None]):
            return Feedback.nothing("pair")
        seq, asked, preferences, files, places = zip(*told, strict=True)
        answer = {"preference": np.array(preferences)}
        return Feedback("pair", self.files.gather(files, places), answer, np.array(seq), np.array(asked))

    def corrected(self, after: int, until: int) -> bool:
        """Whether an answer with after < seq <= until takes the place of, or withdraws, one with seq <= after."""
        wanted = select(answers.c.seq).where(
            answers.c.seq > after, answers.c.seq <= until, answers.c.supersedes <= after
        )
        with reading(self.engine) as connection:
            return connection.scalar(wanted.limit(1)) is not None

    def queries(self, ids: Sequence[int]) -> Queries:
        """The questions with these ids, in this order. Of several batches: their latest step and model version."""
        if not len(ids):
            raise UserError("queries() got no ids; ask for at least one question")
        c, wanted = questions.c, [int(i) for i in ids]
        columns = (c.id, c.segments_file, c.row, c.score, c.strategy, c.asked_step, c.model_version)
        with reading(self.engine) as connection:
            found = by_value(connection, columns, wanted)
        refuse_unknown(self.engine, wanted, found)
        _, files, places, scores, strategies, steps, versions = zip(*(found[i].values() for i in wanted), strict=True)
        return Queries(
            self.files.gather(files, places),
            np.array([np.nan if score is None else score for score in scores]),
            strategies[0] if len(set(strategies)) == 1 else "mixed",
            max(steps),
            max(versions),
        )

    def open_queries(self) -> list[int]:
        """Ids of the questions that want answers and were not closed, in the order in which they were asked."""
        with reading(self.engine) as connection:
            wanted = select(questions.c.id).where(unanswered(self.opinions)).order_by(questions.c.id)
            return list(connection.execute(wanted).scalars())

    def asked_queries(self, until_step: int | None = None, *, gold: bool = False) -> list[int]:
        """Ids of the questions asked up to and including an environment step; gold: of those to check labellers by."""
        wanted = select(questions.c.id).where((questions.c.strategy == GOLD) == gold).order_by(questions.c.id)
        if until_step is not None:
            wanted = wanted.where(questions.c.asked_step <= int(until_step))
        with reading(self.engine) as connection:
            return list(connection.execute(wanted).scalars())

    def close_questions(self, ids: Sequence[int], reason: str, step: int | None = None) -> None:
        """Want no answers to these questions any more; one that comes all the same is taken."""
        with writing(self.engine) as connection:
            done = by_value(connection, (closures.c.query_id,), list(ids))
            now = {"reason": reason, "step": database.whole(step), "closed_at": time.time()}
            database.add(connection, closures, [{"query_id": int(id), **now} for id in ids if id not in done])

    def close_stale(self, before: int, step: int) -> int:
        """Close open questions asked before a step of the run. Returns how many without an answer were closed at this `step`.

        A run that was killed and comes to the same step again is told the same number.
        """
        old = questions.c.asked_step < int(before)
        with reading(self.engine) as connection:
            stale = list(connection.execute(select(questions.c.id).where(unanswered(), old)).scalars())
            partly = list(connection.execute(select(questions.c.id).where(unanswered(self.opinions), old)).scalars())
        if partly:
            self.close_questions(stale, "stale", step)
            self.close_questions(partly, "enough", step)  # the rest of them
        here = (closures.c.reason == "stale") & (closures.c.step == int(step))
        with reading(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(closures).where(here)) or 0

    def watermark(self, round: int) -> int:
        """The last answer that belongs to a round: fixed by the first call, the same ever after, also after a kill.

        Rounds are steps of the run. Answers given at a later step (by a run that was killed and now goes over the same
        ground again) do not belong to this round; nor does any, if a later round was reached and this one left no mark.
        """
        marks = tables.watermarks
        with writing(self.engine) as connection:
            known = connection.execute(
                select(marks.c.round, marks.c.seq).where(marks.c.round <= int(round)).order_by(marks.c.round.desc())
            ).first()
            if known and known.round == round:
                return known.seq
            before = known.seq if known else 0
            if connection.scalar(select(func.count()).where(marks.c.round > int(round))):
                return before
            here = (answers.c.step.is_(None)) | (answers.c.step <= int(round))
            seq = connection.scalar(select(func.max(answers.c.seq)).where(here)) or 0
            if seq > before:
                database.add(connection, marks, [{"round": int(round), "seq": seq}])
        return seq

    def last_seq(self) -> int:
        """The number of the latest answer, 0 before the first."""
        with reading(self.engine) as connection:
            return database.last(connection, answers.c.seq)

    def asked(self, until_step: int | None = None) -> int:
        """How many questions were asked, up to and including an environment step. Those to check labellers by do not count."""
        return len(self.asked_queries(until_step))

    def last_asked_step(self) -> int:
        """The latest step of the run at which a question was asked, -1 before the first."""
        with reading(self.engine) as connection:
            latest = connection.scalar(select(func.max(questions.c.asked_step)))
        return -1 if latest is None else int(latest)

    def asked_steps(self, ids: Sequence[int]) -> dict[int, int]:
        """The environment steps at which these questions were asked, by their ids."""
        with reading(self.engine) as connection:
            found = by_value(connection, (questions.c.id, questions.c.asked_step), [int(id) for id in ids])
        return {id: row["asked_step"] for id, row in found.items()}

    def counts(self) -> Counts:
        """How many questions were asked and what became of them."""
        each = select(answers.c.query_id, func.count(answers.c.preference).label("told")).join_from(answers, questions)
        each = each.where(answers.c.kind.in_(JUDGEMENTS), standing(), questions.c.strategy != GOLD)
        each = each.where(~unanswered(self.opinions)) if self.opinions > 1 else each.where(answers.c.kind == "answer")
        per_question = each.group_by(answers.c.query_id).subquery()
        answered = func.count().filter(per_question.c.told > 0)
        every = select(func.count()).select_from(questions)
        asked_ever = every.where(questions.c.strategy != GOLD).scalar_subquery()
        open_now = every.where(unanswered(self.opinions)).scalar_subquery()
        totals = select(asked_ever, func.count(), answered, open_now).select_from(per_question)
        with reading(self.engine) as connection:
            asked, seen, told, waiting = connection.execute(totals).one()
        return Counts(asked, told, seen - told, waiting, asked - seen - waiting)

    def history(self) -> Iterator[dict[str, Any]]:
        """Every answer ever given with its question, also those withdrawn or corrected since, in order."""
        about = [column for column in questions.c if column.name not in answers.c]
        shown = questions.c.model_version.label("asked_model_version")
        asked = questions.c.kind.label("asked_kind")
        joined = select(answers, *about, asked, shown).join_from(answers, questions).order_by(answers.c.seq)
        with reading(self.engine) as connection:
            rows = connection.execute(joined).mappings().all()
        for row in map(dict, rows):
            yield {**row, "answer": None if row["preference"] is None else {"preference": row["preference"]}}

    def export_jsonl(self, path: Path | str) -> None:
        """Write the history as one JSON object a line; skips and missing values are null."""
        write_durably(Path(path), json_lines(self.history()))
