"""The frames of a run's clips, as a render worker drew them: a label server's, or one started here where none draws."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prefrl.labelling.ai.tasks import LabelTask
from prefrl.labelling.supervisor import Supervisor, command
from prefrl.rendering.clip_cache import clip_of
from prefrl.rendering.sheets import frames_of
from prefrl.store.lookup import Place
from prefrl.store.store import LabelStore

LOOK = 5.0  # seconds between two checks for a label server
PRESENT = 15.0  # seconds after its last notice for which a label server counts as present
STUCK = 60.0  # seconds without a new clip after which none is expected


class ClipFrames:
    """Clips of questions as frames. One thread uses it."""

    def __init__(self, folder: Path, store: LabelStore, modules: Sequence[str], store_url: str | None):
        self.folder, self.store = folder, store
        self.worker = command(folder, modules, store_url)
        self._own: Supervisor | None = None
        self._checked_at = -LOOK
        self._missing: set[int] = set()
        self._changed_at = time.monotonic()

    def close(self) -> None:
        if self._own:
            self._own.stop()

    def frames(self, place: Place) -> list[np.ndarray] | None:
        """The clips of a question in stored order, each (T + 1, H, W, 3) uint8; None while they are not drawn."""
        drawn = []
        for segment in range(place.segments):
            clip = clip_of(self.folder, place.file, place.row, segment)
            if clip is None:
                return None
            try:
                content = (self.folder / "clips" / f"{clip['clip']}.webp").read_bytes()
                drawn.append(frames_of(content, clip["frames"], clip["columns"]))
            except OSError:  # pruned this moment
                return None
        return drawn

    def want(self, tasks: Sequence[LabelTask]) -> None:
        """Have these drawn: workers draw open questions without a request, answered ones only on request."""
        requested = [task.place.query for task in tasks if task.kind == "opinion"]
        missing = {task.place.query for task in tasks}
        if missing != self._missing:
            self._missing, self._changed_at = missing, time.monotonic()
        if not missing or time.monotonic() - self._checked_at < LOOK:
            return
        self._checked_at = time.monotonic()
        if requested:
            self.store.notices.post("wanted", {"queries": requested})
        notice = self.store.notices.read("labelling")
        served = notice is not None and notice[0]["state"] == "open" and notice[1] < PRESENT
        if self._own and served:  # its worker is to draw, as backups are made where clips are drawn
            self._own.stop()
            self._own = None
        elif not self._own and not served:
            self._own = Supervisor(self.worker, self.folder / "render-worker.log")
            self._own.start()

    def stuck(self) -> str | None:
        """Why no more clips are expected; None while they are."""
        if not self._missing or time.monotonic() - self._changed_at < STUCK:
            return None
        notice = self.store.notices.read("renderer")
        fault = (self._own and self._own.trouble()) or (notice and notice[0].get("error")) or "no worker draws them"
        return f"{len(self._missing)} questions have no clips: {fault}"
