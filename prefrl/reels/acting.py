"""Videos of the policy: evaluation episodes of the newest checkpoint, and the same episode at every checkpoint."""

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
    """An evaluation episode, or its first T steps: frames and rewards."""

    film: Footage  # T + 1 frames
    true: np.ndarray  # (T,) rewards
    learned: np.ndarray | None  # (T,) rewards; None: no reward was learned yet

    def summary(self) -> str:
        return f"true return {self.true.sum():.4g} in {len(self.true)} steps"


class EpisodeRecorder(gym.Wrapper):
    """Records the observations, actions and true rewards of an episode."""

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**how)
        self.observations, self.actions, self.rewards = [observation], [], []  # type: ignore[var-annotated]
        return observation, info

    def step(self, action: Any) -> Any:
        transition = self.env.step(action)
        self.observations.append(transition[0])
        self.actions.append(action)
        self.rewards.append(float(transition[1]))
        return transition


def episode(
    folder: Path | str, out: Path | str | None = None, *, episodes: int = 1, steps: int = 1000,
    fps: float | None = None, width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write a video of evaluation episodes of the newest checkpoint's policy, with the rewards of each step."""
    path, run = target(folder, out, "episode"), load_run(folder, **own)
    try:
        with _bar(episodes, steps) as bar:
            played = [play(run, SEED + number, steps, bar.update) for number in range(episodes)]
        names = [f"episode {number}, " for number in range(1, episodes + 1)] if episodes > 1 else [""]
        headings = [f"step {run.restored:,}: {name}{e.summary()}" for name, e in zip(names, played, strict=True)]
    finally:
        run.close()
    return _write(path, played, headings, fps, width)


def progress(
    folder: Path | str, out: Path | str | None = None, *, steps: int = 200, fps: float | None = None,
    width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write a video of one evaluation episode as the untrained policy acts in it, then that of each kept checkpoint."""
    path, run = target(folder, out, "progress"), load_run(folder, **own)
    played, headings = [], []
    try:
        with _bar(1 + len(checkpoint.found(run.folder / "checkpoints")), steps) as bar:
            for stage, model in _stages(run):
                played.append(play(model, SEED, steps, bar.update))
                headings.append(f"{stage}: {played[-1].summary()}")
    finally:
        run.close()
    return _write(path, played, headings, fps, width)


def _stages(run: Run) -> Iterator[tuple[str, Run]]:
    """Yield the run with a name: untrained, then restored to each kept checkpoint, the oldest first."""
    if not isinstance(run.own.agent, OnPolicyAlgorithm):  # a model of the user's may have been trained before
        untrained = build.make_run(run.folder, run.config, run.own, quiet=True)
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
    policy, recorders = run.agent, []

    def make_env() -> gym.Env:
        recorders.append(EpisodeRecorder(build.maker(run.config, run.own, "rgb_array")()))
        return recorders[-1]

    def act(observation: Any) -> Any:
        tick()
        return policy.predict(mapped(lambda part: np.asarray(part)[None], observation), deterministic=True)[0][0]

    frames, _ = record_episode(make_env, act, seed, steps)
    film = Footage.of(frames, float(recorders[0].metadata.get("render_fps") or 30))
    return Episode(film, np.array(recorders[0].rewards), _learned(run, recorders[0]))


def _learned(run: Run, recorder: EpisodeRecorder) -> np.ndarray | None:
    if not run.reward_model.version:
        return None
    space = run.recorder.observation_space
    dtypes = {key: part.dtype for key, part in parts(getattr(space, "spaces", space)).items()}
    observed = {k: np.stack([np.asarray(parts(o)[k], t) for o in recorder.observations]) for k, t in dtypes.items()}
    rollout = SimpleNamespace(
        observations=whole({key: part[:-1, None] for key, part in observed.items()}),
        next_observations=whole({key: part[1:, None] for key, part in observed.items()}),
        actions=np.stack(recorder.actions)[:, None], true_rewards=np.array(recorder.rewards)[:, None],
        begins=np.arange(len(recorder.rewards))[:, None] == 0, earlier=None,
    )  # fmt: skip
    return run.reward_model.rewards(rollout)[:, 0]


def _bar(episodes: int, steps: int) -> Any:
    return tqdm(total=episodes * steps, desc="acting", unit="step", leave=False, file=sys.stderr, delay=1)


def _write(path: Path, played: list[Episode], headings: list[str], fps: float | None, width: int | None) -> Path:
    if not played:
        raise UserError("no checkpoint could be read; they come and go while a run trains, so try again")
    output = form(path, max((episode.film for episode in played), key=len), fps, width)
    learned = [episode.learned for episode in played if episode.learned is not None]
    scales = panels.scale_of(*(episode.true for episode in played)), panels.scale_of(*learned)
    both = scales if learned else scales[:1]
    return write_reel([_scene(e, heading, both, output) for e, heading in zip(played, headings, strict=True)], output)


def _scene(episode: Episode, heading: str, scales: Sequence[tuple[float, float]], output: Form) -> VideoClip:
    clip = panels.picture(episode.film, output.fps, output.width)
    parts = [panels.text(" · ".join(filter(None, [heading, output.slowed])), clip.width, 15, rows=2), clip]
    for name, rewards, scale in zip(("true", "learned"), (episode.true, episode.learned), scales, strict=False):
        caption = f"{name} reward of each step" if rewards is not None else f"no reward was {name} yet"
        shown = np.zeros(1) if rewards is None else rewards
        parts.append(panels.text(caption, clip.width, 12, colour=panels.SOFT))
        parts.append(panels.strip(shown, scale, clip.width, len(episode.film), output.fps))
    return panels.scene(panels.column(parts), len(episode.film) / output.fps)
