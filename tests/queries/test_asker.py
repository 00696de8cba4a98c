import numpy as np
import pytest
import torch
from counting import counting, played
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.config.settings import QuestionConfig
from prefrl.core.errors import UserError
from prefrl.environments.recorder import Recorder
from prefrl.kinds import KINDS, kind_of
from prefrl.kinds.pair import Pair
from prefrl.queries.asker import LONGEST, Asker
from prefrl.queries.schedules import SCHEDULES
from prefrl.queries.strategies import disagreement

LENGTH = 5


class Fitted:
    """A reward model that predicts by length of name: some returns, not all alike."""

    version = 1

    def member_rewards(self, segments):
        rewards = segments.true_rewards[:, :1] % 7
        return torch.from_numpy(np.stack([rewards, np.sin(rewards), -rewards]))  # (E, N, 1)


class Unfitted:
    version = 0

    def member_rewards(self, segments):
        return None


def sessions(asker: Asker, recorder: Recorder, rollouts: int, n_steps: int, model=None):
    """Act and ask in turn. Yields (step, queries) of every session that asked something."""
    for _ in range(rollouts):
        played(recorder, n_steps, seed=recorder.steps)
        step = recorder.steps * recorder.num_envs
        due = asker.due(step)
        for queries in asker.choose(step, float("inf"), recorder, model or Unfitted()):
            assert 0 < len(queries) <= due
            yield step, queries


