"""The AI labeller: takes questions, asks the model about several at a time, and stores the answers like those of people."""

from __future__ import annotations

import json
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.asking import ModelAnswer, ModelTeacher
from prefrl.labelling.ai.backoff import Backoff, Stopped
from prefrl.labelling.ai.endpoint import Endpoint
from prefrl.labelling.ai.ledger import BudgetSpent, CallLedger
from prefrl.labelling.ai.run_view import RunView, open_run
from prefrl.labelling.ai.summary import COUNTED, Summary, with_oracle, with_people
from prefrl.labelling.ai.tasks import LabelTask
from prefrl.labelling.history import details_of
from prefrl.labelling.status import WORKING, trainer_state
from prefrl.store import lookup

POLL = 0.25  # seconds between two checks for answers
IDLE = 0.5  # seconds between two checks for questions, when there were none
UNUSABLE = 5  # questions in a row without a usable reply, after which labelling stops


def label_with_ai(
    folder: Path | str, *, modules: Sequence[str] = (), store: str | None = None, quiet: bool = False,
    stop: threading.Event | None = None, **settings: Any,
) -> Summary:  # fmt: skip
    """Answer a run's open questions with a vision model; while the run trains, also those that it will ask.

    settings: fields of `prefrl.labelling.ai.ai_settings.AISettings`; model= and endpoint= must be given. Frames of the clips,
    the question and RUN/instructions.md are sent to the endpoint. Set `stop` to end it early; what was answered is
    stored. Raises UserError where the endpoint refuses, or does not answer for as long as `patience`.
    """
    with ai_labeller(Path(folder), AISettings(**settings), modules, store, quiet) as labeller:
        if stop is not None:
            labeller.backoff.stop = stop
        summary = labeller.work()
    if labeller.fault:
        raise labeller.fault
    return summary


