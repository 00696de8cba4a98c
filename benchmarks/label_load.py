"""Many people label at once: latency of answers, and whether each is stored exactly once.

    python -m benchmarks.label_load [--labellers 20] [--answers 10000] [--pause 0.2]

A real server (`prefrl label`) on a made-up run; each labeller asks for a pair, loads both clips, waits a while as if
looking, and answers. Afterwards the store is compared with what was acknowledged.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from prefrl.config.settings import Config
from prefrl.config.values import as_dict, update
from prefrl.core.data import Queries, Segments
from prefrl.rendering.clip_cache import write_clip
from prefrl.runs.address import Address, read
from prefrl.store import lookup
from prefrl.store.store import LabelStore

CLIPS = 20  # different ones
LENGTH = 25
PATIENCE = 180  # seconds that a labeller sends the same request again


def make_run(folder: Path, asked: int, side: int = 200) -> None:
    """A run's folder with that many open questions, all with clips of a moving bar."""
    folder.mkdir(parents=True)
    config = update(Config(), {"questions.budget": asked, "teacher.mirror": 0.0})
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config)))
    rng = np.random.default_rng(0)
    with LabelStore.open(folder) as store:
        for start in range(0, asked, 1000):
            count = min(1000, asked - start)
            shapes = ((count, 2, LENGTH + 1, 3), (count, 2, LENGTH, 1), (count, 2, LENGTH), (count, 2), (count, 2))
            segments = Segments(*(rng.normal(size=shape) for shape in shapes))
            store.ask(Queries(segments, rng.random(count), "uniform", start, 1))
        _draw(folder, store, side)


def _draw(folder: Path, store: LabelStore, side: int) -> None:
    """Draw a few clips, and let all questions show them."""
    places = lookup.open_places(store)
    drawn = []
    for number in range(CLIPS):
        frames = np.full((LENGTH + 1, side, side, 3), 255, np.uint8)
        for step, frame in enumerate(frames):
            frame[:, (7 * step + 9 * number) % (side - 9) :][:, :9] = (200, 10 * number, 90)
        drawn.append(json.dumps(write_clip(folder, places[0].file, places[0].row, 0, frames, 30.0)))
    for number, place in enumerate(places):
        for which in (0, 1):
            note = folder / "clips" / "index" / f"{Path(place.file).stem}-{place.row}-{which}.json"
            note.write_text(drawn[(number + which) % CLIPS])


