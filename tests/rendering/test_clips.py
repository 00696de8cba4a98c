"""Clips: every pixel as it was drawn, found by the segment they show, and never believed when they are damaged."""

import json
import os

import numpy as np
import pytest

from prefrl.core.errors import StorageFull, UserError
from prefrl.rendering import sheets
from prefrl.rendering.clip_cache import clip_of, clips_ready, prune, write_clip
from prefrl.rendering.sheets import frames_of, sheet, shrinkage, shrunk

FILE = "ab" * 32 + ".npz"


def noise(count=5, height=6, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def flat(count=5, height=60, width=80):
    frames = np.zeros((count, height, width, 3), np.uint8)
    for place in range(count):
        frames[place, 10:20, 5 * place : 5 * place + 10] = (255, 40, place)
    return frames


@pytest.mark.parametrize("frames", [noise(), flat(), noise(26, 300, 300), noise(1), flat(7, 33, 2049)],
                         ids=["noise", "flat", "large", "one", "one in a row"])  # fmt: skip
def test_every_pixel_survives(frames):
    content, columns = sheet(frames)
    assert columns * frames.shape[2] <= sheets.MAX_WIDTH
    assert np.array_equal(frames_of(content, len(frames), columns), frames)


def test_equal_frames_give_equal_sheets():
    assert sheet(flat()) == sheet(flat())


def test_frames_too_wide_for_any_row_are_refused():
    with pytest.raises(UserError, match="do not fit"):
        sheet(np.zeros((2, 10, 5000, 3), np.uint8))


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 4, 4, 4), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(ValueError, match="uint8 frames"):
        sheet(wrong)


def test_long_clips_are_made_smaller_until_they_fit():
    assert [shrinkage(count, 400, 600) for count in (26, 101, 400, 1001)] == [1, 2, 4, 4]
    assert shrunk(noise(3, 9, 7), 2).shape == (3, 4, 3, 3)
    assert shrunk(np.full((4, 4, 3), 77, np.uint8), 4).tolist() == [[[77, 77, 77]]]


def test_a_clip_is_found_by_its_segment(tmp_path):
    told = write_clip(tmp_path, FILE, 3, 1, flat(), 50)
    assert told == {"clip": told["clip"], "frames": 5, "columns": 5, "width": 80, "height": 60, "fps": 50.0,
                    "pixelated": True}  # fmt: skip
    assert clip_of(tmp_path, FILE, 3, 1) == told
    assert clip_of(tmp_path, FILE, 3, 0) is None and clip_of(tmp_path, FILE, 4, 1) is None
    content = (tmp_path / "clips" / f"{told['clip']}.webp").read_bytes()
    assert np.array_equal(frames_of(content, 5, told["columns"]), flat())


def test_large_pictures_are_not_shown_as_squares(tmp_path):
    assert not write_clip(tmp_path, FILE, 0, 0, noise(2, 300, 200), 20)["pixelated"]


def test_a_question_is_ready_with_both_its_clips(tmp_path):
    assert clips_ready(tmp_path, [(FILE, 0, 2)]) == [False]
    for row, side in ((0, 0), (1, 0), (1, 1)):
        write_clip(tmp_path, FILE, row, side, noise(seed=row), 20)
    assert clips_ready(tmp_path, [(FILE, 0, 2), (FILE, 1, 2), (FILE, 2, 2)]) == [False, True, False]


def test_a_missing_folder_is_an_empty_one(tmp_path):
    assert clip_of(tmp_path / "none", FILE, 0, 0) is None


def damage(content):
    return content[:50] + bytes([content[50] ^ 1]) + content[51:]


def test_a_damaged_sheet_is_not_shown_and_drawn_again(tmp_path):
    path = tmp_path / "clips" / f"{write_clip(tmp_path, FILE, 0, 0, noise(), 20)['clip']}.webp"
    write_clip(tmp_path, FILE, 0, 1, noise(seed=1), 20)
    path.write_bytes(damage(path.read_bytes()))
    assert clip_of(tmp_path, FILE, 0, 0) is None
    assert clips_ready(tmp_path, [(FILE, 0, 2)]) == [False]


def test_a_missing_sheet_is_drawn_again(tmp_path):
    (tmp_path / "clips" / f"{write_clip(tmp_path, FILE, 0, 0, noise(), 20)['clip']}.webp").unlink()
    assert clip_of(tmp_path, FILE, 0, 0) is None
    assert not list((tmp_path / "clips" / "index").iterdir())


GOOD = {"clip": "0" * 64, "frames": 1, "columns": 1, "width": 1, "height": 1, "fps": 1.0, "pixelated": True}


@pytest.mark.parametrize("note", [b"", b"[]", b"1", b"null", b"{}", b"\xff", b"[" * 100_000, *(
    json.dumps(GOOD | change).encode() for change in (
        {"clip": "../../labels"}, {"clip": 1}, {"frames": 0}, {"frames": "1"}, {"width": True}, {"fps": -1.0},
        {"fps": 20}, {"more": 1}, {}))])  # fmt: skip
def test_a_hostile_note_is_no_clip(tmp_path, note):
    write_clip(tmp_path, FILE, 0, 0, noise(), 20)
    (path,) = (tmp_path / "clips" / "index").iterdir()
    path.write_bytes(note)
    assert clip_of(tmp_path, FILE, 0, 0) is None


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageFull, match="No space"):
        write_clip(tmp_path, FILE, 0, 0, noise(), 20)
    assert [path for path in (tmp_path / "clips").rglob("*") if path.is_file()] == []


def test_the_oldest_clips_go_but_none_of_open_questions(tmp_path):
    for row in range(6):
        for side in (0, 1):
            write_clip(tmp_path, FILE, row, side, noise(seed=2 * row + side), 20)
    for note in (tmp_path / "clips" / "index").iterdir():
        age = int(note.stem.split("-")[1])
        os.utime(note, (1000 + age, 1000 + age))
    size = sum(path.stat().st_size for path in (tmp_path / "clips").glob("*.webp"))
    prune(tmp_path, size, [])
    assert all(clips_ready(tmp_path, [(FILE, row, 2) for row in range(6)]))
    prune(tmp_path, int(0.55 * size), [(FILE, 0, 2)])
    assert clips_ready(tmp_path, [(FILE, row, 2) for row in range(6)]) == [True, False, False, False, True, True]
    assert clip_of(tmp_path, FILE, 0, 0) and clip_of(tmp_path, FILE, 5, 1)
    assert sum(path.stat().st_size for path in (tmp_path / "clips").glob("*.webp")) <= 0.55 * size


def test_a_sheet_that_two_segments_share_stays_for_the_other(tmp_path):
    for row in (0, 1):
        for side in (0, 1):
            write_clip(tmp_path, FILE, row, side, noise(), 20)
    prune(tmp_path, 0, [(FILE, 1, 2)])
    assert clips_ready(tmp_path, [(FILE, 0, 2), (FILE, 1, 2)]) == [False, True]
    assert clip_of(tmp_path, FILE, 1, 0)
