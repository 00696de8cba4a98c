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
from typing import Any

import numpy as np

from prefrl.core.errors import StorageFull
from prefrl.core.files import new_file
from prefrl.rendering.sheets import sheet

SMALL = 256  # pixels: pictures of no more than this on both sides are enlarged as squares, not blurred
_NAME = re.compile(r"[0-9a-f]{64}")
_PARTS = {"clip": str, "frames": int, "columns": int, "width": int, "height": int, "fps": float, "pixelated": bool}


def write_clip(folder: Path, file: str, row: int, side: int, frames: np.ndarray, fps: float) -> dict[str, Any]:
    """Write the clip of one segment: the sheet first, then its index entry. frames: (T + 1, H, W, 3)"""
    content, columns = sheet(frames)
    name = hashlib.sha256(content).hexdigest()
    count, height, width, _ = frames.shape
    clip = {
        "clip": name, "frames": count, "columns": columns, "width": width, "height": height, "fps": float(fps),
        "pixelated": max(height, width) <= SMALL,
    }  # fmt: skip
    (folder / "clips" / "index").mkdir(parents=True, exist_ok=True)
    _write(_sheet(folder, name), content)
    _write(_note(folder, file, row, side), json.dumps(clip).encode())
    return clip


def clip_of(folder: Path, file: str, row: int, side: int) -> dict[str, Any] | None:
    """The clip of one segment: its place in a row of a segment file. None if it is missing or damaged."""
    note = _note(folder, file, row, side)
    try:
        content = note.read_bytes()
    except OSError:
        return None
    try:
        clip = _checked(json.loads(content))
        if hashlib.sha256(_sheet(folder, clip["clip"]).read_bytes()).hexdigest() == clip["clip"]:
            return clip
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        pass
    note.unlink(missing_ok=True)  # so that it is drawn again
    return None


def clips_ready(folder: Path, places: Iterable[tuple[str, int, int]]) -> list[bool]:
    """Whether all clips of each question (segment file, row, number of clips) are in the index. Reads no file."""
    index = folder / "clips" / "index"
    try:
        notes = {entry.name for entry in os.scandir(index)}
    except FileNotFoundError:
        notes = set()
    return [all(_note(folder, file, row, side).name in notes for side in range(count)) for file, row, count in places]


def prune(folder: Path, most: int, keep: Iterable[tuple[str, int, int]]) -> None:
    """Delete the oldest sheets until they have at most `most` bytes together; none of the questions to keep."""
    kept = {_note(folder, file, row, side).name for file, row, count in keep for side in range(count)}
    sheets = {entry.name: entry.stat().st_size for entry in os.scandir(folder / "clips") if entry.is_file()}
    excess = sum(sheets.values()) - most
    if excess <= 0:
        return
    notes = sorted((folder / "clips" / "index").iterdir(), key=lambda note: note.stat().st_mtime)
    kept_sheets = {_named(note) for note in notes if note.name in kept}
    for note in notes:
        if excess > 0 and note.name not in kept:
            name = _named(note)
            note.unlink(missing_ok=True)
            if name not in kept_sheets:
                (folder / "clips" / name).unlink(missing_ok=True)
                excess -= sheets.pop(name, 0)


def _named(note: Path) -> str:
    """The file of the sheet that an index entry names."""
    try:
        return f"{_checked(json.loads(note.read_bytes()))['clip']}.webp"
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return ""


def _checked(clip: Any) -> dict[str, Any]:
    """Return a well-formed index entry; raise ValueError for any other."""
    if {part: type(value) for part, value in clip.items()} != _PARTS or not _NAME.fullmatch(clip["clip"]):
        raise ValueError(f"{clip} is no note of a clip")
    if min(clip[part] for part in ("frames", "columns", "width", "height", "fps")) <= 0:
        raise ValueError(f"{clip} is an empty clip")
    return clip


def _sheet(folder: Path, name: str) -> Path:
    return folder / "clips" / f"{name}.webp"


def _note(folder: Path, file: str, row: int, side: int) -> Path:
    return folder / "clips" / "index" / f"{Path(file).stem}-{int(row)}-{int(side)}.json"


def _write(path: Path, content: bytes) -> None:
    """Write without fsync: a file that a power loss damages fails its checksum and is drawn again."""
    try:
        with new_file(path, durable=False) as unfinished:
            unfinished.write_bytes(content)
    except OSError as fault:  # of any kind: no fault of the question
        raise StorageFull(f"cannot write {len(content)} bytes into {path.parent}: {fault}; free some space") from fault
