"""With a run that trains, and with clips that have yet to be drawn: nothing is told but what the pixels show."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import serving
from filelock import FileLock
from models import pictures
from played import make_run as make_played_run

from prefrl.core.errors import UserError
from prefrl.labelling.ai import clip_frames
from prefrl.labelling.ai.clip_picture import GAP
from prefrl.store.store import LabelStore
from prefrl.teachers.oracle import Oracle

ALONE = {
    "teacher": "human",
    "teacher.page": False,
    "teacher.lag": 3,
    "teacher.wait": 6,
    "teacher.stale": 0.0,
    "questions.budget": 16,
}


def height(picture: np.ndarray) -> float:
    """Mean height of Pendulum's rod over the four frames of a strip, read from its pixels: 1 upright, -1 hanging."""
    side = (picture.shape[0] - GAP) // 2
    tops = (0, side + GAP)
    frames = np.stack([picture[top : top + side, left : left + side] for top in tops for left in tops]).astype(int)
    red = (frames[..., 0] > 150) & (frames[..., 1] < 120) & (frames[..., 2] < 120)  # (4, H, W)
    rows = np.arange(side)[None, :, None]
    return float(1 - ((red * rows).sum((1, 2)) / red.sum((1, 2))).mean() / (side / 2))


def higher(left: np.ndarray, right: np.ndarray) -> str:
    return "left" if height(left) > height(right) else "right"


@pytest.mark.filterwarnings("ignore:.*episodes of 200 steps")
def test_a_model_that_sees_only_frames_answers_for_people_while_a_run_trains(short, label, model, tmp_path):
    """Nothing else is changed about the run: it asks people, and waits for them."""
    folder, found, over = tmp_path / "run", [], threading.Event()
    model.decide = higher

    def beside() -> None:
        while not (folder / "labels.db").exists() and not over.wait(0.05):
            pass
        found.append(label(folder, frames=4, widest=512, stop=over))

    labeller = threading.Thread(target=beside)
    labeller.start()
    try:
        run = short(**ALONE).run
        labeller.join(300)
    finally:
        over.set()
        labeller.join(300)
    (summary,) = found
    assert summary.ended == "nothing is left to answer" and summary.answers == 16
    with LabelStore.open(folder) as store:
        [stood] = store.feedback()
        assert len(stood) == 16 and {row["labeller"] for row in store.history()} == {"ai:eye-1"}
        oracle = Oracle(np.random.default_rng(0))(store.queries(stood.query.tolist()))
        truth = np.array([answer["preference"] for answer in oracle])
    upright = stood.segments.observations[..., 0].mean(-1)  # cosine of the angle: (16, 2)
    gap = upright[:, 0] - upright[:, 1]
    clear = np.abs(gap) > 0.2
    assert clear.sum() >= 4 and (stood.answer["preference"] == (gap > 0))[clear].all()
    assert summary.oracle == (int((stood.answer["preference"] == truth).sum()), 16)
    assert len(run.reward_model.recent_queries(99)) > 16 - 3  # it does not wait for the last ones
    assert summary.disagree == 0 and model.calls and summary.now.calls == 32


def test_clips_of_a_finished_run_are_drawn_by_a_worker_of_its_own(tmp_path, label, model):
    make_played_run(tmp_path / "run")
    model.decide = lambda left, right: "equal"
    summary = label(frames=9, widest=8192)
    assert summary.answers == 3 and summary.undecided == 3
    left, _ = pictures(model.calls[0])
    assert left.shape == (3 * (400 + GAP) - GAP, 3 * (600 + GAP) - GAP, 3)


def test_questions_that_cannot_be_drawn_are_closed_and_never_sent(tmp_path, label, model):
    make_played_run(tmp_path / "run", origins=False)
    summary = label()
    assert summary.answers == 0 and model.calls == []
    with LabelStore.open(tmp_path / "run") as store:
        assert store.counts().closed == 3


def test_where_a_label_server_draws_its_worker_is_waited_for_and_its_fault_told(tmp_path, label, monkeypatch):
    monkeypatch.setattr(clip_frames, "STUCK", 1.0)
    folder = tmp_path / "run"
    serving.make_run(folder, 2, drawn=False)
    with LabelStore.open(folder) as store:
        store.notices.post("renderer", {"state": "failed", "error": "no GL library"})
    lock = FileLock(folder / "render-worker.lock")  # what a label server holds while its worker draws
    with lock, pytest.raises(UserError, match="2 questions have no clips: no GL library"):
        label()
    assert not (folder / "render-worker.log").exists()


def test_what_somebody_else_looks_at_is_left_to_them(tmp_path, label, model):
    serving.make_run(tmp_path / "run", 3)
    with LabelStore.open(tmp_path / "run") as store:
        store.leases.take("ann's page", [2], 1, 60.0, time.time())
    assert label().answers == 2
    with LabelStore.open(tmp_path / "run") as store:
        assert store.open_queries() == [2]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, label):
    with pytest.raises(UserError, match="is not a run folder"):
        label(tmp_path / "nothing")
