"""The frames of a run's questions: what the render worker drew, and a worker of our own where nobody else runs one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from prefrl.labelling import render_worker as drawing
from prefrl.rendering.clips import clip_of
from prefrl.rendering.sheets import frames_of
from prefrl.runs import address
from prefrl.store.lookup import Place
from prefrl.store.store import LabelStore

LOOK = 5.0  # seconds between two looks at who draws
STUCK = 60.0  # seconds without a new clip, after which none is expected


class Footage:
    """Clips of questions as frames. One thread uses it."""

    def __init__(self, folder: Path, store: LabelStore, modules: Sequence[str], store_url: str | None):
        self.folder, self.store = folder, store
        self.worker = drawing.command(folder, modules, store_url)
        self._own: drawing.Drawing | None = None
        self._looked_at = -LOOK
        self._missing: set[int] = set()
        self._changed_at = time.monotonic()

    def close(self) -> None:
        if self._own:
            self._own.stop()

    def frames(self, place: Place) -> list[np.ndarray] | None:
        """The clips of a question in stored order, each (T + 1, H, W, 3) uint8; None while they are not drawn."""
        found = [self._frames(place, segment) for segment in range(place.segments)]
        drawn = [frames for frames in found if frames is not None]
        return drawn if len(drawn) == len(found) else None

    def want(self, open_ones: Iterable[Place], answered: Iterable[Place]) -> None:
        """See to it that these are drawn: open questions are by any worker, others when they are wished for."""
        wished = [place.query for place in answered]
        missing = {*wished, *(place.query for place in open_ones)}
        if missing != self._missing:
            self._missing, self._changed_at = missing, time.monotonic()
        if not missing or time.monotonic() - self._looked_at < LOOK:
            return
        self._looked_at = time.monotonic()
        if wished:
            self.store.notices.post("wanted", {"queries": wished})
        served = _served(self.folder)
        if self._own and served:
            self._own.stop()
            self._own = None
        elif not self._own and not served:
            self._own = drawing.Drawing(self.worker, self.folder / "render-worker.log")
            self._own.start()

    def stuck(self) -> str | None:
        """Why nothing more will be drawn, if it seems so."""
        if not self._missing or time.monotonic() - self._changed_at < STUCK:
            return None
        notice = self.store.notices.read("renderer")
        fault = (self._own and self._own.trouble()) or (notice and notice[0].get("error")) or "no worker draws them"
        return f"{len(self._missing)} questions have no clips: {fault}"

    def _frames(self, place: Place, segment: int) -> np.ndarray | None:
        clip = clip_of(self.folder, place.file, place.row, segment)
        if clip is None:
            return None
        try:
            content = (self.folder / "clips" / f"{clip['clip']}.webp").read_bytes()
            return frames_of(content, clip["frames"], clip["columns"])
        except OSError:  # pruned this moment
            return None


def _served(folder: Path) -> bool:
    """Whether a label server of this machine has a worker for this run."""
    here = address.read(folder)
    if here is None or sys.platform == "win32":  # where asking for a process would end it
        return here is not None
    try:
        os.kill(here.pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
