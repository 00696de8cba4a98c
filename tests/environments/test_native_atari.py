"""ale-py's own vector plays the same games as the usual wrappers, and says the same about them."""

import numpy as np
import pytest
from study import weights

from prefrl.config.settings import PixelConfig
from prefrl.core.errors import UserError
from prefrl.environments.making import env_maker
from prefrl.environments.vector import make_venv
from prefrl.runs.api import train

pytest.importorskip("ale_py")
from prefrl.environments.native_atari import NativeAtari

N = 3
SEEDS = (0, 5, 2**40)  # some of which would be negative in the emulator


def both(game: str, **settings):
    shown = PixelConfig(**settings)
    return make_venv(env_maker(game, None, shown), N), NativeAtari(game, N, shown)


@pytest.mark.parametrize(
    "game, steps, seeds", [("Breakout", 300, SEEDS), ("Pong", 150, SEEDS[:1]), ("SpaceInvaders", 150, SEEDS[-1:])]
)
def test_the_same_games_frame_by_frame(game, steps, seeds):
    usual, native = both(f"ALE/{game}-v5")
    assert usual.observation_space == native.observation_space and usual.action_space == native.action_space
    ended = 0
    for seed in seeds:
        for venv in (usual, native):
            venv.seed(seed)
        assert np.array_equal(usual.reset(), native.reset())
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            actions = rng.integers(usual.action_space.n, size=N)
            one, other = usual.step(actions), native.step(actions)
            for mine, theirs in zip(one[:3], other[:3], strict=True):
                assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
            for env in np.flatnonzero(one[2]):
                ended += 1
                mine, theirs = one[3][env], other[3][env]
                assert np.array_equal(mine["terminal_observation"], theirs["terminal_observation"])
                assert mine["TimeLimit.truncated"] == theirs["TimeLimit.truncated"]
                assert [mine["episode"][part] for part in "rl"] == [theirs["episode"][part] for part in "rl"]
    assert ended > 5 or game != "Breakout"


def test_what_was_shown_stays_as_it_was_shown():
    native = NativeAtari("ALE/Pong-v5", N, PixelConfig())
    native.seed(1)
    first = native.reset()
    kept = first.copy()
    for _ in range(30):
        native.step(np.full(N, 2))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("masked", [True, False])
def test_the_score_is_hidden_if_wanted(masked):
    native = NativeAtari("ALE/Pong-v5", N, PixelConfig(mask=masked))
    assert (native.reset()[:, :, :9].max() == 0) == masked


@pytest.mark.filterwarnings(
    "ignore:.*segment pairs tie", "ignore:.*episodes of", "ignore:only", "ignore:nothing was learned"
)
def test_a_run_on_it_is_the_run_on_the_usual_wrappers(tmp_path):
    settings = {
        "steps": 512, "agent.n_envs": 2, "agent.n_steps": 64, "agent.batch_size": 64, "agent.n_epochs": 1,
        "questions.budget": 8, "questions.length": 5, "reward.first_epochs": 1, "reward.epochs": 1, "reward.members": 1, "questions.strategy": "uniform",
        "record.video": False, "record.evaluation_episodes": 1, "record.checkpoints": 2, "pixels.size": 40,
    }  # fmt: skip
    runs = [
        train("ALE/Breakout-v5", folder=tmp_path / str(native), quiet=True, **{**settings, "pixels.native": native})
        for native in (False, True)
    ]
    assert weights(runs[0].folder) == weights(runs[1].folder)


@pytest.mark.parametrize(
    "env, settings, told",
    [
        ("Pendulum-v1", {}, "is for Atari games, and Pendulum-v1 is none"),
        ("ALE/Pong-v5", {"pixels.atari": "paper"}, "plays by the v5 protocol alone, not pixels.atari='paper'"),
        ("ALE/Pong-v5", {"pixels.show": "raw"}, "as pixels.show=auto does, not 'raw'"),
        ("ALE/Pong-v5", {"teacher": "human"}, "people need clips"),
    ],
)
def test_what_it_cannot_play_is_refused(tmp_path, env, settings, told):
    with pytest.raises(UserError, match=told):
        train(env, folder=tmp_path / "run", quiet=True, **{"pixels.native": True, **settings})
