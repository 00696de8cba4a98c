"""The README.md of a dataset: what every file, column and number in it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prefrl.config.settings import Config
from prefrl.dataset.layout import MINARI_ID

HEAD = """\
# Preferences between segments of behaviour: {env}

{questions} questions, {answers} answers and corrections, {standing} of them standing, about pairs of segments of
{length} steps in `{env}`. The question was: *{question}* Written by `prefrl export`; `prefrl import THIS RUN` makes a run
folder of it. Nothing here needs to be unpickled.

`dataset.json` has the run's settings, versions, and size and SHA-256 of every other file.
"""

PARTS = {
    "jsonl": """\
## labels.jsonl: everything ever said, in order

One JSON object a line, only ever added to: corrections and withdrawals are lines of their own.

| name | meaning |
|---|---|
| `seq` | number of the line, increasing |
| `query_id` (and `id`) | the question |
| `kind` | `answer`; `opinion`: another labeller's, combined with it where the run asked for several; `withdrawal`; `truth`: what is known, to check labellers by |
| `preference` | probability that the *first* segment is better: 1 first, 0 second, 0.5 equal, null cannot tell |
| `labeller`, `key` | who; a name by which an answer that is sent twice counts once |
| `response_seconds`, `answered_at` | how long it took; when, in seconds since 1970 |
| `supersedes` | the `seq` of the line that this one corrects or withdraws. A line *stands* if none supersedes it |
| `step`, `model_version` | of the run, where a synthetic teacher answered at once; null for people |
| `details` | null, or JSON in a string: how it was shown (`mirrored`: the first segment was on the right) and answered |
| `uid` ... `asked_model_version` | the question's columns, as in questions.jsonl |

The answers to learn from are those of kind `answer` that stand and whose preference is not null, but for questions of
strategy `gold`, which only check labellers.

## questions.jsonl: every question, answered or not

`segments_file` and `row` say where its two segments are; `asked_step` and `model_version` when it was asked: environment
steps, and how often the reward model had been fitted; `strategy` and `score` why. `closed`: null, or why and at which
step nobody had to answer it any more.

## trainer.jsonl: when the trainer listened

At environment step `step` it had heard all lines up to `seq` = `heard` (null: nothing new); from there on people had
`room` for so many more questions. With this a run can be repeated exactly: `prefrl train --teacher replay=RUN`.

## segments/: npz files named by their SHA-256

`numpy.load(file, allow_pickle=False)`; Q questions of two segments of T steps each:

| array | shape | |
|---|---|---|
| `observations` | (Q, 2, T + 1, ...) | before each step, and after the last one; `observations.<key>` for each part of a Dict, its key percent-encoded |
| `actions` | (Q, 2, T, ...) | as executed, in the environment's units |
| `true_rewards` | (Q, 2, T) | the environment's own; the learner never saw them |
| `env_index`, `start_step` | (Q, 2) | which environment of the vector, and its steps before the segment |
| `tape_*` | | how each episode began, and all actions since: enough to draw the segment again; 2 Q, one after the other |
""",
    "mp4": """\
## clips/: NNNNNN-first.mp4 and NNNNNN-second.mp4

Both segments of question NNNNNN, T + 1 frames at the environment's speed, each frame exactly once. H.264 in 4:2:0: for
people to look at; sizes are rounded up to even numbers. Questions that nobody answered have no clips.
""",
    "parquet": """\
## parquet/: labels, questions, segments

`labels.parquet` and `questions.parquet` have the columns of the JSON lines; `labels.parquet` also says whether a line
`stands`. `segments.parquet` has a row for each side (0 first, 1 second) of each question; `observations` (of a Dict
`observations.<key>`, one for each part) and `actions` are fixed-shape tensors (Arrow's canonical extension; other readers see them flattened, row by row).
""",
    "minari": """\
## minari/: segments as episodes

`MINARI_DATASETS_PATH=THIS/minari`, then `minari.load_dataset("{minari}")`. Episode 2 (q - 1) + side is one side of
question q: T steps that were cut out of a longer episode, so the last one is truncated. Rewards are the *true* ones.
Episode metadata name `query_id`, `side`, `env_index` and `start_step`; preferences are in labels.jsonl or labels.parquet.
""",
}


def readme(config: Config, formats: Sequence[str], counts: Mapping[str, int]) -> str:
    """For the formats that were written."""
    head = HEAD.format(
        env=config.env, questions=counts["questions"], answers=counts["answers"], standing=counts["that stand"],
        length=config.questions.length, question=config.teacher.question or "Which clip is better?",
    )  # fmt: skip
    return "\n".join([head, *(PARTS[name].replace("{minari}", MINARI_ID) for name in formats)])
