"""Segments are drawn again exactly as they looked, or not at all."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from played import live, pairs, played

from envs import CATALOGUE
from prefrl.core.data import Origin
from prefrl.core.errors import UserError
from prefrl.environments.making import env_maker
from prefrl.environments.origins import opening
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.rendering import sheets
from prefrl.rendering.check import prepare
from prefrl.rendering.drawing import CannotDraw, close, follow
from prefrl.rendering.redraw import Redrawer, Unfaithful, redraw, replay

MUJOCO = ["HalfCheetah-v5", "Ant-v5", "Humanoid-v5"]
OTHERS = ["CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0", "Acrobot-v1", "LunarLander-v3", "BipedalWalker-v3",
          "BipedalWalkerHardcore-v3", "FrozenLake-v1"]  # fmt: skip
DRAWN = ["CartPole-v1", "prefrl/CartPole-v0", "Pendulum-v1", "Acrobot-v1", "LunarLander-v3", "prefrl/LunarLander-v0"]
DRAWN_BY_MUJOCO = ["HalfCheetah-v5", "Hopper-v5", "Reacher-v5", "prefrl/InvertedPendulum-v0"]


@pytest.mark.parametrize("env", [*CATALOGUE, *MUJOCO, *OTHERS])
def test_observations_repeat_bit_for_bit(env):
    recorder = played(env, n_envs=2)
    segments, origins = pairs(recorder, 4, 2 if "Frozen" in env else 8)
    again, flat = env_maker(env)(), segments.flat()
    for place, origin in enumerate(origins):
        assert list(replay(again, flat[place], origin)) == list(range(segments.length + 1))


@pytest.mark.parametrize("env", DRAWN)
def test_frames_are_those_of_the_moment_itself(env):
    recorder = played(env)
    drawn = env_maker(env, "rgb_array")()
    expected = live(drawn, recorder, 60)
    segments, origins = pairs(recorder, 1)
    for place, start in enumerate(segments.start_step[0]):
        frames = redraw(env_maker(env, "rgb_array"), segments[0, place], origins[place])
        assert np.array_equal(frames[:8], expected[start : start + 8])  # the ninth may have ended the episode
    drawn.close()


def test_a_walkers_frames_are_those_of_the_moment_but_for_its_lidar():
    """Gymnasium draws one of its rays, another one in every picture it draws."""
    env = "BipedalWalker-v3"
    recorder = played(env)
    drawn = env_maker(env, "rgb_array")()
    expected = np.array(live(drawn, recorder, 60))
    segments, origins = pairs(recorder, 1)
    frames = redraw(env_maker(env, "rgb_array"), segments[0, 0], origins[0])
    start = segments.start_step[0, 0]
    assert (frames[:8] != expected[start : start + 8]).any(-1).mean() < 0.01
    drawn.close()


@pytest.mark.parametrize("env", DRAWN_BY_MUJOCO)
def test_mujoco_draws_what_it_would_have_drawn_then(env, drawing_library):
    """With the same look: the frames before the segment leave no trace in those of the segment."""
    recorder = played(env, steps=30)
    segments, origins = pairs(recorder, 1)
    redrawer = Redrawer(env_maker(env, "rgb_array"))
    frames = [redrawer.redraw(segments[0, side], origins[side]) for side in (0, 1)]
    expected = live(redrawer.env, recorder, 30)
    for side, start in enumerate(segments.start_step[0]):
        assert frames[side].std() > 5
        assert np.array_equal(frames[side][:8], expected[start : start + 8])
    redrawer.close()


def test_the_camera_follows_a_body_that_runs(drawing_library):
    env = env_maker("HalfCheetah-v5", "rgb_array")()
    follow(env)
    pictures = []
    for place in (0.0, 40.0):
        env.reset(seed=0)
        state, data = env.unwrapped.init_qpos.copy(), env.unwrapped.data
        state[0] = place
        env.unwrapped.set_state(state, 0 * data.qvel)
        pictures.append(env.render()[200:300, 100:400].astype(int))  # the body; the ground's pattern moves by
    close(env)
    body = pictures[0][..., 0] > pictures[0][..., 2] + 40  # orange
    assert body.sum() > 500 and np.abs(pictures[0] - pictures[1])[body].mean() < 12


def test_the_next_environment_is_not_painted_black(drawing_library):
    """OpenGL's objects of a closed environment, freed too late, would take those of the next one along."""
    recorder = played("Reacher-v5", steps=20)
    segments, origins = pairs(recorder, 1)
    seen = [redraw(env_maker("Reacher-v5", "rgb_array"), segments[0, 0], origins[0]) for _ in range(3)]
    assert seen[0].std() > 5 and np.array_equal(seen[0], seen[1]) and np.array_equal(seen[0], seen[2])


