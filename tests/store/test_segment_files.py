"""Segment files: what is written comes back, what was touched since is refused."""

import hashlib
import io
import os
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from prefrl.core.data import Origin, Origins, Segments
from prefrl.core.errors import StorageFull, UserError
from prefrl.core.frames import Frames
from prefrl.store import segment_files
from prefrl.store.segment_files import ORIGIN_PARTS, PARTS, SegmentFiles, decode, decode_origins, digests, encode


def batch(count=3, seed=0, observations=None):
    rng = np.random.default_rng(seed)
    return Segments(
        rng.normal(size=(count, 2, 6, 3)) if observations is None else observations,
        rng.integers(0, 4, size=(count, 2, 5)),
        rng.normal(size=(count, 2, 5)).astype(np.float32),
        rng.integers(0, 8, size=(count, 2)),
        rng.integers(0, 10_000, size=(count, 2)),
    )


def assert_equal(found, expected):
    for part in PARTS:
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
        assert getattr(found, part).dtype == getattr(expected, part).dtype


def noting(count=6):
    """Origins of a batch of three pairs, one of them missing."""
    rng = np.random.default_rng(1)
    each = [Origin(b"opening %d" % k, rng.integers(0, 4, size=5 * k)) for k in range(count)]
    return Origins.of([*each[:2], None, *each[3:]])


@pytest.fixture
def files(tmp_path):
    return SegmentFiles(tmp_path / "segments")


def again(files):
    """The same folder without the memory of what was written."""
    return SegmentFiles(files.folder)


def test_a_batch_comes_back_as_it_was(files):
    name = files.write(batch())
    assert_equal(again(files).read(name), batch())


def test_fortran_order_changes_nothing(files):
    turned = Segments(**{part: np.asfortranarray(getattr(batch(), part)) for part in PARTS})
    assert_equal(again(files).read(files.write(turned)), batch())


def test_equal_batches_share_a_file_and_others_do_not(files):
    names = [files.write(batch(seed=seed)) for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert len(list(files.folder.iterdir())) == 2


def test_images_are_compressed(files):
    images = np.repeat(np.arange(84, dtype=np.uint8), 84 * 36 * 2).reshape(6, 2, 6, 84, 84)
    name = files.write(batch(6, observations=images[:, :, :6]))
    assert (files.folder / name).stat().st_size < images.nbytes / 3
    assert_equal(again(files).read(name), batch(6, observations=images))


def test_a_black_screen_is_no_bomb(files):
    black = batch(30, observations=np.zeros((30, 2, 6, 84, 84), dtype=np.uint8))
    assert_equal(again(files).read(files.write(black)), black)


def test_later_changes_of_the_callers_arrays_do_not_reach_the_memory(files):
    segments = batch()
    name = files.write(segments)
    segments.observations[:] = 7.0
    assert_equal(files.read(name), batch())


def test_gathering_keeps_the_order_asked_for(files):
    one, two = files.write(batch(seed=1)), files.write(batch(seed=2))
    found = again(files).gather([two, one, two], [2, 0, 1])
    expected = Segments.concatenate([batch(seed=2)[2:], batch(seed=1)[:1], batch(seed=2)[1:2]])
    assert_equal(found, expected)


def test_gathering_refuses_segments_of_different_lengths(files):
    longer = Segments(np.zeros((1, 2, 9, 3)), *(np.zeros((1, 2, 8)),) * 2, *(np.zeros((1, 2)),) * 2)
    with pytest.raises(UserError, match=r"lengths \[5, 8\]"):
        files.gather([files.write(batch()), files.write(longer)], [0, 0])


def test_gathering_refuses_a_row_that_is_not_there(files):
    with pytest.raises(UserError, match="wants rows 3 to 3 .* which has 3"):
        files.gather([files.write(batch())], [3])


def test_memory_is_bounded(files):
    one = sum(getattr(batch(), part).nbytes for part in PARTS)
    files.cache_bytes = 3 * one
    names = [files.write(batch(seed=seed)) for seed in range(5)]
    assert list(files._cache) == names[2:]


def test_objects_are_refused_before_they_are_written(files):
    with pytest.raises(UserError, match=r"segments.observations has dtype object"):
        files.write(batch(observations=np.full((3, 2, 6), {"a": 1}, dtype=object)))
    assert not list(files.folder.iterdir())


def test_a_batch_too_large_to_read_back_is_not_written(files, monkeypatch):
    monkeypatch.setattr(segment_files, "MAX_BATCH", 1000)
    with pytest.raises(UserError, match="ask fewer at once"):
        files.write(batch())


def test_any_flipped_bit_is_noticed(files):
    path = files.folder / files.write(batch())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), size=200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"{path.name} is damaged: its content has the digest"):
            again(files).read(path.name)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_cut_file_is_refused(files, share):
    path = files.folder / files.write(batch())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="is damaged"):
        again(files).read(path.name)


