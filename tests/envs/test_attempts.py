"""Tasks that begin again inside the episode, or come to rest in it."""

import gymnasium
import numpy as np
import pytest
from random_play import play

import envs  # noqa: F401  registers the tasks
from envs.laps import GOAL_REWARD


def make(name):
    return gymnasium.make(f"prefrl/{name}-v0", disable_env_checker=True)


@pytest.mark.parametrize("name", ["CartPole", "CartPoleFalls", "InvertedPendulum"])
def test_a_fall_costs_one_and_sets_the_pole_up_again(name):
    episode = play(make(name), seed=0)
    falls = np.flatnonzero([info["fell"] for info in episode.infos])
    assert len(falls) > 5
    assert (episode.rewards[falls] == -1).all()
    assert (np.abs(episode.observations[falls + 1]) <= 0.05 + 1e-6).all()  # where Gymnasium's reset puts it


def test_without_falls_nothing_costs_in_the_falls_only_cartpole():
    episode = play(make("CartPoleFalls"), seed=0)
    assert episode.rewards.sum() == -sum(info["fell"] for info in episode.infos)


def test_fifty_steps_at_the_very_edge_cost_no_more_than_one_fall():
    env = make("CartPole")
    env.reset(seed=0)
    edge = [env.unwrapped.x_threshold * 0.999, 0.0, env.unwrapped.theta_threshold_radians * 0.999, -0.1]
    env.unwrapped.state = np.array(edge)
    _, reward, _, _, info = env.step(0)
    assert not info["fell"]
    assert -1.0 <= 50 * reward < -0.95


def test_a_cart_pole_that_stands_upright_in_the_middle_costs_nothing():
    env = make("CartPole")
    env.reset(seed=0)
    env.unwrapped.state = np.zeros(4)
    assert env.step(1)[1] == pytest.approx(0.0, abs=1e-12)


def drive_with_the_motion(name):
    """The classic solution: push whichever way the car moves."""
    env = make(name)
    observation, _ = env.reset(seed=0)
    rewards, infos, observations, over = [], [], [observation], False
    while not over:
        right = observation[1] >= 0
        action = (2 if right else 0) if name == "MountainCar" else np.array([1.0 if right else -1.0], np.float32)
        observation, reward, _, over, info = env.step(action)
        rewards.append(reward), infos.append(info), observations.append(observation)
    return np.array(rewards), np.array([info["reached"] for info in infos]), np.array(observations)


@pytest.mark.parametrize("name", ["MountainCar", "MountainCarContinuous"])
def test_a_car_at_the_goal_earns_one_and_starts_again_in_the_valley(name):
    rewards, reached, observations = drive_with_the_motion(name)
    assert reached.any()
    assert (rewards[reached] >= GOAL_REWARD).all()
    starts = observations[1:][reached]
    assert (np.abs(starts[:, 0] + 0.5) <= 0.1 + 1e-6).all() and (starts[:, 1] == 0).all()


@pytest.mark.parametrize("name", ["MountainCar", "MountainCarContinuous"])
def test_a_lap_earns_about_one_for_its_energy_and_one_for_the_goal(name):
    rewards, reached, _ = drive_with_the_motion(name)
    first_lap = rewards[: np.flatnonzero(reached)[0] + 1].sum()
    assert 1.9 < first_lap <= 2.0


@pytest.mark.parametrize("name", ["MountainCar", "MountainCarContinuous", "Acrobot"])
def test_energy_is_zero_at_rest_and_one_is_what_the_goal_takes(name):
    env = make(name).unwrapped
    env.reset(seed=0)
    rest, goal = {
        "MountainCar": ([-np.pi / 6, 0.0], [0.5, 0.0]),
        "MountainCarContinuous": ([-np.pi / 6, 0.0], [0.45, 0.0]),
        "Acrobot": ([0.0] * 4, [np.pi / 2, np.pi / 2, 0.0, 0.0]),
    }[name]
    env.state = np.array(rest)
    assert env.energy() == pytest.approx(0.0, abs=1e-9)
    env.state = np.array(goal)
    assert env.energy() == pytest.approx(1.0)


def test_the_free_acrobot_keeps_its_energy():
    env = make("Acrobot").unwrapped
    env.reset(seed=0)
    env.state = np.array([1.2, -0.4, 0.3, -0.2])
    before = env.energy()
    for _ in range(20):
        env.step(1)  # no torque
    assert env.energy() == pytest.approx(before, abs=2e-3)


def test_a_crashed_lander_rests_where_it_crashed_and_earns_the_less_the_farther_from_the_pad():
    episode = play(make("LunarLander"), seed=0)
    outcomes = np.array([info["outcome"] for info in episode.infos])
    crash = int(np.flatnonzero(outcomes)[0])
    assert outcomes[crash] == -1 and episode.rewards[crash] == -1
    assert (episode.observations[crash + 2 :] == episode.observations[crash + 1]).all()
    distance = np.hypot(*episode.observations[-1][:2])
    np.testing.assert_allclose(episode.rewards[crash + 1 :], -0.01 * (1 + distance))


def test_a_landing_at_rest_earns_more_than_hovering_and_the_ninth_number_shows_it():
    env = make("LunarLander")
    env.reset(seed=0)
    lander = env.unwrapped
    lander.outcome, lander.last = 1.0, np.array([0.1, 0, 0, 0, 0, 0, 1, 1, 1], np.float32)
    observation, reward, _, _, info = env.step(0)
    assert observation[8] == info["outcome"] == 1
    assert reward == pytest.approx(0.009)


def test_a_new_episode_of_the_lander_is_in_flight_again():
    env = make("LunarLander")
    play(env, seed=0)
    observation, _ = env.reset(seed=1)
    assert observation[8] == 0
