"""Label server, trainer or both killed (kill -9) at random moments while people label: is every label there, once?

    python -m benchmarks.kills [--kills 200]      half an hour

A real run (`prefrl train --teacher human`), real clips, people who answer over HTTP and send an answer again until it is
acknowledged. The server comes back by itself; the trainer with `prefrl resume`. Afterwards the store is compared with
what was acknowledged.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from prefrl.runs.address import read
from prefrl.store.store import LabelStore

PREFRL = [sys.executable, "-m", "prefrl.cli"]
RUN = [
    "train",
    "--env",
    "Pendulum-v1",
    "--teacher",
    "human",
    "--quiet",
    "--steps",
    "4e6",
    "--questions.budget",
    "80000",
    "--record.checkpoints",
    "1900",
    "--record.no-video",
    "--record.no-tensorboard",
    "--teacher.mirror",
    "0",
    "--teacher.queue",
    "100",
    "--folder",
]


class Person(threading.Thread):
    """Asks, answers at random, and sends each answer until somebody acknowledges it."""

    def __init__(self, folder: Path, name: str, over: threading.Event, pause: float = 0.05):
        """pause: seconds to think about each question"""
        super().__init__(name=name, daemon=True)
        self.folder, self.over, self.pause, self.rng = folder, over, pause, random.Random(name)
        self.sent: dict[str, tuple[int, float]] = {}  # ticket: question, preference
        self.acknowledged: dict[str, int] = {}  # ticket: number of the answer
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            session = self._say("/api/session", {"labeller": self.name})["session"]
            while not self.over.is_set():
                self._answer(session)
        except BaseException as fault:
            self.fault = fault

    def _answer(self, session: str) -> None:
        shown = self._say("/api/next", {"session": session, "want": 2})["questions"]
        for question in shown:
            ticket, query, choice = question["ticket"], question["query"], self.rng.choice(["left", "right"])
            self.sent[ticket] = query, float(choice == "left")
            answer = {"session": session, "ticket": ticket, "query": query, "choice": choice}
            self.acknowledged[ticket] = self._say("/api/answers", answer)["seq"]
            time.sleep(self.pause)
        if not shown:
            time.sleep(0.1)

    def _say(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Until there is a server that takes it."""
        while True:
            try:
                here = read(self.folder)
                if here is not None:
                    headers = {"Authorization": f"Bearer {here.token}", "X-Prefrl": "1"}
                    reply = httpx.post(
                        f"http://127.0.0.1:{here.port}{path}", json=body, headers=headers, timeout=10, verify=False
                    )
                    if reply.status_code not in (200, 201, 409, 429):
                        raise RuntimeError(f"{path}: {reply.status_code} {reply.text}")
                    if reply.status_code != 429:
                        return reply.json()  # type: ignore[no-any-return]
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.05)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def served(folder: Path, not_by: int, seconds: float = 180) -> int:
    """The process of the server, once there is another than that one and it answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        here = read(folder)
        if here is not None and here.pid != not_by:
            try:
                httpx.get(f"http://127.0.0.1:{here.port}/", timeout=5)
                return here.pid
            except httpx.HTTPError:
                pass
        time.sleep(0.05)
    log_end = "\n".join((folder.parent / "log.txt").read_text().splitlines()[-30:])
    raise RuntimeError(
        f"no label server came back within {seconds:.0f} s, load {os.getloadavg()[0]:.1f}; the end of the log:\n{log_end}"
    )


def trained(folder: Path) -> int:
    """Steps at the newest checkpoint."""
    return max((int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdigit()), default=0)


def soak(folder: Path, kills: int, people: list[Person], seconds: float = float("inf")) -> Counter[str]:
    """Kill at random moments, and wait until what was killed is at work again. Returns how often what was killed."""
    rng, counts, began = random.Random(0), Counter[str](), time.monotonic()
    log = (folder.parent / "log.txt").open("a")
    quietly: dict[str, Any] = {"stdout": log, "stderr": log, "env": os.environ | {"BROWSER": "true"}}
    trainer = subprocess.Popen([*PREFRL, *RUN, str(folder)], **quietly)
    try:
        server = served(folder, 0)
        for person in people:
            person.start()
        for _ in tqdm(range(kills), unit="kill", dynamic_ncols=True):
            if time.monotonic() - began > seconds:
                break
            time.sleep(rng.uniform(0.2, 4))
            victim = rng.choice(["server", "trainer", "both"])
            counts[victim] += 1
            if victim != "server":
                kill(trainer.pid)
                trainer.wait()
            if victim != "trainer":
                kill(server)
            if victim != "server":
                trainer = subprocess.Popen([*PREFRL, "resume", str(folder), "--quiet"], **quietly)
            if victim != "trainer":
                server = served(folder, server)
            if trainer.poll() is not None:
                raise RuntimeError(f"training ended with {trainer.returncode}; see {log.name}")
        before, end = trained(folder), time.monotonic() + 300
        while trained(folder) <= before and time.monotonic() < end:
            time.sleep(0.5)  # the last one goes on training, too
        counts["steps trained"] = trained(folder)
        people[0].over.set()
        for person in people:
            person.join(60)
    finally:
        kill(trainer.pid)
        trainer.wait()
        if (last := read(folder)) is not None:
            kill(last.pid)
    return counts


def check(folder: Path, people: list[Person]) -> dict[str, Any]:
    """What was acknowledged beside what is stored."""
    sent = {ticket: answer for person in people for ticket, answer in person.sent.items()}
    acknowledged = {ticket: seq for person in people for ticket, seq in person.acknowledged.items()}
    database = sqlite3.connect(folder / "labels.db")
    state = database.execute("PRAGMA integrity_check").fetchone()[0]
    database.close()
    with LabelStore.open(folder) as store:
        rows = {row["key"]: row for row in store.history()}
    standing = Counter(row["query_id"] for row in rows.values() if row["kind"] == "answer")
    return {
        "acknowledged": len(acknowledged),
        "lost": sum(ticket not in rows or rows[ticket]["seq"] != seq for ticket, seq in acknowledged.items()),
        "changed": sum((row["query_id"], row["preference"]) != sent[ticket] for ticket, row in rows.items()),
        "questions answered twice": sum(count > 1 for count in standing.values()),
        "database": state,
        "people who gave up": [f"{one.name}: {one.fault}" for one in people if one.fault or one.is_alive()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end earlier, after so many")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:  # a render worker may still be at it
        folder, over = Path(place) / "run", threading.Event()
        people = [Person(folder, f"person {number}", over) for number in range(given.people)]
        for what, found in {**soak(folder, given.kills, people, 60 * given.minutes), **check(folder, people)}.items():
            print(f"{what:26}{found!s:>10}")


if __name__ == "__main__":
    main()
