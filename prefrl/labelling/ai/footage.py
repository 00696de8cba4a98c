"""The frames of a run's clips, as the render worker drew them; starts a worker if no label server runs one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from prefrl.labelling import supervisor
from prefrl.rendering.clip_cache import clip_of
from prefrl.rendering.sheets import frames_of
from prefrl.runs import address
from prefrl.store.lookup import Place
from prefrl.store.store import LabelStore

LOOK = 5.0  # seconds between two checks for a running render worker
STUCK = 60.0  # seconds without a new clip after which none is expected


class Footage:
    """Clips of questions as frames. One thread uses it."""

    def __init__(self, folder: Path, store: LabelStore, modules: Sequence[str], store_url: str | None):
        self.folder, self.store = folder, store
        self.worker = supervisor.command(folder, modules, store_url)
        self._own: supervisor.Supervisor | None = None
        self._checked_at = -LOOK
        self._missing: set[int] = set()
        self._changed_at = time.monotonic()

    def close(self) -> None:
        if self._own:
            self._own.stop()

    def frames(self, place: Place) -> list[np.ndarray] | None:
        """The clips of a question in stored order, each (T + 1, H, W, 3) uint8; None while they are not drawn."""
        clips = [self._frames(place, segment) for segment in range(place.segments)]
        drawn = [clip for clip in clips if clip is not None]
        return drawn if len(drawn) == len(clips) else None

    def want(self, open_ones: Iterable[Place], answered: Iterable[Place]) -> None:
        """Have these drawn: workers draw open questions unasked, answered ones only on request."""
        requested = [place.query for place in answered]
        missing = {*requested, *(place.query for place in open_ones)}
        if missing != self._missing:
            self._missing, self._changed_at = missing, time.monotonic()
        if not missing or time.monotonic() - self._checked_at < LOOK:
            return
        self._checked_at = time.monotonic()
        if requested:
            self.store.notices.post("wanted", {"queries": requested})
        served = _has_label_server(self.folder)
        if self._own and served:
            self._own.stop()
            self._own = None
        elif not self._own and not served:
            self._own = supervisor.Supervisor(self.worker, self.folder / "render-worker.log")
            self._own.start()

    def stuck(self) -> str | None:
        """Why no more clips are expected; None while they are."""
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


def _has_label_server(folder: Path) -> bool:
    """Whether a label server on this machine runs a render worker for this run."""
    server = address.read(folder)
    if server is None or sys.platform == "win32":  # where os.kill(pid, 0) would end the process
        return server is not None
    try:
        os.kill(server.pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