@contextmanager
def ai_labeller(
    folder: Path, settings: AISettings, modules: Sequence[str] = (), store: str | None = None, quiet: bool = False
) -> Iterator[AILabeller]:
    """An AI labeller of a run, closed afterwards. Only one of each name runs at a time."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(closing(Endpoint(settings)))
        run = stack.enter_context(open_run(folder, settings, modules, store))
        name = settings.name
        try:  # two of one name would ask, and pay, for the same questions
            stack.enter_context(FileLock(folder / f".ai-{zlib.crc32(name.encode()):08x}.lock").acquire(timeout=0))
        except Timeout:
            raise UserError(f"{name!r} labels {folder} already; end it, or give this one another name") from None
        ledger = stack.enter_context(closing(CallLedger(folder, settings)))
        yield AILabeller(run, ModelTeacher(settings, endpoint, ledger, Backoff(settings)), quiet)


class AILabeller:
    """One session of an AI labeller. Only the thread in work() touches the store; the pool's threads call the model."""

    def __init__(self, run: RunView, teacher: ModelTeacher, quiet: bool = False):
        self.run, self.teacher, self.quiet = run, teacher, quiet
        self.settings, self.store, self.backoff = run.settings, run.store, teacher.backoff
        self.under_way: dict[Future[ModelAnswer], LabelTask] = {}
        self.count: Counter[str] = Counter()
        self.ended, self.fault = "", None  # type: str, UserError | None
        self._unusable_in_a_row = 0
        self._warned = False

    def work(self) -> Summary:
        """Answer until nothing is left, the budget is spent or somebody stops it. A fault of the endpoint is kept in `fault`."""
        pool = ThreadPoolExecutor(self.settings.at_once, "ai-labeller")
        with tqdm(
            desc=self.settings.name, unit="answer", disable=self.quiet, dynamic_ncols=True, file=sys.stderr
        ) as bar:
            try:
                while not self.ended or self.under_way:
                    trainer, _ = trainer_state(self.run.folder, self.store.notices.read("trainer"))
                    self._fill(pool)
                    self._collect(bar)
                    self._check_end(trainer["state"] in WORKING)
            except KeyboardInterrupt:
                self._end("stopped")
                self.backoff.stop.set()
                tqdm.write(
                    f"ending with the {len(self.under_way)} questions that are paid for; Ctrl-C again leaves at once",
                    sys.stderr,
                )
                while self.under_way:
                    self._collect(bar)
            finally:
                pool.shutdown(wait=not self.under_way, cancel_futures=True)
        return self._summary()

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        """Hand questions to the pool, as many as it has threads free."""
        if self.ended:
            return
        at_once = 1 if self.settings.max_cost and not self.teacher.ledger.measured() else self.settings.at_once
        free = max(0, at_once - len(self.under_way))  # before its price is known, one call is all that is risked
        for task in self.run.tasks.take(self.run.ready()[:free] if free else []):
            if prompt := self.run.prompt(task):
                self.under_way[pool.submit(self.teacher.ask, prompt)] = task
            else:  # its clip was damaged; it is drawn again
                self.run.tasks.done(task)

    def _collect(self, bar: tqdm) -> None:
        """Store the answers that have arrived, and release the leases of questions that failed."""
        if not self.under_way:
            self.backoff.stop.wait(IDLE)
        for future in wait(self.under_way, POLL, FIRST_COMPLETED).done:
            task = self.under_way.pop(future)
            try:
                self._store(task, future.result())
            except (BudgetSpent, Stopped) as reason:
                self._end(str(reason) or "stopped")
            except UserError as fault:
                self.fault = self.fault or fault
                self._end("the model could not go on")
                self.backoff.stop.set()
            finally:
                self.run.tasks.done(task)
        self.run.tasks.renew()
        bar.n, bar.total = self.count["answers"], self.count["answers"] + self.store.counts().open
        bar.set_postfix_str(self._progress_text(), refresh=False)
        bar.update(0)

    def _store(self, task: LabelTask, given: ModelAnswer) -> None:
        query, answer = task.place.query, given.answer
        self.store.answer(
            [query], [answer],
            labeller=self.settings.name, kind=task.kind, first_only=True, details=[self._details(task, given)],
        )  # fmt: skip
        row = lookup.by_key(self.store, f"{query}:{self.settings.name}") or {}
        self.count.update(
            answers=1, opinions=row.get("kind") == "opinion", skipped=answer is None,
            undecided=answer is not None and answer == given.kind.undecided, unusable=not given.usable,
            disagree=given.disagree, one_sided=given.one_sided, cache_hits=given.cached,
        )  # fmt: skip
        self._unusable_in_a_row = 0 if given.usable else self._unusable_in_a_row + 1
        if self._unusable_in_a_row >= UNUSABLE:
            reason = next(order["reason"] for order in given.orders() if order["said"] is None)
            raise UserError(
                f"{self.settings.model!r} gave no usable answer to {UNUSABLE} questions in a row; it said {reason!r}."
                " A larger max_tokens helps where replies are cut off; else choose another model"
            )

    def _details(self, task: LabelTask, given: ModelAnswer) -> str:
        """The replies to each clip order, and what the reward model predicted before it could know the answer."""
        predicted = self.store.notices.predictions([task.place.query]).get(task.place.query)
        return json.dumps({
            "session": self.run.tasks.session, "order": list(range(task.place.segments)),
            "purpose": "new" if task.kind == "answer" else "overlap", "model": details_of(predicted),
            "ai": {"model": self.settings.model, "host": self.settings.host, "orders": given.orders()},
        })  # fmt: skip

    def _check_end(self, training: bool) -> None:
        """End when nothing is left to do. training: whether questions may have been added since ready() was called"""
        if self.backoff.stop.is_set():
            self._end("stopped")
        if self.ended or self.under_way:
            return
        if stuck := self.run.clips.stuck():
            if not training:
                self.fault = UserError(stuck)
                self._end("nothing more can be shown")
            elif not self._warned:
                tqdm.write(f"warning: {stuck}", sys.stderr)
                self._warned = True
        elif not training and not self.run.left:
            self._end("nothing is left to answer")

    def _end(self, why: str) -> None:
        """Take no more questions; calls under way are completed."""
        self.ended = self.ended or why

    def _progress_text(self) -> str:
        cost = self.teacher.ledger.total().cost
        spent = [] if cost is None else [f"${cost:.4g}"]
        usable = self.count["answers"] - self.count["unusable"]
        return ", ".join(spent + ([f"orders disagree {self.count['disagree'] / usable:.0%}"] if usable else []))

    def _summary(self) -> Summary:
        return Summary(
            self.settings.name, self.ended, **{name: self.count[name] for name in COUNTED},
            now=self.teacher.ledger.total(), ever=self.teacher.ledger.total(ever=True),
            people=with_people(self.store, self.settings.name), oracle=with_oracle(self.store, self.settings.name),
        )  # fmt: skip
