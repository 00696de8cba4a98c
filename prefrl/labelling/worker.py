"""The render worker: draws the clips of open questions, in a process of its own at low priority.

    python -m prefrl.labelling.worker RUN [--import MODULE] [--store URL] [--once]

The label server starts it, and starts it again when it ends with an error; its last line then says why.
"""

from __future__ import annotations

import argparse
import os
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from select import select as wait_for
from typing import NoReturn

import gymnasium as gym
from sqlalchemy import func, select

from prefrl.config.modules import import_modules
from prefrl.config.values import load
from prefrl.core.errors import StorageFull, UserError
from prefrl.environments.making import MakeEnv, env_maker
from prefrl.environments.origins import FILMED
from prefrl.kinds import KINDS
from prefrl.rendering.clip_cache import clip_of, clips_ready, prune, write_clip
from prefrl.rendering.drawing import CannotDraw
from prefrl.rendering.redraw import Redrawer, Unfaithful
from prefrl.store import lookup
from prefrl.store.database import reading
from prefrl.store.lookup import Place
from prefrl.store.store import LabelStore
from prefrl.store.tables import notices, questions

POLL = 0.2  # seconds between two checks for new questions
RESCAN = 3.0  # seconds between two checks for what else may have to be drawn: damaged clips, withdrawn answers
OFTEN = 2.0  # seconds between two notices of the same state
NICE = 10  # training and the label page come first
MOST_CLIPS = 2**30  # bytes; beyond, the oldest clips of answered questions are deleted
PRUNE_EVERY = 50  # questions

_wished_at = select(notices.c.posted_at).where(notices.c.name == "wanted").scalar_subquery()
NEWS = select(func.max(questions.c.id), _wished_at)  # one cheap query that changes when there may be new work


class Worker:
    """Draws the clips of one question after the other: requested ones first, then open ones in display order."""

    def __init__(self, store: LabelStore, folder: Path, make_env: MakeEnv):
        self.store, self.folder, self.make_env = store, folder, make_env
        self.redrawer: Redrawer | None = None
        self.waiting: list[Place] = []
        self.refused: set[int] = set()
        self.done, self.error = 0, ""
        self._durations: deque[float] = deque(maxlen=20)  # seconds per question
        self._news: tuple[object, ...] = ()
        self._scanned_at, self._notice_at, self._state = -RESCAN, -OFTEN, ""

    def turn(self) -> bool:
        """Draw the next question. Returns False if there is none."""
        self._look()
        if not self.waiting:
            self.post_state("idle")
            return False
        self.post_state("drawing")
        place, started = self.waiting.pop(0), time.monotonic()
        self._draw(place)
        self._durations.append(time.monotonic() - started)
        return True

    def _look(self) -> None:
        """List the questions to draw, if there may be new ones. The check itself costs next to nothing."""
        with reading(self.store.engine) as connection:
            news = tuple(connection.execute(NEWS).one())
        now = time.monotonic()
        if news == self._news and now - self._scanned_at < RESCAN:
            return
        self._news, self._scanned_at = news, now
        request = self.store.notices.read("wanted")
        requested = [int(id) for id in request[0].get("queries", [])] if request else []
        places = lookup.places(self.store, requested) | {place.query: place for place in lookup.due_places(self.store)}
        drawable = [place for place in places.values() if place.kind in KINDS and place.query not in self.refused]
        ready = clips_ready(self.folder, [place.clips for place in drawable])
        self.waiting = [place for place, is_ready in zip(drawable, ready, strict=True) if not is_ready]

    def _draw(self, place: Place) -> None:
        try:
            for segment in range(place.segments):
                if clip_of(self.folder, place.file, place.row, segment) is None:
                    self._draw_segment(place, segment)
            self.done += 1
            if self.done % PRUNE_EVERY == 0:
                due = [due.clips for due in lookup.due_places(self.store) if due.kind in KINDS]
                prune(self.folder, MOST_CLIPS, due)
        except (CannotDraw, StorageFull):  # no fault of this question
            raise
        except Exception as fault:  # one broken question must not block the others
            self._refuse(place, fault)

    def _draw_segment(self, place: Place, number: int) -> None:
        segment = self.store.files.read(place.file)[place.row, number]
        origin = self.store.files.origin(place.file, place.row, number)
        if origin and origin.opening.startswith(FILMED):
            raise Unfaithful("it was filmed while it happened, and its clip is gone")
        self.redrawer = self.redrawer or Redrawer(self.make_env)
        frames = self.redrawer.redraw(segment, origin)
        write_clip(self.folder, place.file, place.row, number, frames, self.redrawer.fps)

    def _refuse(self, place: Place, fault: Exception) -> None:
        """Close a question whose clips may not show what really happened."""
        self.refused.add(place.query)
        self.error = f"question {place.query}: {fault if isinstance(fault, UserError) else repr(fault)}"
        print(f"not shown: {self.error}", file=sys.stderr, flush=True)
        if place.query in self.store.open_queries():
            self.store.close_questions([place.query], "unfaithful")

    def post_state(self, state: str) -> None:
        """Post a notice: a change of state at once, progress every few seconds."""
        now = time.monotonic()
        if state == self._state and (state == "idle" or now - self._notice_at < OFTEN):
            return
        self._state, self._notice_at = state, now
        rate = len(self._durations) / sum(self._durations) if self._durations else None
        self.store.notices.post("renderer", {
            "state": state, "waiting": len(self.waiting), "done": self.done, "refused": len(self.refused),
            "per_second": rate, "error": self.error or None, "pid": os.getpid(),
        })  # fmt: skip

    def close(self) -> None:
        if self.redrawer:
            self.redrawer.close()


