"""Write the segments of answered questions as MP4 videos, which have each frame exactly once."""

from __future__ import annotations

import sys
import warnings
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from prefrl.dataset import layout
from prefrl.dataset.exported_run import ExportedRun
from prefrl.kinds import kind_of
from prefrl.rendering.drawing import CannotDraw
from prefrl.rendering.redraw import Unfaithful
from prefrl.rendering.video import write_frames
from prefrl.runs.asked_segments import AskedSegments
from prefrl.store.lookup import Place

SIDES = ("first", "second")  # what files of two segments are called; others are numbered from 1


def write(exported: ExportedRun, out: Path) -> None:
    """Draw what is not drawn yet. Segments that cannot be drawn exactly are left out, with one warning that says why."""
    answered = {row["query_id"] for row in exported.labels}
    clips = [
        (Place(row["id"], row["segments_file"], row["row"], row["kind"]), segment)
        for row in exported.questions if row["id"] in answered for segment in range(kind_of(row["kind"]).segments)
    ]  # fmt: skip
    (out / layout.CLIPS).mkdir()
    missing, fault = 0, None
    with closing(AskedSegments(exported.run, exported.own)) as source:
        for place, segment in tqdm(clips, "clips", unit="clip", leave=False, file=sys.stderr, delay=1):
            try:
                footage = source.footage(place, segment)
            except Unfaithful as unfaithful:
                missing, fault = missing + 1, unfaithful
                continue
            except CannotDraw as cannot:
                raise CannotDraw(f"{cannot}. Without clips it can be exported here: --formats jsonl") from cannot
            frames = (footage[number] for number in range(len(footage)))
            name = SIDES[segment] if place.segments == 2 else segment + 1
            write_frames(frames, out / layout.CLIPS / f"{place.query:06d}-{name}.mp4", footage.fps)
    if fault:
        warnings.warn(f"{missing} of {len(clips)} clips are left out, as they cannot be drawn: {fault}", stacklevel=2)
