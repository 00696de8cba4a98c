"""The rewards of the MuJoCo tasks and the scripted oracles, against numbers worked out by hand."""

import copy

import gymnasium
import numpy as np
import pytest
from random_play import play

import envs  # noqa: F401  registers the tasks


def make(name):
    env = gymnasium.make(f"prefrl/{name}-v0", disable_env_checker=True)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("name, offset", [("Hopper", 0.0), ("Walker2d", -1.0), ("Ant", -1.2)])
def test_a_body_earns_its_speed_forward_and_its_height(name, offset):
    env = make(name)
    _, reward, _, _, info = env.step(env.action_space.sample())
    height = env.unwrapped.data.qpos[2 if name == "Ant" else 1]
    assert reward == pytest.approx(info["x_velocity"] + height + offset)


@pytest.mark.parametrize("name", ["HalfCheetah", "Swimmer", "Hopper", "Walker2d", "Ant", "Reacher"])
def test_torque_is_free(name):
    env = make(name)
    torque = env.action_space.high
    assert env.step(torque)[4].get("reward_ctrl", 0.0) == 0.0


@pytest.mark.parametrize("name", ["Hopper", "Walker2d", "Ant"])
def test_lying_on_the_floor_earns_less_than_standing(name):
    episode = play(make(name), seed=0)
    heights = np.array([info["reward_height"] for info in episode.infos])
    assert heights[-200:].mean() < heights[0]


def test_the_reacher_earns_minus_its_distance_to_the_target():
    env = make("Reacher")
    observation, reward, *_ = env.step(np.zeros(2, np.float32))
    assert reward == pytest.approx(-np.hypot(*observation[-2:]), rel=1e-5)


def test_a_mujoco_task_can_be_copied():
    assert copy.deepcopy(make("Hopper").unwrapped).observation_space == make("Hopper").observation_space


def hopper_turning(speed):
    """The hopper in the air, turning backward at this speed [rad/s]."""
    env = make("HopperBackflip")
    hopper = env.unwrapped
    position, velocity = hopper.init_qpos.copy(), np.zeros_like(hopper.init_qvel)
    position[1], velocity[2] = 3.0, -speed
    hopper.set_state(position, velocity)
    return env


def test_turning_backward_is_leaning_back():
    env = hopper_turning(speed=3.0)
    for _ in range(20):
        env.step(np.zeros(3, np.float32))
    top = env.unwrapped.data.geom("torso_geom").xmat.reshape(3, 3)[:, 2]  # (3,): along the torso, upward
    assert top[0] < -0.2  # it faces +x


def test_a_backflip_earns_and_a_frontflip_costs():
    rest = np.zeros(3, np.float32)
    assert hopper_turning(speed=3.0).step(rest)[1] > 3.0
    assert hopper_turning(speed=-3.0).step(rest)[1] < -3.0


def cheetah_at(height, speed, turned=0.0):
    """The cheetah one step later. height: above the one it stands at [m]; turned: forward [rad]"""
    env = make("HalfCheetahOneLeg")
    cheetah = env.unwrapped
    velocity = np.zeros_like(cheetah.init_qvel)
    velocity[0] = speed
    position = cheetah.init_qpos.copy()
    position[1:3] = height, turned
    cheetah.set_state(position, velocity)
    return env.step(np.zeros(6, np.float32))


def test_one_leg_earns_its_speed_in_the_air_and_on_the_hind_leg():
    for height, turned in ((1.0, 0.0), (-0.1, -0.6)):  # flying; front up, the hind foot on the ground
        _, earned, _, _, info = cheetah_at(height, speed=2.0, turned=turned)
        assert not info["others_down"] and earned == pytest.approx(info["x_velocity"])


@pytest.mark.parametrize("height, turned", [(-0.1, 0.0), (-0.6, np.pi)], ids=["on all fours", "on its back"])
def test_one_leg_earns_nothing_with_anything_else_on_the_ground(height, turned):
    _, earned, _, _, info = cheetah_at(height, speed=2.0, turned=turned)
    assert info["others_down"] and earned <= 0.0 < info["x_velocity"]


def windmill_at(position=0.0, speed=0.0, angle=0.0, spin=0.0):
    env = make("CartPoleWindmill")
    env.unwrapped.state = np.array([position, speed, angle, spin])
    return env.step(1)


def test_a_windmill_earns_its_turns_per_second_clockwise():
    observation, reward, *_ = windmill_at(spin=2 * np.pi)
    assert reward == pytest.approx(observation[4] / (2 * np.pi)) and 0.8 < reward < 1.2
    assert windmill_at(spin=-2 * np.pi)[1] < -0.8


def test_the_windmill_stops_at_the_wall_and_goes_on():
    observation, _, terminated, *_ = windmill_at(position=2.4, speed=5.0, angle=np.pi)
    assert observation[0] == pytest.approx(2.4) and observation[1] == 0 and not terminated


def test_a_windmill_left_alone_slows_down():
    env = make("CartPoleWindmill")
    env.unwrapped.state = np.array([0.0, 0.0, 0.1, 0.0])
    spins = [abs(env.step(step % 2)[0][4]) for step in range(300)]
    assert max(spins[200:]) < 0.5 * max(spins[:100])  # the hinge has friction


def test_the_pendulum_earns_counter_clockwise_speed():
    env = make("PendulumSpin")
    env.unwrapped.state = np.array([np.pi, 8.0])
    assert env.step(np.array([2.0], np.float32))[1] == pytest.approx(1.0)
    env.unwrapped.state = np.array([np.pi, -8.0])
    assert env.step(np.array([-2.0], np.float32))[1] == pytest.approx(-1.0)


def test_making_a_task_is_quiet_and_leaves_no_file(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    make("HalfCheetah").close()
    assert capfd.readouterr() == ("", "") and not list(tmp_path.iterdir())
