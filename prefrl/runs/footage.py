"""A run's asked segments as footage, with the reward model's predictions for them: the source of reels and clips."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.core.errors import UserError
from prefrl.rendering.clips import clip_of, write_clip
from prefrl.rendering.footage import Footage
from prefrl.rendering.redraw import Redrawer, Unfaithful
from prefrl.runs import build, checkpoint
from prefrl.runs.api import load_run
from prefrl.runs.folder import read_run
from prefrl.runs.own import Own
from prefrl.runs.run import Run
from prefrl.store.lookup import Place, by_kind
from prefrl.store.store import LabelStore

BATCH = 256  # questions per prediction


@dataclass(frozen=True)
class Thought:
    """The reward model's prediction for a question."""

    version: int
    chances: list[float]  # probabilities of the kind's outcomes, in the stored order
    rewards: np.ndarray  # (K, T)


class Source:
    """A run's label store, with footage and predictions for its questions."""

    def __init__(self, folder: Path, own: Mapping[str, Any]):
        self.folder, self.own = folder, Own(**own)
        self.config, self.about = read_run(folder)
        self.store = LabelStore.open(folder, self.config.record.labels or None)
        self.redrawer: Redrawer | None = None

    @cached_property
    def run(self) -> Run | None:
        """The run at its newest checkpoint, if there is one and all own parts were given; loaded at first use."""
        if set(self.about["own"]) - set(self.own.names()) or not checkpoint.found(self.folder / "checkpoints"):
            return None
        try:
            return load_run(self.folder, **vars(self.own))
        except UserError as fault:
            warnings.warn(f"no predictions by the newest checkpoint: {fault}", stacklevel=2)
            return None

    def close(self) -> None:
        if loaded := vars(self).get("run"):
            loaded.close()
        if self.redrawer:
            self.redrawer.close()
        self.store.close()

    def footage(self, place: Place, segment: int) -> Footage:
        """The frames of a segment, as people are shown them. Raises Unfaithful where they cannot be had."""
        clip = clip_of(self.folder, place.file, place.row, segment) or self._draw(place, segment)
        content = (self.folder / "clips" / f"{clip['clip']}.webp").read_bytes()
        return Footage([(content, clip["frames"], clip["columns"])], (clip["width"], clip["height"]), clip["fps"])

    def thoughts(self, ids: Sequence[int]) -> dict[int, Thought]:
        """Predictions of the newest checkpoint's reward model; without one, those that the trainer posted last."""
        if self.run is None or not self.run.reward_model.version:
            posted = self.store.notices.predictions(ids).items()
            return {
                id: Thought(t["model_version"], t["chances"], np.array(t["rewards"]))
                for id, t in posted
                if "chances" in t
            }
        predictions: dict[int, Thought] = {}
        for kind, of_kind in by_kind(self.store, ids).items():
            for start in range(0, len(of_kind), BATCH):
                predictions |= self._predicted(kind, of_kind[start : start + BATCH])
        return predictions

    def _predicted(self, kind: str, ids: list[int]) -> dict[int, Thought]:
        model = self.run.reward_model  # type: ignore[union-attr]
        rewards, chances = model.opinion(kind, self.store.queries(ids).segments)  # type: ignore[union-attr]
        return {
            id: Thought(model.version, np.asarray(each).tolist(), reward)
            for id, each, reward in zip(ids, chances, rewards, strict=True)
        }

    def _draw(self, place: Place, number: int) -> dict[str, Any]:
        segment = self.store.files.read(place.file)[place.row, number]
        origin = self.store.files.origin(place.file, place.row, number)
        if origin is None:
            raise Unfaithful(
                "nothing was noted to draw it by. Runs note it if this version trained them, and their environments are"
                " not in processes of their own; `prefrl render progress` and `prefrl render episode` work for every run"
            )
        if b'"film"' in origin.opening:
            raise Unfaithful(f"it was filmed as it happened, and its clip is gone from {self.folder / 'clips'}")
        if self.redrawer is None:
            self._require_env()
            self.redrawer = Redrawer(build.maker(self.config, self.own, "rgb_array"))
        frames = self.redrawer.redraw(segment, origin)
        return write_clip(self.folder, place.file, place.row, number, frames, self.redrawer.fps)

    def _require_env(self) -> None:
        if "env" in self.about["own"] and self.own.env is None:
            raise UserError(
                f"{self.folder} acted in an environment of your own; give it from Python, as env= of the functions in"
                " prefrl.reels"
            )


@contextmanager
def opened(folder: Path | str, own: Mapping[str, Any]) -> Iterator[Source]:
    """A run's source, closed afterwards."""
    source = Source(Path(folder), own)
    try:
        yield source
    finally:
        source.close()
