"""AnswerMemory of recorder and label store per 1,000 segments, and how the time of a fit grows with the number of labels.

python -m benchmarks.memory           about two minutes
"""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.table import Row, show
from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Queries, Segments
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.rewards.encoding import Features, Pictures
from prefrl.rewards.memory import AnswerMemory
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import mlp, nature
from prefrl.store.store import LabelStore

COMMAND = "python -m benchmarks.memory"
QUESTIONS = 5500  # of Christiano et al. 2017 on Atari


def played(env: str, segments: int, length: int) -> tuple[Recorder, Segments]:
    """Segments of a random policy, through the recorder."""
    rng = np.random.default_rng(0)
    venv = make_venv(env_maker(env), 8)
    recorder = Recorder(venv, capacity=segments * length // 8 + 2 * length)
    recorder.reset()
    for _ in range(recorder.memory.capacity):
        recorder.step(np.array([venv.action_space.sample() for _ in range(8)]))
    return recorder, recorder.cut_segments(length, rng)[:segments]


def stored_bytes(segments: Segments) -> int:
    """Bytes on disk of these segments as questions in a label store."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = segments[np.arange(len(segments) // 2 * 2).reshape(-1, 2)]
        with LabelStore.open(folder) as store:
            ids = store.ask(Queries(pairs, np.full(len(pairs), np.nan)))
            store.answer(ids, np.ones(len(ids)), labeller="oracle")
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def memory(env: str) -> list[Row]:
    recorder, segments = played(env, 1000, 25)
    ring = recorder.memory
    arrays = (ring.observations, ring.actions, ring.true_rewards, ring.dones)
    held = sum(array.nbytes for array in arrays) * 1000 * 25 / (ring.capacity * 8)
    return [
        Row(f"recorder, 1,000 segments of 25 steps, {env}", f"{held / 1e6:.2f} MB", "allocated once", COMMAND),
        Row(f"label store, as 500 questions, {env}", f"{stored_bytes(segments) / 1e6:.2f} MB", "on disk", COMMAND),
    ]


def pictures(env: str = "ALE/Pong-v5", segments: int = 200, length: int = 25) -> list[Row]:
    """Frames of a game: in the recorder, on disk and in the reward model's memory, for the 5,500 questions of the paper."""
    recorder, some = played(env, segments, length)
    pairs = some[np.arange(segments // 2 * 2).reshape(-1, 2)]
    memory = AnswerMemory(Pictures(recorder.observation_space, recorder.action_space), len(pairs))
    memory.add(pairs)
    packed = sum(len(side) for frames in memory.frames.values() for shown in frames.packed for side in shown)
    share, stacked = QUESTIONS / len(pairs), 4 * (length + 1) / (length + 4)
    found = {
        "frames of 5,500 questions, unpacked": (pairs.observations.nbytes, f"as stacks {stacked:.1f} times as much"),
        "the same in the label store": (stored_bytes(some), "on disk"),
        "the same in the reward model": (packed, "in memory"),
    }
    return [
        Row(f"{what}, {env}", f"{size * share / 1e6:.0f} MB", f"{about}; {len(pairs)} pairs measured", COMMAND)
        for what, (size, about) in found.items()
    ]


def fit_to_pictures(env: str = "ALE/Pong-v5") -> tuple[float, float]:
    """Fit three networks to 5,500 answers once over: this process's memory in MB before, and at its peak."""
    recorder, some = played(env, 200, 25)
    pairs = some[np.arange(200).reshape(-1, 2)]
    settings = RewardConfig(network="nature", hidden=(64,), batch_size=16, first_epochs=10, window=QUESTIONS)
    encoder = Pictures(recorder.observation_space, recorder.action_space)
    model = RewardModel(settings, encoder, partial(nature, hidden=settings.hidden), 0)
    before = _peak_megabytes()
    for first in range(0, QUESTIONS, len(pairs)):
        number = np.arange(first, first + len(pairs)) + 1
        later = replace(pairs, start_step=pairs.start_step + 1000 * first)  # as if each were another one
        model.hear(Feedback("pair", later, {"preference": np.tile([0.0, 1.0], len(pairs) // 2)}, number, number))
    model.fit(0)
    return before, _peak_megabytes()


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def fit_memory() -> list[Row]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:  # a peak of its own
        before, peak = alone.submit(fit_to_pictures).result()
    about = f"of them {before:.0f} before the first answer; 10 passes, three members"
    return [Row("a process that fits 5,500 answers about Pong", f"{peak:.0f} MB", about, COMMAND)]


def fit_seconds(labels: int) -> tuple[float, int]:
    """CPU seconds of a first fit to this many answers about Pendulum, and its pair-member updates."""
    recorder, segments = played("Pendulum-v1", min(2 * labels, 4000), 25)
    pairs = np.random.default_rng(1).integers(len(segments), size=(labels, 2))
    chosen = segments[pairs]
    gap = chosen.true_returns[:, 0] - chosen.true_returns[:, 1]
    torch.manual_seed(0)
    settings = RewardConfig(window=labels)
    features = Features(recorder.observation_space, recorder.action_space, settings.inputs)
    model = RewardModel(settings, features, partial(mlp, hidden=settings.hidden), 0)
    seq = np.arange(1, labels + 1)
    answers = Feedback("pair", chosen, {"preference": (gap > 0).astype(float)}, seq, seq)
    started = time.process_time()
    model.hear(answers)
    report = model.fit(0)
    return time.process_time() - started, report.updates


def growth() -> list[Row]:
    rows = []
    for labels in (100, 1000, 10_000):
        seconds, updates = fit_seconds(labels)
        remark = f"{1e3 * seconds / labels:.2f} ms a label, {updates:,} updates"
        rows.append(Row(f"first fit, {labels:,} labels", f"{seconds:.2f} s", remark, COMMAND))
    return rows


def imports() -> list[Row]:
    rows = []
    for what, code in (
        ("import prefrl", "import prefrl"),
        ("import prefrl.runs.api, all parts", "import prefrl.runs.api"),
        ("prefrl --help", "import prefrl.cli; prefrl.cli.main(['--help'])"),
    ):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        rows.append(Row(what, f"{time.perf_counter() - started:.2f} s", "wall clock, a fresh process", COMMAND))
    return rows


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [*memory("Pendulum-v1"), *memory("HalfCheetah-v5"), *pictures(), *fit_memory(), *growth(), *imports()]


if __name__ == "__main__":
    show(rows())