class Labeller(threading.Thread):
    """A synthetic labeller, answering at random over one connection; each request is sent again until a server takes it."""

    def __init__(
        self, folder: Path, name: str, pause: float, share: float = math.inf, over: threading.Event | None = None,
        clips: bool = False,
    ):  # fmt: skip
        """pause: mean seconds per question. share: answers to give, unless `over` ends it before. clips: load them"""
        super().__init__(name=name, daemon=True)
        self.folder, self.pause, self.share, self.clips = folder, pause, share, clips
        self.over = over or threading.Event()
        self.took: dict[str, list[float]] = defaultdict(list)  # kind of request -> seconds of each
        self.sent: dict[str, tuple[int, float]] = {}  # ticket -> question, preference
        self.acknowledged: dict[str, int] = {}  # ticket -> number of the answer
        self.refused = 0  # answered by somebody else meanwhile
        self.fault: BaseException | None = None
        self._link: http.client.HTTPConnection | None = None
        self._token = ""

    def run(self) -> None:
        try:
            self._label()
        except BaseException as fault:
            self.fault = fault

    def _label(self) -> None:
        rng = random.Random(self.name)
        session = self._post("session", "/api/session", {"labeller": self.name})[1]["session"]
        while len(self.acknowledged) < self.share and not self.over.is_set():
            questions = self._post("next", "/api/next", {"session": session, "want": 1})[1]["questions"]
            for question in questions:
                for clip in question["clips"] if self.clips else []:
                    self._request("clip", "GET", clip["url"])
                time.sleep(rng.expovariate(1 / self.pause) if self.pause else 0)
                ticket, query, choice = question["ticket"], question["query"], rng.choice(["left", "right"])
                self.sent[ticket] = query, float(choice == "left")
                answer = {"session": session, "ticket": ticket, "query": query, "choice": choice}
                status, reply = self._post("answer", "/api/answers", answer)
                self.acknowledged[ticket] = reply["seq"]
                self.refused += status == 409
            if not questions:
                time.sleep(0.1)

    def _post(self, what: str, path: str, body: dict[str, object]) -> tuple[int, dict[str, Any]]:
        status, content = self._request(what, "POST", path, json.dumps(body))
        return status, json.loads(content)

    def _request(self, what: str, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Status and content. A server that was killed comes back, perhaps at another port."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                link, began = self._link or self._connect(), time.perf_counter()
                headers = {
                    "Authorization": f"Bearer {self._token}",
                    "Content-Type": "application/json",
                    "X-Prefrl": "1",
                }
                link.request(method, path, body, headers)
                reply = link.getresponse()
                content = reply.read()
            except (OSError, http.client.HTTPException):
                self._link = None
            else:
                if reply.status in (200, 201, 409):
                    self.took[what].append(time.perf_counter() - began)
                    return reply.status, content
                if reply.status != 429:
                    raise RuntimeError(f"{path}: {reply.status} {content.decode()}")
            time.sleep(0.05)
        raise TimeoutError(f"{path}: no server took it within {PATIENCE} s")

    def _connect(self) -> http.client.HTTPConnection:
        if (here := read(self.folder)) is None:
            raise ConnectionError("there is no server yet")
        self._token = here.token
        self._link = http.client.HTTPConnection(here.host, here.port, timeout=30)
        return self._link


@contextmanager
def label_server(folder: Path) -> Iterator[Address]:
    """`prefrl label` in a process of its own, once it listens."""
    command = [sys.executable, "-m", "prefrl.cli", "label", str(folder), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            while (here := read(folder)) is None or here.pid != server.pid:
                if server.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended with status {server.returncode}")
                time.sleep(0.05)
            yield here
        finally:
            server.terminate()


def load(folder: Path, labellers: int, answers: int, pause: float, clips: bool = True) -> tuple[list[Labeller], float]:
    """Let people label the run through a server of its own. Returns them, and the server's CPU seconds meanwhile."""
    share = answers // labellers
    people = [Labeller(folder, f"person {number}", pause, share, clips=clips) for number in range(labellers)]
    with label_server(folder) as here:
        before = cpu_seconds(here.pid)
        for person in people:
            person.start()
        for person in people:
            person.join()
        spent = cpu_seconds(here.pid) - before
    return people, spent


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def check(folder: Path, people: list[Labeller]) -> dict[str, object]:
    """The answers that were acknowledged beside those that are stored: all there, unchanged, and each once?"""
    sent = {ticket: answer for person in people for ticket, answer in person.sent.items()}
    acknowledged = {ticket: seq for person in people for ticket, seq in person.acknowledged.items()}
    with closing(sqlite3.connect(folder / "labels.db")) as database:
        state = database.execute("PRAGMA integrity_check").fetchone()[0]
    with LabelStore.open(folder) as store:
        history = list(store.history())
    rows = {row["key"]: row for row in history}
    standing = Counter(row["query_id"] for row in history if row["kind"] == "answer")
    return {
        "acknowledged": len(acknowledged), "stored": len(history),
        "lost": sum(ticket not in rows or rows[ticket]["seq"] != seq for ticket, seq in acknowledged.items()),
        "changed": sum((row["query_id"], row["preference"]) != sent[ticket] for ticket, row in rows.items()),
        "questions answered twice": sum(count > 1 for count in standing.values()),
        "refused with 409": sum(person.refused for person in people),
        "database": state,
        "people who gave up": [f"{one.name}: {one.fault}" for one in people if one.fault or one.is_alive()],
    }  # fmt: skip


def percentiles(people: list[Labeller]) -> dict[str, list[float]]:
    """Milliseconds: 50th, 95th, 99th percentile and the longest, of each kind of request."""
    took = {what: [t for person in people for t in person.took[what]] for what in ("answer", "next", "clip")}
    return {
        what: [round(1000 * float(q), 1) for q in np.percentile(found, (50, 95, 99, 100))]
        for what, found in took.items()
        if found
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labellers", type=int, default=20)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds that a labeller looks at a pair, on average")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        make_run(folder, given.answers + 10 * given.labellers)
        began = time.monotonic()
        people, spent = load(folder, given.labellers, given.answers, given.pause)
        seconds = time.monotonic() - began
        print(
            f"{given.labellers} labellers, {given.answers} answers, pause {given.pause} s, load {os.getloadavg()[0]:.1f}"
        )
        print(f"{given.answers / seconds:.1f} answers/s, server CPU per answer {1000 * spent / given.answers:.1f} ms")
        print(f"{'':8}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}   ms")
        for what, found in percentiles(people).items():
            print(f"{what:8}" + "".join(f"{value:8.1f}" for value in found))
        for what, count in check(folder, people).items():
            print(f"{what:26}{count!s:>8}")


if __name__ == "__main__":
    main()
