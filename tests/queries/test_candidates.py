from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from prefrl.core.data import Segments
from prefrl.core.errors import NonFiniteError, NotEnoughSegments, UserError
from prefrl.kinds import kind_of
from prefrl.queries.candidates import choose, greedy_cover, group, reads
from prefrl.queries.strategies import STRATEGIES, bald, bpref_entropy, disagreement, volume


def pairs_at(places) -> Segments:
    """Pairs whose two segments of one step were observed at (N, 2, D) places."""
    places = np.asarray(places, dtype=np.float32)
    batch = places.shape[:2]
    return Segments(
        observations=np.repeat(places[:, :, None], 2, axis=2),
        actions=np.zeros((*batch, 1, 1)),
        true_rewards=np.zeros((*batch, 1)),
        env_index=np.zeros(batch, dtype=np.int64),
        start_step=np.zeros(batch, dtype=np.int64),
    )


def chances(returns: np.ndarray) -> np.ndarray:
    """What members predict of pairs with these returns: (E, N, 2) -> (E, N, 2)"""
    return kind_of("pair").predict(torch.from_numpy(returns)[..., None]).numpy()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pool(rng):
    """40 candidate pairs and the chances that 3 members give their outcomes."""
    return pairs_at(rng.standard_normal((40, 2, 3))), chances(rng.standard_normal((3, 40, 2)))


