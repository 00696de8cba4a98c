import gymnasium as gym
import numpy as np
import pytest
from counting import Counting, counting, played
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import DummyVecEnv

from prefrl.core.errors import EnvironmentFailed, NonFiniteError, UserError
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.ring import steps_that_fit
from prefrl.environments.vector import make_venv

NAME, EPISODE, STEP = 0, 1, 2  # what Counting shows

lengths = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=4), min_size=1, max_size=3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@settings(max_examples=60)
@given(lengths, st.integers(1, 40), st.integers(1, 60), st.integers(1, 6), st.integers(0, 30), st.booleans())
def test_segments_tell_what_happened(episodes, capacity, steps, length, since, terminates):
    recorder = Recorder(counting(episodes, terminates), capacity)
    actions = played(recorder, steps)
    segments = recorder.cut_segments(length, np.random.default_rng(steps), since)
    seen, when = segments.observations, segments.start_step[:, None] + np.arange(length)
    assert (seen[..., NAME] == segments.env_index[:, None]).all()
    assert (seen[..., EPISODE] == seen[:, :1, EPISODE]).all()  # nothing crosses an episode's end
    assert (seen[..., STEP] == seen[:, :1, STEP] + np.arange(length + 1)).all()
    assert (segments.true_rewards == 1000 * seen[:, :-1, EPISODE] + seen[:, :-1, STEP]).all()
    assert (segments.actions == actions[when, segments.env_index[:, None]]).all()
    assert segments.start_step.min(initial=steps) >= max(min(since, steps), steps - capacity)
    shown = set(zip(np.repeat(segments.env_index, length).tolist(), when.ravel().tolist(), strict=True))
    assert len(shown) == when.size  # no step is in two segments