@pytest.fixture(scope="module")
def pole():
    recorder = played("Pendulum-v1")
    segments, origins = pairs(recorder, 1)
    return segments[0, 0], origins[0], env_maker("Pendulum-v1", "rgb_array")


def test_another_action_before_the_segment_is_noticed(pole):
    segment, origin, make_env = pole
    actions = origin.actions.copy()
    actions[0] = np.nextafter(actions[0], 9, dtype=np.float32)  # the last digit counts
    with pytest.raises(Unfaithful, match=r"observation \d differs in . of 3 places: place \d is"):
        redraw(make_env, segment, Origin(origin.opening, actions))


def test_another_action_within_the_segment_is_noticed(pole):
    segment, origin, make_env = pole
    actions = segment.actions.copy()
    actions[4] += np.float32(0.01)
    with pytest.raises(Unfaithful, match="observation 5 differs in"):
        redraw(make_env, replace(segment, actions=actions), origin)


def test_another_opening_is_noticed(pole):
    segment, origin, make_env = pole
    with pytest.raises(Unfaithful, match="observation 0 differs"):
        redraw(make_env, segment, Origin(b'{"seed": 4}', origin.actions))


@pytest.mark.parametrize("broken", [b"{}", b"nonsense", b'{"rng": {"state": 1}}'])
def test_a_broken_opening_is_refused(pole, broken):
    segment, origin, make_env = pole
    with pytest.raises(Unfaithful, match="raised"):
        redraw(make_env, segment, Origin(broken, origin.actions))


def test_a_missing_tape_is_refused(pole):
    with pytest.raises(Unfaithful, match="no longer known"):
        redraw(pole[2], pole[0], None)


def test_an_episode_that_ended_is_not_played_on(pole):
    segment, origin, _ = pole
    short = gym.wrappers.TimeLimit(gym.make("Pendulum-v1").unwrapped, 3)
    with pytest.raises(Unfaithful, match="the episode ended after 3 steps"):
        list(replay(short, segment, origin))


def test_an_environment_that_raises_is_unfaithful_and_named(pole):
    class Broken(gym.Wrapper):
        def step(self, action):
            raise RuntimeError("out of order")

    with pytest.raises(Unfaithful, match="out of order"):
        list(replay(Broken(gym.make("Pendulum-v1")), pole[0], pole[1]))


def test_many_large_frames_are_halved_until_they_fit(pole, monkeypatch):
    segment, origin, make_env = pole
    whole = redraw(make_env, segment, origin)
    monkeypatch.setattr(sheets, "MAX_PIXELS", 9 * 250 * 250)
    half = redraw(make_env, segment, origin)
    assert whole.shape == (9, 500, 500, 3) and half.shape == (9, 250, 250, 3)
    assert abs(half.mean() - whole.mean()) < 0.5


class Sticky(gym.Wrapper):
    """A used environment is another one than a new one."""

    def __init__(self, env):
        super().__init__(env)
        self.resets = 0

    def reset(self, **how):
        self.resets += 1
        seen, info = self.env.reset(**how)
        self.env.unwrapped.state = self.env.unwrapped.state + 1e-3 * (self.resets > 2)
        return seen, info


