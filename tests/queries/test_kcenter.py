import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from prefrl.queries.candidates import greedy_cover

POINTS = arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 2)), elements=st.integers(-3, 3).map(float))


def test_picks_by_hand():
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
def test_none_and_one(n):
    assert greedy_cover(np.zeros((3, 2)), n).tolist() == [0][:n]
