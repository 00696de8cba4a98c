"""Segment length: 300 questions about single steps, about moments, about half an episode.

    python -m experiments.segment_length

At equal numbers of questions, as for an oracle each costs the same; a person takes longer over longer clips.
"""

from functools import partial

from experiments.figure import Experiment, on_control_tasks
from prefrl.bench.figures import against

AXIS = "questions.length"
EXPERIMENT = Experiment(
    "segment_length",
    on_control_tasks(vary={AXIS: [1, 5, 10, 25, 50, 100]}),
    partial(against, axis=AXIS, label="steps in a segment"),
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
