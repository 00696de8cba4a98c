"""What holds for every task of the catalogue."""

import subprocess
import sys
import warnings
from functools import cache

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from random_play import Episode, play, tie_rate

import envs
from envs.catalogue import _TASKS, register_all

TASKS = list(envs.CATALOGUE)
GRADED = [task for task in TASKS if task != "prefrl/CartPoleFalls-v0"]  # the ungraded one, on purpose


@cache
def episodes(task: str) -> list[Episode]:
    env = gymnasium.make(task, disable_env_checker=True)
    return [play(env, seed) for seed in range(6)]


@pytest.mark.parametrize("task", TASKS)
def test_an_episode_never_terminates_and_is_truncated_exactly_at_its_horizon(task):
    horizon = gymnasium.spec(task).max_episode_steps
    for episode in episodes(task):
        assert not episode.terminated.any()
        assert episode.truncated.tolist() == [False] * (horizon - 1) + [True]


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_and_actions_give_the_same_episode_in_a_used_env_and_in_a_new_one(task):
    expected = episodes(task)[1]  # played in an environment that had already played another episode
    again = play(gymnasium.make(task, disable_env_checker=True), seed=1)
    np.testing.assert_array_equal(again.observations, expected.observations)
    np.testing.assert_array_equal(again.rewards, expected.rewards)


@pytest.mark.parametrize("task", TASKS)
def test_other_seeds_give_other_episodes(task):
    assert not np.array_equal(episodes(task)[0].observations, episodes(task)[1].observations)


@pytest.mark.parametrize("task", TASKS)
def test_observations_are_single_precision_or_pictures_and_rewards_finite(task):
    for episode in episodes(task):
        assert episode.observations.dtype == (np.uint8 if episode.observations.ndim > 2 else np.float32)
        assert np.isfinite(episode.observations).all() and np.isfinite(episode.rewards).all()


@pytest.mark.parametrize("length", [25, 50])
@pytest.mark.parametrize("task", GRADED)
def test_two_segments_rarely_tie_under_a_random_policy(task, length):
    rewards = np.stack([episode.rewards for episode in episodes(task)])
    assert tie_rate(rewards, length, np.random.default_rng(0)) < 0.02


@pytest.mark.parametrize("task", TASKS)
def test_no_reward_is_constant(task):
    assert np.std(np.concatenate([episode.rewards for episode in episodes(task)])) > 0


@pytest.mark.parametrize("task", TASKS)
def test_gymnasiums_checker_accepts_it(task):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises scaled actions and finite bounds, as for Gymnasium's own tasks
        check_env(gymnasium.make(task).unwrapped, skip_render_check=True)


@pytest.mark.parametrize(
    "name",
    ["CartPole", "MountainCar", "MountainCarContinuous", "Acrobot", "CartPoleWindmill", "PendulumSpin", "LunarLander"],
)
def test_a_task_without_mujoco_can_be_drawn(name):
    assert_drawable(f"prefrl/{name}-v0")


def test_mujoco_tasks_can_be_drawn(drawing_library):
    assert_drawable("prefrl/HalfCheetah-v0")


def assert_drawable(task: str) -> None:
    env = gymnasium.make(task, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    frame = env.render()
    env.close()
    assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[-1] == 3
    assert frame.std() > 0, "the picture is blank"


def test_registering_twice_changes_nothing():
    before = {task: gymnasium.spec(task) for task in TASKS}
    register_all()
    assert all(gymnasium.spec(task) is before[task] for task in TASKS)


def test_every_task_says_in_one_line_what_it_is():
    assert all(summary and "\n" not in summary and len(summary) < 80 for summary in envs.CATALOGUE.values())


def test_every_equivalent_is_in_the_catalogue_and_replaces_a_gymnasium_task():
    assert set(envs.EQUIVALENT.values()) <= set(envs.CATALOGUE)
    assert set(envs.EQUIVALENT) <= set(gymnasium.registry)


def test_importing_envs_loads_no_simulator():
    code = "import envs, sys; print([name for name in ('mujoco', 'Box2D', 'pygame') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "package, name, remedy",
    [
        ("Box2D", "LunarLander", "gymnasium[box2d]"),
        ("mujoco", "Hopper", "gymnasium[mujoco]"),
        ("mujoco", "Reacher", "gymnasium[mujoco]"),
        ("mujoco", "HopperBackflip", "gymnasium[mujoco]"),
    ],
)
def test_a_missing_simulator_is_an_error_that_names_the_extra_to_install(package, name, remedy):
    assert name in _TASKS
    code = (
        f"import sys; sys.modules['{package}'] = None\n"  # what Python does for a package that is not there
        f"import envs, gymnasium; gymnasium.make('prefrl/{name}-v0')"
    )
    error = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert error.splitlines()[-1].startswith("gymnasium.error.DependencyNotInstalled") and remedy in error
