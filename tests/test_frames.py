"""Frames that are read when somebody looks: indexed like an array, stacked without a copy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prefrl.core.data import Segments
from prefrl.core.frames import Frames, join, stacked


def numbered(count, each=(3, 1, 2, 2)):
    """An array of different frames, and Frames that read from it."""
    whole = np.arange(count * int(np.prod(each)), dtype=np.uint32).astype(np.uint8).reshape(count, *each)
    return whole, Frames(lambda places: whole[places], np.arange(count), each)


def test_frames_are_indexed_like_an_array():
    whole, frames = numbered(6)
    pairs = np.array([[0, 5], [3, 3], [2, 1]])
    for index in (slice(1, 4), pairs, np.array([4]), np.arange(6) > 2):
        assert frames[index].shape == whole[index].shape
        assert np.array_equal(np.asarray(frames[index]), whole[index])
    assert np.array_equal(frames[pairs][2, 0], whole[2])
    assert len(frames[pairs]) == 3 and frames[pairs].nbytes == whole[pairs].nbytes
    assert np.array_equal(np.asarray(frames[pairs].flat()), whole[pairs].reshape(6, *whole.shape[1:]))


def test_nothing_is_read_before_somebody_looks():
    read = []
    frames = Frames(
        lambda places: read.append(len(places)) or np.zeros((len(places), 2), np.uint8), np.arange(100), (2,)
    )
    half = join([frames[:10], frames[50:]])[np.arange(30).reshape(15, 2)].flat()[3:]
    assert read == []
    assert np.asarray(half).shape == (27, 2)
    assert sum(read) == 27


def test_joined_frames_come_from_where_they_were():
    (one, first), (two, second) = numbered(4), numbered(9)
    both = join([first[np.array([[3, 0]])], second[np.array([[8, 1], [2, 2]])]])
    expected = np.concatenate([one[[[3, 0]]], two[[[8, 1], [2, 2]]]])
    assert np.array_equal(np.asarray(both), expected)
    assert np.array_equal(np.asarray(both[[2, 0]]), expected[[2, 0]])


@given(st.integers(0, 4), st.integers(1, 6), st.sampled_from([1, 3]))
def test_a_stack_is_the_frames_one_after_the_other(history, steps, channels):
    frames = np.random.default_rng(0).integers(0, 256, (2, history + steps, channels, 3, 2)).astype(np.uint8)
    found = stacked(frames, history, time_axis=1)
    assert found.shape == (2, steps, (history + 1) * channels, 3, 2)
    for step in range(steps):
        expected = np.concatenate([frames[:, step + back] for back in range(history + 1)], axis=1)
        assert np.array_equal(found[:, step], expected)


def test_segments_of_frames_know_their_history_and_join():
    _, frames = numbered(6, (8, 1, 2, 2))
    about = np.zeros((6, 4)), np.zeros((6, 4)), np.zeros(6, int), np.zeros(6, int)
    segments = Segments(frames, *about)
    assert segments.history == 3 and segments.length == 4
    both = Segments.concatenate([segments[:2], segments[4:]])
    assert isinstance(both.observations, Frames) and np.array_equal(both.observations[3], frames[5])
    assert isinstance(segments[np.arange(6).reshape(3, 2)].flat().observations, Frames)
