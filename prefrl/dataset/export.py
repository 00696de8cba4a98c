"""Export a run's questions, answers and segments as a dataset, in the requested formats."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from prefrl import __version__
from prefrl.config.settings import Config
from prefrl.config.values import as_dict
from prefrl.core.errors import UserError, pick
from prefrl.core.files import new_folder, refuse_occupied, write_durably
from prefrl.dataset import layout
from prefrl.dataset.exported_run import ExportedRun, Pseudonyms, rows_of
from prefrl.dataset.readme import readme
from prefrl.dataset.schema import About, FileEntry, Machine
from prefrl.runs.folder import RunJson, read_run
from prefrl.store.contents import files_of, standing_rows
from prefrl.store.rows import json_lines
from prefrl.store.store import LabelStore
from prefrl.teachers import recorded

FORCE = ", or put an export in the place of an earlier one with --force"


def export_run(
    folder: Path | str, out: Path | str, *, formats: Sequence[str] = layout.DEFAULT, anonymous: bool = False,
    force: bool = False, **own: Any,
) -> About:  # fmt: skip
    """Write a dataset, whole or not at all. formats: of layout.FORMATS. own: env=..., where the run acted in your own.

    Raises UserError if `out` is there already (force: if it is no earlier export), or where a package is missing.
    """
    if not formats:
        raise UserError(f"no format was given; choose from {', '.join(layout.FORMATS)}")
    for name in formats:
        pick(layout.FORMATS, name, "format")
    chosen = [name for name in layout.FORMATS if name in formats]
    writers = [_writer(name) for name in chosen]
    config, run_json = read_run(folder)
    if not config.record.labels and not (Path(folder) / "labels.db").is_file():
        raise UserError(f"{folder} has no labels.db; choose a run that asked questions")
    with LabelStore.open(folder, config.record.labels or None) as store:
        labels, questions, trainer = rows_of(store)
        if not questions:
            raise UserError(f"nothing was ever asked in {folder}; there is nothing to export")
        if anonymous:
            pseudonyms = Pseudonyms(labels)
            labels, questions = list(map(pseudonyms.label, labels)), list(map(pseudonyms.question, questions))
        exported = ExportedRun(Path(folder), config, store, labels, questions, trainer, own)
        refuse_occupied(Path(out), layout.ABOUT if force else None, FORCE)
        with new_folder(Path(out)) as unfinished:
            for write in writers:
                write(exported, unfinished)
            return _describe(exported, run_json, unfinished, chosen, anonymous)


Writer = Callable[[ExportedRun, Path], None]


def _writer(name: str) -> Writer:
    """The writer of a format. Imports the format's own packages, so that a missing one is reported before any file is made."""
    if name == "jsonl":
        return _write_lines
    writer: Writer = import_module(f"prefrl.dataset.format_{name}").write
    return writer


def _write_lines(exported: ExportedRun, out: Path) -> None:
    for name, rows in (
        (layout.LABELS, exported.labels), (layout.QUESTIONS, exported.questions), (layout.TRAINER, exported.trainer),
    ):  # fmt: skip
        write_durably(out / name, json_lines(rows))
    (out / layout.SEGMENTS).mkdir()
    for name in tqdm(files_of(exported.questions), "segments", unit="file", leave=False, file=sys.stderr, delay=1):
        exported.store.files.read(name)  # raises UserError if it is damaged
        shutil.copyfile(exported.store.files.folder / name, out / layout.SEGMENTS / name)


def _describe(exported: ExportedRun, run_json: RunJson, out: Path, formats: list[str], anonymous: bool) -> About:
    """Write README.md and dataset.json, which has checksums of all other files."""
    steps = {exported.store.files.read(name).length for name in files_of(exported.questions)}
    stand = len(standing_rows(exported.labels))
    counts = {"questions": len(exported.questions), "answers": len(exported.labels), "that stand": stand}
    write_durably(out / layout.README, readme(exported, formats, counts).encode())
    names = ("method", "started", "python", "packages", "machine", "threads")
    machine = Machine.model_validate({name: run_json.get(name) for name in names} | {"own": sorted(run_json["own"])})
    about = About(
        kind="prefrl preferences", format=layout.FORMAT, prefrl=__version__, env=exported.config.env,
        steps=steps.pop() if len(steps) == 1 else None, counts=counts,
        anonymous=anonymous or run_json.get("anonymous") is True, formats=formats, run=machine,
        config=_shareable(exported.config), files=_entries(out),
    )  # fmt: skip
    write_durably(out / layout.ABOUT, (json.dumps(about.model_dump(), indent=1) + "\n").encode())
    return about


def _shareable(config: Config) -> dict[str, Any]:
    """The settings without the address of a database, and without the folders of this machine."""
    settings = as_dict(config)
    settings["record"]["labels"] = ""
    if replayed := recorded(config.teacher.name):
        settings["teacher"]["name"] = f"replay={Path(replayed).name}"
    return settings


def _entries(out: Path) -> dict[str, FileEntry]:
    """Sizes and digests of all files but the segments, whose names are their digests."""
    paths = sorted(path for path in out.rglob("*") if path.is_file() and path.parent.name != layout.SEGMENTS)
    return {str(path.relative_to(out).as_posix()): _entry(path) for path in paths}


def _entry(path: Path) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
            size += len(block)
    return FileEntry(bytes=size, sha256=digest.hexdigest())
