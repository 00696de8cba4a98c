"""The README.md of a dataset: what every file, column and number in it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prefrl.dataset.exported_run import ExportedRun
from prefrl.dataset.layout import MINARI_ID
from prefrl.kinds import Kind, kind_of

HEAD = """\
# Preferences between segments of behaviour: {env}

{questions} questions, {answers} answers and corrections, {standing} of them standing, about segments of {length} steps in
`{env}`. Written by `prefrl export`; `prefrl import THIS RUN` makes a run folder of it. Nothing here needs to be unpickled.

{kinds}

`dataset.json` has the run's settings, versions, and size and SHA-256 of every other file.
"""

PARTS = {
    "jsonl": """\
## labels.jsonl: all answers and corrections, in order

One JSON object a line, only ever added to: corrections and withdrawals are lines of their own.

| name | meaning |
|---|---|
| `seq` | number of the line, increasing |
| `query_id` (and `id`) | the question |
| `kind` | `answer`; `opinion`: another labeller's, combined with it where the run asked for several; `withdrawal`; `truth`: what is known, to check labellers by |
| `answer` | what was answered about the segments in their stored order, in the fields of its question's kind (above); null: skipped |
| `preference` | of a pair the same once more: the probability that the *first* segment is better, 0.5 where both are equally good; of other kinds null |
| `labeller`, `key` | who; a name by which an answer that is sent twice counts once |
| `response_seconds`, `answered_at` | how long it took; when, in seconds since 1970 |
| `supersedes` | the `seq` of the line that this one corrects or withdraws. A line *stands* if none supersedes it |
| `step`, `model_version` | of the run, where a synthetic teacher answered at once; null for people |
| `details` | null, or JSON in a string: how it was shown (`order`: which segment stood at each place; `mirrored`: two stood the other way round) and answered |
| `uid` ... `asked_model_version` | the question's columns, as in questions.jsonl |

The answers to learn from are those of kind `answer` that stand and whose `answer` is not null, but for questions of
strategy `gold`, which only check labellers.

## questions.jsonl: every question, answered or not

`kind` is that of the question; `segments_file` and `row` say where its segments are; `asked_step` and `model_version` when it was asked: environment
steps, and how often the reward model had been fitted; `strategy` and `score` why. `closed`: null, or why and at which
step nobody had to answer it any more.

## trainer.jsonl: when the trainer read answers

At environment step `step` it had read all lines up to `seq` = `heard` (null: nothing new); from there on people had
`room` for so many more questions. With this a run can be repeated exactly: `prefrl train --teacher replay=RUN`.

## segments/: npz files named by their SHA-256

`numpy.load(file, allow_pickle=False)`; Q questions of one kind, each of K segments of T steps:

| array | shape | |
|---|---|---|
| `observations` | (Q, K, T + 1, ...) | before each step, and after the last one; `observations.<key>` for each part of a Dict, its key percent-encoded |
| `actions` | (Q, K, T, ...) | as executed, in the environment's units |
| `true_rewards` | (Q, K, T) | the environment's own; the learner never saw them |
| `env_index`, `start_step` | (Q, K) | which environment of the vector, and its steps before the segment |
| `tape_*` | | how each episode began, and all actions since: enough to draw the segment again; K Q, one after the other |
""",
    "mp4": """\
## clips/: NNNNNN-first.mp4 and NNNNNN-second.mp4, or NNNNNN-1.mp4, NNNNNN-2.mp4, ...

The segments of question NNNNNN, named by number unless there are two; T + 1 frames at the environment's speed, each frame exactly once. H.264 in 4:2:0: for
people to look at; sizes are rounded up to even numbers. Questions that nobody answered have no clips.
""",
    "parquet": """\
## parquet/: labels, questions, segments

`labels.parquet` and `questions.parquet` have the columns of the JSON lines; `labels.parquet` also says whether a line
`stands`, and has `answer` as JSON in a string. `segments.parquet` has a row for each segment of each question, `side`
being its number from 0 on; `observations` (of a Dict `observations.<key>`, one for each part) and `actions` are fixed-shape
tensors (Arrow's canonical extension; other readers see them flattened, row by row).
""",
    "minari": """\
## minari/: segments as episodes

`MINARI_DATASETS_PATH=THIS/minari`, then `minari.load_dataset("{minari}")`. The episodes are the
segments of one question after the other: T steps that were cut out of a longer episode, so the last one is truncated. Rewards are the *true* ones.
Episode metadata name `query_id`, `side` (the number of the segment, from 0 on), `env_index` and `start_step`; answers are in labels.jsonl or labels.parquet.
""",
}


def readme(exported: ExportedRun, formats: Sequence[str], counts: Mapping[str, int]) -> str:
    """The text of README.md, with a section for each written format."""
    config = exported.config
    names = dict.fromkeys(row["kind"] for row in exported.questions)
    head = HEAD.format(
        env=config.env, questions=counts["questions"], answers=counts["answers"], standing=counts["that stand"],
        length=config.questions.length,
        kinds="\n".join(_described(kind_of(name), config.teacher.question) for name in names),
    )  # fmt: skip
    return "\n".join([head, *(PARTS[name].replace("{minari}", MINARI_ID) for name in formats)])


def _described(kind: Kind, question: str) -> str:
    """A kind of question: what was asked and what the fields of its answers mean."""
    fields = [
        f"`{name}`" + (f" ({field['description']})" if "description" in field else "")
        for name, field in kind.schema.model_json_schema()["properties"].items()
    ]
    wording = f"{kind.segments} segment{'s' if kind.segments > 1 else ''}; *{question or kind.question}*"
    return f"- Questions of kind `{kind.name}`, {kind.about}. {wording} Fields of an answer: {', '.join(fields)}."
