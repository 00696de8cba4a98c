"""Make a run folder of a dataset. Datasets are not trusted: every line, reference and array is checked first."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from prefrl.config.settings import Config
from prefrl.config.values import as_dict, update
from prefrl.core.errors import UserError
from prefrl.core.files import new_folder, refuse_occupied, write_durably
from prefrl.core.observations import parts, shapes
from prefrl.dataset import layout
from prefrl.dataset.lines import Model, content_of, lines_of, parsed, unchanged
from prefrl.dataset.schema import About, Label, Moment, Question
from prefrl.kinds import Answer, Kind, kind_of
from prefrl.runs.folder import FORMAT as RUN_FORMAT
from prefrl.runs.lists import check
from prefrl.store.contents import Contents, write_contents
from prefrl.store.segment_files import MAX_FILE, SegmentFiles
from prefrl.store.store import LabelStore

MOST_ABOUT = 2**24  # bytes of dataset.json
SHARED = ("uid", "segments_file", "row", "asked_step", "strategy", "score", "asked_at")
"""Fields of its question that a label repeats."""
ABOUT_QUESTION = (*SHARED, "id", "asked_kind", "asked_model_version")


def import_dataset(source: Path | str, folder: Path | str) -> About:
    """Make the run folder of a dataset, whole or not at all. Raises UserError naming the file and line of a fault."""
    dataset = Path(source)
    about = _about(dataset)
    config = _config(dataset / layout.ABOUT, about)
    record = _record(dataset, about)
    refuse_occupied(Path(folder))
    with new_folder(Path(folder)) as unfinished:
        with LabelStore.open(unfinished) as store:
            _copy_segments(dataset / layout.SEGMENTS, store.files, record)
            write_contents(store, record)
        write_durably(unfinished / "config.yaml", yaml.safe_dump(as_dict(config), sort_keys=False).encode())
        write_durably(unfinished / "run.json", json.dumps(_run(about), indent=1).encode())
    return about


def _about(dataset: Path) -> About:
    path = dataset / layout.ABOUT
    if not path.is_file():
        raise UserError(f"{dataset} has no {layout.ABOUT}; give a folder that prefrl export wrote")
    about = parsed(path, content_of(path, MOST_ABOUT), About)
    if about.format > layout.FORMAT:
        raise UserError(f"{path} has format {about.format}, this prefrl reads up to {layout.FORMAT}; update prefrl")
    if "jsonl" not in about.formats:
        raise UserError(f"{dataset} was exported as {', '.join(about.formats)}; export the run with --formats jsonl")
    return about


def _config(path: Path, about: About) -> Config:
    config = update(Config(), about.config, str(path))
    if config.record.labels:
        raise UserError(f"{path}: config.record.labels names a database, {config.record.labels!r}; it must be empty")
    if config.env != about.env:
        raise UserError(f"{path}: env is {about.env!r}, config.env {config.env!r}; they must be the same")
    check(config)
    return config


def _record(dataset: Path, about: About) -> Contents:
    """All rows, each checked by itself and against those before it."""

    def read(name: str, model: type[Model]) -> Iterable[tuple[str, Model]]:
        path = dataset / name
        return lines_of(path, unchanged(path, content_of(path), about.files.get(name)), model)

    questions = _questions(read(layout.QUESTIONS, Question))
    labels = _labels(read(layout.LABELS, Label), questions)
    marks, rooms = _moments(read(layout.TRAINER, Moment), len(labels) and labels[-1]["seq"])
    closures = [{"query_id": id, **row["closed"]} for id, row in questions.items() if row["closed"]]
    question_rows = [{name: value for name, value in row.items() if name != "closed"} for row in questions.values()]
    return Contents(question_rows, labels, closures, marks, rooms)


def _questions(lines: Iterable[tuple[str, Question]]) -> dict[int, dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    uids: set[str] = set()
    for where, line in lines:
        if line.id != len(rows) + 1:  # reward models count on it
            raise UserError(f"{where}: id is {line.id}, expected {len(rows) + 1}; questions are numbered from 1 on")
        try:
            kind_of(line.kind)
        except UserError as fault:
            raise UserError(f"{where}: {fault}; import the module that registers it, or update prefrl") from fault
        if line.uid in uids:
            raise UserError(f"{where}: uid {line.uid!r} is that of another question already")
        uids.add(line.uid)
        rows[line.id] = line.model_dump()
    return rows


def _labels(lines: Iterable[tuple[str, Label]], questions: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of answers, without what they repeat about their questions."""
    rows: dict[int, dict[str, Any]] = {}
    keys: set[str] = set()
    superseded: set[int] = set()
    for where, line in lines:
        if rows and line.seq <= next(reversed(rows)):
            raise UserError(f"{where}: seq {line.seq} does not come after {next(reversed(rows))}")
        if line.key in keys:
            raise UserError(f"{where}: key {line.key!r} is that of another label already")
        _require_question(where, line, questions)
        _require_superseded(where, line, rows, superseded)
        keys.add(line.key)
        row = {**line.model_dump(), "answer": _answer(where, line, questions[line.query_id]["kind"])}
        rows[line.seq] = {name: row[name] for name in row if name not in ABOUT_QUESTION}
    return list(rows.values())


