"""Film an episode and write it as a video in which every frame is present exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.agents.offscreen import HEADLESS
from prefrl.errors import UserError
from prefrl.evaluation.looks import close, follow

_REMEDY = f"{HEADLESS}; otherwise switch videos off"


def record_episode(
    make_env: Callable[[], gym.Env], act: Callable[[Any], Any], seed: int, max_steps: int
) -> tuple[np.ndarray, float]:
    """Act for one episode, or max_steps of it. Returns frames (steps + 1, H, W, 3) uint8, and the true return so far.

    The environment needs render_mode="rgb_array". The first frame is the state after reset, the last the final state.
    """
    env = _made(make_env)
    try:
        observation, _ = env.reset(seed=seed)
        first = _first_frame(env)
        frames = np.empty((max_steps + 1, *first.shape), np.uint8)  # stacking a list would need twice the memory
        frames[0], steps, true_return = first, 0, 0.0
        over = max_steps < 1
        while not over:
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            steps, true_return = steps + 1, true_return + float(reward)
            frames[steps] = env.render()
            over = terminated or truncated or steps == max_steps
        return frames[: steps + 1], true_return
    finally:
        close(env)


def write_video(frames: np.ndarray, path: str | os.PathLike[str], fps: float) -> Path:
    """Write H.264 (yuv420p, which every browser plays), in full or not at all. frames: (N, H, W, 3) uint8

    H.264 needs even sizes: an odd picture grows by repeating its last row or column.
    """
    path = Path(path)
    _check(frames, path, fps)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")  # a rename is atomic only within a folder
    try:
        _encode(frames, unfinished, fps)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _encode(frames: np.ndarray, path: Path, fps: float) -> None:
    """Hand the frames over one by one. Clips ask for frames by time, and rounding drops some: ImageSequenceClip in half
    of all cases, VideoClip in moviepy 2.2 still 29 frames at 25 per second, as int(29 / 25 * 25) is 28."""
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter  # here: slow to import, and only videos need it

    height, width = frames.shape[1:3]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    size = (width + width % 2, height + height % 2)
    start_at_once = ["-movflags", "+faststart"]  # the index before the pictures: a browser plays while it loads
    with FFMPEG_VideoWriter(str(path), size, fps, codec="libx264", ffmpeg_params=start_at_once) as writer:
        encoder = writer.proc
        for frame in frames:
            writer.write_frame(np.pad(frame, odd, mode="edge"))
    if encoder.returncode:  # moviepy does not look
        raise OSError(f"ffmpeg ended with code {encoder.returncode} while writing {path}; is the disk full?")


def _check(frames: np.ndarray, path: Path, fps: float) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"a video needs uint8 frames of shape (N, H, W, 3), got {frames.dtype} {frames.shape}")
    if path.suffix not in (".mp4", ".mkv", ".mov"):
        raise UserError(f"cannot write an H.264 video as {path.name!r}; let the name end in .mp4")
    if not fps > 0:
        raise UserError(f"a video needs a positive number of frames per second, got {fps:g}")


def _made(make_env: Callable[[], gym.Env]) -> gym.Env:
    try:
        env = make_env()
    except (ImportError, AttributeError) as error:  # what a missing EGL or OSMesa library looks like
        raise UserError(f"cannot load what draws this environment ({error!r}); {_REMEDY}") from error
    if env.render_mode != "rgb_array":
        env.close()
        raise UserError(f"a video needs render_mode='rgb_array', got {env.render_mode!r}; pass it to gym.make")
    follow(env)
    return env


def _first_frame(env: gym.Env) -> np.ndarray:
    try:
        frame = np.asarray(env.render())
    except Exception as error:  # each renderer fails in its own way: GLError, FatalError, AttributeError, ...
        raise UserError(f"{env.unwrapped} cannot render ({error!r}); {_REMEDY}") from error
    if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
        raise UserError(f"{env.unwrapped} renders {frame.dtype} {frame.shape}; a video needs uint8 (height, width, 3)")
    return frame
