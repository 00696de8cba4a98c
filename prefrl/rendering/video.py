"""Record an episode with its frames, and write frames as a video in which each is present exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.core.errors import UserError
from prefrl.core.files import new_file
from prefrl.environments.making import MakeEnv
from prefrl.rendering.drawing import close, drawn, draws_in_software, fps_of, picture_of, simplify

Codec = tuple[str, list[str]]  # its name, and how ffmpeg is to use it
_AT_ONCE = ["-movflags", "+faststart"]  # the index before the pictures: a browser plays while it loads
_COLOURS = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none:diff_mode=rectangle"  # one palette: no flicker
VIDEOS: dict[str, Codec] = {ending: ("libx264", _AT_ONCE) for ending in (".mp4", ".mkv", ".mov")}
KINDS: dict[str, Codec] = {**VIDEOS, ".gif": ("gif", ["-vf", _COLOURS])}


@dataclass(frozen=True)
class RecordedEpisode:
    """T steps of an episode from its start."""

    frames: np.ndarray  # (T + 1, H, W, 3) uint8: first the state after reset, last the final state
    fps: float
    observations: list[Any]  # T + 1
    actions: list[Any]  # T
    true_rewards: np.ndarray  # (T,)


def record_episode(make_env: MakeEnv, act: Callable[[Any], Any], seed: int, max_steps: int) -> RecordedEpisode:
    """Act for one episode, or max_steps of it. The environment needs render_mode="rgb_array".

    Without a GPU MuJoCo draws simple pictures: the film of a run took longer than the run.
    """
    env = drawn(make_env)
    try:
        observation, first = env.reset(seed=seed)[0], picture_of(env)
        if draws_in_software(env):
            close(env)
            env = drawn(make_env)
            simplify(env)
            observation, first = env.reset(seed=seed)[0], picture_of(env)
        observations: list[Any] = [observation]
        actions: list[Any] = []
        rewards: list[float] = []
        frames = np.empty((max_steps + 1, *first.shape), np.uint8)  # stacking a list would need twice the memory
        frames[0], over = first, max_steps < 1
        while not over:
            actions.append(act(observations[-1]))
            observation, reward, terminated, truncated, _ = env.step(actions[-1])
            observations.append(observation)
            rewards.append(float(reward))
            frames[len(rewards)] = env.render()
            over = terminated or truncated or len(rewards) == max_steps
        return RecordedEpisode(frames[: len(rewards) + 1], fps_of(env), observations, actions, np.array(rewards))
    finally:
        close(env)


def write_video(frames: np.ndarray, path: str | os.PathLike[str], fps: float) -> Path:
    """Write H.264 (yuv420p, which every browser plays), in full or not at all. frames: (N, H, W, 3) uint8"""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"a video needs uint8 frames of shape (N, H, W, 3), got {frames.dtype} {frames.shape}")
    return write_frames(frames, path, fps, VIDEOS)


def write_frames(
    frames: Iterable[np.ndarray], path: str | os.PathLike[str], fps: float, kinds: Mapping[str, Codec] = KINDS
) -> Path:
    """Write a video of frames that come one by one, each (H, W, 3) uint8; the path's ending says of which kind.

    H.264 needs even sizes: an odd picture grows by repeating its last row or column.
    """
    path = Path(path)
    codec = codec_of(path, fps, kinds)
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path, suffix=path.suffix) as unfinished:  # from which ffmpeg knows the format
        _encode(iter(frames), unfinished, fps, *codec)
    return path


def codec_of(path: Path, fps: float, kinds: Mapping[str, Codec] = KINDS) -> Codec:
    """How to encode a file of this name. Raises UserError if we cannot."""
    if path.suffix not in kinds:
        raise UserError(f"cannot write a video as {path.name!r}; let the name end in {' or '.join(kinds)}")
    if not fps > 0:
        raise UserError(f"a video needs a positive number of frames per second, got {fps:g}")
    return kinds[path.suffix]


def _encode(frames: Iterator[np.ndarray], path: Path, fps: float, codec: str, parameters: list[str]) -> None:
    """Hand the frames over one by one. Clips ask for frames by time, and rounding drops some: ImageSequenceClip in half
    of all cases, VideoClip in moviepy 2.2 still 29 frames at 25 per second, as int(29 / 25 * 25) is 28."""
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter  # here: slow to import, and only videos need it

    first = next(frames)
    height, width = first.shape[:2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    size = (width + width % 2, height + height % 2)
    with FFMPEG_VideoWriter(str(path), size, fps, codec, preset="veryfast", ffmpeg_params=parameters) as writer:
        encoder = writer.proc
        for frame in chain([first], frames):
            writer.write_frame(np.pad(frame, odd, mode="edge"))
    if encoder.returncode:  # moviepy does not look
        raise OSError(f"ffmpeg ended with code {encoder.returncode} while writing {path}; is the disk full?")