def test_a_missing_file_is_named(files):
    path = files.folder / files.write(batch())
    path.unlink()
    with pytest.raises(UserError, match=f"{path} is missing"):
        again(files).read(path.name)


@pytest.mark.parametrize("name", ["../labels.db", "/etc/passwd", "x.npz", "A" * 64 + ".npz"])
def test_a_name_that_leaves_the_folder_is_refused(files, name):
    with pytest.raises(UserError, match="expected <sha256>.npz"):
        files.read(name)


def npz(save=np.savez, **changes):
    file = io.BytesIO()
    parts = {part: getattr(batch(), part) for part in PARTS} | changes
    save(file, **{part: array for part, array in parts.items() if array is not None})
    return file.getvalue()


def lying(shape, dtype="<f8"):
    """An npz whose observations claim a shape they do not have."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    file = io.BytesIO(npz(observations=None))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("observations.npy", header.getvalue() + b"\0" * 96)
    return file.getvalue()


def doubled():
    file = io.BytesIO(npz())
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("actions.npy", b"x")
    return file.getvalue()


def understated():
    """A bomb whose directory says that it unpacks to 1000 bytes."""
    size = 20 * 2**20 + 128
    bomb = npz(np.savez_compressed, observations=np.zeros((20, 2**20), dtype=np.uint8))
    return bomb.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))


HOSTILE = {
    "nothing": (lambda: b"", "not a zip file"),
    "no zip": (lambda: b"PK\x03\x04" + b"\0" * 500, "not a zip file"),
    "a pickle": (lambda: npz(observations=np.array([[{"run": "me"}] * 2] * 3, dtype=object)), "dtype object"),
    "text": (lambda: npz(observations=np.full((3, 2, 6), "x")), "dtype <U1"),
    "a part missing": (lambda: npz(actions=None), "it holds"),
    "a part too many": (lambda: npz(other=np.zeros(3)), "it holds"),
    "a part twice": (doubled, "it holds"),
    "a bomb": (lambda: npz(np.savez_compressed, observations=np.zeros((20, 2**20), dtype=np.uint8)), "would unpack"),
    "an understated bomb": (understated, ""),
    "37 GiB in the header": (lambda: lying((5_000_000_000,)), "claims 40000000000 bytes"),
    "a negative shape": (lambda: lying((-3, -2, 2)), "negative|not valid"),
    "another batch shape": (lambda: npz(true_rewards=np.zeros((4, 2, 5))), "batch shape"),
    "one observation short": (lambda: npz(observations=np.zeros((3, 2, 5, 3))), "need 6 observations"),
    "no axes": (lambda: npz(true_rewards=np.float64(1.0)), ""),
}


def placed(files, make, reason):
    """The path of a file of these bytes that is named by their digest, and why it is refused."""
    content = make()
    path = files.folder / f"{hashlib.sha256(content).hexdigest()}.npz"
    path.write_bytes(content)
    return path, reason


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_without_filling_the_memory(files, case):
    path, reason = placed(files, *HOSTILE[case])
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=f"(?s){path.name} is damaged: .*({reason})"):
            files.read(path.name)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_too_large_is_refused_unread(files):
    path = files.folder / ("0" * 64 + ".npz")
    with open(path, "wb") as file:
        file.truncate(segment_files.MAX_FILE + 1)
    with pytest.raises(UserError, match="more than"):
        files.read(path.name)


def test_encoding_and_decoding_are_inverse():
    assert_equal(decode(encode(batch())), batch())


def test_a_full_disk_leaves_no_half_file(files, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFull, match="free some space"):
        files.write(batch())
    assert not list(files.folder.iterdir())


def test_only_old_leftovers_are_cleared(files):
    old, young = files.folder / "a.tmp", files.folder / "b.tmp"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    again(files)
    assert list(files.folder.iterdir()) == [young]


def test_tapes_come_back_as_they_were(files):
    name = files.write(batch(), noting())
    assert_equal(again(files).read(name), batch())
    for place in range(6):
        found, expected = again(files).origin(name, place // 2, place % 2), noting()[place]
        if expected is None:
            assert found is None and place == 2
        else:
            assert found.opening == expected.opening == b"opening %d" % place
            np.testing.assert_array_equal(found.actions, expected.actions)
            assert found.actions.dtype == expected.actions.dtype


def test_a_batch_without_tapes_has_none(files):
    assert files.origin(files.write(batch()), 0, 0) is None


def test_a_batch_with_tapes_is_another_file_than_without(files):
    assert files.write(batch()) != files.write(batch(), noting())


def test_many_rows_of_a_file_are_read_once(files, monkeypatch):
    name = files.write(batch(), noting())
    files.origin(name, 0, 0)
    monkeypatch.setattr(segment_files, "_checked", None)
    assert files.origin(name, 2, 1).opening == b"opening 5"


@pytest.mark.parametrize(("row", "side"), [(3, 0), (0, 2), (-1, 0), (0, -1)])
def test_a_tape_of_another_batch_is_refused(files, row, side):
    with pytest.raises(UserError, match="has 6 origins of 3 x 2 segments"):
        files.origin(files.write(batch(), noting()), row, side)


def test_tapes_for_fewer_segments_are_refused(files):
    with pytest.raises(UserError, match="has 4 origins of 3 x 2 segments"):
        files.origin(files.write(batch(), noting(4)), 0, 0)


def test_tapes_count_for_the_size_of_a_batch(files, monkeypatch):
    monkeypatch.setattr(segment_files, "MAX_BATCH", segment_files._bytes(batch()) + 100)
    files.write(batch())
    with pytest.raises(UserError, match="ask fewer at once"):
        files.write(batch(), noting())


def tape_parts(**changes):
    return {part: getattr(noting(), part.removeprefix("tape_")) for part in ORIGIN_PARTS} | changes


ENDS = np.array([9, 18, 18, 27, 36, 45])
HOSTILE_TAPES = {
    "a part missing": (lambda: npz(**tape_parts(tape_actions=None)), "it holds"),
    "a pickle": (lambda: npz(**tape_parts(tape_actions=np.array([{}], dtype=object))), "dtype object"),
    "text": (lambda: npz(**tape_parts(tape_openings=np.array(["x"]))), "dtype <U1"),
    "openings of another kind": (lambda: npz(**tape_parts(tape_openings=np.zeros(45))), "bytes"),
    "ends that are no numbers of steps": (lambda: npz(**tape_parts(tape_opening_ends=ENDS.astype(float))), "in order"),
    "ends beyond": (lambda: npz(**tape_parts(tape_opening_ends=ENDS + 1)), "cannot fill"),
    "ends before": (lambda: npz(**tape_parts(tape_opening_ends=ENDS - 18)), "in order"),
    "ends in disorder": (lambda: npz(**tape_parts(tape_opening_ends=ENDS[::-1].copy())), "in order"),
    "fewer ends": (lambda: npz(**tape_parts(tape_action_ends=np.array([70]))), "as many ends"),
    "a bomb": (
        lambda: npz(np.savez_compressed, **tape_parts(tape_actions=np.zeros(20 * 2**20, np.uint8))),
        "would unpack",
    ),
}


@pytest.mark.parametrize("case", HOSTILE_TAPES)
def test_hostile_tapes_are_refused(files, case):
    path, reason = placed(files, *HOSTILE_TAPES[case])
    with pytest.raises(UserError, match=f"(?s){path.name} is damaged: .*({reason})"):
        files.origin(path.name, 0, 0)


def test_encoding_and_decoding_of_tapes_are_inverse():
    found = decode_origins(encode(batch(), noting()))
    for part in ORIGIN_PARTS:
        np.testing.assert_array_equal(
            getattr(found, part.removeprefix("tape_")), getattr(noting(), part.removeprefix("tape_"))
        )
    assert decode_origins(encode(batch())) is None


def test_a_batch_without_tapes_is_written_as_it_always_was():
    with zipfile.ZipFile(io.BytesIO(encode(batch()))) as archive:
        assert sorted(archive.namelist()) == sorted(f"{part}.npy" for part in PARTS)


def parts_batch(count=3, seed=0):
    """A batch whose observations are a dict: a vector, a picture, and keys that need care in a file's name."""
    rng = np.random.default_rng(seed)
    observations = {
        "state": rng.normal(size=(count, 2, 6, 3)).astype(np.float32),
        "picture": rng.integers(0, 256, (count, 2, 6, 3, 8, 8)).astype(np.uint8),
        "../a b/é.npy": rng.integers(0, 9, (count, 2, 6)),
        "body.x": rng.integers(0, 2, (count, 2, 6, 4)).astype(np.int8),
    }
    return batch(count, seed, observations)


