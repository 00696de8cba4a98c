"""The dot: what is seen, what moves it, what it earns."""

import gymnasium
import numpy as np
import pytest

import envs
from envs.dot_task import MOVES, TARGET

STAY, UP, DOWN, LEFT, RIGHT = range(5)


@pytest.fixture
def dot():
    envs.register_all()
    return gymnasium.make("prefrl/Dot-v0", render_mode="rgb_array")


def place(picture: np.ndarray) -> tuple[int, int]:
    """Where the white dot is, in places of two pixels."""
    rows, columns = np.nonzero(picture == 255)
    assert len(rows) == 4
    return int(rows.min()) // 2, int(columns.min()) // 2


@pytest.mark.parametrize("action, move", list(enumerate(MOVES)))
def test_an_action_moves_the_dot_by_one_place_and_never_out_of_the_picture(dot, action, move):
    for seed in range(20):
        before = place(dot.reset(seed=seed)[0])
        after = place(dot.step(action)[0])
        assert after == tuple(np.clip(np.add(before, move), 0, 7))


def test_a_step_costs_the_distance_to_the_mark(dot):
    picture, _ = dot.reset(seed=3)
    assert picture.shape == (16, 16) and picture.dtype == np.uint8
    while place(picture) != TARGET:
        down, right = np.subtract(TARGET, place(picture))
        towards = (DOWN if down > 0 else UP) if down else (RIGHT if right > 0 else LEFT)
        picture, reward, *_ = dot.step(towards)
        assert reward == pytest.approx(-np.hypot(*np.subtract(TARGET, place(picture))) / 8)
    assert dot.step(STAY)[1] == 0


def test_people_see_it_larger_and_in_colour(dot):
    picture, _ = dot.reset(seed=1)
    drawn = dot.render()
    assert drawn.shape == (192, 192, 3) and drawn.dtype == np.uint8
    row, column = place(picture)
    assert drawn[24 * row + 12, 24 * column + 12].min() > 200
