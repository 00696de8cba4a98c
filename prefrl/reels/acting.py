"""The policy acts and is filmed: an evaluation video, and one clip per checkpoint of how it came to be."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
from moviepy import VideoClip
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.core.observations import mapped, parts, whole
from prefrl.evaluation.returns import SEED
from prefrl.reels import panels
from prefrl.reels.writing import Form, form, target, write_reel
from prefrl.rendering.footage import Footage
from prefrl.rendering.video import record_episode
from prefrl.runs import build, checkpoint
from prefrl.runs.api import load_run
from prefrl.runs.run import Run


@dataclass(frozen=True)
class Episode:
    """What a policy did, from the start of an episode on."""

    film: Footage  # T + 1 frames
    true: np.ndarray  # (T,) rewards
    learned: np.ndarray | None  # (T,) what the reward model gives for them

    def told(self) -> str:
        return f"true return {self.true.sum():.4g} in {len(self.true)} steps"


class Noting(gym.Wrapper):
    """Keeps what happens in an episode."""

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        seen, about = self.env.reset(**how)
        self.seen, self.done, self.earned = [seen], [], []  # type: ignore[var-annotated]
        return seen, about

    def step(self, action: Any) -> Any:
        happened = self.env.step(action)
        self.seen.append(happened[0])
        self.done.append(action)
        self.earned.append(float(happened[1]))
        return happened


def episode(
    folder: Path | str, out: Path | str | None = None, *, episodes: int = 1, steps: int = 1000,
    fps: float | None = None, width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write what the newest checkpoint's policy does in evaluation episodes, with the rewards of each step."""
    path, run = target(folder, out, "episode"), load_run(folder, **own)
    try:
        with _bar(episodes, steps) as bar:
            played = [play(run, SEED + number, steps, bar.update) for number in range(episodes)]
        words = [f"episode {number}, " for number in range(1, episodes + 1)] if episodes > 1 else [""]
        headings = [f"step {run.restored:,}: {word}{one.told()}" for word, one in zip(words, played, strict=True)]
    finally:
        run.close()
    return _write(path, played, headings, fps, width)


def progress(
    folder: Path | str, out: Path | str | None = None, *, steps: int = 200, fps: float | None = None,
    width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write the same episode as each kept checkpoint's policy acts it, after the policy that the run began with."""
    path, run = target(folder, out, "progress"), load_run(folder, **own)
    played, headings = [], []
    try:
        with _bar(1 + len(checkpoint.found(run.folder / "checkpoints")), steps) as bar:
            for stage, model in _stages(run):
                played.append(play(model, SEED, steps, bar.update))
                headings.append(f"{stage}: {played[-1].told()}")
    finally:
        run.close()
    return _write(path, played, headings, fps, width)


def _stages(run: Run) -> Iterator[tuple[str, Run]]:
    """The run as it began, and at every kept checkpoint; a name for each."""
    if not isinstance(run.own.agent, OnPolicyAlgorithm):  # a model of the user's may have been trained before
        untrained = Run(run.folder, run.config, run.own, quiet=True)
        try:
            yield "step 0, untrained", untrained
        finally:
            untrained.close()
    for path in checkpoint.found(run.folder / "checkpoints")[::-1]:
        try:
            step = run.restore(path)
        except UserError as fault:  # a run that goes on training has dropped it meanwhile, or it is damaged
            warnings.warn(f"{fault}; it is left out", stacklevel=3)
        else:
            yield f"step {step:,}", run


def play(run: Run, seed: int, steps: int, tick: Callable[[], Any]) -> Episode:
    """One episode of the run's policy, or its first steps."""
    policy, noted = run.agent, []

    def make_env() -> gym.Env:
        noted.append(Noting(build.maker(run.config, run.own, "rgb_array")()))
        return noted[-1]

    def act(seen: Any) -> Any:
        tick()
        return policy.predict(mapped(lambda part: np.asarray(part)[None], seen), deterministic=True)[0][0]

    frames, _ = record_episode(make_env, act, seed, steps)
    film = Footage.of(frames, float(noted[0].metadata.get("render_fps") or 30))
    return Episode(film, np.array(noted[0].earned), _learned(run, noted[0]))


def _learned(run: Run, noted: Noting) -> np.ndarray | None:
    if not run.reward_model.version:
        return None
    space = run.recorder.observation_space
    dtypes = {key: part.dtype for key, part in parts(getattr(space, "spaces", space)).items()}
    each = {key: np.stack([np.asarray(parts(one)[key], dtype) for one in noted.seen]) for key, dtype in dtypes.items()}
    happened = SimpleNamespace(
        observations=whole({key: part[:-1, None] for key, part in each.items()}),
        next_observations=whole({key: part[1:, None] for key, part in each.items()}), actions=np.stack(noted.done)[:, None],
        true_rewards=np.array(noted.earned)[:, None],
        begins=np.arange(len(noted.earned))[:, None] == 0, earlier=None,
    )  # fmt: skip
    return run.reward_model.rewards(happened)[:, 0]


def _bar(episodes: int, steps: int) -> Any:
    return tqdm(total=episodes * steps, desc="acting", unit="step", leave=False, file=sys.stderr, delay=1)


def _write(path: Path, played: list[Episode], headings: list[str], fps: float | None, width: int | None) -> Path:
    if not played:
        raise UserError("no checkpoint could be read; they come and go while a run trains, so try again")
    wanted = form(path, max((one.film for one in played), key=len), fps, width)
    learned = [one.learned for one in played if one.learned is not None]
    scales = panels.scale_of(*(one.true for one in played)), panels.scale_of(*learned)
    both = scales if learned else scales[:1]
    return write_reel([_scene(one, words, both, wanted) for one, words in zip(played, headings, strict=True)], wanted)


def _scene(one: Episode, heading: str, scales: Sequence[tuple[float, float]], wanted: Form) -> VideoClip:
    clip = panels.picture(one.film, wanted.fps, wanted.width)
    parts = [panels.text(" · ".join(filter(None, [heading, wanted.slowed])), clip.width, 15, rows=2), clip]
    for name, rewards, scale in zip(("true", "learned"), (one.true, one.learned), scales, strict=False):
        about = f"{name} reward of each step" if rewards is not None else f"no reward was {name} yet"
        shown = np.zeros(1) if rewards is None else rewards
        parts.append(panels.text(about, clip.width, 12, colour=panels.SOFT))
        parts.append(panels.strip(shown, scale, clip.width, len(one.film), wanted.fps))
    return panels.scene(panels.column(parts), len(one.film) / wanted.fps)
