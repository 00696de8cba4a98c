import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from scipy.stats import binom

from prefrl.core.data import Queries
from prefrl.core.errors import NonFiniteError, UserError
from prefrl.teachers import TEACHERS, make_teacher
from prefrl.teachers.oracle import myopic_returns

SYNTHETIC = sorted(set(TEACHERS) - {"human", "replay"})

REWARDS = arrays(np.float64, st.tuples(st.integers(1, 6), st.just(2), st.integers(1, 5)), elements=st.floats(-100, 100))


def make(name="oracle", seed=0, **settings):
    return make_teacher(name, rng=np.random.default_rng(seed), **settings)


def teacher(name="oracle", seed=0, **settings):
    """Answers as preferences, NaN where skipped."""
    made = make(name, seed, **settings)
    return lambda queries: preferences(made(queries))


def preferences(answers):
    return np.array([np.nan if answer is None else answer["preference"] for answer in answers])


def assert_share(found, share, what):
    """The share of True lies in the central 99.9 % of the binomial distribution."""
    low, high = binom.interval(0.999, len(found), share)
    assert low <= found.sum() <= high, (
        f"{what}: {found.mean():.4f}, expected {share} within [{low}, {high}] / {len(found)}"
    )


def gap(queries):
    return queries.segments.true_returns[:, 0] - queries.segments.true_returns[:, 1]


def mirrored(queries):
    return Queries(queries.segments[:, ::-1], queries.scores)


def test_the_oracle_prefers_the_higher_return_and_calls_a_tie_equal(ask):
    answers = teacher()(ask([[[1, 1], [0, 1]], [[0, 0], [0, 1]], [[0, 1], [1, 0]]]))
    assert answers.tolist() == [1.0, 0.0, 0.5]