def assert_parts_equal(found, expected):
    assert sorted(found.observations) == sorted(expected.observations)
    for key, part in expected.observations.items():
        np.testing.assert_array_equal(np.asarray(found.observations[key]), part)
        assert found.observations[key].dtype == part.dtype


def test_a_dict_of_observations_comes_back_as_it_was(files):
    name = files.write(parts_batch(), noting())
    found = again(files).read(name)
    assert_parts_equal(found, parts_batch())
    assert isinstance(found.observations["picture"], Frames)  # read when it is looked at
    assert_parts_equal(again(files).gather([name, name], [2, 0]), parts_batch()[[2, 0]])
    assert again(files).origin(name, 0, 0).opening == b"opening 0"


def test_parts_are_members_with_percent_encoded_keys():
    with np.load(io.BytesIO(encode(parts_batch())), allow_pickle=False) as archive:
        assert sorted(name for name in archive.files if name.startswith("observations")) == [
            "observations...%2Fa%20b%2F%C3%A9.npy", "observations.body.x", "observations.picture", "observations.state",
        ]  # fmt: skip


def test_the_order_of_keys_changes_nothing():
    turned = dict(reversed(parts_batch().observations.items()))
    assert encode(batch(observations=turned)) == encode(parts_batch())
    assert digests(batch(observations=turned)[:, 0]) == digests(parts_batch()[:, 0])