def test_an_environment_that_wears_out_is_replaced(pole):
    segment, origin, make_env = pole
    redrawer = Redrawer(lambda: Sticky(make_env()))
    first = redrawer.redraw(segment, origin)
    assert not redrawer.single
    assert np.array_equal(redrawer.redraw(segment, origin), first) and redrawer.single
    assert np.array_equal(redrawer.redraw(segment, origin), first)
    redrawer.close()


class Hidden(gym.Wrapper):
    """Draws from a generator of its own, which only a seed reaches."""

    def reset(self, *, seed=None, options=None):
        if seed is not None or not hasattr(self, "rng"):
            self.rng = np.random.default_rng(seed)
        super().reset(seed=seed)
        self.env.unwrapped.state = self.rng.uniform(-1, 1, 2)
        return self.env.unwrapped._get_obs(), {}


class Unruly(gym.ObservationWrapper):
    """What follows is decided by nothing."""

    def observation(self, observation):
        return observation + np.float32(1e-3 * np.random.default_rng().normal())


def maker(wrapper):
    return lambda mode: lambda: wrapper(gym.make("Pendulum-v1", render_mode=mode))


def test_well_behaved_environments_are_noted_by_their_generator():
    recorder = Recorder(make_venv(env_maker("Pendulum-v1"), 1), 10)
    prepare(recorder, lambda mode: env_maker("Pendulum-v1", mode), 0)
    recorder.reset()
    recorder.reset()
    assert b"rng" in recorder.venv.envs[0].opening


def test_hidden_generators_are_reached_by_seeding_every_reset():
    recorder = Recorder(make_venv(maker(Hidden)(None), 1), 200)
    prepare(recorder, maker(Hidden), 0)
    for _ in range(3):
        recorder.reset()
        for _ in range(20):
            recorder.step(np.zeros((1, 1), np.float32))
    segments = recorder.memory.segments_at(np.array([50]), np.array([0]), 5)
    assert len(redraw(maker(Hidden)("rgb_array"), segments[0], recorder.origins(segments)[0])) == 6


def test_what_does_not_repeat_is_refused_before_people_are_asked():
    recorder = Recorder(make_venv(maker(Unruly)(None), 1), 10)
    with pytest.raises(Unfaithful, match=r"cannot be redrawn exactly.* observation \d differs in"):
        prepare(recorder, maker(Unruly), 0)


def test_an_environment_that_does_not_draw_is_refused(pole):
    with pytest.raises(CannotDraw, match="render_mode='rgb_array'"):
        redraw(env_maker("Pendulum-v1"), pole[0], pole[1])


def test_a_walker_gets_a_new_world_whatever_its_name():
    class Mine(gym.make("BipedalWalker-v3").unwrapped.__class__):
        pass

    env = env_maker(lambda: gym.wrappers.TimeLimit(Mine(), 50))()
    env.reset(seed=0)
    world, noted = env.unwrapped.world, opening(env, None)
    env.reset()
    assert env.unwrapped.world is not world and noted


@pytest.mark.skipif("os.path.exists('/dev/dri') or os.environ.get('DISPLAY')", reason="there is a screen or a GPU")
def test_a_machine_that_cannot_draw_says_what_to_install(tmp_path):
    import subprocess
    import sys

    code = (
        "from prefrl.environments.making import env_maker\nfrom prefrl.rendering.redraw import Redrawer\n"
        "Redrawer(env_maker('Reacher-v5', 'rgb_array'))"
    )
    env = {"MUJOCO_GL": "glfw", "PATH": "/usr/bin", "HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=600)
    assert "CannotDraw" in found.stderr and "libosmesa6" in found.stderr and "libegl1" in found.stderr


def test_unfaithful_is_an_error_that_users_understand():
    assert issubclass(Unfaithful, UserError) and issubclass(CannotDraw, UserError)
