import os

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest

from prefrl.core.errors import UserError
from prefrl.rendering.video import record_episode, write_frames, write_video


def numbered(n, height=32, width=128):
    """Frames that show their number as 8 black or white blocks of 16 pixels: (n, height, width, 3)"""
    bits = (np.arange(n)[:, None] >> np.arange(8)) & 1  # (n, 8)
    row = np.repeat(bits * 255, 16, axis=1).astype(np.uint8)[:, :width]
    return np.broadcast_to(row[:, None, :, None], (n, height, row.shape[1], 3))


def decoded(path):
    """Every frame of the file, none doubled or dropped for the sake of timing, and the file's metadata."""
    reader = imageio_ffmpeg.read_frames(str(path), output_params=["-fps_mode", "passthrough"])
    meta = next(reader)
    width, height = meta["size"]
    return np.array([np.frombuffer(raw, np.uint8).reshape(height, width, 3) for raw in reader]), meta


def numbers(frames):
    return ((frames[:, 8, 8:128:16, 0] > 127) << np.arange(8)).sum(-1)


@pytest.mark.parametrize(
    ("n", "fps"), [(25, 15), (25, 30), (50, 30), (1, 30), (29, 25), (123, 15), (58, 25), (7, 12.5)]
)
def test_every_frame_is_there_once(tmp_path, n, fps):
    found, meta = decoded(write_video(numbered(n), tmp_path / "clip.mp4", fps))
    assert numbers(found).tolist() == list(range(n))
    assert meta["fps"] == fps and meta["duration"] == pytest.approx(n / fps, abs=0.011)
    assert meta["codec"] == "h264" and meta["pix_fmt"].startswith("yuv420p")


def test_odd_sizes_grow_by_one(tmp_path):
    frames = np.repeat(numbered(5), 2, axis=1)[:, :33, :127]
    found, meta = decoded(write_video(frames, tmp_path / "clip.mp4", 10))
    assert meta["size"] == (128, 34) and meta["pix_fmt"].startswith("yuv420p")
    assert numbers(found).tolist() == list(range(5))


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path, capfd):
    path = write_video(numbered(3), tmp_path / "new" / "clip.mp4", 10)
    write_video(numbered(9), path, 10)
    assert len(decoded(path)[0]) == 9
    assert os.listdir(path.parent) == ["clip.mp4"]
    assert capfd.readouterr() == ("", "")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_video(numbered(3), tmp_path / "clip.mp4", 10)
    old = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        write_video(numbered(9), path, 10)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_frames_may_come_one_by_one_and_leave_the_old_file_when_they_stop_coming(tmp_path, name):
    def coming(n):
        yield from numbered(9)[:n]
        if n < 9:
            raise RuntimeError("no more")

    path = write_frames(coming(9), tmp_path / name, 10)
    old = path.read_bytes()
    assert numbers(decoded(path)[0]).tolist() == list(range(9))
    with pytest.raises(RuntimeError, match="no more"):
        write_frames(coming(4), path, 10)
    assert path.read_bytes() == old and os.listdir(tmp_path) == [name]


def test_equal_frames_of_a_gif_are_not_merged(tmp_path):
    found, meta = decoded(write_frames(numbered(12)[[0, 0, 0, 5, 5, 11]], tmp_path / "clip.gif", 20))
    assert numbers(found).tolist() == [0, 0, 0, 5, 5, 11] and meta["duration"] == pytest.approx(0.3)


def test_an_encoder_that_dies_is_noticed(tmp_path, monkeypatch):
    writer = "moviepy.video.io.ffmpeg_writer.FFMPEG_VideoWriter.write_frame"
    monkeypatch.setattr(writer, lambda self, frame: self.proc.kill())
    with pytest.raises(OSError, match="ffmpeg ended with code -9"):
        write_video(numbered(2), tmp_path / "clip.mp4", 10)
    assert os.listdir(tmp_path) == []


def test_what_is_no_video_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"uint8 frames of shape \(N, H, W, 3\), got float64 \(2, 4, 4, 3\)"):
        write_video(np.zeros((2, 4, 4, 3)), tmp_path / "clip.mp4", 10)
    with pytest.raises(UserError, match="'clip.gif'; let the name end in .mp4"):
        write_video(numbered(2), tmp_path / "clip.gif", 10)
    with pytest.raises(UserError, match="positive number of frames per second, got 0"):
        write_video(numbered(2), tmp_path / "clip.mp4", 0)


class Counter(gym.Env):
    """Pays 2 per step for 6 steps; the frame shows how many steps were made."""

    observation_space = gym.spaces.Box(0, 100)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode="rgb_array", broken=None):
        self.render_mode, self.broken, self.closed = render_mode, broken, False

    def reset(self, *, seed=None, options=None):
        self.steps, self.seed = 0, seed
        return np.array([0.0]), {}

    def step(self, action):
        self.steps += 1
        return np.array([float(self.steps)]), 2.0, self.steps == 6, False, {}

    def render(self):
        if self.broken:
            raise self.broken
        return np.full((4, 4, 3), self.steps, np.uint8)

    def close(self):
        self.closed = True


def test_an_episode_is_filmed_from_reset_to_end():
    env, seen = Counter(), []
    episode = record_episode(lambda: env, lambda obs: seen.append(obs.item()) or 0, seed=3, max_steps=100)
    assert episode.frames[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6] and episode.true_rewards.sum() == 12
    assert [obs.item() for obs in episode.observations] == [0, 1, 2, 3, 4, 5, 6] and episode.actions == [0] * 6
    assert seen == [0, 1, 2, 3, 4, 5] and env.seed == 3 and env.closed


def test_a_long_episode_is_cut():
    episode = record_episode(Counter, lambda obs: 0, seed=0, max_steps=2)
    assert episode.frames.shape == (3, 4, 4, 3) and episode.true_rewards.sum() == 4


def test_a_real_environment_can_be_filmed():
    episode = record_episode(
        lambda: gym.make("Pendulum-v1", render_mode="rgb_array"), lambda obs: np.zeros(1), seed=0, max_steps=5
    )
    assert episode.frames.shape == (6, 500, 500, 3) and episode.true_rewards.sum() < 0
    assert (episode.frames[0] != episode.frames[-1]).any()


def test_an_environment_that_cannot_render_is_explained():
    blind, broken = Counter(render_mode=None), Counter(broken=RuntimeError("no display"))
    with pytest.raises(UserError, match="render_mode='rgb_array', this has None; pass it to gym.make"):
        record_episode(lambda: blind, lambda obs: 0, seed=0, max_steps=5)
    with pytest.raises(UserError, match="no display.*libegl1 libopengl0 libgl1-mesa-dri.*libosmesa6"):
        record_episode(lambda: broken, lambda obs: 0, seed=0, max_steps=5)
    assert blind.closed and broken.closed


def test_a_missing_graphics_library_is_explained():
    def make_env():
        raise AttributeError("'NoneType' object has no attribute 'glGetError'")  # MUJOCO_GL=osmesa without the library

    with pytest.raises(UserError, match="glGetError.*libosmesa6"):
        record_episode(make_env, lambda obs: 0, seed=0, max_steps=5)
