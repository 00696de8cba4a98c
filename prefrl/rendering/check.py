"""Find, before people are asked, an exact way to redraw segments of this environment; else film it at every step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from prefrl.core.data import Origins, Segments
from prefrl.environments.film import number
from prefrl.environments.making import MakeEnv
from prefrl.environments.origins import possible_notes
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.rendering.clip_cache import write_clip
from prefrl.rendering.redraw import Redrawer, Unfaithful
from prefrl.rendering.sheets import shrinkage, shrunk
from prefrl.store.segment_files import SegmentFiles

MakerOf = Callable[[str | None], MakeEnv]
"""Render mode -> how to make the environment."""

EPISODES, STEPS = 3, 100  # played at random
LENGTH, SHOWN = 4, 6  # steps of the segments that are redrawn, and how many segments


def check_drawing(make_env: MakeEnv, make_drawing: MakeEnv, notes: str, seed: int) -> None:
    """Record three short random episodes, and redraw some segments of them. Raises Unfaithful or CannotDraw.

    make_env: the environment as the agent has it; make_drawing: with rgb_array rendering.
    """
    with (
        closing(Recorder(make_venv(make_env, 1), EPISODES * STEPS + 1)) as recorder,
        closing(Redrawer(make_drawing)) as redrawer,
    ):
        recorder.note_openings(notes)
        recorder.action_space.seed(seed)
        recorder.seed(seed)
        for _ in range(EPISODES):
            recorder.reset()
            for _ in range(STEPS):
                recorder.step(np.array([recorder.action_space.sample()]))
        rng = np.random.default_rng(seed)
        segments = recorder.cut_segments(LENGTH, rng, since=STEPS)  # what comes after a second reset
        segments = segments[rng.permutation(len(segments))[:SHOWN]]
        origins = recorder.origins(segments)
        for place in range(len(segments)):
            redrawer.redraw(segments[place], origins[place])


def prepare(recorder: Recorder, maker: MakerOf, seed: int) -> None:
    """Let the recorder note what redrawing needs, in the first way that is exact. Raises Unfaithful if none is."""
    fault = None
    with closing(maker(None)()) as env:
        possible = possible_notes(env)
    for notes in possible:
        try:
            check_drawing(maker(None), maker("rgb_array"), notes, seed)
        except Unfaithful as unfaithful:
            fault = unfaithful
        else:
            return recorder.note_openings(notes)
    raise Unfaithful(f"this environment cannot be redrawn exactly: {fault}") from fault


def film(
    recorder: Recorder, maker: MakerOf, megabytes: float, folder: Path, files: SegmentFiles
) -> Callable[[Segments], Origins]:
    """Film the first environment at every step. Returns a function that writes segments' clips and gives their origins."""
    redrawer = Redrawer(maker("rgb_array"))
    recorder.film_first(redrawer.env, megabytes)

    def origins(segments: Segments) -> Origins:
        each = recorder.origins(segments)
        file, count = files.write(segments, each), segments.true_rewards.shape[1]  # (Q, K, T)
        for place in range(len(each)):
            origin = each[place]
            assert origin and recorder.film  # questions are only about the filmed environment
            frames = recorder.film.frames(number(origin.opening) + len(origin.actions), segments.length + 1)
            small = shrunk(frames, shrinkage(*frames.shape[:3]))
            write_clip(folder, file, place // count, place % count, small, redrawer.fps)
        return each

    return origins
