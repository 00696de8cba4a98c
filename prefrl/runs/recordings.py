"""Recordings for the replay teacher: the answers in another run's folder, checked against the run that replays them."""

from __future__ import annotations

import warnings
from pathlib import Path

from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.environments.origins import FILMED
from prefrl.runs.folder import changes, read_run, settings_of
from prefrl.store.store import LabelStore
from prefrl.teachers import recorded
from prefrl.teachers.recording import NEVER, Recording

SAME = ("seed", "steps", "agent.", "mechanisms.", "questions.", "reward.", "record.memory_mb", "record.frames_mb",
        "record.checkpoints", "teacher.wait")  # fmt: skip
"""Settings, or beginnings of their names, that decide what is asked: a run that differs in one of them asks other questions."""
_LISTED = 4


def absolute(name: str) -> str:
    """The name of a teacher; in replay=RUN with the folder's absolute path, valid in any working directory."""
    run = recorded(name)
    return f"replay={Path(run).expanduser().absolute()}" if run else name


def find(config: Config) -> tuple[Path, Config]:
    """The folder that a run replays, and its configuration. Raises UserError if it cannot serve this run."""
    folder = Path(recorded(config.teacher.name) or "")
    recorded_config, _ = read_run(folder)
    if recorded_config.env != config.env:
        raise UserError(
            f"{folder} was recorded in {recorded_config.env}, this run acts in {config.env}; replay it with --env {recorded_config.env}"
        )
    if not recorded_config.record.labels and not (folder / "labels.db").is_file():
        raise UserError(f"{folder} has no labels.db, so there are no answers; choose another run")
    return folder, recorded_config


def read(config: Config, until: int | None) -> tuple[Recording, str]:
    """The recorded answers up to this number, and how their episodes' beginnings were noted (see `_notes`).

    Raises UserError if this run cannot replay them.
    """
    folder, recorded_config = find(config)
    with LabelStore.open(folder, recorded_config.record.labels or None) as store:
        try:
            recording = Recording.read(store, until)
        except UserError as fault:
            raise UserError(f"{folder} cannot be replayed: {fault}") from fault
        _require_useful(recording, config, folder)
        return recording, _notes(recording, store)


def check(config: Config) -> None:
    """Raise UserError unless there are answers to replay; warn of settings that differ from the recorded run's."""
    folder, recorded_config = find(config)
    read(config, None)
    changed = [line for line in changes(settings_of(recorded_config), settings_of(config)) if line.startswith(SAME)]
    if changed:
        more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
        warnings.warn(
            f"this run is not the one that was recorded ({', '.join(changed[:_LISTED])}{more}), and may ask what the"
            f" recording does not know; to repeat it: prefrl train --config {folder / 'config.yaml'} --teacher replay={folder}",
            stacklevel=2,
        )
    if recorded_config.teacher.gold or recorded_config.wanted_opinions() > 1:
        warnings.warn(
            f"{folder} combined several labellers' answers, or checked them by known ones; a replay learns from the first"
            " answer to each question, so its weights will differ",
            stacklevel=2,
        )


def require_shapes(recording: Recording, observation: tuple[object, ...], action: tuple[int, ...]) -> None:
    """Raise UserError for a recording of another environment that has the same name, or none."""
    if recording.shapes != {(observation, action)}:
        shapes = " and ".join(f"{seen}, {done}" for seen, done in sorted(recording.shapes, key=str))
        raise UserError(
            f"the recording shows observations and actions of shape {shapes}; this environment's are of {observation},"
            f" {action}. Replay it in the environment that it was recorded in"
        )


def _require_useful(recording: Recording, config: Config, folder: Path) -> None:
    if not recording.events:
        raise UserError(f"{folder} has no answers to replay; label it first: prefrl label {folder}")
    if recording.lengths != {config.questions.length}:
        lengths = ", ".join(map(str, sorted(recording.lengths)))
        raise UserError(
            f"{folder} has answers about segments of {lengths} steps, this run asks about segments of"
            f" questions.length={config.questions.length}; replay it with --questions.length {min(recording.lengths)}"
        )
    if config.teacher.timing == "heard" and recording.events[0].read_at == NEVER:
        raise UserError(
            f"no trainer has read the answers in {folder}, so it is unknown when they came;"
            " give them as soon as their questions are asked: --teacher.timing once"
        )


def _notes(recording: Recording, store: LabelStore) -> str:
    """How the recorded run noted its episodes' beginnings, by its segments: "film", "rng", "seed" or "" (not at all).

    It decides which resets are seeded: with "rng" only the first after a checkpoint, else every one.
    """
    notes = ""
    for file, row, segment in recording.origins:
        origin = store.files.origin(file, row, segment)
        if origin and origin.opening.startswith(FILMED):
            return "film"
        if origin and b'"rng"' in origin.opening[:8]:
            return "rng"
        notes = "seed" if origin else notes
    return notes