def test_digests_tell_keys_and_parts_apart():
    one = np.zeros((3, 6, 3))
    plain = batch().flat()[:3]
    variants = [
        one, {"a": one}, {"b": one}, {"a": one, "b": one}, {"a": one, "b": one + 1}, {"a": one, "b": one.astype(np.float32)},
    ]  # fmt: skip
    assert len({digests(replace(plain, observations=each))[0] for each in variants}) == len(variants)


def test_digests_of_plain_observations_stay_what_they_were():
    segments = batch()[:, 0]
    head = f"<f8(6, 3){segments.actions.dtype.str}(5,)".encode()
    expected = hashlib.sha256(head + segments.observations[1].tobytes() + segments.actions[1].tobytes()).digest()
    assert digests(segments)[1] == expected


def test_gathering_refuses_segments_of_different_parts(files):
    other = batch(1, observations={"other": np.zeros((1, 2, 6, 3))})
    with pytest.raises(UserError, match="different shapes"):
        files.gather([files.write(parts_batch()), files.write(other)], [0, 0])


def test_a_part_with_too_long_a_name_is_refused_before_it_is_written(files):
    with pytest.raises(UserError, match="too long a name"):
        files.write(batch(observations={"x" * 300: np.zeros((3, 2, 6))}))


def test_objects_in_a_part_are_refused_before_they_are_written(files):
    with pytest.raises(UserError, match="observations.a has dtype object"):
        files.write(batch(observations={"a": np.full((3, 2, 6), {"a": 1}, dtype=object)}))


GOOD = np.zeros((3, 2, 6, 3))


def with_parts(save=np.savez, **parts):
    return npz(save, observations=None, **parts)


HOSTILE_PARTS = {
    "none": (lambda: with_parts(), "it holds"),
    "plain ones as well": (lambda: npz(**{"observations.a": GOOD}), "it holds"),
    "no key": (lambda: with_parts(**{"observations.": GOOD}), "it holds"),
    "a path": (lambda: with_parts(**{"observations.a/../../b": GOOD}), "it holds"),
    "one key, encoded in two ways": (
        lambda: with_parts(**{"observations.ab": GOOD, "observations.a%62": GOOD}),
        "it holds",
    ),
    "no text": (lambda: with_parts(**{"observations.%FF": GOOD}), ""),
    "a key without end": (lambda: with_parts(**{f"observations.{'a' * 300}": GOOD}), "it holds"),
    "many keys": (lambda: with_parts(**{f"observations.{n}": GOOD for n in range(65)}), "it holds"),
    "a pickle": (lambda: with_parts(**{"observations.a": np.full((3, 2, 6), {}, dtype=object)}), "dtype object"),
    "text in a part": (lambda: with_parts(**{"observations.a": np.full((3, 2, 6), "x")}), "dtype <U1"),
    "another batch shape": (lambda: with_parts(**{"observations.a": np.zeros((4, 2, 6))}), "batch shape"),
    "one observation short": (
        lambda: with_parts(**{"observations.a": GOOD, "observations.b": GOOD[:, :, :5]}),
        "need 6 observations",
    ),
    "a bomb": (
        lambda: with_parts(np.savez_compressed, **{"observations.a": np.zeros((3, 2, 6, 2**20), np.uint8)}),
        "would unpack",
    ),
    "no suffix": (
        lambda: with_parts(**{"observations.a": GOOD}).replace(b"observations.a.npy", b"observations.a.nqy"),
        "it holds|not a zip",
    ),
}


@pytest.mark.parametrize("case", HOSTILE_PARTS)
def test_hostile_parts_are_refused(files, case):
    path, reason = placed(files, *HOSTILE_PARTS[case])
    with pytest.raises(UserError, match=f"(?s){path.name} is damaged: .*({reason})"):
        files.read(path.name)
