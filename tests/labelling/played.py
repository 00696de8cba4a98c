"""Random play that was recorded, questions about it, and what it looked like while it happened."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import yaml

from prefrl.config.settings import Config
from prefrl.config.values import as_dict, update
from prefrl.core.data import Origins, Queries, Segments
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.store.store import LabelStore


def played(env, steps: int = 60, episodes: int = 3, notes: str = "rng", n_envs: int = 1, seed: int = 3) -> Recorder:
    """Act at random for so many steps in each of some episodes, cut short where they have not ended by then."""
    recorder = Recorder(make_venv(env_maker(env), n_envs), capacity=steps * episodes + 1)
    recorder.note_openings(notes)
    recorder.action_space.seed(seed)
    recorder.seed(seed)
    for _ in range(episodes):
        recorder.reset()
        for _ in range(steps):
            recorder.step(np.array([recorder.action_space.sample() for _ in range(n_envs)]))
    return recorder


def pairs(recorder: Recorder, count: int, length: int = 8) -> tuple[Segments, Origins]:
    """Pairs of segments (count, 2) from anywhere but the first episode, where there is another."""
    rng = np.random.default_rng(0)
    segments = recorder.cut_segments(length, rng, recorder.steps // 3)
    segments = segments[rng.permutation(len(segments))[: 2 * count].reshape(count, 2)]
    return segments, recorder.origins(segments)


def make_run(folder: Path, env: str = "CartPole-v1", asked: int = 3, origins: bool = True, **settings) -> list[int]:
    """A run's folder with questions about real segments. Returns their ids."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(update(Config(), {"env": env, **settings}))))
    segments, found = pairs(played(env), asked)
    with LabelStore.open(folder) as store:
        scores = np.linspace(0, 1, asked)  # the last is the one to be drawn first
        return store.ask(Queries(segments, scores, "uniform", 100, 1), origins=found if origins else None)


def live(env: gym.Env, recorder: Recorder, steps: int, episodes: int = 3, seed: int = 3) -> list[np.ndarray]:
    """The frames of the same play, drawn as it happens: before each step of environment 0, and after the last one."""
    recorder.action_space.seed(seed)
    env.reset(seed=seed)
    frames = []
    for episode in range(episodes):
        if episode:
            env.reset()
        for _ in range(steps):
            frames.append(env.render())
            _, _, terminated, truncated, _ = env.step(recorder.action_space.sample())
            if terminated or truncated:
                env.reset()
    return [*frames, env.render()]
