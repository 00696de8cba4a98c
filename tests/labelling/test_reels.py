"""The parts of a reel: packed frames, panels, rows of words, strips of rewards."""

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import ImageFont

from prefrl.core.errors import UserError
from prefrl.reels import panels
from prefrl.reels.writing import video_format, write_scenes
from prefrl.rendering.sheets import Footage


def test_packed_frames_come_back_as_they_were():
    frames = np.random.default_rng(0).integers(0, 256, (19, 20, 30, 3), np.uint8)
    footage = Footage.of(frames, 10)
    assert len(footage) == 19 and all(np.array_equal(footage[place], frames[place]) for place in (18, 0, 7, 8, 16))


def test_scenes_of_different_size_follow_each_other(tmp_path):
    sizes = [(30, 40), (50, 60)]
    films = [Footage.of(np.full((5, *size, 3), 50, np.uint8), 10) for size in sizes]
    wanted = video_format(tmp_path / "a.mp4", films[0], 29.97, 100)
    scenes = [panels.scene(panels.picture(film, wanted.fps, wanted.width), len(film) / wanted.fps) for film in films]
    assert imageio_ffmpeg.count_frames_and_secs(str(write_scenes(scenes, wanted)))[0] == 10


def test_an_endless_gif_is_refused(tmp_path):
    film = Footage.of(np.zeros((300, 4, 4, 3), np.uint8), 10)
    scene = panels.scene(panels.picture(film, 10, 1200), 30)
    with pytest.raises(UserError, match=r"a GIF of 300 frames of 1220 x 1220 pixels takes 1.7 GiB to make; write .mp4"):
        write_scenes([scene], video_format(tmp_path / "a.gif", film, 10, 1200))


def test_bars_grow_up_and_down_from_zero():
    drawn = panels.bars(np.array([1.0, -1.0, 0.0, np.nan]), (-1.0, 1.0), 8)
    upper, lower = (drawn[half] for half in (slice(0, 17), slice(19, None)))
    assert (upper[:, :2] == panels.ABOVE).all() and (lower[:, 2:4] == panels.BELOW).all()
    assert (lower[:, :2] == panels.RAISED).all() and (drawn[[0, 10, 25, 35], 4:] == panels.RAISED).all()


@pytest.mark.parametrize("words", ["one two three four five six seven eight", "a" * 100, "", "one " + "b" * 90])
def test_words_are_broken_into_rows_that_fit(words):
    font = ImageFont.truetype(panels.FONT, 15)
    lines = panels.broken(words, 120, 15, 9)
    assert " ".join(lines) == words or lines[-1].endswith("…")
    short = panels.broken(words, 120, 15, 2)
    assert len(short) <= 2 and all(font.getlength(line) <= 120 for line in [*lines, *short])
