"""Many people label at once: latency of answers, and whether each is stored exactly once.

    python -m benchmarks.label_load [--labellers 20] [--answers 10000] [--pause 0.2]

A real server (`prefrl label`) on a made-up run; each labeller asks for a pair, loads both clips, waits a while as if
looking, and answers. Afterwards the store is compared with what was acknowledged.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
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
    """One person, on one connection."""

    def __init__(self, here: Address, name: str, share: int, pause: float, looks: bool = True):
        super().__init__(name=name)
        self.here, self.share, self.pause, self.looks = here, share, pause, looks
        self.took: dict[str, list[float]] = {"answer": [], "next": [], "clip": []}
        self.acknowledged: list[tuple[int, int]] = []  # seq, query
        self.refused = 0  # answered by somebody else meanwhile
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            self._label(http.client.HTTPConnection(self.here.host, self.here.port, timeout=30))
        except BaseException as fault:
            self.fault = fault

    def _label(self, link: http.client.HTTPConnection) -> None:
        rng = random.Random(self.name)
        session = self._post(link, "/api/session", {"labeller": self.name})[1]["session"]
        while len(self.acknowledged) < self.share:
            _, found = self._timed("next", link, "/api/next", {"session": session, "want": 1})
            for question in found["questions"]:
                for clip in question["clips"] if self.looks else []:
                    self._clip(link, clip["url"])
                time.sleep(rng.expovariate(1 / self.pause) if self.pause else 0)
                given = {
                    "ticket": question["ticket"],
                    "query": question["query"],
                    "choice": rng.choice(["left", "right"]),
                }
                status, reply = self._timed("answer", link, "/api/answers", {"session": session, **given})
                self.acknowledged.append((reply["seq"], question["query"]))
                self.refused += status == 409
            if not found["questions"]:
                time.sleep(0.2)

    def _timed(self, what: str, link: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any]:
        began = time.perf_counter()
        found = self._post(link, path, body)
        self.took[what].append(time.perf_counter() - began)
        return found

    def _post(self, link: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.here.token}", "Content-Type": "application/json", "X-Prefrl": "1"}
        link.request("POST", path, json.dumps(body), headers)
        reply = link.getresponse()
        found = json.loads(reply.read())
        if reply.status not in (200, 201, 409):
            raise RuntimeError(f"{path}: {reply.status} {found}")
        return reply.status, found

    def _clip(self, link: http.client.HTTPConnection, url: str) -> None:
        began = time.perf_counter()
        link.request("GET", url, headers={"Authorization": f"Bearer {self.here.token}"})
        link.getresponse().read()
        self.took["clip"].append(time.perf_counter() - began)


def load(folder: Path, labellers: int, answers: int, pause: float, looks: bool = True) -> tuple[list[Labeller], float]:
    """Let people label the run through a server of its own, until all have done their share.

    Returns them, and the server's CPU seconds meanwhile (NaN where nobody can tell).
    """
    command = [sys.executable, "-m", "prefrl.cli", "label", str(folder), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while (here := read(folder)) is None:
            time.sleep(0.05)
        people = [Labeller(here, f"person {number}", answers // labellers, pause, looks) for number in range(labellers)]
        before = cpu_seconds(server.pid)
        for person in people:
            person.start()
        for person in people:
            person.join()
        spent = cpu_seconds(server.pid) - before
    finally:
        server.terminate()
        server.wait()
    for person in people:
        if person.fault:
            raise person.fault
    return people, spent


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    try:
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return float("nan")
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def check(folder: Path, people: list[Labeller]) -> dict[str, int]:
    """How many acknowledged answers are lost, stored twice or given to a question that had one."""
    acknowledged = [pair for person in people for pair in person.acknowledged]
    with LabelStore.open(folder) as store:
        rows = {row["seq"]: row for row in store.history()}
    lost = sum(seq not in rows or rows[seq]["query_id"] != query for seq, query in acknowledged)
    standing = Counter(row["query_id"] for row in rows.values() if row["kind"] == "answer")
    return {
        "acknowledged": len(acknowledged), "stored": len(rows), "lost": lost,
        "double": len(acknowledged) - len(set(acknowledged)) + len(rows) - len(acknowledged),
        "questions answered twice": sum(count > 1 for count in standing.values()),
        "refused with 409": sum(person.refused for person in people),
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
            print(f"{what:26}{count:8}")


if __name__ == "__main__":
    main()
