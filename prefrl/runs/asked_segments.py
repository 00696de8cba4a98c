"""The segments that a run asked about: their frames, and the reward model's predictions for them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.core.errors import UserError
from prefrl.rendering.clip_cache import CachedClip, clip_of, write_clip
from prefrl.rendering.redraw import Redrawer, Unfaithful
from prefrl.rendering.sheets import Footage
from prefrl.rewards.model import RewardModel
from prefrl.runs import build, checkpoint
from prefrl.runs.api import load_run
from prefrl.runs.folder import read_run
from prefrl.runs.own import Own
from prefrl.runs.run import Run
from prefrl.store.lookup import Place, by_kind
from prefrl.store.store import LabelStore

BATCH = 256  # questions per prediction


@dataclass(frozen=True)
class Prediction:
    """The reward model's prediction for a question."""

    version: int
    chances: list[float]  # probabilities of the kind's outcomes, in the stored order
    rewards: np.ndarray  # (K, T)


class AskedSegments:
    """A run's label store, with the frames of its questions' segments and with predictions for them."""

    def __init__(self, folder: Path | str, own: Mapping[str, Any]):
        self.folder, self.own = Path(folder), Own(**own)
        self.config, self.about = read_run(folder)
        self.store = LabelStore.open(self.folder, self.config.record.labels or None)
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

    def predictions(self, ids: Sequence[int]) -> dict[int, Prediction]:
        """Predictions of the newest checkpoint's reward model; without one, those that the trainer posted last."""
        if self.run is None or not self.run.reward_model.version:
            posted = self.store.notices.predictions(ids).items()
            return {
                id: Prediction(each["model_version"], each["chances"], np.array(each["rewards"]))
                for id, each in posted
                if "chances" in each
            }
        model = self.run.reward_model
        assert isinstance(model, RewardModel)  # controls are never fitted
        predictions: dict[int, Prediction] = {}
        for kind, of_kind in by_kind(self.store, ids).items():
            for start in range(0, len(of_kind), BATCH):
                batch = of_kind[start : start + BATCH]
                rewards, chances = model.predict(kind, self.store.queries(batch).segments)
                for id, each, reward in zip(batch, chances, rewards, strict=True):
                    predictions[id] = Prediction(model.version, each.tolist(), reward)
        return predictions

    def _draw(self, place: Place, number: int) -> CachedClip:
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
            if "env" in self.about["own"] and self.own.env is None:
                raise UserError(
                    f"{self.folder} acted in an environment of your own; give it from Python, as env= of the functions in"
                    " prefrl.reels"
                )
            self.redrawer = Redrawer(build.maker(self.config, self.own, "rgb_array"))
        frames = self.redrawer.redraw(segment, origin)
        return write_clip(self.folder, place.file, place.row, number, frames, self.redrawer.fps)
