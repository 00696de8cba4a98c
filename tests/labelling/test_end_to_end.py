"""Without a person: a labeller that sees only what the page is given, clips and no rewards, teaches Pendulum."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from prefrl.rendering.sheets import frames_of
from prefrl.store.store import LabelStore

ROOT = Path(__file__).parent.parent.parent
HEADERS = {"X-Prefrl": "1"}


def train(folder: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "prefrl.cli", "train", "--env", "Pendulum-v1", "--teacher", "human"]
    return subprocess.Popen(
        [*command, "--folder", str(folder), "--quiet", "--record.no-video", *options],
        cwd=ROOT, env=os.environ | {"BROWSER": "true"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def connect(folder: Path, deadline: float) -> httpx.Client:
    """A client of the label server of this run, once it is there."""
    while time.monotonic() < deadline:
        try:
            about = json.loads((folder / "label-server.json").read_text())
            base = f"http://{about['host']}:{about['port']}"
            client = httpx.Client(base_url=base, headers=HEADERS, timeout=60)
            client.get("/", params={"token": about["token"]})
            client.get("/api/status").raise_for_status()
            return client
        except (OSError, ValueError, httpx.HTTPError):
            time.sleep(0.1)
    raise AssertionError(f"no label server in {folder}")


def height(client: httpx.Client, clip: dict) -> float:
    """Mean height of the rod in a clip, read from some of its pixels: 1 upright, -1 hanging."""
    frames = frames_of(client.get(clip["url"]).content, clip["frames"], clip["columns"])[::3, ::4, ::4].astype(int)
    red = (frames[..., 0] > 150) & (frames[..., 1] < 120) & (frames[..., 2] < 120)  # (T + 1, H, W)
    rows = np.arange(frames.shape[1])[None, :, None]
    centre = (red * rows).sum((1, 2)) / red.sum((1, 2))
    return float(1 - centre.mean() / (frames.shape[1] / 2))


class Labeller:
    """Answers over HTTP whatever it is shown: the rod higher up is better."""

    def __init__(self, folder: Path, deadline: float):
        self.folder = folder
        self.acknowledged: dict[int, int] = {}
        self._open(deadline)

    def _open(self, deadline: float) -> None:
        self.client = connect(self.folder, deadline)
        self.session = self.client.post("/api/session", json={"labeller": "scripted"}).json()["session"]

    def answer_what_is_there(self) -> int:
        """Returns how many answers were acknowledged. A server that died is looked for again."""
        try:
            given = self.client.post("/api/next", json={"session": self.session, "want": 6}).json()
            for question in given.get("questions", []):
                left, right = (height(self.client, clip) for clip in question["clips"])
                self._answer(question, "left" if left > right else "right")
            return len(given.get("questions", []))
        except httpx.HTTPError:
            with suppress(AssertionError):  # training may have ended, and the page with it
                self._open(time.monotonic() + 5)
            return 0

    def _answer(self, question: dict, choice: str) -> None:
        told = {"session": self.session, "ticket": question["ticket"], "query": question["query"], "choice": choice}
        reply = self.client.post("/api/answers", json=told)
        if reply.status_code in (200, 201):
            self.acknowledged[reply.json()["seq"]] = question["query"]


def label_until(labeller: Labeller, answers: int, deadline: float) -> None:
    while len(labeller.acknowledged) < answers:
        assert time.monotonic() < deadline, f"{len(labeller.acknowledged)} answers were acknowledged"
        if not labeller.answer_what_is_there():
            time.sleep(0.1)  # the server refuses who asks more than 50 times a second


def label_until_it_ends(trainer: subprocess.Popen, labeller: Labeller, deadline: float) -> str:
    while trainer.poll() is None and time.monotonic() < deadline:
        if not labeller.answer_what_is_there():
            time.sleep(0.1)
    assert trainer.poll() is not None, "training did not end in time"
    return trainer.stdout.read()


@pytest.mark.slow  # 51,200 steps of training, which waits for labels from clips that have to be drawn first
def test_a_labeller_that_sees_only_clips_teaches_pendulum_while_it_trains(tmp_path):
    """A random policy earns about -1250. The labels are of a height that ignores speed and force, as a person's."""
    deadline = time.monotonic() + 800
    settings = ["--steps", "51200", "--questions.budget", "80", "--wait-for-labels", "12", "--teacher.lag", "8"]
    trainer = train(tmp_path / "run", *settings)
    try:
        labeller = Labeller(tmp_path / "run", deadline)
        said = label_until_it_ends(trainer, labeller, deadline)
    finally:
        trainer.kill()
    assert trainer.returncode == 0, said
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["true_return"] > result["random_return"] + 400, result
    with LabelStore.open(tmp_path / "run") as store:
        [learned] = store.feedback()
        assert set(learned.seq.tolist()) >= set(labeller.acknowledged) - {
            r["seq"] for r in store.history() if r["kind"] != "answer"
        }
        assert store.counts().answered > 60


def until_gone(file: Path, deadline: float) -> None:
    while file.exists():
        assert time.monotonic() < deadline, f"{file} is still there"
        time.sleep(0.1)


@pytest.mark.slow  # a trainer, a server and a render worker load several times each, and clips are drawn meanwhile
def test_trainer_and_server_killed_at_any_moment_both_go_on_and_no_answer_is_lost(tmp_path):
    """The server comes back by itself, under the same address; training goes on with `prefrl resume`, and ends it."""
    folder, deadline = tmp_path / "run", time.monotonic() + 800
    settings = ["--steps", "10240", "--questions.budget", "30", "--wait-for-labels", "6", "--teacher.lag", "4"]
    trainer = train(folder, *settings)
    try:
        labeller = Labeller(folder, deadline)
        before = labeller.client.base_url
        label_until(labeller, 4, deadline)
        os.kill(json.loads((folder / "label-server.json").read_text())["pid"], signal.SIGKILL)
        label_until(labeller, 8, deadline)
        assert labeller.client.base_url == before
        trainer.kill()
        trainer.wait()
        labeller.answer_what_is_there()  # the server takes labels all the same
        resumed = subprocess.Popen(
            [sys.executable, "-m", "prefrl.cli", "resume", str(folder), "--quiet"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        trainer = resumed
        said = label_until_it_ends(resumed, labeller, deadline)
        assert resumed.returncode == 0, said
        until_gone(folder / "label-server.json", deadline)
    finally:
        trainer.kill()
        with_server = (
            json.loads((folder / "label-server.json").read_text()) if (folder / "label-server.json").exists() else {}
        )
        if with_server:
            os.kill(with_server["pid"], signal.SIGTERM)
    with LabelStore.open(folder) as store:
        rows = {row["seq"]: row for row in store.history()}
        assert set(labeller.acknowledged) <= set(rows)
        answered = [row["query_id"] for row in rows.values() if row["kind"] == "answer"]
        assert len(answered) == len(set(answered))
