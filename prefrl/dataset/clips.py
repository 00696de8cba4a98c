"""Every segment that somebody answered about, as a video in which each of its frames is present exactly once."""

from __future__ import annotations

import sys
import warnings
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from prefrl.dataset import layout
from prefrl.dataset.content import Content
from prefrl.kinds import kind_of
from prefrl.rendering.drawing import CannotDraw
from prefrl.rendering.redraw import Unfaithful
from prefrl.rendering.video import write_frames
from prefrl.runs.asked_segments import AskedSegments
from prefrl.store.lookup import Place

OF_TWO = ("first", "second")


def clip_name(place: Place, segment: int) -> str:
    """The file of one segment of a question, below the dataset's folder: of two first and second, else 1, 2, ..."""
    return f"{layout.CLIPS}/{place.query:06d}-{OF_TWO[segment] if place.segments == 2 else segment + 1}.mp4"


def write_clips(content: Content, out: Path) -> None:
    """Draw what is not drawn yet. Segments that cannot be drawn exactly are left out, with one warning that says why."""
    answered = {row["query_id"] for row in content.labels}
    clips = [
        (Place(row["id"], row["segments_file"], row["row"], row["kind"]), segment)
        for row in content.questions if row["id"] in answered for segment in range(kind_of(row["kind"]).segments)
    ]  # fmt: skip
    (out / layout.CLIPS).mkdir()
    missing, fault = 0, None
    with closing(AskedSegments(content.run, content.own)) as source:
        for place, segment in tqdm(clips, "clips", unit="clip", leave=False, file=sys.stderr, delay=1):
            try:
                footage = source.footage(place, segment)
            except Unfaithful as unfaithful:
                missing, fault = missing + 1, unfaithful
                continue
            except CannotDraw as blind:
                raise CannotDraw(f"{blind}. Without clips it can be exported here: --formats jsonl") from blind
            frames = (footage[number] for number in range(len(footage)))
            write_frames(frames, out / clip_name(place, segment), footage.fps)
    if fault:
        warnings.warn(f"{missing} of {len(clips)} clips are left out, as they cannot be drawn: {fault}", stacklevel=2)