class Parent:
    """The process that started this one. It has ended when its pipe to our stdin closes, or our parent id changes."""

    def __init__(self) -> None:
        self.pid = os.getppid()
        self.pipe = sys.stdin is not None and stat.S_ISFIFO(os.fstat(0).st_mode)

    def gone(self, seconds: float) -> bool:
        """Whether the parent has ended, waiting up to this many seconds."""
        if not self.pipe:
            time.sleep(seconds)
        elif wait_for([0], [], [], seconds)[0] and not os.read(0, 4096):
            return True
        return os.getppid() != self.pid


def work(folder: Path, make_env: MakeEnv, store_url: str | None, once: bool, opinions: float = 1) -> None:
    """Draw until the parent has ended; once: only the questions that wait now."""
    parent = Parent()
    with LabelStore.open(folder, store_url, opinions) as store, closing(Worker(store, folder, make_env)) as worker:
        try:
            while True:
                idle = not worker.turn()
                if (once and idle) or (not once and parent.gone(POLL if idle else 0)):
                    return
        except UserError as fault:
            worker.error = str(fault)
            with suppress(UserError):
                worker.post_state("failed")
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one worker. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m prefrl.labelling.worker", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--import", action="append", default=[], dest="modules", help="registers environments")
    parser.add_argument("--store", help="database of the labels, where it is not labels.db in the run's folder")
    parser.add_argument("--once", action="store_true", help="draw what waits, and end")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    with suppress(OSError):
        os.nice(NICE)
    try:
        import_modules(options.modules)
        config = load(options.run / "config.yaml")
        url = options.store or config.record.labels or None

        def make_env() -> gym.Env:  # which is looked up when it is needed
            return env_maker(config.env, "rgb_array", config.pixels)()

        work(options.run, make_env, url, options.once, config.wanted_opinions())
    except UserError as fault:
        print("error:", " ".join(str(fault).split()), file=sys.stderr)  # in one line, which the server shows
        return fault.code
    except KeyboardInterrupt:
        return 130
    return 0


def _stop(*_: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
