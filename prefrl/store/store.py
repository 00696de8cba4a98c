"""The label store: questions and answers in an append-only database, the only link between trainer and labellers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from sqlalchemy import URL, Engine, func, select

from prefrl.config.settings import Config
from prefrl.core.data import Origins, Queries
from prefrl.core.errors import UserError
from prefrl.kinds import FIRST
from prefrl.store import database, seals, tables
from prefrl.store.conditions import unanswered
from prefrl.store.coordination import Displays, Leases, Notices
from prefrl.store.database import Row, by_value, reading, writing
from prefrl.store.reader import StoreReader
from prefrl.store.rows import BLANK, append, as_stored, columns, question_rows, read_answers, supersede, uids_of
from prefrl.store.segment_files import SegmentFiles
from prefrl.store.tables import JUDGEMENTS, answers, capacities, closures, questions, watermarks


def open_store(folder: Path | str, config: Config, url: str | None = None) -> LabelStore:
    """Open the store of a run as its settings say. url: where the database is, if that has changed since."""
    return LabelStore.open(folder, url or config.record.labels or None, config.wanted_opinions())


class LabelStore(StoreReader, AbstractContextManager["LabelStore"]):
    """A run's questions and answers. Rows are only ever added, and are on disk when the call returns.

    Any number of processes may hold the same store open, each through its own LabelStore.
    """

    def __init__(self, engine: Engine, files: SegmentFiles, opinions: float = 1) -> None:
        super().__init__(engine, files, opinions)
        self.notices, self.leases, self.displays = Notices(engine), Leases(engine, opinions), Displays(engine)

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
        """Store questions and return their ids. queries: batch shape (Q, K); origins: Q * K, to draw them for people

        A uid that was asked before keeps its id and its old segments, whatever is shown now: after a kill, hand
        `queries(ids)` to the teacher, not the batch given here.
        """
        if not len(queries):
            return []
        names, wanted = uids_of(queries, uids), (questions.c.uid, questions.c.id)
        with reading(self.engine) as connection:
            known = by_value(connection, wanted, names)
        if len(known) < len(names):
            file = self.files.write(queries.segments, origins)  # before its rows, and outside the write lock
            with writing(self.engine) as connection:
                known = by_value(connection, wanted, names)
                rows = [row for row in question_rows(queries, names, file) if row["uid"] not in known]
                first = database.last(connection, questions.c.id) + 1
                fresh = [{"id": first + place, **row} for place, row in enumerate(rows)]
                database.add(connection, questions, fresh)
                if queries.kind != FIRST:
                    tables.raise_format(connection)
            known.update({row["uid"]: row for row in fresh})
        return [known[name]["id"] for name in names]

    def answer(
        self,
        query_ids: Sequence[int],
        given: Sequence[object] | np.ndarray,
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
        """Store answers and return their numbers. given: an answer for each question, None to skip; or what their kind
        takes in place of answers: for pairs preferences (Q,) in [0, 1], NaN to skip.

        An answer whose key is there already counts once. The default key is "query:labeller", so a labeller answers
        a question once; to answer again after a withdrawal, give a key of your own. kind "opinion" is a further judgement
        beside the answer, and does not count without one; with first_only an answer to a question that has one becomes
        an opinion. kind "truth" is the true answer, where it is known, to check labellers by.
        """
        ids = [int(i) for i in query_ids]
        kinds = self.kinds(ids)
        checked = read_answers(given, [kinds[id] for id in ids])
        seconds = [None] * len(ids) if response_seconds is None else [database.plain_float(s) for s in response_seconds]
        if kind not in (*JUDGEMENTS, "truth"):
            raise UserError(f"an answer of kind {kind!r} is neither 'answer' nor 'opinion' nor 'truth'")
        common = {**BLANK, "kind": kind, "labeller": labeller, "answered_at": time.time()}
        common |= {"step": database.plain_int(step), "model_version": database.plain_int(model_version)}
        own_keys = [f"{query}:{labeller}" for query in ids] if keys is None else keys
        notes = [None] * len(ids) if details is None else list(details)
        rows = [
            {**common, "query_id": query, **columns(answer), "response_seconds": second, "key": key, "details": note}
            for query, answer, second, key, note in zip(ids, checked, seconds, own_keys, notes, strict=True)
        ]
        return append(self.engine, rows, first_only)

    def copy_answers(self, rows: Sequence[Row]) -> list[int]:
        """Store the answers of another store: an `answer` and all columns but `seq`. Returns their numbers in this one.

        One whose key is there already counts once, as with `answer`.
        """
        return append(self.engine, [as_stored(row) for row in rows])

    def revise(
        self, seq: int, answer: object, *, labeller: str, key: str | None = None, details: str | None = None
    ) -> int:
        """Correct an answer by a new one that takes its place, None to skip. Returns the new number."""
        return supersede(self.engine, seq, answer, key, labeller=labeller, details=details)

    def withdraw(self, seq: int, *, labeller: str, key: str | None = None) -> int:
        """Take an answer back; without another one its question is open again. Returns the withdrawal's number."""
        return supersede(self.engine, seq, None, key, labeller=labeller, kind="withdrawal")

    def close_questions(self, ids: Sequence[int], reason: str, step: int | None = None) -> None:
        """Close questions: they need no more answers. An answer that still comes is stored."""
        with writing(self.engine) as connection:
            done = by_value(connection, (closures.c.query_id,), list(ids))
            now = {"reason": reason, "step": database.plain_int(step), "closed_at": time.time()}
            database.add(connection, closures, [{"query_id": int(id), **now} for id in ids if id not in done])

    def close_stale(self, before: int, step: int) -> int:
        """Close open questions asked before a step of the run. Returns how many without an answer were closed at this `step`.

        A resumed run that reaches the same step again gets the same number.
        """
        old = questions.c.asked_step < int(before)
        stale, partly = self._ids(unanswered(), old), self._ids(unanswered(self.opinions), old)
        if partly:
            self.close_questions(stale, "stale", step)
            self.close_questions(partly, "enough", step)  # those with some of the answers
        closed_now = (closures.c.reason == "stale") & (closures.c.step == int(step))
        with reading(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(closures).where(closed_now)) or 0

    def capacity_at(self, step: int, now: int) -> int:
        """How many more questions the teacher accepts at a step of the run: `now`, fixed by the first call for a step.

        It is recorded where it changes. A resumed run gets what a killed one recorded that had reached this step before.
        """
        c = capacities.c
        wanted = select(c.room).where(c.step <= int(step)).order_by(c.step.desc()).limit(1)
        with reading(self.engine) as connection:
            newest, recorded = database.last(connection, c.step), connection.scalar(wanted)
        if recorded is not None and (newest >= step or recorded == now):
            return int(recorded)
        if newest <= step:
            with writing(self.engine) as connection:
                database.add(connection, capacities, [{"step": int(step), "room": int(now)}])
        return now

    def watermark(self, round: int) -> int:
        """The last answer that belongs to a round: fixed by the first call, also for a resumed run.

        Rounds are steps of the run. Answers given at a later step (by a run that was killed and now repeats these steps)
        do not belong to this round; nor does any new one, if a later round was reached and this one has no watermark.
        """
        marks = watermarks.c
        with writing(self.engine) as connection:
            known = connection.execute(
                select(marks.round, marks.seq).where(marks.round <= int(round)).order_by(marks.round.desc())
            ).first()
            if known and known.round == round:
                return known.seq
            before = known.seq if known else 0
            if connection.scalar(select(func.count()).where(marks.round > int(round))):
                return before
            in_time = (answers.c.step.is_(None)) | (answers.c.step <= int(round))
            seq = connection.scalar(select(func.max(answers.c.seq)).where(in_time)) or 0
            if seq > before:
                database.add(connection, watermarks, [{"round": int(round), "seq": seq}])
        return seq
