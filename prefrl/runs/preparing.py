"""Prepare a run before its first step: find an exact way to redraw segments, and read the recording to replay."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial

from prefrl.rendering.check import film, prepare
from prefrl.rendering.drawing import CannotDraw
from prefrl.rendering.redraw import Unfaithful
from prefrl.runs import build, recordings
from prefrl.runs.run import Run
from prefrl.teachers.replay import ReplayTeacher


def prepare_run(run: Run) -> None:
    """Prepare a run with a human or replay teacher; others need nothing. After `restore`, before `learn`."""
    if isinstance(run.teacher, ReplayTeacher) and build.asks(run.config):
        _read_recording(run, run.teacher)
    if run.notices:
        _prepare_drawing(run)


def _read_recording(run: Run, teacher: ReplayTeacher) -> None:
    """Read the recording to replay, and begin episodes in the same way as the recorded run."""
    recording, notes = recordings.read(run.config, teacher.function.until)
    recordings.require_shapes(
        recording, run.recorder.memory.shapes_of_observations, run.recorder.action_space.shape or ()
    )
    teacher.function.until = recording.last_seq
    if recording.from_people:
        run.asker.at_once = run.config.teacher.wait
    if notes == "film":
        _film(run)
    elif notes == "seed" and recording.from_people:
        with suppress(CannotDraw):  # without a renderer, assume that the generator's state was noted
            _prepare_drawing(run)
    teacher.take(recording, run.agent.step)


def _prepare_drawing(run: Run) -> None:
    if run.own.env is None:
        try:
            return prepare(run.recorder, partial(build.maker, run.config, run.own), run.config.seed)
        except Unfaithful as fault:
            warnings.warn(f"{fault}. One environment is filmed at every step instead, which is slower", stacklevel=2)
    _film(run)


def _film(run: Run) -> None:
    make_env, megabytes = partial(build.maker, run.config, run.own), run.config.record.frames_mb
    run.teacher.origins = film(run.recorder, make_env, megabytes, run.folder, run.store.files)
