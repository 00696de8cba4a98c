"""`prefrl export` and `prefrl import`: their options and their help."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path

from prefrl.dataset.layout import DEFAULT, FORMATS, README

EXPORT = """\
Write a run's questions, answers and segments into a folder, in open formats; also while it trains.

  prefrl export RUN OUT                              labels as JSON lines, segments as npz, clips as MP4
  prefrl export RUN OUT --formats jsonl              without clips: nothing has to be drawn
  prefrl export RUN OUT --formats jsonl,mp4,parquet,minari
  prefrl export RUN OUT --anonymous                  labeller-1, labeller-2, ... in place of names

OUT/README.md describes every file and column. `prefrl import OUT RUN2` reads jsonl back.
"""
IMPORT = """\
Make a run folder of what `prefrl export` wrote: for replaying it, for fitting reward models, for exporting it again.

  prefrl import OUT RUN2
  prefrl train --config RUN2/config.yaml --teacher replay=RUN2
"""
NICE = 10  # training comes first


def export_parser() -> argparse.ArgumentParser:
    parser = _parser("export", EXPORT)
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write; it must not exist")
    parser.add_argument("--formats", default=",".join(DEFAULT), metavar="A,B",
                      help=f"of {', '.join(FORMATS)} (default jsonl,mp4)")  # fmt: skip
    parser.add_argument("--anonymous", action="store_true", help="pseudonyms for people, and nothing that they wrote")
    parser.add_argument("--force", action="store_true", help="put it in the place of an earlier export")
    parser.add_argument("--import", action="append", default=[], dest="modules", metavar="MODULE",
                      help="registers environments")  # fmt: skip
    return parser


def import_parser() -> argparse.ArgumentParser:
    parser = _parser("import", IMPORT)
    parser.add_argument("dataset", type=Path, metavar="OUT", help="a folder that prefrl export wrote")
    parser.add_argument("run", type=Path, metavar="RUN2", help="the run folder to make; it must not exist")
    return parser


def export(options: argparse.Namespace) -> int:
    """Write a dataset and say where it is."""
    formats = [name.strip() for name in options.formats.split(",") if name.strip()]
    with suppress(OSError):
        os.nice(NICE)
    from prefrl.dataset.export import export_run

    dataset = export_run(options.run, options.out, formats=formats, anonymous=options.anonymous, force=options.force)
    print(f"{options.out}  {_counted(dataset.counts)}; {options.out / README} says what is what")
    return 0


def import_(options: argparse.Namespace) -> int:
    """Make a run folder of a dataset and say what is in it."""
    from prefrl.dataset.importing import import_dataset

    dataset = import_dataset(options.dataset, options.run)
    print(f"{options.run}  {_counted(dataset.counts)} in {dataset.env}")
    return 0


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"prefrl {name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
