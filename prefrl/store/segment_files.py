"""Segment files: batches of segments named by their SHA-256, written atomically and checked when read."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import numpy as np

from prefrl.core.data import Origin, Origins, Segments
from prefrl.core.errors import UserError
from prefrl.core.files import sync_folder, write_durably
from prefrl.core.frames import Frames
from prefrl.core.observations import PLAIN, mapped, nbytes, parts, shapes, whole

MAX_FILE = 256 * 2**20  # bytes, on disk and unpacked: the most a reader allocates for one file
MAX_BATCH = 240 * 2**20  # bytes of arrays that a writer accepts; the rest is for headers
EASY_BATCH = 32 * 2**20  # bytes of frames best kept in one file: reading one frame unpacks them all
MAX_RATIO = 400  # unpacked / packed: game screens reach 60 to 200, a zip bomb 1000
NUMBERS = "biuf"  # dtype kinds: bool, integer, unsigned, float
PARTS = tuple(part.name for part in fields(Segments))
OBSERVATIONS = PARTS[0]
MOST_KEYS, LONGEST_KEY = 64, 200  # of a dict of observations; as encoded characters
ORIGIN_PARTS = tuple(f"tape_{part.name}" for part in fields(Origins))  # all of them are in a file, or none
Part = TypeVar("Part")
_NAME = re.compile(r"[0-9a-f]{64}\.npz")
_STALE = 3600.0  # seconds; an unfinished file this old has lost its writer


class SegmentFiles:
    """A folder of segment files, and a cache of the latest: a trainer does not read back what it just wrote."""

    def __init__(self, folder: Path, cache_bytes: int = MAX_FILE) -> None:
        self.folder, self.cache_bytes = folder, cache_bytes
        self._cache: OrderedDict[str, Segments] = OrderedDict()
        self._without_frames: dict[str, Segments] = {}  # batches whose frames are read when they are used
        self._origins: tuple[str, Origins | None] = "", None  # of the file that was last asked for them
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        for leftover in folder.glob("*.tmp"):
            with suppress(FileNotFoundError):  # its writer was alive and has just finished
                if time.time() - leftover.stat().st_mtime > _STALE:
                    leftover.unlink()

    def write(self, segments: Segments, origins: Origins | None = None) -> str:
        """Write a batch and return the name of its file. segments: batch shape (Q, K), origins: Q * K"""
        own = Segments(**{
            part: mapped(lambda array: np.array(np.asarray(array), order="C"), getattr(segments, part)) for part in PARTS
        })  # fmt: skip
        content = encode(own, origins)
        name = f"{hashlib.sha256(content).hexdigest()}.npz"
        write_durably(self.folder / name, content)
        self._remember(name, own)
        return name

    def read(self, name: str) -> Segments:
        """The batch in a file, from the cache if it was used lately. Raises UserError for a missing or damaged file.

        Frames of pictures (Q, K, T', c, H, W) are read again when they are used, so that a batch takes no memory.
        """
        if (cached := self._without_frames.get(name)) is not None:
            return cached
        segments = self._decoded(name)
        observed = parts(segments.observations)
        pictures = [key for key, part in observed.items() if part.dtype == np.uint8 and part.ndim == 6]
        if not pictures:
            return segments
        places = np.arange(segments.true_rewards[..., 0].size).reshape(segments.true_rewards.shape[:2])
        frames = {key: Frames(partial(self._frames, name, key), places, observed[key].shape[2:]) for key in pictures}
        lazy = self._without_frames[name] = replace(segments, observations=whole({**observed, **frames}))
        return lazy

    def _decoded(self, name: str) -> Segments:
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
        segments = _checked(self.folder, name, decode)
        self._remember(name, segments)
        return segments

    def _frames(self, name: str, key: str, places: np.ndarray) -> np.ndarray:
        """The frames of a part of the observations, by index into a file's Q * K segments: (M,) -> (M, T', c, H, W)"""
        each = np.asarray(parts(self._decoded(name).observations)[key])
        return each.reshape(-1, *each.shape[2:])[places]

    def origin(self, name: str, row: int, side: int) -> Origin | None:
        """The origin of one segment in a file; None if there is none."""
        segments = self.read(name)
        last, origins = self._origins
        if last != name:
            origins = _checked(self.folder, name, decode_origins)
            self._origins = name, origins
        sides = segments.true_rewards.shape[1]
        if origins is None:
            return None
        if len(origins) != len(segments) * sides or not (0 <= row < len(segments) and 0 <= side < sides):
            raise UserError(
                f"{self.folder / name} has {len(origins)} origins of {len(segments)} x {sides} segments, wanted {row}, {side}"
            )
        return origins[row * sides + side]

    def gather(self, names: Sequence[str], rows: Sequence[int]) -> Segments:
        """Pick one row of a file per entry, in the order given: (N,) names, (N,) rows -> batch shape (N, K)"""
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(name, []).append(place)
        picked = [self._rows(name, [rows[place] for place in wanted]) for name, wanted in places.items()]
        if len(picked) == 1:
            return picked[0]
        shown = {(b.true_rewards.shape[1:], shapes(b.observations, 2), b.actions.shape[2:]) for b in picked}
        if len(shown) > 1:
            raise UserError(
                f"these questions show segments of different shapes (lengths {sorted({b.length for b in picked})}) and make"
                " no batch; keep length and environment within a run, or read the answers in parts"
            )
        order = np.argsort(np.concatenate(list(places.values())))
        return Segments.concatenate(picked)[order]

    def _rows(self, name: str, rows: list[int]) -> Segments:
        batch = self.read(name)
        if not 0 <= min(rows) <= max(rows) < len(batch):
            raise UserError(
                f"the label store wants rows {min(rows)} to {max(rows)} of {self.folder / name},"
                f" which has {len(batch)}; restore labels.db and segments/ from the same copy"
            )
        return batch[np.asarray(rows)]

    def _remember(self, name: str, segments: Segments) -> None:
        with self._lock:
            self._cache[name] = segments
            held = sum(_bytes(batch) for batch in self._cache.values())
            while held > self.cache_bytes and len(self._cache) > 1:
                held -= _bytes(self._cache.popitem(last=False)[1])


def encode(segments: Segments, origins: Origins | None = None) -> bytes:
    """A batch as the bytes of an npz file; equal batches give equal bytes. Images are compressed, numbers are not."""
    observed = parts(segments.observations)
    arrays = {_member(key): observed[key] for key in sorted(observed)}
    arrays |= {part: getattr(segments, part) for part in PARTS if part != OBSERVATIONS}
    if origins is not None:
        arrays |= {part: getattr(origins, part.removeprefix("tape_")) for part in ORIGIN_PARTS}
    for part, array in arrays.items():
        if array.dtype.kind not in NUMBERS:
            raise UserError(f"segments.{part} has dtype {array.dtype}; the label store takes numbers and booleans only")
    held = sum(array.nbytes for array in arrays.values())
    if held > MAX_BATCH:
        raise UserError(
            f"{len(segments)} questions hold {held / 2**20:.0f} MiB of arrays, {MAX_BATCH // 2**20} MiB fit in one batch;"
            " ask fewer at once"
        )
    if any(part.dtype == np.uint8 for part in observed.values()):
        content = _npz(np.savez_compressed, arrays)
        if held < 0.9 * MAX_RATIO * len(content):  # a black screen packs so well that it looks like a zip bomb
            return content
    return _npz(np.savez, arrays)


def digests(segments: Segments) -> list[bytes]:
    """SHA-256 of each segment's observations and actions, bit for bit: batch shape (N,) -> N digests"""
    named = [(json.dumps(key) if key else "", part) for key, part in sorted(parts(segments.observations).items())]
    arrays = [(name, np.ascontiguousarray(array)) for name, array in (*named, ("", segments.actions))]
    # plain observations have no name: their digests are those of the first release
    head = "".join(f"{name}{array.dtype.str}{array.shape[1:]}" for name, array in arrays).encode()
    return [hashlib.sha256(head + b"".join(a[n].tobytes() for _, a in arrays)).digest() for n in range(len(segments))]