@given(st.integers(0, 30), st.data())
def test_pairs_are_of_distinct_segments_and_no_two_alike(n_segments, data):
    n_pairs = data.draw(st.integers(0, n_segments * (n_segments - 1) // 2))
    pairs = group(n_segments, n_pairs, 2, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert pairs.shape == (n_pairs, 2)
    assert np.all((pairs >= 0) & (pairs < n_segments)) and np.all(pairs[:, 0] != pairs[:, 1])
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == n_pairs
    if 2 * n_pairs <= n_segments:
        assert len(np.unique(pairs)) == 2 * n_pairs


@given(st.integers(0, 9), st.integers(1, 4), st.data())
def test_groups_are_of_distinct_segments_and_no_two_alike(n_segments, size, data):
    count = data.draw(st.integers(0, comb(n_segments, size)))
    groups = group(n_segments, count, size, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert groups.shape == (count, size)
    assert len({frozenset(one) for one in groups.tolist()}) == count and all(
        len(set(g)) == size for g in groups.tolist()
    )
    if size * count <= n_segments:
        assert len(np.unique(groups)) == size * count


def test_a_segment_is_shown_left_and_right_equally_often(rng):
    for n_segments, n_pairs in [(20_000, 10_000), (200, 10_000)]:
        pairs = group(n_segments, n_pairs, 2, rng)
        assert abs((pairs[:, 0] < pairs[:, 1]).mean() - 0.5) < 0.0165  # 3.3 standard errors


def test_all_pairs_are_equally_likely(rng):
    drawn = np.sort(np.concatenate([group(6, 5, 2, rng) for _ in range(3000)]), axis=1)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 15 and np.all(np.abs(counts - 1000) < 100)


def test_more_questions_than_pairs_say_what_to_lower(rng):
    with pytest.raises(
        NotEnoughSegments, match="11 questions .* 5 segments make only 10; lower the number of questions"
    ):
        group(5, 11, 2, rng)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_choice_is_distinct_reproducible_and_says_its_strategy(name, pool):
    first, again = (choose(*pool, 8, name, np.random.default_rng(5)) for _ in range(2))
    assert len(np.unique(first.picked)) == 8 and first.strategy == name
    assert np.array_equal(first.picked, again.picked)
    score = STRATEGIES[name].score
    expected = score(pool[1])[first.picked] if score else np.full(8, np.nan)
    assert np.array_equal(first.scores, expected, equal_nan=True)


@pytest.mark.parametrize("name", ["disagreement", "entropy", "bald", "volume", "bpref_entropy"])
def test_the_highest_scores_are_asked_first(name, pool, rng):
    choice = choose(*pool, 10, name, rng)
    assert choice.scores.tolist() == sorted(STRATEGIES[name].score(pool[1]), reverse=True)[:10]


def test_equal_scores_are_broken_at_random(pool):
    alike = np.full((3, 40, 2), 0.5)
    picks = {tuple(choose(pool[0], alike, 3, "disagreement", np.random.default_rng(seed)).picked) for seed in range(9)}
    assert len(picks) > 5


@pytest.mark.parametrize("name", ["bald", "disagreement_kcenter"])
def test_before_the_first_fit_scores_give_way_to_uniform(name, pool, rng):
    choice = choose(pool[0], None, 5, name, rng)
    assert choice.strategy == "uniform" and np.isnan(choice.scores).all()


def test_covering_needs_no_reward_model(pool, rng):
    assert choose(pool[0], None, 5, "kcenter", rng).strategy == "kcenter"


def test_a_cover_takes_one_of_each_heap(rng):
    heaps = np.repeat([[[0.0], [0.0]], [[9.0], [0.0]], [[0.0], [9.0]]], 10, axis=0)
    candidates = pairs_at(heaps + 0.01 * rng.standard_normal(heaps.shape))
    assert sorted(choose(candidates, None, 3, "kcenter", rng).picked // 10) == [0, 1, 2]


def test_a_cover_is_not_ruled_by_the_largest_units(rng):
    places = np.zeros((40, 2, 2))
    places[:, 0, 0] = 1000 * rng.standard_normal(40)
    places[0, 0, 1] = 1.0  # the only pair that differs in the small number: 6 standard deviations off
    assert 0 in choose(pairs_at(places), None, 4, "kcenter", rng).picked


def test_a_cover_by_score_stays_in_the_better_half(pool, rng):
    choice = choose(*pool, 5, "disagreement_kcenter", rng)
    assert choice.scores.min() >= np.median(disagreement(pool[1]))


def test_a_function_of_ones_own_is_a_strategy(pool, rng):
    def closest(returns):
        return -np.abs(returns[..., 0] - returns[..., 1]).mean(0)

    returns = rng.standard_normal((3, 40, 2))
    assert reads(closest) == "returns" and reads("disagreement") == "chances" and reads("uniform") is None
    choice = choose(pool[0], returns, 3, closest, rng)
    assert choice.strategy == "closest" and choice.picked[0] == np.argmax(closest(returns))


def test_wrong_input_says_so(pool, rng):
    candidates, predicted = pool
    with pytest.raises(UserError, match="choose 41 of 40 candidates; lower"):
        choose(candidates, predicted, 41, "uniform", rng)
    with pytest.raises(UserError, match="did you mean 'disagreement'"):
        choose(candidates, predicted, 4, "disagreemnt", rng)
    with pytest.raises(
        UserError, match=r"members' chances have shape \(3, 39, 2\); 40 candidates need \(E, 40, \.\.\.\)"
    ):
        choose(candidates, predicted[:, 1:], 4, "bald", rng)
    with pytest.raises(UserError, match="'bald' compares ensemble members and needs 2, got 1; enlarge"):
        choose(candidates, predicted[:1], 4, "bald", rng)
    with pytest.raises(UserError, match=r"gave scores of shape \(3, 40\)"):
        choose(candidates, predicted, 4, lambda returns: returns[..., 0], rng)
    with pytest.raises(NonFiniteError, match="'bald' scored 40 of 40 candidates NaN"):
        choose(candidates, np.full_like(predicted, np.nan), 4, "bald", rng)


def test_asking_nothing_is_allowed(pool, rng):
    for name in STRATEGIES:
        assert choose(*pool, 0, name, rng).picked.shape == (0,)


def alignment(strategy, answers=10, repeats=15):
    """Mean cosine between true and believed weights of a linear reward after some answers: particles, 6 features."""
    found = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        truth, *particles = (w / np.linalg.norm(w) for w in rng.standard_normal((2001, 6)))
        believed, log_weight = np.array(particles), np.zeros(2000)
        for _ in range(answers):
            shown = 3 * rng.standard_normal((100, 2, 6))
            weight = np.exp(log_weight - log_weight.max())
            members = believed[rng.choice(2000, 100, p=weight / weight.sum())]
            predicted = chances(np.einsum("nkd,ed->enk", shown, members))
            best = choose(pairs_at(shown), predicted, 1, strategy, rng).picked[0]
            apart = shown[best, 0] - shown[best, 1]
            answer = 1 if rng.random() < 1 / (1 + np.exp(-apart @ truth)) else -1
            log_weight -= np.logaddexp(0, -answer * (believed @ apart))
        mean = np.exp(log_weight - log_weight.max()) @ believed
        found.append(mean @ truth / np.linalg.norm(mean))
    return np.mean(found)


def test_informative_questions_teach_more_than_random_ones_and_predictable_ones_less():
    random = alignment("uniform")  # .81; over 60 repeats .79
    assert alignment(bald) > random + 0.03  # .90; .88
    assert alignment(disagreement) > random + 0.03  # .91; .88
    assert (
        alignment(lambda predicted: -volume(predicted)) < random - 0.1
    )  # .66; .61, the sign of APReL's volume removal
    assert alignment(bpref_entropy) < random - 0.1  # .57; .58, pairs that are too close for anyone


POINTS = arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 2)), elements=st.integers(-3, 3).map(float))


def test_a_greedy_cover_by_hand():
    line = np.array([[0.0], [1.0], [5.0], [10.0]])
    assert greedy_cover(line, 4).tolist() == [0, 3, 2, 1]


@given(POINTS)
def test_no_point_is_picked_twice_even_among_copies(points):
    assert sorted(greedy_cover(points, len(points))) == list(range(len(points)))


@given(POINTS, st.data())
def test_the_cover_is_within_twice_the_best(points, data):
    n = data.draw(st.integers(1, len(points)))
    distances = cdist(points, points)
    subsets = [[i] for i in range(len(points))]
    for _ in range(n - 1):
        subsets = [[*s, i] for s in subsets for i in range(s[-1] + 1, len(points))]
    best = min(distances[:, subset].min(1).max() for subset in subsets)
    assert distances[:, greedy_cover(points, n)].min(1).max() <= 2 * best + 1e-12


@pytest.mark.parametrize("n", [0, 1])
def test_a_cover_of_none_and_of_one(n):
    assert greedy_cover(np.zeros((3, 2)), n).tolist() == [0][:n]
