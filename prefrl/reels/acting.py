"""Videos of the policy: evaluation episodes of the newest checkpoint, and the same episode at every checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from moviepy import VideoClip
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.core.observations import Observations, combined, mapped, parts, whole
from prefrl.evaluation.returns import SEED
from prefrl.reels import panels
from prefrl.reels.writing import VideoFormat, output_path, video_format, write_scenes
from prefrl.rendering.sheets import Footage
from prefrl.rendering.video import RecordedEpisode, record_episode
from prefrl.runs import build, checkpoint
from prefrl.runs.api import load_run
from prefrl.runs.run import Run


@dataclass(frozen=True)
class Episode:
    """An evaluation episode, or its first T steps: frames and rewards."""

    heading: str
    film: Footage  # T + 1 frames
    true: np.ndarray  # (T,) rewards
    learned: np.ndarray | None  # (T,) rewards; None: no reward was learned yet


def episode(
    folder: Path | str, out: Path | str | None = None, *, episodes: int = 1, steps: int = 1000,
    fps: float | None = None, width: int | None = None, **own: object,
) -> Path:  # fmt: skip
    """Write a video of evaluation episodes of the newest checkpoint's policy, with the rewards of each step."""
    path, run = output_path(folder, out, "episode"), load_run(folder, **own)
    names = [f"episode {number}, " for number in range(1, episodes + 1)] if episodes > 1 else [""]
    try:
        with _bar(episodes, steps) as bar:
            played = [
                play(run, f"step {run.restored:,}: {name}", SEED + number, steps, bar.update)
                for number, name in enumerate(names)
            ]
    finally:
        run.close()
    return _write(path, played, fps, width)


def progress(
    folder: Path | str, out: Path | str | None = None, *, steps: int = 200, fps: float | None = None,
    width: int | None = None, **own: object,
) -> Path:  # fmt: skip
    """Write a video of one evaluation episode as the untrained policy acts in it, then that of each kept checkpoint."""
    path, run = output_path(folder, out, "progress"), load_run(folder, **own)
    try:
        with _bar(1 + len(checkpoint.found(run.folder / "checkpoints")), steps) as bar:
            played = [play(model, f"{stage}: ", SEED, steps, bar.update) for stage, model in _stages(run)]
    finally:
        run.close()
    return _write(path, played, fps, width)


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


def play(run: Run, name: str, seed: int, steps: int, tick: Callable[[], object]) -> Episode:
    """One episode of the run's policy, or its first steps. name: what its heading begins with"""

    def act(observation: Observations) -> np.ndarray:
        tick()
        return run.agent.predict(mapped(lambda part: np.asarray(part)[None], observation), deterministic=True)[0][0]

    recorded = record_episode(build.maker(run.config, run.own, "rgb_array"), act, seed, steps)
    true = recorded.true_rewards
    heading = f"{name}true return {true.sum():.4g} in {len(true)} steps"
    return Episode(heading, Footage.of(recorded.frames, recorded.fps), true, _learned(run, recorded))


def _learned(run: Run, recorded: RecordedEpisode) -> np.ndarray | None:
    """The learned reward of each step, (T,); None before the first fit."""
    if not run.reward_model.version:
        return None
    space = run.recorder.observation_space
    spaces, observed = parts(getattr(space, "spaces", space)), parts(combined(np.stack, recorded.observations))
    each = {key: np.asarray(observed[key], spaces[key].dtype)[:, None] for key in spaces}
    rollout = SimpleNamespace(
        observations=whole({key: part[:-1] for key, part in each.items()}),
        next_observations=whole({key: part[1:] for key, part in each.items()}),
        actions=np.stack(recorded.actions)[:, None], true_rewards=recorded.true_rewards[:, None],
        begins=np.arange(len(recorded.actions))[:, None] == 0, earlier=None,
    )  # fmt: skip
    return run.reward_model.rewards(rollout)[:, 0]


def _bar(episodes: int, steps: int) -> tqdm:
    return tqdm(total=episodes * steps, desc="acting", unit="step", leave=False, delay=1)


def _write(path: Path, played: list[Episode], fps: float | None, width: int | None) -> Path:
    if not played:
        raise UserError("no checkpoint could be read; they come and go while a run trains, so try again")
    output = video_format(path, max((episode.film for episode in played), key=len), fps, width)
    learned = [episode.learned for episode in played if episode.learned is not None]
    scales = [panels.scale_of(*(episode.true for episode in played))]
    if learned:
        scales.append(panels.scale_of(*learned))
    return write_scenes([_scene(episode, scales, output) for episode in played], output)


def _scene(episode: Episode, scales: Sequence[tuple[float, float]], output: VideoFormat) -> VideoClip:
    clip = panels.picture(episode.film, output.fps, output.width)
    parts = [panels.text(" · ".join(filter(None, [episode.heading, output.slowed])), clip.width, 15, rows=2), clip]
    for name, rewards, scale in zip(("true", "learned"), (episode.true, episode.learned), scales, strict=False):
        caption = f"{name} reward of each step" if rewards is not None else f"no reward was {name} yet"
        shown = np.zeros(1) if rewards is None else rewards
        parts.append(panels.text(caption, clip.width, 12, colour=panels.SOFT))
        parts.append(panels.strip(shown, scale, clip.width, len(episode.film), output.fps))
    return panels.scene(panels.column(parts), len(episode.film) / output.fps)