@settings(max_examples=40)
@given(lengths, st.integers(1, 50), st.integers(1, 6), st.integers(0, 60))
def test_every_stretch_gives_all_segments_it_holds(episodes, steps, length, since):
    recorder = Recorder(counting(episodes), capacity=50)
    played(recorder, steps)
    stretches = np.zeros(0, int)
    for env in range(recorder.num_envs):
        ended = (
            np.cumsum(recorder.memory.dones[:steps, env]) - recorder.memory.dones[:steps, env]
        )  # episode of each step
        stretches = np.append(stretches, np.unique(ended[since:], return_counts=True)[1])
    assert len(recorder.cut_segments(length, np.random.default_rng(0), since)) == (stretches // length).sum()


def test_where_segments_begin_is_random():
    recorder = Recorder(counting([[10]]), 100)
    played(recorder, 10)
    starts = {int(recorder.cut_segments(7, np.random.default_rng(seed)).start_step[0]) for seed in range(50)}
    assert starts == {0, 1, 2, 3}


@settings(max_examples=40)
@given(lengths, st.integers(1, 30), st.integers(1, 90), st.data())
def test_latest_steps_have_their_true_successors(episodes, capacity, steps, data):
    recorder = Recorder(counting(episodes), capacity)
    actions = played(recorder, steps)
    n = data.draw(st.integers(1, min(capacity, steps)))
    rollout = recorder.latest(n)
    assert (rollout.next_observations[..., :STEP] == rollout.observations[..., :STEP]).all()
    assert (rollout.next_observations[..., STEP] == rollout.observations[..., STEP] + 1).all()
    assert (rollout.actions == actions[-n:]).all()
    assert (rollout.true_rewards == 1000 * rollout.observations[..., EPISODE] + rollout.observations[..., STEP]).all()


def test_latest_steps_know_where_episodes_begin_and_what_came_before():
    recorder = Recorder(counting([[3, 4], [50]]), 20)
    played(recorder, 12)
    alone, rollout = recorder.memory.latest(5), recorder.memory.latest(5, context=4)
    assert alone.earlier is None
    assert np.array_equal(rollout.observations, alone.observations) and len(rollout.earlier.actions) == 4
    joined = recorder.memory.latest(9)
    for part in ("observations", "actions", "next_observations", "true_rewards", "finished", "begins"):
        both = np.concatenate([getattr(rollout.earlier, part), getattr(rollout, part)])
        assert np.array_equal(both, getattr(joined, part))
    assert joined.begins.T.tolist() == [[step in (3, 7, 10) for step in range(3, 12)], [False] * 9]
    every = recorder.memory.latest(5, context=100)
    assert len(every.earlier.actions) == 7 and every.earlier.begins[0].all()  # all that there is


def test_segments_repeat_when_the_environment_is_stepped_again(rng):
    recorder = Recorder(make_venv(env_maker("Pendulum-v1"), 2), 500)
    played(recorder, 450)
    segments = recorder.cut_segments(30, rng)
    assert len(segments) >= 2 * 13
    env = gym.make("Pendulum-v1").unwrapped
    for n in range(len(segments)):
        env.reset()
        cos, sin, speed = segments.observations[n, 0]
        env.state = np.array([np.arctan2(sin, cos), speed])
        again = [env.step(action)[:2] for action in segments.actions[n]]
        assert np.allclose([seen for seen, _ in again], segments.observations[n, 1:], atol=1e-3)
        assert np.allclose([paid for _, paid in again], segments.true_rewards[n], atol=1e-2)


def test_memory_stays_bounded_however_short_the_episodes():
    recorder = Recorder(counting([[1], [1, 2], [3]]), 20)
    played(recorder, 900)
    assert len(recorder.memory.observations) == 20
    assert len(recorder.memory.tracks[""].last) <= 2 * 20 * 3
    assert len(recorder.finished) == 100


def test_the_memory_that_fits_is_the_memory_that_is_taken():
    venv = counting([[5], [5]])
    recorder = Recorder(venv, steps_that_fit(1.0, venv))
    arrays = (
        recorder.memory.observations,
        recorder.memory.actions,
        recorder.memory.true_rewards,
        recorder.memory.dones,
        recorder.memory.finishes,
    )
    assert 0.99 * 2**20 < sum(array.nbytes for array in arrays) <= 2**20


def test_the_learner_sees_no_reward_and_the_recorder_the_true_one():
    recorder = Recorder(counting([[3], [4]]), 50)
    recorder.reset()
    paid = np.stack([recorder.step(np.zeros((2, 1), np.float32))[1] for _ in range(12)])
    assert not paid.any()
    assert recorder.latest(12).true_rewards[:, 0].tolist() == [1000 * e + t for e in range(4) for t in range(3)]


def test_finished_episodes_have_their_true_return_and_length():
    recorder = Recorder(counting([[3], [4]]), 50)
    played(recorder, 7)
    assert recorder.finished == [(3, 3), (6, 4), (3003, 3)]
    assert recorder.recent_return() == (pytest.approx(3012 / 3), pytest.approx(10 / 3))


def test_no_recent_return_before_the_first_whole_episode():
    recorder = Recorder(counting([[9]]), 50)
    played(recorder, 8)
    assert np.isnan(recorder.recent_return()).all()


def test_a_cut_truncates_and_leaves_the_last_observation_to_bootstrap_from():
    recorder = Recorder(counting([[100], [4]]), 50, cut_every=8, seed_at=lambda steps: 10 * steps)
    played(recorder, 7)
    observations, _, dones, infos = recorder.step(np.zeros((2, 1), np.float32))
    assert dones.all()
    assert infos[0]["TimeLimit.truncated"] and infos[0]["terminal_observation"].tolist() == [0, 0, 8]
    assert not infos[1]["TimeLimit.truncated"] and infos[1]["terminal_observation"].tolist() == [1, 1, 4]
    assert observations[0].tolist() == [0, 1, 0]
    rollout = recorder.latest(8)
    assert rollout.next_observations[-1].tolist() == [[0, 0, 8], [1, 1, 4]]
    assert [env.seeds[-1] for env in recorder.venv.envs] == [80, 81]


def test_cut_episodes_are_no_finished_ones(rng):
    recorder = Recorder(counting([[100]]), 50, cut_every=8)
    played(recorder, 20)
    assert recorder.finished == []
    assert not recorder.latest(20).finished.any()
    assert len(recorder.cut_segments(8, rng)) == 2


def test_no_segment_crosses_a_reset(rng):
    recorder = Recorder(counting([[100]]), 50)
    played(recorder, 6)
    recorder.reset()
    played(recorder, 6)
    segments = recorder.cut_segments(4, rng)
    assert segments.observations[:, 0, EPISODE].tolist() == [0, 1]
    assert segments.observations[..., STEP].max() <= 6


def test_what_was_forgotten_is_in_no_segment(rng):
    recorder = Recorder(counting([[10]]), 50, cut_every=8)
    played(recorder, 8)
    recorder.begin_at(recorder.steps)
    assert len(recorder.cut_segments(2, rng)) == 0
    played(recorder, 4)
    assert recorder.cut_segments(2, rng).start_step.tolist() == [8, 10]


class Faulty(Counting):
    """Gives one bad value, in its third step."""

    def __init__(self, reward: float = 0.0, observation: float = 0.0, name: int = 0):
        super().__init__([3], name)
        self.bad = reward, observation

    def step(self, action):
        observation, reward, *rest = super().step(action)
        if self.at == 3:
            reward, observation = reward + self.bad[0], observation + np.float32(self.bad[1])
        return observation, reward, *rest


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e6, -2e6])
def test_a_bad_reward_is_refused_at_its_step(bad):
    recorder = Recorder(DummyVecEnv([lambda: Counting([5]), lambda: Faulty(reward=bad)]), 50)
    with pytest.raises(NonFiniteError, match=r"environment 1 gave the reward .* in step 3;"):
        played(recorder, 5)
    assert recorder.steps == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_last_observation_names_its_environment(bad):
    recorder = Recorder(DummyVecEnv([lambda: Counting([5], 9_000_000), lambda: Faulty(observation=bad)]), 50)
    with pytest.raises(NonFiniteError, match=r"environment 1 gave the last observation of an episode .* in step 3;"):
        played(recorder, 5)
    assert recorder.steps == 2


