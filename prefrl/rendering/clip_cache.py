"""The cache of clips for the label page: sheets of frames named by their SHA-256, and an index of segments.

Whatever is missing or damaged is drawn again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_type_hints

import numpy as np
from typing_extensions import TypedDict  # of Python 3.12: pydantic reads it where it is part of a message

from prefrl.core.errors import StorageFull
from prefrl.core.files import new_file
from prefrl.rendering.sheets import sheet

SMALL = 256  # pixels: pictures of no more than this on both sides are enlarged as squares, not blurred
SHA256 = re.compile(r"[0-9a-f]{64}")


class SheetLayout(TypedDict):
    """How the frames of a clip lie on their sheet, and how to play them."""

    frames: int
    columns: int  # frames in a row of the sheet
    width: int  # of a frame, in pixels
    height: int
    fps: float
    pixelated: bool


class CachedClip(SheetLayout):
    """An index entry."""

    clip: str  # SHA-256 of the sheet


_TYPES = get_type_hints(CachedClip)


def write_clip(folder: Path, file: str, row: int, side: int, frames: np.ndarray, fps: float) -> CachedClip:
    """Write the clip of one segment: the sheet first, then its index entry. frames: (T + 1, H, W, 3)"""
    content, columns = sheet(frames)
    count, height, width, _ = frames.shape
    clip = CachedClip(
        clip=hashlib.sha256(content).hexdigest(), frames=count, columns=columns, width=width, height=height,
        fps=float(fps), pixelated=max(height, width) <= SMALL,
    )  # fmt: skip
    (folder / "clips" / "index").mkdir(parents=True, exist_ok=True)
    _write(folder / "clips" / f"{clip['clip']}.webp", content)
    _write(_entry(folder, file, row, side), json.dumps(clip).encode())
    return clip


def clip_of(folder: Path, file: str, row: int, side: int) -> CachedClip | None:
    """The clip of one segment: its place in a row of a segment file. None if it is missing or damaged."""
    entry = _entry(folder, file, row, side)
    if not entry.exists():
        return None
    try:
        clip = _checked(entry.read_bytes())
        if hashlib.sha256((folder / "clips" / f"{clip['clip']}.webp").read_bytes()).hexdigest() == clip["clip"]:
            return clip
    except (OSError, ValueError):
        pass
    entry.unlink(missing_ok=True)  # so that it is drawn again
    return None


def clips_ready(folder: Path, places: Iterable[tuple[str, int, int]]) -> list[bool]:
    """Whether all clips of each question (segment file, row, number of clips) are in the index. Reads no file."""
    index = folder / "clips" / "index"
    names = set(os.listdir(index)) if index.exists() else set()
    return [names.issuperset(_entry_names(*place)) for place in places]


def prune(folder: Path, most: int, keep: Iterable[tuple[str, int, int]]) -> None:
    """Delete the oldest sheets until they have at most `most` bytes together; none of the questions to keep."""
    sheets = {entry.name: entry.stat().st_size for entry in os.scandir(folder / "clips") if entry.is_file()}
    excess = sum(sheets.values()) - most
    if excess <= 0:
        return
    kept = {name for place in keep for name in _entry_names(*place)}
    entries = sorted((folder / "clips" / "index").iterdir(), key=lambda entry: entry.stat().st_mtime)
    kept_sheets = {_sheet_name(entry) for entry in entries if entry.name in kept}
    for entry in entries:
        if excess > 0 and entry.name not in kept:
            name = _sheet_name(entry)
            entry.unlink(missing_ok=True)
            if name not in kept_sheets:
                (folder / "clips" / name).unlink(missing_ok=True)
                excess -= sheets.pop(name, 0)


def _sheet_name(entry: Path) -> str:
    """The file of the sheet that an index entry names; empty if it is damaged."""
    try:
        return f"{_checked(entry.read_bytes())['clip']}.webp"
    except (OSError, ValueError):
        return ""


def _checked(content: bytes) -> CachedClip:
    """The index entry in a file's content. Raises ValueError for what is none."""
    try:
        clip: CachedClip = json.loads(content)
        types = {name: type(value) for name, value in clip.items()}
    except (RecursionError, AttributeError) as fault:  # too deep, or no object
        raise ValueError(f"{content[:60]!r} is no index entry of a clip") from fault
    least = min(clip["frames"], clip["columns"], clip["width"], clip["height"], clip["fps"]) if types == _TYPES else 0
    if least <= 0 or not SHA256.fullmatch(clip["clip"]):
        raise ValueError(f"{clip} is no index entry of a clip")
    return clip


def _entry(folder: Path, file: str, row: int, side: int) -> Path:
    return folder / "clips" / "index" / _entry_names(file, row, side + 1)[side]


def _entry_names(file: str, row: int, count: int) -> list[str]:
    return [f"{Path(file).stem}-{int(row)}-{side}.json" for side in range(count)]


def _write(path: Path, content: bytes) -> None:
    """Write without fsync: a file that a power loss damages fails its checksum and is drawn again."""
    try:
        with new_file(path, durable=False) as unfinished:
            unfinished.write_bytes(content)
    except OSError as fault:  # of any kind: no fault of the question
        raise StorageFull(f"cannot write {len(content)} bytes into {path.parent}: {fault}; free some space") from fault
