"""Atari games: what is hidden of the screen, what stacks of frames remember, and that games can be drawn again."""

from contextlib import closing
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("ale_py")

from envs.atari import PROTOCOLS, make_atari  # noqa: E402
from envs.masks import MASKS, hidden  # noqa: E402
from prefrl.config.settings import PixelConfig
from prefrl.core.frames import stacked
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.rendering.check import prepare
from prefrl.rendering.redraw import Redrawer, Unfaithful

COUNTERS = {  # bytes of the console's memory that hold scores, lives and counters
    "BeamRider": (9, 10, 11, 84, 5),
    "Breakout": (76, 77),
    "Enduro": (40, 41, 42, 43, 44, 45),
    "Pong": (13, 14),
    "Qbert": (89, 90, 91),
    "Seaquest": (56, 57, 58, 59),
    "SpaceInvaders": (102, 103, 104, 105),
}


def warmed_up(game, steps=400, **how):
    """A game played at random for a while, the gas pedal down in Enduro."""
    env = gym.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.0, **how)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(steps):
        *_, terminated, truncated, _ = env.step(1 if game == "Enduro" else env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return env


def screens(env, state, counter=None, value=0, frames=4):
    """What is shown next if nobody acts, after a byte of the memory was overwritten: (frames, 210, 160, 3)"""
    ale = env.unwrapped.ale
    ale.restoreState(state)
    if counter is not None:
        ale.setRAM(counter, value)
    shown = []
    for _ in range(frames):
        ale.act(0)
        shown.append(ale.getScreenRGB())
    return np.stack(shown)


@pytest.mark.parametrize("game", COUNTERS)
def test_screens_that_differ_only_in_counters_are_equal_once_masked(game):
    env = warmed_up(game)
    state = env.unwrapped.ale.cloneState(include_rng=True)
    as_is, cells = screens(env, state), hidden(env.unwrapped._game, 210, 160)
    for counter in COUNTERS[game]:
        others = [screens(env, state, counter, value) for value in (0x11, 0x02, 0x35)]
        assert any((other != as_is).any() for other in others), counter  # else it is no counter that is shown
        for other in others:
            assert np.array_equal(other[:, ~cells], as_is[:, ~cells]), counter


@pytest.mark.parametrize("game", ["Pong", "Breakout"])
def test_a_point_changes_what_people_see_and_not_what_is_learned_from(game):
    env = make_atari(f"ALE/{game}-v5", PROTOCOLS["paper"], 84, mask=True, render_mode="rgb_array")
    env.reset(seed=0)
    env.action_space.seed(1)
    for _ in range(30):
        env.step(env.action_space.sample())
    ale, seen, drawn = env.unwrapped.ale, [], []
    state = ale.cloneState(include_rng=True)
    for value in (1, 2):
        ale.restoreState(state)
        ale.setRAM(COUNTERS[game][-1], value)
        seen.append(env.step(0)[0])
        drawn.append(env.render())
    assert np.array_equal(*seen) and not np.array_equal(*drawn)
    assert drawn[0].shape == (210, 160, 3) and env.metadata["render_fps"] == 15


def test_every_game_of_the_paper_has_a_profile_that_leaves_most_of_the_screen():
    assert len(MASKS) == 7
    for game in MASKS:
        assert 0.02 < hidden(game, 84, 84).mean() < 0.25
    assert not hidden("montezuma_revenge", 84, 84).any()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_observations_are_stacks_of_small_grey_masked_frames(protocol):
    env = env_maker("ALE/Pong-v5", pixels=PixelConfig(atari=protocol))()
    assert env.observation_space == gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    seen, _ = env.reset(seed=0)
    assert (seen == seen[0]).all() and not seen[:, :9].any() and seen.any()
    after, *_ = env.step(2)
    assert np.array_equal(after[:3], seen[1:])


def played(env="ALE/Breakout-v5", n_envs=2, steps=150, notes="", capacity=400, **pixels):
    """A recorder after random play, and what the environments really showed: (steps + 1, n_envs, *obs)"""
    recorder = Recorder(make_venv(env_maker(env, pixels=PixelConfig(**pixels)), n_envs), capacity)
    if notes:
        recorder.note_openings(notes)
    recorder.action_space.seed(0)
    recorder.seed(3)
    shown = [recorder.reset()]
    for _ in range(steps):
        shown.append(recorder.step(np.array([recorder.action_space.sample() for _ in range(n_envs)]))[0])
    return recorder, np.stack(shown)


@pytest.mark.parametrize("capacity", [400, 60])
def test_each_frame_is_kept_once_and_stacks_come_back_as_they_were_shown(capacity):
    recorder, shown = played(capacity=capacity, steps=150)  # Breakout at random: games of some 40 to 60 steps
    assert recorder.memory.observations.shape == (capacity, 2, 1, 84, 84)
    assert recorder.memory.dones.any()
    rollout = recorder.latest(50)
    assert np.array_equal(rollout.observations, shown[-51:-1])
    ended = recorder.memory.dones[np.arange(100, 150) % capacity]
    assert np.array_equal(rollout.next_observations[~ended], shown[-50:][~ended])
    segments = recorder.cut_segments(10, np.random.default_rng(0))
    assert len(segments) > 4 and segments.history == 3 and segments.observations.shape == (len(segments), 14, 1, 84, 84)
    stacks = stacked(np.asarray(segments.observations), 3, time_axis=1)
    for row in range(len(segments)):
        steps = segments.start_step[row] + np.arange(10)
        assert np.array_equal(stacks[row, :10], shown[steps, segments.env_index[row]])


def test_the_last_stack_of_a_game_is_the_true_one():
    env = env_maker("ALE/Breakout-v5")()
    recorder, _ = played(n_envs=1, steps=300)
    end = int(np.flatnonzero(recorder.memory.dones[:, 0])[0])
    env.reset(seed=3)
    for action in recorder.memory.actions[: end + 1, 0]:
        last, _, terminated, *_ = env.step(action)
    assert terminated
    rollout = recorder.latest(300)
    assert np.array_equal(rollout.next_observations[end, 0], last)


@pytest.mark.parametrize("game, protocol", [("Pong", "v5"), ("Breakout", "paper"), ("Qbert", "v5")])
def test_segments_are_drawn_again_pixel_for_pixel_from_noted_states(game, protocol):
    how = PixelConfig(atari=protocol)
    recorder = Recorder(make_venv(env_maker(f"ALE/{game}-v5", "rgb_array", how), 1), 400)
    recorder.note_openings(recorder.cheapest_notes())
    recorder.action_space.seed(0)
    recorder.seed(3)
    recorder.reset()
    drawn = [recorder.venv.envs[0].render()]
    for _ in range(200):
        recorder.step(np.array([recorder.action_space.sample()]))
        drawn.append(recorder.venv.envs[0].render())
    segments = recorder.cut_segments(25, np.random.default_rng(0))
    origins = recorder.origins(segments)
    assert any(origins[row].opening.startswith(b'{"state"') for row in range(len(segments)))
    with closing(Redrawer(env_maker(f"ALE/{game}-v5", "rgb_array", how))) as redrawer:
        for row in range(len(segments)):
            start = int(segments.start_step[row])
            assert len(origins[row].actions) <= 64 + 40  # until an action comes twice
            frames = redrawer.redraw(segments[row], origins[row])
            assert frames.shape == (26, 210, 160, 3)
            assert np.array_equal(frames[:-1], np.stack(drawn[start : start + 25]))
        assert not redrawer.single  # none had to be drawn again in a new game
        assert redrawer.fps == 15


def test_people_can_be_shown_games():
    recorder = Recorder(make_venv(env_maker("ALE/Pong-v5"), 1), 50)
    prepare(recorder, lambda mode: env_maker("ALE/Pong-v5", mode), 0)
    assert recorder.venv.envs[0].notes == "state"


@pytest.mark.parametrize("damage", [b"nonsense", b'{"state": "AAAA", "action": 0}', b'{"state": "", "action": 99}'])
def test_a_state_that_is_none_is_refused(damage):
    recorder, _ = played("ALE/Pong-v5", 1, 120, notes="state")
    segments = recorder.cut_segments(10, np.random.default_rng(0))
    origin = recorder.origins(segments)[len(segments) - 1]
    with closing(Redrawer(env_maker("ALE/Pong-v5", "rgb_array"))) as redrawer, pytest.raises(Unfaithful):
        redrawer.redraw(segments[len(segments) - 1], replace(origin, opening=damage))
