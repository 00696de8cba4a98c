"""Observations in dicts and tuples, vectors and pictures, from the environment to the reward network, the store and back."""

import gymnasium as gym
import numpy as np
import pytest
from counting import Counting, played
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from prefrl.core.errors import NonFiniteError, UserError
from prefrl.core.frames import Frames
from prefrl.environments.making import check_spaces, env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.ring import steps_that_fit
from prefrl.environments.vector import make_venv

NAME, EPISODE, STEP = 0, 1, 2  # what Counting shows


class Shown(gym.ObservationWrapper):
    """Shows what Counting shows in another form."""

    def __init__(self, env, space, show):
        super().__init__(env)
        self.observation_space, self.show = space, show

    def observation(self, observation):
        return self.show(observation)


VECTOR = spaces.Box(-np.inf, np.inf, (3,), np.float32)
PICTURE = spaces.Box(0, 255, (36, 36, 3), np.uint8)


def picture(observation):
    """Step, name and episode as the colour of a picture."""
    return np.full((36, 36, 3), observation[[STEP, NAME, EPISODE]].astype(np.uint8))


FORMS = {
    "dict": (
        spaces.Dict({"vector": VECTOR, "parity": spaces.Discrete(2)}),
        lambda shown: {"vector": shown, "parity": int(shown[STEP]) % 2},
    ),
    "tuple": (
        spaces.Tuple([VECTOR, spaces.Box(0, 99, (), np.float32)]),
        lambda shown: (shown, np.float32(shown[STEP])),
    ),
    "nested": (
        spaces.Dict({"body": spaces.Dict({"all": VECTOR, "pair": spaces.Tuple([spaces.Discrete(99), spaces.MultiBinary(2)])})}),
        lambda shown: {"body": {"all": shown, "pair": (int(shown[STEP]), (shown[:2] > 0).astype(np.int8))}},
    ),
    "picture": (
        spaces.Dict({"picture": PICTURE, "vector": VECTOR}),
        lambda shown: {"picture": picture(shown), "vector": shown},
    ),
}  # fmt: skip
VECTORS = {"dict": "vector", "tuple": "0", "nested": "body.all", "picture": "vector"}
STEPS = {
    "dict": lambda parts: parts["parity"],
    "tuple": lambda parts: parts["1"][..., 0],
    "nested": lambda parts: parts["body.pair.0"],
    "picture": lambda parts: parts["picture"][..., 35, 0, 0],
}


def made(form, lengths=(7,), name=0, terminates=True):
    return lambda: Shown(Counting(lengths, name, terminates), *FORMS[form])


def vector(form, lengths=((7,), (4, 5)), terminates=True):
    """A vector with one environment for each list of episode lengths."""
    makers = iter([env_maker(made(form, each, n, terminates)) for n, each in enumerate(lengths)])
    return make_venv(lambda: next(makers)(), len(lengths))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("capacity", "steps"), [(50, 40), (20, 90)])
def test_segments_tell_what_happened_in_every_part(form, capacity, steps, rng):
    recorder = Recorder(vector(form), capacity)
    actions = played(recorder, steps)
    segments = recorder.cut_segments(3, rng)
    shown, when = segments.observations[VECTORS[form]], segments.start_step[:, None] + np.arange(3)
    assert len(segments) >= 5
    assert (shown[..., NAME] == segments.env_index[:, None]).all()
    assert (shown[..., EPISODE] == shown[:, :1, EPISODE]).all()
    assert (shown[..., STEP] == shown[:, :1, STEP] + np.arange(4)).all()
    assert (segments.true_rewards == 1000 * shown[:, :-1, EPISODE] + shown[:, :-1, STEP]).all()
    assert (segments.actions == actions[when, segments.env_index[:, None]]).all()
    step = STEPS[form](segments.observations)
    assert (step == (shown[..., STEP] % 2 if form == "dict" else shown[..., STEP])).all()


