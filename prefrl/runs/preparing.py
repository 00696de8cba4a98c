"""Prepare a run before its first step: find an exact way to redraw segments, and read the recording to replay."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

from prefrl.config.settings import Config
from prefrl.core.observations import shapes
from prefrl.rendering.check import film, prepare
from prefrl.rendering.drawing import CannotDraw
from prefrl.rendering.redraw import Unfaithful
from prefrl.runs import build, recordings
from prefrl.runs.build import Own
from prefrl.runs.parts import Parts
from prefrl.teachers.replay import ReplayTeacher


class Preparation:
    """Preparation for human and replay teachers; other teachers need none."""

    def __init__(self, folder: Path, config: Config, own: Own, parts: Parts):
        self.folder, self.config, self.own, self.parts = folder, config, own, parts

    def prepare(self) -> None:
        if isinstance(self.parts.teacher, ReplayTeacher) and build.asks(self.config):
            self._read_recording(self.parts.teacher)
        if self.parts.notices:
            self._prepare_drawing()

    def _read_recording(self, teacher: ReplayTeacher) -> None:
        """Read the recording to replay, and begin episodes in the same way as the recorded run."""
        recorder = self.parts.recorder
        recording, notes = recordings.read(self.config, teacher.function.until)
        of_actions = recorder.action_space.shape or ()
        recordings.require_shapes(recording, shapes(recorder.memory.observations, 2), of_actions)
        teacher.function.until = recording.last_seq
        if recording.from_people:
            self.parts.asker.at_once = self.config.teacher.wait
        if notes == "film":
            self._film()
        elif notes == "seed" and recording.from_people:
            with suppress(CannotDraw):  # without a renderer, assume that the generator's state was noted
                self._prepare_drawing()
        teacher.take(recording, self.parts.agent.step)

    def _prepare_drawing(self) -> None:
        maker = partial(build.maker, self.config, self.own)
        if self.own.env is None:
            try:
                return prepare(self.parts.recorder, maker, self.config.seed)
            except Unfaithful as fault:
                warnings.warn(
                    f"{fault}. One environment is filmed at every step instead, which is slower", stacklevel=2
                )
        self._film()

    def _film(self) -> None:
        maker = partial(build.maker, self.config, self.own)
        megabytes, files = self.config.record.frames_mb, self.parts.store.files
        self.parts.teacher.origins = film(self.parts.recorder, maker, megabytes, self.folder, files)
