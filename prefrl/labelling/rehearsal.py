"""Before people are asked anything: can what happens in this environment be drawn later, exactly, and how?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from prefrl.agents.environments import MakeEnv
from prefrl.agents.film import number
from prefrl.agents.recorder import Recorder
from prefrl.agents.tape import possible_notes
from prefrl.agents.vector import make_venv
from prefrl.data import Segments, Tapes
from prefrl.feedback.segment_files import SegmentFiles
from prefrl.labelling.clips import write_clip
from prefrl.labelling.replay import Projector, Unfaithful
from prefrl.labelling.sheets import shrinkage, shrunk

Maker = Callable[[str | None], MakeEnv]  # render mode -> how to make the environment
Tapes_of = Callable[[Segments], Tapes]

EPISODES, STEPS = 3, 100  # played at random
LENGTH, SHOWN = 4, 6  # of segments that are drawn, and how many


def check_drawing(make_env: MakeEnv, make_drawing: MakeEnv, notes: str, seed: int) -> None:
    """Act at random for three short episodes, and draw some of it again. Raises Unfaithful or CannotDraw.

    make_env: the environment as the agent has it; make_drawing: with rgb_array rendering.
    """
    recorder = Recorder(make_venv(make_env, 1), EPISODES * STEPS + 1)
    projector = Projector(make_drawing)
    try:
        recorder.note_openings(notes)
        recorder.action_space.seed(seed)
        recorder.seed(seed)
        for _ in range(EPISODES):
            recorder.reset()
            for _ in range(STEPS):
                recorder.step(np.array([recorder.action_space.sample()]))
        rng = np.random.default_rng(seed)
        segments = recorder.cut_segments(min(LENGTH, STEPS), rng, since=STEPS)  # what comes after a second reset
        segments = segments[rng.permutation(len(segments))[:SHOWN]]
        tapes = recorder.tapes(segments)
        for place in range(len(segments)):
            projector.redraw(segments[place], tapes[place])
    finally:
        recorder.close()
        projector.close()


def prepare(recorder: Recorder, maker: Maker, seed: int) -> None:
    """Let the recorder note what later drawing needs. Raises Unfaithful where no way of drawing would be exact."""
    fault = None
    env = maker(None)()
    ways = possible_notes(env)
    env.close()
    for notes in ways:
        try:
            check_drawing(maker(None), maker("rgb_array"), notes, seed)
        except Unfaithful as found:
            fault = found
        else:
            return recorder.note_openings(notes)
    raise Unfaithful(f"this environment cannot be redrawn exactly: {fault}") from fault


def film(recorder: Recorder, maker: Maker, megabytes: float, folder: Path, files: SegmentFiles) -> Tapes_of:
    """Film the first environment of the vector. Returns what gives segments their tapes, and puts up their clips."""
    projector = Projector(maker("rgb_array"))
    recorder.film_first(projector.env, megabytes)

    def tapes(segments: Segments) -> Tapes:
        found = recorder.tapes(segments)
        file = files.write(segments, found)
        for place in range(len(found)):
            tape = found[place]
            assert tape and recorder.film  # nothing else is asked about
            frames = recorder.film.frames(number(tape.opening) + len(tape.actions), segments.length + 1)
            small = shrunk(frames, shrinkage(*frames.shape[:3]))
            write_clip(folder, file, place // 2, place % 2, small, projector.fps)
        return found

    return tapes