@pytest.mark.parametrize("form", FORMS)
def test_latest_steps_have_their_true_successors_in_every_part(form):
    recorder = Recorder(vector(form), 30)
    played(recorder, 70)
    rollout = recorder.latest(25)
    before, after = rollout.observations, rollout.next_observations
    key = VECTORS[form]
    assert (after[key][..., :STEP] == before[key][..., :STEP]).all()
    assert (after[key][..., STEP] == before[key][..., STEP] + 1).all()
    step = STEPS[form](after)
    assert (step == (after[key][..., STEP] % 2 if form == "dict" else after[key][..., STEP])).all()
    assert rollout.finished.any()


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_leaves_every_part_of_the_last_observation_to_bootstrap_from(form):
    recorder = Recorder(vector(form, [[100]]), 50, cut_every=8, seed_at=lambda steps: 10 * steps)
    played(recorder, 7)
    observations, _, dones, infos = recorder.step(np.zeros((1, 1), np.float32))
    assert dones.all() and infos[0]["TimeLimit.truncated"]
    assert infos[0]["terminal_observation"][VECTORS[form]].tolist() == [0, 0, 8]
    assert observations[VECTORS[form]][0].tolist() == [0, 1, 0]
    assert recorder.latest(8).next_observations[VECTORS[form]][-1, 0].tolist() == [0, 0, 8]


def test_parts_of_tuples_and_nested_dicts_get_a_key_each():
    space = env_maker(made("nested"))().observation_space
    assert list(space.spaces) == ["body.all", "body.pair.0", "body.pair.1"]
    space = env_maker(made("tuple"))().observation_space
    assert space["1"] == spaces.Box(0, 99, (1,), np.float32)


def test_a_flat_dict_is_left_as_it_is():
    assert isinstance(env_maker(made("dict"))(), Shown)


def test_a_box_of_no_axes_gets_one(rng):
    scalar = spaces.Box(-1, 99, (), np.float32), lambda shown: np.float32(shown[STEP])
    recorder = Recorder(make_venv(env_maker(lambda: Shown(Counting([5]), *scalar)), 1), 30)
    played(recorder, 20)
    segments = recorder.cut_segments(4, rng)
    assert segments.observations.shape == (4, 5, 1) and (np.diff(segments.observations, axis=1) == 1).all()


def test_two_parts_of_one_key_are_refused():
    space = spaces.Dict({"a.b": VECTOR, "a": spaces.Dict({"b": VECTOR})})
    with pytest.raises(UserError, match=r"2 parts that would be called 'a.b'.*rename"):
        env_maker(lambda: Shown(Counting(), space, dict))()


@pytest.mark.parametrize(("part", "message"), [
    (spaces.Text(9), r"observation space 'b' is Text.*prefrl takes Box, Discrete.*Leave 'b' out with gymnasium.wrappers.FilterObs"),
    (spaces.Discrete(3, start=1), r"observation space 'b' Discrete\(3, start=1\) does not start at 0"),
    (spaces.MultiDiscrete([[2, 3], [3, 4]]), r"(?s)observation space 'b'.* has 2 axes"),
    (spaces.Dict({"c": VECTOR}), r"observation space 'b' is Dict.*FlatObservations"),
])  # fmt: skip
def test_other_parts_are_refused_with_a_way_out(part, message):
    env = Shown(Counting(), spaces.Dict({"a": VECTOR, "b": part}), dict)
    with pytest.raises(UserError, match=message):
        check_spaces(env)


def test_the_way_out_works():
    env = Shown(Counting(), spaces.Dict({"a": VECTOR, "b": spaces.Text(9)}), dict)
    check_spaces(gym.wrappers.FilterObservation(env, ["a"]))


def test_a_bad_number_is_named_with_its_part():
    space, show = FORMS["dict"]

    def broken(shown):
        return {**show(shown), "vector": shown + np.float32(np.nan if shown[STEP] == 3 else 0)}

    recorder = Recorder(make_venv(env_maker(lambda: Shown(Counting([5]), space, broken)), 1), 30)
    with pytest.raises(NonFiniteError, match=r"environment 0 gave the observation, 'vector', \[.*nan.*\] in step 3"):
        played(recorder, 5)


class InPlace(Counting):
    """Fills one array, whatever it shows."""

    def __init__(self, lengths=(7,), name=0):
        super().__init__(lengths, name)
        self.array = np.zeros(3, np.float32)

    def _seen(self):
        self.array[:] = super()._seen()
        return self.array


