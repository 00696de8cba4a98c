"""Make a run folder of a dataset. Datasets are not trusted: every line, reference and array is checked first."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from prefrl.config.settings import Config
from prefrl.config.values import as_dict, update
from prefrl.core.data import Segments
from prefrl.core.errors import UserError
from prefrl.core.files import new_folder, refuse_occupied, write_durably
from prefrl.core.observations import parts, shapes
from prefrl.dataset import layout, schema
from prefrl.dataset.schema import Model
from prefrl.kinds import Answer, Kind, kind_of
from prefrl.runs.folder import FORMAT as RUN_FORMAT
from prefrl.runs.lists import check
from prefrl.store.contents import Contents, Row, write_contents
from prefrl.store.segment_files import MAX_FILE, SegmentFiles
from prefrl.store.store import LabelStore

MOST_ABOUT = 2**24  # bytes of dataset.json


def import_dataset(source: Path | str, folder: Path | str) -> schema.About:
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
        run = {**about.run.model_dump(), "own": dict.fromkeys(about.run.own, "imported"), "anonymous": about.anonymous}
        run_json = json.dumps({"format": RUN_FORMAT, "command": None, **run}, indent=1)
        write_durably(unfinished / "run.json", run_json.encode())
    return about


def _about(dataset: Path) -> schema.About:
    path = dataset / layout.ABOUT
    if not path.is_file():
        raise UserError(f"{dataset} has no {layout.ABOUT}; give a folder that prefrl export wrote")
    about = schema.parsed(path, schema.content_of(path, MOST_ABOUT), schema.About)
    if about.format > layout.FORMAT:
        raise UserError(f"{path} has format {about.format}, this prefrl reads up to {layout.FORMAT}; update prefrl")
    if "jsonl" not in about.formats:
        raise UserError(f"{dataset} was exported as {', '.join(about.formats)}; export the run with --formats jsonl")
    return about


def _config(path: Path, about: schema.About) -> Config:
    config = update(Config(), about.config, str(path))
    if config.record.labels:
        raise UserError(f"{path}: config.record.labels names a database, {config.record.labels!r}; it must be empty")
    if config.env != about.env:
        raise UserError(f"{path}: env is {about.env!r}, config.env {config.env!r}; they must be the same")
    check(config)
    return config


def _record(dataset: Path, about: schema.About) -> Contents:
    """All rows, each checked by itself and against those before it."""

    def read(name: str, model: type[Model]) -> Iterable[tuple[str, Model]]:
        path = dataset / name
        return schema.lines_of(path, schema.content_of(path, entry=about.files.get(name)), model)

    questions = _questions(read(layout.QUESTIONS, schema.QuestionLine))
    labels = _labels(read(layout.LABELS, schema.LabelLine), questions)
    marks, capacities = _trainer_rows(read(layout.TRAINER, schema.TrainerLine), len(labels) and labels[-1]["seq"])
    closures = [{"query_id": id, **line.closed.model_dump()} for id, line in questions.items() if line.closed]
    question_rows = [line.model_dump(exclude={"closed"}) for line in questions.values()]
    return Contents(question_rows, labels, closures, marks, capacities)


def _questions(lines: Iterable[tuple[str, schema.QuestionLine]]) -> dict[int, schema.QuestionLine]:
    by_id: dict[int, schema.QuestionLine] = {}
    uids: set[str] = set()
    for where, line in lines:
        if line.id != len(by_id) + 1:  # reward models count on it
            raise UserError(f"{where}: id is {line.id}, expected {len(by_id) + 1}; questions are numbered from 1 on")
        try:
            kind_of(line.kind)
        except UserError as fault:
            raise UserError(f"{where}: {fault}; import the module that registers it, or update prefrl") from fault
        if line.uid in uids:
            raise UserError(f"{where}: uid {line.uid!r} is that of another question already")
        uids.add(line.uid)
        by_id[line.id] = line
    return by_id


def _labels(lines: Iterable[tuple[str, schema.LabelLine]], questions: dict[int, schema.QuestionLine]) -> list[Row]:
    """Rows of answers, without what they repeat about their questions."""
    rows: list[Row] = []
    keys: set[str] = set()
    asked: dict[int, int] = {}  # the question of each earlier label, by its seq
    superseded: set[int] = set()
    repeated = {*schema.Asked.model_fields, "asked_kind", "asked_model_version"}
    for where, line in lines:
        if rows and line.seq <= rows[-1]["seq"]:
            raise UserError(f"{where}: seq {line.seq} does not come after {rows[-1]['seq']}")
        if line.key in keys:
            raise UserError(f"{where}: key {line.key!r} is that of another label already")
        question = _question_of(where, line, questions)
        _require_superseded(where, line, asked, superseded)
        keys.add(line.key)
        asked[line.seq] = line.query_id
        rows.append({**line.model_dump(exclude=repeated), "answer": _answer(where, line, question.kind)})
    return rows


def _answer(where: str, line: schema.LabelLine, asked_kind: str) -> Answer | None:
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


def _question_of(where: str, line: schema.LabelLine, questions: dict[int, schema.QuestionLine]) -> schema.QuestionLine:
    """The question of a label, if the label repeats it as it is."""
    question = questions.get(line.query_id)
    if question is None:
        raise UserError(f"{where}: there is no question {line.query_id}; there are {len(questions)}")
    repeated = {name: getattr(line, name) for name in schema.Asked.model_fields} | {
        "model_version": line.asked_model_version
    }
    if line.asked_kind is not None:
        repeated["kind"] = line.asked_kind
    for name, value in repeated.items():
        if (asked := getattr(question, name)) != value:
            raise UserError(
                f"{where}: it says {name} {value!r} of question {line.query_id}, {layout.QUESTIONS} says {asked!r}"
            )
    return question


def _require_superseded(where: str, line: schema.LabelLine, asked: dict[int, int], superseded: set[int]) -> None:
    """Check what a label supersedes, and note it. asked: the question of each earlier label, by its seq"""
    if line.supersedes is None:
        if line.kind == "withdrawal":
            raise UserError(f"{where}: a withdrawal supersedes nothing; it must name the seq that it takes back")
        return
    if asked.get(line.supersedes) != line.query_id:
        raise UserError(
            f"{where}: it supersedes {line.supersedes}, which is no earlier label of question {line.query_id}"
        )
    if line.supersedes in superseded:
        raise UserError(f"{where}: it supersedes {line.supersedes}, which another label superseded already")
    superseded.add(line.supersedes)


def _trainer_rows(lines: Iterable[tuple[str, schema.TrainerLine]], last: int) -> tuple[list[Row], list[Row]]:
    """Rows of watermarks and of capacities. last: the seq of the last label"""
    marks: list[Row] = []
    capacities: list[Row] = []
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
            capacities.append({"step": line.step, "room": line.room})
    return marks, capacities


def _copy_segments(folder: Path, files: SegmentFiles, record: Contents) -> None:
    """Copy the files that questions name. Raises UserError for one that is missing, damaged, hostile or another shape."""
    highest: dict[str, int] = {}  # row, by file
    kinds: dict[str, str] = {}
    for row in record.questions:
        name = row["segments_file"]
        highest[name] = max(row["row"], highest.get(name, 0))
        if kinds.setdefault(name, row["kind"]) != row["kind"]:
            raise UserError(
                f"{folder / name} holds questions of kind {kinds[name]} and {row['kind']}; expected one kind"
            )
    earlier_shapes = None
    for name in tqdm(highest, "segments", unit="file", leave=False, file=sys.stderr, delay=1):
        path = folder / name
        write_durably(files.folder / name, schema.content_of(path, MAX_FILE))
        with _named(path):
            batch = files.read(name)
        _require_segments(path, batch, highest[name], kind_of(kinds[name]))
        batch_shapes = batch.true_rewards.shape[2:], shapes(batch.observations, 2), batch.actions.shape[2:]
        if earlier_shapes and batch_shapes != earlier_shapes:
            raise UserError(f"{path}: its segments have shapes {batch_shapes}, those before it {earlier_shapes}")
        earlier_shapes = batch_shapes
        with _named(path):
            files.origin(name, 0, 0)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors in the block name this file of the dataset instead of its copy."""
    try:
        yield
    except UserError as fault:
        raise UserError(f"{path} cannot be imported: {fault.__cause__ or fault}") from fault


def _require_segments(path: Path, batch: Segments, highest: int, kind: Kind) -> None:
    """Check the arrays of a file for questions of a kind, of which `highest` is the last row that they show."""
    if batch.true_rewards.ndim != 3 or batch.true_rewards.shape[1] != kind.segments:
        raise UserError(
            f"{path}: true_rewards have shape {batch.true_rewards.shape}, expected (Q, {kind.segments}, T) for"
            f" questions of kind {kind.name!r}"
        )
    if highest >= len(batch):
        raise UserError(f"{path}: {layout.QUESTIONS} wants row {highest}, it has {len(batch)}")
    for name in ("env_index", "start_step"):
        if (dtype := getattr(batch, name).dtype).kind not in "iu":
            raise UserError(f"{path}: {name} has dtype {dtype} (kind {dtype.kind}), expected whole numbers")
    observed = {
        f"observations.{key}" if key else "observations": part for key, part in parts(batch.observations).items()
    }
    for name, values in {**observed, "actions": batch.actions, "true_rewards": batch.true_rewards}.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            where = np.argwhere(~np.isfinite(values))[0].tolist()
            raise UserError(f"{path}: {name}{where} is {values[tuple(where)]}, expected finite numbers")
