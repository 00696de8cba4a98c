"""Write scenes, one after the other, as a video in which each frame is present exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from moviepy import VideoClip, concatenate_videoclips
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.reels.panels import PAGE
from prefrl.rendering.sheets import Footage
from prefrl.rendering.video import codec_of, write_frames

SECONDS = 2.0  # a clip takes at least so long: shorter ones are slowed down
GIF = ".gif"
MOST_GIF = 2**30  # bytes of frames that ffmpeg holds, four for each pixel, while it looks for the best colours
FASTEST_GIF = 50.0  # frames per second; browsers show faster ones at ten
GIF_WIDTH = 320  # pixels across each clip in a GIF, unless told otherwise


@dataclass(frozen=True)
class VideoFormat:
    """Output path, frame rate and size of a video."""

    path: Path
    fps: float
    width: int | None  # across each clip; None: as drawn
    slowed: str  # a caption of its speed; empty: real time


def output_path(folder: Path | str, out: Path | str | None, name: str) -> Path:
    """The output path, its ending checked before anything is drawn."""
    path = Path(out or Path(folder) / f"{name}.mp4")
    codec_of(path, 1)
    return path


def video_format(path: Path, longest: Footage, fps: float | None, width: int | None) -> VideoFormat:
    """Choose frame rate and width: by default clips last at least SECONDS, and a GIF is small enough for a README."""
    rate = fps or min(longest.fps, len(longest) / SECONDS)
    if path.suffix == GIF:
        if fps and fps > FASTEST_GIF:
            raise UserError(f"browsers play a GIF at up to {FASTEST_GIF:g} frames per second, not {fps:g}; write .mp4")
        rate = min(rate, FASTEST_GIF)
        width = width or min(GIF_WIDTH, longest.size[0])
    share = rate / longest.fps
    return VideoFormat(path, rate, width, "" if abs(share - 1) < 0.05 else f"{share:.2g} × speed")


def write_scenes(scenes: Sequence[VideoClip], output: VideoFormat) -> Path:
    """Write scenes one after the other, each a whole number of frames long."""
    path, fps = output.path, output.fps
    same_size = len({tuple(scene.size) for scene in scenes}) == 1
    page = np.array(PAGE, np.uint8)
    video = concatenate_videoclips(list(scenes), method="chain" if same_size else "compose", bg_color=page)
    count = sum(round(scene.duration * fps) for scene in scenes)
    needed = 4 * count * video.size[0] * video.size[1]
    if path.suffix == GIF and needed > MOST_GIF:
        raise UserError(
            f"a GIF of {count} frames of {video.size[0]} x {video.size[1]} pixels takes {needed / 2**30:.1f} GiB to make;"
            " write .mp4, or choose fewer clips or a smaller --width"
        )
    numbers = tqdm(range(count), f"writing {path.name}", unit="frame", leave=False, delay=1)
    frames = (video.get_frame((number + 0.5) / fps) for number in numbers)  # its middle, which rounding cannot miss
    return write_frames(frames, path, fps)
