"""Writes the video of one pair that the label server describes on standard input, without a look at the run's store.

python -m prefrl.reels.single < pair.json
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefrl.core.errors import UserError
from prefrl.reels.command import NICE
from prefrl.reels.scenes import Told, scene
from prefrl.reels.writing import form, write_reel
from prefrl.rendering.footage import Footage


def write(wanted: dict[str, Any]) -> Path:
    """wanted: a PairVideo of prefrl.labelling.videos as a dict, the run's folder, and where to write"""
    clips = [_footage(Path(wanted["folder"]), clip) for clip in wanted["clips"]]
    told = Told(**wanted["told"]) if wanted["told"] else None
    how = form(Path(wanted["out"]), max(clips, key=len), None, None)
    return write_reel([scene(wanted["query"], wanted["question"], clips, told, how)], how)


def _footage(folder: Path, clip: dict[str, Any]) -> Footage:
    content = (folder / "clips" / f"{clip['clip']}.webp").read_bytes()
    return Footage([(content, clip["frames"], clip["columns"])], (clip["width"], clip["height"]), clip["fps"])


def main() -> int:
    with suppress(OSError):
        os.nice(NICE)
    try:
        write(json.load(sys.stdin))
    except (UserError, OSError) as fault:
        print("error:", " ".join(str(fault).split()), file=sys.stderr)  # in one line, which the server tells
        return UserError.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
