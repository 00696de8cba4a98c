"""Frames taken while it happens: numbered, bounded, and of the segments that are asked about."""

import gymnasium as gym
import numpy as np
import pytest

from prefrl.environments.film import Film, Filmed, number
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv


def frame(value):
    return np.full((4, 6, 3), value, np.uint8)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3)).astype(np.uint8)


def test_frames_come_back_by_their_numbers():
    film = Film(10_000)
    for value in range(10):
        film.add(frame(value))
    assert np.array_equal(film.frames(3, 4), np.stack([frame(value) for value in range(3, 7)]))


def test_the_oldest_go_when_memory_is_full():
    film = Film(1000)
    for seed in range(100):
        film.add(noise(seed))
    assert film.held <= 1000 and film.next == 100 and film.first > 80
    assert np.array_equal(film.frames(film.first, 2), np.stack([noise(film.first), noise(film.first + 1)]))
    with pytest.raises(ValueError, match="not kept"):
        film.frames(film.first - 1, 2)
    with pytest.raises(ValueError, match="not kept"):
        film.frames(99, 2)


class Telling(gym.Wrapper):
    """Draws its own clock, and counts how often."""

    drawn = 0

    def reset(self, **how):
        self.clock = 0
        return self.env.reset(**how)

    def step(self, action):
        self.clock += 1
        return self.env.step(action)

    def render(self):
        self.drawn += 1
        return frame(self.clock)


def filmed(steps, megabytes=1.0):
    recorder = Recorder(make_venv(env_maker("CartPole-v1"), 2), 500)
    env = Telling(gym.make("CartPole-v1", render_mode="rgb_array"))
    recorder.film_first(env, megabytes)
    recorder.action_space.seed(0)
    recorder.seed(0)
    recorder.reset()
    for _ in range(steps):
        recorder.step(np.array([recorder.action_space.sample() for _ in range(2)]))
    return recorder, env


def clocks(recorder, segments, place):
    """What the pictures of a segment say."""
    origin = recorder.origins(segments)[place]
    first = number(origin.opening) + len(origin.actions)
    return recorder.film.frames(first, segments.length + 1)[:, 0, 0, 0].tolist(), len(origin.actions)


def test_pictures_are_those_of_the_segment():
    recorder, _ = filmed(200)
    segments = recorder.cut_segments(5, np.random.default_rng(0))
    assert len(segments) > 15 and set(segments.env_index) == {0}
    for place in range(len(segments)):
        seen, age = clocks(recorder, segments, place)
        assert seen == list(range(age, age + 6))


def test_every_state_is_drawn_once():
    recorder, env = filmed(200)
    assert env.drawn == 200 + len(recorder._openings.noted[0])


def test_what_has_no_pictures_any_more_is_not_asked_about():
    recorder, _ = filmed(200)
    while recorder.film.first < 100:  # as if memory had been smaller
        recorder.film._packed.popleft()
        recorder.film.first += 1
    segments = recorder.cut_segments(5, np.random.default_rng(0))
    assert len(segments) and segments.start_step.min() >= 90
    for place in range(len(segments)):
        seen, age = clocks(recorder, segments, place)
        assert seen == list(range(age, age + 6))


def test_it_is_still_the_environment_that_the_agent_acts_in():
    recorder, _ = filmed(50)
    assert isinstance(recorder.venv.envs[0], Filmed)
    assert len(recorder.finished)
