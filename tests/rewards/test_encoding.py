import numpy as np
import pytest
from gymnasium import spaces

from prefrl.core.errors import UserError
from prefrl.rewards.encoding import Features, encoder

BOX = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))


def encoded(space, values, what="action"):
    encode, size = encoder(space, what)
    found = encode(np.asarray(values, space.dtype))
    assert found.shape == (len(values), size) and found.dtype == np.float32
    return found.tolist()


def test_numbers_of_discrete_spaces_become_one_hots():
    assert encoded(spaces.Discrete(3), [0, 2]) == [[1, 0, 0], [0, 0, 1]]
    assert encoded(spaces.Discrete(3, start=5), [5, 6]) == [[1, 0, 0], [0, 1, 0]]
    assert encoded(spaces.MultiDiscrete([2, 3]), [[0, 2], [1, 0]]) == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]
    assert encoded(spaces.MultiDiscrete([2, 3], start=[5, 1]), [[6, 1]]) == [[0, 1, 1, 0, 0]]
    assert encoded(spaces.MultiBinary(2), [[0, 1]]) == [[0, 1]]


def test_bounded_actions_are_scaled_to_one():
    assert encoded(BOX, [[-2, 0], [2, 10], [1, 5]]) == [[-1, -1], [1, 1], [0.5, 0]]


def test_unbounded_actions_and_observations_stay_as_they_are():
    assert encoded(spaces.Box(-np.inf, np.inf, (2,)), [[-7, 3]]) == [[-7, 3]]
    assert encoded(BOX, [[1, 5]], "observation") == [[1, 5]]
    assert encoded(spaces.Box(0, 255, (1, 2), np.uint8), [[[255, 3]]], "observation") == [[255, 3]]


STEP = np.array([[1.0, 4.0]]), np.array([[-2.0, 10.0]]), np.array([[1.5, 3.0]])  # observation, action, next


@pytest.mark.parametrize(
    "inputs, features",
    [
        ("all", [1, 4, 0.5, -1, -1, 1]),
        ("transition", [1, 4, 0.5, -1]),
        ("observation", [1, 4]),
        ("both", [1, 4, -1, 1]),
        ("action", [-1, 1]),
    ],
)
def test_the_inputs_of_a_step_by_hand(inputs, features):
    look = Features(BOX, BOX, inputs)
    assert look(*STEP).tolist() == [features]
    assert look.size == len(features) == len(look.feature_kinds)


def test_changes_of_images_have_a_sign():
    image = spaces.Box(0, 255, (2,), np.uint8)
    before, after = np.array([[200, 10]], np.uint8), np.array([[10, 200]], np.uint8)
    assert Features(image, BOX, "transition")(before, STEP[1], after).tolist() == [[200, 10, -190, 190]]


def test_images_are_too_many_numbers_for_an_mlp():
    with pytest.raises(UserError, match="has 21168 numbers; the reward MLP takes at most 4096"):
        Features(spaces.Box(0, 255, (84, 84, 3), np.uint8), BOX)


def test_unknown_inputs_come_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'transition'"):
        Features(BOX, BOX, "transitions")
