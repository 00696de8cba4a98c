"""Write labels, questions and segments as Parquet tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prefrl.core.errors import UserError
from prefrl.core.observations import parts
from prefrl.dataset import layout
from prefrl.dataset.exported_run import ExportedRun
from prefrl.store.contents import standing_rows
from prefrl.store.tables import JUDGEMENTS

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as fault:
    raise UserError(f"Parquet needs pyarrow ({fault}): pip install 'prefrl[export]'") from fault

_WHEN, _TEXT, _INT = pa.float64(), pa.string(), pa.int64()
_ASKED = {
    "uid": _TEXT, "segments_file": _TEXT, "row": _INT, "asked_step": _INT, "strategy": _TEXT, "score": pa.float64(),
    "asked_at": _WHEN,
}  # fmt: skip
LABELS = pa.schema({
    "seq": _INT, "query_id": _INT, "key": _TEXT, "kind": _TEXT, "preference": pa.float64(), "answer": _TEXT, "labeller": _TEXT,
    "response_seconds": pa.float64(), "step": _INT, "model_version": _INT, "supersedes": _INT, "answered_at": _WHEN,
    "details": _TEXT, "id": _INT, **_ASKED, "asked_kind": _TEXT, "asked_model_version": _INT, "stands": pa.bool_(),
})  # fmt: skip
CLOSED = pa.struct({"reason": _TEXT, "step": _INT, "closed_at": _WHEN})
QUESTIONS = pa.schema({"id": _INT, "kind": _TEXT, **_ASKED, "model_version": _INT, "closed": CLOSED})


def write(exported: ExportedRun, out: Path) -> None:
    """labels.parquet, questions.parquet and segments.parquet."""
    folder = out / layout.TABLES
    folder.mkdir()
    stand = {row["seq"] for row in standing_rows(exported.labels, (*JUDGEMENTS, "truth"))}
    labels = [{**row, "stands": row["seq"] in stand} for row in exported.labels]
    for row in labels:
        row["answer"] = None if row["answer"] is None else json.dumps(row["answer"])
    pq.write_table(pa.Table.from_pylist(labels, LABELS), folder / "labels.parquet", compression="zstd")
    pq.write_table(
        pa.Table.from_pylist(exported.questions, QUESTIONS), folder / "questions.parquet", compression="zstd"
    )
    writer = None
    try:
        for table in _segments(exported):
            writer = writer or pq.ParquetWriter(folder / "segments.parquet", table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer:
            writer.close()


def _segments(exported: ExportedRun) -> Iterator[pa.Table]:
    """Tables with a row for each segment, a batch of questions at a time: row groups of the file."""
    for ids, sides, segments in exported.batches("segments.parquet"):
        yield pa.table({
            "query_id": ids, "side": sides,
            "env_index": segments.env_index.astype(np.int64), "start_step": segments.start_step.astype(np.int64),
            **{f"observations.{key}" if key else "observations": _tensor(np.asarray(part))
               for key, part in sorted(parts(segments.observations).items())},
            "actions": _tensor(segments.actions), "true_rewards": _tensor(segments.true_rewards),
        })  # fmt: skip


def _tensor(values: np.ndarray) -> pa.FixedShapeTensorArray:
    """(N, ...) as N tensors; Arrow has none of booleans."""
    numbers = values.astype(np.uint8) if values.dtype == bool else values
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(numbers))
