"""Whole runs whose questions people could be shown: with origins that the render worker draws, or filmed on the way."""

import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

from prefrl.environments.making import env_maker
from prefrl.labelling.worker import work
from prefrl.rendering.clip_cache import clip_of, clips_ready
from prefrl.rendering.sheets import frames_of
from prefrl.store import lookup
from prefrl.store.store import LabelStore

PEOPLE = {"teacher": "human", "teacher.page": False, "questions.budget": 3, "steps": 1024}
pytestmark = pytest.mark.filterwarnings("ignore:.*episodes of 200 steps", "ignore:nothing was learned")


def ready(folder: Path) -> list[bool]:
    with LabelStore.open(folder) as store:
        return clips_ready(folder, [(place.file, place.row, 2) for place in lookup.open_places(store)])


def draw(folder: Path, env: Any = "Pendulum-v1") -> None:
    work(folder, env_maker(env, "rgb_array"), None, once=True)


def test_all_questions_of_a_run_can_be_drawn(short):
    folder = short(**PEOPLE).folder
    assert not any(ready(folder))
    draw(folder)
    assert len(ready(folder)) == 3 and all(ready(folder))


def test_the_users_own_agent_is_drawn_too(short):
    agent = PPO("MlpPolicy", "Pendulum-v1", n_steps=64, batch_size=64, n_epochs=1)
    folder = short(agent=agent, **PEOPLE).folder
    draw(folder)
    assert len(ready(folder)) == 3 and all(ready(folder))


class Clock(gym.Wrapper):
    """Draws what the observation says, so that a picture can be compared with it."""

    def render(self):
        angle = np.arctan2(self.env.unwrapped._get_obs()[1], self.env.unwrapped._get_obs()[0])
        return np.full((20, 30, 3), round(40 * (angle + np.pi)) % 256, np.uint8)


def own(render_mode=None):
    return Clock(gym.make("Pendulum-v1", render_mode=render_mode))


def test_an_environment_that_only_this_process_can_make_is_filmed(short):
    """The render worker has nothing to do, and the pictures are those of the segments."""
    folder = short(own, **PEOPLE).folder
    assert ready(folder) and all(ready(folder))
    with LabelStore.open(folder) as store:
        places = lookup.open_places(store)
        segments = store.queries([place.query for place in places]).segments
        for row, place in enumerate(places):
            for side in (0, 1):
                clip = clip_of(folder, place.file, place.row, side)
                content = (folder / "clips" / f"{clip['clip']}.webp").read_bytes()
                frames = frames_of(content, clip["frames"], clip["columns"])
                seen = segments.observations[row, side]
                said = np.round(40 * (np.arctan2(seen[:, 1], seen[:, 0]) + np.pi)) % 256
                assert frames.shape == (11, 20, 30, 3)
                assert np.abs(frames[:, 0, 0, 0].astype(int) - said.astype(int)).max() <= 1


def test_what_was_filmed_cannot_be_drawn_again(short, capsys):
    folder = short(own, **PEOPLE).folder
    shutil.rmtree(folder / "clips")
    draw(folder, own)
    assert "it was filmed while it happened, and its clip is gone" in capsys.readouterr().err
    assert ready(folder) == []  # closed, all of them


class Unruly(gym.ObservationWrapper):
    def observation(self, observation):
        return np.clip(observation + np.float32(1e-3 * np.random.default_rng().normal()), -8, 8)


def test_what_does_not_repeat_is_filmed_with_a_warning(short):
    gym.register("Unruly-v0", lambda render_mode: Unruly(own(render_mode)))
    with pytest.warns(UserWarning, match="cannot be redrawn exactly.* filmed at every step"):
        folder = short("Unruly-v0", **PEOPLE).folder
    assert all(ready(folder))


def test_a_function_that_cannot_draw_is_refused_before_anything_is_learned(short, tmp_path):
    with pytest.raises(ValueError, match="render_mode"):
        short(lambda: gym.make("Pendulum-v1"), **PEOPLE)
    assert not (tmp_path / "run").exists()