def test_a_bad_observation_is_not_blamed_on_a_large_one():
    class Early(Counting):
        def _seen(self):
            return super()._seen() + (np.float32(np.nan) if self.at == 2 else np.float32(0))

    recorder = Recorder(DummyVecEnv([lambda: Counting([5], 9_000_000), lambda: Early([5])]), 50)
    with pytest.raises(NonFiniteError, match=r"environment 1 gave the observation .* in step 2;"):
        played(recorder, 5)


def test_an_exception_names_environment_and_step():
    class Broken(Counting):
        def step(self, action):
            return super().step(action) if self.at < 4 else 1 / 0

    recorder = Recorder(DummyVecEnv([lambda: Counting([9]), lambda: Broken([9])]), 50)
    with pytest.raises(EnvironmentFailed, match="environment 1 raised ZeroDivisionError in step 5: division by zero"):
        played(recorder, 9)


class Sampled(gym.Env):
    """Shows samples of a space, and takes actions of another."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        self.age = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.age += 1
        return self.observation_space.sample(), 1.0, False, self.age == 9, {}


SPACES = {
    "Discrete": spaces.Discrete(5),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(4),
    "Box": spaces.Box(-1, 1, (2,), np.float32),
}
IMAGE = spaces.Box(0, 255, (6, 6, 1), np.uint8)


@pytest.mark.parametrize("name", [*SPACES, "image"])
def test_observations_of_every_space_are_kept_as_they_were(name, rng):
    recorder = Recorder(DummyVecEnv([lambda: Sampled({**SPACES, "image": IMAGE}[name], SPACES["Box"])] * 1), 40)
    seen = [recorder.reset(), *(recorder.step(np.zeros((1, 2), np.float32))[0] for _ in range(30))]
    rollout = recorder.latest(30)
    assert np.array_equal(rollout.observations, np.array(seen[:-1]))
    inside = ~rollout.finished
    assert np.array_equal(rollout.next_observations[inside], np.array(seen[1:])[inside])
    assert rollout.observations.dtype == recorder.observation_space.dtype
    assert len(recorder.cut_segments(4, rng)) == 3 * 2


@pytest.mark.parametrize("name", SPACES)
def test_actions_of_every_space_are_kept_as_they_were(name):
    recorder = Recorder(DummyVecEnv([lambda: Sampled(IMAGE, SPACES[name])]), 40)
    actions = played(recorder, 30)
    assert np.array_equal(recorder.latest(30).actions, actions)


def test_environments_may_show_plain_numbers(rng):
    recorder = Recorder(make_venv(env_maker("FrozenLake-v1"), 2), 200)
    played(recorder, 150)
    assert recorder.finished and len(recorder.cut_segments(3, rng))


def test_other_spaces_are_refused_with_a_way_out():
    space = spaces.Dict({"place": SPACES["Box"], "mission": spaces.Text(9)})
    with pytest.raises(UserError, match=r"observation space 'mission' is Text.*FilterObservation"):
        make_venv(lambda: Sampled(space, SPACES["Box"]), 1)
