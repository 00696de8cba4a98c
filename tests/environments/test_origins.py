"""How episodes began is noted at resets, remembered as long as their steps are, and begins them again the same way."""

import json

import gymnasium as gym
import numpy as np
import pytest
from counting import Counting, counting, played
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from prefrl.core.errors import UserError
from prefrl.environments.making import env_maker
from prefrl.environments.origins import Openings, opening, reopen
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv


def recorded(env="CartPole-v1", steps=120, capacity=200, n_envs=2, notes="rng", **settings):
    recorder = Recorder(make_venv(env_maker(env), n_envs), capacity, **settings)
    recorder.note_openings(notes)
    recorder.action_space.seed(0)
    recorder.seed(5)
    recorder.reset()
    for _ in range(steps):
        recorder.step(np.array([recorder.action_space.sample() for _ in range(n_envs)]))
    return recorder


def test_a_reset_is_noted_by_its_seed_or_by_the_generator_it_draws_from():
    env = gym.make("CartPole-v1")
    assert json.loads(opening(env, 7)) == {"seed": 7}
    env.reset(seed=7)
    assert json.loads(opening(env, None))["rng"] == env.unwrapped.np_random.bit_generator.state


@pytest.mark.parametrize("seed", [7, None])
def test_an_episode_begins_again_in_another_environment(seed):
    env = gym.make("CartPole-v1")
    env.reset(seed=3)
    noted = opening(env, seed)
    began, _ = env.reset(seed=seed)
    assert np.array_equal(reopen(gym.make("CartPole-v1"), noted), began)


@pytest.mark.parametrize("hostile", [b"", b"[]", b"1", b"{}", b'{"rng": {"bit_generator": "MT19937"}}', b'{"rng": 1}',
                                     b'{"seed": "x"}', b"[" * 10_000, b"\xff"])  # fmt: skip
def test_a_broken_note_is_refused(hostile):
    with pytest.raises((ValueError, gym.error.Error)):
        reopen(gym.make("CartPole-v1"), hostile)


def test_nothing_is_noted_before_somebody_wants_it():
    recorder = Recorder(make_venv(env_maker("CartPole-v1"), 1), 50)
    played(recorder, 30)
    origins = recorder.origins(recorder.cut_segments(5, np.random.default_rng(0)))
    assert [origins[place] for place in range(len(origins))] == [None] * len(origins)


@pytest.mark.parametrize("notes", ["rng", "seed"])
def test_a_tape_leads_to_its_segment(notes):
    recorder = recorded(notes=notes)
    segments = recorder.cut_segments(4, np.random.default_rng(0), since=40)
    origins = recorder.origins(segments)
    assert len(origins) == len(segments) > 10 and len({origin.opening for origin in origins}) > 4
    for place, origin in enumerate(origins):
        env = gym.make("CartPole-v1")
        seen = reopen(env, origin.opening)
        for action in origin.actions:
            seen = env.step(action)[0]
        assert np.array_equal(seen, segments.observations[place, 0])


def test_notes_of_the_generator_change_nothing_that_happens():
    noted, plain = recorded(), recorded(notes="")
    assert np.array_equal(noted.latest(100).observations, plain.latest(100).observations)


def test_seeded_resets_repeat_with_the_run():
    first, again, other = recorded(notes="seed"), recorded(notes="seed"), recorded()
    assert np.array_equal(first.latest(100).observations, again.latest(100).observations)
    assert not np.array_equal(first.latest(100).observations, other.latest(100).observations)


def test_pairs_give_their_tapes_one_after_the_other():
    recorder = recorded()
    segments = recorder.cut_segments(4, np.random.default_rng(0))[:6]
    alone, paired = recorder.origins(segments), recorder.origins(segments[np.arange(6).reshape(3, 2)])
    for place in range(6):
        assert alone[place].opening == paired[place].opening
        assert np.array_equal(alone[place].actions, paired[place].actions)


def test_actions_are_kept_as_they_were_given():
    """The memory holds what the action space says; an environment may have been given something narrower."""
    recorder = Recorder(make_venv(env_maker("Pendulum-v1"), 1), 50)
    recorder.memory.actions = recorder.memory.actions.astype(float)
    recorder.note_openings("rng")
    recorder.reset()
    for _ in range(20):
        recorder.step(np.array([[0.1]], np.float32))
    origin = recorder.origins(recorder.memory.segments_at(np.array([9]), np.array([0]), 4))[0]
    assert origin.actions.dtype == np.float32 and origin.actions.shape == (9, 1)


def test_openings_go_with_the_steps_that_are_overwritten():
    recorder = Recorder(counting([[1000]]), 30)
    recorder.note_openings("rng")
    played(recorder, 25)
    assert len(recorder.origins(recorder.memory.segments_at(np.array([20]), np.array([0]), 4))[0].actions) == 20
    played(recorder, 20)
    assert recorder.origins(recorder.memory.segments_at(np.array([20]), np.array([0]), 4))[0] is None


def test_memory_for_openings_is_bounded_by_that_for_steps():
    recorder = recorded("CartPole-v1", steps=900, capacity=60, n_envs=1)
    assert len(recorder._openings.noted[0]) < 120 / 8


def test_cut_episodes_begin_anew():
    recorder = recorded("Pendulum-v1", cut_every=50, seed_at=lambda steps: 10 + steps)
    origins = recorder.origins(recorder.memory.segments_at(np.array([45, 55]), np.array([1, 1]), 5))
    assert [json.loads(origin.opening)["seed"] for origin in origins] == [11, 61]
    assert [len(origin.actions) for origin in origins] == [45, 5]


def test_what_was_forgotten_has_no_tape():
    recorder = recorded("Pendulum-v1")
    recorder.begin_at(recorder.steps)
    assert recorder._openings.noted == [[], []]


def test_an_episode_that_came_to_nothing_is_replaced():
    openings = Openings(1)
    openings.add(0, 5, b"a")
    openings.add(0, 5, b"b")
    assert openings.find(0, 9) == (5, b"b") and openings.find(0, 4) is None


def test_the_users_own_environments_are_noted_too():
    recorder = Recorder(DummyVecEnv([lambda: Counting([5])]), 50)
    recorder.note_openings("rng")
    played(recorder, 20)
    assert recorder.origins(recorder.memory.segments_at(np.array([7]), np.array([0]), 3))[0] is not None


def test_environments_in_other_processes_are_refused_with_a_way_out():
    venv = SubprocVecEnv([env_maker("CartPole-v1")], start_method="fork")
    try:
        with pytest.raises(UserError, match="DummyVecEnv"):
            Recorder(venv, 50).note_openings("rng")
    finally:
        venv.close()
