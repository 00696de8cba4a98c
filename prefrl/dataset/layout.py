"""File and folder names of a dataset."""

from __future__ import annotations

FORMAT = 2
"""Raise it when the files change in a way that an older prefrl would misread."""
ABOUT, LABELS, QUESTIONS, TRAINER, README = (
    "dataset.json", "labels.jsonl", "questions.jsonl", "trainer.jsonl", "README.md",
)  # fmt: skip
SEGMENTS, CLIPS, TABLES, EPISODES = "segments", "clips", "parquet", "minari"
FORMATS = {
    "jsonl": "labels, questions and when the trainer read answers as JSON lines, segments as npz; what `prefrl import` reads",
    "mp4": "a video of every segment of an answered question",
    "parquet": "labels, questions and segments as Parquet tables",
    "minari": "the segments as episodes of a Minari dataset",
}
DEFAULT = ("jsonl", "mp4")  # what needs no further package
MINARI_ID = "segments-v0"