def _answer(where: str, line: Label, asked_kind: str) -> Answer | None:
    """The answer of a line, checked against the kind of its question."""
    kind, only = kind_of(asked_kind), None if line.preference is None else {"preference": line.preference}
    answer = line.answer if "answer" in line.model_fields_set else only
    try:
        if kind.checked(answer) != answer:
            raise UserError(f"{answer} is no answer of kind {kind.name!r} as it is stored: {kind.checked(answer)}")
    except UserError as fault:
        raise UserError(f"{where}: answer: {fault}") from fault
    if only is not None and only != answer:
        raise UserError(f"{where}: preference is {line.preference}, and answer {answer}; they must say the same")
    if answer is not None and line.kind == "withdrawal":
        raise UserError(f"{where}: a withdrawal gives no answer, got {answer}")
    order = json.loads(line.details).get("order") if line.details else None
    if order is not None and len(order) != kind.segments:
        raise UserError(
            f"{where}: details: order {order} is of {len(order)} segments, its question has {kind.segments}"
        )
    return answer


def _require_question(where: str, line: Label, questions: dict[int, dict[str, Any]]) -> None:
    if (question := questions.get(line.query_id)) is None:
        raise UserError(f"{where}: there is no question {line.query_id}; there are {len(questions)}")
    copy = {**{name: getattr(line, name) for name in SHARED}, "id": line.id, "model_version": line.asked_model_version}
    if line.asked_kind is not None:
        copy["kind"] = line.asked_kind
    for name, value in copy.items():
        if question[name] != value:
            raise UserError(
                f"{where}: it says {name} {value!r} of question {line.query_id}, {layout.QUESTIONS} says {question[name]!r}"
            )


def _require_superseded(where: str, line: Label, rows: dict[int, dict[str, Any]], superseded: set[int]) -> None:
    if line.supersedes is None:
        if line.kind == "withdrawal":
            raise UserError(f"{where}: a withdrawal supersedes nothing; it must name the seq that it takes back")
        return
    old = rows.get(line.supersedes)
    if old is None or old["query_id"] != line.query_id:
        raise UserError(
            f"{where}: it supersedes {line.supersedes}, which is no earlier label of question {line.query_id}"
        )
    if line.supersedes in superseded:
        raise UserError(f"{where}: it supersedes {line.supersedes}, which another label superseded already")
    superseded.add(line.supersedes)


def _moments(lines: Iterable[tuple[str, Moment]], last: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    marks: list[dict[str, Any]] = []
    rooms: list[dict[str, Any]] = []
    step = -1
    for where, line in lines:
        if line.step <= step:
            raise UserError(f"{where}: step {line.step} does not come after {step}")
        step = line.step
        if line.heard is not None:
            before = marks[-1]["seq"] if marks else 0
            if not before < line.heard <= last:
                raise UserError(f"{where}: heard is {line.heard}, expected a number above {before} and up to {last}")
            marks.append({"round": line.step, "seq": line.heard})
        if line.room is not None:
            rooms.append({"step": line.step, "room": line.room})
    return marks, rooms


def _copy_segments(folder: Path, files: SegmentFiles, record: Contents) -> None:
    """Copy the files that questions name. Raises UserError for one that is missing, damaged, hostile or another shape."""
    rows: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for row in record.questions:
        name = row["segments_file"]
        rows[name] = max(row["row"], rows.get(name, 0))
        if kinds.setdefault(name, row["kind"]) != row["kind"]:
            raise UserError(
                f"{folder / name} holds questions of kind {kinds[name]} and {row['kind']}; expected one kind"
            )
    earlier_shapes: tuple[Any, ...] | None = None
    for name, highest in tqdm(rows.items(), "segments", unit="file", leave=False, file=sys.stderr, delay=1):
        path = folder / name
        write_durably(files.folder / name, content_of(path, MAX_FILE))
        _named(path, partial(files.read, name))
        batch = files.read(name)
        _require_segments(path, batch, highest, kind_of(kinds[name]))
        batch_shapes = batch.true_rewards.shape[2:], shapes(batch.observations, 2), batch.actions.shape[2:]
        if earlier_shapes and batch_shapes != earlier_shapes:
            raise UserError(f"{path}: its segments have shapes {batch_shapes}, those before it {earlier_shapes}")
        earlier_shapes = batch_shapes
        _named(path, partial(files.origin, name, 0, 0))


def _named(path: Path, read: Callable[[], Any]) -> None:
    """Read a copied file; errors name the file of the dataset instead of its copy."""
    try:
        read()
    except UserError as fault:
        raise UserError(f"{path} cannot be imported: {fault.__cause__ or fault}") from fault


def _require_segments(path: Path, batch: Any, highest: int, kind: Kind) -> None:
    if batch.true_rewards.ndim != 3 or batch.true_rewards.shape[1] != kind.segments:
        raise UserError(
            f"{path}: true_rewards have shape {batch.true_rewards.shape}, expected (Q, {kind.segments}, T) for"
            f" questions of kind {kind.name!r}"
        )
    if highest >= len(batch):
        raise UserError(f"{path}: {layout.QUESTIONS} wants row {highest}, it has {len(batch)}")
    for name in ("env_index", "start_step"):
        if (kind := getattr(batch, name).dtype.kind) not in "iu":
            raise UserError(
                f"{path}: {name} has dtype {getattr(batch, name).dtype} (kind {kind}), expected whole numbers"
            )
    observed = {
        f"observations.{key}" if key else "observations": part for key, part in parts(batch.observations).items()
    }
    for name, values in {**observed, "actions": batch.actions, "true_rewards": batch.true_rewards}.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            where = np.argwhere(~np.isfinite(values))[0].tolist()
            raise UserError(f"{path}: {name}{where} is {values[tuple(where)]}, expected finite numbers")


def _run(about: About) -> dict[str, Any]:
    """run.json: what the dataset says of the machine that the run was made on."""
    run = about.run.model_dump()
    own = dict.fromkeys(run.pop("own"), "imported")
    return {"format": RUN_FORMAT, "command": None, **run, "own": own, "anonymous": about.anonymous}
