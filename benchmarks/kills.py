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
import shlex
import signal
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

from benchmarks.label_load import Labeller, check
from prefrl.runs.address import read

PREFRL = [sys.executable, "-m", "prefrl.cli"]
RUN = shlex.split(
    "train --env Pendulum-v1 --teacher human --quiet --steps 4e6 --questions.budget 80000 --record.checkpoints 1900"
    " --record.no-video --record.no-tensorboard --teacher.mirror 0 --teacher.queue 100 --folder"
)


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


def soak(folder: Path, kills: int, people: list[Labeller], seconds: float = float("inf")) -> Counter[str]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end earlier, after so many")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:  # a render worker may still be at it
        folder, over = Path(place) / "run", threading.Event()
        people = [Labeller(folder, f"person {number}", 0.05, over=over) for number in range(given.people)]
        for what, found in {**soak(folder, given.kills, people, 60 * given.minutes), **check(folder, people)}.items():
            print(f"{what:26}{found!s:>10}")


if __name__ == "__main__":
    main()