def test_rounding_is_no_preference(ask):
    assert teacher()(ask([[[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]])).tolist() == [0.5]


@given(REWARDS, st.integers(0, 2**31))
def test_the_oracle_is_deterministic(ask, rewards, seed):
    assert np.array_equal(teacher(seed=0)(ask(rewards)), teacher(seed=seed)(ask(rewards)))


@given(REWARDS, st.sampled_from(["oracle", "myopic", "equal", "skip"]))
def test_mirroring_a_query_mirrors_a_deterministic_answer(ask, rewards, name):
    answers, turned = teacher(name)(ask(rewards)), teacher(name)(mirrored(ask(rewards)))
    assert np.array_equal(turned, 1 - answers, equal_nan=True)


@pytest.mark.parametrize("name", ["noisy", "mistake"])
def test_mirroring_a_query_mirrors_the_distribution_of_a_random_answer(ask, name):
    pair = [[0.0, 0.3], [0.0, 0.0]]
    same = ask([pair, pair[::-1]] * 10_000)
    answers = teacher(name)(same)
    expected = expit(0.3 / np.std(same.segments.true_returns)) if name == "noisy" else 0.9
    assert_share(answers[::2] == 1, expected, "as shown")
    assert_share(answers[1::2] == 0, expected, "mirrored")


def test_a_tenth_of_the_answers_is_wrong(many):
    answers = teacher("mistake")(many)
    assert_share((answers > 0.5) != (gap(many) > 0), 0.1, "mistakes")


def test_mistakes_fall_on_good_and_bad_pairs_alike(many):
    wrong = (teacher("mistake")(many) > 0.5) != (gap(many) > 0)
    assert_share(wrong[gap(many) > 0], 0.1, "first better")
    assert_share(wrong[np.abs(gap(many)) > 60], 0.1, "obvious")


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_asked_share_of_questions_is_skipped(many, share):
    assert_share(np.isnan(teacher("skip", skip=share)(many)), share, "skips")


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_asked_share_of_questions_is_tied(many, share):
    assert_share(teacher("equal", equal=share)(many) == 0.5, share, "ties")


def test_only_pairs_of_poor_segments_are_skipped_and_only_close_ones_tied(many):
    returns, skipped = many.segments.true_returns.max(-1), np.isnan(teacher("skip")(many))
    assert returns[skipped].max() < returns[~skipped].min()
    tied = teacher("equal")(many) == 0.5
    assert np.abs(gap(many))[tied].max() < np.abs(gap(many))[~tied].min()


def test_a_myopic_teacher_ties_and_skips_by_what_was_really_earned(many):
    straight, myopic = teacher(skip=0.2, equal=0.2)(many), teacher("myopic", gamma=0.3, skip=0.2, equal=0.2)(many)
    assert np.array_equal(np.isnan(straight), np.isnan(myopic))
    assert np.array_equal(straight == 0.5, myopic == 0.5)


def test_ties_are_never_turned_round(ask, many):
    assert set(np.unique(teacher("equal", equal=1.0, mistake=1.0)(many))) == {0.5}
    assert teacher("mistake", mistake=1.0)(ask([[[1, 0], [0, 1]]])).tolist() == [0.5]
    tied = teacher("equal")(many) == 0.5
    assert np.array_equal(tied, teacher("equal", mistake=0.5)(many) == 0.5)


def test_a_skip_comes_before_a_tie(many):
    assert np.isnan(teacher("skip", skip=1.0, equal=1.0)(many)).all()


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_the_better_one_is_chosen_with_probability_sigmoid_of_beta_times_gap(many, beta):
    answers, spreads = teacher("noisy", beta=beta)(many), gap(many) / many.segments.true_returns.std()
    edges = np.quantile(spreads, np.linspace(0, 1, 11))
    for low, high in pairwise(edges):
        inside = (spreads >= low) & (spreads < high)
        assert_share(answers[inside] == 1, expit(beta * spreads[inside]).mean(), f"gap in [{low:.2f}, {high:.2f}]")


def test_beta_on_raw_returns_is_bpref_units(many):
    answers = teacher("noisy", beta=0.02, units="bpref")(many)
    assert_share(answers == 1, expit(0.02 * gap(many)).mean(), "all")
    close = np.abs(gap(many)) < 30
    assert_share(
        (answers > 0.5)[close] == (gap(many) > 0)[close], expit(0.02 * np.abs(gap(many)[close])).mean(), "close"
    )


@given(st.floats(0.1, 1e4), st.floats(-1e3, 1e3), st.sampled_from(SYNTHETIC))
def test_task_units_do_not_see_the_scale_or_the_zero_of_the_reward(ask, scale, shift, name):
    rewards = np.random.default_rng(3).standard_normal((200, 2, 4))
    assert np.array_equal(teacher(name)(ask(rewards)), teacher(name)(ask(scale * (rewards + shift))), equal_nan=True)


def test_the_myopic_teacher_prefers_the_better_last_step_when_sums_tie(ask):
    good_end, good_start = [0, 0, 1], [1, 0, 0]
    assert teacher("myopic")(ask([[good_end, good_start], [good_start, good_end]])).tolist() == [1.0, 0.0]


def test_the_myopic_weights_are_one_at_the_end(ask):
    # .81 * 1 < .82, and .9 * .9 = .81: the last step weighs 1, the one before .9
    assert teacher("myopic")(ask([[[1, 0, 0], [0, 0, 0.82]], [[0, 0.9, 0], [0, 0, 0.8]]])).tolist() == [0.0, 1.0]


def test_gamma_zero_sees_only_the_last_step(ask):
    assert teacher(gamma=0.0)(ask([[[0, 1], [9, 0]]])).tolist() == [1.0]


def test_beta_means_the_same_to_a_myopic_teacher(ask):
    rewards = np.random.default_rng(1).standard_normal((20_000, 2, 30))
    myopic = rewards @ 0.5 ** np.arange(30)[::-1]
    spreads = (myopic[:, 0] - myopic[:, 1]) / myopic.std()
    right = teacher("noisy", gamma=0.5)(ask(rewards)) == (spreads > 0)
    assert_share(right, expit(np.abs(spreads)).mean(), "right")


def test_segments_that_are_all_alike_tie_and_are_not_skipped(ask):
    alike = ask(np.full((50, 2, 30), 0.1))
    assert teacher(skip=0.5, equal=0.5, beta=None)(alike).tolist() == [0.5] * 50
    assert not np.isnan(teacher("noisy", skip=0.5)(alike)).any()


@pytest.mark.parametrize("units", ["task", "bpref-code"])
def test_a_teacher_restored_from_json_goes_on_as_the_old_one(units, many):
    settings = {
        "beta": 1.0,
        "mistake": 0.1,
        "skip": 0.3,
        "equal": 0.3,
        "units": units,
        "recent_return": lambda: (50.0, 10.0),
    }
    old, new = make(seed=1, **settings), make(seed=2, **settings)
    old(many[:500])
    new.restore(json.loads(json.dumps(old.state())))
    old.reseed(np.random.default_rng(3))
    new.reseed(np.random.default_rng(3))
    assert old(many[500:1000]) == new(many[500:1000])
    assert old.state() == new.state()


def test_myopic_returns_by_hand():
    assert myopic_returns(np.array([[4.0, 2.0, 1.0]]), 0.5).tolist() == [3.0]
    assert myopic_returns(np.array([[4.0, 2.0, 1.0]]), 1.0).tolist() == [7.0]


def test_no_question_no_answer(ask):
    for name in SYNTHETIC:
        assert teacher(name)(ask(np.zeros((0, 2, 3)))).shape == (0,)


def test_a_reward_that_is_not_finite_is_located(ask):
    with pytest.raises(NonFiniteError, match=r"true reward nan at .* \[1, 0, 2\]"):
        teacher()(ask([[[0, 0, 0], [0, 0, 0]], [[0, 0, np.nan], [0, 0, 0]]]))


def test_as_many_segments_as_the_kind_shows(ask):
    with pytest.raises(UserError, match=r"kind 'pair' show 2 segments.* shape \(4, 3, 2\); it must be \(Q, 2, T\)"):
        teacher()(ask(np.zeros((4, 3, 2))))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"beta": -1.0}, "beta=-1.0 must be above 0; .* give inf"),
        ({"beta": float("nan")}, "beta=nan must be above 0"),
        ({"gamma": 1.1}, r"gamma=1.1 must lie in \[0, 1\]"),
        ({"mistake": 10}, r"mistake=10 must lie in \[0, 1\]; 0.1 means a tenth"),
        ({"units": "bperf"}, "unknown teacher units 'bperf'; did you mean 'bpref'"),
        ({"units": "bpref", "skip": 0.1}, "give recent_return, or use units='task'"),
    ],
)
def test_settings_that_cannot_work_say_so(settings, text):
    with pytest.raises(UserError, match=text):
        teacher(**settings)


def test_an_unknown_teacher_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'myopic'"):
        teacher("myopik")
