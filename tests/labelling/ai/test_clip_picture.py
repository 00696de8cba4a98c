"""What a model sees: exact pixels of evenly spaced frames, in reading order."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prefrl.labelling.ai.clip_picture import GAP, GREY, data_url, evenly, layout, strip


def some_frames(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@given(st.integers(1, 500), st.integers(1, 64))
def test_frames_are_evenly_spaced_from_the_first_to_the_last(count, most):
    chosen = evenly(count, most)
    assert chosen[0] == 0 and len(chosen) == min(count, most)
    if len(chosen) > 1:
        gaps = np.diff(chosen)
        assert chosen[-1] == count - 1 and gaps.min() > 0 and gaps.max() - gaps.min() <= 1


@given(st.integers(1, 64), st.integers(1, 500), st.integers(1, 500))
def test_a_layout_leaves_no_place_empty(count, height, width):
    rows, columns = layout(count, height, width)
    assert rows * columns == count


@pytest.mark.parametrize(("shape", "wanted"), [((8, 500, 500), (2, 4)), ((8, 100, 600), (8, 1)), ((7, 10, 10), (1, 7))])
def test_a_layout_is_as_near_to_a_square_as_it_goes(shape, wanted):
    assert layout(*shape) == wanted


def test_a_strip_holds_the_very_pixels_of_its_frames():
    frames = some_frames(9, 20, 30)
    picture = strip(frames, 8, 2048)
    assert picture.shape == (4 * (20 + GAP) - GAP, 2 * (30 + GAP) - GAP, 3)
    for place, frame in enumerate(evenly(9, 8)):
        top, left = (place // 2) * (20 + GAP), (place % 2) * (30 + GAP)
        assert np.array_equal(picture[top : top + 20, left : left + 30], frames[frame])
    assert (picture[20 : 20 + GAP] == GREY).all()


def test_a_strip_that_is_too_large_is_made_smaller_by_whole_numbers():
    picture = strip(some_frames(4, 400, 600), 4, 700)
    assert max(picture.shape[:2]) <= 700
    assert picture.shape == (2 * (200 + GAP) - GAP, 2 * (300 + GAP) - GAP, 3)


def test_what_is_sent_is_a_png_of_the_same_pixels():
    picture = strip(some_frames(3, 7, 5), 3, 2048)
    kind, content = data_url(picture).split(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), picture)