def _member(key: str) -> str:
    """The array's name in a file: `observations`, or `observations.<percent-encoded key>` where they are a dict."""
    if key == PLAIN:
        return OBSERVATIONS
    name = f"{OBSERVATIONS}.{quote(key, safe='')}"
    if len(name) > LONGEST_KEY:
        raise UserError(f"the observation {key[:40]!r}... has too long a name, {len(name)} characters as it is written;"
                        f" {LONGEST_KEY} fit. Shorten it")  # fmt: skip
    return name


def _key(member: str) -> str | None:
    """The key of a part of the observations in a file; None for another name, and for none that `_member` gives."""
    if member == OBSERVATIONS:
        return PLAIN
    encoded = member.removeprefix(f"{OBSERVATIONS}.")
    if encoded in ("", member) or len(member) > LONGEST_KEY:
        return None
    key = unquote(encoded, errors="strict")
    return key if quote(key, safe="") == encoded else None


def decode(content: bytes) -> Segments:
    """The batch in the bytes of an npz file. Allocates no more than the file holds, and loads no pickle."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = _members(archive, len(content))
        observed = {key: _array(archive, members[name]) for name in members if (key := _key(name)) is not None}
        others = {part: _array(archive, members[part]) for part in PARTS if part != OBSERVATIONS}
        return Segments(whole(observed), **others)


def decode_origins(content: bytes) -> Origins | None:
    """The origins in the bytes of an npz file, with the same checks; None if it has none."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = _members(archive, len(content))
        if ORIGIN_PARTS[0] not in members:
            return None
        return Origins(**{part.removeprefix("tape_"): _array(archive, members[part]) for part in ORIGIN_PARTS})


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """What an archive holds, by part. Raises ValueError for anything else than one batch that can be unpacked."""
    members = archive.infolist()
    names = [member.filename.removesuffix(".npy") for member in members]
    keys = [key for name in names if (key := _key(name)) is not None]
    others = sorted(name for name in names if _key(name) is None)
    expected = [sorted(set(PARTS) - {OBSERVATIONS} | set(more)) for more in ((), ORIGIN_PARTS)]
    complete = others in expected and all(member.filename.endswith(".npy") for member in members)
    if not complete or not 0 < len(keys) == len(set(keys)) <= MOST_KEYS or (PLAIN in keys and len(keys) > 1):
        raise ValueError(f"it holds {sorted(names)[:9]}, expected {list(PARTS)}")
    unpacked, most = sum(member.file_size for member in members), min(MAX_FILE, MAX_RATIO * size)
    if unpacked > most:
        raise ValueError(f"its {size} bytes would unpack to {unpacked}, more than {most}")
    return {member.filename.removesuffix(".npy"): member for member in members}