def make(total_steps: int, **chosen) -> Asker:
    return Asker(QuestionConfig(**{"length": LENGTH, **chosen}), total_steps, seed=0)


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(SCHEDULES)), st.integers(0, 60), st.floats(0, 1), st.sampled_from([1, 2, 4, 16, 64]),
    st.sampled_from(["uniform", "disagreement", "kcenter"]), st.booleans(),
)  # fmt: skip
def test_the_budget_is_asked_whatever_the_rollouts_and_never_exceeded(
    schedule, budget, growth, n_steps, strategy, fitted
):
    """3 environments, 1920 steps: segments for 192 questions."""
    asker = make(1920, budget=budget, schedule=schedule, growth=growth, strategy=strategy)
    recorder = Recorder(counting([[20], [30, 10], [15]]), 700)
    asked = 0
    for _, queries in sessions(asker, recorder, 640 // n_steps, n_steps, Fitted() if fitted else Unfitted()):
        asked += len(queries)
        assert asked == asker.asked <= budget
    assert asked == budget


@pytest.mark.parametrize("strategy", ["uniform", "disagreement", "entropy_kcenter"])
def test_no_step_is_in_two_questions(strategy):
    asker = make(2400, budget=100, strategy=strategy)
    shown = []
    for _, queries in sessions(asker, Recorder(counting([[20], [50]]), 2000), 12, 100, Fitted()):
        flat = queries.segments.flat()
        shown += [
            (env, start + t) for env, start in zip(flat.env_index, flat.start_step, strict=True) for t in range(LENGTH)
        ]
    assert len(shown) == 100 * 2 * LENGTH == len(set(shown))


def test_with_too_few_segments_it_asks_fewer_and_catches_up():
    asker = make(1000, budget=40, initial=1.0)
    found = list(sessions(asker, Recorder(counting([[50]]), 1000), 10, 100))
    assert sum(len(queries) for _, queries in found) == 40
    assert 4 <= len(found) <= 6 and found[-1][0] <= 600  # 100 steps hold 20 segments


def test_rollouts_shorter_than_a_segment_are_collected():
    asker = make(1000, budget=10, growth=0.5)
    found = list(sessions(asker, Recorder(counting([[50]]), 1000), 500, 2))
    assert sum(len(queries) for _, queries in found) == 10
    assert len(found) <= 10


def test_sessions_grow_with_what_was_asked_unless_questions_have_waited_long():
    asker = make(10_000, budget=100, growth=0.5, initial=0.2, schedule="constant", until=1.0)
    found = list(sessions(asker, Recorder(counting([[50]]), 1000), 1000, 10))
    sizes = np.array([len(queries) for _, queries in found])
    before = np.cumsum(sizes) - sizes
    grown = sizes >= np.minimum(before // 2, 100 - before)
    waited = np.diff([0, *(step for step, _ in found)]) >= LONGEST * 10_000
    assert (grown | waited).all() and sizes.sum() == 100
    assert grown.sum() > 3 and len(sizes) < 1 / LONGEST + 10


def test_everything_is_asked_by_the_share_of_the_run_that_was_set():
    asker = make(10_000, budget=100, until=0.5, schedule="constant")
    found = list(sessions(asker, Recorder(counting([[50]]), 1000), 100, 100))
    assert found[-1][0] == 5000 and asker.asked == 100


@pytest.mark.parametrize("seed", range(3))
def test_a_covering_strategy_asks_about_the_better_half_by_score(seed):
    def disagreement_of(strategy):
        asker = Asker(QuestionConfig(length=LENGTH, budget=30, initial=1.0, strategy=strategy), 1000, seed)
        recorder = Recorder(counting([[50], [50]]), 1000)
        played(recorder, 400, seed)
        [queries] = asker.choose(800, 30, recorder, Fitted())
        return np.nanmean(queries.scores)

    recorder = Recorder(counting([[50], [50]]), 1000)
    played(recorder, 400, seed)
    rewards = Fitted().member_rewards(recorder.cut_segments(LENGTH, np.random.default_rng(0)))
    pairs = np.random.default_rng(seed).integers(rewards.shape[1], size=(500, 2))
    at_random = disagreement(kind_of("pair").predict(rewards[:, pairs]).numpy()).mean()
    assert disagreement_of("disagreement_kcenter") > 1.1 * at_random
    assert disagreement_of("disagreement") >= disagreement_of("disagreement_kcenter")


def test_no_questions_without_a_budget():
    asker = make(1000, budget=0)
    assert [asker.due(step) for step in (0, 500, 1000)] == [0, 0, 0]


@pytest.mark.parametrize("strategy", ["uniform", "disagreement"])
def test_which_segment_comes_first_is_random(strategy):
    """Older segments pay more here: each side holds the older one about half the time."""
    asker = make(10_000, budget=400, strategy=strategy)
    older_first = np.concatenate([
        queries.segments.start_step[:, 0] < queries.segments.start_step[:, 1]
        for _, queries in sessions(asker, Recorder(counting([[50]]), 2000), 100, 100, Fitted())
    ])  # fmt: skip
    assert len(older_first) == 400
    assert older_first.mean() == pytest.approx(0.5, abs=0.1)  # four standard errors


def test_questions_say_when_and_by_what_they_were_asked():
    asker = make(1000, budget=4, strategy="disagreement", initial=1.0)
    [(step, queries)] = sessions(asker, Recorder(counting([[50]]), 1000), 10, 100, Fitted())
    assert (queries.step, queries.model_version, queries.strategy) == (100, 1, "disagreement") and step == 100
    assert (np.diff(queries.scores) <= 0).all()  # the best first


def test_before_the_first_fit_questions_are_random_pairs():
    asker = make(1000, budget=4, strategy="disagreement", initial=1.0)
    [(_, queries)] = sessions(asker, Recorder(counting([[50]]), 1000), 10, 100)
    assert queries.strategy == "uniform" and np.isnan(queries.scores).all()


def test_a_restored_asker_goes_on_where_it_was():
    asker, again = make(1000, budget=40), make(1000, budget=40)
    recorder = Recorder(counting([[50]]), 1000)
    list(sessions(asker, recorder, 4, 100))
    again.restore(asker.state())
    played(recorder, 100)
    [one], [other] = (each.choose(600, float("inf"), recorder, Unfitted()) for each in (asker, again))
    assert len(one) and np.array_equal(one.segments.start_step, other.segments.start_step)


def test_no_more_is_asked_than_the_teacher_takes():
    asker = make(1000, budget=40, initial=1.0)
    recorder = Recorder(counting([[50]]), 1000)
    played(recorder, 400)
    assert asker.choose(400, 0, recorder, Unfitted()) == []
    assert [len(queries) for queries in asker.choose(400, 3, recorder, Unfitted())] == [3]


@pytest.fixture
def three():
    """A kind that shows three segments, for as long as the test takes."""

    class Three(Pair):
        name, segments, outcomes = "three", 3, ()

    KINDS["three"] = Three()
    yield "three"
    del KINDS["three"]


@pytest.mark.parametrize("strategy", ["uniform", "disagreement", "kcenter"])
def test_several_kinds_share_the_budget_as_the_mix_says(three, strategy):
    asker = make(2400, budget=60, strategy=strategy, kinds=("pair", three), mix=(0.75, 0.25))
    found = list(sessions(asker, Recorder(counting([[20], [50]]), 2000), 12, 100, Fitted()))
    count = {kind: sum(len(queries) for _, queries in found if queries.kind == kind) for kind in ("pair", three)}
    assert count == {"pair": 45, three: 15}
    assert {queries.kind: queries.segments.env_index.shape[1] for _, queries in found} == {"pair": 2, three: 3}
    assert found[0][1].kind == "pair" and any(queries.kind == three for _, queries in found[:4])
    again = make(2400, budget=60, strategy=strategy, kinds=("pair", three), mix=(0.75, 0.25))
    again.restore(asker.state())
    assert again.state() == asker.state()


def test_kinds_one_by_one_are_asked_in_turn(three):
    asker = make(2400, budget=40, kinds=(three, "pair"), turns="one_by_one")
    kinds = [queries.kind for _, queries in sessions(asker, Recorder(counting([[20], [50]]), 2000), 12, 100)]
    last = len(kinds) - kinds[::-1].index(three)
    assert set(kinds[last:]) == {"pair"} and kinds[0] == three and "pair" not in kinds[: last - 1]


@pytest.mark.parametrize("chosen, said", [
    ({"kinds": ("pair", "pair")}, "none twice"),
    ({"kinds": ("pear",)}, "did you mean 'pair'"),
    ({"mix": (0.5, 0.5)}, "must give each of 1 kinds its share"),
])  # fmt: skip
def test_kinds_and_mixes_that_cannot_be_are_refused(chosen, said):
    with pytest.raises(UserError, match=said):
        make(1000, **chosen)