@pytest.mark.parametrize("parts", [None, (spaces.Dict({"vector": VECTOR}), lambda shown: {"vector": shown})])
def test_an_array_that_is_filled_again_does_not_change_what_was_observed(parts, rng):
    make = InPlace if parts is None else lambda: Shown(InPlace(), *parts)
    recorder = Recorder(make_venv(env_maker(make), 1), 50)
    played(recorder, 40)
    rollout = recorder.latest(30)
    after = rollout.next_observations["vector"] if parts else rollout.next_observations
    assert (after[..., STEP] == np.arange(10, 40)[:, None] % 7 + 1).all()
    segments = recorder.cut_segments(7, rng)
    last = (segments.observations["vector"] if parts else segments.observations)[:, -1, STEP]
    assert last.tolist() == [7] * len(last) and len(last) >= 5


class Reusing(DummyVecEnv):
    """A vector that returns the same arrays each time, as some of other packages do."""

    def _obs_from_buf(self):
        return dict(self.buf_obs) if isinstance(self.observation_space, spaces.Dict) else self.buf_obs[None]


@pytest.mark.parametrize("form", [None, "dict"])
def test_a_vector_that_fills_its_arrays_again_is_copied(form):
    recorder = Recorder(Reusing([(lambda: Counting([9])) if form is None else env_maker(made(form, [9]))]), 50)
    recorder.memory.copies = True  # as of a vector that is none of SB3's own
    played(recorder, 30)
    observations = recorder.latest(30).observations
    shown = observations if form is None else observations["vector"]
    assert (shown[..., STEP] == np.arange(30)[:, None] % 9).all()


class Stacked(gym.Wrapper):
    """A Dict whose picture is a stack of the last three, channels first; the first stands in for those before it."""

    def __init__(self, env):
        super().__init__(env)
        self.frames_stacked = {"picture": 3}
        self.observation_space = spaces.Dict({"picture": spaces.Box(0, 255, (3, 8, 8), np.uint8), "vector": VECTOR})

    def reset(self, **how):
        shown, info = self.env.reset(**how)
        self.stack = [np.full((1, 8, 8), shown[STEP], np.uint8)] * 3
        return self._all(shown), info

    def step(self, action):
        shown, *rest = self.env.step(action)
        self.stack = [*self.stack[1:], np.full((1, 8, 8), shown[STEP], np.uint8)]
        return self._all(shown), *rest

    def _all(self, shown):
        return {"picture": np.concatenate(self.stack), "vector": shown}


def test_a_stack_of_frames_in_a_dict_is_kept_as_its_newest_frame(rng):
    recorder = Recorder(make_venv(env_maker(lambda: Stacked(Counting([6, 9]))), 2), 40)
    played(recorder, 75)
    assert recorder.memory.observations["picture"].shape == (40, 2, 1, 8, 8)
    rollout = recorder.latest(20)
    for parts in (rollout.observations, rollout.next_observations):
        step = parts["vector"][..., STEP]
        expected = np.stack([np.maximum(step - back, 0) for back in (2, 1, 0)], axis=-1)
        assert (parts["picture"][..., 0, 0] == expected).all()
    segments = recorder.cut_segments(4, rng)
    frames = segments.observations["picture"]
    assert isinstance(frames, Frames) and frames.shape == (len(segments), 2 + 5, 1, 8, 8)
    assert segments.history == 2 and segments.history_of(segments.observations["vector"]) == 0
    assert (np.asarray(frames)[:, 2:, 0, 0, 0] == segments.observations["vector"][..., STEP]).all()
    assert (np.asarray(frames[:3])[:, 1:-1] == np.asarray(frames)[:3, 1:-1]).all()
    pairs = segments[np.arange(4).reshape(2, 2)]
    assert pairs.flat().observations["picture"].shape == (4, 7, 1, 8, 8)


def test_the_memory_that_fits_is_the_memory_that_is_taken():
    venv = vector("picture")
    memory = Recorder(venv, steps_that_fit(3.0, venv)).memory
    arrays = [*memory.observations.values(), memory.actions, memory.true_rewards, memory.dones, memory.finishes]
    assert 0.99 * 3 * 2**20 < sum(array.nbytes for array in arrays) <= 3 * 2**20