def _npz(save, arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    save(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _checked(folder: Path, name: str, read: Callable[[bytes], Part]) -> Part:
    """Read a file that may be damaged or hostile."""
    if not _NAME.fullmatch(name):
        raise UserError(f"the label store names {name!r} as a segment file; expected <sha256>.npz inside {folder}")
    path = folder / name
    if not path.is_file():
        raise UserError(f"segment file {path} is missing; restore it from a copy of the run folder")
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"it has {path.stat().st_size} bytes, more than {MAX_FILE}")
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != path.stem:
            raise ValueError(f"its content has the digest {digest[:12]}..., not the one it is named by")
        return read(content)
    except Exception as fault:  # hostile bytes fail in as many ways as zip, npy and numpy have parsers
        raise UserError(f"segment file {path} is damaged: {fault}; restore it from a copy of the run folder") from fault


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(f"{member.filename} is not in npy format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind not in NUMBERS:
            raise ValueError(f"{member.filename} has dtype {dtype}, expected numbers or booleans")
        claimed, held = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
        if claimed != held:
            raise ValueError(f"{member.filename} claims {claimed} bytes of shape {shape} and has {held}")
        return np.ndarray(shape, dtype, stream.read(), order="F" if fortran else "C")


def _bytes(segments: Segments) -> int:
    return sum(nbytes(getattr(segments, part)) for part in PARTS)
